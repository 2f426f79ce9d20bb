/// The pixels of the frames one after the other and nothing else: rows from the top, channels of a pixel together,
/// numbers as this machine keeps them. Which is what numpy.fromfile() and FFmpeg's rawvideo read.

#include <memory>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/npy.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/option_values.h"
#include "codecs/output_file.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

class RawSink : public FrameSink {
public:
    RawSink(fs::path path, const SinkOptions& options) : path_(std::move(path)), options_(options) {
        for (const auto& [name, value] : options.codec) {
            if (name != "pix")
                throw Error(ErrorCode::invalid_argument, fmt::format("rawvideo has no option '{}'; valid: pix", name));
        }
        pixels_ = choice_option(options.codec, "pix", "native", {"native", "gray", "bgr", "rgb"});
        check_new_output(path_, options_);
    }

    ~RawSink() override {
        try {
            close();
        } catch (...) {
            // Only close() itself can report it.
        }
    }

    void write(const Frame& frame) override {
        if (closed_) throw Error(ErrorCode::invalid_argument, place(), "the output is closed");
        const cv::Mat image = converted(frame.image);
        const ImageType type = ImageType::of(image);
        if (!file_) {
            type_ = type;
            file_ = create_output(path_, options_, WritingOrder::forward);
        }
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, {path_.string(), {}, frame.index},
                        fmt::format("the frame is {}, those before it are {}", type.text(), type_.text()));
        }
        file_->write_at(image.data, type_.bytes(), static_cast<uint64_t>(count_) * type_.bytes());
        ++count_;
    }

    void close() override {
        if (closed_) return;
        closed_ = true;
        if (!file_) return;
        file_->close();
        std::vector<int64_t> shape = type_.shape();
        shape.insert(shape.begin(), count_);
        notes_.push_back(fmt::format("{} holds an array of shape ({}) and element type {} in C order: {} bytes",
                                     path_.string(), fmt::join(shape, ", "), npy_descr(type_.depth),
                                     static_cast<uint64_t>(count_) * type_.bytes()));
    }

    const std::vector<std::string>& notes() const override { return notes_; }

private:
    ErrorPlace place() const { return {path_.string(), {}, {}}; }

    /// With rows that follow each other without a gap.
    cv::Mat converted(const cv::Mat& image) const {
        const int channels = image.channels();
        const bool gray = channels == 1;
        int code = -1;
        if (pixels_ == "gray" && !gray) code = cv::COLOR_BGR2GRAY;
        if (pixels_ == "bgr" && gray) code = cv::COLOR_GRAY2BGR;
        if (pixels_ == "rgb") code = gray ? cv::COLOR_GRAY2RGB : cv::COLOR_BGR2RGB;
        if (pixels_ != "native") {
            const bool convertible = (gray || channels == 3) &&
                                     (image.depth() == CV_8U || image.depth() == CV_16U || image.depth() == CV_32F);
            if (!convertible)
                throw Error(ErrorCode::wrong_type, place(),
                            fmt::format("pix={} is for uint8, uint16 and float32 images of one or three channels, not "
                                        "for {}; pix=native writes them as they are",
                                        pixels_, ImageType::of(image).text()));
        }
        if (code < 0) return image.isContinuous() ? image : image.clone();
        cv::Mat result;
        cv::cvtColor(image, result, code);
        return result;
    }

    fs::path path_;
    SinkOptions options_;
    std::string pixels_;
    ImageType type_;
    std::unique_ptr<File> file_;
    int64_t count_ = 0;
    bool closed_ = false;
    std::vector<std::string> notes_;
};

class RawFile : public FileFormat {
public:
    RawFile() {
        info_.name = "rawvideo";
        info_.extensions = {".raw", ".rawvideo"};
        info_.writes = true;
        info_.lossless = true;
        info_.streams = true;
        info_.types = "every element type and number of channels, without any header";
        info_.options = {{"pix", "native",
                          "order of a pixel's values: native (gray or B, G, R, as the frames are), gray, bgr, rgb"}};
    }

    const FileFormatInfo& info() const override { return info_; }
    bool recognises(const fs::path&, std::span<const uint8_t>) const override { return false; }
    bool writes_to(const fs::path& path) const override {
        const std::string extension = lower_case_extension(path);
        return extension == ".raw" || extension == ".rawvideo";
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions&) const override {
        throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                    "holds nothing but pixels; its shape is not known");
    }
    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        return std::make_unique<RawSink>(path, options);
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_rawvideo(FileFormatTable& table) {
    table.push_back(std::make_unique<RawFile>());
}

}  // namespace reelstore
