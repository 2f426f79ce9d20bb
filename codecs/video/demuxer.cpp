#include "codecs/video/demuxer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/text.h"
#include "codecs/video/container_input.h"

namespace reelstore {

namespace {

/// Containers and raw streams that hold their own data and never point to another file.
constexpr std::array<std::string_view, 18> kContainers = {
    "mov", "matroska", "avi", "mpegts",       "mpeg", "mpegvideo", "m4v",   "h264", "hevc",
    "ogg", "flv",      "asf", "yuv4mpegpipe", "nut",  "ivf",       "mjpeg", "obu",  "dv"};

bool allowed(const std::string& name) {
    return std::find(kContainers.begin(), kContainers.end(), name) != kContainers.end();
}

const AVInputFormat* input_format_for(File& file, const std::string& path, const std::string& forced) {
    if (!forced.empty()) {
        const AVInputFormat* format = allowed(forced) ? av_find_input_format(forced.c_str()) : nullptr;
        if (!format) {
            throw Error(ErrorCode::unsupported, {path, {}, {}}, "this FFmpeg cannot read " + forced + " files");
        }
        return format;
    }
    return find_demuxer(file, path, kContainers, "a video file");
}

std::string name_or_unknown(const char* name) {
    return name ? name : "unknown";
}

/// Takes quarter turns and mirroring from the container's display matrix; other angles are left alone.
void describe_display(const AVStream& stream, VideoStream& described) {
    const auto* matrix =
        reinterpret_cast<const int32_t*>(av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, nullptr));
    if (!matrix) return;
    // A picture's point (x, y), y downwards, goes to (a x + c y, b x + d y).
    double a = matrix[0];
    double b = matrix[1];
    const double c = matrix[3];
    const double d = matrix[4];
    const double turned = std::abs(b) + std::abs(c);
    const double upright = std::abs(a) + std::abs(d);
    if (std::min(turned, upright) > 0.02 * std::max(turned, upright)) return;
    described.mirrored = a * d - b * c < 0;
    if (described.mirrored) {
        a = -a;
        b = -b;
    }
    if (turned > upright) {
        described.rotation = b > 0 ? 90 : 270;
    } else {
        described.rotation = a < 0 ? 180 : 0;
    }
}

}  // namespace

std::string demuxer_of_extension(const std::filesystem::path& path) {
    const std::string extension = lower_case_extension(path);
    if (extension == ".mp4" || extension == ".mov" || extension == ".m4v") return "mov";
    if (extension == ".mkv" || extension == ".webm") return "matroska";
    if (extension == ".avi") return "avi";
    return {};
}

std::string probe_container(std::span<const uint8_t> head, std::string* other) {
    capture_libav_log();
    int score = 0;
    const AVInputFormat* format = probe_head(head, score);
    if (!format || score < kLeastProbeScore) return {};
    std::string name = demuxer_name(*format);
    if (allowed(name)) return name;
    if (other) *other = name;
    return {};
}

VideoStream describe_stream(const AVStream& stream, const AVCodecParameters& parameters) {
    VideoStream described;
    described.codec = avcodec_get_name(parameters.codec_id);
    described.width = parameters.width;
    described.height = parameters.height;
    described.codec_tag = parameters.codec_tag;
    described.bits_per_sample = parameters.bits_per_coded_sample;
    if (const char* format = av_get_pix_fmt_name(static_cast<AVPixelFormat>(parameters.format))) {
        described.pixel_format = format;
    }
    described.color_range = name_or_unknown(av_color_range_name(parameters.color_range));
    described.color_space = name_or_unknown(av_color_space_name(parameters.color_space));
    if (stream.time_base.num > 0 && stream.time_base.den > 0) {
        described.time_base_num = stream.time_base.num;
        described.time_base_den = stream.time_base.den;
    }
    for (const AVRational rate : {stream.avg_frame_rate, stream.r_frame_rate}) {
        if (described.frame_rate == 0 && rate.num > 0 && rate.den > 0) described.frame_rate = av_q2d(rate);
    }
    describe_display(stream, described);
    if (parameters.extradata_size > 0) {
        described.extradata.assign(parameters.extradata, parameters.extradata + parameters.extradata_size);
    }
    return described;
}

