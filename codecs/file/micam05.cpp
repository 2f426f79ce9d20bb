/// Recordings of the camera MiCAM05 (SciMedia, Brainvision): NAME.gsd with the images and NAME.gsh with a description.
///
/// NAME.gsd begins with 256 bytes of text and a table of little-endian numbers (the constants below). Then follow one
/// background image, every frame as its 16-bit difference to that, and the analog inputs, C channels with R samples a
/// frame. The numbers end at 972. Files whose images begin at 970 exist too; the size of the file tells which it is.
/// Rows are X pixels long, and there are Y of them. The format counts frames with 16 bits; longer recordings are told
/// by NAME.gsh or by the size.
///
/// NAME.gsh holds lines of text, "key : value" or "key=value".
///
/// By default the stored rows and columns are given whole, as optimap does; the part that the camera calls useful is in
/// the metadata, and `region=useful` gives only that.

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_name.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/foreign/difference_images.h"
#include "codecs/foreign/file_bytes.h"
#include "codecs/foreign/folder_files.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/header_text.h"
#include "codecs/foreign/image_sequence.h"
#include "codecs/foreign/source_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "MiCAM05";

constexpr size_t kTextBytes = 256;
constexpr size_t kColumnsAt = 256;
constexpr size_t kRowsAt = 258;
constexpr size_t kLeftSkipAt = 260;
constexpr size_t kTopSkipAt = 262;
constexpr size_t kUsefulColumnsAt = 264;
constexpr size_t kUsefulRowsAt = 266;
constexpr size_t kFramesAt = 268;
constexpr size_t kAverageAt = 280;
constexpr size_t kSampleTimeAt = 284;
constexpr size_t kAnalogChannelsAt = 328;
constexpr size_t kAnalogSamplesAt = 330;
constexpr uint64_t kUsualDataStart = 972;
constexpr uint64_t kOtherDataStart = 970;

/// Of all channels in one frame; more is taken for damage.
constexpr int kMostAnalogSamples = 65536;
constexpr uint64_t kLongestDescription = uint64_t{1} << 20;

const std::vector<std::string> kFrameCountKeys = {"number_of_frames", "frame_number", "frames"};
const std::vector<std::string> kIntervalKeys = {"sampling_time", "sampling_time_msec", "sampling_time_ms",
                                                "sample_time",   "sample_time_msec",   "sample_time_ms"};
const std::vector<std::string> kRateKeys = {"frame_rate_hz", "frame_rate"};
/// Any of them shows that a text is such a description.
const std::vector<std::string> kTellingKeys = {"number_of_frames", "image_width",  "image_height", "frame_rate_hz",
                                               "sampling_time",    "sample_time",  "frame_number", "data_size",
                                               "exposure",         "date_created", "dual_cam"};

struct GsdHeader {
    std::string text;
    int columns = 0;
    int rows = 0;
    cv::Rect useful;  ///< empty when the header names no sensible one
    bool names_nonsense_as_useful = false;
    int64_t frames = 0;
    float average = 0;
    float sample_time = 0;  ///< milliseconds
    int analog_channels = 0;
    int analog_samples = 0;  ///< of a channel in a frame

    uint64_t frame_bytes() const { return uint64_t{2} * static_cast<uint64_t>(columns) * static_cast<uint64_t>(rows); }
    uint64_t analog_frame_bytes() const {
        return uint64_t{2} * static_cast<uint64_t>(analog_channels) * static_cast<uint64_t>(analog_samples);
    }
    /// Size of a file of `count` frames whose images begin at `start`. Nothing here can overflow: every factor has 16
    /// bits, only the count more, and that is one of a file.
    uint64_t file_size(uint64_t start, int64_t count) const {
        const auto frames_64 = static_cast<uint64_t>(count);
        return start + frame_bytes() * (frames_64 + 1) + analog_frame_bytes() * frames_64;
    }
};

