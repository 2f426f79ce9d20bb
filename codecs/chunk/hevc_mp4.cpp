#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_hevc_mp4(ChunkFormatTable& table) {
    table.push_back(std::make_unique<VideoChunkFormat>(VideoFormatSpec{
        .name = "hevc/mp4",
        .extension = ".mp4",
        .muxer = "mp4",
        .encoders = {"libx265", "hevc_nvenc", "hevc_vaapi"},
        .types =
            "uint8 gray and BGR, uint16 gray of 10 or 12 bits, from 15x15 on; odd sizes are padded to even ones"}));
}

}  // namespace reelstore
