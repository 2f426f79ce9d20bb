#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

namespace reelstore {

/// How an image is compressed into a bloscpack file. The defaults are bloscpack's own, which imgstore uses.
struct BloscpackOptions {
    /// Rearranges the bytes of the elements before they are compressed.
    enum class Shuffle { none, byte, bit };

    std::string codec = "blosclz";  ///< one of bloscpack_codecs()
    int level = 7;                  ///< 0 (stored) to 9 (smallest)
    Shuffle shuffle = Shuffle::byte;
};

/// Codecs that this machine's libblosc writes: blosclz and what it was built with of lz4, lz4hc, zlib, zstd, snappy.
std::vector<std::string> bloscpack_codecs();

/// Whether a file beginning with these bytes is a bloscpack file.
bool is_bloscpack(std::span<const uint8_t> head);

/// The bytes of a bloscpack file (version 3, https://github.com/Blosc/bloscpack) that holds this image as a numpy array
/// of shape (h, w) or (h, w, c): what bloscpack's pack_ndarray_to_file() writes.
std::vector<uint8_t> bloscpack_from_image(const cv::Mat& image, const BloscpackOptions& options = {});

/// The image in the bytes of a bloscpack file, in C or Fortran order and either byte order, compressed with any codec
/// of this machine's libblosc. Checksums are verified.
///
/// With `expected` the array must have exactly that type, and no more memory is used than an image of it takes. Without
/// it the array may have up to four channels. Throws Error(corrupt) (without a path) when the bytes are damaged, cut
/// off or of another type than expected, and Error(unsupported) for another version of the format, an unknown codec and
/// for arrays that are no image. May be called by several threads at once.
cv::Mat image_from_bloscpack(std::span<const uint8_t> bytes, const std::optional<ImageType>& expected = std::nullopt);

}  // namespace reelstore