GsdHeader read_header(const HeaderBytes& bytes) {
    GsdHeader header;
    header.text = bytes.text(0, kTextBytes);
    header.columns = bytes.at<int16_t>(kColumnsAt);
    header.rows = bytes.at<int16_t>(kRowsAt);
    const cv::Rect whole(0, 0, header.columns, header.rows);
    const cv::Rect useful(bytes.at<int16_t>(kLeftSkipAt), bytes.at<int16_t>(kTopSkipAt),
                          bytes.at<int16_t>(kUsefulColumnsAt), bytes.at<int16_t>(kUsefulRowsAt));
    if (useful.width > 0 && useful.height > 0 && (useful & whole) == useful) header.useful = useful;
    header.names_nonsense_as_useful = header.useful.empty() && useful != cv::Rect();
    header.frames = bytes.at<uint16_t>(kFramesAt);
    header.average = bytes.at<float>(kAverageAt);
    header.sample_time = bytes.at<float>(kSampleTimeAt);
    header.analog_channels = bytes.at<int16_t>(kAnalogChannelsAt);
    header.analog_samples = bytes.at<int16_t>(kAnalogSamplesAt);
    const bool has_sizes = header.columns > 0 && header.rows > 0;
    if (!has_sizes) {
        throw Error(ErrorCode::corrupt, fmt::format("the header's image size, {} columns and {} rows, makes no sense",
                                                    header.columns, header.rows));
    }
    return header;
}

/// Whether the analog part that the header describes can be one.
bool has_sensible_analog_part(const GsdHeader& header) {
    return header.analog_channels >= 0 && header.analog_samples >= 0 &&
           header.analog_channels * header.analog_samples <= kMostAnalogSamples;
}

/// Whether a file of this size is what the header describes, to the byte.
bool fits_size(const GsdHeader& header, uint64_t size) {
    return header.frames > 0 && (header.file_size(kUsualDataStart, header.frames) == size ||
                                 header.file_size(kOtherDataStart, header.frames) == size);
}

/// Whether the header can be one at all. Almost any bytes make some size of images.
bool is_plausible(const GsdHeader& header) {
    constexpr float kShortest = 1e-3F;
    constexpr float kLongest = 1e6F;
    const bool has_text = std::none_of(header.text.begin(), header.text.end(), [](char character) {
        return static_cast<uint8_t>(character) < ' ' && character != '\t' && character != '\r' && character != '\n';
    });
    const bool has_time =
        header.sample_time == 0 || (header.sample_time >= kShortest && header.sample_time <= kLongest);
    return has_text && has_time && !header.names_nonsense_as_useful;
}

/// Where things are in a .gsd.
struct Layout {
    uint64_t data_start = kUsualDataStart;
    int64_t frames = 0;
    uint64_t analog_start = 0;
    int64_t analog_stride = 0;  ///< frames that each channel has; 0: there are no analog data
};

class LayoutFinder {
public:
    LayoutFinder(GsdHeader& header, std::optional<int64_t> described_frames, uint64_t file_size,
                 std::vector<std::string>& warnings)
        : header_(header), described_frames_(described_frames), file_size_(file_size), warnings_(warnings) {}

    Layout find() {
        if (!has_sensible_analog_part(header_)) {
            warnings_.push_back(
                fmt::format("the header's {} analog channels with {} samples a frame make no sense; "
                            "analog data are not given",
                            header_.analog_channels, header_.analog_samples));
            header_.analog_channels = header_.analog_samples = 0;
        }
        Layout layout;
        layout.frames = -1;
        find_by_size(layout);
        if (layout.frames < 0) guess(layout);
        if (header_.analog_frame_bytes() > 0 && layout.analog_stride == 0 && layout.frames > 0) {
            warnings_.push_back("the analog data that the header announces are not in the file");
        }
        layout.analog_start = layout.data_start + header_.frame_bytes() * (static_cast<uint64_t>(layout.frames) + 1);
        return layout;
    }

private:
    std::vector<int64_t> announced_counts() const {
        std::vector<int64_t> counts = {header_.frames};
        if (described_frames_ && *described_frames_ >= 0 && *described_frames_ <= frames_that_fit() + 1)
            counts.push_back(*described_frames_);
        return counts;
    }

