/// Princeton Instruments SPE (.spe), header versions 1 and 2 as WinView, WinSpec and SDT-control write them, and what
/// of version 3 (LightField) has the same layout.
///
/// 4100 bytes of header, little endian, then the frames back to back, row by row. Files of version 3 end with XML, and
/// may have several regions and facts of their own behind every frame; those are refused. There is no magic number that
/// every writer sets, so the fields that are needed must make sense, and the name must end in .spe unless WinView's
/// number is there.

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/header_text.h"
#include "codecs/foreign/raw_sequence.h"
#include "codecs/foreign/source_format.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "Princeton SPE";

constexpr size_t kHeaderBytes = 4100;
constexpr size_t kExposureSeconds = 10;
constexpr size_t kDate = 20;
constexpr size_t kDateBytes = 10;
constexpr size_t kDetectorTemperature = 36;
constexpr size_t kWidth = 42;
constexpr size_t kDataType = 108;
constexpr size_t kLocalTime = 172;
constexpr size_t kUtcTime = 179;
constexpr size_t kTimeBytes = 7;
constexpr size_t kGain = 198;
constexpr size_t kComments = 200;
constexpr size_t kCommentCount = 5;
constexpr size_t kCommentBytes = 80;
constexpr size_t kHeight = 656;
constexpr size_t kReadoutMilliseconds = 672;
constexpr size_t kXmlOffset = 678;
constexpr size_t kSoftware = 688;
constexpr size_t kSoftwareBytes = 16;
constexpr size_t kFrames = 1446;
constexpr size_t kRegionCount = 1510;
constexpr size_t kRegions = 1512;
constexpr size_t kRegionBytes = 12;
constexpr int kMostRegions = 10;
constexpr size_t kVersion = 1992;
constexpr size_t kWinViewNumber = 2996;
constexpr uint32_t kWinViewNumberValue = 0x01234567;

/// An element as it lies in the file and as it is given.
struct Element {
    int code;
    int stored;
    int given;
    const char* name;
};

/// A cv::Mat has no 32-bit numbers without sign; float64 holds all of them. Both 4 and 8 are in use for them.
constexpr std::array<Element, 6> kElements{{{0, CV_32F, CV_32F, "float32"},
                                            {1, CV_32S, CV_32S, "int32"},
                                            {2, CV_16S, CV_16S, "int16"},
                                            {3, CV_16U, CV_16U, "uint16"},
                                            {4, CV_32S, CV_64F, "uint32"},
                                            {8, CV_32S, CV_64F, "uint32"}}};

const Element* find_element(int code) {
    for (const Element& element : kElements) {
        if (element.code == code) return &element;
    }
    return nullptr;
}

/// "HHMMSS" as seconds of the day.
std::optional<int> seconds_of_day(const std::string& text) {
    if (text.size() < 6) return std::nullopt;
    for (size_t i = 0; i < 6; ++i) {
        if (!is_digit(text[i])) return std::nullopt;
    }
    const auto two = [&](size_t place) { return (text[place] - '0') * 10 + (text[place + 1] - '0'); };
    if (two(0) > 23 || two(2) > 59 || two(4) > 59) return std::nullopt;
    return two(0) * 3600 + two(2) * 60 + two(4);
}

/// "31Jan2020" and the local time; the time in UTC tells the zone. Without one the local time is taken for UTC.
std::optional<double> creation_time(const std::string& date, const std::string& local, const std::string& utc) {
    constexpr std::array<const char*, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                     "jul", "aug", "sep", "oct", "nov", "dec"};
    if (date.size() < 9) return std::nullopt;
    for (const size_t place : {0, 1, 5, 6, 7, 8}) {
        if (!is_digit(date[place])) return std::nullopt;
    }
    const std::string month = lower_case(date.substr(2, 3));
    const auto found = std::find(kMonths.begin(), kMonths.end(), month);
    const std::optional<int> seconds = seconds_of_day(local);
    if (found == kMonths.end() || !seconds) return std::nullopt;
    const auto day = local_time_to_utc(std::stoi(date.substr(5, 4)), static_cast<int>(found - kMonths.begin()) + 1,
                                       std::stoi(date.substr(0, 2)), 0, 0, 0, "Etc/UTC");
    if (!day) return std::nullopt;
    constexpr int kDay = 24 * 3600;
    int behind_utc = 0;
    if (const auto utc_seconds = seconds_of_day(utc)) {
        behind_utc = *utc_seconds - *seconds;
        if (behind_utc > kDay / 2) behind_utc -= kDay;
        if (behind_utc < -kDay / 2) behind_utc += kDay;
    }
    return *day + *seconds + behind_utc;
}

