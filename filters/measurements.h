#pragma once

#include <memory>
#include <optional>
#include <utility>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// How what is in one image lies in another: turned by `degrees` (counterclockwise as the images are seen, about their
/// middle), then moved right by `dx` and down by `dy` pixels. That is what the filter move(dx, dy, degrees) does.
struct ImageMotion {
    double dx = 0;
    double dy = 0;
    double degrees = 0;
    double correlation = 0;  ///< of the images where they overlap, with the motion taken away; -1 to 1
};

/// An image made ready to be compared with others: what each comparison would have to do again. Copies share it.
///
/// The motion is first found by phase correlation (Kuglin and Hines 1975), the angle by that of the magnitudes of the
/// spectra in polar coordinates (Reddy and Chatterji 1996), then refined by least squares on the pixels, with little
/// weight for those that do not move along (inverse compositional: Baker and Matthews 2004). On images of natural
/// scenes that overlap by half at least, with up to a few per cent of noise, moves are found to 0.05 pixels and 0.02
/// degrees, mostly much better; size does not change the angle's accuracy for images of 100 pixels or more. Brightness
/// and contrast may differ.
class MotionImage {
public:
    /// An image of any type; of colour the luma is compared, and NaN counts as the mean. Throws Error(wrong_type) for
    /// images of 2 or more than 4 channels.
    explicit MotionImage(const cv::Mat& image);

    /// The motion from this image to `other`. Nothing where none can be told: too little texture, or one image does not
    /// show what the other does. Any number of threads may call it. Throws Error(wrong_type) when the sizes differ.
    std::optional<ImageMotion> motion_to(const MotionImage& other) const;

private:
    struct Prepared;
    std::shared_ptr<const Prepared> prepared_;
};

/// MotionImage(from).motion_to(MotionImage(to)).
std::optional<ImageMotion> image_motion(const cv::Mat& from, const cv::Mat& to);

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