    int64_t frames_that_fit() const {
        return frames_in_file(file_size_, kOtherDataStart + header_.frame_bytes(), header_.frame_bytes(),
                              header_.frame_bytes());
    }

    /// The size of the file fits a count and a start of the images: then there is nothing to guess.
    void find_by_size(Layout& layout) const {
        for (const int64_t count : announced_counts()) {
            for (const uint64_t start : {kUsualDataStart, kOtherDataStart}) {
                if (count > 0 && header_.file_size(start, count) == file_size_) return take(layout, start, count, true);
            }
        }
        // The count has been too long for its field, or the recorder never wrote it.
        for (const uint64_t start : {kUsualDataStart, kOtherDataStart}) {
            const uint64_t of_frame = header_.frame_bytes() + header_.analog_frame_bytes();
            if (file_size_ <= start + header_.frame_bytes()) continue;
            const uint64_t behind_background = file_size_ - start - header_.frame_bytes();
            const auto count = static_cast<int64_t>(behind_background / of_frame);
            const bool fits = behind_background % of_frame == 0;
            if (fits && (header_.frames == 0 || (count > UINT16_MAX && (count & UINT16_MAX) == header_.frames))) {
                take(layout, start, count, true);
                warnings_.push_back(fmt::format("the header counts {} frames; the file's size shows that there are {}",
                                                header_.frames, count));
                return;
            }
        }
        for (const int64_t count : announced_counts()) {
            for (const uint64_t start : {kUsualDataStart, kOtherDataStart}) {
                const uint64_t size = start + header_.frame_bytes() * (static_cast<uint64_t>(count) + 1);
                if (count > 0 && size == file_size_) return take(layout, start, count, false);
            }
        }
    }

    void take(Layout& layout, uint64_t start, int64_t count, bool with_analog) const {
        layout.data_start = start;
        layout.frames = count;
        layout.analog_stride = with_analog && header_.analog_frame_bytes() > 0 ? count : 0;
    }

    /// The size fits nothing: the images begin where they should, and what is there is given.
    void guess(Layout& layout) const {
        const std::vector<int64_t> announced = announced_counts();
        int64_t expected = *std::max_element(announced.begin(), announced.end());
        // A count that was too long for its field is whole only in the description, also of a file that is cut off.
        const int64_t described = described_frames_.value_or(0);
        if (described > UINT16_MAX && (described & UINT16_MAX) == header_.frames) expected = described;
        const int64_t there = frames_in_file(file_size_, kUsualDataStart + header_.frame_bytes(), header_.frame_bytes(),
                                             header_.frame_bytes());
        const int64_t count = expected > 0 ? std::min(expected, there) : there;
        const uint64_t with_analog = header_.frame_bytes() + header_.analog_frame_bytes();
        const int64_t room =
            frames_in_file(file_size_, kUsualDataStart + header_.frame_bytes(), with_analog, with_analog);
        take(layout, kUsualDataStart, count, expected > 0 && count == expected);
        warnings_.push_back(fmt::format(
            "the file's size, {} bytes, does not fit the header's {} frames of {} columns and {} rows; the images are "
            "taken to begin at {}, and {} frames are {}",
            file_size_, header_.frames, header_.columns, header_.rows, kUsualDataStart, count,
            count < room        ? fmt::format("given of {} that there is room for", room)
            : count == expected ? "there"
                                : "there; a frame cut off at the end is left out"));
        const uint64_t analog_bytes = header_.analog_frame_bytes() * static_cast<uint64_t>(count);
        const uint64_t analog_start = header_.file_size(kUsualDataStart, count) - analog_bytes;
        if (analog_start >= file_size_) {
            layout.analog_stride = 0;
        } else if (layout.analog_stride > 0 && file_size_ - analog_start < analog_bytes) {
            warnings_.push_back("the analog data are cut off; samples that are missing are null");
        }
    }

