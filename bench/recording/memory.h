#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/recording/recorder.h"

namespace reelstore::bench {

/// Memory after so many frames, in MB.
struct MemorySample {
    int64_t frames = 0;
    double resident = 0;
    double heap = 0;  ///< allocated and not freed
};

/// Memory in use while many small frames are recorded.
struct MemoryResult {
    std::string name;
    int64_t chunk_frames = 0;
    MemorySample before;                ///< before the store is made
    std::vector<MemorySample> samples;  ///< evenly spread
    Run run;

    /// The most in the samples from one share of the frames to another, in MB.
    double most_between(double from, double to, double MemorySample::*figure = &MemorySample::resident) const;
    /// How much more the most of the last tenth is than the most of the second tenth.
    double growth(double MemorySample::*figure = &MemorySample::resident) const {
        return most_between(0.9, 1, figure) - most_between(0.1, 0.2, figure);
    }
};

struct MemoryScale {
    int64_t video_frames = 1000000;
    int64_t image_frames = 200000;  ///< a file each
    int64_t chunk_frames = 1000;
};

/// With every format whose name contains `only`.
std::vector<MemoryResult> measure_memory(const MemoryScale& scale, const std::string& only,
                                         const std::filesystem::path& folder);

}  // namespace reelstore::bench
