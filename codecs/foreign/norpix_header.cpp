#include "codecs/foreign/norpix_header.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "codecs/foreign/header_bytes.h"

namespace reelstore {

namespace {

constexpr uint32_t kMagic = 0xFEED;
constexpr std::u16string_view kName = u"Norpix seq";

// Offsets of the fields, as the readers of the MATLAB toolbox and of PIMS have them.
constexpr size_t kNameAt = 4;
constexpr size_t kVersionAt = 28;
constexpr size_t kHeaderSizeAt = 32;
constexpr size_t kDescriptionAt = 36;
constexpr size_t kDescriptionBytes = 512;
constexpr size_t kWidthAt = 548;
constexpr size_t kHeightAt = 552;
constexpr size_t kBitsPerPixelAt = 556;
constexpr size_t kBitsPerChannelAt = 560;
constexpr size_t kImageBytesAt = 564;
constexpr size_t kImageFormatAt = 568;
constexpr size_t kFramesAt = 572;
constexpr size_t kOriginAt = 576;
constexpr size_t kTrueSizeAt = 580;
constexpr size_t kFrameRateAt = 584;
constexpr size_t kDescriptionFormatAt = 592;
constexpr size_t kBayerPatternAt = 608;
constexpr size_t kTimeOffsetAt = 612;
constexpr size_t kCompressionAt = 620;
constexpr size_t kReferenceSecondsAt = 624;
constexpr size_t kReferenceMsAt = 628;
constexpr size_t kReferenceUsAt = 630;

constexpr int32_t kUnicodeDescription = 0;

constexpr std::array kFormats{
    NorpixImageFormat{1, "mono-png", NorpixPixels::mono, true},
    NorpixImageFormat{2, "png", NorpixPixels::bgr, true},
    NorpixImageFormat{100, "mono", NorpixPixels::mono, false},
    NorpixImageFormat{101, "bayer", NorpixPixels::bayer, false},
    NorpixImageFormat{102, "mono-jpeg", NorpixPixels::mono, true},
    NorpixImageFormat{103, "bayer-jpeg", NorpixPixels::bayer, true},
    NorpixImageFormat{200, "bgr", NorpixPixels::bgr, false},
    NorpixImageFormat{201, "jpeg", NorpixPixels::bgr, true},
    NorpixImageFormat{300, "planar", NorpixPixels::planar, false},
    NorpixImageFormat{400, "rgb", NorpixPixels::rgb, false},
    NorpixImageFormat{500, "bgrx", NorpixPixels::bgrx, false},
    NorpixImageFormat{600, "yuyv", NorpixPixels::yuyv, false},
    NorpixImageFormat{700, "uyvy", NorpixPixels::uyvy, false},
};

struct NamedNumber {
    uint32_t number;
    const char* name;
};

/// Of formats that are not read: their layouts are not known well enough.
constexpr std::array kOtherFormats{
    NamedNumber{0, "unknown"},
    NamedNumber{112, "mono, aligned to the most significant bit"},
    NamedNumber{113, "Bayer, aligned to the most significant bit"},
    NamedNumber{114, "mono, aligned to the most significant bit, swapped"},
    NamedNumber{115, "Bayer, aligned to the most significant bit, swapped"},
    NamedNumber{123, "BGR with 10 bits, packed"},
    NamedNumber{124, "BGR with 10 bits, packed (Phoenix)"},
    NamedNumber{125, "RGB with 10 bits, packed (Phoenix)"},
    NamedNumber{131, "mono, packed"},
    NamedNumber{132, "Bayer, packed"},
    NamedNumber{133, "mono, packed (8448)"},
    NamedNumber{134, "Bayer, packed (8448)"},
    NamedNumber{135, "BGR with 10 bits, packed (GigE Vision 1)"},
    NamedNumber{136, "BGR with 10 bits, packed (GigE Vision 2)"},
    NamedNumber{610, "YUV422 with 20 bits"},
    NamedNumber{620, "YUV422 with 10 bits, packed"},
    NamedNumber{800, "UVY411"},
    NamedNumber{900, "UVY444"},
    NamedNumber{905, "BGR555"},
    NamedNumber{906, "BGR565"},
    NamedNumber{910, "mono, packed (PCO)"},
    NamedNumber{920, "Bayer, packed (PCO)"},
    NamedNumber{1000, "a camera vendor's own"},
    NamedNumber{1001, "Euresys JPEG"},
    NamedNumber{1002, "ISG JPEG"},
    NamedNumber{1003, "Photonfocus double rate"},
};

constexpr std::array kCompressions{
    NamedNumber{2, "RLE"},          NamedNumber{3, "Huffman"},
    NamedNumber{4, "LZ"},           NamedNumber{5, "fast RLE"},
    NamedNumber{6, "fast Huffman"}, NamedNumber{7, "fast LZ"},
    NamedNumber{8, "H.264"},        NamedNumber{9, "wavelets"},
    NamedNumber{16, "CineForm"},    NamedNumber{17, "JPEG of Fastvideo"},
};

template <size_t count>
std::string name_of(const std::array<NamedNumber, count>& table, uint32_t number) {
    for (const NamedNumber& entry : table) {
        if (entry.number == number) return fmt::format("{} ({})", number, entry.name);
    }
    return std::to_string(number);
}

template <typename Number>
void put(std::vector<uint8_t>& bytes, size_t offset, Number value) {
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace

bool is_norpix_header(std::span<const uint8_t> head) {
    if (head.size() < kVersionAt) return false;
    const HeaderBytes bytes(head);
    // Some writers put the name there in single bytes.
    return bytes.at<uint32_t>(0) == kMagic && bytes.at<char>(kNameAt) == 'N' &&
           (bytes.at<char>(kNameAt + 1) == 'o' || bytes.at<char>(kNameAt + 2) == 'o');
}

NorpixHeader parse_norpix_header(std::span<const uint8_t> head) {
    const HeaderBytes whole(head);
    const HeaderBytes bytes(whole.part(0, kNorpixHeaderBytes));
    NorpixHeader header;
    header.version = bytes.at<int32_t>(kVersionAt);
    header.description = bytes.at<int32_t>(kDescriptionFormatAt) == kUnicodeDescription
                             ? bytes.utf16_text(kDescriptionAt, kDescriptionBytes)
                             : bytes.text(kDescriptionAt, kDescriptionBytes);
    header.width = bytes.at<uint32_t>(kWidthAt);
    header.height = bytes.at<uint32_t>(kHeightAt);
    header.bits_per_pixel = bytes.at<uint32_t>(kBitsPerPixelAt);
    header.bits_per_channel = bytes.at<uint32_t>(kBitsPerChannelAt);
    header.image_bytes = bytes.at<uint32_t>(kImageBytesAt);
    header.image_format = bytes.at<uint32_t>(kImageFormatAt);
    header.frames = bytes.at<uint32_t>(kFramesAt);
    header.origin = bytes.at<uint32_t>(kOriginAt);
    header.true_size = bytes.at<uint32_t>(kTrueSizeAt);
    header.frame_rate = bytes.at<double>(kFrameRateAt);
    header.bayer_pattern = bytes.at<int32_t>(kBayerPatternAt);
    header.time_offset_us = bytes.at<int32_t>(kTimeOffsetAt);
    header.compression = bytes.at<uint32_t>(kCompressionAt);
    header.reference_seconds = bytes.at<int32_t>(kReferenceSecondsAt);
    header.reference_ms = bytes.at<uint16_t>(kReferenceMsAt);
    header.reference_us = bytes.at<uint16_t>(kReferenceUsAt);
    return header;
}

std::vector<uint8_t> make_norpix_header(const NorpixHeader& header) {
    std::vector<uint8_t> bytes(kNorpixHeaderBytes, 0);
    put(bytes, 0, kMagic);
    for (size_t i = 0; i < kName.size(); ++i) put(bytes, kNameAt + 2 * i, static_cast<uint16_t>(kName[i]));
    put(bytes, kVersionAt, header.version);
    put(bytes, kHeaderSizeAt, static_cast<int32_t>(kNorpixHeaderBytes));
    put(bytes, kWidthAt, header.width);
    put(bytes, kHeightAt, header.height);
    put(bytes, kBitsPerPixelAt, header.bits_per_pixel);
    put(bytes, kBitsPerChannelAt, header.bits_per_channel);
    put(bytes, kImageBytesAt, header.image_bytes);
    put(bytes, kImageFormatAt, header.image_format);
    put(bytes, kFramesAt, header.frames);
    put(bytes, kOriginAt, header.origin);
    put(bytes, kTrueSizeAt, header.true_size);
    put(bytes, kFrameRateAt, header.frame_rate);
    put(bytes, kDescriptionFormatAt, kUnicodeDescription);
    put(bytes, kBayerPatternAt, header.bayer_pattern);
    put(bytes, kTimeOffsetAt, header.time_offset_us);
    put(bytes, kCompressionAt, header.compression);
    put(bytes, kReferenceSecondsAt, header.reference_seconds);
    put(bytes, kReferenceMsAt, header.reference_ms);
    put(bytes, kReferenceUsAt, header.reference_us);
    return bytes;
}

NorpixStamp parse_norpix_stamp(std::span<const uint8_t> bytes) {
    const HeaderBytes stamp(bytes);
    NorpixStamp result{stamp.at<uint32_t>(0), stamp.at<uint16_t>(4), 0};
    if (bytes.size() >= kNorpixStampBytes) result.microseconds = stamp.at<uint16_t>(kNorpixShortStampBytes);
    return result;
}

std::optional<NorpixStamp> make_norpix_stamp(double time, bool microseconds) {
    constexpr double kEnd = double(std::numeric_limits<uint32_t>::max());
    if (!(time >= 0 && time < kEnd)) return std::nullopt;
    // Rounded as whole units, so that 0.9996 s becomes a second and not 1000 ms.
    const auto units_per_second = microseconds ? int64_t{1'000'000} : int64_t{1000};
    const double whole = std::floor(time);
    const int64_t fraction = std::llround((time - whole) * double(units_per_second));
    const int64_t seconds = static_cast<int64_t>(whole) + fraction / units_per_second;
    const int64_t units = fraction % units_per_second;
    NorpixStamp stamp{static_cast<uint32_t>(seconds), 0, 0};
    stamp.milliseconds = static_cast<uint16_t>(microseconds ? units / 1000 : units);
    if (microseconds) stamp.microseconds = static_cast<uint16_t>(units % 1000);
    return stamp;
}

const NorpixImageFormat* find_norpix_format(uint32_t number) {
    for (const NorpixImageFormat& format : kFormats) {
        if (format.number == number) return &format;
    }
    return nullptr;
}

const NorpixImageFormat* find_norpix_format(std::string_view name) {
    for (const NorpixImageFormat& format : kFormats) {
        if (format.name == name) return &format;
    }
    return nullptr;
}

std::vector<std::string> norpix_format_names() {
    std::vector<std::string> names;
    for (const NorpixImageFormat& format : kFormats) names.emplace_back(format.name);
    return names;
}

std::string norpix_format_name(uint32_t number) {
    return name_of(kOtherFormats, number);
}

std::string norpix_compression_name(uint32_t number) {
    return name_of(kCompressions, number);
}

int norpix_channels(NorpixPixels pixels) {
    switch (pixels) {
        case NorpixPixels::mono:
        case NorpixPixels::bayer:
            return 1;
        case NorpixPixels::yuyv:
        case NorpixPixels::uyvy:
            return 2;
        case NorpixPixels::bgr:
        case NorpixPixels::planar:
        case NorpixPixels::rgb:
            return 3;
        case NorpixPixels::bgrx:
            return 4;
    }
    return 0;
}

uint64_t norpix_true_size(uint64_t image_bytes, size_t stamp_bytes) {
    constexpr uint64_t kBlock = 512;
    const uint64_t used = image_bytes + stamp_bytes;
    // A whole block is added where nothing would be missing.
    return used + (kBlock - used % kBlock);
}

}  // namespace reelstore