    GsdHeader& header_;
    std::optional<int64_t> described_frames_;
    uint64_t file_size_;
    std::vector<std::string>& warnings_;
};

enum class AnalogOrder { channels, interleaved };

struct MicamOptions {
    DifferenceImages images = DifferenceImages::frames;
    AnalogOrder analog_order = AnalogOrder::channels;
    bool useful_region = false;
};

class MicamSequence : public ImageSequence {
public:
    MicamSequence(std::shared_ptr<const FileBytes> file, const GsdHeader& header, const Layout& layout,
                  const MicamOptions& options)
        : file_(std::move(file)), header_(header), layout_(layout), options_(options) {
        const bool crops = options.useful_region && header.useful.area() > 0;
        region_ = crops ? header.useful : cv::Rect(0, 0, header.columns, header.rows);
        if (layout.frames > 0 || file_->size() >= layout.data_start + header.frame_bytes()) {
            background_ = part_of(raw_image(*file_, layout.data_start, stored_type(CV_16U)));
        }
    }

    ImageType image_type() const {
        return {region_.height, region_.width, 1, options_.images == DifferenceImages::differences ? CV_16S : CV_16U};
    }

    int64_t frame_count() const override {
        if (options_.images == DifferenceImages::background) return background_.image.empty() ? 0 : 1;
        return layout_.frames;
    }

    SequenceImage read(int64_t index) const override {
        if (options_.images == DifferenceImages::background) return background_;
        const uint64_t offset = layout_.data_start + header_.frame_bytes() * (static_cast<uint64_t>(index) + 1);
        const SequenceImage difference = part_of(raw_image(*file_, offset, stored_type(CV_16S)));
        if (options_.images == DifferenceImages::differences) return difference;
        return {add_difference(background_.image, difference.image), nullptr};
    }

    std::vector<Json> extra_data_of(int64_t index) const override {
        if (layout_.analog_stride == 0 || options_.images == DifferenceImages::background) return {};
        Json channels = Json::array();
        for (int channel = 0; channel < header_.analog_channels; ++channel) {
            Json samples = Json::array();
            for (int sample = 0; sample < header_.analog_samples; ++sample)
                samples.push_back(analog_value(index, channel, sample));
            channels.push_back(std::move(samples));
        }
        Json record = Json::object();
        record["analog"] = std::move(channels);
        return {std::move(record)};
    }

private:
    ImageType stored_type(int depth) const { return {header_.rows, header_.columns, 1, depth}; }

    SequenceImage part_of(SequenceImage whole) const {
        if (region_.size() == whole.image.size()) return whole;
        return {whole.image(region_).clone(), nullptr};
    }

    Json analog_value(int64_t frame, int channel, int sample) const {
        const int64_t time = frame * header_.analog_samples + sample;
        const int64_t place = options_.analog_order == AnalogOrder::channels
                                  ? channel * layout_.analog_stride * header_.analog_samples + time
                                  : time * header_.analog_channels + channel;
        const uint64_t offset = layout_.analog_start + 2 * static_cast<uint64_t>(place);
        const std::vector<uint8_t> bytes = file_->read(offset, 2);
        if (bytes.size() < 2) return nullptr;
        return HeaderBytes(bytes).at<int16_t>(0);
    }

    std::shared_ptr<const FileBytes> file_;
    GsdHeader header_;
    Layout layout_;
    MicamOptions options_;
    cv::Rect region_;
    SequenceImage background_;
};

