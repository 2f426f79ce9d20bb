#pragma once

#include <cstdint>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// `work` with a value of the type that an image of OpenCV's `depth` (CV_8U, CV_16U, CV_16S, CV_32F or CV_64F) holds.
template <typename Work>
auto with_pixel_type(int depth, Work work) {
    switch (depth) {
        case CV_8U:
            return work(uint8_t{});
        case CV_16U:
            return work(uint16_t{});
        case CV_16S:
            return work(int16_t{});
        case CV_64F:
            return work(double{});
        default:
            return work(float{});
    }
}

/// `work(i)` for 0 <= i < count, in pieces of a fixed size, which compilers make vector instructions of.
template <typename Work>
void for_each_value(int count, Work work) {
    constexpr int kPiece = 32;
    int i = 0;
    for (; i + kPiece <= count; i += kPiece) {
        for (int k = 0; k < kPiece; ++k) work(i + k);
    }
    for (; i < count; ++i) work(i);
}

inline int values_in_row(const cv::Mat& image) {
    return image.cols * image.channels();
}

inline bool is_float(int depth) {
    return depth == CV_32F || depth == CV_64F;
}

/// The float type that holds differences of values of such a depth with their sign: float32, float64 of float64.
inline int signed_depth(int depth) {
    return depth == CV_64F ? CV_64F : CV_32F;
}

/// Where weights are 0: a mask (uint8, 255 and 0) of one channel, as wide as all channels of the image are together.
cv::Mat missing_in(const cv::Mat& weights);

/// Values in another depth. Integers are rounded and cut off at the limits of their type; NaN becomes 0 there.
cv::Mat in_depth(const cv::Mat& values, int depth);

}  // namespace reelstore
