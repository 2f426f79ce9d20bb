#pragma once

#include <optional>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// Mean squared difference of two images of the same type, over all pixels and channels. Throws Error(wrong_type) when
/// the types differ.
double mean_squared_error(const cv::Mat& a, const cv::Mat& b);

/// Peak signal-to-noise ratio in dB for values that go from 0 to `peak`; infinite for an error of 0.
double psnr(double mean_squared_error, double peak);

/// Structural similarity as Wang et al. define it (IEEE Transactions on Image Processing 13, 2004): Gaussian windows of
/// 11x11 pixels with a standard deviation of 1.5, K1 = 0.01, K2 = 0.03, mean over the windows that lie wholly in the
/// image, and over the channels. 1 for equal images. Nothing for images less than 11 pixels wide or high. Throws
/// Error(wrong_type) when the types differ.
std::optional<double> structural_similarity(const cv::Mat& a, const cv::Mat& b, double peak);

}  // namespace reelstore
