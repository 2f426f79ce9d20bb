#pragma once

#include <memory>

#include "base/frame_source.h"
#include "codecs/file_format.h"

namespace reelstore {

/// The source with `start`, `frames`, `step` and `crop` of the options applied; the source itself where they ask for
/// nothing. Cropped images are copies of their part, so no more of a mapped file is touched. Throws
/// Error(invalid_argument) for a negative start or count, a step below 1, and a crop that does not lie within the
/// images (told at the first frame where their size is not known before).
std::unique_ptr<FrameSource> selected_source(std::unique_ptr<FrameSource> source, const SourceOptions& options);

}  // namespace reelstore
