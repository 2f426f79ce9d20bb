#include "codecs/foreign/tiff_directory.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/foreign/header_bytes.h"

namespace reelstore {

namespace {

constexpr uint64_t kMostTags = 4096;
constexpr uint64_t kLongestText = uint64_t{8} << 20;
/// Enough for a strip a row of the tallest image in as many planes as there are channels.
constexpr uint64_t kMostStrips = uint64_t{1} << 26;

size_t size_of_type(uint16_t type) {
    switch (type) {
        case 1:  // BYTE
        case 2:  // ASCII
        case 6:  // SBYTE
        case 7:  // UNDEFINED
            return 1;
        case 3:  // SHORT
        case 8:  // SSHORT
            return 2;
        case 4:   // LONG
        case 9:   // SLONG
        case 11:  // FLOAT
        case 13:  // IFD
            return 4;
        case 5:   // RATIONAL
        case 10:  // SRATIONAL
        case 12:  // DOUBLE
        case 16:  // LONG8
        case 17:  // SLONG8
        case 18:  // IFD8
            return 8;
        default:
            return 0;
    }
}

bool is_whole(uint16_t type) {
    return type == 1 || type == 3 || type == 4 || type == 13 || type == 16 || type == 18;
}

Error damaged(const std::string& what) {
    return Error(ErrorCode::corrupt, what);
}

uint64_t number_of(const HeaderBytes& bytes, size_t offset, size_t size) {
    switch (size) {
        case 1:
            return bytes.at<uint8_t>(offset);
        case 2:
            return bytes.at<uint16_t>(offset);
        case 4:
            return bytes.at<uint32_t>(offset);
        default:
            return bytes.at<uint64_t>(offset);
    }
}

uint64_t ceiling(uint64_t value, uint64_t unit) {
    return value / unit + (value % unit != 0 ? 1 : 0);
}

uint64_t row_bytes(const TiffLayout& layout) {
    return ceiling(uint64_t{layout.width} * layout.bits * (layout.planes ? 1 : layout.samples), 8);
}

template <typename Number>
Number fitting(uint64_t value, const char* what) {
    if (value > std::numeric_limits<Number>::max()) throw damaged(fmt::format("{} {} is absurd", what, value));
    return static_cast<Number>(value);
}

TiffLayout layout_of(const TiffDirectory& directory) {
    TiffLayout layout;
    layout.width = fitting<uint32_t>(directory.number(tiff::kImageWidth, 0), "the width");
    layout.height = fitting<uint32_t>(directory.number(tiff::kImageLength, 0), "the height");
    layout.samples = fitting<uint16_t>(directory.number(tiff::kSamplesPerPixel, 1), "the number of samples");
    layout.bits = fitting<uint16_t>(directory.number(tiff::kBitsPerSample, 1), "the number of bits");
    // More samples than an image can have are refused whatever their depths are.
    const auto depths =
        std::min({directory.count(tiff::kBitsPerSample), uint64_t{layout.samples}, uint64_t{CV_CN_MAX}});
    for (uint64_t i = 1; i < depths; ++i) {
        if (directory.number(tiff::kBitsPerSample, 1, i) != layout.bits) layout.bits = 0;
    }
    layout.sample_format = fitting<uint16_t>(directory.number(tiff::kSampleFormat, 1), "the sample format");
    layout.photometric = fitting<uint16_t>(directory.number(tiff::kPhotometric, 0), "the photometric meaning");
    layout.compression = fitting<uint16_t>(directory.number(tiff::kCompression, 1), "the compression");
    layout.planes = layout.samples > 1 && directory.number(tiff::kPlanarConfiguration, 1) == 2;
    layout.reversed_bits = directory.number(tiff::kFillOrder, 1) == 2;
    if (directory.has(tiff::kTileWidth) || directory.has(tiff::kTileOffsets)) {
        layout.tile_width = fitting<uint32_t>(directory.number(tiff::kTileWidth, 0), "the tile width");
        layout.tile_height = fitting<uint32_t>(directory.number(tiff::kTileLength, 0), "the tile height");
        if (layout.tile_width == 0 || layout.tile_height == 0) throw damaged("a tile has no size");
    }
    return layout;
}

/// Where the pixels of a page begin when they lie in one piece as an array would; 0 when they do not.
uint64_t pixels_in_one_piece(const TiffDirectory& directory, const TiffLayout& layout,
                             const std::vector<uint64_t>& offsets) {
    const bool is_plain = layout.compression == tiff::kNoCompression && !layout.tiled() && !layout.planes &&
                          !layout.reversed_bits && layout.bits > 0;
    if (!is_plain || offsets.empty()) return 0;
    const uint64_t rows = std::min<uint64_t>(directory.number(tiff::kRowsPerStrip, layout.height), layout.height);
    if (rows == 0 || offsets.size() != ceiling(layout.height, rows)) return 0;
    const uint64_t strip = row_bytes(layout) * rows;
    for (size_t i = 1; i < offsets.size(); ++i) {
        if (offsets[i] - offsets[i - 1] != strip) return 0;
    }
    return offsets.front();
}

/// `listed` counts the offsets and sizes of strips that were read.
TiffPage page_at(const FileBytes& file, const TiffDirectory& directory, uint64_t offset, TiffPages& found,
                 uint64_t& listed) {
    TiffPage page;
    page.directory = offset;
    const TiffLayout layout = layout_of(directory);
    // Those that were met last; a file in which no two pages are alike must not cost the square of their number.
    const size_t first = found.layouts.size() > 4 ? found.layouts.size() - 4 : 0;
    const auto known = std::find(found.layouts.begin() + static_cast<ptrdiff_t>(first), found.layouts.end(), layout);
    page.layout = static_cast<uint32_t>(known - found.layouts.begin());
    if (known == found.layouts.end()) found.layouts.push_back(layout);
    page.reduced =
        (directory.number(tiff::kNewSubfileType, 0) & 1) != 0 || directory.number(tiff::kSubfileType, 0) == 2;

    const bool tiled = layout.tiled();
    const std::vector<uint64_t> offsets =
        directory.numbers(tiled ? tiff::kTileOffsets : tiff::kStripOffsets, kMostStrips);
    listed += offsets.size();
    page.pixels = pixels_in_one_piece(directory, layout, offsets);
    if (page.pixels != 0) {
        page.stored_bytes = row_bytes(layout) * layout.height;
        page.complete = page.pixels <= file.size() && page.stored_bytes <= file.size() - page.pixels;
        return page;
    }
    // A missing or short list of sizes is for the decoder, which guesses them.
    const std::vector<uint64_t> sizes =
        directory.numbers(tiled ? tiff::kTileByteCounts : tiff::kStripByteCounts, kMostStrips);
    listed += sizes.size();
    for (size_t i = 0; i < std::min(offsets.size(), sizes.size()); ++i) {
        const bool fits = offsets[i] <= file.size() && sizes[i] <= file.size() - offsets[i];
        if (!fits) page.complete = false;
        page.stored_bytes += fits ? sizes[i] : 0;
    }
    const bool says_all = sizes.size() >= offsets.size() && std::find(sizes.begin(), sizes.end(), 0U) == sizes.end();
    if (!says_all) page.stored_bytes = file.size();
    return page;
}

}  // namespace

bool is_tiff(std::span<const uint8_t> head) {
    using namespace std::string_view_literals;
    for (const std::string_view magic : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv}) {
        if (head.size() >= magic.size() && std::memcmp(head.data(), magic.data(), magic.size()) == 0) return true;
    }
    return false;
}

