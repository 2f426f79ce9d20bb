#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_mjpeg_avi(ChunkFormatTable& table) {
    table.push_back(std::make_unique<VideoChunkFormat>(
        VideoFormatSpec{.name = "mjpeg/avi",
                        .aliases = {"mjpeg"},
                        .extension = ".avi",
                        .muxer = "avi",
                        .encoders = {"mjpeg"},
                        .types = "uint8 gray and BGR; odd sizes are padded to even ones"}));
}

}  // namespace reelstore
