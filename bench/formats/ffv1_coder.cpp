#include <cstring>
#include <utility>

#include "base/error.h"
#include "bench/formats/coder.h"
#include "codecs/video/libav.h"

namespace reelstore::bench {

namespace {

using Options = std::vector<std::pair<std::string, std::string>>;

void check(int code, const std::string& action) {
    if (code < 0) throw libav_error(code, "FFV1", action);
}

/// libavcodec alone: nothing is copied on the way in, the plane is copied on the way out.
class Ffv1 : public Coder {
public:
    Ffv1(const ImageType& type, AVPixelFormat format, const Options& options)
        : picture_(make_frame()), packet_(make_packet()), sent_(make_packet()), decoded_(make_frame()) {
        const AVCodec* encoder = avcodec_find_encoder(AV_CODEC_ID_FFV1);
        if (!encoder) throw Error(ErrorCode::unsupported, "libavcodec has no encoder of FFV1");
        encoder_.reset(avcodec_alloc_context3(encoder));
        encoder_->width = type.width;
        encoder_->height = type.height;
        encoder_->pix_fmt = format;
        encoder_->time_base = {1, 25};
        encoder_->gop_size = 1;
        encoder_->thread_count = 1;
        OptionDictionary dictionary;
        for (const auto& [name, value] : options) dictionary.set(name, value);
        check(avcodec_open2(encoder_.get(), encoder, dictionary.get()), "open the encoder");
        if (!dictionary.first_name().empty()) {
            throw Error(ErrorCode::internal, "FFV1 has no option " + dictionary.first_name());
        }
        decoder_.reset(avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_FFV1)));
        decoder_->width = type.width;
        decoder_->height = type.height;
        decoder_->thread_count = 1;
        decoder_->extradata = static_cast<uint8_t*>(
            av_mallocz(static_cast<size_t>(encoder_->extradata_size) + AV_INPUT_BUFFER_PADDING_SIZE));
        decoder_->extradata_size = encoder_->extradata_size;
        if (encoder_->extradata_size > 0) {
            std::memcpy(decoder_->extradata, encoder_->extradata, static_cast<size_t>(encoder_->extradata_size));
        }
        check(avcodec_open2(decoder_.get(), decoder_->codec, nullptr), "open the decoder");
    }

    std::span<const uint8_t> encode(const cv::Mat& image) override {
        av_frame_unref(picture_.get());
        picture_->width = image.cols;
        picture_->height = image.rows;
        picture_->format = encoder_->pix_fmt;
        picture_->data[0] = image.data;
        picture_->linesize[0] = static_cast<int>(image.step);
        // A frame without a buffer would be copied.
        picture_->buf[0] = av_buffer_create(
            image.data, image.total() * image.elemSize(), [](void*, uint8_t*) {}, nullptr, AV_BUFFER_FLAG_READONLY);
        picture_->pts = next_pts_++;
        check(avcodec_send_frame(encoder_.get(), picture_.get()), "encode");
        av_packet_unref(packet_.get());
        check(avcodec_receive_packet(encoder_.get(), packet_.get()), "encode");
        return {packet_->data, static_cast<size_t>(packet_->size)};
    }

    void decode(std::span<const uint8_t> bytes, cv::Mat& image) override {
        // Padding behind the bytes is libavcodec's condition; they are copied into a packet that has it.
        av_packet_unref(sent_.get());
        check(av_new_packet(sent_.get(), static_cast<int>(bytes.size())), "decode");
        std::memcpy(sent_->data, bytes.data(), bytes.size());
        check(avcodec_send_packet(decoder_.get(), sent_.get()), "decode");
        check(avcodec_receive_frame(decoder_.get(), decoded_.get()), "decode");
        const size_t row_bytes = image.elemSize() * static_cast<size_t>(image.cols);
        for (int row = 0; row < image.rows; ++row) {
            std::memcpy(image.ptr(row), decoded_->data[0] + static_cast<ptrdiff_t>(row) * decoded_->linesize[0],
                        row_bytes);
        }
    }

private:
    UniqueCodecContext encoder_;
    UniqueCodecContext decoder_;
    UniqueFrame picture_;
    UniquePacket packet_;
    UniquePacket sent_;
    UniqueFrame decoded_;
    int64_t next_pts_ = 0;
};

CoderEntry entry(const std::string& name, AVPixelFormat format, const Options& options) {
    return {.name = name,
            .make = [=](const Clip& clip) { return std::make_unique<Ffv1>(clip.type, format, options); },
            .slow = true};
}

}  // namespace

std::vector<CoderEntry> ffv1_coders(const Clip& clip) {
    const Options with_checksums = {{"level", "3"}, {"slicecrc", "1"}, {"context", "0"}};
    // libavcodec codes more than 8 bits with its range coder only.
    if (clip.deep()) {
        return {entry(kFfv1Deep16, AV_PIX_FMT_GRAY16LE, with_checksums),
                entry(kFfv1Deep, AV_PIX_FMT_GRAY12LE, with_checksums)};
    }
    return {entry(kFfv1Ours, AV_PIX_FMT_GRAY8, with_checksums),
            entry(kFfv1Rice, AV_PIX_FMT_GRAY8, {{"level", "3"}, {"slicecrc", "0"}, {"slices", "4"}, {"coder", "rice"}}),
            entry("FFV1, defaults", AV_PIX_FMT_GRAY8, {})};
}

}  // namespace reelstore::bench
