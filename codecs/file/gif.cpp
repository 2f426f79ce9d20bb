/// GIF as CompuServe's "Graphics Interchange Format, version 89a" describes it, with Netscape's extension for loops.
///
/// Frames are what browsers show: every image drawn upon those before it, transparent parts of the whole white, images
/// that claim 0 or 1 hundredths of a second shown for 10. Files whose palettes are all gray are gray.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/foreign/gif_file.h"
#include "codecs/foreign/gif_lzw.h"
#include "codecs/foreign/gif_palette.h"
#include "codecs/foreign/image_sequence.h"
#include "codecs/option_values.h"
#include "codecs/output_file.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "GIF";
constexpr int kHundredths = 100;
/// Players show what is shorter for a tenth of a second.
constexpr int kShortestDelay = 2;
constexpr int kLongestDelay = 65535;
constexpr double kDefaultFrameRate = 25;
constexpr int kMostLoops = 65536;

class GifSequence : public ImageSequence {
public:
    explicit GifSequence(const std::shared_ptr<const FileBytes>& file) : painter_(file, find_gif_images(*file)) {
        int64_t time = 0;
        for (const GifImage& image : images().images) {
            begins_.push_back(time);
            time += shown_delay(image.delay);
        }
        duration_ = time;
    }

    const GifImages& images() const { return painter_.images(); }
    int64_t frame_count() const override { return static_cast<int64_t>(begins_.size()); }
    SequenceImage read(int64_t index) const override { return {painter_.draw(index)}; }
    int64_t entry_of(int64_t index) const override { return images().images[static_cast<size_t>(index)].entry; }
    FrameStamp stamp(int64_t index) const override {
        return {.number = index, .time = double(begins_[static_cast<size_t>(index)]) / kHundredths};
    }
    double frame_rate() const { return double(frame_count()) * kHundredths / double(duration_); }

private:
    GifPainter painter_;
    std::vector<int64_t> begins_;  ///< in hundredths of a second
    int64_t duration_ = 0;
};

void add_number(std::vector<uint8_t>& bytes, int number) {
    bytes.push_back(static_cast<uint8_t>(number));
    bytes.push_back(static_cast<uint8_t>(number >> 8));
}

/// 2 to the power of what is returned is enough for so many colours; at least 4, for the sake of the codes.
int bits_for(size_t colors) {
    int bits = 2;
    while (size_t{1} << bits < colors) ++bits;
    return bits;
}

void add_palette(std::vector<uint8_t>& bytes, const std::vector<cv::Vec3b>& colors, int bits) {
    for (size_t i = 0; i < size_t{1} << bits; ++i) {
        const cv::Vec3b color = i < colors.size() ? colors[i] : cv::Vec3b();
        bytes.insert(bytes.end(), {color[2], color[1], color[0]});
    }
}

std::vector<cv::Vec3b> gray_colors() {
    std::vector<cv::Vec3b> colors;
    for (int value = 0; value < 256; ++value) colors.push_back(cv::Vec3b::all(static_cast<uint8_t>(value)));
    return colors;
}

class GifSink : public FrameSink {
public:
    GifSink(fs::path path, const SinkOptions& options) : path_(std::move(path)), options_(options) {
        if (!options.true_times) frame_rate_ = options.frame_rate;
        if (frame_rate_ && !(*frame_rate_ >= 0.001 && *frame_rate_ <= 1e6)) {
            throw Error(ErrorCode::invalid_argument, place(),
                        fmt::format("a frame rate must be between 0.001 and 1000000, not {}", *frame_rate_));
        }
        const std::string dither = choice_option(options.codec, "dither", "none", {"none", "floyd-steinberg", "bayer"});
        dither_ = dither == "bayer"             ? GifDither::bayer
                  : dither == "floyd-steinberg" ? GifDither::floyd_steinberg
                                                : GifDither::none;
        one_palette_ = choice_option(options.codec, "palette", "frame", {"frame", "global"}) == "global";
        ping_pong_ = choice_option(options.codec, "pingpong", "no", {"yes", "no"}) == "yes";
        loop_ = integer_option(options.codec, "loop", 0, 0, kMostLoops);
        check_new_output(path_, options_);
    }

    ~GifSink() override {
        try {
            close();
        } catch (const Error&) {
            // Only close() itself can report it.
        }
    }