TiffHeader read_tiff_header(const FileBytes& file) {
    const std::vector<uint8_t> head = file.read(0, 16);
    if (!is_tiff(head)) throw damaged("this is no TIFF file");
    TiffHeader header;
    header.order = head[0] == 'I' ? std::endian::little : std::endian::big;
    const HeaderBytes bytes(head, header.order);
    header.big = bytes.at<uint16_t>(2) == 43;
    if (header.big && (bytes.at<uint16_t>(4) != 8 || bytes.at<uint16_t>(6) != 0)) {
        throw damaged("its offsets are not of 8 bytes, as those of every BigTIFF are");
    }
    header.offset = header.big ? bytes.at<uint64_t>(8) : bytes.at<uint32_t>(4);
    return header;
}

TiffDirectory::TiffDirectory(const FileBytes& file, const TiffHeader& header, uint64_t offset)
    : file_(file), order_(header.order), block_place_(offset) {
    const size_t count_size = header.big ? 8 : 2;
    const size_t offset_size = header.big ? 8 : 4;
    const size_t entry_size = header.big ? 20 : 12;
    const std::vector<uint8_t> head = file.read(offset, count_size);
    const uint64_t count = number_of(HeaderBytes(head, order_), 0, count_size);
    if (count == 0 || count > kMostTags) throw damaged(fmt::format("a directory of {} tags is absurd", count));
    bytes_ = count_size + count * entry_size + offset_size;
    block_ = file.read(offset, bytes_);
    const HeaderBytes block(block_, order_);
    entries_.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
        const size_t place = count_size + i * entry_size;
        Entry entry;
        entry.tag = block.at<uint16_t>(place);
        entry.type = block.at<uint16_t>(place + 2);
        entry.count = number_of(block, place + 4, offset_size);
        const size_t values = place + 4 + offset_size;
        const size_t size = size_of_type(entry.type);
        const bool is_inline = size > 0 && entry.count <= offset_size / size;
        entry.place = is_inline ? offset + values : number_of(block, values, offset_size);
        entries_.push_back(entry);
    }
    next_ = number_of(block, bytes_ - offset_size, offset_size);
}

