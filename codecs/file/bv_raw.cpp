/// RAW files of BV Workbench (SciMedia), version 4.
///
/// Little endian. i32 version, i32 offset of the data, i32 frames, f64 microseconds between frames, i32 width, i32
/// height, i32 bits of a pixel, f64 size of a pixel in x and y, i32 regions and four i32 for each. At the data: the
/// background and the reference image (u16), the mask (u8), then for every frame the u16 pixels inside the region of
/// interest, in the order of the rows. What is inside is not written down anywhere we know of, so it is derived from
/// the size of the file: the pixels that the mask marks, all of them, or those in the rectangles.

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/header_text.h"
#include "codecs/foreign/raw_sequence.h"
#include "codecs/foreign/source_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "BV RAW";

constexpr size_t kVersion = 0;
constexpr int32_t kVersionValue = 4;
constexpr size_t kDataOffset = 4;
constexpr size_t kFrames = 8;
constexpr size_t kMicroseconds = 12;
constexpr size_t kWidth = 20;
constexpr size_t kHeight = 24;
constexpr size_t kBits = 28;
constexpr size_t kPixelWidth = 32;
constexpr size_t kPixelHeight = 40;
constexpr size_t kRegionCount = 48;
constexpr size_t kRegions = 52;
constexpr size_t kRegionBytes = 16;
constexpr int32_t kMostRegions = 200;
constexpr int32_t kMostDataOffset = 1 << 20;
constexpr size_t kLongestHeader = kRegions + kMostRegions * kRegionBytes;

struct BvHeader {
    uint64_t data_offset = 0;
    int32_t frames = 0;
    double microseconds = 0;
    ImageType type;
    int32_t bits = 0;
    double pixel_width = 0;
    double pixel_height = 0;
    std::vector<std::array<int32_t, 4>> regions;
};

/// Nothing when a field makes no sense.
std::optional<BvHeader> parse_header(std::span<const uint8_t> head) {
    const HeaderBytes bytes(head);
    const auto regions = bytes.at<int32_t>(kRegionCount);
    const auto data_offset = bytes.at<int32_t>(kDataOffset);
    BvHeader header;
    header.frames = bytes.at<int32_t>(kFrames);
    header.microseconds = bytes.at<double>(kMicroseconds);
    header.type = {bytes.at<int32_t>(kHeight), bytes.at<int32_t>(kWidth), 1, CV_16U};
    header.bits = bytes.at<int32_t>(kBits);
    header.pixel_width = bytes.at<double>(kPixelWidth);
    header.pixel_height = bytes.at<double>(kPixelHeight);
    const bool is_sensible = bytes.at<int32_t>(kVersion) == kVersionValue && regions >= 0 && regions <= kMostRegions &&
                             data_offset <= kMostDataOffset && data_offset >= int32_t{kRegions} && header.frames >= 0 &&
                             std::isfinite(header.microseconds) && header.microseconds >= 0 && plausible(header.type) &&
                             header.bits >= 1 && header.bits <= 32;
    if (!is_sensible || static_cast<size_t>(data_offset) < kRegions + static_cast<size_t>(regions) * kRegionBytes) {
        return std::nullopt;
    }
    header.data_offset = static_cast<uint64_t>(data_offset);
    for (size_t region = 0; region < static_cast<size_t>(regions); ++region) {
        std::array<int32_t, 4>& numbers = header.regions.emplace_back();
        for (size_t i = 0; i < numbers.size(); ++i)
            numbers[i] = bytes.at<int32_t>(kRegions + region * kRegionBytes + i * sizeof(int32_t));
    }
    return header;
}

/// A way to say which pixels of a frame are stored.
struct Selection {
    std::string name;
    cv::Mat mask;
    uint64_t bytes = 0;  ///< of a frame
};

/// The pixels inside the rectangles, each given as left, top and, where `has_sizes`, width and height, else as right
/// and bottom, which belong to it.
cv::Mat mask_of_regions(const BvHeader& header, bool has_sizes) {
    cv::Mat mask = cv::Mat::zeros(header.type.height, header.type.width, CV_8U);
    for (const auto& [left, top, third, fourth] : header.regions) {
        const int64_t right = has_sizes ? int64_t{left} + third : int64_t{third} + 1;
        const int64_t bottom = has_sizes ? int64_t{top} + fourth : int64_t{fourth} + 1;
        const auto x0 = static_cast<int>(std::clamp<int64_t>(left, 0, mask.cols));
        const auto y0 = static_cast<int>(std::clamp<int64_t>(top, 0, mask.rows));
        const auto x1 = static_cast<int>(std::clamp<int64_t>(right, x0, mask.cols));
        const auto y1 = static_cast<int>(std::clamp<int64_t>(bottom, y0, mask.rows));
        mask(cv::Range(y0, y1), cv::Range(x0, x1)).setTo(1);
    }
    return mask;
}

