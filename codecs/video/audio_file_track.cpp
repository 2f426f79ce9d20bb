#include "codecs/video/audio_file_track.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "codecs/video/audio_copy.h"
#include "codecs/video/audio_encode.h"

namespace reelstore {

namespace {

/// What a container can do with sound. FFmpeg's muxers take more codecs, but players do not.
struct ContainerSound {
    std::string_view muxer;
    std::string_view copied;   ///< compressed codecs that are copied, with blanks around; "*": all that the muxer takes
    std::string_view encoder;  ///< for all others
    bool keeps_pcm;
    bool before_first_frame;
    bool later;
};

constexpr std::array<ContainerSound, 5> kContainers = {{{.muxer = "mp4",
                                                         .copied = " aac mp3 ac3 eac3 alac opus ",
                                                         .encoder = "aac",
                                                         .keeps_pcm = false,
                                                         .before_first_frame = true,
                                                         .later = true},
                                                        {.muxer = "mov",
                                                         .copied = " aac mp3 ac3 eac3 alac ",
                                                         .encoder = "aac",
                                                         .keeps_pcm = true,
                                                         .before_first_frame = true,
                                                         .later = true},
                                                        {.muxer = "matroska",
                                                         .copied = "*",
                                                         .encoder = "flac",
                                                         .keeps_pcm = true,
                                                         .before_first_frame = false,
                                                         .later = true},
                                                        {.muxer = "webm",
                                                         .copied = " opus vorbis ",
                                                         .encoder = "libopus",
                                                         .keeps_pcm = false,
                                                         .before_first_frame = false,
                                                         .later = true},
                                                        {.muxer = "avi",
                                                         .copied = "",  // it can only begin with a packet
                                                         .encoder = "pcm_s16le",
                                                         .keeps_pcm = true,
                                                         .before_first_frame = false,
                                                         .later = false}}};

/// Sound that begins by less too late is not worth encoding it for.
constexpr double kLateSeconds = 0.03;

const ContainerSound& container_for(const std::string& muxer) {
    const auto* found = std::find_if(kContainers.begin(), kContainers.end(),
                                     [&](const ContainerSound& container) { return container.muxer == muxer; });
    if (found == kContainers.end()) {
        throw Error(ErrorCode::unsupported, muxer + " files hold no sound; .mp4, .mov, .mkv, .webm and .avi do");
    }
    return *found;
}

bool muxer_takes(const AVFormatContext& format, AVCodecID codec) {
    return avformat_query_codec(format.oformat, codec, FF_COMPLIANCE_NORMAL) == 1;
}

bool is_pcm(const std::string& codec) {
    return codec.rfind("pcm_", 0) == 0;
}

}  // namespace

AudioFileTrack::AudioFileTrack(const std::filesystem::path& path, double start, Clock clock)
    : path_(path), start_(start), file_(std::make_unique<AudioFile>(path)) {
    if (clock == Clock::playing) start_ += file_->first_second();
}

AudioFileTrack::~AudioFileTrack() = default;

std::optional<double> AudioFileTrack::last_second() const {
    const auto last = file_->last_second();
    return last ? std::optional(*last - start_) : std::nullopt;
}

std::unique_ptr<AudioPackets> AudioFileTrack::copied(const AVFormatContext& format, const std::string& muxer,
                                                     SoundPlace place) {
    const ContainerSound& container = container_for(muxer);
    const std::string codec = file_->codec();
    if (is_pcm(codec) || !muxer_takes(format, file_->parameters().codec_id)) return nullptr;
    if (container.copied != "*" && container.copied.find(" " + codec + " ") == std::string_view::npos) return nullptr;
    auto packets = std::make_unique<CopiedAudio>(*file_, start_, place);
    const auto begin = packets->begin();
    if (begin && *begin > kLateSeconds && !place.later) {
        packets.reset();
        // Read anew from its beginning.
        file_ = std::make_unique<AudioFile>(path_);
        return nullptr;
    }
    description_ = codec + ", copied";
    return packets;
}

std::unique_ptr<AudioPackets> AudioFileTrack::encoded(const AVFormatContext& format, const std::string& muxer,
                                                      SoundPlace place) {
    const ContainerSound& container = container_for(muxer);
    const std::string codec = file_->codec();
    std::string encoder(container.encoder);
    if (is_pcm(codec) && container.keeps_pcm) {
        // The same samples in the other order of bytes will do.
        for (const std::string& same : {codec, codec.substr(0, codec.size() - 2) + "le"}) {
            const AVCodecDescriptor* descriptor = avcodec_descriptor_get_by_name(same.c_str());
            if (!descriptor || !muxer_takes(format, descriptor->id)) continue;
            encoder = same;
            break;
        }
    }
    // Compressed silence costs next to nothing and is understood by everybody.
    if (!is_pcm(encoder)) place.later = false;
    auto packets = std::make_unique<EncodedAudio>(*file_, start_, place, encoder,
                                                  (format.oformat->flags & AVFMT_GLOBALHEADER) != 0);
    description_ = encoder == codec ? codec + ", kept" : fmt::format("{} as {}", codec, encoder);
    return packets;
}

void AudioFileTrack::add_to(AVFormatContext& format, const std::string& muxer) {
    const ContainerSound& container = container_for(muxer);
    const bool can_seek = (format.pb->seekable & AVIO_SEEKABLE_NORMAL) != 0;
    const bool tells_begin_at_once = muxer != "mp4" && muxer != "mov";
    const SoundPlace place = {.before_first_frame = container.before_first_frame,
                              .later = container.later && (can_seek || tells_begin_at_once),
                              .moved_by_delay = muxer == "matroska" || muxer == "webm"};
    packets_ = copied(format, muxer, place);
    if (!packets_) packets_ = encoded(format, muxer, place);
    AVStream* stream = avformat_new_stream(&format, nullptr);
    if (!stream) throw Error(ErrorCode::internal, {path_.string(), {}, {}}, "out of memory for a stream of sound");
    packets_->fill(*stream);
    sample_rate_ = stream->codecpar->sample_rate;
    stream_ = stream;
    // This FFmpeg's muxer tells the delay, but leaves moving the packets to others.
    const bool moved = place.moved_by_delay && stream->codecpar->codec_id == AV_CODEC_ID_OPUS;
    shift_ = moved ? stream->codecpar->initial_padding : 0;
}

std::vector<UniquePacket> AudioFileTrack::take_before(double seconds) {
    std::vector<UniquePacket> packets;
    if (!packets_) throw Error(ErrorCode::internal, {path_.string(), {}, {}}, "its sound belongs to no file yet");
    asked_ = std::max(asked_, seconds);
    if (failure_.empty()) {
        try {
            packets_->take_before(seconds, packets);
        } catch (const Error& error) {
            // The frames matter more.
            failure_ = error.message();
        }
    }
    for (const UniquePacket& packet : packets) {
        packet->stream_index = stream_->index;
        packet->pts += shift_;
        packet->dts += shift_;
        av_packet_rescale_ts(packet.get(), {1, sample_rate_}, stream_->time_base);
    }
    taken_any_ = taken_any_ || !packets.empty();
    return packets;
}

bool AudioFileTrack::incomplete() const {
    return !failure_.empty() || (packets_ && packets_->damaged() > 0);
}

std::vector<std::string> AudioFileTrack::warnings() const {
    constexpr double kWorthTelling = 0.1;
    std::vector<std::string> texts;
    const std::string name = path_.string() + ": ";
    if (!packets_) return texts;
    if (!failure_.empty()) texts.push_back(name + "its sound cannot be read any further: " + failure_);
    if (packets_->damaged() > 0) {
        texts.push_back(fmt::format("{}its sound is damaged or has holes at {} places", name, packets_->damaged()));
    }
    if (!taken_any_ && asked_ > 0) {
        texts.push_back(name + "holds no sound for the time of these frames");
    } else if (packets_->ended() && packets_->end() < asked_ - kWorthTelling) {
        texts.push_back(fmt::format("{}its sound ends {:.3f} s after the first frame, {:.3f} s before the video", name,
                                    packets_->end(), asked_ - packets_->end()));
    }
    return texts;
}

}  // namespace reelstore
