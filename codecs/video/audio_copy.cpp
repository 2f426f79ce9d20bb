#include "codecs/video/audio_copy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

extern "C" {
#include <libavutil/mem.h>
}

namespace reelstore {

namespace {

/// Containers with milliseconds round each time stamp; those errors must not add up or show.
constexpr double kLeastTolerance = 0.001;
/// Where this much is missing between two packets, sound was lost.
constexpr double kGapSeconds = 0.1;

/// Packets before the one that is heard first which its decoder must have seen.
size_t lead_packets(AVCodecID codec) {
    switch (codec) {
        case AV_CODEC_ID_OPUS:
            return 4;  // 80 ms
        case AV_CODEC_ID_MP3:
            return 2;
        case AV_CODEC_ID_FLAC:
        case AV_CODEC_ID_ALAC:
            return 0;
        default:
            return 1;
    }
}

}  // namespace

CopiedAudio::CopiedAudio(AudioFile& file, double start, SoundPlace place)
    : file_(file), start_(start), rate_(file.parameters().sample_rate) {
    const AVCodecParameters& coded = file.parameters();
    if (place.before_first_frame) {
        earliest_ = std::numeric_limits<int64_t>::min();
        lead_ = lead_packets(coded.codec_id);
    } else if (place.moved_by_delay && coded.codec_id == AV_CODEC_ID_OPUS) {
        earliest_ = -coded.initial_padding;
    }
    const double tick = av_q2d(file.time_base());
    tolerance_ = static_cast<int64_t>(std::ceil(1.01 * std::max(tick, kLeastTolerance) * rate_));
    open_filter();
    file.approach(start);
    // The first packet decides whether copying will do, and what the filter says of it belongs in the header.
    advance();
}

/// AAC of transport streams and .aac files carries its configuration in every packet, which other containers do not
/// allow.
void CopiedAudio::open_filter() {
    const AVCodecParameters& coded = file_.parameters();
    if (coded.codec_id != AV_CODEC_ID_AAC || coded.extradata_size > 0) return;
    const AVBitStreamFilter* unpacker = av_bsf_get_by_name("aac_adtstoasc");
    AVBSFContext* filter = nullptr;
    if (!unpacker || av_bsf_alloc(unpacker, &filter) < 0) {
        throw Error(ErrorCode::unsupported, {file_.path(), {}, {}}, "this FFmpeg cannot unpack AAC sound");
    }
    filter_.reset(filter);
    filter_->time_base_in = file_.time_base();
    int result = avcodec_parameters_copy(filter_->par_in, &coded);
    if (result >= 0) result = av_bsf_init(filter_.get());
    if (result < 0) throw libav_error(result, file_.path(), "unpack its AAC sound");
}

std::optional<double> CopiedAudio::begin() const {
    if (ready_.empty()) return std::nullopt;
    return static_cast<double>(ready_.front()->pts) / rate_;
}

void CopiedAudio::fill(AVStream& stream) const {
    const AVCodecParameters& coded = file_.parameters();
    if (avcodec_parameters_copy(stream.codecpar, &coded) < 0) {
        throw Error(ErrorCode::internal, "out of memory for a stream of sound");
    }
    // Its numbers belong to the container it comes from.
    stream.codecpar->codec_tag = 0;
    if (coded.codec_id != AV_CODEC_ID_OPUS) stream.codecpar->initial_padding = 0;
    if (!extradata_.empty()) {
        auto* bytes = static_cast<uint8_t*>(av_mallocz(extradata_.size() + AV_INPUT_BUFFER_PADDING_SIZE));
        if (!bytes) throw Error(ErrorCode::internal, "out of memory for a stream of sound");
        std::memcpy(bytes, extradata_.data(), extradata_.size());
        av_freep(&stream.codecpar->extradata);
        stream.codecpar->extradata = bytes;
        stream.codecpar->extradata_size = static_cast<int>(extradata_.size());
    }
    stream.time_base = {1, rate_};
}

bool CopiedAudio::read(AVPacket& packet) {
    if (!filter_) return file_.next(packet);
    for (;;) {
        const int received = av_bsf_receive_packet(filter_.get(), &packet);
        if (received >= 0) {
            size_t size = 0;
            const uint8_t* data = av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, &size);
            if (data && extradata_.empty()) extradata_.assign(data, data + size);
            return true;
        }
        if (received == AVERROR_EOF) return false;
        // A packet that is no AAC of that kind.
        if (received != AVERROR(EAGAIN)) ++damaged_;
        if (draining_) return false;
        if (file_.next(packet)) {
            if (av_bsf_send_packet(filter_.get(), &packet) < 0) return false;
        } else {
            draining_ = true;
            av_bsf_send_packet(filter_.get(), nullptr);
        }
    }
}

