#pragma once

#include <opencv2/core/mat.hpp>

#include "filters/tone.h"

namespace reelstore {

/// What cv::CLAHE makes of a uint8 image of one channel, to the last bit, in half the time (Zuiderveld, "Contrast
/// limited adaptive histogram equalization", Graphics Gems IV, 1994). Neither looks at what lies around the image in
/// memory.
cv::Mat equalized_adaptively(const cv::Mat& image, const ClaheOptions& options);

/// Whether equalized_adaptively() is worth it: not for small tiles, whose tables take longer than their pixels.
bool suits_adaptive_equalization(const cv::Mat& image, const ClaheOptions& options);

}  // namespace reelstore
