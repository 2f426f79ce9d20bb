#include "codecs/video/packet_muxer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

extern "C" {
#include <libavutil/mem.h>
}

#include "base/error.h"
#include "codecs/video/mp4_edit_list.h"
#include "codecs/video/packet_source.h"

namespace reelstore {

namespace {

void fill_parameters(const VideoStream& stream, const AVOutputFormat& container, AVCodecParameters& parameters) {
    const AVCodecDescriptor* codec = avcodec_descriptor_get_by_name(stream.codec.c_str());
    if (!codec) throw Error(ErrorCode::unsupported, "the codec \"" + stream.codec + "\" is not known");
    parameters.codec_type = AVMEDIA_TYPE_VIDEO;
    parameters.codec_id = codec->id;
    parameters.width = stream.width;
    parameters.height = stream.height;
    parameters.format = av_get_pix_fmt(stream.pixel_format.c_str());
    parameters.bits_per_coded_sample = stream.bits_per_sample;
    const int range = av_color_range_from_name(stream.color_range.c_str());
    if (range >= 0) parameters.color_range = static_cast<AVColorRange>(range);
    const int matrix = av_color_space_from_name(stream.color_space.c_str());
    if (matrix >= 0) parameters.color_space = static_cast<AVColorSpace>(matrix);
    // The tag of another container may mean nothing in this one.
    const auto tag = static_cast<uint32_t>(stream.codec_tag);
    if (tag != 0 && container.codec_tag && av_codec_get_id(container.codec_tag, tag) == codec->id) {
        parameters.codec_tag = tag;
    }
    if (stream.extradata.empty()) return;
    const size_t size = stream.extradata.size();
    parameters.extradata = static_cast<uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!parameters.extradata) throw Error(ErrorCode::internal, "out of memory for a video stream");
    std::memcpy(parameters.extradata, stream.extradata.data(), size);
    parameters.extradata_size = static_cast<int>(size);
}

/// Players are told to turn the picture, in the form of ISO/IEC 14496-12.
void add_display_matrix(const VideoStream& described, AVStream& stream) {
    constexpr int32_t kOne = 1 << 16;
    constexpr int32_t kLast = 1 << 30;
    static constexpr std::array<std::array<int32_t, 4>, 4> kTurns = {
        {{kOne, 0, 0, kOne}, {0, kOne, -kOne, 0}, {-kOne, 0, 0, -kOne}, {0, -kOne, kOne, 0}}};
    const std::array<int32_t, 4>& turn = kTurns.at(static_cast<size_t>(described.rotation / 90));
    const int32_t sign = described.mirrored ? -1 : 1;
    const std::array<int32_t, 9> matrix = {sign * turn[0], sign * turn[1], 0, turn[2], turn[3], 0, 0, 0, kLast};
    uint8_t* data = av_stream_new_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, sizeof(matrix));
    if (!data) throw Error(ErrorCode::internal, "out of memory for a video stream");
    std::memcpy(data, matrix.data(), sizeof(matrix));
}

}  // namespace

bool PacketMuxer::hides_packets(const std::string& muxer) {
    return muxer == "mp4" || muxer == "mov";
}

AVRational PacketMuxer::time_base_for(const std::string& muxer, const VideoStream& stream) {
    // An avi counts frames of its rate.
    if (muxer == "avi") return av_inv_q(frame_rate_of(stream));
    AVRational base = time_base_of(stream);
    if (!hides_packets(muxer)) return base;
    // Movie and track have to count in the same unit, which FFmpeg refines for a track below this.
    constexpr int kLeastUnits = 10'000;
    while (base.den < kLeastUnits) base.den *= 2;
    return {1, base.den};
}

