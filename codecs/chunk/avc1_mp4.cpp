#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_avc1_mp4(ChunkFormatTable& table) {
    table.push_back(
        std::make_unique<VideoChunkFormat>("avc1/mp4", std::vector<std::string>{}, ".mp4", "libx264", "mp4"));
}

}  // namespace reelstore
