#include "filters/value_table.h"

#include <opencv2/core.hpp>

namespace reelstore {

namespace {

template <typename Value>
void look_up(const cv::Mat& image, const cv::Mat& table, cv::Mat& result) {
    const auto* const values = table.ptr<Value>();
    for (int row = 0; row < image.rows; ++row) {
        const auto* from = image.ptr<uint16_t>(row);
        auto* to = result.ptr<Value>(row);
        const int count = image.cols * image.channels();
        for (int i = 0; i < count; ++i) to[i] = values[from[i]];
    }
}

}  // namespace

cv::Mat looked_up(const cv::Mat& image, const cv::Mat& table) {
    cv::Mat result;
    if (image.depth() == CV_8U) {
        cv::LUT(image, table, result);
        return result;
    }
    result.create(image.size(), CV_MAKETYPE(table.depth(), image.channels()));
    switch (table.depth()) {
        case CV_8U:
            look_up<uint8_t>(image, table, result);
            break;
        case CV_16U:
            look_up<uint16_t>(image, table, result);
            break;
        case CV_32F:
            look_up<float>(image, table, result);
            break;
        default:
            look_up<double>(image, table, result);
    }
    return result;
}

}  // namespace reelstore
