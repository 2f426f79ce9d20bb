#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/index/frame_plan.h"
#include "store/frame_table.h"
#include "store/store_reader.h"

namespace reelstore::bench {

/// A frame table that was just opened, by whatever class.
struct OpenedTable {
    std::shared_ptr<const void> owner;
    std::function<std::optional<FrameRow>(int64_t)> row;
    std::function<std::optional<FrameRow>(int64_t, Match)> find_number;
    std::function<std::optional<FrameRow>(double, Match)> find_time;
    std::function<LookupCounters()> counters;  ///< empty where nothing counts
};
OpenedTable open_index(const std::filesystem::path& index);
OpenedTable open_store(const std::filesystem::path& folder);

/// One thing to ask a table for.
struct Question {
    enum class By { index, number, time };
    By by = By::index;
    Match match = Match::exact;
    int64_t value = 0;  ///< frame_index or number
    double time = 0;
    /// frame_index of the right answer, or that there is none; without one, the frame must have what was asked for.
    std::optional<int64_t> answer = {};
    bool answer_known = true;

    std::optional<FrameRow> ask(const OpenedTable& table) const;
    bool right(const FramePlan& plan, const std::optional<FrameRow>& row) const;
};

/// Questions of one kind, at random places, each place once.
struct QuestionKind {
    std::string name;  ///< "number, nearest"
    std::vector<Question> questions;
};
/// Every kind of lookup where numbers and times ascend; else by index, number and time of frames that are there.
std::vector<QuestionKind> question_kinds(const FramePlan& plan, int64_t count);

/// Asks the questions of a kind, each kind of a table opened for it: an object with median_us, p99_us, longest_us,
/// rows_mean, rows_most, summaries_mean, summaries_most, wrong.
Json measure_lookups(const FramePlan& plan, const QuestionKind& kind, const std::function<OpenedTable()>& open);
/// The first question after opening, with as many openings: median_us, longest_us, wrong.
Json measure_first_lookups(const FramePlan& plan, const QuestionKind& kind, int64_t openings,
                           const std::function<OpenedTable()>& open);

/// Seconds of each call, as an object with median_us, p99_us, longest_us.
Json latency_json(std::vector<double> seconds);

}  // namespace reelstore::bench
