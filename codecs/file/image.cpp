#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/file_format.h"
#include "codecs/image_chunk_format.h"
#include "codecs/image_codec.h"
#include "codecs/image_header.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

cv::Mat read_image(const fs::path& path, bool gray) {
    const std::vector<uint8_t> bytes = read_file(path, kLargestImageFile);
    const ImageFolderFormat* format = recognised_image_format(bytes);
    const auto header = format ? std::nullopt : read_image_header(bytes);
    if (header && header->more_images) {
        throw Error(ErrorCode::unsupported,
                    "the TIFF file holds several images; only files of one are read as an image");
    }
    const cv::Mat image =
        format ? format->kind().decode(bytes, path.string(), std::nullopt) : decode_image(bytes, path.string());
    return gray ? gray_image(image) : image;
}

class ImageSource : public FrameSource, public RandomAccess {
public:
    ImageSource(const fs::path& path, const SourceOptions& options) {
        try {
            frame_.image = read_image(path, options.gray);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
        info_.name = path.string();
        info_.format = "image";
        info_.image_type = ImageType::of(frame_.image);
        info_.frame_count = 1;
    }

    const SourceInfo& info() const override { return info_; }
    RandomAccess* random_access() override { return this; }
    int64_t frame_count() const override { return 1; }
    std::optional<Frame> next() override {
        if (done_) return std::nullopt;
        done_ = true;
        return frame_;
    }

    Frame at_index(int64_t index) override {
        if (index != 0) {
            throw Error(ErrorCode::invalid_argument, {info_.name, {}, {}},
                        fmt::format("there is no frame {}: an image is frame 0", index));
        }
        return frame_;
    }

private:
    SourceInfo info_;
    Frame frame_;
    bool done_ = false;
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
        for (const ImageFolderFormat* format : image_formats()) {
            if (!format->kind().single_image) continue;
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
        return !sniff_image_format(head).empty() || recognised_image_format(head);
    }

    bool writes_to(const fs::path& path) const override {
        return single_image_format(path) && path.filename().string().find_first_of("{}") == std::string::npos;
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        return std::make_unique<ImageSource>(path, options);
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        const auto* format = single_image_format(path);
        if (!format) throw Error(ErrorCode::unsupported, {path.string(), {}, {}}, "this is no name of an image file");
        return std::make_unique<ImageSink>(path, *format, options.codec);
    }

private:
    static const ImageFolderFormat* single_image_format(const fs::path& path) {
        const auto* format = find_image_format(path.extension().string());
        return format && format->kind().single_image ? format : nullptr;
    }

    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_image(FileFormatTable& table) {
    table.push_back(std::make_unique<ImageFile>());
}

}  // namespace reelstore
