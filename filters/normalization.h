#pragma once

#include <opencv2/core/mat.hpp>

#include "filters/tone.h"

namespace reelstore {

/// What the filter normalize() makes of an image. Values are computed in float64 or such that float32 makes a
/// difference of a millionth of the range at most; integers are rounded to the nearest then.
cv::Mat normalized(const cv::Mat& image, const NormalizeOptions& options);

}  // namespace reelstore
