#pragma once

#include <cstdint>
#include <optional>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

namespace reelstore {

/// Test images that carry their own number, so that any access path can be checked by its pixels.
///
/// The upper half of the image is a barcode of 16 vertical bars over the full width, most significant bit first, dark =
/// 0 and bright = 1, uniform enough to survive lossy video; the lower half adds a texture that changes with the
/// number, so that a codec has something to do. Every element type and channel count is supported; the same number
/// always gives the same pixels. `number` must be in 0..65535 and the image at least 16 pixels wide.
cv::Mat make_numbered_image(const ImageType& type, int number);

/// The number in an image made by make_numbered_image(), perhaps changed by a lossy codec, in any pixel type; also
/// reads full-height bars. Only the first channel is looked at. Nothing when the bars are not clearly dark or bright.
std::optional<int> read_image_number(const cv::Mat& image);

}  // namespace reelstore
