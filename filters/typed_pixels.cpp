#include "filters/typed_pixels.h"

#include <opencv2/core.hpp>

namespace reelstore {

namespace {

/// Rounded, cut off at the limits of an integer type.
template <typename Value>
cv::Mat as_integers(const cv::Mat& values, int depth) {
    // What does not fit into 32 bits, OpenCV would not cut off.
    constexpr Value kMost = 65536;
    cv::Mat result(values.size(), CV_MAKETYPE(depth, values.channels()));
    cv::Mat fitting(1, values.cols, values.type());
    auto* __restrict const to = fitting.ptr<Value>();
    for (int row = 0; row < values.rows; ++row) {
        const auto* __restrict const from = values.ptr<Value>(row);
        for_each_value(values_in_row(values), [=](int i) {
            Value value = from[i];
            value = value > kMost ? kMost : value;
            value = value < -kMost ? -kMost : value;
            to[i] = value == value ? value : Value{0};
        });
        cv::Mat results = result.row(row);
        fitting.convertTo(results, depth);
    }
    return result;
}

}  // namespace

cv::Mat missing_in(const cv::Mat& weights) {
    return weights.reshape(1) == 0;
}

cv::Mat in_depth(const cv::Mat& values, int depth) {
    if (values.depth() == depth) return values;
    if (is_float(values.depth()) && !is_float(depth))
        return values.depth() == CV_64F ? as_integers<double>(values, depth) : as_integers<float>(values, depth);
    cv::Mat result;
    values.convertTo(result, depth);
    return result;
}

}  // namespace reelstore
