/// MATLAB's .mat files of version 5 (save -v6, -v7) and 7.3 as stacks of images; MathWorks' "MAT-File Format" and what
/// `save -v7.3` leaves in HDF5.
///
/// Axes count as in MATLAB, first axis densest. Written stacks have the size (height, width, frames) or (height, width,
/// channels, frames). When nothing says which axis is time, it is the last one if that is the longest, else the first,
/// as optimap has it. The channels of colour are red, green, blue there.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/mat5.h"
#include "codecs/foreign/mat73.h"
#include "codecs/foreign/mat_writer.h"
#include "codecs/foreign/npy_array.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMostListed = 32;
constexpr std::string_view kHdf5Signature = "\x89HDF\r\n\x1a\n";
constexpr std::string_view kMat73Text = "MATLAB 7.3";
/// Optical mapping systems keep minus the signal in this array, beside an image of the tissue.
const char* const kNegatedField = "cmosData";
const char* const kBackgroundField = "bgimage";
const char* const kDefaultField = "video";

bool is_mat73(std::span<const uint8_t> head) {
    return head.size() >= kMatUserBlockBytes + kHdf5Signature.size() &&
           std::equal(kMat73Text.begin(), kMat73Text.end(), head.begin()) &&
           std::equal(kHdf5Signature.begin(), kHdf5Signature.end(), head.begin() + kMatUserBlockBytes,
                      [](char left, uint8_t right) { return static_cast<uint8_t>(left) == right; });
}

/// Version 4 has no signature: a matrix begins with its kind in four decimal digits, sizes, and the length of a name.
bool is_mat4(const fs::path& path, std::span<const uint8_t> head) {
    constexpr size_t kHeadBytes = 20;
    constexpr uint32_t kLargestKind = 4052;
    constexpr uint32_t kLongestName = 1024;
    if (path.extension() != ".mat" || head.size() < kHeadBytes) return false;
    for (const std::endian order : {std::endian::little, std::endian::big}) {
        const HeaderBytes header(head, order);
        const auto name_bytes = header.at<uint32_t>(16);
        if (header.at<uint32_t>(0) <= kLargestKind && header.at<uint32_t>(12) <= 1 && name_bytes > 0 &&
            name_bytes <= kLongestName)
            return true;
    }
    return false;
}

bool is_vector(const MatVariable& variable) {
    return variable.shape.size() == 2 && (variable.shape[0] == 1 || variable.shape[1] == 1);
}

/// What tells numbers or times of the frames of an array: a vector of this name, or of one that begins with the
/// array's, as files with several arrays have it.
const MatVariable* companion(const MatFile& file, const MatVariable& images, const std::string& name) {
    for (const std::string& each : {images.name + "_" + name, name}) {
        const MatVariable* const found = file.find(each);
        if (found && found != &images && found->real && is_vector(*found)) return found;
    }
    return nullptr;
}

bool is_color(int64_t channels) {
    return channels == 1 || channels == 3 || channels == 4;
}

/// The meaning of the axes.
std::string axes_of(const MatFile& file, const MatVariable& images) {
    const std::vector<int64_t>& shape = images.shape;
    const size_t last = shape.size() - 1;
    if (shape.size() == 2) return "hw";
    const std::string last_is_time = shape.size() == 3 ? "hwn" : "hwcn";
    const std::string first_is_time = shape.size() == 3 ? "nhw" : "nhwc";
    if (images.name == kNegatedField) return last_is_time;
    if (shape.size() == 3 || shape.size() == 4) {
        for (const char* name : {"frame_number", "frame_time"}) {
            const MatVariable* const stamps = companion(file, images, name);
            if (stamps && stamps->element_count() == shape[last]) return last_is_time;
            if (stamps && stamps->element_count() == shape[0]) return first_is_time;
        }
    }
    if (shape.size() == 3) {
        if (is_narrow_image(shape[1], shape[2]) && shape[0] >= kColorImageSide) return "hwc";
        return shape[2] > shape[0] && shape[2] > shape[1] ? last_is_time : first_is_time;
    }
    if (shape.size() == 4 && is_color(shape[2])) return last_is_time;
    if (shape.size() == 4 && is_color(shape[3])) return first_is_time;
    throw Error(ErrorCode::unsupported,
                fmt::format("variable {} is no stack of images: two, three or (with colour) four dimensions are; the "
                            "option layout tells what they are (hwcn: height, width, channels, frames)",
                            images.text()));
}

