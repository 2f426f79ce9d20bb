#include "codecs/output_file.h"

#include <utility>

#include "base/byte_writer.h"
#include "base/error.h"

namespace reelstore {

namespace {

class DelayedStream : public MemoryFile {
public:
    explicit DelayedStream(ByteWriter writer) : writer_(std::move(writer)) {}

    void close() override {
        const std::vector<uint8_t> bytes = take();
        if (!bytes.empty()) writer_(bytes);
    }

private:
    ByteWriter writer_;
};

}  // namespace

void check_new_output(const std::filesystem::path& path, const SinkOptions& options) {
    if (options.stream || file_system().status(path).kind == FileKind::missing) return;
    throw Error(ErrorCode::already_exists, {path.string(), {}, {}}, "exists already");
}

std::unique_ptr<File> create_output(const std::filesystem::path& path, const SinkOptions& options, WritingOrder order) {
    if (!options.stream) return file_system().open(path, OpenMode::create_exclusive);
    if (order == WritingOrder::forward) return appending_file(options.stream, path.string());
    return std::make_unique<DelayedStream>(options.stream);
}

}  // namespace reelstore
