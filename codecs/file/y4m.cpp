/// YUV4MPEG2, the format in which programs hand each other video through pipes: a line of text with size, rate and
/// layout, then for every frame a line "FRAME" and the planes. After the description in mjpegtools' yuv4mpeg(5), with
/// the tags for deep gray and for the range that FFmpeg has added. Reading it is the business of codecs/file/video.cpp.

#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/option_values.h"
#include "codecs/output_file.h"
#include "codecs/video/pixel_convert.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr double kDefaultRate = 25;
/// Largest numerator and denominator of a frame rate.
constexpr int kRatePrecision = 1001000;
constexpr int kFullDepth = 16;
constexpr std::string_view kFrame = "FRAME\n";

struct Layout {
    std::string tag;  ///< of the header, "mono", "444"
    AVPixelFormat format = AV_PIX_FMT_NONE;
};

class Y4mSink : public FrameSink {
public:
    Y4mSink(fs::path path, const SinkOptions& options) : path_(std::move(path)), options_(options) {
        const CodecOptions& codec = options.codec;
        for (const auto& [name, value] : codec) {
            if (name != "pix_fmt" && name != "range" && name != "bits" && name != "frame_rate")
                throw Error(ErrorCode::invalid_argument,
                            fmt::format("y4m has no option '{}'; valid: pix_fmt, range, bits, frame_rate", name));
        }
        colour_layout_ = choice_option(codec, "pix_fmt", "yuv444p", {"yuv444p", "yuv422p", "yuv420p"});
        full_range_ = choice_option(codec, "range", "full", {"full", "limited"}) == "full";
        if (codec.count("bits") > 0) bits_ = std::stoi(choice_option(codec, "bits", "16", {"9", "10", "12", "16"}));
        rate_ = rate_option(codec, "frame_rate", options.frame_rate.value_or(kDefaultRate), 0.001, 1e6);
        if (!(rate_ >= 0.001 && rate_ <= 1e6))
            throw Error(ErrorCode::invalid_argument, place(),
                        fmt::format("a frame rate must be between 0.001 and 1000000, not {}", rate_));
        check_new_output(path_, options_);
    }

    ~Y4mSink() override {
        try {
            close();
        } catch (...) {
            // Only close() itself can report it.
        }
    }

    void write(const Frame& frame) override {
        if (closed_) throw Error(ErrorCode::invalid_argument, place(), "the output is closed");
        const ImageType type = ImageType::of(frame.image);
        if (!file_) prepare(type);
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, {path_.string(), {}, frame.index},
                        fmt::format("the frame is {}, those before it are {}", type.text(), type_.text()));
        }
        UniqueFrame planes;
        try {
            planes = converter_->convert(frame.image);
        } catch (const Error& error) {
            throw error.at({path_.string(), {}, frame.index});
        }
        // A first frame that is refused leaves no file.
        if (!file_) begin();
        append(*planes);
    }

    void close() override {
        if (closed_) return;
        closed_ = true;
        if (file_) file_->close();
    }

private:
    ErrorPlace place() const { return {path_.string(), {}, {}}; }

    Layout layout_of(const ImageType& type) const {
        const bool deep = type.depth == CV_16U;
        if (!type.gray() && type.channels == 3 && type.depth == CV_8U) {
            const std::string sampling = colour_layout_.substr(3, 3);
            // Chroma of 4:2:0 lies left of the middle, as readers take it where a video does not say.
            return {sampling == "420" ? "420mpeg2" : sampling, av_get_pix_fmt(colour_layout_.c_str())};
        }
        if (type.gray() && type.depth == CV_8U) return {"mono", AV_PIX_FMT_GRAY8};
        if (type.gray() && deep) {
            const std::string bits = std::to_string(bits_.value_or(kFullDepth));
            return {"mono" + bits, av_get_pix_fmt(("gray" + bits + "le").c_str())};
        }
        throw Error(ErrorCode::wrong_type, place(),
                    fmt::format("y4m holds 8-bit gray and BGR and 16-bit gray images, not {}; rawvideo and npy hold "
                                "them",
                                type.text()));
    }

    void prepare(const ImageType& type) {
        layout_ = layout_of(type);
        if (bits_ && type.depth != CV_16U)
            throw Error(ErrorCode::invalid_argument, place(),
                        "option bits is for 16-bit images, not for " + type.text());
        converter_.emplace(type, FrameLayout{.format = layout_.format, .full_range = full_range_, .even = false});
        type_ = type;
    }

    void begin() {
        const AVRational rate = av_d2q(rate_, kRatePrecision);
        const std::string header =
            fmt::format("YUV4MPEG2 W{} H{} F{}:{} Ip A1:1 C{} XCOLORRANGE={}\n", type_.width, type_.height, rate.num,
                        rate.den, layout_.tag, converter_->full_range() ? "FULL" : "LIMITED");
        file_ = create_output(path_, options_, WritingOrder::forward);
        bytes_.assign(header.begin(), header.end());
        write_bytes();
    }

    void append(const AVFrame& planes) {
        const AVPixFmtDescriptor& format = *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(planes.format));
        bytes_.assign(kFrame.begin(), kFrame.end());
        for (int plane = 0; plane < format.nb_components; ++plane) {
            const bool chroma = plane > 0;
            const int width = chroma ? AV_CEIL_RSHIFT(planes.width, format.log2_chroma_w) : planes.width;
            const int height = chroma ? AV_CEIL_RSHIFT(planes.height, format.log2_chroma_h) : planes.height;
            const int row_bytes = width * format.comp[plane].step;
            for (int row = 0; row < height; ++row) {
                const uint8_t* begin = planes.data[plane] + static_cast<ptrdiff_t>(row) * planes.linesize[plane];
                bytes_.insert(bytes_.end(), begin, begin + row_bytes);
            }
        }
        write_bytes();
    }

    void write_bytes() {
        file_->write_at(bytes_.data(), bytes_.size(), end_);
        end_ += bytes_.size();
    }

    fs::path path_;
    SinkOptions options_;
    std::string colour_layout_;
    bool full_range_ = true;
    std::optional<int> bits_;
    double rate_ = 0;
    ImageType type_;
    Layout layout_;
    std::optional<ImageToFrame> converter_;
    std::unique_ptr<File> file_;
    std::vector<uint8_t> bytes_;
    uint64_t end_ = 0;
    bool closed_ = false;
};

class Y4mFile : public FileFormat {
public:
    Y4mFile() {
        info_.name = "y4m";
        info_.extensions = {".y4m"};
        info_.writes = true;
        info_.streams = true;
        info_.types = "uint8 gray and BGR (as YUV), uint16 gray; gray is exact";
        info_.options = {{"pix_fmt", "yuv444p", "kept colour: yuv444p, yuv422p, yuv420p"},
                         {"range", "full", "values of luma: full (0..255) or limited (16..235, rounds gray values)"},
                         {"bits", "16", "of 16-bit images, values 0..2^bits-1: 9, 10, 12, 16"},
                         {"frame_rate", "25", "frames per second; also as 24000/1001"}};
    }

    const FileFormatInfo& info() const override { return info_; }
    bool recognises(const fs::path&, std::span<const uint8_t>) const override { return false; }
    bool writes_to(const fs::path& path) const override { return lower_case_extension(path) == ".y4m"; }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions&) const override {
        throw Error(ErrorCode::unsupported, {path.string(), {}, {}}, "is read as video");
    }
    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        return std::make_unique<Y4mSink>(path, options);
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_y4m(FileFormatTable& table) {
    table.push_back(std::make_unique<Y4mFile>());
}

}  // namespace reelstore
