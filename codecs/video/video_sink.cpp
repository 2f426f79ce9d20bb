#include "codecs/video/video_sink.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/median.h"
#include "codecs/option_values.h"
#include "codecs/video/encoder_options.h"
#include "codecs/video/video_file_writer.h"

namespace reelstore {

namespace {

/// Frames held back at most to learn the frame rate from their times.
constexpr size_t kFramesToMeasure = 32;
constexpr size_t kBytesToMeasure = size_t{64} << 20;
constexpr double kLeastFrameRate = 0.001;
constexpr double kMostFrameRate = 1e6;

class VideoSink : public FrameSink {
public:
    VideoSink(const VideoContainer& container, VideoTarget target, const SinkOptions& options)
        : target_(std::move(target)),
          layout_{.muxer = container.muxer,
                  .true_times = options.true_times,
                  .can_seek = target_.can_seek,
                  .fragmented = target_.fragmented,
                  .index_first = target_.index_first,
                  .audio = options.audio} {
        CodecOptions codec = options.codec;
        rate_known_ = options.frame_rate || codec.count("frame_rate") > 0;
        const double rate =
            rate_option(codec, "frame_rate", options.frame_rate.value_or(0), kLeastFrameRate, kMostFrameRate);
        codec.erase("frame_rate");
        settings_ = parse_encoder_options(codec, container.encoders);
        if (rate_known_) {
            if (!(rate >= kLeastFrameRate && rate <= kMostFrameRate)) {
                throw Error(ErrorCode::invalid_argument, {target_.name, {}, {}},
                            fmt::format("a frame rate must be between {} and {}, not {}", kLeastFrameRate,
                                        kMostFrameRate, rate));
            }
            settings_.frame_rate = rate;
        }
    }

    ~VideoSink() override {
        try {
            close();
        } catch (...) {
            // Whoever wants to know calls close().
        }
    }

    void write(const Frame& frame) override {
        if (closed_)
            throw Error(ErrorCode::invalid_argument, {target_.name, {}, {}}, "is closed; no frame can be added");
        const ImageType type = ImageType::of(frame.image);
        if (type_.empty()) {
            if (const auto refused = refuses_images(settings_, type))
                throw Error(ErrorCode::wrong_type, {target_.name, {}, {}}, *refused);
            type_ = type;
        }
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, {target_.name, {}, frame.index},
                        "the frame is " + type.text() + " where " + type_.text() + " is expected");
        }
        if (writer_ || rate_known_) {
            release();
            encode(frame);
            return;
        }
        held_bytes_ += type.bytes();
        held_.push_back(frame);
        if (held_.size() >= kFramesToMeasure || held_bytes_ >= kBytesToMeasure) release();
    }

    void close() override {
        if (closed_) return;
        if (!broken_) release();
        closed_ = true;
        if (!writer_ || broken_) return;
        if (!any_frame_) {
            // All were refused: a file without frames is none.
            writer_.reset();
            discard();
            return;
        }
        writer_->finish();
        file_->close();
        if (writer_->times_moved() > 0) {
            notes_.push_back(
                fmt::format("{}: the times of {} frames are not behind those of the frames before them by more than "
                            "the file can tell; they were moved just behind them",
                            target_.name, writer_->times_moved()));
        }
    }

    const std::vector<std::string>& notes() const override { return notes_; }

private:
    void begin() {
        auto writer = std::make_unique<VideoFileWriter>(target_.name, layout_, type_, settings_);
        file_ = target_.open();
        try {
            writer->begin(*file_);
        } catch (...) {
            broken_ = true;
            discard();
            throw;
        }
        writer_ = std::move(writer);
    }

    void discard() {
        file_.reset();
        if (target_.discard) target_.discard();
    }

    void encode(const Frame& frame) {
        // FFmpeg cannot go on behind a write that failed.
        if (broken_) throw Error(ErrorCode::io, {target_.name, {}, {}}, "could not be written further");
        try {
            if (!writer_) begin();
            writer_->write(frame.image, frame.time);
            any_frame_ = true;
        } catch (const Error& error) {
            const bool frame_refused =
                error.code() == ErrorCode::wrong_type || error.code() == ErrorCode::invalid_argument;
            if (!frame_refused) broken_ = true;
            throw;
        } catch (...) {
            // What the writer of a stream threw.
            broken_ = true;
            throw;
        }
    }

