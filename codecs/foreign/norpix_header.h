#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reelstore {

/// What stands at the beginning of a NorPix sequence (.seq), field by field.
struct NorpixHeader {
    int32_t version = 0;
    std::string description = {};
    uint32_t width = 0;
    uint32_t height = 0;
    uint32_t bits_per_pixel = 0;    ///< as stored, of all channels together
    uint32_t bits_per_channel = 0;  ///< that mean something: 10 in elements of 16
    uint32_t image_bytes = 0;       ///< of an image that is not compressed
    uint32_t image_format = 0;      ///< NorPix's number, see NorpixPixels
    uint32_t frames = 0;            ///< that there was room for; not to be trusted
    uint32_t origin = 0;            ///< place of the oldest frame where the file is a ring
    uint32_t true_size = 0;         ///< distance between images that are not compressed
    double frame_rate = 0;
    int32_t bayer_pattern = 0;
    int32_t time_offset_us = 0;
    uint32_t compression = 0;
    int32_t reference_seconds = 0;
    uint16_t reference_ms = 0;
    uint16_t reference_us = 0;
};

inline constexpr size_t kNorpixHeaderBytes = 1024;
/// Since this version images begin further behind and times have microseconds.
inline constexpr int32_t kNorpixMicrosecondVersion = 5;
inline constexpr uint64_t kNorpixLaterStart = 8192;
inline constexpr uint32_t kNorpixJpegCompression = 1;

/// Whether the bytes begin as a NorPix sequence does.
bool is_norpix_header(std::span<const uint8_t> head);
/// Throws Error(corrupt), without a path, when there are fewer than kNorpixHeaderBytes.
NorpixHeader parse_norpix_header(std::span<const uint8_t> bytes);
/// kNorpixHeaderBytes bytes. The description is not written.
std::vector<uint8_t> make_norpix_header(const NorpixHeader& header);

/// Seconds, milliseconds and, in files that have them, microseconds behind an image.
struct NorpixStamp {
    uint32_t seconds = 0;
    uint16_t milliseconds = 0;
    uint16_t microseconds = 0;

    bool operator==(const NorpixStamp&) const = default;
    double time() const { return seconds + milliseconds / 1e3 + microseconds / 1e6; }
};

inline constexpr size_t kNorpixShortStampBytes = 6;
inline constexpr size_t kNorpixStampBytes = 8;
/// `bytes` holds a stamp with microseconds (8 bytes) or without (6).
NorpixStamp parse_norpix_stamp(std::span<const uint8_t> bytes);
/// The stamp that is nearest to a time, with microseconds or only with milliseconds; nothing where the time is none
/// that a stamp can hold.
std::optional<NorpixStamp> make_norpix_stamp(double time, bool microseconds);

/// How the pixels of an image lie.
enum class NorpixPixels { mono, bayer, bgr, planar, rgb, bgrx, yuyv, uyvy };

/// An image format by NorPix's number.
struct NorpixImageFormat {
    uint32_t number = 0;
    std::string_view name = {};  ///< of option `format`
    NorpixPixels pixels = NorpixPixels::mono;
    bool compressed = false;  ///< every image is a JPEG or PNG file
};

/// The formats that are read. Null for others.
const NorpixImageFormat* find_norpix_format(uint32_t number);
const NorpixImageFormat* find_norpix_format(std::string_view name);
/// The names for find_norpix_format().
std::vector<std::string> norpix_format_names();
/// What NorPix calls a format, or a way of compression, that is not read.
std::string norpix_format_name(uint32_t number);
std::string norpix_compression_name(uint32_t number);

int norpix_channels(NorpixPixels pixels);

/// Distance between images that have the stamps behind them, as StreamPix writes them.
uint64_t norpix_true_size(uint64_t image_bytes, size_t stamp_bytes);

}  // namespace reelstore
