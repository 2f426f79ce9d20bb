#include "filters/coverage.h"

#include <array>
#include <cmath>
#include <type_traits>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/pixel_type.h"

namespace reelstore {

namespace {

constexpr int kFull = 255;
constexpr int kHalf = 128;
constexpr int kMostChannels = 4;

template <typename Value>
Value blended(Value below, Value above, uint8_t covered) {
    if constexpr (std::is_floating_point_v<Value>) {
        if (!std::isfinite(below)) return covered >= kHalf ? above : below;
        return below + (above - below) * (static_cast<Value>(covered) / kFull);
    } else if constexpr (sizeof(Value) <= 2 && std::is_unsigned_v<Value>) {
        const uint32_t sum = uint32_t{below} * static_cast<uint32_t>(kFull - covered) + uint32_t{above} * covered;
        return static_cast<Value>((sum + kFull / 2) / kFull);
    } else {
        const double part = static_cast<double>(covered) / kFull;
        return cv::saturate_cast<Value>(below + (static_cast<double>(above) - below) * part);
    }
}

template <typename Value, int channels>
void blend_rows(cv::Mat& image, const cv::Mat& coverage, const cv::Scalar& pixel) {
    std::array<Value, channels> color;
    for (int channel = 0; channel < channels; ++channel)
        color[static_cast<size_t>(channel)] = cv::saturate_cast<Value>(pixel[channel]);
    for (int row = 0; row < image.rows; ++row) {
        auto* value = image.ptr<Value>(row);
        const uint8_t* covered = coverage.ptr<uint8_t>(row);
        for (int column = 0; column < image.cols; ++column, ++covered) {
            for (const Value above : color) {
                // A pixel that is covered wholly takes the colour to the last bit.
                if (*covered == kFull)
                    *value = above;
                else if (*covered > 0)
                    *value = blended(*value, above, *covered);
                ++value;
            }
        }
    }
}

template <typename Value>
void blend_channels(cv::Mat& image, const cv::Mat& coverage, const cv::Scalar& pixel) {
    switch (image.channels()) {
        case 1:
            return blend_rows<Value, 1>(image, coverage, pixel);
        case 2:
            return blend_rows<Value, 2>(image, coverage, pixel);
        case 3:
            return blend_rows<Value, 3>(image, coverage, pixel);
        default:
            return blend_rows<Value, kMostChannels>(image, coverage, pixel);
    }
}

}  // namespace

void blend_coverage(cv::Mat& image, const cv::Mat& coverage, cv::Point corner, const cv::Scalar& pixel) {
    if (image.channels() > kMostChannels || image.depth() == CV_16F) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("cannot draw into {}: only into images of 1 to 4 channels that are not float16",
                                ImageType::of(image).text()));
    }
    const cv::Rect visible = cv::Rect(corner, coverage.size()) & cv::Rect({}, image.size());
    if (visible.empty()) return;
    cv::Mat part = image(visible);
    const cv::Mat covered = coverage(visible - corner);
    switch (image.depth()) {
        case CV_8U:
            return blend_channels<uint8_t>(part, covered, pixel);
        case CV_8S:
            return blend_channels<int8_t>(part, covered, pixel);
        case CV_16U:
            return blend_channels<uint16_t>(part, covered, pixel);
        case CV_16S:
            return blend_channels<int16_t>(part, covered, pixel);
        case CV_32S:
            return blend_channels<int32_t>(part, covered, pixel);
        case CV_32F:
            return blend_channels<float>(part, covered, pixel);
        default:
            return blend_channels<double>(part, covered, pixel);
    }
}

}  // namespace reelstore
