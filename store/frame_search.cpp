#include "store/frame_search.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

namespace {

/// A column of the frame table that frames can be looked up by.
template <typename ValueType>
class Column {
public:
    using Value = ValueType;
    static constexpr bool kIsTime = std::is_same_v<Value, double>;

    explicit Column(const FrameIndex& index) : index_(index) {}
    const FrameIndex& index() const { return index_; }

    static std::optional<std::pair<Value, Value>> range(const ChunkRow& chunk) {
        if constexpr (kIsTime) {
            if (!chunk.time_min || !chunk.time_max) return std::nullopt;
            return std::pair(*chunk.time_min, *chunk.time_max);
        } else {
            if (chunk.frame_count == 0) return std::nullopt;
            return std::pair(chunk.number_min, chunk.number_max);
        }
    }

    static bool ascending(const ChunkRow& chunk) { return kIsTime ? chunk.times_ascending : chunk.numbers_ascending; }

    Value value(int64_t frame_index) const {
        const FrameRow row = index_.row(frame_index).value();
        if constexpr (kIsTime) {
            return row.time;
        } else {
            return row.number;
        }
    }

    /// First frame of the chunk with this value; by scanning the chunk.
    std::optional<int64_t> scan_for(const ChunkRow& chunk, Value value) const {
        return first_value<int64_t>("SELECT frame_index", chunk, "=", value, "ORDER BY frame_index LIMIT 1");
    }
    /// Largest value of the chunk that is <= limit; by scanning the chunk.
    std::optional<Value> scan_below(const ChunkRow& chunk, Value limit) const {
        return first_value<Value>(fmt::format("SELECT MAX({})", kName), chunk, "<=", limit, "");
    }
    /// Smallest value of the chunk that is >= limit; by scanning the chunk.
    std::optional<Value> scan_above(const ChunkRow& chunk, Value limit) const {
        return first_value<Value>(fmt::format("SELECT MIN({})", kName), chunk, ">=", limit, "");
    }

    /// True when `a` is strictly nearer to `target` than `b`.
    static bool nearer(Value a, Value b, Value target) { return distance(a, target) < distance(b, target); }

private:
    static constexpr const char* kName = kIsTime ? "frame_time" : "frame_number";

    /// Distance of two values; of integers without overflow.
    static auto distance(Value a, Value b) {
        if constexpr (kIsTime) {
            return std::abs(a - b);
        } else {
            const auto low = static_cast<uint64_t>(std::min(a, b));
            return static_cast<uint64_t>(std::max(a, b)) - low;
        }
    }

    template <typename Result>
    std::optional<Result> first_value(const std::string& select, const ChunkRow& chunk, const char* comparison,
                                      Value bound, const char* order) const {
        Statement statement = index_.database().prepare(
            fmt::format("{} FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 AND {} {} ?3 {}", select, kName,
                        comparison, order));
        statement.bind(1, chunk.first_index).bind(2, chunk.first_index + chunk.frame_count).bind(3, bound);
        if (!statement.step() || statement.is_null(0)) return std::nullopt;
        if constexpr (std::is_same_v<Result, double>) {
            return statement.column_double(0);
        } else {
            return statement.column_int64(0);
        }
    }

