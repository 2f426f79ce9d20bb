/// Phantom .cine files, as cameras of Vision Research and their programs write them.
///
/// A header, a BITMAPINFOHEADER, the camera's setup, blocks of numbers for every image (times, exposures), a table of
/// the images' offsets, and the images, each behind an annotation. The layout was gathered from the reader of PIMS and
/// from FFmpeg's, which agree. Rows lie bottom-up, those of packed images top-down.
///
/// Packed images of 10 bits hold values that the camera has compressed by a curve of its maker's; they are given as
/// they are stored. Those of 12 bits are linear.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/encoding.h"
#include "codecs/foreign/file_bytes.h"
#include "codecs/foreign/frame_rate.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/packed_bits.h"
#include "codecs/foreign/source_format.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "Phantom cine";

// The file's header.
constexpr size_t kHeaderBytes = 44;
constexpr size_t kHeaderSizeAt = 2;
constexpr size_t kCompressionAt = 4;
constexpr size_t kVersionAt = 6;
constexpr size_t kTotalImagesAt = 12;
constexpr size_t kFirstImageAt = 16;
constexpr size_t kImagesAt = 20;
constexpr size_t kImageHeaderAt = 24;
constexpr size_t kSetupAt = 28;
constexpr size_t kOffsetsAt = 32;
constexpr size_t kTriggerTimeAt = 36;

constexpr uint16_t kUncompressed = 0;
constexpr uint16_t kUninterpolated = 2;  // a colour camera's mosaic
constexpr uint16_t kNewestVersion = 1;

// BITMAPINFOHEADER.
constexpr size_t kBitmapHeaderBytes = 40;
constexpr size_t kWidthAt = 4;
constexpr size_t kHeightAt = 8;
constexpr size_t kBitCountAt = 14;
constexpr size_t kPackingAt = 16;

constexpr uint32_t kPacked10 = 256;
constexpr uint32_t kPacked12 = 1024;

// Setup. Fields behind its length are there when that is large enough.
constexpr size_t kOldFrameRateAt = 0;
constexpr size_t kOldDescriptionAt = 19;
constexpr size_t kOldDescriptionBytes = 121;
constexpr size_t kMarkAt = 140;
constexpr size_t kSetupLengthAt = 142;
constexpr size_t kSmallestSetup = 144;
constexpr size_t kSerialAt = 743;
constexpr size_t kFlipHorizontalAt = 756;
constexpr size_t kFlipVerticalAt = 760;
constexpr size_t kFrameRateAt = 768;
constexpr size_t kShutterAt = 772;
constexpr size_t kPostTriggerAt = 780;
constexpr size_t kCameraVersionAt = 792;
constexpr size_t kFirmwareVersionAt = 796;
constexpr size_t kSoftwareVersionAt = 800;
constexpr size_t kColorFilterAt = 808;
constexpr size_t kRotateAt = 884;
constexpr size_t kRealBitsAt = 896;
constexpr size_t kShutterNanosecondsAt = 1568;
constexpr size_t kDescriptionAt = 1596;
constexpr size_t kDescriptionBytes = 4096;

constexpr uint32_t kColorFilterMask = 0xFFFFFF;
constexpr uint32_t kBayerGbRg = 3;
constexpr uint32_t kBayerRgGb = 4;

// Blocks behind the setup.
constexpr uint64_t kBlockHeadBytes = 8;
constexpr uint16_t kTimesBlock = 1002;
constexpr uint16_t kExposuresBlock = 1003;
constexpr uint16_t kRangeBlock = 1004;
constexpr int kMostBlocks = 1000;

constexpr uint64_t kOffsetBytes = 8;
constexpr uint64_t kTimeBytes = 8;
constexpr uint64_t kExposureBytes = 4;
/// Two sizes: of the annotation with both, and of the image.
constexpr uint64_t kSmallestAnnotation = 8;
constexpr uint64_t kLongestAnnotation = 64 << 10;
constexpr double kFraction = 4294967296.0;
constexpr int64_t kFramesForRate = 1000;

/// Seconds in the upper half, their fraction in the lower.
double time_of(uint64_t bits) {
    return double(bits >> 32) + double(bits & 0xFFFFFFFF) / kFraction;
}

/// A list of numbers in the file, one for every image.
struct NumberList {
    uint64_t offset = 0;
    uint64_t count = 0;
};

/// How the pixels of every image lie.
struct PixelLayout {
    ImageType type;
    int packed_bits = 0;  ///< 0: whole elements
    bool bottom_up = true;

