#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_h264_mkv(ChunkFormatTable& table) {
    table.push_back(
        std::make_unique<VideoChunkFormat>("h264/mkv", std::vector<std::string>{}, ".mkv", "libx264", "matroska"));
}

}  // namespace reelstore
