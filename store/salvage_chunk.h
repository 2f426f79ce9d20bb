#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "codecs/packet_table.h"
#include "store/layout.h"
#include "store/metadata.h"

namespace reelstore {

/// Where the decoder parameters of a chunk without any can come from.
struct SalvageHints {
    /// Parameters of a sibling chunk, or of a file made with the same settings.
    std::optional<VideoStream> like = {};
};

/// What is left of a chunk of which only the media are there.
struct SalvageableChunk {
    int64_t frames = 0;             ///< whole frames found
    bool media_complete = false;    ///< nothing but the sidecar is missing
    std::string left_over;          ///< what is not a whole frame; empty: nothing
    PacketTable table = {};         ///< of chunks that are one file: where the frames are
    std::vector<std::string> torn;  ///< image files behind the last whole one, by name
};

/// Looks at the media of a chunk; changes nothing. Every frame of a file whose packets had to be guessed is decoded.
/// Throws Error naming the file when nothing can be made of it.
SalvageableChunk find_salvageable(const StoreLayout& layout, const StoreMetadata& metadata, int64_t chunk,
                                  const SalvageHints& hints);

/// Makes a chunk of what find_salvageable() has found: a proper container, and a sidecar with guessed numbers and
/// times, marked as such. Numbers and times continue behind the chunk before, at its median interval, else before the
/// chunk behind, else from the creation of the store at the nominal rate; those that the chunk's extra data name are
/// kept. The caller holds the store's lock. What is replaced is kept beside it. Gives notes for the user.
std::vector<std::string> salvage_chunk(const StoreLayout& layout, const StoreMetadata& metadata, int64_t chunk,
                                       const SalvageableChunk& found);

/// Decoder parameters from the first complete video chunk of a store; nothing when there is none.
std::optional<VideoStream> sibling_stream(const StoreLayout& layout);

}  // namespace reelstore
