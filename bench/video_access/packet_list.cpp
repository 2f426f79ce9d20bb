#include "bench/video_access/packet_list.h"

#include <algorithm>
#include <numeric>
#include <string>

namespace reelstore::bench {

namespace {

/// Whether a picture of H.264 as mp4 keeps it (each unit behind its length in 4 bytes) is no reference for others.
bool is_disposable(const AVPacket& packet) {
    constexpr int kLengthBytes = 4;
    for (int at = 0; at + kLengthBytes < packet.size;) {
        const uint8_t* unit = packet.data + at;
        const int length = unit[0] << 24 | unit[1] << 16 | unit[2] << 8 | unit[3];
        const int header = unit[kLengthBytes];
        const int type = header & 0x1f;
        if (type == 1 || type == 5) return (header >> 5 & 3) == 0;
        at += kLengthBytes + length;
    }
    return false;
}

}  // namespace

void require(int result, const std::filesystem::path& path, const char* action) {
    if (result < 0) throw libav_error(result, path.string(), action);
}

UniqueInputFormat open_input(const std::filesystem::path& path) {
    AVFormatContext* context = nullptr;
    require(avformat_open_input(&context, path.c_str(), nullptr, nullptr), path, "open the file");
    UniqueInputFormat format(context);
    require(avformat_find_stream_info(context, nullptr), path, "find the streams");
    return format;
}

int video_stream_of(const AVFormatContext& format) {
    for (unsigned i = 0; i < format.nb_streams; ++i) {
        if (format.streams[i]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO) return static_cast<int>(i);
    }
    throw Error(ErrorCode::corrupt, "no video stream");
}

UniqueCodecContext open_decoder(const AVCodecParameters& parameters, int threads, const std::filesystem::path& path) {
    const AVCodec* codec = avcodec_find_decoder(parameters.codec_id);
    UniqueCodecContext context(avcodec_alloc_context3(codec));
    require(avcodec_parameters_to_context(context.get(), &parameters), path, "use the stream's parameters");
    context->thread_count = threads;
    require(avcodec_open2(context.get(), codec, nullptr), path, "open the decoder");
    return context;
}

PacketList::PacketList(const std::filesystem::path& path) : parameters(avcodec_parameters_alloc()) {
    const UniqueInputFormat format = open_input(path);
    const int stream = video_stream_of(*format);
    require(avcodec_parameters_copy(parameters.get(), format->streams[stream]->codecpar), path, "copy the parameters");
    const UniquePacket packet = make_packet();
    while (av_read_frame(format.get(), packet.get()) >= 0) {
        if (packet->stream_index == stream) {
            packets.push_back({.offset = packet->pos,
                               .size = packet->size,
                               .pts = packet->pts == AV_NOPTS_VALUE ? packet->dts : packet->pts,
                               .key = (packet->flags & AV_PKT_FLAG_KEY) != 0,
                               .disposable = parameters->codec_id == AV_CODEC_ID_H264 && is_disposable(*packet)});
            entries.push_back(packets.back().key ? packets.size() - 1 : entries.at(packets.size() - 2));
        }
        av_packet_unref(packet.get());
    }
    display_order.resize(packets.size());
    std::iota(display_order.begin(), display_order.end(), size_t{0});
    std::sort(display_order.begin(), display_order.end(),
              [this](size_t a, size_t b) { return packets[a].pts < packets[b].pts; });
}

}  // namespace reelstore::bench
