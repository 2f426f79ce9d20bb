#include "store/frame_equality.h"

#include <cmath>
#include <cstring>

namespace reelstore {

bool same_time(double a, double b) {
    return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
}

bool same_pixels(const cv::Mat& a, const cv::Mat& b) {
    if (a.size() != b.size() || a.type() != b.type()) return false;
    const size_t row_bytes = static_cast<size_t>(a.cols) * a.elemSize();
    for (int row = 0; row < a.rows; ++row) {
        if (std::memcmp(a.ptr(row), b.ptr(row), row_bytes) != 0) return false;
    }
    return true;
}

}  // namespace reelstore
