#pragma once

#include <time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace reelstore::bench {

/// What some frames took, one after the other.
struct Pass {
    int64_t frames = 0;
    double seconds = 0;        ///< on the wall clock
    double cpu_seconds = 0;    ///< of all threads
    int64_t wrong_frames = 0;  ///< whose pixels are not those that were written

    /// Adds the time of `work`, which handles one frame.
    template <typename Work>
    void time(Work&& work) {
        const double cpu_before = cpu_now();
        const double before = now_monotonic();
        work();
        seconds += now_monotonic() - before;
        cpu_seconds += cpu_now() - cpu_before;
        ++frames;
    }

private:
    static double cpu_now() {
        timespec time = {};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    }
};

/// What one contender took for the same work in every repetition.
struct Series {
    std::string name;
    double frame_bytes = 0;  ///< of a frame as it is kept; 0: not looked at
    std::vector<Pass> passes = {};

    bool empty() const { return passes.empty(); }
    /// Of a frame, in each repetition.
    std::vector<double> milliseconds() const;
    double median_milliseconds() const;
    std::vector<double> cpu_milliseconds() const;
    double median_cpu_milliseconds() const;
    int64_t frames() const;
    int64_t wrong_frames() const;
};

/// Contenders that took turns on one clip.
struct Comparison {
    std::string clip;
    double image_bytes = 0;  ///< of a frame in memory
    std::vector<Series> series = {};

    const Series* find(const std::string& name) const;
};

/// How many times as fast the one is: the median of the ratios within a repetition.
double times_as_fast(const Series& one, const Series& other);
/// The same by processor time, which other programs disturb less.
double times_as_fast_by_cpu(const Series& one, const Series& other);

}  // namespace reelstore::bench
