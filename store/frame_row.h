#pragma once

#include <cstdint>

namespace reelstore {

/// How a number or time is matched when looking up a frame.
enum class Match {
    exact,     ///< equal
    nearest,   ///< smallest distance; of two equally far the one with the lower frame_index
    previous,  ///< the largest that is not above
    next,      ///< the smallest that is not below
};

/// One row of the frame table.
struct FrameRow {
    int64_t index = 0;
    int64_t number = 0;
    double time = 0;       ///< NaN where a foreign store or file gives none
    int64_t chunk = 0;     ///< 0 for a file
    int64_t position = 0;  ///< in the chunk
};

}  // namespace reelstore
