/// Fly movie format (.fmf), versions 1 and 3, as motmot's FlyMovieFormat and Ctrax write it.
///
/// Little endian. Version 1: u32 1, u32 rows, u32 columns, u64 bytes of a record, u64 number of records (0 while it is
/// being written). Version 3 has u32 length and name of the pixel format and u32 bits of a pixel in front of the rows.
/// A record is an IEEE 754 double, the time in seconds, and the pixels row by row. Columns count pixels; where the size
/// of a record says so they are taken for bytes.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "base/encoding.h"
#include "codecs/foreign/frame_rate.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/raw_sequence.h"
#include "codecs/foreign/source_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "FMF";

constexpr size_t kStampBytes = 8;
constexpr size_t kLongestFormatName = 64;
constexpr size_t kHeaderBytes = 4 + 4 + kLongestFormatName + 4 + 4 + 4 + 8 + 8;

struct FmfHeader {
    uint32_t version = 1;
    std::string format = "MONO8";
    uint32_t bits = 8;
    uint32_t rows = 0;
    uint32_t columns = 0;
    uint64_t record_bytes = 0;
    uint64_t records = 0;
    uint64_t start = 0;  ///< of the first record
};

/// Nothing for another version or an implausible name.
std::optional<FmfHeader> parse_header(std::span<const uint8_t> head) {
    const HeaderBytes bytes(head);
    FmfHeader header;
    header.version = bytes.at<uint32_t>(0);
    size_t offset = 4;
    if (header.version == 3) {
        const uint32_t length = bytes.at<uint32_t>(offset);
        if (length == 0 || length > kLongestFormatName) return std::nullopt;
        const auto name = bytes.part(offset + 4, length);
        for (const uint8_t character : name) {
            if (character <= ' ' || character >= 0x7F) return std::nullopt;
        }
        header.format.assign(name.begin(), name.end());
        header.bits = bytes.at<uint32_t>(offset + 4 + length);
        offset += 4 + length + 4;
    } else if (header.version != 1) {
        return std::nullopt;
    }
    header.rows = bytes.at<uint32_t>(offset);
    header.columns = bytes.at<uint32_t>(offset + 4);
    header.record_bytes = bytes.at<uint64_t>(offset + 8);
    header.records = bytes.at<uint64_t>(offset + 16);
    header.start = offset + 24;
    return header;
}

/// Whether the sizes in the header fit each other.
bool is_consistent(const FmfHeader& header) {
    const uint64_t elements = uint64_t{header.rows} * header.columns;
    if (header.rows == 0 || header.columns == 0 || elements > kMaxImageBytes || header.bits == 0 || header.bits > 128 ||
        header.record_bytes <= kStampBytes) {
        return false;
    }
    const uint64_t pixel_bytes = header.record_bytes - kStampBytes;
    return pixel_bytes == elements || pixel_bytes == elements * header.bits / 8;
}

/// What a pixel is in a format.
struct PixelKind {
    int depth = CV_8U;
    int channels = 1;
    std::string encoding = {};
};

/// "MONO8:RGGB" and the like: a mosaic.
std::string bayer_encoding(const std::string& format) {
    constexpr std::array<std::pair<const char*, const char*>, 4> kPatterns = {
        {{"RGGB", "BayerRG8"}, {"BGGR", "BayerBG8"}, {"GRBG", "BayerGR8"}, {"GBRG", "BayerGB8"}}};
    const std::string pattern = format.substr(format.find(':') + 1);
    for (const auto& [name, genicam] : kPatterns) {
        if (pattern == name) return encoding_of_genicam(genicam)->name;
    }
    throw Error(ErrorCode::unsupported, fmt::format("the mosaic of pixel format {} is not known", format));
}

