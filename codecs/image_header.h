#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace reelstore {

/// What an image file claims to hold, read without decoding it.
struct ImageHeader {
    std::string_view format;  ///< "PNG", "JPEG", "TIFF", "BMP" or "PNM"
    int64_t width = 0;        ///< as claimed; may be zero or absurd
    int64_t height = 0;
    int channels = 0;          ///< of the decoded image: a palette counts as 3, in a BMP as 1 when it is all gray
    int depth = 0;             ///< OpenCV's; fewer than 8 bits count as CV_8U
    bool more_images = false;  ///< a TIFF with further pages
};

/// The format that the first bytes of a file announce ("PNG", ...); empty when it is none of those above.
std::string_view sniff_image_format(std::span<const uint8_t> head);

/// Reads the header of a PNG, JPEG, TIFF (first page, classic or BigTIFF), BMP or PNM (P1 to P6) file, so that the size
/// of a hostile image is known before memory is spent on it. Nothing when the bytes are none of these, are cut off
/// before the header ends, or hold a header that OpenCV could read differently.
std::optional<ImageHeader> read_image_header(std::span<const uint8_t> bytes);

/// Whether the pixels of a JPEG file are followed by its end marker. Decoders make up what is missing without it.
bool has_jpeg_end(std::span<const uint8_t> bytes);

}  // namespace reelstore
