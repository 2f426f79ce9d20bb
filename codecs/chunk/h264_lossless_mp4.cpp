#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_h264_lossless_mp4(ChunkFormatTable& table) {
    table.push_back(
        std::make_unique<VideoChunkFormat>(VideoFormatSpec{.name = "h264-lossless/mp4",
                                                           .extension = ".mp4",
                                                           .muxer = "mp4",
                                                           .encoders = {"libx264"},
                                                           .lossless = true,
                                                           .types = "uint8 gray and BGR, uint16 gray of 10 bits"}));
}

}  // namespace reelstore
