#pragma once

#include <functional>

#include "base/json.h"

namespace reelstore::bench {

/// Runs `measure` in a process of its own, so that its memory is its own too, and gives back what it returns. Throws
/// Error when it throws or dies. The caller must not have other threads.
Json in_child_process(const std::function<Json()>& measure);

/// Memory of this process, in MB.
struct ProcessMemory {
    double resident = 0;  ///< now, without mapped files (bench/machine.h)
    double largest = 0;   ///< the most it ever was, with mapped files: libraries too
};
ProcessMemory process_memory();

}  // namespace reelstore::bench
