#pragma once

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// Paints `pixel` (the values of its channels, as pixel_of() gives them) over `image`, as much of it as `coverage` says
/// (CV_8U, 255: all), with the upper left corner of the coverage at `corner`; what lies outside of the image is left
/// out. Values that are not finite become the colour where they are covered by half or more and stay elsewhere. Throws
/// Error(wrong_type) for float16 and more than 4 channels.
void blend_coverage(cv::Mat& image, const cv::Mat& coverage, cv::Point corner, const cv::Scalar& pixel);

}  // namespace reelstore
