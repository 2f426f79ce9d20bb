#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace reelstore {

/// Called with the chunks done and the chunks in all.
using ChunkProgress = std::function<void(int64_t done, int64_t all)>;

struct IndexResult {
    int64_t frame_count = 0;
    int64_t chunk_count = 0;
    int64_t chunks_left_out = 0;       ///< whose numbers and times are lost
    int64_t chunks_without_media = 0;  ///< whose frames are listed but cannot be read
    std::vector<std::string> warnings;
};

/// Builds STORE/index.sqlite anew from the chunks' sidecars, the media (packet tables of video) and the extra data
/// files, and puts it in place of an old one only when it is complete. What only the old index knows (the chunk that a
/// killed writer left open) is taken over from it, and the store then stays marked as open. Throws Error(locked) while
/// a writer has the store.
IndexResult build_index(const std::filesystem::path& store, const ChunkProgress& progress = {});

class StoreLock;
/// The same for a caller that holds the store's lock and the TrimLock.
IndexResult build_index(const std::filesystem::path& store, const StoreLock& lock, const ChunkProgress& progress = {});

struct RenumberResult {
    int64_t zero_index = 0;  ///< frame_index of the frame with number 0
    int64_t frames_changed = 0;
};

/// Gives the frames before the one numbered 0 the numbers -k..-1 (imgstore's reindex): in the sidecars, which keep the
/// old numbers as _frame_number_before_reindex, in the extra data files and in the index. Safe to run again after a
/// crash. Throws Error(invalid_argument) unless exactly one frame has the number 0, Error(locked) while a writer has
/// the store.
RenumberResult renumber(const std::filesystem::path& store, const ChunkProgress& progress = {});

}  // namespace reelstore
