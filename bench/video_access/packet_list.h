#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "codecs/video/libav.h"

namespace reelstore::bench {

struct CodecParametersDeleter {
    void operator()(AVCodecParameters* parameters) const { avcodec_parameters_free(&parameters); }
};

struct ListedPacket {
    int64_t offset = 0;
    int size = 0;
    int64_t pts = 0;
    bool key = false;
    bool disposable = false;  ///< of H.264: no other frame needs it
};

/// What the limit and the seek loop know beforehand of a video file: all its packets in decode order, from libavformat
/// alone, so that reelstore is not measured against its own tables. For mp4 and avi, whose packets lie in one piece.
struct PacketList {
    explicit PacketList(const std::filesystem::path& path);

    std::unique_ptr<AVCodecParameters, CodecParametersDeleter> parameters;
    std::vector<ListedPacket> packets;
    std::vector<size_t> display_order;  ///< place in `packets` by frame
    std::vector<size_t> entries;        ///< by place: the key packet that decoding begins at
};

/// Throws Error naming FFmpeg's complaint.
void require(int result, const std::filesystem::path& path, const char* action);
UniqueInputFormat open_input(const std::filesystem::path& path);
int video_stream_of(const AVFormatContext& format);
/// A decoder that is opened for this stream.
UniqueCodecContext open_decoder(const AVCodecParameters& parameters, int threads, const std::filesystem::path& path);

}  // namespace reelstore::bench
