#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/frame_index.h"

namespace reelstore {

/// A chunk whose summary in the index is not what the rows of its frames say.
struct WrongSummary {
    int64_t chunk = 0;
    int64_t frame_index = 0;  ///< of the chunk's first frame
    int64_t frame_count = 0;
    std::string message = {};  ///< what is wrong, without the chunk
};

/// Reads every row of an index once and compares the summaries of chunks with them, in constant memory but for what is
/// found. `progress` is told the chunks done, of all, and may throw. Throws Error(corrupt) where the index contradicts
/// itself so that lookups notice it: rows that are missing, groups that are not what their chunks say.
std::vector<WrongSummary> find_wrong_summaries(const FrameIndex& index,
                                               const std::function<void(int64_t, int64_t)>& progress = {});

/// The part of find_wrong_summaries() that reads no more of a chunk than the rows at its ends: throws Error(corrupt)
/// where the chunks, or the groups that they are found by, contradict each other.
void check_chunk_tree(const FrameIndex& index);

}  // namespace reelstore