const TiffDirectory::Entry* TiffDirectory::find(uint16_t tag) const {
    // Of a repeated tag libtiff takes the first.
    const auto entry = std::find_if(entries_.begin(), entries_.end(), [tag](const Entry& e) { return e.tag == tag; });
    return entry == entries_.end() || entry->count == 0 ? nullptr : &*entry;
}

uint64_t TiffDirectory::count(uint16_t tag) const {
    const Entry* const entry = find(tag);
    return entry ? entry->count : 0;
}

uint64_t TiffDirectory::number_at(const Entry& entry, uint64_t place) const {
    if (!is_whole(entry.type)) throw damaged(fmt::format("tag {} is no whole number", entry.tag));
    const size_t size = size_of_type(entry.type);
    const uint64_t offset = entry.place + place * size;
    if (offset >= block_place_ && offset - block_place_ + size <= block_.size()) {
        return number_of(HeaderBytes(block_, order_), offset - block_place_, size);
    }
    const std::vector<uint8_t> bytes = file_.read(offset, size);
    return number_of(HeaderBytes(bytes, order_), 0, size);
}

uint64_t TiffDirectory::number(uint16_t tag, uint64_t fallback, uint64_t place) const {
    const Entry* const entry = find(tag);
    return entry && place < entry->count ? number_at(*entry, place) : fallback;
}

std::vector<uint64_t> TiffDirectory::numbers(uint16_t tag, uint64_t most) const {
    const Entry* const entry = find(tag);
    if (!entry) return {};
    if (entry->count == 1) return {number_at(*entry, 0)};
    if (!is_whole(entry->type)) throw damaged(fmt::format("tag {} holds no whole numbers", tag));
    const size_t size = size_of_type(entry->type);
    // Checked first, so that no memory is spent on values that are not there.
    if (entry->count > most || entry->place > file_.size() || entry->count * size > file_.size() - entry->place) {
        throw damaged(fmt::format("tag {} says that it holds {} values, which are not there", tag, entry->count));
    }
    std::vector<uint64_t> values(entry->count);
    if (entry->count * size <= 8) {
        for (uint64_t i = 0; i < entry->count; ++i) values[i] = number_at(*entry, i);
        return values;
    }
    const FileBytes::Part part = file_.part(entry->place, entry->count * size);
    const HeaderBytes bytes({part.data, entry->count * size}, order_);
    for (uint64_t i = 0; i < entry->count; ++i) values[i] = number_of(bytes, i * size, size);
    return values;
}

std::optional<double> TiffDirectory::fraction(uint16_t tag) const {
    const Entry* const entry = find(tag);
    if (!entry) return std::nullopt;
    if (is_whole(entry->type)) return static_cast<double>(number_at(*entry, 0));
    const std::vector<uint8_t> bytes = file_.read(entry->place, 8);
    const HeaderBytes value(bytes, order_);
    if (entry->type == 11) return value.at<float>(0);
    if (entry->type == 12) return value.at<double>(0);
    if (entry->type != 5) return std::nullopt;
    const auto divisor = value.at<uint32_t>(4);
    return divisor == 0 ? std::nullopt : std::optional(value.at<uint32_t>(0) / double(divisor));
}

std::string TiffDirectory::text(uint16_t tag) const {
    const Entry* const entry = find(tag);
    if (!entry || size_of_type(entry->type) != 1) return {};
    const std::vector<uint8_t> bytes = file_.read(entry->place, std::min(entry->count, kLongestText));
    return HeaderBytes(bytes, order_).text(0, bytes.size());
}

TiffPages find_tiff_pages(const FileBytes& file) {
    TiffPages found;
    found.header = read_tiff_header(file);
    std::unordered_set<uint64_t> seen;
    // Directories that overlap are no recording; following them could take for ever.
    uint64_t bytes = 0;
    // Neither are pages that share their lists of strips so often that there are more strips than bytes.
    uint64_t listed = 0;
    uint64_t offset = found.header.offset;
    while (offset != 0) {
        try {
            if (!seen.insert(offset).second) throw damaged("the chain of pages runs in a circle");
            const TiffDirectory directory(file, found.header, offset);
            bytes += directory.bytes();
            if (bytes > file.size()) throw damaged("its pages lie within each other");
            const TiffPage page = page_at(file, directory, offset, found, listed);
            if (listed > file.size()) throw damaged("its pages have more strips than the file has bytes");
            found.has_images_elsewhere = found.has_images_elsewhere || directory.has(tiff::kSubDirectories);
            found.pages.push_back(page);
            offset = directory.next();
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt) throw;
            const std::string what = fmt::format("page {} at {}: {}", found.pages.size(), offset, error.message());
            if (found.pages.empty()) throw damaged(what);
            found.warnings.push_back(what + "; the pages before it are read");
            break;
        }
    }
    if (found.pages.empty()) throw damaged("holds no page; was it closed?");
    return found;
}

}  // namespace reelstore
