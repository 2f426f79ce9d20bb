#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/recording/recorder.h"

namespace reelstore::bench {

struct RecorderRuns {
    std::string name;
    std::vector<Run> runs;  ///< one a repetition

    std::vector<double> rates() const;
    /// The middle of what each repetition says about two that ran after each other.
    double speed_against(const RecorderRuns& other) const;
};

/// One format on one clip.
struct ThroughputResult {
    std::string clip;
    Coding coding;
    std::vector<RecorderRuns> recorders;

    const RecorderRuns& find(const std::string& name) const;
};

struct ThroughputScale {
    int repetitions = 5;
    double seconds = 4;  ///< that a run takes without commits
    int64_t most_frames = INT64_MAX;
};

/// Records as fast as it goes, every recorder in turn, in every second repetition in reverse.
ThroughputResult measure_throughput(const Clip& clip, const Coding& coding, const ThroughputScale& scale,
                                    const std::filesystem::path& folder);

/// What the disk does with one file that is written in pieces of one image.
struct DiskResult {
    double written_mb_per_second = 0;  ///< write() alone
    double synced_mb_per_second = 0;   ///< with fdatasync() at the end
    double append_and_sync_ms = 0;     ///< 4 KiB and fdatasync(), the median
    double largest_append_and_sync_ms = 0;
};
DiskResult measure_disk(const std::filesystem::path& folder, int64_t pieces);

}  // namespace reelstore::bench
