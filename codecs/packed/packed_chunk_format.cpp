#include "codecs/packed/packed_chunk_format.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/option_values.h"
#include "codecs/packed/npy_reader.h"

namespace reelstore {

namespace {

constexpr int kMostThreads = 256;

}  // namespace

CodecOptionInfo threads_option() {
    return {"threads", "0",
            "frames encoded at once, each on a thread of its own; 1: on the writing thread, 0: one a processor"};
}

int threads_of(const CodecOptions& options) {
    const int threads = integer_option(options, "threads", 0, 0, kMostThreads);
    if (threads > 0) return threads;
    return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMostThreads);
}

PackedChunkFormat::PackedChunkFormat(PackedKind kind) : kind_(std::move(kind)) {
    kind_.info.kind = ChunkKind::file;
    kind_.info.extension = kind_.container.extension();
    kind_.info.lossless = true;
    kind_.info.default_chunk_frames = kPackedChunkFrames;
    kind_.info.types = "every element type and number of channels";
}

std::optional<std::string> PackedChunkFormat::refuses(const ImageType& type) const {
    if (!plausible(type)) return fmt::format("{} is no plausible image", type.text());
    return std::nullopt;
}

uint64_t PackedChunkFormat::most_bytes_held_back(const ImageType& type, const CodecOptions& codec) const {
    const int threads = kind_.make_encoder ? threads_of(codec) : 1;
    const int frames = threads > 1 ? kFramesHeldPerThread * threads : 1;
    return static_cast<uint64_t>(frames) * kind_.container.most_bytes(type);
}

void PackedChunkFormat::check_options(const CodecOptions& options) const {
    check_option_names(kind_.info, options);
    if (kind_.check_values) kind_.check_values(options);
}

std::unique_ptr<ChunkWriter> PackedChunkFormat::create(const std::filesystem::path& path, const ImageType& type,
                                                       const CodecOptions& codec,
                                                       const ChunkWriteOptions& options) const {
    check_options(codec);
    if (const auto reason = refuses(type)) throw Error(ErrorCode::wrong_type, {path.string(), {}, {}}, *reason);
    if (!kind_.make_encoder) {
        return std::make_unique<PackedWriter>(path, kind_.container, type, PackedWriter::MakeEncoder{}, 1, options);
    }
    return std::make_unique<PackedWriter>(
        path, kind_.container, type, [&] { return kind_.make_encoder(type, codec); }, threads_of(codec), options);
}

std::unique_ptr<ChunkReader> PackedChunkFormat::open(const std::filesystem::path& path, const ImageType& type,
                                                     const ChunkReadOptions& options) const {
    if (!plausible(type)) {
        throw Error(ErrorCode::corrupt, {path.string(), {}, {}}, fmt::format("{} is no plausible image", type.text()));
    }
    if (!kind_.make_decoder) return std::make_unique<NpyReader>(path, type, options);
    return std::make_unique<PackedReader>(path, kind_.container, type, kind_.make_decoder(type), options);
}

}  // namespace reelstore
