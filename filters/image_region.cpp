#include "filters/image_region.h"

#include <string>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/image_values.h"

namespace reelstore {

namespace {

Error outside(const std::string& what, const cv::Size& image) {
    return Error(ErrorCode::invalid_argument,
                 fmt::format("{} does not lie within images of {}x{} pixels", what, image.width, image.height));
}

std::vector<Region::Run> runs_of_mask(const cv::Mat& mask, cv::Point corner) {
    std::vector<Region::Run> runs;
    for (int row = 0; row < mask.rows; ++row) {
        const auto* const pixels = mask.ptr<uint8_t>(row);
        for (int x = 0; x < mask.cols; ++x) {
            if (pixels[x] == 0) continue;
            const int begin = x;
            while (x < mask.cols && pixels[x] != 0) ++x;
            runs.push_back({row + corner.y, begin + corner.x, x + corner.x});
        }
    }
    return runs;
}

}  // namespace

Region Region::rectangle(const cv::Rect& rectangle) {
    if (rectangle.width < 1 || rectangle.height < 1 || rectangle.x < 0 || rectangle.y < 0 ||
        rectangle.x > kMaxImageSide || rectangle.y > kMaxImageSide || rectangle.width > kMaxImageSide ||
        rectangle.height > kMaxImageSide) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{}:{}:{}:{} is no rectangle X:Y:WIDTH:HEIGHT of an image", rectangle.x, rectangle.y,
                                rectangle.width, rectangle.height));
    }
    Region region;
    region.whole_ = false;
    region.bounds_ = rectangle;
    region.runs_.reserve(static_cast<size_t>(rectangle.height));
    for (int row = 0; row < rectangle.height; ++row)
        region.runs_.push_back({rectangle.y + row, rectangle.x, rectangle.x + rectangle.width});
    return region;
}

Region Region::polygon(const std::vector<cv::Point>& corners) {
    if (corners.size() < 3) throw Error(ErrorCode::invalid_argument, "a polygon has three corners at least");
    for (const cv::Point& corner : corners) {
        if (corner.x < 0 || corner.y < 0 || corner.x > kMaxImageSide || corner.y > kMaxImageSide)
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("the corner {}:{} of a polygon lies outside of every image", corner.x, corner.y));
    }
    Region region;
    region.whole_ = false;
    region.bounds_ = cv::boundingRect(corners);
    cv::Mat mask = cv::Mat::zeros(region.bounds_.size(), CV_8U);
    const std::vector<std::vector<cv::Point>> outlines = {corners};
    cv::fillPoly(mask, outlines, cv::Scalar(1), cv::LINE_8, 0, -region.bounds_.tl());
    region.runs_ = runs_of_mask(mask, region.bounds_.tl());
    return region;
}

Region Region::mask(const cv::Mat& mask) {
    const cv::Mat any = mask_of(mask);
    Region region;
    region.whole_ = false;
    region.size_ = mask.size();
    region.bounds_ = cv::boundingRect(any);
    region.runs_ = runs_of_mask(any, {});
    if (region.runs_.empty()) throw Error(ErrorCode::invalid_argument, "the mask is 0 everywhere");
    return region;
}

void Region::check(const cv::Size& image) const {
    if (whole_) return;
    if (!size_.empty()) {
        if (size_ != image)
            throw Error(ErrorCode::invalid_argument, fmt::format("a mask of {}x{} pixels does not fit images of {}x{}",
                                                                 size_.width, size_.height, image.width, image.height));
    } else if (bounds_.br().x > image.width || bounds_.br().y > image.height) {
        throw outside(fmt::format("the region {}:{}:{}:{}", bounds_.x, bounds_.y, bounds_.width, bounds_.height),
                      image);
    }
}

cv::Rect Region::bounds_in(const cv::Size& image) const {
    return whole_ ? cv::Rect({}, image) : bounds_;
}

int64_t Region::pixels_in(const cv::Size& image) const {
    if (whole_) return int64_t{image.width} * image.height;
    int64_t pixels = 0;
    for (const Run& run : runs_) pixels += run.end - run.begin;
    return pixels;
}

}  // namespace reelstore
