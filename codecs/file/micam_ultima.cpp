/// Recordings of the camera MiCAM ULTIMA (SciMedia, Brainvision): NAME.rsh with a description, NAME.rsm with the
/// background, NAME(0).rsd, NAME(1).rsd, ... with the frames.
///
/// NAME.rsh is text: a title, two lines of "key=value" separated by '/' (x and y: columns and rows; lskp and rskp:
/// columns at the left and right that are no image; blk: frames of a .rsd), lines of one "key=value" each, the line
/// "Data-File-List" and the names of the other files.
///
/// Images are rows of 16-bit little-endian numbers without anything around them. NAME.rsm holds the background, every
/// .rsd up to blk frames as differences to it. The first frame of the first .rsd is no difference but the image itself,
/// from which the camera took the differences that follow; where the title's third character is U it is the background,
/// where it is M that is in NAME.rsm. With two cameras (dual_cam) their frames alternate, and the first frame of each
/// is its image.
///
/// Three of the columns that are no image carry inputs: in rows 0, 4, ... 76 the samples that belong to the frame.
///
/// A sum of background and difference is taken modulo 65536, so that differences which ran over need not be unwrapped
/// by comparing frames with each other, as programs do that keep the differences alone.

#include <algorithm>
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
#include "codecs/foreign/micam_ultima_frames.h"
#include "codecs/foreign/micam_ultima_header.h"
#include "codecs/foreign/source_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "MiCAM ULTIMA";

struct Input {
    const char* name;
    int column;
};
constexpr Input kInputs[] = {{"analog1", 12}, {"analog2", 14}, {"stimulus", 8}};
constexpr int kInputRows = 80;
constexpr int kInputRowStep = 4;
constexpr int kInputSamples = kInputRows / kInputRowStep;

/// How much nearer to nothing than to the background the first frame must be to be a difference after all.
constexpr double kClearlyNearer = 8;

enum class FirstFrame { automatic, absolute, difference };

struct UltimaOptions {
    DifferenceImages images = DifferenceImages::frames;
    bool whole_region = false;
    int camera = 1;
    FirstFrame first_frame = FirstFrame::automatic;
    bool keep_padding = false;
};

UltimaOptions parse_options(const CodecOptions& options) {
    UltimaOptions parsed;
    parsed.images = difference_images_option(options);
    parsed.whole_region = choice_option(options, "region", "useful", {"useful", "stored"}) == "stored";
    parsed.camera = integer_option(options, "camera", 1, 1, 2);
    const std::string first = choice_option(options, "first_frame", "auto", {"auto", "absolute", "difference"});
    if (first == "absolute") parsed.first_frame = FirstFrame::absolute;
    if (first == "difference") parsed.first_frame = FirstFrame::difference;
    parsed.keep_padding = choice_option(options, "padding", "drop", {"drop", "keep"}) == "keep";
    return parsed;
}

/// The description that belongs to any file of a recording.
std::optional<fs::path> find_description(const fs::path& path) {
    if (lower_case_extension(path) == ".rsh") return path;
    const FolderFiles folder(path);
    for (const std::string& stem : {ultima_recording_stem(path), path.stem().string()}) {
        if (const auto found = folder.find(stem + ".rsh")) return found;
    }
    return std::nullopt;
}

cv::Mat as_unsigned(const cv::Mat& image) {
    return {image.rows, image.cols, CV_16UC1, image.data, image.step};
}

/// Mean distance of an int16 image to another one where the numbers have run over, or to nothing.
double mean_size(const cv::Mat& image) {
    double sum = 0;
    for (int row = 0; row < image.rows; ++row) {
        const int16_t* const pixels = image.ptr<int16_t>(row);
        for (int column = 0; column < image.cols; ++column) sum += std::abs(static_cast<int>(pixels[column]));
    }
    return sum / static_cast<double>(std::max<size_t>(image.total(), 1));
}

class UltimaSequence : public ImageSequence {
public:
    UltimaSequence(const UltimaDescription& description, std::shared_ptr<const UltimaFrames> raw, cv::Mat background,
                   bool first_is_absolute, const UltimaOptions& options)
        : description_(description),
          raw_(std::move(raw)),
          background_(std::move(background)),
          first_is_absolute_(first_is_absolute),
          options_(options) {
        region_ =
            options.whole_region ? cv::Rect(0, 0, description.columns, description.rows) : description.image_region();
        for (const Input& input : kInputs) {
            const bool is_image = description.image_region().contains({input.column, 0});
            if (!is_image && input.column < description.columns) inputs_.push_back(input);
        }
    }

    ImageType image_type() const {
        return {region_.height, region_.width, 1, options_.images == DifferenceImages::differences ? CV_16S : CV_16U};
    }
    bool has_inputs() const { return !inputs_.empty(); }

    int64_t frame_count() const override {
        if (options_.images == DifferenceImages::background) return 1;
        if (!description_.dual_camera) return raw_->count();
        return options_.camera == 1 ? (raw_->count() + 1) / 2 : raw_->count() / 2;
    }