/// The variable that holds the images.
const MatVariable& choose(const MatFile& file, const CodecOptions& options) {
    std::vector<std::string> listed;
    for (const MatVariable& variable : file.variables()) {
        if (listed.size() < kMostListed) listed.push_back(variable.text());
    }
    if (const auto field = options.find("field"); field != options.end()) {
        const MatVariable* const variable = file.find(field->second);
        if (!variable) {
            throw Error(ErrorCode::not_found,
                        fmt::format("has no variable \"{}\"; it has {}", field->second, fmt::join(listed, ", ")));
        }
        if (!variable->objection.empty())
            throw Error(ErrorCode::unsupported, fmt::format("variable {} {}", variable->text(), variable->objection));
        return *variable;
    }
    const MatVariable* const negated = file.find(kNegatedField);
    if (negated && negated->objection.empty() && negated->shape.size() == 3 && file.find(kBackgroundField))
        return *negated;
    const MatVariable* largest = nullptr;
    std::string reasons;
    for (const MatVariable& variable : file.variables()) {
        std::string reason = variable.objection;
        if (reason.empty() && variable.element_count() == 0) reason = "is empty";
        if (reason.empty() && (is_vector(variable) || variable.shape.size() > 4)) reason = "is no image";
        if (!reason.empty()) {
            if (reasons.size() < 1000) reasons += fmt::format("; {} {}", variable.text(), reason);
        } else if (!largest || variable.element_count() > largest->element_count()) {
            largest = &variable;
        }
    }
    if (!largest) throw Error(ErrorCode::unsupported, "holds no variable that could be images" + reasons);
    return *largest;
}

/// A depth that holds minus every value.
int negated_depth(int depth) {
    if (depth == CV_64F || depth == CV_32S) return CV_64F;
    return CV_32F;
}

void read_stamps(const MatFile& file, const MatVariable& images, int64_t frames, ArrayStamps& stamps,
                 std::vector<std::string>& warnings) {
    const auto read = [&](const char* name) -> std::vector<double> {
        const MatVariable* const vector = companion(file, images, name);
        if (!vector || vector->element_count() != frames) return {};
        try {
            return file.numbers(*vector);
        } catch (const Error& error) {
            warnings.push_back(fmt::format("variable \"{}\" is not used: {}", vector->name, error.message()));
            return {};
        }
    };
    constexpr double kLargestWhole = 9007199254740992.0;
    for (const double number : read("frame_number")) {
        if (number != std::trunc(number) || std::abs(number) > kLargestWhole) {
            warnings.emplace_back("variable \"frame_number\" is not used: not all of it are whole numbers");
            stamps.numbers.clear();
            break;
        }
        stamps.numbers.push_back(static_cast<int64_t>(number));
    }
    stamps.times = read("frame_time");
}

std::unique_ptr<MatFile> open_mat_file(const fs::path& path, bool map) {
    const auto file = std::make_shared<const FileBytes>(path, map);
    const std::vector<uint8_t> head = file->read(0, kMatUserBlockBytes + kHdf5Signature.size());
    if (is_mat73(head)) return open_mat73(file);
    if (is_mat5_header(head)) return open_mat5(file);
    throw Error(ErrorCode::unsupported,
                "is a MATLAB file of version 4, which is not read; save it in MATLAB with -v6 or later");
}