    void write(const Frame& frame) override {
        if (closed_) throw Error(ErrorCode::invalid_argument, place(), "the output is closed");
        const ImageType type = ImageType::of(frame.image);
        if (!file_) begin(frame.image, type);
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, place(),
                        fmt::format("the frame is {}, those before it are {}", type.text(), type_.text()));
        }
        if (!blocks_.empty()) set_last_delay(delay_until(frame.time));
        begin_time_ = blocks_.empty() ? frame.time : begin_time_;
        write_image(frame.image);
    }

    const std::vector<std::string>& notes() const override { return notes_; }

    void close() override {
        if (closed_) return;
        closed_ = true;
        if (!file_) return;
        // The last frame is shown for as long as the one before it.
        if (blocks_.empty()) throw Error(ErrorCode::corrupt, place(), "no frame could be written");
        set_last_delay(frame_rate_ || blocks_.size() < 2 ? delay_until(std::numeric_limits<double>::quiet_NaN())
                                                         : last_delay_);
        // A few may make up for rounding.
        if (shortened_ * 2 > blocks_.size()) {
            notes_.push_back(
                fmt::format("{}: shown more slowly than asked for: players show at most {} frames of a GIF a second",
                            path_.string(), kHundredths / kShortestDelay));
        }
        if (ping_pong_) write_backward();
        const uint8_t trailer = 0x3B;
        file_->write_at(&trailer, 1, end_);
        file_->close();
    }

private:
    struct Block {
        uint64_t offset = 0;
        uint64_t bytes = 0;
    };
    static constexpr uint64_t kDelayPlace = 4;  ///< in a block

    ErrorPlace place() const { return {path_.string(), {}, {}}; }

    void begin(const cv::Mat& image, const ImageType& type) {
        if (type.empty() || type.depth != CV_8U || (type.channels != 1 && type.channels != 3)) {
            throw Error(ErrorCode::wrong_type, place(),
                        fmt::format("GIF holds uint8 gray or BGR, not {}; .tif and .npy files hold it, and filters "
                                    "can bring it to 8 bits",
                                    type.text()));
        }
        if (!plausible(type)) throw Error(ErrorCode::wrong_type, place(), type.text() + " is no plausible image");
        type_ = type;
        std::vector<uint8_t> bytes = {'G', 'I', 'F', '8', '9', 'a'};
        add_number(bytes, type.width);
        add_number(bytes, type.height);
        std::vector<cv::Vec3b> shared;
        if (type.gray()) {
            shared = gray_colors();
        } else if (one_palette_) {
            palette_.emplace(image);
            shared = palette_->colors();
        }
        shared_bits_ = shared.empty() ? 0 : bits_for(shared.size());
        const int flags = 0x70 | (shared.empty() ? 0 : 0x80 | (shared_bits_ - 1));
        bytes.insert(bytes.end(), {static_cast<uint8_t>(flags), 0, 0});
        if (!shared.empty()) add_palette(bytes, shared, shared_bits_);
        if (loop_ != 1) {
            const std::string name = "NETSCAPE2.0";
            bytes.insert(bytes.end(), {0x21, 0xFF, 11});
            bytes.insert(bytes.end(), name.begin(), name.end());
            bytes.insert(bytes.end(), {3, 1});
            add_number(bytes, loop_ == 0 ? 0 : loop_ - 1);
            bytes.push_back(0);
        }
        file_ = create_output(path_, options_, WritingOrder::anywhere);
        file_->write_at(bytes.data(), bytes.size(), 0);
        end_ = bytes.size();
    }

    void write_image(const cv::Mat& image) {
        // Images cover those before them, so that they can be shown in any order.
        std::vector<uint8_t> bytes = {0x21, 0xF9, 4, 1 << 2, 0, 0, 0, 0, 0x2C, 0, 0, 0, 0};
        add_number(bytes, type_.width);
        add_number(bytes, type_.height);
        int bits = shared_bits_;
        std::vector<uint8_t> indices;
        if (type_.gray()) {
            bytes.push_back(0);
            for (int row = 0; row < image.rows; ++row) {
                indices.insert(indices.end(), image.ptr(row), image.ptr(row) + image.cols);
            }
        } else if (palette_) {
            bytes.push_back(0);
            indices = palette_->indices_of(image, dither_);
        } else {
            const GifPalette palette(image);
            bits = bits_for(palette.colors().size());
            bytes.push_back(static_cast<uint8_t>(0x80 | (bits - 1)));
            add_palette(bytes, palette.colors(), bits);
            indices = palette.indices_of(image, dither_);
        }
        append_gif_indices(bytes, indices, bits);
        file_->write_at(bytes.data(), bytes.size(), end_);
        blocks_.push_back({end_, bytes.size()});
        end_ += bytes.size();
    }

    /// For how long the last frame has been shown when the next one comes; what rounding has taken from the frames
    /// before comes back.
    int delay_until(double time) {
        const auto count = static_cast<double>(blocks_.size());
        const double rate = frame_rate_.value_or(kDefaultFrameRate);
        double due = count * kHundredths / rate;
        if (!frame_rate_ && std::isfinite(time) && std::isfinite(begin_time_)) {
            // Times that go back are no reason to show nothing.
            due = std::max((time - begin_time_) * kHundredths, shown_);
        }
        const double delay = std::round(due - shown_);
        if (delay < kShortestDelay) ++shortened_;
        return static_cast<int>(std::clamp<double>(delay, kShortestDelay, kLongestDelay));
    }

    void set_last_delay(int delay) {
        std::vector<uint8_t> bytes;
        add_number(bytes, delay);
        file_->write_at(bytes.data(), bytes.size(), blocks_.back().offset + kDelayPlace);
        shown_ += delay;
        last_delay_ = delay;
    }

    /// From the last but one to the second, copied from the file.
    void write_backward() {
        std::vector<uint8_t> bytes;
        for (size_t i = blocks_.size() < 2 ? 0 : blocks_.size() - 2; i > 0; --i) {
            const Block& block = blocks_[i];
            bytes.resize(block.bytes);
            if (file_->read_at(bytes.data(), bytes.size(), block.offset) != bytes.size()) {
                throw Error(ErrorCode::corrupt, place(), "frames that were written are gone");
            }
            file_->write_at(bytes.data(), bytes.size(), end_);
            end_ += bytes.size();
        }
    }

    fs::path path_;
    SinkOptions options_;
    std::optional<double> frame_rate_;  ///< none: the frames' own times
    GifDither dither_ = GifDither::none;
    bool one_palette_ = false;
    bool ping_pong_ = false;
    int loop_ = 0;
    ImageType type_;
    std::unique_ptr<File> file_;
    std::optional<GifPalette> palette_;  ///< of all frames
    int shared_bits_ = 0;
    std::vector<Block> blocks_;  ///< of the frames
    uint64_t end_ = 0;
    double begin_time_ = 0;
    double shown_ = 0;  ///< hundredths of a second that the frames are shown for, without the last one
    int last_delay_ = 0;
    size_t shortened_ = 0;  ///< frames that should have been shown more shortly
    std::vector<std::string> notes_;
    bool closed_ = false;
};