bool equal_masks(const cv::Mat& left, const cv::Mat& right) {
    return cv::countNonZero((left != 0) != (right != 0)) == 0;
}

std::vector<uint32_t> places_in(const cv::Mat& mask) {
    std::vector<uint32_t> places;
    for (int y = 0; y < mask.rows; ++y) {
        const uint8_t* const row = mask.ptr(y);
        for (int x = 0; x < mask.cols; ++x) {
            if (row[x] != 0)
                places.push_back(static_cast<uint32_t>(y) * static_cast<uint32_t>(mask.cols) +
                                 static_cast<uint32_t>(x));
        }
    }
    return places;
}

/// Frames of which only some pixels are stored; the others are 0.
class PartialFrames : public ImageSequence {
public:
    PartialFrames(std::shared_ptr<const FileBytes> file, uint64_t start, const ImageType& type,
                  std::vector<uint32_t> places, int64_t count)
        : file_(std::move(file)), start_(start), type_(type), places_(std::move(places)), count_(count) {}

    int64_t frame_count() const override { return count_; }

    SequenceImage read(int64_t index) const override {
        const size_t bytes = places_.size() * sizeof(uint16_t);
        const FileBytes::Part part = file_->part(start_ + static_cast<uint64_t>(index) * bytes, bytes);
        cv::Mat image = cv::Mat::zeros(type_.height, type_.width, type_.cv_type());
        auto* const target = image.ptr<uint16_t>();
        for (size_t i = 0; i < places_.size(); ++i) {
            target[places_[i]] = static_cast<uint16_t>(part.data[2 * i] | part.data[2 * i + 1] << 8);
        }
        return {image, nullptr};
    }

private:
    std::shared_ptr<const FileBytes> file_;
    uint64_t start_;
    ImageType type_;
    std::vector<uint32_t> places_;
    int64_t count_;
};

/// Reads one recording.
class Opening {
public:
    Opening(const fs::path& path, const SourceOptions& options)
        : path_(path), file_(std::make_shared<const FileBytes>(path, options.map)) {
        image_ = choice_option(options.format, "image", "frames", {"frames", "background", "reference", "mask"});
        pixels_ = choice_option(options.format, "pixels", "auto", {"auto", "mask", "all", "regions"});
        const auto header = parse_header(file_->read(0, kLongestHeader));
        if (!header) throw Error(ErrorCode::corrupt, "the header makes no sense");
        header_ = *header;
    }

    OpenedSequence open() {
        opened_.info.name = path_.string();
        opened_.info.format = kName;
        opened_.info.image_type = header_.type;
        if (image_ == "frames") {
            open_frames();
        } else {
            open_image();
        }
        read_metadata();
        return std::move(opened_);
    }

private:
    uint64_t image_bytes() const { return header_.type.bytes(); }
    uint64_t mask_offset() const { return header_.data_offset + 2 * image_bytes(); }
    uint64_t frames_offset() const { return mask_offset() + image_bytes() / sizeof(uint16_t); }

    void open_image() {
        RawLayout layout{header_.data_offset, image_bytes(), header_.type, std::endian::little, 1};
        if (image_ == "reference") layout.start += image_bytes();
        if (image_ == "mask") {
            layout.start = mask_offset();
            layout.type.depth = CV_8U;
        }
        if (layout.start + layout.type.bytes() > file_->size()) {
            throw Error(ErrorCode::corrupt, fmt::format("the file is cut off before its {}", image_));
        }
        opened_.info.image_type = layout.type;
        opened_.frames = std::make_shared<RawSequence>(file_, layout);
    }

