/// Sequences of NorPix StreamPix (.seq), versions 3 to 5, and of programs that write as it does.
///
/// A header of 1024 bytes; images from byte 1024 on, uncompressed ones of version 5 from byte 8192. Behind every image
/// its time: seconds, milliseconds and, since version 5, microseconds. Uncompressed images lie at equal distances.
/// Compressed ones are JPEG or PNG files with their length in front; no table says where, so they are searched for. The
/// layout was gathered from the readers of Piotr Dollar's MATLAB toolbox and of PIMS, the numbers of image formats and
/// of Bayer patterns from NorPix's own headers. None says which order the bytes of YUV422 (600) have: Y U Y V is taken,
/// as UVY422 (700) is U Y V Y.

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "base/encoding.h"
#include "codecs/file_format.h"
#include "codecs/foreign/frame_rate.h"
#include "codecs/foreign/header_text.h"
#include "codecs/foreign/norpix_frames.h"
#include "codecs/foreign/norpix_header.h"
#include "codecs/foreign/norpix_sink.h"
#include "codecs/image_codec.h"
#include "codecs/image_header.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "NorPix";
/// Of this many frames the times tell the frame rate.
constexpr int64_t kFramesForRate = 1000;

/// The first two pixels of a mosaic, by the number in the header. 0 is also what writers leave there that know nothing
/// of patterns, so it is not trusted.
constexpr std::array<const char*, 4> kPatterns{"GB", "GR", "BG", "RG"};

bool is_empty_header(std::span<const uint8_t> head) {
    return head.size() >= kNorpixHeaderBytes &&
           std::all_of(head.begin(), head.begin() + kNorpixHeaderBytes, [](uint8_t byte) { return byte == 0; });
}

class NorpixSequence : public ImageSequence {
public:
    NorpixSequence(std::shared_ptr<const FileBytes> file, NorpixFrames frames, NorpixPixels pixels,
                   const ImageType& type)
        : file_(std::move(file)), frames_(std::move(frames)), pixels_(pixels), type_(type) {}

    /// The frame at this place in the file comes first, those before it last.
    void begin_at(int64_t place) { first_place_ = place; }
    void forget_times() { has_times_ = false; }
    /// Of the last frame in the file, which has no stamp.
    void set_last_time(double time) { last_time_ = time; }

    int64_t frame_count() const override { return frames_.count; }

    SequenceImage read(int64_t index) const override {
        const int64_t place = place_of(index);
        const uint64_t offset = frames_.offset(place);
        if (frames_.listed()) {
            const FileBytes::Part part = file_->part(offset, frames_.size(place));
            return {decode_image({part.data, frames_.size(place)}, file_->path().string(), type_)};
        }
        const auto raw = [&](int height, int channels) {
            return raw_image(*file_, offset, {height, type_.width, channels, type_.depth});
        };
        switch (pixels_) {
            case NorpixPixels::rgb:
                return converted(raw(type_.height, 3), cv::COLOR_RGB2BGR);
            case NorpixPixels::bgrx:
                return converted(raw(type_.height, 4), cv::COLOR_BGRA2BGR);
            case NorpixPixels::planar:
                return merged(raw(type_.height * 3, 1).image);
            default:
                return raw(type_.height, type_.channels);
        }
    }

    FrameStamp stamp(int64_t index) const override {
        FrameStamp stamp{.number = index};
        if (!has_times_) return stamp;
        const int64_t place = place_of(index);
        if (const auto found = read_norpix_stamp(*file_, frames_, place)) {
            stamp.time = found->time();
        } else if (last_time_) {
            stamp.time = *last_time_;
        }
        return stamp;
    }

    std::optional<double> time_at_place(int64_t place) const {
        const auto stamp = read_norpix_stamp(*file_, frames_, place);
        return stamp ? std::optional(stamp->time()) : std::nullopt;
    }

private:
    int64_t place_of(int64_t index) const { return (index + first_place_) % frames_.count; }

    static SequenceImage converted(const SequenceImage& image, int code) {
        cv::Mat result;
        cv::cvtColor(image.image, result, code);
        return {result};
    }

