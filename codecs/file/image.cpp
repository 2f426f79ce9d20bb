#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/file_format.h"
#include "codecs/foreign/image_sequence.h"
#include "codecs/image_chunk_format.h"
#include "codecs/image_codec.h"
#include "codecs/image_header.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kStackName = "TIFF";
constexpr std::string_view kStackExtension = ".tif";

cv::Mat read_image(const fs::path& path) {
    const std::vector<uint8_t> bytes = read_file(path, kLargestImageFile);
    const ImageFolderFormat* format = recognised_image_format(bytes);
    return format ? format->kind().decode(bytes, path.string(), std::nullopt) : decode_image(bytes, path.string());
}

/// A sequence of one.
class SingleImage : public ImageSequence {
public:
    explicit SingleImage(cv::Mat image) : image_(std::move(image)) {}

    int64_t frame_count() const override { return 1; }
    SequenceImage read(int64_t) const override { return {image_}; }

private:
    cv::Mat image_;
};

class ImageSink : public FrameSink {
public:
    ImageSink(fs::path path, const ImageFolderFormat& format, CodecOptions options)
        : path_(std::move(path)), format_(format), options_(std::move(options)) {
        format_.check_options(options_);
        if (file_system().status(path_).kind != FileKind::missing) {
            throw Error(ErrorCode::already_exists, place(), "the file exists already");
        }
    }

    void write(const Frame& frame) override {
        if (done_) {
            throw Error(ErrorCode::invalid_argument, place(),
                        fmt::format("an image takes one frame; for several use a pattern such as {}_{{:06d}}{}",
                                    path_.stem().string(), path_.extension().string()));
        }
        if (const auto reason = format_.refuses(ImageType::of(frame.image))) {
            throw Error(ErrorCode::wrong_type, place(), *reason);
        }
        const std::vector<uint8_t> bytes = format_.kind().encode(frame.image, options_);
        write_new_file(path_, bytes.data(), bytes.size());
        done_ = true;
    }

    void close() override { done_ = true; }

private:
    ErrorPlace place() const { return {path_.string(), {}, {}}; }

    fs::path path_;
    const ImageFolderFormat& format_;
    CodecOptions options_;
    bool done_ = false;
};

class ImageFile : public FileFormat {
public:
    ImageFile() {
        info_.name = "image";
        info_.reads = true;
        info_.writes = true;
        info_.lossless = true;
        info_.types = "one frame; what the kind of image can hold; jpg is lossy";
        info_.tested = "files of OpenCV, Pillow and numpy";
        for (const ImageFolderFormat* format : image_formats()) {
            if (!holds_one_image(*format)) continue;
            info_.extensions.push_back(format->info().extension);
            const auto& others = format->kind().other_extensions;
            info_.extensions.insert(info_.extensions.end(), others.begin(), others.end());
            for (CodecOptionInfo option : format->info().options) {
                option.help = fmt::format("({}) {}", format->info().name, option.help);
                info_.options.push_back(std::move(option));
            }
        }
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override {
        const std::string_view name = sniff_image_format(head);
        return (!name.empty() && name != kStackName) || recognised_image_format(head);
    }

    bool writes_to(const fs::path& path) const override {
        return single_image_format(path) && path.filename().string().find_first_of("{}") == std::string::npos;
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            const cv::Mat image = read_image(path);
            OpenedSequence opened;
            opened.frames = std::make_shared<SingleImage>(image);
            opened.info.name = path.string();
            opened.info.format = info_.name;
            opened.info.image_type = ImageType::of(image);
            return sequence_source(std::move(opened), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        const auto* format = single_image_format(options.kind.empty() ? path : fs::path("output" + options.kind));
        if (!format) throw Error(ErrorCode::unsupported, {path.string(), {}, {}}, "this is no name of an image file");
        return std::make_unique<ImageSink>(path, *format, options.codec);
    }

private:
    static const ImageFolderFormat* single_image_format(const fs::path& path) {
        const auto* format = find_image_format(path.extension().string());
        return format && holds_one_image(*format) ? format : nullptr;
    }

    /// Files of TIFF images have a format of their own.
    static bool holds_one_image(const ImageFolderFormat& format) {
        return format.kind().single_image && format.info().extension != kStackExtension;
    }

    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_image(FileFormatTable& table) {
    table.push_back(std::make_unique<ImageFile>());
}

}  // namespace reelstore
