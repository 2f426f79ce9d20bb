#include "filters/image_values.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/file_system.h"
#include "base/npy.h"
#include "base/pixel_type.h"
#include "base/text.h"

namespace reelstore {

namespace {

/// Finite values only; `shown` null: all count.
template <typename Value>
void extend(ValueRange& range, const Value* values, const uint8_t* shown, int count) {
    for (int i = 0; i < count; ++i) {
        const auto value = static_cast<double>(values[i]);
        if ((shown && shown[i] == 0) || !std::isfinite(value)) continue;
        range.low = std::min(range.low, value);
        range.high = std::max(range.high, value);
    }
}

cv::v_float32x4 all_lanes(float value) {
    return cv::v_setall_f32(value);
}
cv::v_float64x2 all_lanes(double value) {
    return cv::v_setall_f64(value);
}

/// The same, all values counting.
template <typename Value>
void extend(ValueRange& range, const Value* values, int count) {
    using Lanes = decltype(all_lanes(Value()));
    constexpr int kLanes = Lanes::nlanes;
    const Lanes zero = all_lanes(Value(0));
    const Lanes largest = all_lanes(std::numeric_limits<Value>::infinity());
    const Lanes smallest = zero - largest;
    Lanes least = largest;
    Lanes most = smallest;
    int i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        const Lanes value = cv::v_load(values + i);
        const Lanes finite = (value - value) == zero;
        least = cv::v_min(least, cv::v_select(finite, value, largest));
        most = cv::v_max(most, cv::v_select(finite, value, smallest));
    }
    Value ends[2 * kLanes];
    cv::v_store(ends, least);
    cv::v_store(ends + kLanes, most);
    extend(range, ends, nullptr, 2 * kLanes);
    extend(range, values + i, nullptr, count - i);
}

template <typename Value>
void extend(ValueRange& range, const cv::Mat& image, const cv::Mat& mask) {
    for (int row = 0; row < image.rows; ++row) {
        if (mask.empty()) {
            extend(range, image.ptr<Value>(row), image.cols);
        } else {
            extend(range, image.ptr<Value>(row), mask.ptr<uint8_t>(row), image.cols);
        }
    }
}

}  // namespace

double white_of(int depth) {
    switch (depth) {
        case CV_8U:
            return 255;
        case CV_8S:
            return 127;
        case CV_16U:
            return 65535;
        case CV_16S:
            return 32767;
        case CV_32S:
            return 2147483647;
        default:
            return 1;
    }
}

double black_of(int depth) {
    const bool has_sign = depth == CV_8S || depth == CV_16S || depth == CV_32S;
    return has_sign ? -white_of(depth) - 1 : 0;
}

Error wrong_type(const cv::Mat& image, const char* filter, const char* taken) {
    return Error(ErrorCode::wrong_type, fmt::format("{} is nothing for the filter {}, which takes {}",
                                                    ImageType::of(image).text(), filter, taken));
}

cv::Mat in_gray(const cv::Mat& image) {
    const int channels = image.channels();
    if (channels == 1) return image;
    const int depth = image.depth();
    if (channels != 3 && channels != 4) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("{} cannot be made gray: only 3 or 4 channels can", ImageType::of(image).text()));
    }
    if (depth != CV_8U && depth != CV_16U && depth != CV_32F) {
        throw Error(ErrorCode::wrong_type, fmt::format("{} cannot be made gray: only uint8, uint16 and float32 can",
                                                       ImageType::of(image).text()));
    }
    cv::Mat gray;
    cv::cvtColor(image, gray, channels == 3 ? cv::COLOR_BGR2GRAY : cv::COLOR_BGRA2GRAY);
    return gray;
}

std::optional<ValueRange> finite_range(const cv::Mat& image, const cv::Mat& mask) {
    ValueRange range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    switch (image.depth()) {
        case CV_32F:
            extend<float>(range, image, mask);
            break;
        case CV_64F:
            extend<double>(range, image, mask);
            break;
        case CV_16F: {
            cv::Mat values;
            image.convertTo(values, CV_32F);
            return finite_range(values, mask);
        }
        default:
            if (!mask.empty() && cv::countNonZero(mask) == 0) return std::nullopt;
            cv::minMaxLoc(image, &range.low, &range.high, nullptr, nullptr, mask);
    }
    if (range.low > range.high) return std::nullopt;
    return range;
}

cv::Mat image_argument(const FilterArguments& arguments, const std::string& name) {
    const std::string path = arguments.text(name, "");
    const std::vector<uint8_t> bytes = read_file(path, kMaxImageBytes);
    cv::Mat image;
    try {
        image =
            lower_case_extension(path) == ".npy" ? image_from_npy(bytes) : cv::imdecode(bytes, cv::IMREAD_UNCHANGED);
    } catch (const cv::Exception&) {
        image.release();
    } catch (const Error& error) {
        arguments.refuse(name, "is no image: " + error.message());
    }
    if (image.empty()) arguments.refuse(name, "is no image (PNG, TIFF or .npy)");
    return image;
}

cv::Mat mask_of(const cv::Mat& image) {
    const int colors = image.channels() == 4 ? 3 : image.channels();
    // OpenCV 4.6 crashes when it is to take a channel out of float16.
    cv::Mat values = image;
    if (image.depth() == CV_16F) image.convertTo(values, CV_32F);
    cv::Mat mask;
    for (int channel = 0; channel < colors; ++channel) {
        cv::Mat plane;
        cv::extractChannel(values, plane, channel);
        const cv::Mat shown = plane != 0;
        if (mask.empty()) {
            mask = shown;
        } else {
            mask |= shown;
        }
    }
    return mask;
}

}  // namespace reelstore
