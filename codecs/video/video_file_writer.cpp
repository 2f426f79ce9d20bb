#include "codecs/video/video_file_writer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

namespace {

/// Fine enough to tell the frames of fast cameras apart, coarse enough for pauses of hours.
constexpr AVRational kCoarseTick = {1, 90'000};
constexpr AVRational kFineTick = {1, 1'000'000};
constexpr double kMostCoarseRate = 1000;
/// FFmpeg's mp4 keeps intervals as 31-bit numbers.
constexpr double kMostTicks = std::numeric_limits<int32_t>::max();
/// Matroska counts milliseconds.
constexpr double kMostMatroskaRate = 1000;

bool is_mp4(const std::string& muxer) {
    return muxer == "mp4" || muxer == "mov";
}

bool is_matroska(const std::string& muxer) {
    return muxer == "matroska" || muxer == "webm";
}

/// FFmpeg moves the packets of a file behind its index by reading the file once more.
int open_written(AVFormatContext* format, AVIOContext** io, const char* /*url*/, int flags,
                 AVDictionary** /*options*/) {
    if (flags & AVIO_FLAG_WRITE) return AVERROR(EACCES);
    *io = static_cast<FileInput*>(format->opaque)->io();
    return 0;
}

int close_written(AVFormatContext* /*format*/, AVIOContext* /*io*/) {
    return 0;
}

}  // namespace

VideoFileWriter::VideoFileWriter(std::string name, VideoFileLayout layout, const ImageType& type,
                                 const EncoderSettings& settings)
    : name_(std::move(name)), layout_(std::move(layout)), encoder_(settings, type) {
    if (layout_.true_times && layout_.muxer == "avi")
        throw Error(ErrorCode::unsupported,
                    "avi files count frames of one rate; the frames' own times need .mp4, .mkv, "
                    ".mov or .webm");
    if (!layout_.can_seek && layout_.muxer == "avi")
        throw Error(ErrorCode::unsupported, "avi cannot be written to a stream; mkv, mp4, mov and webm can");
    if (!layout_.true_times && is_matroska(layout_.muxer) && settings.frame_rate > kMostMatroskaRate)
        throw Error(ErrorCode::unsupported,
                    fmt::format("Matroska and WebM count milliseconds, which cannot tell {} frames a second apart; mp4 "
                                "and mov can",
                                settings.frame_rate));
    if (!layout_.can_seek) layout_.fragmented = true;
}

void VideoFileWriter::begin(File& file) {
    file_ = &file;
    output_ = std::make_unique<PlainOutput>(file, layout_.can_seek);
    AVFormatContext* context = nullptr;
    fail_on(avformat_alloc_output_context2(&context, nullptr, layout_.muxer.c_str(), nullptr),
            "write this kind of file");
    format_.reset(context);
    format_->pb = output_->io();
    format_->flags |= AVFMT_FLAG_CUSTOM_IO;
    // What is in a stream is seen by its reader as soon as it is whole.
    if (!layout_.can_seek) format_->flags |= AVFMT_FLAG_FLUSH_PACKETS;
    // Matroska tells times of display only, so they need not move when decoding begins before the first.
    if (is_matroska(layout_.muxer)) format_->avoid_negative_ts = 0;
    add_video_stream();
    if (layout_.audio) layout_.audio->add_to(*format_, layout_.muxer);
    OptionDictionary options;
    if (is_mp4(layout_.muxer) && layout_.fragmented) {
        options.set("movflags", "frag_keyframe+delay_moov+default_base_moof");
    } else if (is_mp4(layout_.muxer) && layout_.index_first) {
        written_ = std::make_unique<FileInput>(file);
        format_->opaque = written_.get();
        format_->io_open = open_written;
        format_->io_close2 = close_written;
        options.set("movflags", "faststart");
    }
    fail_on(avformat_write_header(format_.get(), options.get()), "begin the file");
}

void VideoFileWriter::add_video_stream() {
    AVStream* stream = avformat_new_stream(format_.get(), nullptr);
    if (!stream) throw Error(ErrorCode::internal, {name_, {}, {}}, "out of memory for a video stream");
    encoder_.fill(*stream->codecpar);
    // Parameter sets are in the header alone, which this tag promises; some players take no other.
    const bool hevc_in_mp4 = encoder_.stream().codec == "hevc" && is_mp4(layout_.muxer);
    stream->codecpar->codec_tag = hevc_in_mp4 ? MKTAG('h', 'v', 'c', '1') : 0;
    if (layout_.true_times) {
        const bool fast = av_q2d(av_inv_q(encoder_.frame_duration())) > kMostCoarseRate;
        stream->time_base = fast ? kFineTick : kCoarseTick;
    } else {
        stream->time_base = encoder_.frame_duration();
        stream->avg_frame_rate = av_inv_q(encoder_.frame_duration());
        stream->r_frame_rate = stream->avg_frame_rate;
    }
}

void VideoFileWriter::fail_on(int code, const char* action) {
    if (output_) output_->rethrow();
    if (written_) written_->rethrow();
    if (code < 0) throw libav_error(code, name_, action);
}

void VideoFileWriter::set_times(double time) {
    if (!layout_.true_times) return;
    if (!std::isfinite(time)) {
        throw Error(ErrorCode::invalid_argument, {name_, {}, {}},
                    fmt::format("frame {} of this video has no time, so it cannot be shown at its own; frames without "
                                "times can only be shown at a constant rate",
                                frames_));
    }
    if (!first_time_) first_time_ = time;
    const AVRational base = format_->streams[0]->time_base;
    const double ticks = std::round((time - *first_time_) * base.den / base.num);
    const int64_t last = times_.empty() ? -1 : times_.back();
    const bool too_far =
        is_mp4(layout_.muxer) ? ticks - static_cast<double>(last) >= kMostTicks : !(std::abs(ticks) < 1e15);
    if (too_far) {
        throw Error(ErrorCode::unsupported, {name_, {}, {}},
                    fmt::format("frame {} begins {:.3f} s after the one before it, longer than this kind of video can "
                                "tell; .mkv can, or show the frames at a constant rate",
                                frames_, (ticks - static_cast<double>(last)) * av_q2d(base)));
    }
    int64_t tick = static_cast<int64_t>(std::max(ticks, static_cast<double>(last)));
    if (tick <= last) {
        ++times_moved_;
        tick = last + 1;
    }
    times_.push_back(tick);
}

int64_t VideoFileWriter::frame_duration() const {
    return std::max<int64_t>(1, av_rescale_q(1, encoder_.frame_duration(), format_->streams[0]->time_base));
}

int64_t VideoFileWriter::time_of(int64_t position) const {
    const AVRational base = format_->streams[0]->time_base;
    if (!layout_.true_times || times_.empty()) return av_rescale_q(position, encoder_.frame_duration(), base);
    const int64_t place = position - first_kept_;
    if (place < 0) return times_.front() + av_rescale_q(place, encoder_.frame_duration(), base);
    const auto known = static_cast<int64_t>(times_.size());
    if (place < known) return times_[static_cast<size_t>(place)];
    return times_.back() + (place - known + 1) * frame_duration();
}

double VideoFileWriter::seconds(int64_t time) const {
    return static_cast<double>(time) * av_q2d(format_->streams[0]->time_base);
}

void VideoFileWriter::forget_times(int64_t position) {
    while (first_kept_ < position && times_.size() > 1) {
        times_.pop_front();
        ++first_kept_;
    }
}

void VideoFileWriter::write(const cv::Mat& image, double time) {
    set_times(time);
    std::vector<EncodedPacket> packets;
    try {
        packets = encoder_.encode(image);
    } catch (const Error& error) {
        if (layout_.true_times) times_.pop_back();
        if (frames_ == 0) first_time_.reset();
        throw error.at({name_, {}, {}});
    }
    ++frames_;
    store(packets);
}

void VideoFileWriter::store(const std::vector<EncodedPacket>& packets) {
    for (const EncodedPacket& encoded : packets) {
        AVPacket& packet = *encoded.packet;
        const int64_t decoded = packet.dts;
        const int64_t shown = packet.pts;
        packet.stream_index = 0;
        packet.pts = time_of(shown);
        packet.dts = time_of(decoded);
        packet.duration = std::max<int64_t>(1, time_of(shown + 1) - packet.pts);
        if (layout_.audio) store_audio(seconds(packet.dts));
        clear_libav_message();
        fail_on(av_write_frame(format_.get(), &packet), "write a frame");
        fail_on(format_->pb->error, "write a frame");
        if (layout_.true_times) forget_times(decoded);
    }
}

void VideoFileWriter::store_audio(double before) {
    // Between two frames there may be hours.
    constexpr double kSecondsAtOnce = 1;
    do {
        audio_taken_ = std::min(before, audio_taken_ + kSecondsAtOnce);
        for (const UniquePacket& packet : layout_.audio->take_before(audio_taken_)) {
            clear_libav_message();
            fail_on(av_write_frame(format_.get(), packet.get()), "write a piece of sound");
            fail_on(format_->pb->error, "write a piece of sound");
        }
    } while (audio_taken_ < before);
}

void VideoFileWriter::finish() {
    std::vector<EncodedPacket> packets;
    try {
        packets = encoder_.flush();
    } catch (const Error& error) {
        throw error.at({name_, {}, {}});
    }
    store(packets);
    if (layout_.audio) store_audio(seconds(time_of(frames_)));
    clear_libav_message();
    fail_on(av_write_trailer(format_.get()), "finish the file");
    avio_flush(format_->pb);
    fail_on(format_->pb->error, "finish the file");
}

}  // namespace reelstore