Demuxer::Demuxer(const std::filesystem::path& path, const std::string& forced)
    : path_(path.string()), file_(file_system().open(path, OpenMode::read)), input_(*file_) {
    capture_libav_log();
    clear_libav_message();
    open(input_format_for(*file_, path_, forced), !forced.empty());
}

void Demuxer::open(const AVInputFormat* input_format, bool forced) {
    container_ = demuxer_name(*input_format);
    format_ = open_container(input_, path_, *input_format, AVFMT_FLAG_NOFILLIN);

    stream_index_ = choose_stream();
    if (stream_index_ < 0 || format_->streams[stream_index_]->codecpar->width <= 0) {
        const int found = avformat_find_stream_info(format_.get(), nullptr);
        input_.rethrow();
        if (found < 0) throw libav_error(found, path_, "find its video stream");
        stream_index_ = choose_stream();
    }
    if (stream_index_ < 0) {
        throw Error(forced ? ErrorCode::corrupt : ErrorCode::unsupported, {path_, {}, {}}, "holds no video stream");
    }
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        format_->streams[i]->discard = static_cast<int>(i) == stream_index_ ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    if (parameters().codec_id == AV_CODEC_ID_MPEG4 && container_ == "avi") unpack_pictures();
    stream_ = describe_stream(*format_->streams[stream_index_], parameters());
}

/// DivX and its relatives put two pictures in one AVI packet and an empty one in the next.
void Demuxer::unpack_pictures() {
    const AVBitStreamFilter* unpacker = av_bsf_get_by_name("mpeg4_unpack_bframes");
    AVBSFContext* filter = nullptr;
    if (!unpacker || av_bsf_alloc(unpacker, &filter) < 0) {
        throw Error(ErrorCode::unsupported, {path_, {}, {}}, "this FFmpeg cannot unpack MPEG-4 video of AVI files");
    }
    UniqueFilter opened(filter);
    const AVStream& stream = *format_->streams[stream_index_];
    opened->time_base_in = stream.time_base;
    int result = avcodec_parameters_copy(opened->par_in, stream.codecpar);
    if (result >= 0) result = av_bsf_init(opened.get());
    if (result < 0) throw libav_error(result, path_, "unpack its MPEG-4 video");
    filter_ = std::move(opened);
}

const AVCodecParameters& Demuxer::parameters() const {
    return filter_ ? *filter_->par_out : *format_->streams[stream_index_]->codecpar;
}

int Demuxer::choose_stream() {
    int chosen = -1;
    video_streams_ = 0;
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        const AVStream& stream = *format_->streams[i];
        if (stream.codecpar->codec_type != AVMEDIA_TYPE_VIDEO || stream.codecpar->codec_id == AV_CODEC_ID_NONE)
            continue;
        if (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) continue;
        if (video_streams_++ == 0) chosen = static_cast<int>(i);
    }
    return chosen;
}

bool Demuxer::next(AVPacket& packet) {
    for (;;) {
        av_packet_unref(&packet);
        if (filter_ && av_bsf_receive_packet(filter_.get(), &packet) >= 0) {
            if (packet.size > 0) return true;
            continue;
        }
        const int result = av_read_frame(format_.get(), &packet);
        input_.rethrow();
        if (result < 0) return false;
        if (filter_ && packet.stream_index == stream_index_ && packet.size > 0) {
            if (av_bsf_send_packet(filter_.get(), &packet) < 0) return false;
            continue;
        }
        // An empty packet would tell a decoder that the stream has ended; in AVI it repeats the last picture.
        if (packet.stream_index == stream_index_ && packet.size > 0) return true;
    }
}

std::optional<double> Demuxer::creation_time() const {
    const AVDictionaryEntry* entry = av_dict_get(format_->metadata, "creation_time", nullptr, 0);
    if (!entry) entry = av_dict_get(format_->streams[stream_index_]->metadata, "creation_time", nullptr, 0);
    return entry ? parse_utc(entry->value) : std::nullopt;
}

}  // namespace reelstore