std::unique_ptr<FrameSource> open_mat(const fs::path& path, const SourceOptions& options) {
    try {
        const std::unique_ptr<MatFile> file = open_mat_file(path, options.map);
        const MatVariable& images = choose(*file, options.format);
        const auto given = options.format.find("layout");
        const std::string axes = given == options.format.end() ? axes_of(*file, images) : given->second;
        const int depth = *depth_of_mat_class(images.class_name);
        ArrayLayout layout = array_layout(images.shape, fortran_strides(images.shape), axes, depth);
        layout.blue_is_last = axes.find('c') != std::string::npos;
        OpenedSequence opened;
        if (images.name == kNegatedField && !options.format.contains("field") && file->find(kBackgroundField)) {
            layout.negated = true;
            layout.type.depth = negated_depth(depth);
            opened.user_metadata["negated"] = true;
        }
        opened.info.name = path.string();
        opened.info.format = "MATLAB";
        opened.info.image_type = layout.type;
        opened.warnings = file->warnings();
        ArrayStamps stamps;
        read_stamps(*file, images, layout.frames, stamps, opened.warnings);
        describe_stamps(stamps, layout.frames, opened.info);
        opened.frames = file->images(images, axes, layout, std::move(stamps), opened.warnings);
        opened.user_metadata["description"] = file->description();
        opened.user_metadata["field"] = images.name;
        Json others = Json::array();
        for (const MatVariable& variable : file->variables()) {
            const bool is_array = variable.objection.empty() && variable.element_count() > 1;
            if (is_array && &variable != &images && others.size() < kMostListed) others.push_back(variable.text());
        }
        if (!others.empty()) opened.user_metadata["other_arrays"] = others;
        if (Json values = file->values(); !values.empty()) opened.user_metadata["variables"] = std::move(values);
        return sequence_source(std::move(opened), options);
    } catch (const Error& error) {
        throw error.at({path.string(), {}, {}});
    }
}

class MatSink : public FrameSink {
public:
    MatSink(fs::path path, const SinkOptions& options) : path_(std::move(path)), expected_(options.expected_frames) {
        const auto field = options.codec.find("field");
        field_ = field == options.codec.end() ? kDefaultField : field->second;
        append_ = choice_option(options.codec, "append", "no", {"no", "yes"}) == "yes";
        version_73_ = choice_option(options.codec, "version", "5", {"5", "7.3"}) == "7.3";
        if (!is_mat_name(field_)) {
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("\"{}\" is no name of a variable in MATLAB: letters, digits and _, a letter first, "
                                    "at most 63",
                                    field_));
        }
        // Their names must be left, also behind the prefix that appending gives them.
        constexpr size_t kLongestField = 63 - std::string_view("_frame_number").size();
        if (field_ == "frame_number" || field_ == "frame_time" || (append_ && field_.size() > kLongestField)) {
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("\"{}\" leaves no name for the numbers and times of the frames", field_));
        }
        if (append_ && version_73_)
            throw Error(ErrorCode::invalid_argument, place(), "variables are only added to files of version 5");
        const FileKind kind = file_system().status(path_).kind;
        if (append_ && kind == FileKind::missing)
            throw Error(ErrorCode::not_found, place(), "there is no such file to add a variable to");
        if (append_) check_mat5_for_appending(path_, {field_});
        if (!append_ && kind != FileKind::missing)
            throw Error(ErrorCode::already_exists, place(),
                        "the file exists already; the option append=yes adds to it");
    }

    ~MatSink() override {
        // Half a variable is not added to a file.
        if (append_) return;
        try {
            close();
        } catch (const Error&) {
            // Only close() itself can report it.
        }
    }

    void write(const Frame& frame) override {
        if (closed_) throw Error(ErrorCode::invalid_argument, place(), "the output is closed");
        const ImageType type = ImageType::of(frame.image);
        if (!writer_) begin(type);
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, place(),
                        fmt::format("the frame is {}, those before it are {}", type.text(), type_.text()));
        }
        writer_->add_image(columns_of(frame.image));
        numbers_.push_back(static_cast<double>(frame.number));
        times_.push_back(frame.time);
    }

    void close() override {
        if (closed_) return;
        closed_ = true;
        if (!writer_) return;
        writer_->end_images();
        writer_->add_column(column_prefix_ + "frame_number", numbers_);
        const bool has_times =
            std::any_of(times_.begin(), times_.end(), [](double time) { return std::isfinite(time); });
        if (has_times) writer_->add_column(column_prefix_ + "frame_time", times_);
        writer_->close();
    }

