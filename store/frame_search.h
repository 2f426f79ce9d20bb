#pragma once

#include <cstdint>
#include <optional>

#include "store/frame_index.h"

namespace reelstore {

/// frame_index of the frame whose number (or time) matches `target`; of several with the same value the first. Costs a
/// pass over the chunk summaries and a binary search (or, where values do not ascend, a scan) in the one or two chunks
/// that hold the answer. Throws Error(corrupt) when the index contradicts itself.
std::optional<int64_t> search_frames(const FrameIndex& index, int64_t number, Match match);
std::optional<int64_t> search_frames(const FrameIndex& index, double time, Match match);

}  // namespace reelstore
