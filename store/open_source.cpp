#include "store/open_source.h"

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/camera.h"
#include "store/file_recording.h"
#include "store/layout.h"
#include "store/store_lock.h"
#include "store/store_reader.h"

namespace reelstore {

namespace {

bool names_camera(const std::string& name) {
    const FileKind kind = file_system().status(name).kind;
    return is_camera_id(name) && (kind == FileKind::missing || kind == FileKind::other);
}

Error nothing_to_demosaic(const std::string& name) {
    return Error(ErrorCode::invalid_argument, {name, {}, {}},
                 "the images are no Bayer mosaics, so there is no method of demosaicing to choose");
}

std::unique_ptr<StoreReader> open_store(const std::string& name, const SourceOptions& options, bool raw,
                                        std::optional<Demosaic> demosaic = {}) {
    StoreReaderOptions reader{.decode = !raw, .threads = options.threads};
    if (demosaic) reader.demosaic = *demosaic;
    auto store = std::make_unique<StoreReader>(name, reader);
    const Encoding* encoding = find_encoding(store->metadata().encoding);
    if (demosaic && !(encoding && is_bayer(*encoding))) throw nothing_to_demosaic(name);
    return store;
}

std::unique_ptr<FrameSource> open_file(const std::string& name, const SourceOptions& options) {
    const FileKind kind = file_system().status(name).kind;
    // Opening a pipe would wait for somebody to write into it.
    if (kind == FileKind::other) throw Error(ErrorCode::unsupported, {name, {}, {}}, "is neither a file nor a folder");
    try {
        return open_file_source(name, options);
    } catch (const Error& error) {
        if (kind != FileKind::folder || error.code() != ErrorCode::unsupported) throw;
        if (StoreLock::held(name)) throw not_begun(name);
        throw Error(ErrorCode::not_a_store, {name, {}, {}},
                    "this folder holds neither a store (there is no metadata.yaml in it) nor images");
    }
}

}  // namespace

std::unique_ptr<FrameSource> open_source(const std::string& name, const SourceOptions& options, bool raw) {
    if (name.empty()) return open_camera();
    if (names_camera(name)) return open_camera(name);
    if (is_store(name)) return open_store(name, options, raw);
    return open_file(name, options);
}

std::unique_ptr<Recording> open_recording(const std::string& name, const SourceOptions& options, bool raw,
                                          std::optional<Demosaic> demosaic) {
    if (names_camera(name)) {
        throw Error(ErrorCode::unsupported, {name, {}, {}},
                    "a camera has no frames to look up; record it first (`store save`)");
    }
    if (is_store(name)) return open_store(name, options, raw, demosaic);
    auto recording = std::make_unique<FileRecording>(name, open_file(name, options), options.threads);
    if (demosaic) throw nothing_to_demosaic(name);
    return recording;
}

}  // namespace reelstore