    void open_frames() {
        opened_.info.frame_rate = sensible_rate(1e6 / header_.microseconds);
        if (file_->size() < frames_offset()) throw Error(ErrorCode::corrupt, "the file is cut off before its frames");
        const Selection selection = choose_selection();
        const int64_t whole = frames_in_file(file_->size(), frames_offset(), selection.bytes, selection.bytes);
        const int64_t count = count_of_frames(static_cast<uint64_t>(header_.frames), whole, opened_.warnings);
        opened_.user_metadata["stored_pixels"] = selection.name;
        if (selection.bytes == image_bytes()) {
            opened_.frames = std::make_shared<RawSequence>(
                file_, RawLayout{frames_offset(), selection.bytes, header_.type, std::endian::little, count});
        } else {
            opened_.frames =
                std::make_shared<PartialFrames>(file_, frames_offset(), header_.type, places_in(selection.mask), count);
        }
    }

    std::vector<Selection> selections() const {
        std::vector<Selection> all;
        const auto add = [&](const char* name, const cv::Mat& mask) {
            if (pixels_ != "auto" && pixels_ != name) return;
            const auto pixels = static_cast<uint64_t>(cv::countNonZero(mask));
            if (pixels > 0) all.push_back({name, mask, pixels * sizeof(uint16_t)});
        };
        add("mask", mask_);
        add("all", cv::Mat::ones(mask_.size(), CV_8U));
        for (const bool has_sizes : {true, false}) add("regions", mask_of_regions(header_, has_sizes));
        return all;
    }

    ImageType mask_type() const {
        ImageType type = header_.type;
        type.depth = CV_8U;
        return type;
    }

    Selection choose_selection() {
        const SequenceImage mask = raw_image(*file_, mask_offset(), mask_type());
        mask_ = mask.image.clone();
        const std::vector<Selection> all = selections();
        if (all.empty()) {
            throw Error(ErrorCode::corrupt, fmt::format("no pixel is inside what pixels={} asks for", pixels_));
        }
        const uint64_t bytes = file_->size() - frames_offset();
        const auto announced = static_cast<uint64_t>(header_.frames);
        const auto fits = [&](const Selection& selection) {
            return announced > 0 ? bytes == announced * selection.bytes : bytes > 0 && bytes % selection.bytes == 0;
        };
        const auto fitting = std::find_if(all.begin(), all.end(), fits);
        const Selection& chosen = fitting != all.end() ? *fitting : all.front();
        const bool is_said = announced > 0 && fitting != all.end();
        const auto contradicts = [&](const Selection& other) {
            return (!is_said || fits(other)) && !equal_masks(other.mask, chosen.mask);
        };
        if (std::any_of(all.begin(), all.end(), contradicts)) warn_of_guess(chosen.name);
        return chosen;
    }

    void warn_of_guess(const std::string& name) {
        opened_.warnings.push_back(
            fmt::format("the size of the file does not tell which pixels of a frame are stored; taken to be \"{}\" "
                        "(--open pixels=mask, all or regions says it)",
                        name));
    }

    void read_metadata() {
        Json& metadata = opened_.user_metadata;
        metadata["bits"] = header_.bits;
        if (header_.microseconds > 0) metadata["sample_time_microseconds"] = header_.microseconds;
        if (std::isfinite(header_.pixel_width) && std::isfinite(header_.pixel_height)) {
            metadata["pixel_size"] = {header_.pixel_width, header_.pixel_height};
        }
        if (!header_.regions.empty()) metadata["regions"] = header_.regions;
    }

    fs::path path_;
    std::shared_ptr<const FileBytes> file_;
    std::string image_;
    std::string pixels_;
    BvHeader header_;
    cv::Mat mask_;
    OpenedSequence opened_;
};

class BvRawFile : public SourceFormat {
public:
    BvRawFile()
        : SourceFormat({.name = kName,
                        .extensions = {".raw"},
                        .lossless = true,
                        .types = "gray uint16; pixels that are not stored are 0",
                        .tested = "made from its description",
                        .options = {},
                        .source_options = {{"image", "frames", "what is read: frames, background, reference or mask"},
                                           {"pixels", "auto",
                                            "which pixels of a frame are stored: mask, all or regions; auto: as the "
                                            "size of the file says"}}}) {}

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override {
        try {
            return parse_header(head).has_value();
        } catch (const Error&) {
            return false;  // too short
        }
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

void add_file_formats_bv_raw(FileFormatTable& table) {
    table.push_back(std::make_unique<BvRawFile>());
}

}  // namespace reelstore