private:
    ErrorPlace place() const { return {path_.string(), {}, {}}; }

    void begin(const ImageType& type) {
        if (!plausible(type)) throw Error(ErrorCode::wrong_type, place(), fmt::format("{} is no image", type.text()));
        const std::optional<std::string> class_name = mat_class_of_depth(type.depth);
        if (!class_name) {
            throw Error(ErrorCode::wrong_type, place(),
                        fmt::format("MATLAB has no {}; convert the frames to float32", dtype_name(type.depth)));
        }
        if (!version_73_ && expected_ && static_cast<uint64_t>(*expected_) > kMostMat5Bytes / type.bytes()) {
            throw Error(
                ErrorCode::unsupported, place(),
                fmt::format("a variable of a MATLAB file of version 5 has less than 2 GiB, {} frames of {} have "
                            "more; write the file with the option version=7.3",
                            *expected_, type.text()));
        }
        type_ = type;
        writer_ = make_writer();
        writer_->begin_images(field_, *class_name, type);
    }

    std::unique_ptr<MatWriter> make_writer() {
        if (version_73_) return create_mat73(path_);
        if (!append_) return create_mat5(path_);
        // Several arrays in one file each have numbers and times of their own.
        column_prefix_ = field_ + "_";
        return append_to_mat5(path_, {field_, column_prefix_ + "frame_number", column_prefix_ + "frame_time"});
    }

    /// The pixels plane by plane, each column by column.
    const uint8_t* columns_of(const cv::Mat& image) {
        columns_.resize(type_.bytes());
        const size_t plane_bytes = type_.bytes() / static_cast<size_t>(type_.channels);
        const bool is_bgr = type_.channels == 3 || type_.channels == 4;
        for (int channel = 0; channel < type_.channels; ++channel) {
            cv::Mat plane = image;
            // Blue comes first in our images, red in MATLAB's.
            const int from = is_bgr && channel < 3 ? 2 - channel : channel;
            if (type_.channels > 1) cv::extractChannel(image, plane, from);
            cv::Mat target(type_.width, type_.height, CV_MAKETYPE(type_.depth, 1),
                           columns_.data() + static_cast<size_t>(channel) * plane_bytes);
            cv::transpose(plane, target);
        }
        return columns_.data();
    }

    fs::path path_;
    std::string field_;
    bool append_ = false;
    bool version_73_ = false;
    std::optional<int64_t> expected_;
    std::string column_prefix_;
    ImageType type_;
    std::unique_ptr<MatWriter> writer_;
    std::vector<uint8_t> columns_;
    std::vector<double> numbers_;
    std::vector<double> times_;
    bool closed_ = false;
};

class MatFormat : public FileFormat {
public:
    MatFormat() {
        info_.name = "mat";
        info_.extensions = {".mat"};
        info_.reads = true;
        info_.writes = true;
        info_.lossless = true;
        info_.types = "uint8, int8, uint16, int16, int32, float32, float64, every number of channels";
        info_.tested = "files of scipy and h5py, and made from its description";
        info_.source_options = {
            {"field", "the largest array", "name of the variable that holds the images"},
            {"layout", "hwn if the last axis is the longest, else nhw",
             "what the axes of the variable are in MATLAB: n frames, h height, w width, c channels"}};
        info_.options = {{"field", kDefaultField, "name of the variable"},
                         {"version", "5", "of the file: 5 (up to 2 GiB) or 7.3 (HDF5, of any size)"},
                         {"append", "no", "yes: add the variable to a file that exists"}};
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const fs::path& path, std::span<const uint8_t> head) const override {
        return is_mat5_header(head) || is_mat73(head) || is_mat4(path, head);
    }

    bool writes_to(const fs::path& path) const override {
        return lower_case_extension(path) == ".mat" &&
               path.filename().string().find_first_of("{}") == std::string::npos;
    }

    bool adds_to_file(const SinkOptions& options) const override {
        const auto append = options.codec.find("append");
        return append != options.codec.end() && append->second == "yes";
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        return open_mat(path, options);
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        check_option_names("mat", info_.options, options.codec);
        return std::make_unique<MatSink>(path, options);
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_mat(FileFormatTable& table) {
    table.push_back(std::make_unique<MatFormat>());
}

}  // namespace reelstore