/// Whether the fields without which nothing can be read make sense.
bool is_sensible(const HeaderBytes& header) {
    const float version = header.at<float>(kVersion);
    return version >= 1 && version < 4 && header.at<uint16_t>(kWidth) > 0 && header.at<uint16_t>(kHeight) > 0 &&
           header.at<int16_t>(kDataType) >= 0 && header.at<int16_t>(kDataType) <= 8 && header.at<int32_t>(kFrames) >= 0;
}

class SpeFrames : public RawSequence {
public:
    SpeFrames(std::shared_ptr<const FileBytes> file, const RawLayout& layout, int given)
        : RawSequence(std::move(file), layout), given_(given) {}

    SequenceImage read(int64_t index) const override {
        SequenceImage stored = RawSequence::read(index);
        if (given_ == layout().type.depth) return stored;
        cv::Mat image(stored.image.rows, stored.image.cols, given_);
        for (int row = 0; row < image.rows; ++row) {
            const auto* const from = stored.image.ptr<int32_t>(row);
            auto* const to = image.ptr<double>(row);
            for (int column = 0; column < image.cols; ++column) to[column] = static_cast<uint32_t>(from[column]);
        }
        return {image, nullptr};
    }

private:
    int given_;
};

Json regions_of(const HeaderBytes& header) {
    Json regions = Json::array();
    // 0 means one, which is the whole image.
    const int count = std::clamp<int>(header.at<int16_t>(kRegionCount), 0, kMostRegions);
    for (int i = 0; i < count; ++i) {
        const size_t place = kRegions + static_cast<size_t>(i) * kRegionBytes;
        const auto number = [&](size_t index) { return header.at<uint16_t>(place + index * 2); };
        regions.push_back({{"first_column", number(0)},
                           {"last_column", number(1)},
                           {"column_binning", number(2)},
                           {"first_row", number(3)},
                           {"last_row", number(4)},
                           {"row_binning", number(5)}});
    }
    return regions;
}

Json metadata_of(const HeaderBytes& header) {
    Json metadata = Json::object();
    Json comments = Json::array();
    for (size_t i = 0; i < kCommentCount; ++i) {
        std::string comment = header.text(kComments + i * kCommentBytes, kCommentBytes);
        if (!comment.empty()) comments.push_back(std::move(comment));
    }
    if (!comments.empty()) metadata["comments"] = std::move(comments);
    const auto add_text = [&](const char* key, size_t offset, size_t size) {
        const std::string text = header.text(offset, size);
        if (!text.empty()) metadata[key] = text;
    };
    add_text("date", kDate, kDateBytes);
    add_text("local_time", kLocalTime, kTimeBytes);
    add_text("utc_time", kUtcTime, kTimeBytes);
    add_text("software", kSoftware, kSoftwareBytes);
    const auto add_number = [&](const char* key, size_t offset, double factor) {
        const double number = shortest_decimal(header.at<float>(offset));
        if (std::isfinite(number) && number != 0) metadata[key] = number * factor;
    };
    add_number("exposure_microseconds", kExposureSeconds, 1e6);
    add_number("readout_milliseconds", kReadoutMilliseconds, 1);
    add_number("detector_temperature", kDetectorTemperature, 1);
    metadata["gain"] = header.at<uint16_t>(kGain);
    metadata["header_version"] = shortest_decimal(header.at<float>(kVersion));
    if (Json regions = regions_of(header); !regions.empty()) metadata["regions"] = std::move(regions);
    return metadata;
}

