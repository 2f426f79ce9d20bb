#include "codecs/foreign/difference_images.h"

#include <cstring>

#include "codecs/option_values.h"

namespace reelstore {

namespace {

const char* const kOption = "image";
constexpr int kBlock = 64;

template <typename Combine>
cv::Mat combine(const cv::Mat& one, const cv::Mat& other, int type, Combine combined) {
    CV_DbgAssert(one.size() == other.size() && one.elemSize() == sizeof(uint16_t));
    cv::Mat result(one.rows, one.cols, type);
    for (int row = 0; row < one.rows; ++row) {
        const uint16_t* const first = one.ptr<uint16_t>(row);
        const uint16_t* const second = other.ptr<uint16_t>(row);
        uint16_t* const target = result.ptr<uint16_t>(row);
        int column = 0;
        // A loop of known length is what compilers turn into vector instructions.
        for (; column + kBlock <= one.cols; column += kBlock) {
            uint16_t block[kBlock];
            for (int i = 0; i < kBlock; ++i) block[i] = combined(first[column + i], second[column + i]);
            std::memcpy(target + column, block, sizeof(block));
        }
        for (; column < one.cols; ++column) target[column] = combined(first[column], second[column]);
    }
    return result;
}

}  // namespace

DifferenceImages difference_images_option(const CodecOptions& options) {
    const std::string choice = choice_option(options, kOption, "frames", {"frames", "background", "difference"});
    if (choice == "background") return DifferenceImages::background;
    return choice == "difference" ? DifferenceImages::differences : DifferenceImages::frames;
}

CodecOptionInfo difference_images_option_info() {
    return {kOption, "frames",
            "frames: background + difference; background: that one image; difference: signed, as in the file"};
}

cv::Mat add_difference(const cv::Mat& background, const cv::Mat& difference) {
    return combine(background, difference, CV_16UC1,
                   [](uint16_t one, uint16_t other) { return static_cast<uint16_t>(one + other); });
}

cv::Mat difference_to(const cv::Mat& background, const cv::Mat& image) {
    return combine(image, background, CV_16SC1,
                   [](uint16_t one, uint16_t other) { return static_cast<uint16_t>(one - other); });
}

}  // namespace reelstore
