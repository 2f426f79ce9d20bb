#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_avc1_mp4(ChunkFormatTable& table) {
    table.push_back(std::make_unique<VideoChunkFormat>(
        VideoFormatSpec{.name = "avc1/mp4",
                        .extension = ".mp4",
                        .muxer = "mp4",
                        .encoders = {"libx264", "h264_nvenc", "h264_vaapi"},
                        .types = "uint8 gray and BGR, uint16 gray of 10 bits; odd sizes are padded to even ones"}));
}

}  // namespace reelstore