class GifFile : public FileFormat {
public:
    GifFile() {
        info_.name = kName;
        info_.extensions = {".gif"};
        info_.reads = true;
        info_.writes = true;
        info_.streams = true;
        info_.true_times = true;
        info_.types = "uint8 gray and BGR; gray is lossless, as is colour of at most 256 colours a frame";
        info_.tested = "files of Pillow and FFmpeg";
        info_.options = {
            {"palette", "frame", "frame or global: every frame has colours of its own, or all have the first one's"},
            {"dither", "none", "none, floyd-steinberg or bayer"},
            {"loop", "0", "how often it is played; 0: for ever"},
            {"pingpong", "no", "yes or no: forward, then backward"}};
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override { return is_gif(head); }

    bool writes_to(const fs::path& path) const override {
        return lower_case_extension(path) == ".gif" &&
               path.filename().string().find_first_of("{}") == std::string::npos;
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            const auto frames = std::make_shared<GifSequence>(std::make_shared<const FileBytes>(path, options.map));
            const GifImages& images = frames->images();
            OpenedSequence opened;
            opened.frames = frames;
            opened.info.name = path.string();
            opened.info.format = kName;
            opened.info.image_type = {images.height, images.width, images.gray ? 1 : 3, CV_8U};
            opened.info.frame_rate = frames->frame_rate();
            opened.info.has_times = true;
            const int plays = images.extra_plays ? (*images.extra_plays == 0 ? 0 : *images.extra_plays + 1) : 1;
            opened.user_metadata["loop"] = plays;
            if (!images.comment.empty()) opened.user_metadata["comment"] = images.comment;
            for (const std::string& warning : images.warnings) {
                opened.warnings.push_back(path.string() + ": " + warning);
            }
            return sequence_source(std::move(opened), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        check_option_names("GIF", info_.options, options.codec);
        return std::make_unique<GifSink>(path, options);
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_gif(FileFormatTable& table) {
    table.push_back(std::make_unique<GifFile>());
}

}  // namespace reelstore
