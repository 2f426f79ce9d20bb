#pragma once

#include <optional>

#include <opencv2/core/mat.hpp>

#include "filters/temporal.h"

namespace reelstore {

/// What a filter gives of a frame's image and its background, float32 or float64 values of the same size. `depth` as in
/// BackgroundOptions.
cv::Mat compared_with_background(const cv::Mat& image, const cv::Mat& background, BackgroundResult result,
                                 const std::optional<int>& depth);

}  // namespace reelstore
