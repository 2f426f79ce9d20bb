#pragma once

#include <optional>
#include <string>

#include <opencv2/core/mat.hpp>

#include "base/error.h"
#include "filters/filter_arguments.h"

namespace reelstore {

/// What is white in an image of OpenCV's `depth`: the largest value of integers (255, 65535, 32767...), 1.0 of floats.
double white_of(int depth);
/// The smallest value of integers of that depth, 0 of floats.
double black_of(int depth);

/// An Error(wrong_type) that says that `filter` takes no such images, but `taken` ("uint8 and uint16").
Error wrong_type(const cv::Mat& image, const char* filter, const char* taken);

/// An image with one channel: itself, or the luma of BGR or BGRA (uint8, uint16 and float32; others are refused with
/// Error(wrong_type)) as cv::cvtColor computes it.
cv::Mat in_gray(const cv::Mat& image);

struct ValueRange {
    double low = 0;
    double high = 0;
};
/// The smallest and the largest finite value of an image with one channel, of any type, where `mask` (uint8, of the
/// same size; empty: everywhere) is not 0. Nothing where there is no finite value.
std::optional<ValueRange> finite_range(const cv::Mat& image, const cv::Mat& mask = {});

/// The image in the file that a filter's argument names: whatever OpenCV reads, or numpy's .npy; with its own type and
/// channels. Throws Error(not_found...) where the file cannot be read and Error(invalid_argument) naming filter and
/// argument where it holds no image.
cv::Mat image_argument(const FilterArguments& arguments, const std::string& name);
/// 255 where any colour channel of an image is not 0 (a fourth channel, alpha, does not count), else 0.
cv::Mat mask_of(const cv::Mat& image);

}  // namespace reelstore
