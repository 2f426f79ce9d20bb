#include "store/frame_search.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace reelstore {

namespace {

/// Distance of two integers without overflow.
uint64_t distance(int64_t a, int64_t b) {
    return a > b ? static_cast<uint64_t>(a) - static_cast<uint64_t>(b) : static_cast<uint64_t>(b) - static_cast<uint64_t>(a);
}

/// First frame_index in an ascending chunk whose value is not below `limit`; the chunk's end if there is none.
template <typename Column>
int64_t lower_bound_in(const Column& column, const ChunkRow& chunk, typename Column::Value limit) {
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
template <typename Column>
int64_t upper_bound_in(const Column& column, const ChunkRow& chunk, typename Column::Value limit) {
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
template <typename Column>
typename Column::Value value_in(const Column& column, const ChunkRow& chunk, int64_t frame_index) {
    if (frame_index < chunk.first_index || frame_index >= chunk.first_index + chunk.frame_count) {
        throw Error(ErrorCode::corrupt, {column.index().database().path(), chunk.chunk, {}},
                    "the index contradicts itself; run `store index` to rebuild it");
    }
    return column.value(frame_index);
}

template <typename Column>
std::optional<int64_t> first_with(const Column& column, typename Column::Value value) {
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Column::range(chunk);
        if (!range || value < range->first || value > range->second) continue;
        if (!Column::ascending(chunk)) {
            if (const auto found = column.scan_for(chunk, value)) return found;
            continue;
        }
        const int64_t found = lower_bound_in(column, chunk, value);
        if (found < chunk.first_index + chunk.frame_count && column.value(found) == value) return found;
    }
    return std::nullopt;
}

template <typename Column>
std::optional<typename Column::Value> largest_not_above(const Column& column, typename Column::Value limit) {
    std::optional<typename Column::Value> best;
    // Chunks wholly below the limit answer from their summary; that often rules out searching the others.
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Column::range(chunk);
        if (range && range->second <= limit && (!best || range->second > *best)) best = range->second;
    }
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Column::range(chunk);
        if (!range || range->second <= limit || range->first > limit) continue;
        std::optional<typename Column::Value> found;
        if (Column::ascending(chunk)) {
            found = value_in(column, chunk, upper_bound_in(column, chunk, limit) - 1);
        } else {
            found = column.scan_below(chunk, limit);
        }
        if (found && (!best || *found > *best)) best = found;
    }
    return best;
}

template <typename Column>
std::optional<typename Column::Value> smallest_not_below(const Column& column, typename Column::Value limit) {
    std::optional<typename Column::Value> best;
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Column::range(chunk);
        if (range && range->first >= limit && (!best || range->first < *best)) best = range->first;
    }
    for (const ChunkRow& chunk : column.index().chunks()) {
        const auto range = Column::range(chunk);
        if (!range || range->first >= limit || range->second < limit) continue;
        std::optional<typename Column::Value> found;
        if (Column::ascending(chunk)) {
            found = value_in(column, chunk, lower_bound_in(column, chunk, limit));
        } else {
            found = column.scan_above(chunk, limit);
        }
        if (found && (!best || *found < *best)) best = found;
    }
    return best;
}

template <typename Column>
std::optional<int64_t> first_with_some(const Column& column, const std::optional<typename Column::Value>& value) {
    if (!value) return std::nullopt;
    return first_with(column, *value);
}

template <typename Column>
std::optional<int64_t> search(const Column& column, typename Column::Value target, Match match) {
    if (match == Match::exact) return first_with(column, target);
    if (match == Match::previous) return first_with_some(column, largest_not_above(column, target));
    if (match == Match::next) return first_with_some(column, smallest_not_below(column, target));
    const auto below = largest_not_above(column, target);
    const auto above = smallest_not_below(column, target);
    if (!below || !above) return first_with_some(column, below ? below : above);
    if (Column::nearer(*below, *above, target)) return first_with(column, *below);
    if (Column::nearer(*above, *below, target)) return first_with(column, *above);
    const std::optional<int64_t> first_below = first_with(column, *below);
    const std::optional<int64_t> first_above = first_with(column, *above);
    if (!first_below || !first_above) return first_below ? first_below : first_above;
    return std::min(*first_below, *first_above);
}

/// The value a query gives for a chunk and a bound; nothing for NULL.
Statement chunk_query(const FrameIndex& index, const char* sql, const ChunkRow& chunk) {
    Statement statement = index.database().prepare(sql);
    statement.bind(1, chunk.first_index).bind(2, chunk.first_index + chunk.frame_count);
    return statement;
}

template <typename Value>
std::optional<Value> first_value(Statement statement, Value bound) {
    statement.bind(3, bound);
    if (!statement.step() || statement.is_null(0)) return std::nullopt;
    if constexpr (std::is_same_v<Value, double>) {
        return statement.column_double(0);
    } else {
        return statement.column_int64(0);
    }
}

std::optional<int64_t> first_index(Statement statement) {
    if (!statement.step()) return std::nullopt;
    return statement.column_int64(0);
}

}  // namespace

int64_t NumberColumn::value(int64_t frame_index) const {
    return index_.row(frame_index)->number;
}

std::optional<int64_t> NumberColumn::scan_for(const ChunkRow& chunk, int64_t value) const {
    Statement select = chunk_query(index_,
        "SELECT frame_index FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 AND frame_number = ?3 ORDER BY frame_index LIMIT 1", chunk);
    select.bind(3, value);
    return first_index(std::move(select));
}

std::optional<int64_t> NumberColumn::scan_below(const ChunkRow& chunk, int64_t limit) const {
    return first_value(chunk_query(index_, "SELECT MAX(frame_number) FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 AND frame_number <= ?3", chunk), limit);
}

std::optional<int64_t> NumberColumn::scan_above(const ChunkRow& chunk, int64_t limit) const {
    return first_value(chunk_query(index_, "SELECT MIN(frame_number) FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 AND frame_number >= ?3", chunk), limit);
}

bool NumberColumn::nearer(int64_t a, int64_t b, int64_t target) {
    return distance(a, target) < distance(b, target);
}

double TimeColumn::value(int64_t frame_index) const {
    return index_.row(frame_index)->time;
}

std::optional<int64_t> TimeColumn::scan_for(const ChunkRow& chunk, double value) const {
    Statement select = chunk_query(index_,
        "SELECT frame_index FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 AND frame_time = ?3 ORDER BY frame_index LIMIT 1", chunk);
    select.bind(3, value);
    return first_index(std::move(select));
}

std::optional<double> TimeColumn::scan_below(const ChunkRow& chunk, double limit) const {
    return first_value(chunk_query(index_, "SELECT MAX(frame_time) FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 AND frame_time <= ?3", chunk), limit);
}

std::optional<double> TimeColumn::scan_above(const ChunkRow& chunk, double limit) const {
    return first_value(chunk_query(index_, "SELECT MIN(frame_time) FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 AND frame_time >= ?3", chunk), limit);
}

bool TimeColumn::nearer(double a, double b, double target) {
    return std::abs(a - target) < std::abs(b - target);
}

std::optional<int64_t> search_frames(const NumberColumn& column, int64_t target, Match match) {
    return search(column, target, match);
}

std::optional<int64_t> search_frames(const TimeColumn& column, double target, Match match) {
    return search(column, target, match);
}

}  // namespace reelstore
