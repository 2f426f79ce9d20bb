#include "filters/comparable_images.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace reelstore {

cv::Mat finite_mask(const cv::Mat& image) {
    if (image.depth() < CV_32F) return cv::Mat(image.size(), CV_8U, cv::Scalar(255));
    cv::Mat values;
    image.convertTo(values, CV_64F);
    return cv::abs(values) <= std::numeric_limits<double>::max();
}

cv::Mat standardized_image(const cv::Mat& image, const cv::Mat& finite) {
    if (cv::countNonZero(finite) == 0) return {};
    cv::Mat values;
    image.convertTo(values, CV_64F);
    cv::Scalar mean;
    cv::Scalar deviation;
    cv::meanStdDev(values, mean, deviation, finite);
    // What rounding leaves of equal values is none.
    if (!(deviation[0] > 1e-12 * std::abs(mean[0]))) return {};
    values.setTo(mean, ~finite);
    cv::Mat result;
    values.convertTo(result, CV_32F, 1 / deviation[0], -mean[0] / deviation[0]);
    return result;
}

double parabola_vertex(double before, double here, double after) {
    const double bend = before - 2 * here + after;
    return bend < 0 ? std::clamp((before - after) / (2 * bend), -0.5, 0.5) : 0;
}

}  // namespace reelstore
