#pragma once

#include <memory>
#include <string>

#include "base/frame_source.h"
#include "codecs/file_format.h"

namespace reelstore {

/// Opens anything frames come from by its name: a store, a video file, a folder of images, an array; or, when nothing
/// of that name exists and it reads as one, a camera ("0", "/dev/video0"). Empty: the first camera. With `raw`, images
/// of a store with an encoding come as they were stored.
std::unique_ptr<FrameSource> open_source(const std::string& name, const SourceOptions& options = {}, bool raw = false);

}  // namespace reelstore
