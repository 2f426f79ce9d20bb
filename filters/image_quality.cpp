#include "filters/image_quality.h"

#include <cmath>
#include <limits>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/pixel_type.h"

namespace reelstore {

namespace {

constexpr int kWindow = 11;
constexpr double kSigma = 1.5;
constexpr double kK1 = 0.01;
constexpr double kK2 = 0.03;

void check_types(const cv::Mat& a, const cv::Mat& b) {
    if (ImageType::of(a) == ImageType::of(b) && !a.empty()) return;
    throw Error(ErrorCode::wrong_type,
                "images of " + ImageType::of(a).text() + " and " + ImageType::of(b).text() + " cannot be compared");
}

template <typename Step>
auto with_opencv(Step step) {
    try {
        return step();
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal, "cannot compare images: " + error.err);
    }
}

/// Weighted means of the windows that lie wholly in the image.
cv::Mat window_means(const cv::Mat& image) {
    cv::Mat means;
    cv::GaussianBlur(image, means, {kWindow, kWindow}, kSigma, kSigma, cv::BORDER_REFLECT);
    constexpr int kMargin = kWindow / 2;
    return means(cv::Rect(kMargin, kMargin, image.cols - 2 * kMargin, image.rows - 2 * kMargin));
}

}  // namespace

double mean_squared_error(const cv::Mat& a, const cv::Mat& b) {
    check_types(a, b);
    return with_opencv([&] {
        const double values = static_cast<double>(a.total()) * a.channels();
        const double distance = cv::norm(a, b, cv::NORM_L2);
        return distance * distance / values;
    });
}

double psnr(double mean_squared_error, double peak) {
    if (mean_squared_error == 0) return std::numeric_limits<double>::infinity();
    return 10 * std::log10(peak * peak / mean_squared_error);
}

std::optional<double> structural_similarity(const cv::Mat& a, const cv::Mat& b, double peak) {
    check_types(a, b);
    if (a.rows < kWindow || a.cols < kWindow) return std::nullopt;
    return with_opencv([&] {
        // Squares of 16-bit values would lose what counts in 32 bits.
        cv::Mat x;
        cv::Mat y;
        a.convertTo(x, CV_64F);
        b.convertTo(y, CV_64F);
        const double c1 = kK1 * peak * kK1 * peak;
        const double c2 = kK2 * peak * kK2 * peak;
        const cv::Mat mean_x = window_means(x);
        const cv::Mat mean_y = window_means(y);
        const cv::Mat mean_xx = mean_x.mul(mean_x);
        const cv::Mat mean_yy = mean_y.mul(mean_y);
        const cv::Mat mean_xy = mean_x.mul(mean_y);
        const cv::Mat variance_x = window_means(x.mul(x)) - mean_xx;
        const cv::Mat variance_y = window_means(y.mul(y)) - mean_yy;
        const cv::Mat covariance = window_means(x.mul(y)) - mean_xy;
        const auto all = cv::Scalar::all(1);
        const cv::Mat above = (2 * mean_xy + all * c1).mul(2 * covariance + all * c2);
        const cv::Mat below = (mean_xx + mean_yy + all * c1).mul(variance_x + variance_y + all * c2);
        cv::Mat similarity;
        cv::divide(above, below, similarity);
        const cv::Scalar means = cv::mean(similarity);
        double sum = 0;
        for (int channel = 0; channel < a.channels(); ++channel) sum += means[channel];
        return std::optional(sum / a.channels());
    });
}

}  // namespace reelstore
