#include "codecs/foreign/norpix_sink.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>
#include <opencv2/imgcodecs.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/foreign/frame_rate.h"
#include "codecs/foreign/norpix_header.h"
#include "codecs/image_codec.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr int kDefaultQuality = 80;
/// Of this many frames the times are kept for the frame rate in the header.
constexpr size_t kTimesForRate = 10000;
/// Bytes behind a compressed image in files of version 3, with the stamp: what the MATLAB toolbox writes.
constexpr size_t kToolboxGap = 16;

enum class Compression { none, jpeg, png };

struct Options {
    int32_t version = 3;
    Compression compression = Compression::none;
    int quality = kDefaultQuality;
};

Options parse_options(const CodecOptions& options) {
    check_option_names("NorPix", norpix_sink_options(), options);
    Options result;
    const std::string version = choice_option(options, "version", "3", {"3", "5"});
    result.version = version == "5" ? kNorpixMicrosecondVersion : 3;
    const std::string compression = choice_option(options, "compression", "none", {"none", "jpeg", "png"});
    if (compression == "jpeg") result.compression = Compression::jpeg;
    if (compression == "png") result.compression = Compression::png;
    result.quality = integer_option(options, "quality", kDefaultQuality, 1, 100);
    if (options.contains("quality") && result.compression != Compression::jpeg) {
        throw Error(ErrorCode::invalid_argument, "option quality is for compression=jpeg");
    }
    if (result.compression == Compression::png && result.version != 3) {
        throw Error(ErrorCode::invalid_argument,
                    "PNG images are written in version 3 only, which is the one they have");
    }
    return result;
}

/// Why images cannot be written so, and what can; empty when they can.
std::string refusal(const ImageType& type, Compression compression) {
    if (!plausible(type)) return fmt::format("{} is no plausible image", type.text());
    const bool is_8_bit = type.depth == CV_8U;
    const bool is_16_bit = type.depth == CV_16U;
    const bool fits = type.channels == 1 ? is_8_bit || is_16_bit : type.channels == 3 && is_8_bit;
    if (!fits) {
        return fmt::format(
            "NorPix sequences hold gray uint8 and uint16 and colour uint8, not {}; npy and tif hold "
            "every type",
            type.text());
    }
    if (compression == Compression::jpeg && !is_8_bit) {
        return fmt::format("JPEG holds 8 bits, not {}; use compression=none or compression=png", type.text());
    }
    return {};
}

class NorpixSink : public FrameSink {
public:
    NorpixSink(fs::path path, const SinkOptions& options)
        : path_(std::move(path)), options_(parse_options(options.codec)), frame_rate_(options.frame_rate) {
        if (file_system().status(path_).kind != FileKind::missing) {
            throw Error(ErrorCode::already_exists, place(), "the file exists already");
        }
    }

    ~NorpixSink() override {
        try {
            close();
        } catch (const Error&) {
            // Only close() itself can report it.
        }
    }

    void write(const Frame& frame) override {
        if (closed_) throw Error(ErrorCode::invalid_argument, place(), "the output is closed");
        const ImageType type = ImageType::of(frame.image);
        if (!file_) {
            if (const std::string reason = refusal(type, options_.compression); !reason.empty()) {
                throw Error(ErrorCode::wrong_type, place(), reason);
            }
            type_ = type;
        }
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, place(),
                        fmt::format("the frame is {}, those before it are {}", type.text(), type_.text()));
        }
        const NorpixStamp stamp = stamp_of(frame);
        if (!file_) begin();
        make_record(frame.image, stamp);
        file_->write_at(record_.data(), record_.size(), end_);
        end_ += record_.size();
        ++header_.frames;
        if (times_.size() < kTimesForRate) times_.push_back(frame.time);
    }

    void close() override {
        if (closed_) return;
        closed_ = true;
        if (!file_) return;
        if (const auto rate = frame_rate_ ? frame_rate_ : rate_of_times(times_)) header_.frame_rate = *rate;
        write_header();
        file_->close();
    }

