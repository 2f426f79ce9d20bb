#include "store/open_source.h"

#include "base/file_system.h"
#include "codecs/camera.h"
#include "store/layout.h"
#include "store/store_reader.h"

namespace reelstore {

std::unique_ptr<FrameSource> open_source(const std::string& name, const SourceOptions& options, bool raw) {
    if (name.empty()) return open_camera();
    const FileKind kind = file_system().status(name).kind;
    if (is_camera_id(name) && (kind == FileKind::missing || kind == FileKind::other)) return open_camera(name);
    if (is_store(name)) return std::make_unique<StoreReader>(name, StoreReaderOptions{.decode = !raw});
    return open_file_source(name, options);
}

}  // namespace reelstore