    SequenceImage merged(const cv::Mat& planes) const {
        std::vector<cv::Mat> channels;
        for (int plane = 0; plane < 3; ++plane)
            channels.push_back(planes.rowRange(plane * type_.height, (plane + 1) * type_.height));
        cv::Mat result;
        cv::merge(channels, result);
        return {result};
    }

    std::shared_ptr<const FileBytes> file_;
    NorpixFrames frames_;
    NorpixPixels pixels_;
    ImageType type_;
    int64_t first_place_ = 0;
    bool has_times_ = true;
    std::optional<double> last_time_;
};

/// Opens a sequence, step by step.
class Opening {
public:
    Opening(const fs::path& path, const SourceOptions& options)
        : path_(path), options_(options), file_(std::make_shared<FileBytes>(path, options.map)) {}

    OpenedSequence open() {
        read_header();
        find_frames();
        warn_of_fewer();
        if (frames_.count == 0) throw Error(ErrorCode::corrupt, "the file holds no whole image");
        sequence_ = std::make_shared<NorpixSequence>(file_, std::move(frames_), format_.pixels, type_);
        begin_ring();
        find_times();
        find_encoding();
        opened_.info.name = path_.string();
        opened_.info.format = kName;
        opened_.info.image_type = type_;
        opened_.frames = sequence_;
        describe();
        return std::move(opened_);
    }

private:
    bool given(const char* option) const { return options_.format.contains(option); }
    uint32_t number(const char* option, uint32_t fallback, int largest, int smallest = 1) const {
        if (!given(option)) return fallback;
        return static_cast<uint32_t>(integer_option(options_.format, option, smallest, smallest, largest));
    }

    void read_header() {
        const std::vector<uint8_t> head = file_->read(0, kNorpixHeaderBytes);
        const bool lost = !is_norpix_header(head);
        if (!lost) header_ = parse_norpix_header(head);
        header_.width = number("width", header_.width, kMaxImageSide);
        header_.height = number("height", header_.height, kMaxImageSide);
        if (given("bits")) {
            header_.bits_per_channel = number("bits", 0, 16);
            header_.bits_per_pixel = 0;
        }
        for (const char* option : {"width", "height", "bits", "format"}) {
            if (given(option)) header_.image_bytes = 0;
        }
        header_.true_size = number("true_size", header_.true_size, std::numeric_limits<int>::max());
        header_.version = static_cast<int32_t>(number("version", static_cast<uint32_t>(header_.version), 5, 3));
        choose_format(lost);
        if (lost) recover();
        if (header_.version < 1) throw Error(ErrorCode::corrupt, fmt::format("it says version {}", header_.version));
    }

    void choose_format(bool lost) {
        if (given("format")) {
            const std::string name = choice_option(options_.format, "format", "", norpix_format_names());
            format_ = *find_norpix_format(name);
            header_.compression = 0;
        } else if (!lost) {
            const NorpixImageFormat* known = find_norpix_format(header_.image_format);
            if (!known) {
                throw Error(
                    ErrorCode::unsupported,
                    fmt::format("images of format {} are not read; --open format=F reads them as one of {}",
                                norpix_format_name(header_.image_format), fmt::join(norpix_format_names(), ", ")));
            }
            format_ = *known;
        }
        if (header_.compression == kNorpixJpegCompression) {
            format_.compressed = true;
        } else if (header_.compression != 0 && !format_.compressed) {
            throw Error(ErrorCode::unsupported, fmt::format("images compressed with {} are not read",
                                                            norpix_compression_name(header_.compression)));
        }
    }

    /// What can be known of a file whose recorder died before it wrote the header.
    void recover() {
        opened_.warnings.push_back("the header is empty: the recorder stopped before it was written");
        const std::vector<uint8_t> head = file_->read(kNorpixHeaderBytes, kNorpixLaterStart - kNorpixHeaderBytes);
        const bool later = file_->size() > kNorpixLaterStart &&
                           std::all_of(head.begin(), head.end(), [](uint8_t byte) { return byte == 0; });
        if (!given("version")) header_.version = later ? kNorpixMicrosecondVersion : 3;
        if (given("format") && format_.compressed) return;
        if (!given("format") && start_of_records()) {
            format_ = *find_norpix_format("jpeg");
            channels_by_image_ = true;
            return;
        }
        if (given("width") && given("height")) {
            if (!given("format")) format_ = *find_norpix_format("mono");
            return;
        }
        throw Error(ErrorCode::corrupt,
                    fmt::format("the header is empty: the recorder stopped before it was written. Say what it was set "
                                "to: --open width=W --open height=H --open bits=8..16 --open format=F (one of {}), and "
                                "where that does not do, --open true_size=BYTES from image to image and --open "
                                "version=3..5",
                                fmt::join(norpix_format_names(), ", ")));
    }