    uint64_t bytes() const {
        const uint64_t elements = uint64_t(type.height) * uint64_t(type.width) * uint64_t(type.channels);
        return packed_bits > 0 ? (elements * uint64_t(packed_bits) + 7) / 8 : type.bytes();
    }
};

/// An image's record.
struct Record {
    uint64_t offset = 0;
    uint64_t annotation_bytes = 0;  ///< of the text
    uint64_t pixels = 0;            ///< offset
    uint64_t bytes = 0;             ///< of the pixels
};

/// Where everything lies in a file.
struct Contents {
    std::shared_ptr<const FileBytes> file;
    int64_t count = 0;
    int64_t first_number = 0;
    uint64_t offsets = 0;  ///< of the table of offsets
    NumberList times = {};
    NumberList exposures = {};
    PixelLayout layout = {};

    template <typename Number>
    Number number_at(uint64_t offset) const {
        uint8_t bytes[sizeof(Number)];
        file->read_into(bytes, offset, sizeof bytes);
        return HeaderBytes(bytes).at<Number>(0);
    }

    template <typename Number>
    std::optional<Number> number_of(const NumberList& list, int64_t index) const {
        if (static_cast<uint64_t>(index) >= list.count) return std::nullopt;
        return number_at<Number>(list.offset + static_cast<uint64_t>(index) * sizeof(Number));
    }

    uint64_t offset_of(int64_t index) const {
        return number_at<uint64_t>(offsets + static_cast<uint64_t>(index) * kOffsetBytes);
    }

    double time(int64_t index) const {
        const auto bits = number_of<uint64_t>(times, index);
        return bits ? time_of(*bits) : std::numeric_limits<double>::quiet_NaN();
    }

    /// Throws Error(corrupt) when there cannot be an image where the table says.
    Record find(int64_t index) const {
        Record record;
        record.offset = offset_of(index);
        const auto annotation = number_at<uint32_t>(record.offset);
        if (annotation < kSmallestAnnotation || annotation > file->size() - record.offset) {
            throw Error(ErrorCode::corrupt, fmt::format("there is no image at byte {}", record.offset));
        }
        record.annotation_bytes = annotation - kSmallestAnnotation;
        record.pixels = record.offset + annotation;
        record.bytes = number_at<uint32_t>(record.pixels - sizeof(uint32_t));
        return record;
    }

    /// Whether the file ends before the image does.
    bool is_cut_off(int64_t index) const {
        const uint64_t offset = offset_of(index);
        if (offset >= file->size() || file->size() - offset < kSmallestAnnotation) return true;
        try {
            const Record record = find(index);
            return record.bytes > file->size() - record.pixels;
        } catch (const Error&) {
            return false;
        }
    }
};

class CineSequence : public ImageSequence {
public:
    explicit CineSequence(Contents contents) : contents_(std::move(contents)) {}

    int64_t frame_count() const override { return contents_.count; }

    SequenceImage read(int64_t index) const override {
        const PixelLayout& layout = contents_.layout;
        const Record record = contents_.find(index);
        if (record.bytes != layout.bytes()) {
            throw Error(ErrorCode::corrupt, fmt::format("the image has {} bytes, {} are expected for {}", record.bytes,
                                                        layout.bytes(), layout.type.text()));
        }
        if (layout.packed_bits > 0) return unpacked(contents_.file->part(record.pixels, record.bytes));
        SequenceImage result = raw_image(*contents_.file, record.pixels, layout.type);
        if (!layout.bottom_up) return result;
        cv::Mat upright;
        cv::flip(result.image, upright, 0);
        return {upright};
    }

    FrameStamp stamp(int64_t index) const override {
        return {.number = contents_.first_number + index, .time = contents_.time(index)};
    }

    std::vector<Json> extra_data_of(int64_t index) const override {
        Json record = Json::object();
        if (const auto exposure = contents_.number_of<uint32_t>(contents_.exposures, index))
            record["exposure_seconds"] = *exposure / kFraction;
        if (const std::string text = annotation(index); !text.empty()) record["annotation"] = text;
        return record.empty() ? std::vector<Json>{} : std::vector<Json>{record};
    }

private:
    SequenceImage unpacked(const FileBytes::Part& part) const {
        const PixelLayout& layout = contents_.layout;
        cv::Mat image(layout.type.height, layout.type.width, layout.type.cv_type());
        unpack_bits({part.data, layout.bytes()}, layout.packed_bits, {image.ptr<uint16_t>(), image.total()});
        return {image};
    }