int64_t CopiedAudio::duration_of(const AVPacket& packet) const {
    // The codec knows it in samples; containers may round it.
    auto* parameters = const_cast<AVCodecParameters*>(&file_.parameters());
    const int samples = av_get_audio_frame_duration2(parameters, packet.size);
    if (samples > 0) return samples;
    return packet.duration > 0 ? av_rescale_q(packet.duration, file_.time_base(), {1, rate_}) : 0;
}

/// Gives the packet times of the video's clock in samples.
void CopiedAudio::place_in_time(AVPacket& packet) {
    const int64_t stamp = packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
    int64_t begin = next_.value_or(0);
    if (stamp != AV_NOPTS_VALUE) {
        const double seconds = static_cast<double>(stamp) * av_q2d(file_.time_base()) - start_;
        const double exact = std::clamp(std::round(seconds * rate_), -1e17, 1e17);
        if (!next_ || std::abs(exact - static_cast<double>(*next_)) > static_cast<double>(tolerance_)) {
            begin = static_cast<int64_t>(exact);
        }
    }
    const int64_t duration = duration_of(packet);
    packet.pts = begin;
    packet.dts = begin;
    packet.duration = duration;
    packet.pos = -1;
    packet.flags &= ~AV_PKT_FLAG_DISCARD;
    // What is to be left out at the beginning is said by the times.
    av_packet_free_side_data(&packet);
}

void CopiedAudio::advance() {
    while (ready_.empty() || !begun_) {
        UniquePacket packet = make_packet();
        if (!read(*packet)) {
            at_end_ = true;
            if (!begun_) ready_.clear();
            return;
        }
        place_in_time(*packet);
        const int64_t begin = packet->pts;
        const int64_t end = begin + packet->duration;
        // Times that go back belong to a damaged file; no container takes them.
        if (last_ && begin <= *last_) {
            ++damaged_;
            continue;
        }
        if (begun_ && static_cast<double>(begin - *next_) > kGapSeconds * rate_) ++damaged_;
        last_ = begin;
        next_ = end;
        if (begun_) {
            ready_.push_back(std::move(packet));
            continue;
        }
        const bool heard = end > 0 || (packet->duration == 0 && begin >= 0);
        if (!heard || begin < earliest_) {
            // Half a packet that cannot be cut is left out, but rounding is no reason to.
            const bool nearly = static_cast<double>(begin) >= -kLeastTolerance * rate_;
            if (!heard || !nearly) {
                if (lead_ > 0) ready_.push_back(std::move(packet));
                while (ready_.size() > lead_) ready_.pop_front();
                continue;
            }
            packet->pts = packet->dts = 0;
            last_ = 0;
            next_ = packet->duration;
        }
        ready_.push_back(std::move(packet));
        begun_ = true;
    }
}

void CopiedAudio::take_before(double seconds, std::vector<UniquePacket>& packets) {
    for (;;) {
        if (ready_.empty() && !at_end_) advance();
        if (ready_.empty() || !(static_cast<double>(ready_.front()->pts) < seconds * rate_)) return;
        end_ = ready_.front()->pts + ready_.front()->duration;
        packets.push_back(std::move(ready_.front()));
        ready_.pop_front();
    }
}

}  // namespace reelstore
