#pragma once

#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "base/median.h"

namespace reelstore {

/// Earlier times, of before 1980, count from a recording's own start and not from 1970.
inline constexpr double kFirstAbsoluteTime = 315532800;

/// Frames per second by the median of the intervals between times that rise; nothing when none does.
inline std::optional<double> rate_of_times(std::span<const double> times) {
    std::vector<double> intervals;
    for (size_t i = 1; i < times.size(); ++i) {
        const double interval = times[i] - times[i - 1];
        if (std::isfinite(interval) && interval > 0) intervals.push_back(interval);
    }
    if (intervals.empty()) return std::nullopt;
    return 1 / median(std::move(intervals));
}

}  // namespace reelstore
