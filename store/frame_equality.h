#pragma once

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// Bit for bit; one NaN is like another.
bool same_time(double a, double b);
/// Size, type and every byte.
bool same_pixels(const cv::Mat& a, const cv::Mat& b);

}  // namespace reelstore