    std::string annotation(int64_t index) const {
        try {
            const Record record = contents_.find(index);
            if (record.annotation_bytes == 0) return {};
            const auto bytes = contents_.file->read(record.offset + sizeof(uint32_t),
                                                    std::min(record.annotation_bytes, kLongestAnnotation));
            return HeaderBytes(bytes).text(0, bytes.size());
        } catch (const Error&) {
            return {};  // reading the image says what is wrong with it
        }
    }

    Contents contents_;
};

/// Opens a file, step by step.
class Opening {
public:
    Opening(const fs::path& path, const SourceOptions& options)
        : file_(std::make_shared<FileBytes>(path, options.map)) {
        contents_.file = file_;
    }

    OpenedSequence open() {
        const std::vector<uint8_t> head = file_->read(0, kHeaderBytes);
        const HeaderBytes header(head);
        compression_ = header.at<uint16_t>(kCompressionAt);
        if (compression_ != kUncompressed && compression_ != kUninterpolated) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("compression {} of cine files is not read; export it uncompressed", compression_));
        }
        read_setup(header.at<uint32_t>(kSetupAt));
        find_images(header);
        find_layout(header.at<uint32_t>(kImageHeaderAt));
        leave_out_cut_off();
        find_times();
        opened_.info.name = file_->path().string();
        opened_.info.format = kName;
        opened_.info.image_type = contents_.layout.type;
        opened_.info.has_numbers = true;
        find_encoding();
        describe(header);
        opened_.frames = std::make_shared<CineSequence>(std::move(contents_));
        return std::move(opened_);
    }

