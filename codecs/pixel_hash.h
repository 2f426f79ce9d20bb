#pragma once

#include <string>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// SHA-256 of an image's pixels in C order, without padding between rows, as 64 hex digits.
std::string pixel_sha256(const cv::Mat& image);

}  // namespace reelstore
