#include "codecs/image_header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <opencv2/core/hal/interface.h>

#include "base/text.h"

namespace reelstore {

namespace {

/// Bytes with bounds-checked integers; a read outside gives nothing.
class Bytes {
public:
    Bytes(std::span<const uint8_t> bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}

    std::optional<uint64_t> number(uint64_t offset, size_t size) const {
        if (offset > bytes_.size() || size > bytes_.size() - offset) return std::nullopt;
        uint64_t value = 0;
        for (size_t i = 0; i < size; ++i) {
            value = value << 8 | bytes_[offset + (big_endian_ ? i : size - 1 - i)];
        }
        return value;
    }

private:
    std::span<const uint8_t> bytes_;
    bool big_endian_;
};

bool starts_with(std::span<const uint8_t> bytes, std::string_view magic) {
    return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

bool is_blank(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

std::optional<ImageHeader> read_png(std::span<const uint8_t> file) {
    const Bytes bytes(file, true);
    if (bytes.number(8, 4) != 13U || !starts_with(file.subspan(12), "IHDR")) return std::nullopt;
    const auto width = bytes.number(16, 4);
    const auto height = bytes.number(20, 4);
    const auto bits = bytes.number(24, 1);
    const auto color_type = bytes.number(25, 1);
    if (!width || !height || !bits || !color_type) return std::nullopt;
    constexpr std::array<int, 7> kChannels{1, 0, 3, 3, 2, 0, 4};
    if (*color_type >= kChannels.size() || kChannels[*color_type] == 0) return std::nullopt;
    return ImageHeader{.format = "PNG",
                       .width = int64_t(*width),
                       .height = int64_t(*height),
                       .channels = kChannels[*color_type],
                       .depth = *bits == 16 ? CV_16U : CV_8U};
}

/// A marker of a JPEG file and the place behind it.
struct JpegMarker {
    uint8_t code = 0;
    size_t position = 0;
};

/// The next marker with parameters at or after `position`, skipping what stands before it as libjpeg does.
std::optional<JpegMarker> next_jpeg_marker(std::span<const uint8_t> file, size_t position) {
    while (true) {
        while (position < file.size() && file[position] != 0xFF) ++position;
        while (position < file.size() && file[position] == 0xFF) ++position;
        if (position >= file.size()) return std::nullopt;
        const uint8_t code = file[position++];
        const bool is_bare = code == 0 || code == 0x01 || (code >= 0xD0 && code <= 0xD7);
        if (!is_bare) return JpegMarker{code, position};
    }
}

constexpr uint8_t kJpegStart = 0xD8;
constexpr uint8_t kJpegEnd = 0xD9;
constexpr uint8_t kJpegScan = 0xDA;

bool is_jpeg_frame(uint8_t code) {
    return code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 && code != 0xCC;
}

/// The first marker, behind the one that begins the file, for which `wanted` holds; none when a scan, the end or damage
/// comes first.
template <typename Predicate>
std::optional<JpegMarker> find_jpeg_marker(std::span<const uint8_t> file, Predicate wanted) {
    const Bytes bytes(file, true);
    size_t position = 2;
    while (const auto marker = next_jpeg_marker(file, position)) {
        if (wanted(marker->code)) return marker;
        const auto length = bytes.number(marker->position, 2);
        if (!length || *length < 2) break;
        if (marker->code == kJpegStart || marker->code == kJpegEnd || marker->code == kJpegScan) break;
        position = marker->position + *length;
    }
    return std::nullopt;
}

std::optional<ImageHeader> read_jpeg(std::span<const uint8_t> file) {
    const auto frame = find_jpeg_marker(file, is_jpeg_frame);
    if (!frame) return std::nullopt;
    const Bytes bytes(file, true);
    const auto bits = bytes.number(frame->position + 2, 1);
    const auto height = bytes.number(frame->position + 3, 2);
    const auto width = bytes.number(frame->position + 5, 2);
    const auto components = bytes.number(frame->position + 7, 1);
    if (!bits || !height || !width || !components) return std::nullopt;
    if (*components != 1 && *components != 3 && *components != 4) return std::nullopt;
    return ImageHeader{.format = "JPEG",
                       .width = int64_t(*width),
                       .height = int64_t(*height),
                       .channels = *components == 1 ? 1 : 3,
                       .depth = *bits > 8 ? CV_16U : CV_8U};
}

/// Field layout of classic TIFF and BigTIFF.
struct TiffLayout {
    size_t offset_size;
    size_t count_size;
    size_t entry_size;
};

/// The tags of a TIFF directory that decide the size and type of its image, with TIFF's default values.
struct TiffTags {
    std::optional<uint64_t> width;
    std::optional<uint64_t> height;
    uint64_t bits = 1;
    uint64_t samples = 1;
    uint64_t photometric = 0;
    uint64_t sample_format = 1;
    uint64_t tile_width = 0;
    uint64_t tile_height = 0;
};

uint64_t* tag_place(TiffTags& tags, uint64_t tag) {
    switch (tag) {
        case 256:
            return &tags.width.emplace(0);
        case 257:
            return &tags.height.emplace(0);
        case 258:
            return &tags.bits;
        case 262:
            return &tags.photometric;
        case 277:
            return &tags.samples;
        case 322:
            return &tags.tile_width;
        case 323:
            return &tags.tile_height;
        case 339:
            return &tags.sample_format;
        default:
            return nullptr;
    }
}

/// First value of the directory entry at `entry`.
std::optional<uint64_t> tiff_value(const Bytes& bytes, uint64_t entry, const TiffLayout& layout) {
    const auto type = bytes.number(entry + 2, 2);
    const auto count = bytes.number(entry + 4, layout.offset_size);
    if (!type || !count || *count == 0) return std::nullopt;
    const size_t size = *type == 1 ? 1 : *type == 3 ? 2 : *type == 4 ? 4 : *type == 16 ? 8 : 0;
    if (size == 0) return std::nullopt;
    const uint64_t inline_place = entry + 4 + layout.offset_size;
    if (*count <= layout.offset_size / size) return bytes.number(inline_place, size);
    const auto place = bytes.number(inline_place, layout.offset_size);
    return place ? bytes.number(*place, size) : std::nullopt;
}

std::optional<int> tiff_depth(const TiffTags& tags) {
    const bool is_signed = tags.sample_format == 2;
    if (tags.bits >= 1 && tags.bits <= 8) return is_signed ? CV_8S : CV_8U;
    if (tags.bits > 8 && tags.bits <= 16) return is_signed ? CV_16S : CV_16U;
    if (tags.bits == 32) return tags.sample_format == 3 ? CV_32F : CV_32S;
    if (tags.bits == 64 && tags.sample_format == 3) return CV_64F;
    return std::nullopt;
}

std::optional<ImageHeader> tiff_header(const TiffTags& tags) {
    constexpr uint64_t kLimit = uint64_t{1} << 32;
    const auto depth = tiff_depth(tags);
    if (!depth || !tags.width || !tags.height || *tags.width >= kLimit || *tags.height >= kLimit) return std::nullopt;
    if (tags.samples < 1 || tags.samples > 512) return std::nullopt;
    // A decoder allocates whole tiles: one much larger than the image is a trap.
    constexpr uint64_t kLargestPadding = 4096;
    if (tags.tile_width > *tags.width + kLargestPadding || tags.tile_height > *tags.height + kLargestPadding) {
        return std::nullopt;
    }
    constexpr uint64_t kPalette = 3;
    return ImageHeader{.format = "TIFF",
                       .width = int64_t(*tags.width),
                       .height = int64_t(*tags.height),
                       .channels = tags.photometric == kPalette ? 3 : int(tags.samples),
                       .depth = *depth};
}

std::optional<ImageHeader> read_tiff(std::span<const uint8_t> file) {
    const Bytes bytes(file, file[0] == 'M');
    const bool is_big = bytes.number(2, 2) == 43U;
    if (is_big && (bytes.number(4, 2) != 8U || bytes.number(6, 2) != 0U)) return std::nullopt;
    const TiffLayout layout = is_big ? TiffLayout{8, 8, 20} : TiffLayout{4, 2, 12};
    const auto directory = bytes.number(is_big ? 8 : 4, layout.offset_size);
    if (!directory) return std::nullopt;
    const auto count = bytes.number(*directory, layout.count_size);
    constexpr uint64_t kMostTags = 4096;
    if (!count || *count > kMostTags) return std::nullopt;

    TiffTags tags;
    std::vector<uint64_t> seen;
    uint64_t entry = *directory + layout.count_size;
    for (uint64_t i = 0; i < *count; ++i, entry += layout.entry_size) {
        const auto tag = bytes.number(entry, 2);
        if (!tag) return std::nullopt;
        // Like libtiff: of a repeated tag the first one counts.
        if (std::find(seen.begin(), seen.end(), *tag) != seen.end()) continue;
        uint64_t* place = tag_place(tags, *tag);
        if (!place) continue;
        seen.push_back(*tag);
        const auto value = tiff_value(bytes, entry, layout);
        if (!value) return std::nullopt;
        *place = *value;
    }
    auto header = tiff_header(tags);
    if (header) header->more_images = bytes.number(entry, layout.offset_size).value_or(0) != 0;
    return header;
}

bool palette_is_gray(const Bytes& bytes, uint64_t offset, uint64_t colors, size_t color_size) {
    for (uint64_t i = 0; i < colors; ++i, offset += color_size) {
        const auto blue = bytes.number(offset, 1);
        if (bytes.number(offset + 1, 1) != blue || bytes.number(offset + 2, 1) != blue) return false;
    }
    return true;
}

std::optional<ImageHeader> read_bmp(std::span<const uint8_t> file) {
    const Bytes bytes(file, false);
    const auto header_size = bytes.number(14, 4);
    if (!header_size) return std::nullopt;
    const bool is_old = *header_size == 12;
    if (!is_old && *header_size < 36) return std::nullopt;
    const auto width = bytes.number(18, is_old ? 2 : 4);
    const auto height = bytes.number(is_old ? 20 : 22, is_old ? 2 : 4);
    const auto bits = bytes.number(is_old ? 24 : 28, 2);
    if (!width || !height || !bits) return std::nullopt;

    ImageHeader header{
        .format = "BMP", .width = int64_t(*width), .height = int64_t(*height), .channels = 3, .depth = CV_8U};
    if (!is_old) {
        header.width = static_cast<int32_t>(*width);
        // A negative height means that the first row comes first.
        header.height = static_cast<int32_t>(*height);
        if (header.height < 0) header.height = -header.height;
    }
    if (*bits <= 8) {
        const uint64_t all = uint64_t{1} << *bits;
        const uint64_t used = is_old ? 0 : bytes.number(46, 4).value_or(0);
        const uint64_t colors = used == 0 ? all : std::min(used, all);
        if (palette_is_gray(bytes, 14 + *header_size, colors, is_old ? 3 : 4)) header.channels = 1;
    } else if (*bits == 32 && *header_size >= 56 && bytes.number(30, 4) == 3U) {
        if (bytes.number(66, 4).value_or(0) != 0) header.channels = 4;
    }
    return header;
}

/// The number at `position`, which moves behind it; blanks and comments may stand before it, a blank must follow.
std::optional<uint64_t> pnm_number(std::span<const uint8_t> file, size_t& position) {
    while (position < file.size() && (is_blank(file[position]) || file[position] == '#')) {
        if (file[position] == '#') {
            while (position < file.size() && file[position] != '\n' && file[position] != '\r') ++position;
        } else {
            ++position;
        }
    }
    uint64_t value = 0;
    size_t digits = 0;
    for (; position < file.size() && is_digit(static_cast<char>(file[position])); ++position, ++digits) {
        if (digits == 9) return std::nullopt;
        value = value * 10 + (file[position] - '0');
    }
    if (digits == 0 || position >= file.size() || !is_blank(file[position])) return std::nullopt;
    return value;
}

std::optional<ImageHeader> read_pnm(std::span<const uint8_t> file) {
    size_t position = 2;
    const auto width = pnm_number(file, position);
    const auto height = width ? pnm_number(file, position) : std::nullopt;
    if (!height) return std::nullopt;
    const int kind = (file[1] - '1') % 3;  // 0 bitmap, 1 gray, 2 colour
    uint64_t largest = 1;
    if (kind != 0) {
        const auto value = pnm_number(file, position);
        if (!value || *value < 1 || *value > 65535) return std::nullopt;
        largest = *value;
    }
    return ImageHeader{.format = "PNM",
                       .width = int64_t(*width),
                       .height = int64_t(*height),
                       .channels = kind == 2 ? 3 : 1,
                       .depth = largest > 255 ? CV_16U : CV_8U};
}

}  // namespace

std::string_view sniff_image_format(std::span<const uint8_t> head) {
    using namespace std::string_view_literals;
    if (starts_with(head, "\x89PNG\r\n\x1a\n")) return "PNG";
    if (starts_with(head, "\xFF\xD8\xFF")) return "JPEG";
    for (const std::string_view magic : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv}) {
        if (starts_with(head, magic)) return "TIFF";
    }
    // Text may begin with "BM" too: the size of the second header must be one that exists.
    const auto bmp_header = Bytes(head, false).number(14, 4);
    if (starts_with(head, "BM") && bmp_header && *bmp_header >= 12 && *bmp_header <= 124) return "BMP";
    if (head.size() >= 3 && head[0] == 'P' && head[1] >= '1' && head[1] <= '6' && is_blank(head[2])) return "PNM";
    return {};
}

bool has_jpeg_end(std::span<const uint8_t> bytes) {
    const auto scan = find_jpeg_marker(bytes, [](uint8_t code) { return code == kJpegScan; });
    if (!scan) return false;
    constexpr uint8_t kEnd[] = {0xFF, kJpegEnd};
    const auto rest = bytes.subspan(scan->position);
    return std::find_end(rest.begin(), rest.end(), std::begin(kEnd), std::end(kEnd)) != rest.end();
}

std::optional<ImageHeader> read_image_header(std::span<const uint8_t> bytes) {
    const std::string_view format = sniff_image_format(bytes);
    if (format == "PNG") return read_png(bytes);
    if (format == "JPEG") return read_jpeg(bytes);
    if (format == "TIFF") return read_tiff(bytes);
    if (format == "BMP") return read_bmp(bytes);
    if (format == "PNM") return read_pnm(bytes);
    return std::nullopt;
}

}  // namespace reelstore