HeaderEntries parse_description(std::string_view text) {
    HeaderEntries entries;
    for (const std::string_view line : header_lines(text)) {
        // Values hold colons too, those of dates.
        if (const auto entry = split_entry(line, ":=")) entries.add(entry->first, entry->second);
    }
    return entries;
}

MicamOptions parse_options(const CodecOptions& options) {
    MicamOptions parsed;
    parsed.images = difference_images_option(options);
    parsed.analog_order = choice_option(options, "analog_order", "channels", {"channels", "interleaved"}) == "channels"
                              ? AnalogOrder::channels
                              : AnalogOrder::interleaved;
    parsed.useful_region = choice_option(options, "region", "stored", {"stored", "useful"}) == "useful";
    return parsed;
}

std::optional<double> frame_rate(const HeaderEntries& description, const GsdHeader& header) {
    if (const auto rate = sensible_rate(description.number(kRateKeys))) return rate;
    if (const auto rate = description.rate_of_interval(kIntervalKeys)) return rate;
    if (!std::isfinite(header.sample_time) || header.sample_time <= 0) return std::nullopt;
    return sensible_rate(1e3 / shortest_decimal(header.sample_time));
}

Json metadata_of(const GsdHeader& header, const Layout& layout, const HeaderEntries& description,
                 std::optional<double> rate) {
    Json metadata = description.metadata();
    if (!header.text.empty()) metadata["header_text"] = header.text;
    metadata["stored_columns"] = header.columns;
    metadata["stored_rows"] = header.rows;
    if (header.useful.area() > 0) {
        metadata["useful_region"] = {{"x", header.useful.x},
                                     {"y", header.useful.y},
                                     {"width", header.useful.width},
                                     {"height", header.useful.height}};
    }
    if (std::isfinite(header.average)) metadata["average"] = shortest_decimal(header.average);
    if (std::isfinite(header.sample_time)) metadata["sample_time_milliseconds"] = shortest_decimal(header.sample_time);
    if (header.analog_frame_bytes() > 0) {
        metadata["analog_channels"] = header.analog_channels;
        metadata["analog_samples_per_frame"] = header.analog_samples;
        if (rate) metadata["analog_sample_rate"] = *rate * header.analog_samples;
    }
    metadata["data_start"] = layout.data_start;
    return metadata;
}

FileFormatInfo micam05_info() {
    FileFormatInfo info;
    info.name = kName;
    info.extensions = {".gsd", ".gsh"};
    info.lossless = true;
    info.types = "16-bit gray";
    info.tested = "made from its description";
    info.source_options = {
        difference_images_option_info(),
        {"region", "stored", "stored: all rows and columns in the file; useful: the part the camera calls useful"},
        {"analog_order", "channels",
         "how the analog samples lie in the file: channels: one channel after the other; interleaved: one sample "
         "of each channel after the other"}};
    return info;
}

class Micam05File : public SourceFormat {
public:
    Micam05File() : SourceFormat(micam05_info()) {}

    bool recognises(const fs::path& path, std::span<const uint8_t> head) const override {
        const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
        if (lower_case_extension(path) == ".gsh") return looks_like_text(text) && is_description(text);
        if (head.size() < kUsualDataStart) {
            // The description beside it tells what is left of it.
            const bool is_cut_off = lower_case_extension(path) == ".gsd" && !head.empty();
            return is_cut_off && FolderFiles(path).find(path.stem().string() + ".gsh");
        }
        try {
            const GsdHeader header = read_header(HeaderBytes(head));
            if (!has_sensible_analog_part(header)) return false;
            if (fits_size(header, file_system().status(path).size)) return true;
            // What a recording has lost is told by its name and its header.
            return lower_case_extension(path) == ".gsd" &&
                   (is_plausible(header) || FolderFiles(path).find(path.stem().string() + ".gsh"));
        } catch (const Error&) {
            return false;
        }
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        const MicamOptions own_options = parse_options(options.format);
        const bool is_description_file = lower_case_extension(path) == ".gsh";
        const fs::path images_path = is_description_file ? companion(path, ".gsd") : path;
        OpenedSequence opened;
        const HeaderEntries description = read_description(path, is_description_file, opened.warnings);
        try {
            open_images(images_path, description, own_options, options.map, opened);
        } catch (const Error& error) {
            throw error.at({images_path.string(), {}, {}});
        }
        opened.info.name = path.string();
        return sequence_source(std::move(opened), options);
    }

private:
    static bool is_description(std::string_view text) { return parse_description(text).text(kTellingKeys).has_value(); }

