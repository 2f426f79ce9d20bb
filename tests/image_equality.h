#pragma once

#include <algorithm>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// Same type, same size, same bits (also of NaN).
inline bool equal_pixels(const cv::Mat& left, const cv::Mat& right) {
    if (left.type() != right.type() || left.size() != right.size()) return false;
    const size_t row_bytes = left.elemSize() * static_cast<size_t>(left.cols);
    for (int row = 0; row < left.rows; ++row) {
        if (!std::equal(left.ptr(row), left.ptr(row) + row_bytes, right.ptr(row))) return false;
    }
    return true;
}

}  // namespace reelstore
