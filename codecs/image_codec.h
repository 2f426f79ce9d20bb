#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

namespace reelstore {

/// Decodes a PNG, JPEG, TIFF (first page), BMP or PNM file held in memory; `path` is for messages only.
///
/// With `expected` the result has exactly that type. Where the file has other channels than the one or three that are
/// expected, OpenCV's conversion to gray or BGR is made (alpha is dropped), as imgstore's reader does; sizes and depths
/// are never converted. Without `expected` the result is what the file holds: one channel, BGR, or BGRA when the header
/// announces an alpha channel; transparent colours of a palette are ignored. The orientation tag of a camera is never
/// applied.
///
/// The header is checked before anything is decoded. Throws Error(corrupt) when the bytes are damaged, cut off or of
/// another size or depth than expected, and Error(unsupported) when they are no image of these formats.
cv::Mat decode_image(std::span<const uint8_t> bytes, const std::string& path,
                     const std::optional<ImageType>& expected = std::nullopt);

/// Encodes in the format of `extension` (".png") with OpenCV's IMWRITE_ parameters as pairs of key and value. The
/// format must be able to hold the image's depth: OpenCV would convert it to 8 bits.
std::vector<uint8_t> encode_image(const cv::Mat& image, const std::string& extension,
                                  const std::vector<int>& parameters = {});

/// One channel of the same depth: gray passes, BGR and BGRA are weighted. Throws Error(wrong_type) for other types.
cv::Mat gray_image(const cv::Mat& image);

}  // namespace reelstore
