#pragma once

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// Every value of a uint8 or uint16 image replaced by the entry at its place of `table`: one row of 256 or 65536 values
/// of uint8, uint16, float32 or float64, which is the type of the result.
cv::Mat looked_up(const cv::Mat& image, const cv::Mat& table);

}  // namespace reelstore
