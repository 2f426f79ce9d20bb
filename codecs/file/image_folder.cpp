#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/natural_order.h"
#include "codecs/file_format.h"
#include "codecs/foreign/image_sequence.h"
#include "codecs/frame_file_pattern.h"
#include "codecs/image_chunk_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "image folder";
const char* const kDefaultFileName = "frame_{:06d}.png";

/// Which images of a folder are its frames.
struct Selection {
    std::string prefix = {};
    const ImageFolderFormat* format = nullptr;  ///< null: the most common one
};

/// The images of a folder that are its frames, in natural order.
struct FolderImages {
    const ImageFolderFormat* format = nullptr;
    std::vector<std::string> names;
};

/// The most common kind of image decides; of two that are equally common, the first in the table.
FolderImages list_images(const fs::path& folder, const Selection& wanted = {}) {
    std::map<const ImageFolderFormat*, std::vector<std::string>> by_format;
    for (std::string& name : file_system().list(folder)) {
        if (name.front() == '.' || !name.starts_with(wanted.prefix)) continue;
        const auto* const format = find_image_format(fs::path(name).extension().string());
        if (format && (!wanted.format || format == wanted.format)) by_format[format].push_back(std::move(name));
    }
    FolderImages images;
    for (const ImageFolderFormat* format : image_formats()) {
        std::vector<std::string>& names = by_format[format];
        if (names.size() > images.names.size()) images = {format, std::move(names)};
    }
    std::sort(images.names.begin(), images.names.end(), natural_less);
    return images;
}

Selection selection_of(const CodecOptions& options) {
    Selection wanted;
    if (const auto prefix = options.find("prefix"); prefix != options.end()) wanted.prefix = prefix->second;
    if (const auto given = options.find("extension"); given != options.end()) {
        const std::string& extension = given->second;
        wanted.format = find_image_format(extension.starts_with('.') ? extension : "." + extension);
        if (!wanted.format) {
            throw Error(ErrorCode::invalid_argument, fmt::format("images \"{}\" cannot be read", extension));
        }
    }
    return wanted;
}

/// The number at the end of a file's name, before its extension.
int64_t number_in_name(const std::string& name) {
    const std::string stem = fs::path(name).stem().string();
    const size_t before = stem.find_last_not_of("0123456789");
    const std::string digits = before == std::string::npos ? stem : stem.substr(before + 1);
    int64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("the name \"{}\" ends in no number; open the folder with numbers=index", name));
    }
    return number;
}

/// Whether a folder is an imgstore, whose chunks are not to be taken for an image folder.
bool holds_store(const fs::path& folder) {
    const fs::path metadata = folder / "metadata.yaml";
    if (file_system().status(metadata).kind != FileKind::file) return false;
    constexpr uint64_t kMostBytes = uint64_t{64} << 20;
    return read_text_file(metadata, kMostBytes).find("__store") != std::string::npos;
}

class FolderSequence : public ImageSequence {
public:
    FolderSequence(fs::path folder, const CodecOptions& options, bool gray)
        : folder_(std::move(folder)), images_(list_images(folder_, selection_of(options))), gray_(gray) {
        if (images_.names.empty()) {
            throw Error(ErrorCode::not_found, {folder_.string(), {}, {}},
                        options.empty() ? "the folder holds no images" : "the folder holds no such images");
        }
        if (choice_option(options, "numbers", "index", {"index", "name"}) == "name") take_numbers();
        type_ = ImageType::of(read_first());
    }

    int64_t frame_count() const override { return static_cast<int64_t>(images_.names.size()); }
    const ImageType& type() const { return type_; }
    bool has_numbers() const { return !numbers_.empty(); }

    SequenceImage read(int64_t index) const override {
        const fs::path path = folder_ / images_.names[static_cast<size_t>(index)];
        try {
            SequenceImage image{read_foreign_image(*images_.format, path, gray_)};
            check_type(image.image, path);
            return image;
        } catch (const Error& error) {
            throw error.at({path.string(), {}, index});
        }
    }

    FrameStamp stamp(int64_t index) const override {
        return {.number = numbers_.empty() ? index : numbers_[static_cast<size_t>(index)]};
    }

private:
    void take_numbers() {
        for (const std::string& name : images_.names) {
            const int64_t number = number_in_name(name);
            if (!numbers_.empty() && number <= numbers_.back()) {
                throw Error(ErrorCode::unsupported,
                            fmt::format("the numbers in the names do not ascend: {} follows {} at \"{}\"; choose names "
                                        "by prefix= or open the folder with numbers=index",
                                        number, numbers_.back(), name));
            }
            numbers_.push_back(number);
        }
    }

    /// The first image that can be read: a damaged one at the beginning must not hide the others.
    cv::Mat read_first() {
        std::optional<Error> first_error;
        for (int64_t index = 0; index < frame_count(); ++index) {
            try {
                return read(index).image;
            } catch (const Error& error) {
                if (!first_error) first_error = error;
            }
        }
        throw *first_error;
    }

    void check_type(const cv::Mat& image, const fs::path& path) const {
        const ImageType type = ImageType::of(image);
        if (type_.empty() || type == type_) return;
        throw Error(ErrorCode::wrong_type, {path.string(), {}, {}},
                    fmt::format("the image is {}, those before it are {}", type.text(), type_.text()));
    }

    fs::path folder_;
    FolderImages images_;
    bool gray_;
    std::vector<int64_t> numbers_;  ///< from the names; empty: the index is the number
    ImageType type_;
};

