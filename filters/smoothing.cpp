#include "filters/smoothing.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>
#include <opencv2/imgproc.hpp>

namespace reelstore {

namespace {

/// What lies around a crop in memory must not come back.
int border_type(EdgeMode edge) {
    const int type = edge == EdgeMode::reflect     ? cv::BORDER_REFLECT_101
                     : edge == EdgeMode::symmetric ? cv::BORDER_REFLECT
                                                   : cv::BORDER_REPLICATE;
    return type | cv::BORDER_ISOLATED;
}

/// As cv::GaussianBlur() chooses it.
int gaussian_size(double sigma, int depth) {
    return sigma > 0 ? cvRound(sigma * (depth == CV_8U ? 3 : 4) * 2 + 1) | 1 : 1;
}

template <typename Value>
void divide(const cv::Mat& values, const cv::Mat& weights, cv::Mat& means) {
    for (int row = 0; row < values.rows; ++row) {
        const auto* value = values.ptr<Value>(row);
        const auto* weight = weights.ptr<Value>(row);
        auto* mean = means.ptr<Value>(row);
        for (int i = 0; i < values.cols * values.channels(); ++i)
            mean[i] = weight[i] > 0 ? value[i] / weight[i] : std::numeric_limits<Value>::quiet_NaN();
    }
}

template <typename Value>
void take_out_missing(WeightedImage& image) {
    for (int row = 0; row < image.values.rows; ++row) {
        auto* value = image.values.ptr<Value>(row);
        auto* weight = image.weights.ptr<Value>(row);
        for (int i = 0; i < image.values.cols * image.values.channels(); ++i) {
            const bool missing = !std::isfinite(value[i]);
            weight[i] = missing ? Value(0) : Value(1);
            if (missing) value[i] = 0;
        }
    }
}

template <typename Value>
void put_back(const cv::Mat& image, cv::Mat& result) {
    for (int row = 0; row < image.rows; ++row) {
        const auto* from = image.ptr<Value>(row);
        auto* to = result.ptr<Value>(row);
        for (int i = 0; i < image.cols * image.channels(); ++i) {
            if (!std::isfinite(from[i])) to[i] = from[i];
        }
    }
}

bool all_finite(const float* values, int count) {
    using Vector = cv::v_float32x4;
    // What is finite less itself is 0, whose bits are 0; all else is NaN.
    Vector first = cv::v_setzero_f32();
    Vector second = cv::v_setzero_f32();
    int i = 0;
    for (; i + 2 * Vector::nlanes <= count; i += 2 * Vector::nlanes) {
        const Vector one = cv::v_load(values + i);
        const Vector other = cv::v_load(values + i + Vector::nlanes);
        first = first | (one - one);
        second = second | (other - other);
    }
    if (!(cv::v_reduce_sum(first | second) == 0)) return false;
    return std::all_of(values + i, values + count, [](float value) { return std::isfinite(value); });
}

}  // namespace

cv::Mat gaussian_blurred(const cv::Mat& image, double sigma_x, double sigma_y, EdgeMode edge) {
    const cv::Size size(gaussian_size(sigma_x, image.depth()), gaussian_size(sigma_y, image.depth()));
    if (size == cv::Size(1, 1)) return image;
    cv::Mat result;
    cv::GaussianBlur(image, result, size, sigma_x, sigma_y, border_type(edge));
    return result;
}

int gaussian_reach(double sigma, int depth) {
    return gaussian_size(sigma, depth) / 2;
}

cv::Mat box_blurred(const cv::Mat& image, const cv::Size& size, EdgeMode edge, int depth) {
    cv::Mat result;
    cv::boxFilter(image, result, depth, size, cv::Point(-1, -1), true, border_type(edge));
    return result;
}

bool all_finite(const cv::Mat& image) {
    if (image.depth() == CV_64F) return cv::checkRange(image);
    if (image.depth() != CV_32F) return true;
    for (int row = 0; row < image.rows; ++row) {
        if (!all_finite(image.ptr<float>(row), image.cols * image.channels())) return false;
    }
    return true;
}

WeightedImage without_missing(const cv::Mat& image) {
    WeightedImage result;
    image.convertTo(result.values, image.depth() == CV_64F ? CV_64F : CV_32F);
    if (all_finite(image)) return result;
    result.weights.create(image.size(), result.values.type());
    if (image.depth() == CV_64F) {
        take_out_missing<double>(result);
    } else {
        take_out_missing<float>(result);
    }
    return result;
}

cv::Mat weighted_means(const cv::Mat& values, const cv::Mat& weights) {
    cv::Mat means(values.size(), values.type());
    if (values.depth() == CV_64F) {
        divide<double>(values, weights, means);
    } else {
        divide<float>(values, weights, means);
    }
    return means;
}

void put_back_missing(const cv::Mat& image, cv::Mat& result) {
    if (image.depth() == CV_64F) {
        put_back<double>(image, result);
    } else if (image.depth() == CV_32F) {
        put_back<float>(image, result);
    }
}

cv::Mat with_edges(const cv::Mat& image, int radius, EdgeMode edge) {
    cv::Mat result;
    cv::copyMakeBorder(image, result, radius, radius, radius, radius, border_type(edge));
    return result;
}

}  // namespace reelstore