    FrameStamp stamp(int64_t index) const override {
        return {.number = options_.images == DifferenceImages::background ? 0 : raw_index(index)};
    }

    SequenceImage read(int64_t index) const override {
        if (options_.images == DifferenceImages::background) return {background_(region_).clone(), nullptr};
        const SequenceImage stored = raw_->read(raw_index(index));
        const cv::Mat background = background_(region_);
        const cv::Mat image = stored.image(region_);
        const bool is_absolute = index == 0 && first_is_absolute_;
        if (options_.images == DifferenceImages::differences)
            return {is_absolute ? difference_to(background, image) : image.clone(), nullptr};
        return {is_absolute ? as_unsigned(image).clone() : add_difference(background, image), nullptr};
    }

    std::vector<Json> extra_data_of(int64_t index) const override {
        if (inputs_.empty() || options_.images == DifferenceImages::background) return {};
        SequenceImage stored;
        try {
            stored = raw_->read(raw_index(index));
        } catch (const Error&) {
            // Of a frame that cannot be read there are no inputs either; reading the frame says so.
            return {};
        }
        Json record = Json::object();
        for (const Input& input : inputs_) {
            Json samples = Json::array();
            for (int row = 0; row < std::min(kInputRows, description_.rows); row += kInputRowStep)
                samples.push_back(stored.image.at<int16_t>(row, input.column));
            record[input.name] = std::move(samples);
        }
        return {std::move(record)};
    }

private:
    int64_t raw_index(int64_t index) const {
        return description_.dual_camera ? 2 * index + options_.camera - 1 : index;
    }

    UltimaDescription description_;
    std::shared_ptr<const UltimaFrames> raw_;
    cv::Mat background_;  ///< all columns
    bool first_is_absolute_;
    UltimaOptions options_;
    cv::Rect region_;
    std::vector<Input> inputs_;
};

class UltimaOpener {
public:
    UltimaOpener(const fs::path& description_path, const SourceOptions& options, OpenedSequence& opened)
        : path_(description_path), folder_(description_path), map_(options.map), opened_(opened) {
        options_ = parse_options(options.format);
    }

    void open() {
        description_ = read_ultima_description(path_, opened_.warnings);
        check_camera();
        raw_ = std::make_shared<const UltimaFrames>(path_, description_, folder_, options_.keep_padding, map_,
                                                    opened_.warnings);
        find_background();
        const auto frames =
            std::make_shared<const UltimaSequence>(description_, raw_, background_, first_is_absolute_, options_);
        opened_.frames = frames;
        opened_.info.format = kName;
        opened_.info.image_type = frames->image_type();
        opened_.info.has_numbers = description_.dual_camera;
        opened_.info.frame_rate = description_.entries.rate_of_interval({"sample_time", "sampling_time"});
        opened_.info.creation_time =
            parse_header_date(description_.entries.text({"acquisition_date", "date"}).value_or(""));
        fill_metadata(frames->has_inputs());
    }

private:
    void check_camera() {
        if (!description_.dual_camera && options_.camera != 1) {
            throw Error(ErrorCode::not_found, "the recording is of one camera only; open it without camera=2");
        }
        if (description_.dual_camera) {
            opened_.warnings.push_back(fmt::format(
                "the recording is of two cameras whose frames alternate; this is camera {}, open it with camera={} for "
                "the other",
                options_.camera, 3 - options_.camera));
        }
    }

    int64_t first_frame() const { return description_.dual_camera ? options_.camera - 1 : 0; }

    std::optional<cv::Mat> read_first_frame() const {
        if (raw_->count() <= first_frame()) return std::nullopt;
        try {
            return raw_->read(first_frame()).image.clone();
        } catch (const Error&) {
            return std::nullopt;
        }
    }

    /// Image `number` of a .rsm.
    std::optional<cv::Mat> read_background_file(const fs::path& path, int64_t number) const {
        const FileBytes file(path, false);
        const ImageType type{description_.rows, description_.columns, 1, CV_16U};
        const uint64_t offset = static_cast<uint64_t>(number) * type.bytes();
        if (file.size() < offset + type.bytes()) return std::nullopt;
        return raw_image(file, offset, type).image.clone();
    }

    /// Finds the background, and whether the camera's first frame is an image rather than a difference to that.
    void find_background() {
        const std::optional<cv::Mat> first = read_first_frame();
        if (description_.background_is_first_frame() && first) return take_first_frame(*first);
        const std::string name =
            description_.background_file.empty() ? path_.stem().string() + ".rsm" : description_.background_file;
        std::optional<fs::path> path = folder_.find(name);
        if (!path) path = folder_.find(path_.stem().string() + ".rsm");
        // That of the second camera is behind the first one's, if there is room for it.
        std::optional<cv::Mat> background = path ? read_background_file(*path, first_frame()) : std::nullopt;
        const bool is_for_both = !background && path && first_frame() == 1;
        if (is_for_both) background = read_background_file(*path, 0);
        if (background) {
            first_is_absolute_ = first_is_absolute(*background, first);
            if (is_for_both && first_is_absolute_ && first) return take_first_frame(*first);
            background_ = *background;
            return;
        }
        if (!first) {
            throw Error(ErrorCode::not_found, {folder_.path_of(name).string(), {}, {}},
                        fmt::format("the file with the background {}, and so is the first frame, which would do "
                                    "instead; put it beside the others",
                                    path ? "is cut off" : "is missing"));
        }
        opened_.warnings.push_back(fmt::format("{} {}; the first frame is taken for the background", last_part(name),
                                               path ? "is cut off" : "is missing"));
        take_first_frame(*first);
    }