/// What an output takes for itself in a folder that exists.
enum class Claim {
    folder,          ///< all of it: the folder must be empty
    matching_names,  ///< names that match the pattern: other files may be there
};

class ImageFolderSink : public FrameSink {
public:
    ImageFolderSink(FrameFilePattern pattern, Claim claim, const ImageFolderFormat& format, CodecOptions options)
        : pattern_(std::move(pattern)), format_(format), options_(std::move(options)) {
        format_.check_options(options_);
        const FileStatus status = file_system().status(pattern_.folder);
        if (status.kind == FileKind::missing) return;
        if (status.kind != FileKind::folder) throw Error(ErrorCode::already_exists, place(), "is not a folder");
        check_room(claim);
        folder_exists_ = true;
    }

    void write(const Frame& frame) override {
        if (closed_) throw Error(ErrorCode::invalid_argument, place(), "the output is closed");
        const ImageType type = ImageType::of(frame.image);
        if (count_ == 0) {
            if (const auto reason = format_.refuses(type)) throw Error(ErrorCode::wrong_type, place(), *reason);
            type_ = type;
        }
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, place(),
                        fmt::format("the frame is {}, those before it are {}", type.text(), type_.text()));
        }
        const std::vector<uint8_t> bytes = format_.kind().encode(frame.image, options_);
        if (!folder_exists_) file_system().create_folder(pattern_.folder);
        folder_exists_ = true;
        write_new_file(pattern_.folder / pattern_.file_name(count_), bytes.data(), bytes.size());
        ++count_;
    }

    void close() override { closed_ = true; }

private:
    ErrorPlace place() const { return {pattern_.folder.string(), {}, {}}; }

    void check_room(Claim claim) const {
        const std::vector<std::string> names = file_system().list(pattern_.folder);
        if (claim == Claim::folder) {
            if (names.empty()) return;
            throw Error(ErrorCode::already_exists, place(),
                        "images are only written to a new or an empty folder, unless their names are given as a "
                        "pattern such as frame_{:06d}.png");
        }
        // Not only the names that would be written: frames of two recordings must not get into one sequence.
        const auto taken = std::find_if(names.begin(), names.end(),
                                        [this](const std::string& name) { return pattern_.matches(name); });
        if (taken == names.end()) return;
        throw Error(ErrorCode::already_exists, {(pattern_.folder / *taken).string(), {}, {}},
                    "exists already and has a name like those of the images to be written");
    }

    FrameFilePattern pattern_;
    const ImageFolderFormat& format_;
    CodecOptions options_;
    ImageType type_;
    int64_t count_ = 0;
    bool folder_exists_ = false;
    bool closed_ = false;
};

class ImageFolderFile : public FileFormat {
public:
    ImageFolderFile() {
        info_.name = kName;
        info_.reads = true;
        info_.writes = true;
        info_.lossless = true;
        info_.types = "what its kind of image can hold; jpg is lossy";
        for (const ImageFolderFormat* format : image_formats()) {
            info_.extensions.push_back(format->info().extension);
            const auto& others = format->kind().other_extensions;
            info_.extensions.insert(info_.extensions.end(), others.begin(), others.end());
            add_options(format->info());
        }
        info_.tested = "files of OpenCV and Pillow";
        info_.source_options = {
            {"prefix", "", "only files whose names begin so"},
            {"extension", "", "only images of this kind (tif: also .TIF and .tiff); default: the most common one"},
            {"numbers", "index", "index or name: frames have the numbers at the end of the files' names"}};
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const fs::path& path, std::span<const uint8_t>) const override {
        if (file_system().status(path).kind != FileKind::folder || holds_store(path)) return false;
        return !list_images(path).names.empty();
    }

    bool writes_to(const fs::path& path) const override {
        if (names_folder(path)) return true;
        const bool has_placeholder = path.filename().string().find_first_of("{}") != std::string::npos;
        return has_placeholder && find_image_format(path.extension().string());
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            const auto frames = std::make_shared<FolderSequence>(path, options.format, options.gray);
            OpenedSequence opened;
            opened.frames = frames;
            opened.info.name = path.string();
            opened.info.format = kName;
            opened.info.image_type = frames->type();
            opened.info.has_numbers = frames->has_numbers();
            return sequence_source(std::move(opened), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        const bool is_folder = names_folder(path);
        FrameFilePattern pattern = parse_frame_file_pattern(is_folder ? fs::path(kDefaultFileName) : path);
        if (is_folder) pattern.folder = path;
        const auto* format = find_image_format(pattern.extension());
        if (!format) {
            throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                        fmt::format("images cannot be written as \"{}\"", pattern.extension()));
        }
        return std::make_unique<ImageFolderSink>(std::move(pattern), is_folder ? Claim::folder : Claim::matching_names,
                                                 *format, options.codec);
    }

private:
    /// A path that ends in a slash, an existing folder, or a new name without extension.
    static bool names_folder(const fs::path& path) {
        if (path.empty()) return false;
        if (!path.has_filename()) return true;
        const FileKind kind = file_system().status(path).kind;
        if (kind == FileKind::folder) return true;
        const bool is_plain =
            !path.has_extension() && path.filename().string().find_first_of("{}") == std::string::npos;
        return kind == FileKind::missing && is_plain;
    }

    void add_options(const ChunkFormatInfo& format) {
        for (CodecOptionInfo option : format.options) {
            option.help = fmt::format("({}) {}", format.name, option.help);
            info_.options.push_back(std::move(option));
        }
    }

    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_image_folder(FileFormatTable& table) {
    table.push_back(std::make_unique<ImageFolderFile>());
}

}  // namespace reelstore
