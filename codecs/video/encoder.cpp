#include "codecs/video/encoder.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <span>

extern "C" {
#include <libavutil/mem.h>
}

#include "codecs/video/configuration_record.h"
#include "codecs/video/encoder_setup.h"
#include "codecs/video/nal_units.h"

namespace reelstore {

namespace {

/// Largest numerator and denominator of a frame rate.
constexpr int kRatePrecision = 1001000;

/// SVT-AV1 prints to stderr unless this is in the environment when it is first used, and only fatal errors at 0. Set
/// before main(), because other threads may read the environment later.
[[maybe_unused]] const int svt_is_quiet = ::setenv("SVT_LOG", "0", 0);

const AVCodec* find_encoder(const std::string& name) {
    const std::string reason = encoder_unavailable(name);
    const AVCodec* codec = avcodec_find_encoder_by_name(name.c_str());
    if (!reason.empty() || !codec)
        throw Error(ErrorCode::unsupported, "the encoder " + name + " cannot be used: " + reason);
    return codec;
}

FrameLayout layout_of(const EncoderSettings& settings, const ImageType& type) {
    if (const auto refused = refuses_images(settings, type)) throw Error(ErrorCode::wrong_type, *refused);
    // Formats that keep the images' own layout promise their size, too.
    return {.format = coded_format(settings, type),
            .full_range = settings.full_range,
            .even = !settings.pixel_format.empty()};
}

/// What the frames are once they are decoded.
AVPixelFormat decoded_format(AVPixelFormat coded) {
    switch (coded) {
        case AV_PIX_FMT_NV12:
            return AV_PIX_FMT_YUV420P;
        case AV_PIX_FMT_P010LE:
            return AV_PIX_FMT_YUV420P10LE;
        case AV_PIX_FMT_BGR24:
            return AV_PIX_FMT_GBRP;
        default:
            return coded;
    }
}

/// Chroma of H.264 as its configuration record has it.
int chroma_format_of(const AVPixFmtDescriptor& format) {
    if (format.nb_components == 1) return 0;
    if (format.log2_chroma_w == 0) return 3;
    return format.log2_chroma_h == 0 ? 2 : 1;
}

void replace_payload(AVPacket& packet, std::span<const uint8_t> payload) {
    const UniquePacket stored = make_packet();
    if (av_new_packet(stored.get(), static_cast<int>(payload.size())) < 0) {
        throw Error(ErrorCode::internal, "out of memory for a video packet");
    }
    std::memcpy(stored->data, payload.data(), payload.size());
    if (av_packet_copy_props(stored.get(), &packet) < 0) {
        throw Error(ErrorCode::internal, "out of memory for a video packet");
    }
    av_packet_unref(&packet);
    av_packet_move_ref(&packet, stored.get());
}

}  // namespace

Encoder::Encoder(const EncoderSettings& settings, const ImageType& type)
    : type_(type), converter_(type, layout_of(settings, type)) {
    capture_libav_log();
    stream_.pixel_format = plain_pixel_format(decoded_format(converter_.format()));
    stream_.frame_rate = settings.frame_rate;
    open(settings);
    describe();
}

void Encoder::open(const EncoderSettings& settings) {
    const AVCodec* codec = find_encoder(encoder_for(settings, type_));
    context_.reset(avcodec_alloc_context3(codec));
    if (!context_) throw Error(ErrorCode::internal, "out of memory for a video encoder");
    const AVRational rate = av_d2q(settings.frame_rate, kRatePrecision);
    context_->width = converter_.width();
    context_->height = converter_.height();
    context_->pix_fmt = converter_.format();
    context_->color_range = converter_.full_range() ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    context_->colorspace = converter_.color_space();
    context_->time_base = av_inv_q(rate);
    context_->framerate = rate;
    if (encoder_traits(settings.encoder).family == EncoderFamily::vaapi) {
        device_frames_.emplace(context_->pix_fmt, context_->width, context_->height);
        context_->pix_fmt = AV_PIX_FMT_VAAPI;
        context_->hw_frames_ctx = device_frames_->reference();
    }
    OptionDictionary options;
    set_encoder_options(settings, type_, *context_, options);
    clear_libav_message();
    const int opened = avcodec_open2(context_.get(), codec, options.get());
    const std::string left = options.first_name();
    if (opened < 0 || !left.empty()) {
        std::string message =
            "the encoder " + settings.encoder + " rejects " + described(settings) + " for " + type_.text();
        if (!left.empty()) message += ": unknown option " + left;
        if (!libav_message().empty()) message += " (" + libav_message() + ")";
        throw Error(ErrorCode::invalid_argument, message);
    }
}

void Encoder::describe() {
    stream_.codec = avcodec_get_name(context_->codec_id);
    stream_.width = context_->width;
    stream_.height = context_->height;
    stream_.color_range = av_color_range_name(context_->color_range);
    stream_.color_space = av_color_space_name(context_->colorspace);
    stream_.time_base_num = context_->time_base.num;
    stream_.time_base_den = context_->time_base.den;
    stream_.slice_checksums = context_->codec_id == AV_CODEC_ID_FFV1;
    const std::span<const uint8_t> headers(context_->extradata, static_cast<size_t>(context_->extradata_size));
    const AVPixFmtDescriptor& format = *av_pix_fmt_desc_get(converter_.format());
    if (context_->codec_id == AV_CODEC_ID_H264) {
        stream_.extradata = make_avc_configuration(headers, chroma_format_of(format), format.comp[0].depth);
    } else if (has_configuration_record(stream_.codec)) {
        stream_.extradata = configuration_record(stream_, headers);
    } else if (context_->codec_id == AV_CODEC_ID_FFV1) {
        stream_.extradata.assign(headers.begin(), headers.end());
        // Matroska files of this FFmpeg keep it padded to an even size, and give it back so.
        if (stream_.extradata.size() % 2 != 0) stream_.extradata.push_back(0);
    }
}

void Encoder::fill(AVCodecParameters& parameters) const {
    if (avcodec_parameters_from_context(&parameters, context_.get()) < 0) {
        throw Error(ErrorCode::internal, "out of memory for a video stream");
    }
    av_freep(&parameters.extradata);
    parameters.extradata_size = 0;
    if (stream_.extradata.empty()) return;
    const size_t size = stream_.extradata.size();
    parameters.extradata = static_cast<uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!parameters.extradata) throw Error(ErrorCode::internal, "out of memory for a video stream");
    std::memcpy(parameters.extradata, stream_.extradata.data(), size);
    parameters.extradata_size = static_cast<int>(size);
}

