#include "codecs/video/audio_samples.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

extern "C" {
#include <libavutil/channel_layout.h>
#include <libavutil/samplefmt.h>
}

namespace reelstore {

namespace {

/// Time stamps that differ by less from what the samples before them add up to are rounded or jitter; a correction
/// would be heard.
constexpr double kTolerance = 0.015;
constexpr int kSilentBlock = 4096;

int channels_of(const AVFrame& frame) {
    return frame.ch_layout.nb_channels;
}

/// FFmpeg wants a named order of channels even where they are only passed on.
AVChannelLayout usual_layout(int channels) {
    AVChannelLayout layout = {};
    av_channel_layout_default(&layout, channels);
    return layout;
}

Error out_of_memory() {
    return Error(ErrorCode::internal, "out of memory for sound");
}

}  // namespace

AudioSamples::AudioSamples(AudioFile& file, double start, bool from_zero)
    : file_(file), start_(start), from_zero_(from_zero), packet_(make_packet()), frame_(make_frame()) {
    open_decoder();
    file.approach(start);
}

void AudioSamples::open_decoder() {
    const AVCodecParameters& coded = file_.parameters();
    const AVCodec* codec = avcodec_find_decoder(coded.codec_id);
    if (!codec) {
        throw Error(ErrorCode::unsupported, {file_.path(), {}, {}},
                    "this FFmpeg cannot decode its sound (" + file_.codec() + ")");
    }
    decoder_.reset(avcodec_alloc_context3(codec));
    if (!decoder_) throw out_of_memory();
    clear_libav_message();
    int result = avcodec_parameters_to_context(decoder_.get(), &coded);
    decoder_->pkt_timebase = file_.time_base();
    decoder_->thread_count = 1;
    if (result >= 0) result = avcodec_open2(decoder_.get(), codec, nullptr);
    if (result < 0) throw libav_error(result, file_.path(), "decode its sound (" + file_.codec() + ")");
}

SampleLayout AudioSamples::decoded() const {
    return {.format = decoder_->sample_fmt,
            .rate = file_.parameters().sample_rate,
            .channels = file_.parameters().ch_layout.nb_channels};
}

void AudioSamples::convert_to(const SampleLayout& layout) {
    layout_ = layout;
    queue_.reset(av_audio_fifo_alloc(layout.format, layout.channels, kSilentBlock));
    if (!queue_) throw out_of_memory();
}

/// The next frame of the decoder into frame_; false at the end.
bool AudioSamples::decode() {
    for (;;) {
        const int received = avcodec_receive_frame(decoder_.get(), frame_.get());
        if (received >= 0) return true;
        if (received == AVERROR_EOF) return false;
        if (received != AVERROR(EAGAIN)) {
            ++damaged_;
            if (draining_) return false;
            continue;
        }
        if (draining_) return false;
        if (!file_.next(*packet_)) {
            draining_ = true;
            avcodec_send_packet(decoder_.get(), nullptr);
        } else if (const int sent = avcodec_send_packet(decoder_.get(), packet_.get()); sent < 0) {
            ++damaged_;
        }
    }
}

/// Finds the place of frame_ on the video's clock: how much silence comes before it and how much of it is cut off.
void AudioSamples::add_frame() {
    const SampleLayout layout = {.format = static_cast<AVSampleFormat>(frame_->format),
                                 .rate = frame_->sample_rate,
                                 .channels = channels_of(*frame_)};
    if (layout.rate <= 0 || layout.channels <= 0 || frame_->nb_samples <= 0) return;
    if (input_.rate > 0 && layout.rate != input_.rate) {
        throw Error(ErrorCode::unsupported, {file_.path(), {}, {}},
                    "its sound changes from " + std::to_string(input_.rate) + " to " + std::to_string(layout.rate) +
                        " samples a second");
    }
    const int count = frame_->nb_samples;
    int64_t stamp = frame_->best_effort_timestamp;
    if (stamp == AV_NOPTS_VALUE) stamp = frame_->pts;
    int64_t at = position_.value_or(0);
    if (stamp != AV_NOPTS_VALUE) {
        const double seconds = static_cast<double>(stamp) * av_q2d(file_.time_base()) - start_;
        at = static_cast<int64_t>(std::clamp(std::round(seconds * layout.rate), -1e17, 1e17));
    }
    if (!position_) {
        if (at + count <= 0) return;
        position_ = from_zero_ ? 0 : std::max<int64_t>(0, at);
        begin_ = av_rescale(*position_, layout_.rate, layout.rate);
        silent_ = std::max<int64_t>(0, at - *position_);
        cut_ = static_cast<int>(std::max<int64_t>(0, *position_ - at));
    } else {
        const int64_t gap = at - *position_;
        const bool real = std::abs(static_cast<double>(gap)) > kTolerance * layout.rate;
        if (real) ++damaged_;
        silent_ = real ? std::max<int64_t>(0, gap) : 0;
        cut_ = real ? static_cast<int>(std::clamp<int64_t>(-gap, 0, count)) : 0;
    }
    if (!resampler_ || layout.format != input_.format || layout.channels != input_.channels) {
        if (resampler_) resample(nullptr, 0);
        SwrContext* resampler = nullptr;
        AVChannelLayout out = usual_layout(layout_.channels);
        AVChannelLayout in = usual_layout(layout.channels);
        int result = swr_alloc_set_opts2(&resampler, &out, layout_.format, layout_.rate, &in, layout.format,
                                         layout.rate, 0, nullptr);
        resampler_.reset(resampler);
        if (result >= 0) result = swr_init(resampler_.get());
        if (result < 0) throw libav_error(result, file_.path(), "convert its sound");
        silence_.reset();
    }
    input_ = layout;
    frame_waits_ = true;
}

void AudioSamples::resample(const uint8_t** data, int count) {
    const int room = swr_get_out_samples(resampler_.get(), count);
    if (room <= 0) return;
    const UniqueFrame out = make_frame();
    out->format = layout_.format;
    out->nb_samples = room;
    out->sample_rate = layout_.rate;
    out->ch_layout = usual_layout(layout_.channels);
    if (av_frame_get_buffer(out.get(), 0) < 0) throw out_of_memory();
    const int got = swr_convert(resampler_.get(), out->extended_data, room, data, count);
    if (got < 0) throw libav_error(got, file_.path(), "convert its sound");
    if (av_audio_fifo_write(queue_.get(), reinterpret_cast<void**>(out->extended_data), got) < got) {
        throw out_of_memory();
    }
}

void AudioSamples::add_silence() {
    if (!silence_) {
        silence_ = make_frame();
        silence_->format = input_.format;
        silence_->nb_samples = kSilentBlock;
        silence_->sample_rate = input_.rate;
        silence_->ch_layout = usual_layout(input_.channels);
        if (av_frame_get_buffer(silence_.get(), 0) < 0) throw out_of_memory();
        av_samples_set_silence(silence_->extended_data, 0, kSilentBlock, input_.channels, input_.format);
    }
    const int count = static_cast<int>(std::min<int64_t>(silent_, kSilentBlock));
    resample(const_cast<const uint8_t**>(silence_->extended_data), count);
    silent_ -= count;
    *position_ += count;
}

void AudioSamples::ensure(int wanted) {
    while (!ended_ && waiting() < wanted) {
        if (silent_ > 0) {
            add_silence();
        } else if (frame_waits_) {
            frame_waits_ = false;
            const int count = frame_->nb_samples - cut_;
            if (count <= 0) continue;
            const bool planar = av_sample_fmt_is_planar(input_.format) != 0;
            const size_t bytes =
                static_cast<size_t>(av_get_bytes_per_sample(input_.format)) * static_cast<size_t>(cut_);
            std::vector<const uint8_t*> planes(planar ? static_cast<size_t>(input_.channels) : 1);
            for (size_t i = 0; i < planes.size(); ++i) {
                planes[i] = frame_->extended_data[i] + (planar ? bytes : bytes * static_cast<size_t>(input_.channels));
            }
            resample(planes.data(), count);
            *position_ += count;
        } else if (decode()) {
            add_frame();
        } else {
            if (resampler_) resample(nullptr, 0);
            ended_ = true;
        }
    }
}

UniqueFrame AudioSamples::take(int count) {
    UniqueFrame frame = make_frame();
    frame->format = layout_.format;
    frame->nb_samples = count;
    frame->sample_rate = layout_.rate;
    frame->ch_layout = usual_layout(layout_.channels);
    if (av_frame_get_buffer(frame.get(), 0) < 0) throw out_of_memory();
    if (av_audio_fifo_read(queue_.get(), reinterpret_cast<void**>(frame->extended_data), count) < count) {
        throw Error(ErrorCode::internal, "samples of sound are missing that were counted");
    }
    return frame;
}

}  // namespace reelstore
