#pragma once

#include <memory>

#include <opencv2/core/mat.hpp>

#include "base/filter.h"

namespace reelstore {

// Filters that mix each pixel with those around it. All change each frame by itself and take uint8, uint16, int16,
// float32 and float64 of up to 4 channels (median: no int16 and float64), each channel by itself. They throw
// Error(wrong_type) for images they cannot take, naming the frame. What lies around a crop in memory has no influence.
//
// In floats, values that are not finite (NaN, infinite) count as missing: each result is made of the finite values
// around it alone, with their weights scaled so that they sum up to 1. See MissingValues.

/// What stands in for pixels beyond the edge of the image, by numpy's names.
enum class EdgeMode {
    reflect,    ///< the image mirrored at its last pixel: dcb|abcd|cba
    symmetric,  ///< mirrored at its edge: cba|abcd|dcb (scipy's "reflect")
    edge,       ///< the nearest pixel: aaa|abcd|ddd (scipy's "nearest")
};

/// What becomes of missing values themselves.
enum class MissingValues {
    keep,  ///< they stay as they are
    fill,  ///< they become what is made of the values around them; NaN where there are none
};

struct GaussianOptions {
    double sigma_x = 1;  ///< standard deviation in pixels, 0: not smoothed that way
    double sigma_y = 1;
    EdgeMode edge = EdgeMode::reflect;
    MissingValues missing = MissingValues::keep;
};
/// Convolution with a Gaussian that is cut off at about 3 (uint8) or 4 (other types) standard deviations: the kernel
/// has round(6 sigma + 1) or round(8 sigma + 1) values, one more where that is even, as cv::GaussianBlur() has. Its
/// weights for uint8 and uint16 are rounded to as many bits, so that results may be wrong by 2.
std::unique_ptr<Filter> gaussian(const GaussianOptions& options);

struct BoxOptions {
    int width = 3;  ///< of the window, in pixels
    int height = 3;
    EdgeMode edge = EdgeMode::reflect;
    MissingValues missing = MissingValues::keep;
};
/// Means of the pixels within a window, all of the same weight; those of uint8 may be wrong by 1, as OpenCV rounds
/// them. Where a side is even, the window reaches one pixel farther to the left or to the top than to the right or to
/// the bottom (as in OpenCV and scipy).
std::unique_ptr<Filter> box(const BoxOptions& options);

struct MedianOptions {
    int size = 3;  ///< of the window both ways, odd, 1 to 255
    EdgeMode edge = EdgeMode::edge;
    MissingValues missing = MissingValues::keep;
};
/// Medians of the pixels within a window; of an even number of values, which missing ones can leave, the mean of the
/// middle two. Takes uint8, uint16 and float32.
std::unique_ptr<Filter> median(const MedianOptions& options);

struct SharpenOptions {
    double amount = 0.7;  ///< 0: nothing
    double radius = 1;    ///< standard deviation of the Gaussian in pixels, above 0
    EdgeMode edge = EdgeMode::reflect;
};
/// Unsharp mask: value + amount * (value - gaussian(value)), where the Gaussian of integers is rounded. Integers are
/// cut off at the limits of their type, floats are not. Missing values stay as they are.
std::unique_ptr<Filter> sharpen(const SharpenOptions& options);

// What filters are made of that also mix in time. None looks at missing values, which would spread (infinite ones over
// whole rows and columns where sums run): take them out before by without_missing(), smooth image and weights alike,
// then divide.

/// The image smoothed by a Gaussian, in its own type. Of uint8, uint16, int16, float32 or float64.
cv::Mat gaussian_blurred(const cv::Mat& image, double sigma_x, double sigma_y, EdgeMode edge);
/// Pixels each way that its kernel has for an image of OpenCV's `depth`.
int gaussian_reach(double sigma, int depth);
/// Means over a window of `size`, in the image's own type or, if `depth` is CV_32F or CV_64F, as floats: exact sums of
/// integers, rounded once.
cv::Mat box_blurred(const cv::Mat& image, const cv::Size& size, EdgeMode edge, int depth = -1);

/// An image without its missing values.
struct WeightedImage {
    cv::Mat values;   ///< as float32, or float64 if the image was; 0 where a value was missing
    cv::Mat weights;  ///< of the same type: 1, and 0 where a value was missing. Empty when none was
};
WeightedImage without_missing(const cv::Mat& image);
/// values / weights, NaN where a weight is 0.
cv::Mat weighted_means(const cv::Mat& values, const cv::Mat& weights);
/// Whether every value is finite. Integers always are.
bool all_finite(const cv::Mat& image);
/// Puts what is missing in `image` where it is in `result`, of the same type.
void put_back_missing(const cv::Mat& image, cv::Mat& result);
/// The image with so many more pixels at each side.
cv::Mat with_edges(const cv::Mat& image, int radius, EdgeMode edge);

}  // namespace reelstore
