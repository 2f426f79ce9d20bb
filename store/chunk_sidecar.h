#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "store/layout.h"
#include "store/metadata.h"

namespace reelstore {

/// Numbers and times of the frames of one chunk, as they lie beside its media in an .npz (or, in older stores, .yaml).
struct ChunkSidecar {
    std::vector<int64_t> numbers;
    std::vector<double> times;                        ///< as many; NaN where the writer gave none
    std::vector<int64_t> numbers_before_renumbering;  ///< empty unless the chunk was renumbered
    /// True when numbers and times were lost, and those here are guesses of a repair.
    bool synthetic = false;
};

/// What tells whether a chunk's sidecar is still the one that an index was made from.
struct SidecarMark {
    uint64_t bytes = 0;     ///< size of the file
    uint32_t checksum = 0;  ///< frame_checksum() of its last 4096 bytes, which in an .npz hold checksums of the rest
    bool operator==(const SidecarMark&) const = default;
};
/// That of the sidecar as it lies on disk; nothing when there is none. Reads the end of the file only.
std::optional<SidecarMark> read_sidecar_mark(const StoreLayout& layout, int64_t chunk);

/// Reads the sidecar of a chunk: .npz, else .yaml. Nothing when there is none. Members other than the numbers and times
/// are never read (some hold pickles). Throws Error(corrupt) naming file and chunk when it is damaged or the two lists
/// differ in length.
std::optional<ChunkSidecar> read_chunk_sidecar(const StoreLayout& layout, int64_t chunk);

/// Writes the .npz atomically, with the members that imgstore writes.
void write_chunk_sidecar(const StoreLayout& layout, int64_t chunk, const StoreMetadata& metadata,
                         const ChunkSidecar& sidecar);
/// Replaces the sidecar of a renumbered chunk: times, new numbers and the numbers before.
void write_renumbered_sidecar(const StoreLayout& layout, int64_t chunk, const ChunkSidecar& sidecar);

}  // namespace reelstore