    const FrameIndex& index_;
};

/// First frame_index in an ascending chunk whose value is not below `limit`; the chunk's end if there is none.
template <typename Lookup>
int64_t lower_bound_in(const Lookup& column, const ChunkRow& chunk, typename Lookup::Value limit) {
    int64_t first = chunk.first_index;
    int64_t count = chunk.frame_count;
    while (count > 0) {
        const int64_t half = count / 2;
        if (column.value(first + half) < limit) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

/// First frame_index in an ascending chunk whose value is above `limit`; the chunk's end if there is none.
template <typename Lookup>
int64_t upper_bound_in(const Lookup& column, const ChunkRow& chunk, typename Lookup::Value limit) {
    int64_t first = chunk.first_index;
    int64_t count = chunk.frame_count;
    while (count > 0) {
        const int64_t half = count / 2;
        if (!(limit < column.value(first + half))) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

/// The value at a place where the chunk's summary promises one.
template <typename Lookup>
typename Lookup::Value value_in(const Lookup& column, const ChunkRow& chunk, int64_t frame_index) {
    if (frame_index < chunk.first_index || frame_index >= chunk.first_index + chunk.frame_count) {
        throw Error(ErrorCode::corrupt, {column.index().database().path(), chunk.chunk, {}},
                    "the index contradicts itself; run `store index` to rebuild it");
    }
    return column.value(frame_index);
}

template <typename Lookup>
std::optional<int64_t> first_with(const Lookup& column, typename Lookup::Value value) {
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Lookup::range(chunk);
        if (!range || value < range->first || value > range->second) continue;
        if (!Lookup::ascending(chunk)) {
            if (const auto found = column.scan_for(chunk, value)) return found;
            continue;
        }
        const int64_t found = lower_bound_in(column, chunk, value);
        if (found < chunk.first_index + chunk.frame_count && column.value(found) == value) return found;
    }
    return std::nullopt;
}

template <typename Lookup>
std::optional<typename Lookup::Value> largest_not_above(const Lookup& column, typename Lookup::Value limit) {
    std::optional<typename Lookup::Value> best;
    // Chunks wholly below the limit answer from their summary; that often rules out searching the others.
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Lookup::range(chunk);
        if (range && range->second <= limit && (!best || range->second > *best)) best = range->second;
    }
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Lookup::range(chunk);
        if (!range || range->second <= limit || range->first > limit) continue;
        std::optional<typename Lookup::Value> found;
        if (Lookup::ascending(chunk)) {
            found = value_in(column, chunk, upper_bound_in(column, chunk, limit) - 1);
        } else {
            found = column.scan_below(chunk, limit);
        }
        if (found && (!best || *found > *best)) best = found;
    }
    return best;
}

template <typename Lookup>
std::optional<typename Lookup::Value> smallest_not_below(const Lookup& column, typename Lookup::Value limit) {
    std::optional<typename Lookup::Value> best;
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Lookup::range(chunk);
        if (range && range->first >= limit && (!best || range->first < *best)) best = range->first;
    }
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Lookup::range(chunk);
        if (!range || range->first >= limit || range->second < limit) continue;
        std::optional<typename Lookup::Value> found;
        if (Lookup::ascending(chunk)) {
            found = value_in(column, chunk, lower_bound_in(column, chunk, limit));
        } else {
            found = column.scan_above(chunk, limit);
        }
        if (found && (!best || *found < *best)) best = found;
    }
    return best;
}

template <typename Lookup>
std::optional<int64_t> first_with_some(const Lookup& column, const std::optional<typename Lookup::Value>& value) {
    if (!value) return std::nullopt;
    return first_with(column, *value);
}

template <typename Lookup>
std::optional<int64_t> search(const Lookup& column, typename Lookup::Value target, Match match) {
    if (match == Match::exact) return first_with(column, target);
    if (match == Match::previous) return first_with_some(column, largest_not_above(column, target));
    if (match == Match::next) return first_with_some(column, smallest_not_below(column, target));
    const auto below = largest_not_above(column, target);
    const auto above = smallest_not_below(column, target);
    if (!below || !above) return first_with_some(column, below ? below : above);
    if (Lookup::nearer(*below, *above, target)) return first_with(column, *below);
    if (Lookup::nearer(*above, *below, target)) return first_with(column, *above);
    const std::optional<int64_t> first_below = first_with(column, *below);
    const std::optional<int64_t> first_above = first_with(column, *above);
    if (!first_below || !first_above) return first_below ? first_below : first_above;
    return std::min(*first_below, *first_above);
}

}  // namespace

std::optional<int64_t> search_frames(const FrameIndex& index, int64_t number, Match match) {
    return search(Column<int64_t>(index), number, match);
}

std::optional<int64_t> search_frames(const FrameIndex& index, double time, Match match) {
    return search(Column<double>(index), time, match);
}

}  // namespace reelstore
