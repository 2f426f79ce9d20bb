#include "store/open_source.h"

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/camera.h"
#include "codecs/selected_source.h"
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

/// A method of demosaicing is for mosaics.
void check_demosaic(const SourceInfo& info, const SourceOptions& options) {
    const Encoding* encoding = options.demosaic ? find_encoding(info.encoding) : nullptr;
    if (!options.demosaic || (encoding && is_bayer(*encoding))) return;
    throw Error(ErrorCode::invalid_argument, {info.name, {}, {}},
                "the images are no Bayer mosaics, so there is no method of demosaicing to choose");
}

std::unique_ptr<StoreReader> open_store(const std::string& name, const SourceOptions& options) {
    if (!options.format.empty()) {
        throw Error(ErrorCode::invalid_argument, {name, {}, {}},
                    "a store is opened without options, so none named \"" + options.format.begin()->first + "\"");
    }
    StoreReaderOptions reader{.decode = !options.raw,
                              .demosaic = options.demosaic.value_or(Demosaic::bilinear),
                              .crop = options.crop,
                              .threads = options.threads,
                              .map = options.map};
    auto store = std::make_unique<StoreReader>(name, reader);
    check_demosaic(store->info(), options);
    return store;
}

std::unique_ptr<FrameSource> open_file(const std::string& name, const SourceOptions& options) {
    const FileKind kind = file_system().status(name).kind;
    // Opening a pipe would wait for somebody to write into it.
    if (kind == FileKind::other) throw Error(ErrorCode::unsupported, {name, {}, {}}, "is neither a file nor a folder");
    try {
        std::unique_ptr<FrameSource> source = open_file_source(name, options);
        check_demosaic(source->info(), options);
        return source;
    } catch (const Error& error) {
        if (kind != FileKind::folder || error.code() != ErrorCode::unsupported) throw;
        if (StoreLock::held(name)) throw not_begun(name);
        throw Error(ErrorCode::not_a_store, {name, {}, {}},
                    "this folder holds neither a store (there is no metadata.yaml in it) nor images");
    }
}

}  // namespace

std::unique_ptr<FrameSource> open_source(const std::string& name, const SourceOptions& options) {
    if (name.empty()) return selected_source(open_camera(), options);
    if (names_camera(name)) return selected_source(open_camera(name), options);
    if (!is_store(name)) return open_file(name, options);
    SourceOptions frames = options;
    frames.crop.reset();
    return selected_source(open_store(name, options), frames);
}

std::unique_ptr<Recording> open_recording(const std::string& name, const SourceOptions& options) {
    if (names_camera(name)) {
        throw Error(ErrorCode::unsupported, {name, {}, {}},
                    "a camera has no frames to look up; record it first (`store save`)");
    }
    if (is_store(name)) {
        if (options.start != 0 || options.frames || options.step != 1) {
            throw Error(ErrorCode::invalid_argument, {name, {}, {}},
                        "of a store's frames none can be left out at opening; choose them by index");
        }
        return open_store(name, options);
    }
    return std::make_unique<FileRecording>(name, open_file(name, options), options.threads);
}

}  // namespace reelstore
