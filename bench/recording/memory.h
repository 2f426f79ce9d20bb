#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bench/recording/recorder.h"

namespace reelstore::bench {

/// Memory in use while many small frames are recorded.
struct MemoryResult {
    std::string name;
    int64_t chunk_frames = 0;
    double resident_before = 0;                        ///< MB, before the store is made
    std::vector<std::pair<int64_t, double>> resident;  ///< frames added, MB; evenly spread
    Run run;

    /// The most in the samples from one share of the frames to another, in MB.
    double most_between(double from, double to) const;
    /// How much more the most of the last tenth is than the most of the second tenth.
    double growth() const { return most_between(0.9, 1) - most_between(0.1, 0.2); }
};

struct MemoryScale {
    int64_t video_frames = 1000000;
    int64_t image_frames = 200000;  ///< a file each
    int64_t chunk_frames = 1000;
};

std::vector<MemoryResult> measure_memory(const MemoryScale& scale, const std::filesystem::path& folder);

}  // namespace reelstore::bench
