#include "codecs/packed/packed_chunk_format.h"

namespace reelstore {

void add_chunk_formats_raw_npy(ChunkFormatTable& table) {
    PackedKind kind{.container = npy_container()};
    kind.info.name = "raw/npy";
    table.push_back(std::make_unique<PackedChunkFormat>(std::move(kind)));
}

}  // namespace reelstore
