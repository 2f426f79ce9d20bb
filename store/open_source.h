#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/frame_source.h"
#include "codecs/file_format.h"
#include "store/recording.h"

namespace reelstore {

/// Opens anything frames come from by its name: a store, a video file, a folder of images, an array; or, when nothing
/// of that name exists and it reads as one, a camera ("0", "/dev/video0"). Empty: the first camera. `gray` and `deep`
/// of the options count for files only.
std::unique_ptr<FrameSource> open_source(const std::string& name, const SourceOptions& options = {});

/// Opens a store (a StoreReader), or any file or folder whose frames can be read in any order (a FileRecording), with
/// the same options. With `demosaic` it is an Error(invalid_argument) when there are no Bayer mosaics and an
/// Error(unsupported) when the method cannot take their type. Throws Error(not_found) when there is
/// nothing of that name, Error(not_a_store) for a folder that holds neither a store nor images, and Error(unsupported)
/// for a camera, for a source that can only be read forward and for a file of no known kind. Of a store all frames are
/// opened: start, frames and step of the options are an Error(invalid_argument) there.
std::unique_ptr<Recording> open_recording(const std::string& name, const SourceOptions& options = {});

}  // namespace reelstore
