#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/video_access/workload.h"

namespace reelstore::bench {

/// One contender on one clip, all repetitions.
struct EntryResult {
    std::string name;
    std::string threads;
    std::vector<Pass> passes;

    std::vector<double> milliseconds() const;  ///< a frame, by repetition
    double cpu_milliseconds() const;           ///< a frame, the median
    std::optional<int64_t> wrong_frames() const;
    int64_t frames() const;
    std::optional<double> packets_a_frame() const;
    std::optional<double> decodes_a_frame() const;
};

/// One workload on one clip.
struct ClipResult {
    std::string clip;
    std::vector<EntryResult> entries;

    const EntryResult* find(const std::string& name) const;
};

struct WorkloadResult {
    Workload workload;
    std::vector<ClipResult> clips;
};

/// What the figures depend on.
struct Circumstances {
    std::string processor;
    int cores = 0;
    double load = 0;                    ///< average of the minute before: others that wanted the processors
    std::vector<std::string> versions;  ///< "FFmpeg 5.1.9"
    int repetitions = 0;
    bool quick = false;
};

Circumstances find_circumstances(const Scale& scale);

std::string markdown_report(const std::vector<WorkloadResult>& results, const Circumstances& circumstances);
Json json_report(const std::vector<WorkloadResult>& results, const Circumstances& circumstances);

}  // namespace reelstore::bench
