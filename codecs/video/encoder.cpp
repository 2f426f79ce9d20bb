#include "codecs/video/encoder.h"

#include <cstring>
#include <span>

extern "C" {
#include <libavutil/mem.h>
#include <libavutil/opt.h>
}

#include "codecs/video/nal_units.h"

namespace reelstore {

namespace {

/// Largest numerator and denominator of a frame rate.
constexpr int kRatePrecision = 1001000;

const AVCodec* find_encoder(const std::string& name) {
    const AVCodec* codec = avcodec_find_encoder_by_name(name.c_str());
    if (!codec) throw Error(ErrorCode::unsupported, encoder_unavailable(name));
    return codec;
}

AVPixelFormat coded_format(const EncoderSettings& settings, const ImageType& type) {
    if (settings.pixel_format == "gray" && !type.gray()) {
        throw Error(ErrorCode::invalid_argument,
                    "option 'pix_fmt' cannot be 'gray' for colour frames; valid: yuv420p, yuv422p, yuv444p");
    }
    // The encoder of JPEG accepts full range only under the old names.
    if (settings.encoder == "mjpeg") return av_get_pix_fmt(("yuvj" + settings.pixel_format.substr(3)).c_str());
    return av_get_pix_fmt(settings.pixel_format.c_str());
}

int chroma_format_of(const std::string& pixel_format) {
    if (pixel_format == "gray") return 0;
    if (pixel_format == "yuv422p") return 2;
    return pixel_format == "yuv444p" ? 3 : 1;
}

std::string described(const EncoderSettings& settings) {
    std::string text = "pix_fmt=" + settings.pixel_format + " threads=" + std::to_string(settings.threads);
    if (settings.encoder == "mjpeg") return text + " quality=" + std::to_string(settings.quality);
    text += " preset=" + settings.preset + " tune=" + settings.tune;
    text += settings.qp ? " qp=" + std::to_string(*settings.qp) : " crf=" + std::to_string(settings.crf);
    return text + " gop=" + std::to_string(settings.gop) + " bframes=" + std::to_string(settings.bframes);
}

}  // namespace

std::string encoder_unavailable(const std::string& encoder) {
    if (avcodec_find_encoder_by_name(encoder.c_str())) return {};
    return "this FFmpeg was built without the encoder " + encoder;
}

Encoder::Encoder(const EncoderSettings& settings, const ImageType& type)
    : type_(type), converter_(type, coded_format(settings, type)) {
    capture_libav_log();
    stream_.pixel_format = settings.pixel_format;
    stream_.frame_rate = settings.frame_rate;
    open(settings);
    describe();
}

void Encoder::open(const EncoderSettings& settings) {
    const AVCodec* codec = find_encoder(settings.encoder);
    context_.reset(avcodec_alloc_context3(codec));
    if (!context_) throw Error(ErrorCode::internal, "out of memory for a video encoder");
    const AVRational rate = av_d2q(settings.frame_rate, kRatePrecision);
    context_->width = converter_.width();
    context_->height = converter_.height();
    context_->pix_fmt = coded_format(settings, type_);
    context_->color_range = AVCOL_RANGE_JPEG;
    context_->colorspace = AVCOL_SPC_SMPTE170M;
    context_->time_base = av_inv_q(rate);
    context_->framerate = rate;
    context_->gop_size = settings.gop;
    context_->thread_count = settings.threads;
    OptionDictionary options;
    if (settings.encoder == "mjpeg") {
        context_->flags |= AV_CODEC_FLAG_QSCALE;
        context_->qmin = 1;
        context_->global_quality = settings.quality * FF_QP2LAMBDA;
        // Slices of several threads make restart markers, and tables that differ from file to file.
        context_->thread_count = 1;
    } else {
        context_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
        context_->max_b_frames = settings.bframes;
        options.set("preset", settings.preset);
        if (settings.tune != "none") options.set("tune", settings.tune);
        if (settings.qp) {
            options.set("qp", std::to_string(*settings.qp));
        } else {
            options.set("crf", std::to_string(settings.crf));
        }
        // A closed GOP of fixed length: every key frame is an entry point, and the cost of a random frame is bounded.
        options.set("x264-params", "open-gop=0:sync-lookahead=0:scenecut=0");
    }
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
    stream_.color_range = "pc";
    stream_.color_space = av_color_space_name(context_->colorspace);
    stream_.time_base_num = context_->time_base.num;
    stream_.time_base_den = context_->time_base.den;
    if (context_->codec_id != AV_CODEC_ID_H264) return;
    const std::span<const uint8_t> parameter_sets(context_->extradata, static_cast<size_t>(context_->extradata_size));
    stream_.extradata = make_avc_configuration(parameter_sets, chroma_format_of(stream_.pixel_format));
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
    return send(nullptr);
}

std::vector<EncodedPacket> Encoder::send(const AVFrame* frame) {
    clear_libav_message();
    const int sent = avcodec_send_frame(context_.get(), frame);
    if (sent < 0 && sent != AVERROR_EOF) throw libav_error(sent, {}, "encode a frame");
    const PacketInspector inspector(stream_.codec, stream_.extradata);
    std::vector<EncodedPacket> ready;
    for (;;) {
        EncodedPacket encoded{.packet = make_packet()};
        const int received = avcodec_receive_packet(context_.get(), encoded.packet.get());
        if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return ready;
        if (received < 0) throw libav_error(received, {}, "encode a frame");
        AVPacket& packet = *encoded.packet;
        if (context_->codec_id == AV_CODEC_ID_H264) {
            const std::vector<uint8_t> payload = length_prefixed({packet.data, static_cast<size_t>(packet.size)});
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
        const PacketNature nature = inspector.inspect({packet.data, static_cast<size_t>(packet.size)},
                                                      {.key = (packet.flags & AV_PKT_FLAG_KEY) != 0});
        encoded.key = nature.key;
        encoded.disposable = nature.disposable;
        packet.duration = 1;
        ready.push_back(std::move(encoded));
    }
}

}  // namespace reelstore
