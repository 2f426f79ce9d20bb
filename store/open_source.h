#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/frame_source.h"
#include "codecs/encoding.h"
#include "codecs/file_format.h"
#include "store/recording.h"

namespace reelstore {

/// Opens anything frames come from by its name: a store, a video file, a folder of images, an array; or, when nothing
/// of that name exists and it reads as one, a camera ("0", "/dev/video0"). Empty: the first camera. With `raw`, images
/// of a store with an encoding come as they were stored.
std::unique_ptr<FrameSource> open_source(const std::string& name, const SourceOptions& options = {}, bool raw = false);

/// Opens a store (a StoreReader), or any file or folder whose frames can be read in any order (a FileRecording), with
/// the same options. With `demosaic`, the Bayer mosaics of a store are decoded by that method; Error(invalid_argument)
/// when there are none and Error(unsupported) when it cannot take their type. Throws Error(not_found) when there is
/// nothing of that name, Error(not_a_store) for a folder that holds neither a store nor images, and Error(unsupported)
/// for a camera, for a source that can only be read forward and for a file of no known kind.
std::unique_ptr<Recording> open_recording(const std::string& name, const SourceOptions& options = {}, bool raw = false,
                                          std::optional<Demosaic> demosaic = {});

}  // namespace reelstore
