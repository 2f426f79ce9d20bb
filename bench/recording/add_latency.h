#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bench/recording/recorder.h"

namespace reelstore::bench {

/// Calls longer than this are looked into, and it is what 99 of 100 are to stay below.
inline constexpr double kLongCall = 0.3e-3;

/// The calls of one repetition that hand a frame over, at an even pace.
struct AddRun {
    std::vector<double> call_seconds;  ///< of each, ascending
    // Of those longer than kLongCall, which may have more than one reason:
    int64_t waited = 0;     ///< for a lock or a thread
    int64_t preempted = 0;  ///< another thread or program had the processor
    int64_t faulted = 0;    ///< touched memory for the first time
    double others = 0;      ///< processors that other programs kept busy
    double most_lag = 0;    ///< WriterStats::durable_lag, before every call; seconds
    std::optional<WriterStats> stats = {};

    int64_t long_calls() const;
    /// `share` 0.99: 99 of 100 calls were not longer than this, in milliseconds.
    double milliseconds(double share) const;
};

struct AddResult {
    std::string name;
    bool reelstore = false;
    std::vector<AddRun> runs;  ///< one a repetition
};

struct AddScale {
    int repetitions = 3;
    int64_t frames = 3000;
    int64_t chunk_frames = 300;
};
inline constexpr double kAddFrameRate = 100;

/// Every way to hand frames over in turn, reelstore's, OpenCV's and a copy of the image, if its name contains `only`.
std::vector<AddResult> measure_add(const Clip& clip, const AddScale& scale, const std::string& only,
                                   const std::filesystem::path& folder);

}  // namespace reelstore::bench
