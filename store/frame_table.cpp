#include "store/frame_table.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace reelstore {

ChunkSummary::ChunkSummary(ChunkRow& chunk, const std::optional<FrameRow>& last)
    : chunk_(chunk),
      last_number_(last ? last->number : std::numeric_limits<int64_t>::min()),
      last_time_(last ? last->time : -std::numeric_limits<double>::infinity()) {}

void ChunkSummary::add(int64_t number, double time) {
    if (chunk_.frame_count == 0) {
        chunk_.number_min = chunk_.number_max = number;
    } else {
        chunk_.number_min = std::min(chunk_.number_min, number);
        chunk_.number_max = std::max(chunk_.number_max, number);
    }
    chunk_.numbers_ascending &= number >= last_number_;
    last_number_ = number;
    if (std::isnan(time)) {
        chunk_.times_ascending = false;
    } else {
        chunk_.time_min = std::min(chunk_.time_min.value_or(time), time);
        chunk_.time_max = std::max(chunk_.time_max.value_or(time), time);
        chunk_.times_ascending &= time >= last_time_;
        last_time_ = time;
    }
    ++chunk_.frame_count;
}

std::optional<FrameRow> FrameTable::find_number(int64_t number, Match match) const {
    const std::optional<int64_t> index = search_frames(numbers(), number, match);
    return index ? row(*index) : std::nullopt;
}

std::optional<FrameRow> FrameTable::find_time(double time, Match match) const {
    const std::optional<int64_t> index = search_frames(times(), time, match);
    return index ? row(*index) : std::nullopt;
}

std::optional<std::pair<int64_t, int64_t>> FrameTable::number_range() const {
    const auto whole = numbers().whole();
    return whole ? std::optional(std::pair(whole->minimum, whole->maximum)) : std::nullopt;
}

std::optional<std::pair<double, double>> FrameTable::time_range() const {
    const auto whole = times().whole();
    return whole ? std::optional(std::pair(whole->minimum, whole->maximum)) : std::nullopt;
}

bool FrameTable::numbers_ascend() const {
    const auto whole = numbers().whole();
    return !whole || whole->ascending;
}

bool FrameTable::times_ascend() const {
    const auto whole = times().whole();
    return whole ? whole->ascending : frame_count() == 0;
}

std::vector<IndexRun> FrameTable::runs_of_numbers(int64_t low, int64_t high) const {
    return search_runs(numbers(), low, high);
}

std::vector<IndexRun> FrameTable::runs_of_times(double low, double high) const {
    return search_runs(times(), low, high);
}

}  // namespace reelstore
