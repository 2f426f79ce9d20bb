#include "codecs/foreign/tiff_stack_writer.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/foreign/tiff_directory.h"

namespace reelstore {

namespace {

constexpr uint16_t kShort = 3;
constexpr uint16_t kLong = 4;
constexpr uint16_t kLong8 = 16;
constexpr uint16_t kUnassociatedAlpha = 2;

/// A BigTIFF's header; a classic one leaves the rest of it unused, so that it can become one.
constexpr uint64_t kHeaderBytes = 16;
/// Behind the header: BitsPerSample and SampleFormat of up to 4 samples, shared by all classic directories.
constexpr uint64_t kBitsPlace = kHeaderBytes;
constexpr uint64_t kFormatPlace = kBitsPlace + 8;
constexpr uint64_t kFirstPlace = kFormatPlace + 8;
constexpr uint64_t kAlignment = 16;
constexpr int64_t kMostReserved = 10'000'000;

uint64_t aligned(uint64_t offset) {
    return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

void add(std::vector<uint8_t>& bytes, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<uint8_t>(value >> 8 * i));
}

uint16_t sample_format(int depth) {
    switch (depth) {
        case CV_8U:
        case CV_16U:
            return tiff::kUnsignedFormat;
        case CV_8S:
        case CV_16S:
        case CV_32S:
            return tiff::kSignedFormat;
        default:
            return tiff::kFloatFormat;
    }
}

}  // namespace

TiffStackWriter::TiffStackWriter(const std::filesystem::path& path, const ImageType& type,
                                 const TiffStackOptions& options)
    : path_(path), type_(type), options_(options) {
    end_ = kFirstPlace;
    const int64_t expected = std::clamp<int64_t>(options.expected_frames.value_or(0), 0, kMostReserved);
    big_ = options.big.value_or(false);
    const auto room_needed = [&] {
        return static_cast<double>(expected) * static_cast<double>(type.bytes() + directory_bytes() + kAlignment);
    };
    if (!options.big && room_needed() > 0.98 * static_cast<double>(options.largest_classic)) big_ = true;
    file_ = file_system().open(path, OpenMode::create_exclusive);
    write_header();
    if (options.compression == TiffCompression::none && expected > 1) {
        reserved_ = expected;
        reserved_place_ = end_;
        end_ = aligned(end_ + static_cast<uint64_t>(expected) * directory_bytes());
    }
}

void TiffStackWriter::write_header() {
    std::vector<uint8_t> bytes = {'I', 'I'};
    if (big_) {
        add(bytes, 43, 2);
        add(bytes, 8, 2);
        add(bytes, 0, 2);
    } else {
        add(bytes, 42, 2);
    }
    next_place_ = bytes.size();
    bytes.resize(kHeaderBytes, 0);
    for (int i = 0; i < 4; ++i) add(bytes, 8 * CV_ELEM_SIZE1(type_.depth), 2);
    for (int i = 0; i < 4; ++i) add(bytes, sample_format(type_.depth), 2);
    file_->write_at(bytes.data(), bytes.size(), 0);
}

std::vector<uint8_t> TiffStackWriter::directory(const Strip& strip) const {
    struct Tag {
        uint16_t tag;
        uint16_t type;
        uint64_t count;
        uint64_t value;  ///< or the place of several
    };
    const auto channels = static_cast<uint64_t>(type_.channels);
    const bool is_compressed = options_.compression != TiffCompression::none;
    const uint16_t offset_type = big_ ? kLong8 : kLong;
    // Four numbers of 16 bits have room in a BigTIFF's entry, two in a classic one.
    const auto per_sample = [&](uint64_t value, uint64_t place) -> uint64_t {
        if (channels == 1) return value;
        if (!big_) return place;
        uint64_t packed = 0;
        for (uint64_t i = 0; i < channels; ++i) packed |= value << 16 * i;
        return packed;
    };
    std::vector<Tag> tags = {
        {tiff::kImageWidth, kLong, 1, static_cast<uint64_t>(type_.width)},
        {tiff::kImageLength, kLong, 1, static_cast<uint64_t>(type_.height)},
        {tiff::kBitsPerSample, kShort, channels, per_sample(8 * CV_ELEM_SIZE1(type_.depth), kBitsPlace)},
        {tiff::kCompression, kShort, 1, static_cast<uint64_t>(options_.compression)},
        {tiff::kPhotometric, kShort, 1, channels == 1 ? tiff::kMinIsBlack : tiff::kRgb},
        {tiff::kStripOffsets, offset_type, 1, strip.offset},
        {tiff::kSamplesPerPixel, kShort, 1, channels},
        {tiff::kRowsPerStrip, kLong, 1, static_cast<uint64_t>(type_.height)},
        {tiff::kStripByteCounts, offset_type, 1, strip.bytes},
        {tiff::kPlanarConfiguration, kShort, 1, 1}};
    if (is_compressed && options_.predictor) {
        tags.push_back({tiff::kPredictor, kShort, 1, static_cast<uint64_t>(tiff_predictor(type_.depth))});
    }
    if (channels == 4) tags.push_back({tiff::kExtraSamples, kShort, 1, kUnassociatedAlpha});
    tags.push_back({tiff::kSampleFormat, kShort, channels, per_sample(sample_format(type_.depth), kFormatPlace)});

    std::vector<uint8_t> bytes;
    const size_t offset_size = big_ ? 8 : 4;
    add(bytes, tags.size(), big_ ? 8 : 2);
    for (const Tag& tag : tags) {
        add(bytes, tag.tag, 2);
        add(bytes, tag.type, 2);
        add(bytes, tag.count, offset_size);
        add(bytes, tag.value, offset_size);
    }
    add(bytes, 0, offset_size);
    return bytes;
}

/// With room for what makes offsets even.
uint64_t TiffStackWriter::directory_bytes() const {
    return (directory({}).size() + 7) / 8 * 8;
}

/// At the offset given, or among the reserved ones where there is one left.
void TiffStackWriter::write_directory(const Strip& strip, uint64_t offset) {
    const std::vector<uint8_t> bytes = directory(strip);
    file_->write_at(bytes.data(), bytes.size(), offset);
    link(offset);
    next_place_ = offset + bytes.size() - (big_ ? 8 : 4);
}

void TiffStackWriter::link(uint64_t directory_offset) {
    std::vector<uint8_t> bytes;
    add(bytes, directory_offset, big_ ? 8 : 4);
    file_->write_at(bytes.data(), bytes.size(), next_place_);
}

/// A second chain, of 64-bit offsets, behind all pixels; the header points to it last.
void TiffStackWriter::become_big() {
    big_ = true;
    reserved_ = 0;
    end_ = aligned(end_);
    const uint64_t first = end_;
    const uint64_t step = directory_bytes();
    std::vector<uint8_t> bytes;
    for (const Strip& strip : strips_) {
        const std::vector<uint8_t> one = directory(strip);
        next_place_ = end_ + one.size() - 8;
        std::vector<uint8_t> padded = one;
        const bool is_last = &strip == &strips_.back();
        padded.resize(one.size() - 8);
        add(padded, is_last ? 0 : end_ + step, 8);
        padded.resize(step, 0);
        bytes.insert(bytes.end(), padded.begin(), padded.end());
        end_ += step;
        constexpr size_t kPiece = size_t{1} << 20;
        if (bytes.size() >= kPiece || is_last) {
            file_->write_at(bytes.data(), bytes.size(), end_ - bytes.size());
            bytes.clear();
        }
    }
    const uint64_t chain_end = next_place_;
    std::vector<uint8_t> header = {'I', 'I'};
    add(header, 43, 2);
    add(header, 8, 2);
    add(header, 0, 2);
    add(header, strips_.empty() ? 0 : first, 8);
    file_->write_at(header.data(), header.size(), 0);
    next_place_ = strips_.empty() ? 8 : chain_end;
}

void TiffStackWriter::write(const cv::Mat& image) {
    cv::Mat pixels = type_.channels == 1 ? image : swap_red_and_blue(image);
    if (!pixels.isContinuous()) pixels = pixels.clone();
    std::vector<uint8_t> compressed;
    Strip strip{.offset = 0, .bytes = type_.bytes()};
    const bool is_compressed = options_.compression != TiffCompression::none;
    if (is_compressed) {
        compressed = compress_strip(pixels, options_.compression, options_.predictor);
        strip.bytes = compressed.size();
    }

    const uint64_t needed = end_ + kAlignment + strip.bytes + directory_bytes() + kAlignment;
    if (!big_ && needed > options_.largest_classic) {
        if (options_.big) {
            throw Error(ErrorCode::no_space, {path_.string(), {}, {}},
                        "a TIFF file ends at 4 GB; write it with bigtiff=yes or auto");
        }
        become_big();
    }
    // Reserved directories stand at the beginning, so that nothing comes between the pixels.
    strip.offset = reserved_ > 0 ? end_ : aligned(end_);
    file_->write_at(is_compressed ? compressed.data() : pixels.data, strip.bytes, strip.offset);
    end_ = strip.offset + strip.bytes;
    if (reserved_ > 0) {
        write_directory(strip, reserved_place_);
        reserved_place_ += directory_bytes();
        --reserved_;
    } else {
        const uint64_t place = aligned(end_);
        end_ = place + directory_bytes();
        write_directory(strip, place);
    }
    strips_.push_back(strip);
}

void TiffStackWriter::close() {
    if (file_) file_->close();
}

}  // namespace reelstore
