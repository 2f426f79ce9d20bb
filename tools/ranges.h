#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace reelstore {

/// Half-open range of frame indices with a step, cut to the frames there are.
struct IndexRange {
    int64_t first = 0;
    int64_t last = 0;  ///< one behind the end
    int64_t step = 1;

    int64_t count() const { return last > first ? (last - first + step - 1) / step : 0; }
};

/// "A:B", "A:B:S", ":B", "A:", "I" (one frame); negative values count from the end. Throws UsageError.
IndexRange parse_index_range(const std::string& text, int64_t frame_count);

/// Half-open; a side without a value is open.
struct NumberRange {
    std::optional<int64_t> first;
    std::optional<int64_t> last;  ///< one behind the end
};

/// "A:B" of frame numbers, either side may be missing, or "A"; values are numbers, so negative ones mean themselves.
/// Throws UsageError.
NumberRange parse_number_range(const std::string& text);

/// Half-open; a side without a value is open.
struct TimeRange {
    std::optional<double> first;
    std::optional<double> last;  ///< one instant behind the end
};

/// "T0..T1" of times (see parse_time()), either side may be missing. Throws UsageError.
TimeRange parse_time_range(const std::string& text);

/// Seconds, or ISO 8601 date, perhaps with a time of day (UTC unless it names a zone). Throws UsageError.
double parse_time(const std::string& text);
/// A number of bytes above 0, perhaps with K, M, G or T (powers of 1000). Throws UsageError.
uint64_t parse_bytes(const std::string& text);
/// A whole number. Throws UsageError naming `what`.
int64_t parse_integer(const std::string& text, const std::string& what);

}  // namespace reelstore