    void take_first_frame(const cv::Mat& first) {
        background_ = as_unsigned(first).clone();
        first_is_absolute_ = true;
    }

    bool first_is_absolute(const cv::Mat& background, const std::optional<cv::Mat>& first) {
        if (options_.first_frame != FirstFrame::automatic) return options_.first_frame == FirstFrame::absolute;
        if (!first) return true;
        const cv::Rect region = description_.image_region();
        const double to_nothing = mean_size((*first)(region));
        const double to_background = mean_size(difference_to(background(region), (*first)(region)));
        if (to_nothing * kClearlyNearer >= to_background) return true;
        opened_.warnings.push_back(
            "the first frame is usually a whole image; this one looks like a difference to the background and is taken "
            "for one (first_frame=absolute tells otherwise)");
        return false;
    }

    void fill_metadata(bool has_inputs) {
        Json& metadata = opened_.user_metadata;
        metadata = description_.entries.metadata();
        const std::string title(trimmed(description_.title));
        if (!title.empty()) metadata["title"] = utf8_of_foreign_text(title);
        if (metadata.contains("cmnt")) metadata["comment"] = metadata["cmnt"];
        metadata["stored_columns"] = description_.columns;
        metadata["stored_rows"] = description_.rows;
        const cv::Rect region = description_.image_region();
        metadata["useful_region"] = {
            {"x", region.x}, {"y", region.y}, {"width", region.width}, {"height", region.height}};
        if (description_.dual_camera) metadata["camera"] = options_.camera;
        if (has_inputs && opened_.info.frame_rate)
            metadata["analog_sample_rate"] = *opened_.info.frame_rate * kInputSamples;
    }

    fs::path path_;
    FolderFiles folder_;
    bool map_;
    OpenedSequence& opened_;
    UltimaOptions options_;
    UltimaDescription description_;
    std::shared_ptr<const UltimaFrames> raw_;
    cv::Mat background_;
    bool first_is_absolute_ = true;
};

FileFormatInfo micam_ultima_info() {
    FileFormatInfo info;
    info.name = kName;
    info.extensions = {".rsh", ".rsm", ".rsd"};
    info.lossless = true;
    info.types = "16-bit gray";
    info.tested = "made from its description";
    info.source_options = {
        difference_images_option_info(),
        {"region", "useful", "useful: without the columns that are no image; stored: with them"},
        {"camera", "1", "of a recording of two: 1 or 2"},
        {"first_frame", "auto",
         "absolute: it is a whole image; difference: it is a difference as the others; auto: absolute unless it "
         "clearly is none"},
        {"padding", "drop", "drop or keep what fills up the last file behind the announced number of frames"}};
    return info;
}

class MicamUltimaFile : public SourceFormat {
public:
    MicamUltimaFile() : SourceFormat(micam_ultima_info()) {}

    bool recognises(const fs::path& path, std::span<const uint8_t> head) const override {
        if (head.empty()) return false;
        const std::string extension = lower_case_extension(path);
        // Nothing but bare pixels is in these two; whether a description is there is told when they are opened.
        if (extension == ".rsm" || extension == ".rsd") return true;
        const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
        if (!looks_like_text(text)) return false;
        const UltimaDescription description = parse_ultima_description(text);
        return description.entries.integer({"x", "dataxsize", "data_x_size"}).has_value() &&
               description.entries.text({"lskp", "rskp", "blk", "page_frames", "sample_time"}).has_value();
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        const std::optional<fs::path> description = is_bare(path) ? find_description(path) : path;
        if (!description) {
            const fs::path expected = path.parent_path() / (ultima_recording_stem(path) + ".rsh");
            throw Error(ErrorCode::not_found, {expected.string(), {}, {}},
                        fmt::format("the description of {} is missing; put it beside the other files",
                                    path.filename().string()));
        }
        OpenedSequence opened;
        try {
            UltimaOpener(*description, options, opened).open();
        } catch (const Error& error) {
            throw error.at({description->string(), {}, {}});
        }
        opened.info.name = path.string();
        return sequence_source(std::move(opened), options);
    }

private:
    static bool is_bare(const fs::path& path) {
        const std::string extension = lower_case_extension(path);
        return extension == ".rsm" || extension == ".rsd";
    }
};

}  // namespace

void add_file_formats_micam_ultima(FileFormatTable& table) {
    table.push_back(std::make_unique<MicamUltimaFile>());
}

}  // namespace reelstore
