/// Recordings of MultiRecorder and OmniRecorder (.dat), versions d, e and f of their header, in either order of bytes.
///
/// 1024 bytes of header (codecs/foreign/multirecorder_header.h), then the frames: 8- or 16-bit pixels row by row and,
/// from version e on, the 64-bit time at which each was taken, in milliseconds (MultiRecorder) or nanoseconds
/// (OmniRecorder) since 1970. The header is written at the end, so a recorder that died leaves a count of 0; and old
/// recorders wrote "8 bits" for 16. Both are told from the size of the file, and from times that make sense.

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/header_text.h"
#include "codecs/foreign/multirecorder_header.h"
#include "codecs/foreign/multirecorder_sidecars.h"
#include "codecs/foreign/raw_sequence.h"
#include "codecs/foreign/source_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "MultiRecorder";

constexpr size_t kStampBytes = 8;
constexpr uint32_t kPixels8 = 1;
constexpr uint32_t kPixels16 = 3;
/// Larger stamps are nanoseconds, others milliseconds.
constexpr uint64_t kMostMilliseconds = 1000000000000000;
/// 2000 and 2100: what a stamp must lie between to be taken for a time.
constexpr double kEarliestTime = 946684800;
constexpr double kLatestTime = 4102444800;

double seconds_of(uint64_t stamp) {
    const uint64_t unit = stamp > kMostMilliseconds ? 1000000000 : 1000;
    // A double cannot hold nanoseconds since 1970, but it can hold seconds to a fraction of a microsecond.
    return static_cast<double>(stamp / unit) + static_cast<double>(stamp % unit) / static_cast<double>(unit);
}

bool is_time(double seconds) {
    return seconds >= kEarliestTime && seconds <= kLatestTime;
}

/// The frames of a file if its pixels had this depth.
struct Records {
    int depth = CV_16U;
    uint64_t frame_bytes = 0;
    uint64_t stride = 0;
    int64_t whole = 0;
    bool exact = false;  ///< the file ends with the last of as many frames as the header says
};

uint64_t read_stamp(const FileBytes& file, const Records& records, std::endian order, int64_t index) {
    uint8_t bytes[kStampBytes];
    file.read_into(bytes,
                   kMultirecorderHeaderBytes + static_cast<uint64_t>(index) * records.stride + records.frame_bytes,
                   kStampBytes);
    return HeaderBytes(bytes, order).at<uint64_t>(0);
}

class MultirecorderFrames : public RawSequence {
public:
    MultirecorderFrames(std::shared_ptr<const FileBytes> file, const RawLayout& layout, const Records& records)
        : RawSequence(std::move(file), layout), records_(records) {}

    FrameStamp stamp(int64_t index) const override {
        FrameStamp stamp{.number = index};
        if (records_.stride == records_.frame_bytes) return stamp;
        const uint64_t time = read_stamp(file(), records_, layout().order, index);
        if (time != 0) stamp.time = seconds_of(time);
        return stamp;
    }

private:
    Records records_;
};

/// Reads one recording.
class Opening {
public:
    Opening(const fs::path& path, const SourceOptions& options)
        : path_(path),
          file_(std::make_shared<const FileBytes>(path, options.map)),
          header_(parse_multirecorder_header(file_->read(0, kMultirecorderHeaderBytes))) {
        bits_ = choice_option(options.format, "bits", "auto", {"auto", "8", "16"});
    }

    OpenedSequence open() {
        const Records records = choose_depth();
        const ImageType type = type_of(records.depth);
        const int64_t count = choose_count(records);
        read_sidecars();
        opened_.info.name = path_.string();
        opened_.info.format = fmt::format("{} {}", kName, header_.version);
        opened_.info.image_type = type;
        read_times(records, count);
        read_metadata();
        opened_.frames = std::make_shared<MultirecorderFrames>(
            file_, RawLayout{kMultirecorderHeaderBytes, records.stride, type, header_.order, count}, records);
        return std::move(opened_);
    }

private:
    ImageType type_of(int depth) const {
        if (header_.width > kMaxImageSide || header_.height > kMaxImageSide) {
            throw Error(ErrorCode::corrupt, fmt::format("the header says {}x{} pixels, which is no plausible image",
                                                        header_.width, header_.height));
        }
        const ImageType type{static_cast<int>(header_.height), static_cast<int>(header_.width), 1, depth};
        if (!plausible(type)) {
            throw Error(ErrorCode::corrupt, fmt::format("{} is no plausible image", type.text()));
        }
        return type;
    }

    Records records_of(int depth) const {
        Records records;
        records.depth = depth;
        records.frame_bytes = type_of(depth).bytes();
        records.stride = records.frame_bytes + (header_.version == 'd' ? 0 : kStampBytes);
        const uint64_t size = file_->size();
        records.whole = frames_in_file(size, kMultirecorderHeaderBytes, records.stride, records.stride);
        records.exact = records.whole == header_.frames && header_.frames > 0 &&
                        size == kMultirecorderHeaderBytes + header_.frames * records.stride;
        return records;
    }

