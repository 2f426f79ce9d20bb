#include "codecs/video/audio_encode.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace reelstore {

namespace {

/// Two channels of it are as good as anybody hears; that much for each two of more.
constexpr int64_t kBitRate = 192'000;
/// Players of compressed sound expect no more.
constexpr int kMostCompressedRate = 48'000;
/// Samples in a packet of PCM, where nothing else limits it.
constexpr int kPcmBlock = 4096;

bool is_pcm(const AVCodec& codec) {
    return std::string(avcodec_get_name(codec.id)).rfind("pcm_", 0) == 0;
}

int rate_for(const AVCodec& codec, int rate) {
    if (is_pcm(codec)) return rate;
    // Opus knows other rates, but its containers count by this one.
    if (codec.id == AV_CODEC_ID_OPUS) return kMostCompressedRate;
    rate = std::min(rate, kMostCompressedRate);
    if (!codec.supported_samplerates) return rate;
    int best = 0;
    for (const int* offered = codec.supported_samplerates; *offered != 0; ++offered) {
        const bool fits = *offered >= rate && (best < rate || *offered < best);
        if (fits || (best<rate&& * offered> best)) best = *offered;
    }
    return best;
}

AVSampleFormat format_for(const AVCodec& codec, AVSampleFormat decoded) {
    if (!codec.sample_fmts) return decoded;
    AVSampleFormat best = codec.sample_fmts[0];
    for (const AVSampleFormat* offered = codec.sample_fmts; *offered != AV_SAMPLE_FMT_NONE; ++offered) {
        const AVSampleFormat packed = av_get_packed_sample_fmt(*offered);
        if (packed == av_get_packed_sample_fmt(decoded)) return *offered;
        if (packed == AV_SAMPLE_FMT_FLT) best = *offered;
    }
    return best;
}

}  // namespace

EncodedAudio::EncodedAudio(AudioFile& file, double start, SoundPlace place, const std::string& encoder,
                           bool global_header)
    : path_(file.path()), samples_(file, start, !place.later) {
    open_encoder(encoder, global_header);
    if (place.before_first_frame) {
        earliest_ = std::numeric_limits<int64_t>::min();
    } else if (place.moved_by_delay && context_->codec_id == AV_CODEC_ID_OPUS) {
        earliest_ = -context_->initial_padding;
    }
}

void EncodedAudio::open_encoder(const std::string& name, bool global_header) {
    const AVCodec* codec = avcodec_find_encoder_by_name(name.c_str());
    if (!codec) throw Error(ErrorCode::unsupported, {path_, {}, {}}, "this FFmpeg cannot encode sound with " + name);
    context_.reset(avcodec_alloc_context3(codec));
    if (!context_) throw Error(ErrorCode::internal, "out of memory for sound");
    const SampleLayout decoded = samples_.decoded();
    context_->sample_rate = rate_for(*codec, decoded.rate);
    context_->sample_fmt = format_for(*codec, decoded.format);
    av_channel_layout_default(&context_->ch_layout, decoded.channels);
    context_->time_base = {1, context_->sample_rate};
    if (!is_pcm(*codec)) context_->bit_rate = std::max<int64_t>(kBitRate, kBitRate / 2 * decoded.channels);
    if (global_header) context_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    clear_libav_message();
    if (const int opened = avcodec_open2(context_.get(), codec, nullptr); opened < 0) {
        throw Error(ErrorCode::unsupported, {path_, {}, {}},
                    "its " + std::to_string(decoded.channels) + " channels of sound cannot be encoded as " +
                        avcodec_get_name(codec->id) + (libav_message().empty() ? "" : " (" + libav_message() + ")") +
                        "; .mkv and .mov keep PCM sound as it is");
    }
    samples_.convert_to(
        {.format = context_->sample_fmt, .rate = context_->sample_rate, .channels = context_->ch_layout.nb_channels});
}

void EncodedAudio::fill(AVStream& stream) const {
    if (avcodec_parameters_from_context(stream.codecpar, context_.get()) < 0) {
        throw Error(ErrorCode::internal, "out of memory for a stream of sound");
    }
    stream.codecpar->codec_tag = 0;
    stream.time_base = context_->time_base;
}

void EncodedAudio::encode(const AVFrame* frame) {
    clear_libav_message();
    const int sent = avcodec_send_frame(context_.get(), frame);
    if (sent < 0) throw libav_error(sent, path_, "encode its sound");
    for (;;) {
        UniquePacket packet = make_packet();
        const int received = avcodec_receive_packet(context_.get(), packet.get());
        if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return;
        if (received < 0) throw libav_error(received, path_, "encode its sound");
        packet->dts = packet->pts;
        if (packet->pts >= earliest_) ready_.push_back(std::move(packet));
    }
}

void EncodedAudio::encode_before(int64_t limit) {
    // Encoders with frames of their own size cannot end within one.
    const int frame_size = context_->frame_size;
    while (!flushed_) {
        if (frame_size > 0 ? !ready_.empty() && ready_.back()->pts >= limit : position_ && *position_ >= limit) return;
        // As long as no sample is known, where the first one lies is not, either.
        int wanted = frame_size > 0 ? frame_size : kPcmBlock;
        if (frame_size == 0 && position_) {
            wanted = static_cast<int>(std::min<int64_t>(wanted, limit - *position_));
        }
        samples_.ensure(wanted);
        if (!position_ && samples_.waiting() > 0) {
            position_ = samples_.begin();
            continue;
        }
        const int count = std::min(wanted, samples_.waiting());
        if (count == 0) {
            flushed_ = true;
            encode(nullptr);
            return;
        }
        const UniqueFrame frame = samples_.take(count);
        frame->pts = *position_;
        *position_ += count;
        encode(frame.get());
    }
}

void EncodedAudio::take_before(double seconds, std::vector<UniquePacket>& packets) {
    // Rounding of times must not make a packet of a single sample.
    const double exact = seconds * context_->sample_rate;
    const auto limit = static_cast<int64_t>(std::clamp(std::ceil(exact - 0.01), -1e17, 1e17));
    encode_before(limit);
    while (!ready_.empty() && ready_.front()->pts < limit) {
        end_ = ready_.front()->pts + ready_.front()->duration;
        packets.push_back(std::move(ready_.front()));
        ready_.pop_front();
    }
}

}  // namespace reelstore