    bool has_microseconds() const { return header_.version >= kNorpixMicrosecondVersion; }
    size_t stamp_bytes() const { return has_microseconds() ? kNorpixStampBytes : kNorpixShortStampBytes; }

    /// Compressed images begin at either place in files of version 5.
    std::optional<uint64_t> start_of_records() const {
        constexpr size_t kHeadBytes = 8;
        for (const uint64_t start : {uint64_t{kNorpixHeaderBytes}, kNorpixLaterStart}) {
            if (begins_norpix_record(file_->read(start, kHeadBytes))) return start;
        }
        return std::nullopt;
    }

    void find_frames() {
        if (format_.compressed) {
            const std::optional<uint64_t> start = start_of_records();
            if (!start) throw Error(ErrorCode::corrupt, "there is no JPEG or PNG image where the first one should be");
            frames_ = find_compressed_frames(path_, *start, stamp_bytes(), opened_.warnings);
            if (frames_.count > 0) find_compressed_type();
            return;
        }
        const uint64_t image_bytes = find_raw_type();
        const uint64_t start = has_microseconds() ? kNorpixLaterStart : kNorpixHeaderBytes;
        uint64_t stride = header_.true_size;
        if (stride == 0) {
            const auto found = find_norpix_true_size(*file_, start, image_bytes, stamp_bytes());
            if (!found) {
                throw Error(ErrorCode::corrupt,
                            "the header does not say how far images lie apart and their times do not show it; --open "
                            "true_size=BYTES says so");
            }
            stride = *found;
        }
        if (stride < image_bytes) {
            throw Error(ErrorCode::corrupt, fmt::format("images of {} bytes cannot lie {} bytes apart, as the header "
                                                        "says; --open true_size=BYTES says it otherwise",
                                                        image_bytes, stride));
        }
        frames_ = find_raw_frames(*file_, start, image_bytes, stride, stamp_bytes(), opened_.warnings);
    }

    /// A file that was cut off behind a whole image looks complete but for the header's count. Recorders also leave a
    /// count there that was only planned, so this is said where nothing else has been.
    void warn_of_fewer() {
        if (header_.frames <= static_cast<uint64_t>(frames_.count) || !opened_.warnings.empty()) return;
        opened_.warnings.push_back(
            fmt::format("the header announces {} images, {} are in the file", header_.frames, frames_.count));
    }

    /// Of the first images, one that can be understood tells.
    void find_compressed_type() {
        constexpr int64_t kImagesToTry = 10;
        type_ = {int(std::min<uint32_t>(header_.height, kMaxImageSide)),
                 int(std::min<uint32_t>(header_.width, kMaxImageSide)), channels_of_decoded(), CV_8U};
        for (int64_t place = 0; place < std::min(frames_.count, kImagesToTry); ++place) {
            const FileBytes::Part part = file_->part(frames_.offset(place), frames_.size(place));
            const auto image = read_image_header({part.data, frames_.size(place)});
            if (!image || image->width < 1 || image->width > kMaxImageSide || image->height < 1 ||
                image->height > kMaxImageSide)
                continue;
            type_.height = int(image->height);
            type_.width = int(image->width);
            type_.depth = image->depth;
            if (channels_by_image_) type_.channels = image->channels == 1 ? 1 : 3;
            break;
        }
        if (!plausible(type_)) throw Error(ErrorCode::corrupt, type_.text() + " are no plausible images");
        const bool same = int64_t{header_.width} == type_.width && int64_t{header_.height} == type_.height;
        if (header_.width > 0 && header_.height > 0 && !same) {
            opened_.warnings.push_back(fmt::format("the header says {}x{}, the images are {}x{} (width x height)",
                                                   header_.width, header_.height, type_.width, type_.height));
        }
    }