    Records choose_depth() const {
        const Records bits8 = records_of(CV_8U);
        const Records bits16 = records_of(CV_16U);
        if (bits_ == "8") return bits8;
        if (bits_ == "16") return bits16;
        const bool says8 = header_.pixel_format == kPixels8;
        const bool says16 = header_.pixel_format == kPixels16;
        if (bits8.exact != bits16.exact) return bits8.exact ? bits8 : bits16;
        if (header_.version == 'd') {
            // A frame of 16 bits that is cut off in its very middle is less likely than 8 bits.
            const bool only8 =
                header_.frames == 0 && bits16.whole * 2 != bits8.whole &&
                file_->size() == kMultirecorderHeaderBytes + static_cast<uint64_t>(bits8.whole) * bits8.stride;
            return only8 || (bits8.whole == header_.frames && header_.frames > 0) ? bits8 : bits16;
        }
        const bool times8 = has_times(bits8);
        const bool times16 = has_times(bits16);
        if (times8 != times16) return times8 ? bits8 : bits16;
        if (says16 || (header_.frames > 0 && bits16.whole == header_.frames)) return bits16;
        if (says8) return bits8;
        throw Error(
            ErrorCode::unsupported,
            fmt::format("pixel format {} is not known, and nothing in the file tells how many bits a pixel has; "
                        "open it with --open bits=8 or bits=16",
                        header_.pixel_format.value_or(0)));
    }

    /// Whether there are times in ascending order where they should be.
    bool has_times(const Records& records) const {
        if (records.whole == 0) return false;
        double last = kEarliestTime;
        for (const int64_t index : {int64_t{0}, records.whole / 2, records.whole - 1}) {
            const double time = seconds_of(read_stamp(*file_, records, header_.order, index));
            if (!is_time(time) || time < last) return false;
            last = time;
        }
        return true;
    }

    int64_t choose_count(const Records& records) {
        // Frames behind those that the header counts, as their times show.
        const bool continues =
            header_.frames > 0 && header_.frames < records.whole && header_.version != 'd' && has_times(records);
        if (!continues) return count_of_frames(header_.frames, records.whole, opened_.warnings);
        opened_.warnings.push_back(
            fmt::format("the header announces {} frames, there are {}", header_.frames, records.whole));
        return records.whole;
    }

    void read_sidecars() {
        MultirecorderSidecars sidecars = read_multirecorder_sidecars(path_);
        opened_.user_metadata = std::move(sidecars.metadata);
        opened_.info.frame_rate = sensible_rate(sidecars.frame_rate);
        for (std::string& warning : sidecars.warnings) opened_.warnings.push_back(std::move(warning));
    }

    void read_times(const Records& records, int64_t count) {
        SourceInfo& info = opened_.info;
        if (header_.frame_rate > 0) info.frame_rate = header_.frame_rate;
        info.creation_time = parse_multirecorder_date(header_.date);
        if (header_.version == 'd') return;
        const uint64_t first = read_stamp(*file_, records, header_.order, 0);
        info.has_times = first != 0 && read_stamp(*file_, records, header_.order, count - 1) != 0;
        info.times_are_absolute = info.has_times && is_time(seconds_of(first));
        // The date has no zone, the stamps do.
        if (info.times_are_absolute) info.creation_time = seconds_of(first);
    }

    void read_metadata() {
        Json& metadata = opened_.user_metadata;
        if (!header_.comment.empty()) metadata["comment"] = header_.comment;
        if (!header_.date.empty()) metadata["date"] = header_.date;
        if (header_.binning > 0) metadata["binning"] = header_.binning;
        if (opened_.info.frame_rate) metadata["frame_rate"] = *opened_.info.frame_rate;
    }

    fs::path path_;
    std::shared_ptr<const FileBytes> file_;
    MultirecorderHeader header_;
    std::string bits_;
    OpenedSequence opened_;
};

class MultirecorderFile : public SourceFormat {
public:
    MultirecorderFile()
        : SourceFormat({.name = kName,
                        .extensions = {".dat", ".omni"},
                        .lossless = true,
                        .types = "gray uint8 and uint16",
                        .tested = "made from its description",
                        .options = {},
                        .source_options = {{"bits", "auto", "bits of a pixel, 8 or 16, where the file does not tell"},
                                           {"camera", "0", "which of the recordings that an .omni file lists"}}}) {}

    bool recognises(const fs::path& path, std::span<const uint8_t> head) const override {
        return looks_like_multirecorder(head) || is_omni(path, head);
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            if (lower_case_extension(path) == ".omni") return open_omni(path, options);
            if (options.format.contains("camera")) {
                throw Error(ErrorCode::invalid_argument, "option camera is for .omni files; this is one camera's");
            }
            return sequence_source(open_recording(path, options), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }

private:
    static bool is_omni(const fs::path& path, std::span<const uint8_t> head) {
        if (lower_case_extension(path) != ".omni") return false;
        const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
        const size_t begin = text.find_first_not_of(" \t\r\n");
        return begin != std::string_view::npos && text[begin] == '{';
    }

    static OpenedSequence open_recording(const fs::path& path, const SourceOptions& options) {
        try {
            return Opening(path, options).open();
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }

    static std::unique_ptr<FrameSource> open_omni(const fs::path& path, const SourceOptions& options) {
        const std::vector<fs::path> recordings = recordings_of_omni(path);
        const int count = static_cast<int>(recordings.size());
        const int camera = integer_option(options.format, "camera", 0, 0, count - 1);
        const fs::path& recording = recordings[static_cast<size_t>(camera)];
        OpenedSequence opened = open_recording(recording, options);
        if (count > 1 && !options.format.contains("camera")) {
            opened.warnings.push_back(
                fmt::format("of {} cameras the first is read, {}; --open camera=1 to {} reads the others", count,
                            recording.filename().string(), count - 1));
        }
        return sequence_source(std::move(opened), options);
    }
};

}  // namespace

void add_file_formats_multirecorder(FileFormatTable& table) {
    table.push_back(std::make_unique<MultirecorderFile>());
}

}  // namespace reelstore
