#include "base/pixel_type.h"

#include <array>

#include "base/error.h"

namespace reelstore {

namespace {

struct DepthName {
    int depth;
    const char* name;
};

constexpr std::array<DepthName, 8> kDepthNames{{
    {CV_8U, "uint8"},
    {CV_8S, "int8"},
    {CV_16U, "uint16"},
    {CV_16S, "int16"},
    {CV_32S, "int32"},
    {CV_32F, "float32"},
    {CV_64F, "float64"},
    {CV_16F, "float16"},
}};

const char* find_name(int depth) {
    for (const DepthName& entry : kDepthNames) {
        if (entry.depth == depth) return entry.name;
    }
    return nullptr;
}

}  // namespace

size_t ImageType::bytes() const {
    return size_t(height) * size_t(width) * size_t(channels) * size_t(CV_ELEM_SIZE1(depth));
}

std::vector<int64_t> ImageType::shape() const {
    if (gray()) return {height, width};
    return {height, width, channels};
}

std::string ImageType::text() const {
    std::string text = std::to_string(height) + "x" + std::to_string(width);
    if (!gray()) text += "x" + std::to_string(channels);
    const char* name = find_name(depth);
    text += std::string(" ") + (name ? name : "unknown");
    if (gray()) text += " gray";
    return text;
}

ImageType ImageType::of(const cv::Mat& image) {
    return {.height = image.rows, .width = image.cols, .channels = image.channels(), .depth = image.depth()};
}

bool plausible(const ImageType& type) {
    if (type.height < 1 || type.height > kMaxImageSide || type.width < 1 || type.width > kMaxImageSide) return false;
    if (type.channels < 1 || type.channels > CV_CN_MAX || !find_name(type.depth)) return false;
    return type.bytes() <= kMaxImageBytes;
}

std::string dtype_name(int depth) {
    if (const char* name = find_name(depth)) return name;
    throw Error(ErrorCode::invalid_argument, "unknown pixel depth " + std::to_string(depth));
}

std::optional<int> depth_of_dtype(std::string_view name) {
    for (const DepthName& entry : kDepthNames) {
        if (entry.name == name) return entry.depth;
    }
    return std::nullopt;
}

}  // namespace reelstore
