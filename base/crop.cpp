#include "base/crop.h"

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

cv::Mat cropped(const cv::Mat& image, const cv::Rect& part) {
    cropped(ImageType::of(image), part);
    return image(part);
}

ImageType cropped(const ImageType& type, const cv::Rect& part) {
    const bool within = part.x >= 0 && part.y >= 0 && part.width > 0 && part.height > 0 &&
                        part.width <= type.width - part.x && part.height <= type.height - part.y;
    if (!within) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("a crop of {}x{} pixels at x {}, y {} does not lie within images of {}x{}", part.width,
                                part.height, part.x, part.y, type.width, type.height));
    }
    ImageType result = type;
    result.height = part.height;
    result.width = part.width;
    return result;
}

}  // namespace reelstore
