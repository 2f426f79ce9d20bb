#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_av1_mkv(ChunkFormatTable& table) {
    table.push_back(std::make_unique<VideoChunkFormat>(VideoFormatSpec{
        .name = "av1/mkv",
        .extension = ".mkv",
        .muxer = "matroska",
        .encoders = {"libsvtav1"},
        .types = "uint8 gray and BGR, uint16 gray of 10 bits, from 63x63 on; odd sizes are padded to even ones"}));
}

}  // namespace reelstore