private:
    void read_setup(uint64_t offset) {
        std::vector<uint8_t> start = file_->read(offset, kSmallestSetup);
        const HeaderBytes bytes(start);
        if (start.size() < kSmallestSetup || bytes.at<char>(kMarkAt) != 'S' || bytes.at<char>(kMarkAt + 1) != 'T') {
            opened_.warnings.push_back("the camera's setup is missing, and with it the times");
            return;
        }
        setup_ = file_->read(offset, std::max<uint64_t>(bytes.at<uint16_t>(kSetupLengthAt), kSmallestSetup));
        read_blocks(offset + setup_.size());
    }

    void read_blocks(uint64_t offset) {
        for (int block = 0; block < kMostBlocks; ++block) {
            const std::vector<uint8_t> head = file_->read(offset, kBlockHeadBytes);
            if (head.size() < kBlockHeadBytes) return;
            const HeaderBytes bytes(head);
            const uint64_t size = bytes.at<uint32_t>(0);
            const auto type = bytes.at<uint16_t>(4);
            const bool more = bytes.at<uint16_t>(6) != 0;
            if (size < kBlockHeadBytes) return;
            const uint64_t data = offset + kBlockHeadBytes;
            const uint64_t data_bytes = std::min(size - kBlockHeadBytes, file_->size() - data);
            if (type == kTimesBlock) contents_.times = {data, data_bytes / kTimeBytes};
            if (type == kExposuresBlock) contents_.exposures = {data, data_bytes / kExposureBytes};
            if (!more || type == kRangeBlock) return;
            offset += size;
        }
    }

    void find_images(const HeaderBytes& header) {
        const uint64_t announced = header.at<uint32_t>(kImagesAt);
        contents_.offsets = header.at<uint32_t>(kOffsetsAt);
        contents_.first_number = header.at<int32_t>(kFirstImageAt);
        const uint64_t room =
            file_->size() > contents_.offsets ? (file_->size() - contents_.offsets) / kOffsetBytes : 0;
        contents_.count = static_cast<int64_t>(std::min(announced, room));
        if (contents_.count == 0) throw Error(ErrorCode::corrupt, "the file holds no table of images");
        if (room < announced) {
            opened_.warnings.push_back(fmt::format(
                "the header announces {} images, the file ends within their table after {}", announced, room));
        }
    }

    void find_layout(uint64_t offset) {
        const std::vector<uint8_t> head = file_->read(offset, kBitmapHeaderBytes);
        const HeaderBytes bitmap(head);
        const auto width = bitmap.at<int32_t>(kWidthAt);
        const int64_t height = bitmap.at<int32_t>(kHeightAt);
        const int bits = bitmap.at<uint16_t>(kBitCountAt);
        if (width < 1 || width > kMaxImageSide || height == 0 || std::abs(height) > kMaxImageSide) {
            throw Error(ErrorCode::corrupt, fmt::format("images of {}x{} are not plausible", width, height));
        }
        if (bits != 8 && bits != 16 && bits != 24 && bits != 48) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("images with {} bits a pixel are not read; 8, 16, 24 and 48 are", bits));
        }
        PixelLayout& layout = contents_.layout;
        layout.type = {int(std::abs(height)), width, bits > 16 ? 3 : 1, bits % 16 == 0 ? CV_16U : CV_8U};
        layout.packed_bits = layout.type.gray() ? bits_of_packing(bitmap.at<uint32_t>(kPackingAt)) : 0;
        if (layout.packed_bits > 0) layout.type.depth = CV_16U;
        layout.bottom_up = height > 0 && layout.packed_bits == 0;
        if (!plausible(layout.type)) throw Error(ErrorCode::corrupt, layout.type.text() + " are no plausible images");
    }

    /// The size of the images tells; what the bitmap's header says counts where no image can be asked.
    int bits_of_packing(uint32_t packing) const {
        const ImageType& type = contents_.layout.type;
        const uint64_t pixels = uint64_t(type.height) * uint64_t(type.width);
        constexpr int64_t kImagesToTry = 10;
        for (int64_t index = 0; index < std::min(contents_.count, kImagesToTry); ++index) {
            uint64_t bytes = 0;
            try {
                bytes = contents_.find(index).bytes;
            } catch (const Error&) {
                continue;  // another image tells
            }
            if (bytes == type.bytes()) return 0;
            for (const int bits : {10, 12}) {
                if (bytes == (pixels * static_cast<uint64_t>(bits) + 7) / 8) return bits;
            }
        }
        return packing == kPacked10 ? 10 : packing == kPacked12 ? 12 : 0;
    }

    /// The images at the end that a file which was cut off has lost.
    void leave_out_cut_off() {
        const int64_t announced = contents_.count;
        while (contents_.count > 0 && contents_.is_cut_off(contents_.count - 1)) --contents_.count;
        if (contents_.count == 0) throw Error(ErrorCode::corrupt, "the file is cut off: it holds no whole image");
        if (contents_.count < announced) {
            opened_.warnings.push_back(fmt::format("the file is cut off: its last {} images of {} are left out",
                                                   announced - contents_.count, announced));
        }
    }

    void find_times() {
        const auto count = static_cast<uint64_t>(contents_.count);
        if (contents_.times.count > 0 && contents_.times.count < count) {
            opened_.warnings.push_back(
                fmt::format("only {} of {} images have a time; times are left out", contents_.times.count, count));
            contents_.times = {};
        }
        std::vector<double> times;
        if (contents_.times.count > 0) {
            for (int64_t index = 0; index < std::min(contents_.count, kFramesForRate); ++index)
                times.push_back(contents_.time(index));
        }
        if (times.size() > 1 && !rate_of_times(times)) {
            opened_.warnings.push_back("the times of the images do not rise; they are left out");
            contents_.times = {};
        } else if (!times.empty()) {
            opened_.info.has_times = true;
            opened_.info.times_are_absolute = times.front() >= kFirstAbsoluteTime;
            if (opened_.info.times_are_absolute) opened_.info.creation_time = times.front();
        }
        const uint32_t rate = setup_number<uint32_t>(kFrameRateAt).value_or(0);
        const uint32_t old_rate = setup_number<uint16_t>(kOldFrameRateAt).value_or(0);
        if (rate > 0 || old_rate > 0) {
            opened_.info.frame_rate = rate > 0 ? rate : old_rate;
        } else {
            opened_.info.frame_rate = rate_of_times(times);
        }
    }

    template <typename Number>
    std::optional<Number> setup_number(size_t offset) const {
        if (setup_.size() < offset + sizeof(Number)) return std::nullopt;
        return HeaderBytes(setup_).at<Number>(offset);
    }

    void find_encoding() {
        if (compression_ != kUninterpolated) return;
        const uint32_t filter = setup_number<uint32_t>(kColorFilterAt).value_or(0) & kColorFilterMask;
        const char* const pattern = filter == kBayerGbRg ? "GB" : filter == kBayerRgGb ? "RG" : nullptr;
        if (!pattern) {
            opened_.user_metadata["bayer_note"] = fmt::format(
                "the images are a mosaic of kind {}, which is not decoded; they are given as they are stored", filter);
            return;
        }
        opened_.user_metadata["bayer_pattern"] = pattern;
        const Encoding* encoding = encoding_of_genicam(std::string("Bayer") + pattern);
        // Mosaics too small to be decoded are given as they are.
        if (decoded_type(*encoding, opened_.info.image_type)) opened_.info.encoding = encoding->name;
    }

    void describe(const HeaderBytes& header) {
        Json& metadata = opened_.user_metadata;
        std::string description;
        if (setup_.size() >= kDescriptionAt + kDescriptionBytes) {
            description = HeaderBytes(setup_).text(kDescriptionAt, kDescriptionBytes);
        } else if (!setup_.empty()) {
            description = HeaderBytes(setup_).text(kOldDescriptionAt, kOldDescriptionBytes);
        }
        if (!description.empty()) metadata["description"] = description;
        const double trigger = time_of(header.at<uint64_t>(kTriggerTimeAt));
        if (trigger >= kFirstAbsoluteTime) metadata["trigger_time"] = utc_text(trigger);
        metadata["first_image_number"] = contents_.first_number;
        metadata["total_image_count"] = header.at<uint32_t>(kTotalImagesAt);
        describe_number<uint32_t>("camera_serial", kSerialAt);
        describe_number<uint32_t>("camera_version", kCameraVersionAt);
        describe_number<uint32_t>("firmware_version", kFirmwareVersionAt);
        describe_number<uint32_t>("software_version", kSoftwareVersionAt);
        describe_number<uint32_t>("frame_rate", kFrameRateAt);
        const auto nanoseconds = setup_number<uint32_t>(kShutterNanosecondsAt).value_or(0);
        const auto microseconds = setup_number<uint32_t>(kShutterAt).value_or(0);
        if (nanoseconds > 0 || microseconds > 0)
            metadata["exposure_microseconds"] = nanoseconds > 0 ? nanoseconds / 1e3 : microseconds;
        describe_number<uint32_t>("post_trigger_frames", kPostTriggerAt);
        describe_number<uint32_t>("bits_per_pixel", kRealBitsAt);
        // Wishes for how it is shown; the pixels are given as they were recorded.
        if (setup_number<uint32_t>(kFlipHorizontalAt).value_or(0) != 0) metadata["flip_horizontal"] = true;
        if (setup_number<uint32_t>(kFlipVerticalAt).value_or(0) != 0) metadata["flip_vertical"] = true;
        describe_number<int32_t>("rotate", kRotateAt);
        if (contents_.layout.packed_bits > 0) metadata["packed_bits"] = contents_.layout.packed_bits;
        if (contents_.layout.packed_bits == 10) {
            metadata["pixel_note"] =
                "values 0 to 1023 as the camera stored them, compressed by the maker's curve and not proportional to "
                "the light";
        }
    }

    template <typename Number>
    void describe_number(const char* key, size_t offset) {
        const auto number = setup_number<Number>(offset);
        if (number.value_or(0) != 0) opened_.user_metadata[key] = *number;
    }

    std::shared_ptr<const FileBytes> file_;
    Contents contents_;
    uint16_t compression_ = 0;
    std::vector<uint8_t> setup_;
    OpenedSequence opened_;
};

FileFormatInfo cine_info() {
    FileFormatInfo info;
    info.name = kName;
    info.extensions = {".cine"};
    info.lossless = true;
    info.types = "gray and Bayer mosaics with 8 to 16 bits, colour with 8 or 16";
    info.tested = "made from its description; FFmpeg reads the same pixels of those files";
    return info;
}

class CineFile : public SourceFormat {
public:
    CineFile() : SourceFormat(cine_info()) {}

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override {
        if (head.size() < kHeaderBytes || head[0] != 'C' || head[1] != 'I') return false;
        const HeaderBytes header(head);
        const auto size = header.at<uint16_t>(kHeaderSizeAt);
        if (size < kHeaderBytes || header.at<uint16_t>(kVersionAt) > kNewestVersion) return false;
        const auto within_header = [&](size_t offset) { return header.at<uint32_t>(offset) < size; };
        return !within_header(kImageHeaderAt) && !within_header(kSetupAt) && !within_header(kOffsetsAt);
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            return sequence_source(Opening(path, options).open(), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }
};

}  // namespace

void add_file_formats_cine(FileFormatTable& table) {
    table.push_back(std::make_unique<CineFile>());
}

}  // namespace reelstore
