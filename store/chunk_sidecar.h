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
