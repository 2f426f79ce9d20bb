#include "codecs/chunk_format.h"
#include "codecs/video/video_chunk_format.h"

namespace reelstore {

void add_chunk_formats_mjpeg_avi(ChunkFormatTable& table) {
    table.push_back(
        std::make_unique<VideoChunkFormat>("mjpeg/avi", std::vector<std::string>{"mjpeg"}, ".avi", "mjpeg", "avi"));
}

}  // namespace reelstore