    int channels_of_decoded() const { return norpix_channels(format_.pixels) == 1 ? 1 : 3; }

    /// Returns the bytes of an image.
    uint64_t find_raw_type() {
        const int channels = norpix_channels(format_.pixels);
        const uint64_t elements = uint64_t{header_.width} * header_.height * static_cast<uint64_t>(channels);
        const bool possible = header_.width > 0 && header_.height > 0 && header_.width <= kMaxImageSide &&
                              header_.height <= kMaxImageSide;
        if (!possible) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("images of {}x{} are not plausible", header_.width, header_.height));
        }
        uint64_t bytes = header_.image_bytes;
        if (bytes == 0) {
            const bool deep =
                header_.bits_per_channel > 8 || header_.bits_per_pixel > 8 * static_cast<uint32_t>(channels);
            bytes = elements * (deep ? 2 : 1);
        }
        const bool is_yuv = channels == 2;
        const bool is_8_bit = bytes == elements;
        if (!is_8_bit && (bytes != elements * 2 || is_yuv)) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{} images of {}x{} have {}{} bytes, the header says {}: packed bits and padded "
                                    "rows are not read",
                                    format_.name, header_.width, header_.height, elements,
                                    is_yuv ? "" : fmt::format(" or {}", elements * 2), bytes));
        }
        type_ = {int(header_.height), int(header_.width), is_yuv ? 2 : channels_of_decoded(),
                 is_8_bit ? CV_8U : CV_16U};
        if (!plausible(type_)) throw Error(ErrorCode::corrupt, type_.text() + " are no plausible images");
        return bytes;
    }

    /// A recording that went round and round in the file is given in the order of time, where the times bear it out.
    void begin_ring() {
        const int64_t origin = header_.origin;
        const int64_t count = sequence_->frame_count();
        if (origin <= 0 || origin >= count) return;
        const auto time_at = [this](int64_t place) { return sequence_->time_at_place(place).value_or(0); };
        const bool wraps = time_at(origin - 1) > time_at(origin) && time_at(count - 1) <= time_at(0);
        if (wraps) {
            sequence_->begin_at(origin);
            opened_.warnings.push_back(fmt::format(
                "the recording is a ring: frames are given in the order of time, beginning with image {} of the file",
                origin));
        } else {
            opened_.warnings.push_back(
                fmt::format("the header says that the oldest image is number {} of the file, the times do not; they "
                            "are given as they lie",
                            origin));
        }
    }

    void find_times() {
        const int64_t count = sequence_->frame_count();
        const auto first = sequence_->time_at_place(0);
        const auto last = sequence_->time_at_place(count - 1);
        // Writers that have no times leave zeros; of one that counts from 0 only the first stamp is.
        if (!first || (*first == 0 && (count == 1 || last.value_or(0) == 0))) {
            sequence_->forget_times();
            opened_.info.frame_rate = sensible_rate(header_.frame_rate);
            return;
        }
        if (!last) estimate_last();
        std::vector<double> times;
        for (int64_t index = 0; index < std::min(count, kFramesForRate); ++index)
            times.push_back(sequence_->stamp(index).time);
        opened_.info.frame_rate = rate_of_times(times);
        opened_.info.has_times = true;
        opened_.info.times_are_absolute = times.front() >= kFirstAbsoluteTime;
        if (opened_.info.times_are_absolute) opened_.info.creation_time = times.front();
    }

    /// The last image is whole, its stamp is cut off.
    void estimate_last() {
        const int64_t count = sequence_->frame_count();
        std::vector<double> times;
        for (int64_t place = std::max<int64_t>(0, count - kFramesForRate); place < count - 1; ++place)
            times.push_back(sequence_->time_at_place(place).value_or(0));
        const double rate = rate_of_times(times).value_or(0);
        sequence_->set_last_time(times.back() + (rate > 0 ? 1 / rate : 0));
        opened_.warnings.push_back(
            "the time of the last image is cut off; it is taken to follow at the usual interval");
    }

    void find_encoding() {
        if (format_.compressed && format_.pixels != NorpixPixels::bayer) return;
        if (format_.pixels == NorpixPixels::yuyv) opened_.info.encoding = "cv_yuv_yuyv";
        if (format_.pixels == NorpixPixels::uyvy) opened_.info.encoding = "cv_yuv_uyvy";
        if (format_.pixels != NorpixPixels::bayer) return;
        const std::string option =
            choice_option(options_.format, "bayer", "header", {"header", "gb", "gr", "bg", "rg"});
        for (size_t i = 0; i < kPatterns.size(); ++i) {
            const bool chosen = option == "header" ? i > 0 && header_.bayer_pattern == static_cast<int32_t>(i)
                                                   : option == lower_case(kPatterns[i]);
            if (!chosen) continue;
            opened_.user_metadata["bayer_pattern"] = kPatterns[i];
            const Encoding* encoding = encoding_of_genicam(std::string("Bayer") + kPatterns[i]);
            // Mosaics too small to be decoded are given as they are.
            if (decoded_type(*encoding, type_)) opened_.info.encoding = encoding->name;
            return;
        }
        opened_.user_metadata["bayer_note"] = fmt::format(
            "the images are a mosaic whose pattern the header does not tell (it says {}); they are given "
            "as they are stored, and --open bayer=gb|gr|bg|rg decodes them",
            header_.bayer_pattern);
    }

    void describe() {
        Json& metadata = opened_.user_metadata;
        if (!header_.description.empty()) metadata["description"] = header_.description;
        metadata["norpix_version"] = header_.version;
        if (!channels_by_image_) metadata["image_format"] = format_.name;
        if (format_.compressed) metadata["compressed"] = true;
        if (header_.bits_per_channel > 0) metadata["bits_per_channel"] = header_.bits_per_channel;
        if (const auto rate = sensible_rate(header_.frame_rate)) metadata["suggested_frame_rate"] = *rate;
        if (header_.origin > 0) metadata["origin"] = header_.origin;
        if (header_.time_offset_us != 0) metadata["time_offset_microseconds"] = header_.time_offset_us;
        if (header_.reference_seconds > 0) {
            metadata["reference_time"] =
                utc_text(header_.reference_seconds + header_.reference_ms / 1e3 + header_.reference_us / 1e6);
        }
    }

    fs::path path_;
    SourceOptions options_;
    std::shared_ptr<const FileBytes> file_;
    NorpixHeader header_;
    NorpixImageFormat format_;
    bool channels_by_image_ = false;
    ImageType type_;
    NorpixFrames frames_;
    std::shared_ptr<NorpixSequence> sequence_;
    OpenedSequence opened_;
};