/// Where the pixels end.
uint64_t end_of_pixels(const HeaderBytes& header, uint64_t file_size, uint64_t frame_bytes) {
    constexpr float kVersionWithXml = 3;
    if (header.at<float>(kVersion) < kVersionWithXml) return file_size;
    const auto end = header.at<uint64_t>(kXmlOffset);
    // A recorder that died wrote no XML.
    if (end < kHeaderBytes || end > file_size) return file_size;
    if ((end - kHeaderBytes) % frame_bytes != 0) {
        throw Error(ErrorCode::unsupported,
                    "it is of version 3 and has several regions or facts behind every frame, which cannot be read; "
                    "export it as version 2 or as TIFF");
    }
    return end;
}

OpenedSequence open_spe(const fs::path& path, const SourceOptions& options) {
    auto file = std::make_shared<const FileBytes>(path, options.map);
    const std::vector<uint8_t> head = file->read(0, kHeaderBytes);
    if (head.size() < kHeaderBytes) throw Error(ErrorCode::corrupt, "the header is cut off");
    const HeaderBytes header(head);
    if (!is_sensible(header)) throw Error(ErrorCode::corrupt, "the header makes no sense");
    const int code = header.at<int16_t>(kDataType);
    const Element* const element = find_element(code);
    if (!element) {
        throw Error(
            ErrorCode::unsupported,
            fmt::format("data type {} cannot be read; 0 to 4 and 8 (float32, int32, int16, uint16, uint32) can", code));
    }
    const ImageType stored{header.at<uint16_t>(kHeight), header.at<uint16_t>(kWidth), 1, element->stored};
    ImageType given = stored;
    given.depth = element->given;
    if (!plausible(stored) || !plausible(given)) {
        throw Error(ErrorCode::corrupt, fmt::format("{} is no plausible image", stored.text()));
    }
    OpenedSequence opened;
    const uint64_t frame_bytes = stored.bytes();
    const uint64_t end = end_of_pixels(header, file->size(), frame_bytes);
    const int64_t whole = frames_in_file(end, kHeaderBytes, frame_bytes, frame_bytes);
    const RawLayout layout{kHeaderBytes, frame_bytes, stored, std::endian::little,
                           count_of_frames(static_cast<uint64_t>(header.at<int32_t>(kFrames)), whole, opened.warnings)};
    opened.info.name = path.string();
    opened.info.format = fmt::format("{} {:.4g} {}", kName, header.at<float>(kVersion), element->name);
    opened.info.image_type = given;
    opened.info.creation_time = creation_time(header.text(kDate, kDateBytes), header.text(kLocalTime, kTimeBytes),
                                              header.text(kUtcTime, kTimeBytes));
    opened.user_metadata = metadata_of(header);
    opened.frames = std::make_shared<SpeFrames>(std::move(file), layout, element->given);
    return opened;
}

class SpeFile : public SourceFormat {
public:
    SpeFile()
        : SourceFormat({.name = kName,
                        .extensions = {".spe"},
                        .lossless = true,
                        .types = "gray float32, int32, int16, uint16; uint32 as float64",
                        .tested = "made from its description, compared with imageio's reader",
                        .options = {},
                        .source_options = {}}) {}

    bool recognises(const fs::path& path, std::span<const uint8_t> head) const override {
        if (head.size() < kWinViewNumber + sizeof(uint32_t)) return false;
        const HeaderBytes header(head);
        const bool is_named = lower_case_extension(path) == ".spe";
        return (is_named || header.at<uint32_t>(kWinViewNumber) == kWinViewNumberValue) && is_sensible(header);
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            return sequence_source(open_spe(path, options), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }
};

}  // namespace

void add_file_formats_spe(FileFormatTable& table) {
    table.push_back(std::make_unique<SpeFile>());
}

}  // namespace reelstore