    /// The file of the same name with the other extension.
    static fs::path companion(const fs::path& path, const char* extension) {
        const std::string name = path.stem().string() + extension;
        const FolderFiles folder(path);
        if (const auto found = folder.find(name)) return *found;
        throw Error(ErrorCode::not_found, {folder.path_of(name).string(), {}, {}},
                    fmt::format("the file with the images is missing; it belongs beside {}", path.filename().string()));
    }

    static HeaderEntries read_description(const fs::path& path, bool is_description_file,
                                          std::vector<std::string>& warnings) {
        fs::path description = path;
        if (!is_description_file) {
            const std::string name = path.stem().string() + ".gsh";
            const auto found = FolderFiles(path).find(name);
            if (!found) {
                warnings.push_back(fmt::format("{} is missing: what it says about the recording is unknown", name));
                return {};
            }
            description = *found;
        }
        try {
            const std::string text = read_text_file(description, kLongestDescription);
            HeaderEntries entries;
            if (looks_like_text(text)) entries = parse_description(text);
            if (entries.empty())
                warnings.push_back(fmt::format("{} says nothing about the recording", description.string()));
            return entries;
        } catch (const Error& error) {
            warnings.push_back(fmt::format("{} cannot be read: {}", description.string(), error.message()));
            return {};
        }
    }

    static void open_images(const fs::path& path, const HeaderEntries& description, const MicamOptions& options,
                            bool map, OpenedSequence& opened) {
        const auto file = std::make_shared<const FileBytes>(path, map);
        const std::vector<uint8_t> head = file->read(0, kUsualDataStart);
        GsdHeader header = read_header(HeaderBytes(head));
        warn_of_other_sizes(description, header, opened.warnings);
        const Layout layout =
            LayoutFinder(header, description.integer(kFrameCountKeys), file->size(), opened.warnings).find();
        if (options.useful_region && header.useful.area() == 0)
            opened.warnings.push_back("the header names no useful region within the image; all of it is given");
        const auto frames = std::make_shared<const MicamSequence>(file, header, layout, options);
        opened.frames = frames;
        opened.info.format = kName;
        opened.info.image_type = frames->image_type();
        opened.info.frame_rate = frame_rate(description, header);
        opened.info.creation_time =
            parse_header_date(description.text({"date_created", "acquisition_date", "date"}).value_or(""));
        opened.user_metadata = metadata_of(header, layout, description, opened.info.frame_rate);
    }

    static void warn_of_other_sizes(const HeaderEntries& description, const GsdHeader& header,
                                    std::vector<std::string>& warnings) {
        const auto columns = description.integer({"image_width"});
        const auto rows = description.integer({"image_height"});
        if (!columns || !rows) return;
        const bool is_stored = *columns == header.columns && *rows == header.rows;
        const bool is_useful = *columns == header.useful.width && *rows == header.useful.height;
        if (is_stored || is_useful) return;
        warnings.push_back(
            fmt::format("the description says {} columns and {} rows, the file with the images {} and "
                        "{}, which is what counts",
                        *columns, *rows, header.columns, header.rows));
    }
};

}  // namespace

void add_file_formats_micam05(FileFormatTable& table) {
    table.push_back(std::make_unique<Micam05File>());
}

}  // namespace reelstore