PacketMuxer::PacketMuxer(File& file, const VideoStream& described, const std::string& muxer)
    : file_(file),
      output_(file),
      codec_(described.codec),
      edit_list_(hides_packets(muxer)),
      base_(time_base_for(muxer, described)) {
    capture_libav_log();
    clear_libav_message();
    AVFormatContext* context = nullptr;
    fail_on(avformat_alloc_output_context2(&context, nullptr, muxer.c_str(), nullptr), "write this kind of file");
    format_.reset(context);
    format_->pb = output_.io();
    // Payloads have to be stored byte for byte, so no filter of FFmpeg's own choice.
    format_->flags = (format_->flags | AVFMT_FLAG_CUSTOM_IO) & ~AVFMT_FLAG_AUTO_BSF;
    format_->avoid_negative_ts = 0;  // the times of display are not to be moved because decoding begins before 0
    AVStream* stream = avformat_new_stream(format_.get(), nullptr);
    if (!stream) throw Error(ErrorCode::internal, "out of memory for a video stream");
    fill_parameters(described, *format_->oformat, *stream->codecpar);
    if (avformat_query_codec(format_->oformat, stream->codecpar->codec_id, FF_COMPLIANCE_NORMAL) == 0) {
        throw Error(ErrorCode::unsupported, muxer + " files cannot hold " + codec_ + " video");
    }
    OptionDictionary options;
    if (edit_list_) {
        options.set("use_editlist", "1");
        options.set("movie_timescale", std::to_string(base_.den));
        if (described.rotation != 0 || described.mirrored) add_display_matrix(described, *stream);
    } else if (described.rotation != 0 || described.mirrored) {
        throw Error(ErrorCode::unsupported,
                    "its picture is to be turned, which " + muxer + " files cannot say; mp4 can");
    }
    stream->time_base = base_;
    stream->avg_frame_rate = frame_rate_of(described);
    stream->r_frame_rate = stream->avg_frame_rate;
    duration_ = std::max<int64_t>(1, av_rescale_q(1, av_inv_q(frame_rate_of(described)), base_));
    fail_on(avformat_write_header(format_.get(), options.get()), "begin the file");
}

void PacketMuxer::fail_on(int code, const char* action) {
    output_.rethrow();
    if (code < 0) throw libav_error(code, {}, action);
}

PacketMuxer::Written PacketMuxer::write(AVPacket& packet, int64_t shown, int64_t decoded, PacketRole role, bool key) {
    const AVRational base = time_base();
    packet.stream_index = 0;
    packet.pts = rescale_time(shown, base_, base);
    packet.dts = rescale_time(decoded, base_, base);
    packet.duration = std::max<int64_t>(1, av_rescale_q(duration_, base_, base));
    // FFmpeg takes a first packet behind 0 for a delay of the whole track.
    if (!last_ && edit_list_) early_ = std::max<int64_t>(0, packet.pts);
    packet.pts = time_difference(packet.pts, early_);
    packet.dts = time_difference(packet.dts, early_);
    if (last_ && packet.dts <= *last_) packet.dts = time_difference(*last_, -1);
    packet.pts = std::max(packet.pts, packet.dts);
    if (!last_) first_decoded_ = packet.dts;
    last_ = packet.dts;
    if (role == PacketRole::shown) {
        shown_begin_ = std::min(shown_begin_, packet.pts);
        shown_end_ = std::max(shown_end_, packet.pts + packet.duration);
    } else if (role == PacketRole::led_out) {
        led_out_begin_ = std::min(led_out_begin_, packet.pts);
    }
    const int64_t pts = packet.pts + early_;
    packet.flags = key ? AV_PKT_FLAG_KEY : 0;
    output_.mark();
    fail_on(av_write_frame(format_.get(), &packet), "write a packet");
    fail_on(av_write_frame(format_.get(), nullptr), "write a packet");
    avio_flush(format_->pb);
    fail_on(format_->pb->error, "write a packet");
    std::span<const uint8_t> stored{packet.data, static_cast<size_t>(packet.size)};
    auto offset = output_.find(stored);
    if (const size_t made_up = prepended_bytes(codec_, stored); !offset && made_up > 0) {
        stored = stored.subspan(made_up);
        offset = output_.find(stored);
    }
    if (!offset) throw Error(ErrorCode::unsupported, "this container alters the packets of the stream");
    output_.mark();
    return {*offset, static_cast<uint32_t>(stored.size()), pts};
}

void PacketMuxer::finish() {
    fail_on(av_write_trailer(format_.get()), "finish the file");
    avio_flush(format_->pb);
    fail_on(format_->pb->error, "finish the file");
    if (!edit_list_ || shown_end_ <= shown_begin_) return;
    set_edit_list(file_, time_difference(shown_begin_, first_decoded_),
                  time_difference(std::min(shown_end_, led_out_begin_), shown_begin_));
}

}  // namespace reelstore
