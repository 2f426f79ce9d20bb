#pragma once

#include <optional>
#include <utility>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// Pearson's coefficient of correlation of two images of the same size and type, over all pixels and channels where
/// both are finite. Nothing where one of them is the same everywhere. Throws Error(wrong_type) when the types differ.
std::optional<double> correlation(const cv::Mat& a, const cv::Mat& b);

/// Two images laid upon each other in every way.
struct CrossCorrelation {
    /// float64, (2 height - 1, 2 width - 1). At (zero.y + dy, zero.x + dx) the sum of products of what lies upon each
    /// other when `b` is moved left by dx and up by dy, of values less the mean of their image, divided by the root of
    /// the product of both images' sums of squares: 1 at dx = dy = 0 for equal images.
    cv::Mat values;
    cv::Point zero;  ///< where the images are not moved
    // The highest value, and where it is, to a part of a pixel by a parabola through its neighbours.
    double peak = 0;
    double dx = 0;  ///< pixels by which what is in `a` lies further right in `b`
    double dy = 0;  ///< and further down
};
/// Normalised cross-correlation of two images with one channel, of the same size and any types; NaN counts as the mean.
/// Nothing where one of them is the same everywhere. Throws Error(wrong_type) for other images.
std::optional<CrossCorrelation> cross_correlation(const cv::Mat& a, const cv::Mat& b);

/// The range in which most of an image's finite values lie: from one percentile to another, between values as numpy's
/// percentile. Nothing where there is no finite value.
std::optional<std::pair<double, double>> best_exposure(const cv::Mat& image, double low_percentile = 2,
                                                       double high_percentile = 98);

}  // namespace reelstore
