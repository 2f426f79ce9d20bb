#include "codecs/video/decoder_pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

extern "C" {
#include <libavutil/mem.h>
}

#include "base/error.h"
#include "base/pixel_type.h"

namespace reelstore {

namespace {

/// Each keeps the memory of some pictures.
constexpr size_t kMostIdle = 4;

const AVCodec* find_decoder(const VideoStream& stream, const std::string& path) {
    const AVCodecDescriptor* descriptor = avcodec_descriptor_get_by_name(stream.codec.c_str());
    const AVCodec* codec = nullptr;
    if (descriptor && descriptor->type == AVMEDIA_TYPE_VIDEO && descriptor->id != AV_CODEC_ID_SVG) {
        codec = avcodec_find_decoder(descriptor->id);
    }
    if (!codec)
        throw Error(ErrorCode::unsupported, {path, {}, {}}, "this FFmpeg cannot decode '" + stream.codec + "' video");
    return codec;
}

UniqueCodecContext open_decoder(const DecoderPool::Request& request, const std::string& path) {
    const VideoStream& stream = request.stream;
    const AVCodec* codec = find_decoder(stream, path);
    UniqueCodecContext context(avcodec_alloc_context3(codec));
    if (!context) throw Error(ErrorCode::internal, "out of memory for a video decoder");
    context->width = stream.width;
    context->height = stream.height;
    context->codec_tag = static_cast<unsigned>(stream.codec_tag);
    context->bits_per_coded_sample = stream.bits_per_sample;
    context->pix_fmt = av_get_pix_fmt(stream.pixel_format.c_str());
    context->pkt_timebase = AVRational{1, 1};
    if (codec->id == AV_CODEC_ID_RAWVIDEO) {
        // Only the container knows it: y4m has a tag for the range.
        const int range = av_color_range_from_name(stream.color_range.c_str());
        if (range >= 0) context->color_range = static_cast<AVColorRange>(range);
    }
    // Decoders that work on several frames at once lose which of them is damaged; groups of pictures are decoded side
    // by side instead.
    context->thread_count = 1;
    // FFmpeg paints over damage in some formats without a word unless told to stop there.
    const bool hides_damage = codec->id == AV_CODEC_ID_MJPEG || (codec->id == AV_CODEC_ID_HEVC && !stream.lenient);
    context->err_recognition = AV_EF_CRCCHECK | (hides_damage ? AV_EF_EXPLODE : 0);
    // A damaged or hostile stream may claim any size; the table knows what to expect, but for padding to whole blocks.
    context->max_pixels = static_cast<int64_t>(kMaxImageBytes / 3);
    if (stream.width > 0 && stream.height > 0) {
        const int64_t expected = (int64_t{stream.width} + 128) * (int64_t{stream.height} + 128) * 2;
        context->max_pixels = std::min(context->max_pixels, expected);
    }
    // Streams that do not say how far they reorder would otherwise lose pictures until the decoder has found out.
    if (codec->id == AV_CODEC_ID_H264) context->has_b_frames = request.reorder_depth;
    if (!stream.extradata.empty()) {
        const size_t size = stream.extradata.size();
        context->extradata = static_cast<uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
        if (!context->extradata) throw Error(ErrorCode::internal, "out of memory for a video decoder");
        std::memcpy(context->extradata, stream.extradata.data(), size);
        context->extradata_size = static_cast<int>(size);
    }
    clear_libav_message();
    const int opened = avcodec_open2(context.get(), codec, nullptr);
    if (opened < 0) throw libav_error(opened, path, "open the decoder for " + stream.codec);
    return context;
}

}  // namespace

UniqueCodecContext DecoderPool::take(const Request& request, const std::string& path, bool& opened) {
    const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const Idle& idle) {
        return idle.reorder_depth == request.reorder_depth && idle.stream == request.stream;
    });
    opened = found == idle_.rend();
    if (opened) return open_decoder(request, path);
    UniqueCodecContext context = std::move(found->context);
    idle_.erase(std::next(found).base());
    return context;
}

void DecoderPool::give_back(const Request& request, UniqueCodecContext context) {
    // A JPEG without tables would be decoded with those of another file, which a flush leaves behind.
    if (context->codec_id == AV_CODEC_ID_MJPEG) return;
    avcodec_flush_buffers(context.get());
    if (idle_.size() >= kMostIdle) idle_.erase(idle_.begin());
    idle_.push_back({request.stream, request.reorder_depth, std::move(context)});
}

}  // namespace reelstore
