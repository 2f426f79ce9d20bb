#include "codecs/video/audio_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "codecs/video/container_input.h"

namespace reelstore {

namespace {

/// Containers and raw streams that may hold sound, hold their own data and never point to another file.
constexpr std::array<std::string_view, 22> kContainers = {
    "mov", "matroska", "avi",  "mpegts", "mpeg", "ogg", "flv", "asf", "nut", "dv",  "wav",
    "w64", "aiff",     "flac", "mp3",    "aac",  "caf", "ac3", "au",  "wv",  "tta", "amr"};
/// Those of them where a place is found by arithmetic or by an index with exact time stamps.
constexpr std::array<std::string_view, 6> kExactPlaces = {"mov", "matroska", "wav", "w64", "aiff", "au"};
/// How far before the wanted second reading begins there, for decoders that need what comes before.
constexpr double kLeadSeconds = 2;

template <size_t size>
bool contains(const std::array<std::string_view, size>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

AudioFile::AudioFile(const std::filesystem::path& path)
    : path_(path.string()), file_(file_system().open(path, OpenMode::read)) {
    capture_libav_log();
    clear_libav_message();
    open();
}

void AudioFile::open() {
    format_.reset();
    input_ = std::make_unique<FileInput>(*file_);
    const AVInputFormat* demuxer = find_demuxer(*file_, path_, kContainers, "a sound file");
    format_ = open_container(*input_, path_, *demuxer);
    const int found = avformat_find_stream_info(format_.get(), nullptr);
    // FFmpeg looks far ahead; sound before a place that cannot be read is sound.
    std::optional<Error> unreadable;
    try {
        input_->rethrow();
    } catch (const Error& error) {
        unreadable = error;
        format_->pb->error = 0;
        format_->pb->eof_reached = 0;
    }
    if (found < 0 && !unreadable) throw libav_error(found, path_, "find its sound");
    stream_index_ = -1;
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        AVStream& stream = *format_->streams[i];
        const AVCodecParameters& coded = *stream.codecpar;
        const bool usable = coded.codec_type == AVMEDIA_TYPE_AUDIO && coded.codec_id != AV_CODEC_ID_NONE &&
                            coded.sample_rate > 0 && coded.ch_layout.nb_channels > 0;
        if (usable && stream_index_ < 0) stream_index_ = static_cast<int>(i);
        stream.discard = static_cast<int>(i) == stream_index_ ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    if (stream_index_ < 0 && unreadable) throw *unreadable;
    if (stream_index_ < 0) throw Error(ErrorCode::unsupported, {path_, {}, {}}, "holds no sound");
}

bool AudioFile::next(AVPacket& packet) {
    av_packet_unref(&packet);
    if (first_) {
        av_packet_move_ref(&packet, first_.get());
        first_.reset();
        return true;
    }
    for (;;) {
        const int result = av_read_frame(format_.get(), &packet);
        input_->rethrow();
        if (result < 0) return false;
        if (packet.stream_index == stream_index_ && packet.size > 0) return true;
        av_packet_unref(&packet);
    }
}

double AudioFile::seconds(const AVPacket& packet) const {
    const int64_t time = packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
    return time == AV_NOPTS_VALUE ? HUGE_VAL : static_cast<double>(time) * av_q2d(time_base());
}

void AudioFile::approach(double seconds_wanted) {
    const double target = seconds_wanted - kLeadSeconds;
    if (target <= std::max(0.0, first_second()) || !contains(kExactPlaces, demuxer_name(*format_->iformat))) return;
    const auto time = static_cast<int64_t>(target / av_q2d(time_base()));
    if (av_seek_frame(format_.get(), stream_index_, time, AVSEEK_FLAG_BACKWARD) >= 0) {
        UniquePacket packet = make_packet();
        if (next(*packet) && seconds(*packet) <= seconds_wanted) {
            first_ = std::move(packet);
            return;
        }
    }
    // It went wrong, or too far: then all of it is read.
    open();
}

double AudioFile::first_second() const {
    const auto is_video = [](const AVStream* stream) {
        return stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
               !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC);
    };
    const bool has_video = std::any_of(format_->streams, format_->streams + format_->nb_streams, is_video);
    if (has_video && format_->start_time != AV_NOPTS_VALUE) {
        return static_cast<double>(format_->start_time) / AV_TIME_BASE;
    }
    if (stream().start_time == AV_NOPTS_VALUE) return 0;
    return static_cast<double>(stream().start_time) * av_q2d(time_base());
}

std::optional<double> AudioFile::last_second() const {
    if (stream().duration == AV_NOPTS_VALUE || format_->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE) {
        return std::nullopt;
    }
    const int64_t begin = stream().start_time == AV_NOPTS_VALUE ? 0 : stream().start_time;
    return static_cast<double>(begin + stream().duration) * av_q2d(time_base());
}

}  // namespace reelstore