class NorpixFile : public FileFormat {
public:
    NorpixFile() {
        info_.name = kName;
        info_.extensions = {".seq"};
        info_.reads = true;
        info_.writes = true;
        info_.lossless = true;
        info_.types =
            "read: gray and Bayer mosaics with 8 to 16 bits, BGR, RGB, BGRx, planar, YUV 4:2:2, JPEG and PNG images; "
            "written: gray uint8 and uint16, colour uint8 (compression=jpeg is lossy)";
        info_.tested = "made from its description, with JPEG and PNG images of OpenCV";
        info_.options = norpix_sink_options();
        const std::string in_place = ", in place of what the header says";
        info_.source_options = {
            {"width", "", "of the images" + in_place},
            {"height", "", "of the images" + in_place},
            {"bits", "", "of a channel, 1 to 16" + in_place},
            {"format", "", fmt::format("{}{}", fmt::join(norpix_format_names(), ", "), in_place)},
            {"true_size", "", "bytes from one uncompressed image to the next" + in_place},
            {"version", "", "3 to 5" + in_place},
            {"bayer", "header", "pattern of a mosaic: gb, gr, bg or rg" + in_place},
        };
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const fs::path& path, std::span<const uint8_t> head) const override {
        return is_norpix_header(head) || (lower_case_extension(path) == ".seq" && is_empty_header(head));
    }

    bool writes_to(const fs::path& path) const override {
        return lower_case_extension(path) == ".seq" &&
               path.filename().string().find_first_of("{}") == std::string::npos;
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            return sequence_source(Opening(path, options).open(), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        return create_norpix_sink(path, options);
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_norpix(FileFormatTable& table) {
    table.push_back(std::make_unique<NorpixFile>());
}

}  // namespace reelstore