private:
    ErrorPlace place() const { return {path_.string(), {}, {}}; }
    bool has_microseconds() const { return options_.version >= kNorpixMicrosecondVersion; }
    size_t stamp_bytes() const { return has_microseconds() ? kNorpixStampBytes : kNorpixShortStampBytes; }

    NorpixStamp stamp_of(const Frame& frame) const {
        if (std::isnan(frame.time)) return {};
        if (const auto stamp = make_norpix_stamp(frame.time, has_microseconds())) return *stamp;
        throw Error(ErrorCode::invalid_argument, place(),
                    fmt::format("a NorPix stamp holds times of 1970 to 2106; the frame's is {} s", frame.time));
    }

    uint32_t image_format() const {
        const bool gray = type_.gray();
        if (options_.compression == Compression::png) return gray ? 1 : 2;
        // Version 5 as StreamPix writes it: the format says what the pixels are, the compression is said elsewhere.
        if (options_.compression == Compression::jpeg && !has_microseconds()) return gray ? 102 : 201;
        return gray ? 100 : 200;
    }

    void begin() {
        const bool compressed = options_.compression != Compression::none;
        header_.version = options_.version;
        header_.width = static_cast<uint32_t>(type_.width);
        header_.height = static_cast<uint32_t>(type_.height);
        header_.bits_per_channel = static_cast<uint32_t>(CV_ELEM_SIZE1(type_.depth)) * 8;
        header_.bits_per_pixel = header_.bits_per_channel * static_cast<uint32_t>(type_.channels);
        header_.image_bytes = static_cast<uint32_t>(type_.bytes());
        header_.image_format = image_format();
        header_.true_size = static_cast<uint32_t>(norpix_true_size(type_.bytes(), stamp_bytes()));
        if (options_.compression == Compression::jpeg && has_microseconds())
            header_.compression = kNorpixJpegCompression;
        if (frame_rate_) header_.frame_rate = *frame_rate_;
        end_ = has_microseconds() && !compressed ? kNorpixLaterStart : kNorpixHeaderBytes;
        file_ = file_system().open(path_, OpenMode::create_exclusive);
        write_header();
    }

    void write_header() {
        const std::vector<uint8_t> bytes = make_norpix_header(header_);
        file_->write_at(bytes.data(), bytes.size(), 0);
    }

    void make_record(const cv::Mat& image, const NorpixStamp& stamp) {
        size_t stamp_at = 0;
        if (options_.compression == Compression::none) {
            record_.assign(header_.true_size, 0);
            const size_t row_bytes = image.elemSize() * static_cast<size_t>(image.cols);
            for (int row = 0; row < image.rows; ++row) {
                std::memcpy(record_.data() + static_cast<size_t>(row) * row_bytes, image.ptr(row), row_bytes);
            }
            stamp_at = type_.bytes();
        } else {
            const bool jpeg = options_.compression == Compression::jpeg;
            const std::vector<uint8_t> bytes =
                jpeg ? encode_image(image, ".jpg", {cv::IMWRITE_JPEG_QUALITY, options_.quality})
                     : encode_image(image, ".png");
            const auto length = static_cast<uint32_t>(bytes.size() + sizeof(uint32_t));
            stamp_at = length;
            record_.assign(length + (has_microseconds() ? kNorpixStampBytes : kToolboxGap), 0);
            std::memcpy(record_.data(), &length, sizeof length);
            std::memcpy(record_.data() + sizeof length, bytes.data(), bytes.size());
        }
        std::memcpy(record_.data() + stamp_at, &stamp.seconds, sizeof stamp.seconds);
        std::memcpy(record_.data() + stamp_at + 4, &stamp.milliseconds, sizeof stamp.milliseconds);
        if (has_microseconds())
            std::memcpy(record_.data() + stamp_at + 6, &stamp.microseconds, sizeof stamp.microseconds);
    }

    fs::path path_;
    Options options_;
    std::optional<double> frame_rate_;
    ImageType type_;
    NorpixHeader header_;
    std::unique_ptr<File> file_;
    uint64_t end_ = 0;
    std::vector<uint8_t> record_;
    std::vector<double> times_;
    bool closed_ = false;
};

}  // namespace

std::vector<CodecOptionInfo> norpix_sink_options() {
    return {{"version", "3", "3 (times in milliseconds; what most readers know) or 5 (microseconds)"},
            {"compression", "none", "none, jpeg or png (version 3 only)"},
            {"quality", std::to_string(kDefaultQuality), "of compression=jpeg, 1 to 100"}};
}

std::unique_ptr<FrameSink> create_norpix_sink(const fs::path& path, const SinkOptions& options) {
    return std::make_unique<NorpixSink>(path, options);
}

}  // namespace reelstore