PixelKind kind_of(const std::string& format, const CodecOptions& options) {
    if (format == "MONO8" || format == "RAW8") return {};
    if (format == "MONO16" || format == "RAW16") return {CV_16U, 1};
    if (format == "MONO32f" || format == "RAW32f") return {CV_32F, 1};
    if (format == "RGB8") return {CV_8U, 3, "cv_rgb"};
    if (format == "RGB32f") return {CV_32F, 3, "cv_rgb"};
    if (format == "YUV422")
        return {CV_8U, 2, std::string("cv_yuv_") + choice_option(options, "yuv422", "uyvy", {"uyvy", "yuyv"})};
    if (format.starts_with("MONO8:")) return {CV_8U, 1, bayer_encoding(format)};
    if (format.starts_with("MONO32f:")) return {CV_32F, 1};
    throw Error(ErrorCode::unsupported,
                fmt::format("pixel format {} cannot be read; MONO8, MONO16, MONO32f, RAW8, RAW16, RAW32f, RGB8, "
                            "RGB32f, YUV422 and MONO8: with a Bayer pattern can",
                            format));
}

class FmfFrames : public RawSequence {
public:
    using RawSequence::RawSequence;

    FrameStamp stamp(int64_t index) const override {
        uint8_t bytes[kStampBytes];
        file().read_into(bytes, offset(index) - kStampBytes, kStampBytes);
        const auto time = HeaderBytes(bytes).at<double>(0);
        return {.number = index, .time = std::isfinite(time) ? time : std::numeric_limits<double>::quiet_NaN()};
    }
};

OpenedSequence open_fmf(const fs::path& path, const SourceOptions& options) {
    auto file = std::make_shared<const FileBytes>(path, options.map);
    const std::optional<FmfHeader> header = parse_header(file->read(0, kHeaderBytes));
    if (!header || !is_consistent(*header)) throw Error(ErrorCode::corrupt, "the sizes in the header contradict");
    const PixelKind kind = kind_of(header->format, options.format);
    ImageType type{static_cast<int>(std::min<uint32_t>(header->rows, kMaxImageSide + 1)),
                   static_cast<int>(std::min<uint32_t>(header->columns, kMaxImageSide + 1)), kind.channels, kind.depth};
    const uint64_t pixel_bytes = header->record_bytes - kStampBytes;
    const auto element_bytes = static_cast<int>(CV_ELEM_SIZE(type.cv_type()));
    if (pixel_bytes == uint64_t{header->rows} * header->columns && type.width % element_bytes == 0) {
        type.width /= element_bytes;
    }
    if (!plausible(type) || type.bytes() != pixel_bytes) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("records of {} bytes do not hold {}x{} pixels of format {}", header->record_bytes,
                                header->rows, header->columns, header->format));
    }
    OpenedSequence opened;
    const int64_t whole = frames_in_file(file->size(), header->start, header->record_bytes, header->record_bytes);
    const RawLayout layout{header->start + kStampBytes, header->record_bytes, type, std::endian::little,
                           count_of_frames(header->records, whole, opened.warnings)};
    auto frames = std::make_shared<FmfFrames>(std::move(file), layout);
    opened.info.name = path.string();
    opened.info.format = fmt::format("{} {} {}", kName, header->version, header->format);
    opened.info.image_type = type;
    opened.info.encoding = kind.encoding;
    const double first = frames->stamp(0).time;
    opened.info.has_times = std::isfinite(first) && std::isfinite(frames->stamp(layout.count - 1).time);
    opened.info.times_are_absolute = opened.info.has_times && first >= kFirstAbsoluteTime;
    if (opened.info.times_are_absolute) opened.info.creation_time = first;
    opened.user_metadata["fmf_version"] = header->version;
    opened.user_metadata["pixel_format"] = header->format;
    opened.frames = std::move(frames);
    return opened;
}

class FmfFile : public SourceFormat {
public:
    FmfFile()
        : SourceFormat({.name = kName,
                        .extensions = {".fmf"},
                        .lossless = true,
                        .types = "gray uint8, uint16 and float32, Bayer mosaics, RGB, YUV 4:2:2",
                        .tested = "made from its description",
                        .options = {},
                        .source_options = {{"yuv422", "uyvy", "order of bytes in YUV422: uyvy or yuyv"}}}) {}

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override {
        try {
            const std::optional<FmfHeader> header = parse_header(head);
            return header && is_consistent(*header);
        } catch (const Error&) {
            return false;  // too short
        }
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            return sequence_source(open_fmf(path, options), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }
};

}  // namespace

void add_file_formats_fmf(FileFormatTable& table) {
    table.push_back(std::make_unique<FmfFile>());
}

}  // namespace reelstore
