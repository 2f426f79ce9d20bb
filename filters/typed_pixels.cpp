#include "filters/typed_pixels.h"

#include <opencv2/core.hpp>

namespace reelstore {

namespace {

/// What an integer type can hold, which OpenCV cuts values off at if they fit into 32 bits.
template <typename Value>
cv::Mat within_32_bits(const cv::Mat& values) {
    constexpr Value kMost = 65536;
    cv::Mat result(values.size(), values.type());
    for (int row = 0; row < values.rows; ++row) {
        const auto* __restrict const from = values.ptr<Value>(row);
        auto* __restrict const to = result.ptr<Value>(row);
        for_each_value(values_in_row(values), [=](int i) {
            Value value = from[i];
            value = value > kMost ? kMost : value;
            value = value < -kMost ? -kMost : value;
            to[i] = value == value ? value : Value{0};
        });
    }
    return result;
}

}  // namespace

cv::Mat in_depth(const cv::Mat& values, int depth) {
    if (values.depth() == depth) return values;
    cv::Mat result;
    if (is_float(depth) || !is_float(values.depth())) {
        values.convertTo(result, depth);
    } else if (values.depth() == CV_64F) {
        within_32_bits<double>(values).convertTo(result, depth);
    } else {
        within_32_bits<float>(values).convertTo(result, depth);
    }
    return result;
}

}  // namespace reelstore