std::vector<EncodedPacket> Encoder::encode(const cv::Mat& image) {
    if (ImageType::of(image) != type_) {
        throw Error(ErrorCode::wrong_type,
                    "the frame is " + ImageType::of(image).text() + " where " + type_.text() + " is expected");
    }
    const UniqueFrame frame = converter_.convert(image);
    frame->pts = position_++;
    if (context_->flags & AV_CODEC_FLAG_QSCALE) frame->quality = context_->global_quality;
    return send(frame.get());
}

std::vector<EncodedPacket> Encoder::flush() {
    if (hangs_without_frames()) return {};
    return send(nullptr);
}

/// SVT-AV1 waits for ever for its end, flushed or not, when it was opened and never given a frame.
bool Encoder::hangs_without_frames() const {
    return position_ == 0 && context_->codec_id == AV_CODEC_ID_AV1;
}

Encoder::~Encoder() {
    if (!hangs_without_frames()) return;
    try {
        const UniqueFrame frame = converter_.convert(cv::Mat::zeros(type_.height, type_.width, type_.cv_type()));
        frame->pts = 0;
        avcodec_send_frame(context_.get(), frame.get());
    } catch (const std::exception&) {
        // Out of memory: then it cannot be helped.
        return;
    }
}

void Encoder::bring_to_stored_form(AVPacket& packet) const {
    constexpr std::array<uint8_t, 2> kTemporalDelimiter = {0x12, 0};
    const std::span<const uint8_t> payload(packet.data, static_cast<size_t>(packet.size));
    if (context_->codec_id == AV_CODEC_ID_H264 || context_->codec_id == AV_CODEC_ID_HEVC) {
        replace_payload(packet, length_prefixed(payload));
    } else if (context_->codec_id == AV_CODEC_ID_AV1 && payload.size() > kTemporalDelimiter.size() &&
               std::memcmp(payload.data(), kTemporalDelimiter.data(), kTemporalDelimiter.size()) == 0) {
        replace_payload(packet, payload.subspan(kTemporalDelimiter.size()));
    }
}

std::vector<EncodedPacket> Encoder::send(const AVFrame* frame) {
    clear_libav_message();
    UniqueFrame uploaded;
    if (frame && device_frames_) uploaded = device_frames_->upload(*frame);
    const int sent = avcodec_send_frame(context_.get(), uploaded ? uploaded.get() : frame);
    if (sent < 0 && sent != AVERROR_EOF) throw libav_error(sent, {}, "encode a frame");
    const PacketInspector inspector(stream_.codec, stream_.extradata);
    std::vector<EncodedPacket> ready;
    for (;;) {
        EncodedPacket encoded{.packet = make_packet()};
        const int received = avcodec_receive_packet(context_.get(), encoded.packet.get());
        if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return ready;
        if (received < 0) throw libav_error(received, {}, "encode a frame");
        AVPacket& packet = *encoded.packet;
        bring_to_stored_form(packet);
        const PacketNature nature = inspector.inspect({packet.data, static_cast<size_t>(packet.size)},
                                                      {.key = (packet.flags & AV_PKT_FLAG_KEY) != 0});
        encoded.key = nature.key;
        encoded.disposable = nature.disposable;
        packet.duration = 1;
        ready.push_back(std::move(encoded));
    }
}

}  // namespace reelstore