    void release() {
        if (held_.empty()) return;
        if (!writer_) {
            if (const auto rate = measured_rate()) settings_.frame_rate = *rate;
        }
        // One that is refused takes none of the others with it.
        while (!held_.empty()) {
            const Frame frame = std::move(held_.front());
            held_.pop_front();
            encode(frame);
        }
    }

    /// From the median interval, so that a pause or a lost frame among the first ones does not count.
    std::optional<double> measured_rate() const {
        std::vector<double> intervals;
        for (size_t i = 1; i < held_.size(); ++i) {
            const double interval = held_[i].time - held_[i - 1].time;
            if (interval > 0 && std::isfinite(interval)) intervals.push_back(interval);
        }
        if (intervals.empty()) return std::nullopt;
        return std::clamp(std::round(1e3 / median(std::move(intervals))) / 1e3, kLeastFrameRate, kMostFrameRate);
    }

    VideoTarget target_;
    VideoFileLayout layout_;
    EncoderSettings settings_;
    bool rate_known_ = false;
    ImageType type_;
    std::shared_ptr<File> file_;
    std::unique_ptr<VideoFileWriter> writer_;
    std::deque<Frame> held_;
    size_t held_bytes_ = 0;
    bool any_frame_ = false;
    bool broken_ = false;
    bool closed_ = false;
    std::vector<std::string> notes_;
};

}  // namespace

const std::vector<VideoContainer>& video_containers() {
    static const std::vector<VideoContainer> table = {
        {".mp4", "mp4", {"libx264", "libx265", "libsvtav1", "libvpx-vp9", "mjpeg"}},
        {".m4v", "mp4", {"libx264", "libx265", "libsvtav1", "libvpx-vp9", "mjpeg"}},
        {".mkv", "matroska", {"libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "mjpeg"}},
        {".mov", "mov", {"libx264", "libx265", "ffv1", "mjpeg"}},
        {".avi", "avi", {"mjpeg"}, false, false},
        {".webm", "webm", {"libvpx-vp9", "libsvtav1"}}};
    return table;
}

const VideoContainer* video_container(std::string_view extension) {
    const auto& all = video_containers();
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const VideoContainer& container) { return container.extension == extension; });
    return found == all.end() ? nullptr : &*found;
}

std::unique_ptr<FrameSink> make_video_sink(const VideoContainer& container, VideoTarget target,
                                           const SinkOptions& options) {
    if (!target.can_seek && !container.streams) {
        std::string able;
        for (const VideoContainer& other : video_containers()) {
            if (other.streams) able += (able.empty() ? "" : " ") + other.extension;
        }
        throw Error(ErrorCode::unsupported, {target.name, {}, {}},
                    fmt::format("{} files cannot be written to a stream, as their index lies at places written before; "
                                "{} can, or write a file",
                                container.extension, able));
    }
    return std::make_unique<VideoSink>(container, std::move(target), options);
}

VideoTarget new_video_file(const std::filesystem::path& path) {
    if (file_system().status(path).kind != FileKind::missing)
        throw Error(ErrorCode::already_exists, {path.string(), {}, {}}, "exists already");
    const auto open = [path] { return std::shared_ptr<File>(file_system().open(path, OpenMode::create_exclusive)); };
    const auto discard = [path] {
        try {
            file_system().remove(path);
        } catch (const Error&) {
            // The error that led here says more.
            return;
        }
    };
    return {.name = path.string(), .open = open, .discard = discard};
}

VideoTarget video_stream_to(ByteWriter writer, const std::string& name) {
    const auto open = [writer = std::move(writer), name] {
        return std::shared_ptr<File>(appending_file(writer, name));
    };
    return {.name = name, .open = open, .can_seek = false};
}

}  // namespace reelstore
