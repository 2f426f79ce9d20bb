#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_h264_mkv(ChunkFormatTable& table) {
    table.push_back(std::make_unique<VideoChunkFormat>(
        VideoFormatSpec{.name = "h264/mkv",
                        .extension = ".mkv",
                        .muxer = "matroska",
                        .encoders = {"libx264", "h264_nvenc", "h264_vaapi"},
                        .types = "uint8 gray and BGR, uint16 gray of 10 bits; odd sizes are padded to even ones"}));
}

}  // namespace reelstore
