#include "store/recording.h"

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

std::optional<Frame> Recording::at_number(int64_t number, Match match) {
    const std::optional<FrameRow> row = find_number(number, match);
    return row ? std::optional(at_index(row->index)) : std::nullopt;
}

std::optional<Frame> Recording::at_time(double time, Match match) {
    const std::optional<FrameRow> row = find_time(time, match);
    return row ? std::optional(at_index(row->index)) : std::nullopt;
}

std::vector<FrameRow> Recording::rows() const {
    std::vector<FrameRow> rows;
    rows.reserve(static_cast<size_t>(frame_count()));
    visit_rows(0, frame_count(), [&](const FrameRow& row) {
        rows.push_back(row);
        return true;
    });
    return rows;
}

FrameStamp Recording::stamp(int64_t index) {
    const std::optional<FrameRow> found = row(index);
    if (!found) {
        throw Error(ErrorCode::invalid_argument, {path().string(), {}, index},
                    fmt::format("no such frame: there are {}", frame_count()));
    }
    return {.number = found->number, .time = found->time};
}

std::vector<ExtraRecord> Recording::all_extra_data() const {
    std::vector<ExtraRecord> records;
    visit_extra_data(-1, frame_count(), [&](const ExtraRecord& record) {
        records.push_back(record);
        return true;
    });
    return records;
}

std::vector<Json> Recording::extra_data_of(int64_t index) {
    std::vector<Json> records;
    visit_extra_data(index, index + 1, [&](const ExtraRecord& record) {
        records.push_back(record.data);
        return true;
    });
    return records;
}

double Recording::duration() const {
    const auto range = time_range();
    return range ? range->second - range->first : 0;
}

}  // namespace reelstore
