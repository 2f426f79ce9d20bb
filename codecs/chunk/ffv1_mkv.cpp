#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_ffv1_mkv(ChunkFormatTable& table) {
    table.push_back(
        std::make_unique<VideoChunkFormat>(VideoFormatSpec{.name = "ffv1/mkv",
                                                           .extension = ".mkv",
                                                           .muxer = "matroska",
                                                           .encoders = {"ffv1"},
                                                           .lossless = true,
                                                           .types = "uint8 and uint16, gray and BGR, from 3x3 on"}));
}

}  // namespace reelstore
