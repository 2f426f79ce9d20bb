#include "filters/measurements.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/comparable_images.h"
#include "filters/image_values.h"
#include "filters/value_range.h"

namespace reelstore {

namespace {

void check_sizes(const cv::Mat& a, const cv::Mat& b) {
    if (a.size() == b.size()) return;
    throw Error(ErrorCode::wrong_type,
                "images of " + ImageType::of(a).text() + " and " + ImageType::of(b).text() + " cannot be compared");
}

}  // namespace

std::optional<double> correlation(const cv::Mat& a, const cv::Mat& b) {
    if (ImageType::of(a) != ImageType::of(b))
        throw Error(ErrorCode::wrong_type,
                    "images of " + ImageType::of(a).text() + " and " + ImageType::of(b).text() + " cannot be compared");
    return with_opencv([&]() -> std::optional<double> {
        cv::Mat x;
        cv::Mat y;
        a.reshape(1).convertTo(x, CV_64F);
        b.reshape(1).convertTo(y, CV_64F);
        const cv::Mat finite =
            (cv::abs(x) <= std::numeric_limits<double>::max()) & (cv::abs(y) <= std::numeric_limits<double>::max());
        cv::Scalar mean_x, mean_y, deviation_x, deviation_y;
        if (cv::countNonZero(finite) == 0) return std::nullopt;
        cv::meanStdDev(x, mean_x, deviation_x, finite);
        cv::meanStdDev(y, mean_y, deviation_y, finite);
        x.setTo(mean_x, ~finite);
        y.setTo(mean_y, ~finite);
        x -= mean_x;
        y -= mean_y;
        const double spread = cv::norm(x) * cv::norm(y);
        // What rounding leaves of equal values is none.
        constexpr double kRounding = 1e-12;
        if (!(deviation_x[0] > kRounding * std::abs(mean_x[0])) || !(deviation_y[0] > kRounding * std::abs(mean_y[0])))
            return std::nullopt;
        return std::clamp(x.dot(y) / spread, -1.0, 1.0);
    });
}

std::optional<CrossCorrelation> cross_correlation(const cv::Mat& a, const cv::Mat& b) {
    check_sizes(a, b);
    for (const cv::Mat* image : {&a, &b}) {
        if (image->channels() != 1 || image->empty())
            throw wrong_type(*image, "cross-correlation", "images with one channel");
    }
    return with_opencv([&]() -> std::optional<CrossCorrelation> {
        std::array<cv::Mat, 2> spectra;
        double spread = 1;
        const cv::Size size(2 * a.cols - 1, 2 * a.rows - 1);
        const cv::Size padded_size(cv::getOptimalDFTSize(size.width), cv::getOptimalDFTSize(size.height));
        for (size_t i = 0; i < 2; ++i) {
            const cv::Mat& from = i == 0 ? a : b;
            const cv::Mat image = standardized_image(from, finite_mask(from));
            if (image.empty()) return std::nullopt;
            cv::Mat padded = cv::Mat::zeros(padded_size, CV_64F);
            cv::Mat inner = padded(cv::Rect({}, image.size()));
            image.convertTo(inner, CV_64F);
            inner -= cv::mean(inner);
            spread *= cv::norm(inner);
            cv::dft(padded, spectra[i], 0, a.rows);
        }
        cv::Mat product;
        cv::mulSpectrums(spectra[1], spectra[0], product, 0, true);
        cv::Mat circular;
        cv::idft(product, circular, cv::DFT_SCALE);
        CrossCorrelation result;
        result.zero = {a.cols - 1, a.rows - 1};
        result.values.create(size, CV_64F);
        for (int y = 0; y < size.height; ++y) {
            const auto* const from =
                circular.ptr<double>((y - result.zero.y + padded_size.height) % padded_size.height);
            auto* const to = result.values.ptr<double>(y);
            for (int x = 0; x < size.width; ++x)
                to[x] = from[(x - result.zero.x + padded_size.width) % padded_size.width] / spread;
        }
        cv::Point at;
        cv::minMaxLoc(result.values, nullptr, &result.peak, nullptr, &at);
        const auto value = [&](int x, int y) {
            return cv::Rect({}, size).contains({x, y}) ? result.values.at<double>(y, x) : 0;
        };
        result.dx = at.x - result.zero.x + parabola_vertex(value(at.x - 1, at.y), result.peak, value(at.x + 1, at.y));
        result.dy = at.y - result.zero.y + parabola_vertex(value(at.x, at.y - 1), result.peak, value(at.x, at.y + 1));
        return result;
    });
}

std::optional<std::pair<double, double>> best_exposure(const cv::Mat& image, double low_percentile,
                                                       double high_percentile) {
    if (!(low_percentile >= 0 && low_percentile <= high_percentile && high_percentile <= 100))
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{} and {} are no percentiles in order", low_percentile, high_percentile));
    return with_opencv([&]() -> std::optional<std::pair<double, double>> {
        cv::Mat values = image.reshape(1);
        if (cv::countNonZero(finite_mask(values)) == 0) return std::nullopt;
        if (image.depth() == CV_16F) values.convertTo(values, CV_32F);
        ToneRange range;
        range.low_percentile = low_percentile;
        range.high_percentile = high_percentile;
        return ends_of(values, range);
    });
}

}  // namespace reelstore
