#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/filter_table.h"

namespace reelstore {

namespace {

cv::Mat convert(const cv::Mat& image, int cv_code, const char* wanted) {
    const int depth = image.depth();
    if (depth != CV_8U && depth != CV_16U && depth != CV_32F) {
        throw Error(ErrorCode::wrong_type, fmt::format("{} cannot be made {}: only uint8, uint16 and float32 can",
                                                       ImageType::of(image).text(), wanted));
    }
    cv::Mat converted;
    cv::cvtColor(image, converted, cv_code);
    return converted;
}

cv::Mat to_gray(const cv::Mat& image) {
    switch (image.channels()) {
        case 1:
            return image;
        case 3:
            return convert(image, cv::COLOR_BGR2GRAY, "gray");
        case 4:
            return convert(image, cv::COLOR_BGRA2GRAY, "gray");
        default:
            break;
    }
    throw Error(ErrorCode::wrong_type,
                fmt::format("{} cannot be made gray: only 3 or 4 channels can", ImageType::of(image).text()));
}

cv::Mat to_color(const cv::Mat& image) {
    switch (image.channels()) {
        case 1:
            return convert(image, cv::COLOR_GRAY2BGR, "colour");
        case 3:
            return image;
        case 4:
            return convert(image, cv::COLOR_BGRA2BGR, "colour");
        default:
            break;
    }
    throw Error(ErrorCode::wrong_type,
                fmt::format("{} cannot be made colour: only 1 or 4 channels can", ImageType::of(image).text()));
}

}  // namespace

void add_filters_color(FilterTable& table) {
    table.push_back({"gray", "one channel; gray frames pass as they are", {}, [](const FilterArguments&) {
                         return image_filter(to_gray);
                     }});
    table.push_back({"color", "three channels (BGR); colour frames pass as they are", {}, [](const FilterArguments&) {
                         return image_filter(to_color);
                     }});
}

}  // namespace reelstore
