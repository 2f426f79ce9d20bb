#pragma once

#include <opencv2/core/mat.hpp>

#include "filters/smoothing.h"

namespace reelstore {

/// Medians of windows of options.size; what the filter median does. Of uint8, uint16 or float32, up to 4 channels.
cv::Mat median_blurred(const cv::Mat& image, const MedianOptions& options);

}  // namespace reelstore
