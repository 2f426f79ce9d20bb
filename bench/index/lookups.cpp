#include "bench/index/lookups.h"

#include <algorithm>
#include <random>
#include <unordered_set>

#include "base/clock.h"
#include "bench/index/made_store.h"
#include "store/frame_index.h"

namespace reelstore::bench {

namespace {

/// Lies between two neighbouring frames, mostly not in their middle.
constexpr double kMostTimeOffset = 0.006;

/// 0 to below `end`, each once, in no order.
std::vector<int64_t> random_places(int64_t end, int64_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<int64_t> any(0, end - 1);
    count = std::min(count, end);
    std::unordered_set<int64_t> taken;
    std::vector<int64_t> places;
    while (static_cast<int64_t>(places.size()) < count) {
        const int64_t place = any(random);
        if (taken.insert(place).second) places.push_back(place);
    }
    return places;
}

template <typename Table>
OpenedTable opened(std::shared_ptr<const Table> table) {
    OpenedTable all;
    all.row = [table](int64_t index) { return table->row(index); };
    all.find_number = [table](int64_t number, Match match) { return table->find_number(number, match); };
    all.find_time = [table](double time, Match match) { return table->find_time(time, match); };
    all.owner = std::move(table);
    return all;
}

template <typename Make>
QuestionKind kind_of(const std::string& name, int64_t places, int64_t count, uint64_t seed, Make make) {
    QuestionKind kind = {name, {}};
    for (const int64_t place : random_places(places, count, seed)) kind.questions.push_back(make(place));
    return kind;
}

}  // namespace

OpenedTable open_index(const std::filesystem::path& index) {
    std::shared_ptr<const FrameIndex> table = FrameIndex::open(index, kUuid);
    OpenedTable all = opened(table);
    all.counters = [table] { return table->counters(); };
    return all;
}

OpenedTable open_store(const std::filesystem::path& folder) {
    return opened(std::make_shared<const StoreReader>(folder));
}

std::optional<FrameRow> Question::ask(const OpenedTable& table) const {
    if (by == By::index) return table.row(value);
    return by == By::number ? table.find_number(value, match) : table.find_time(time, match);
}

bool Question::right(const FramePlan& plan, const std::optional<FrameRow>& row) const {
    if (answer_known && (row ? std::optional(row->index) : std::nullopt) != answer) return false;
    if (!row) return answer_known;
    if (row->number != plan.number(row->index) || row->time != plan.time(row->index)) return false;
    if (row->chunk != row->index / plan.chunk_frames() || row->position != row->index % plan.chunk_frames())
        return false;
    if (answer_known) return true;
    return by == By::number ? row->number == value : row->time == time;
}

std::vector<QuestionKind> question_kinds(const FramePlan& plan, int64_t count) {
    using By = Question::By;
    const bool ascending = plan.course() == Course::ascending;
    std::vector<QuestionKind> kinds;
    kinds.push_back(kind_of("index", plan.frames(), count, 1,
                            [](int64_t index) { return Question{.by = By::index, .value = index, .answer = index}; }));
    kinds.push_back(kind_of("number", plan.frames(), count, 2, [&](int64_t index) {
        return Question{.by = By::number,
                        .value = plan.number(index),
                        .answer = ascending ? std::optional(index) : std::nullopt,
                        .answer_known = ascending};
    }));
    if (!ascending) {
        kinds.push_back(kind_of("time", plan.frames(), count, 3, [&](int64_t index) {
            return Question{.by = By::time, .time = plan.time(index), .answer_known = false};
        }));
        return kinds;
    }
    const std::pair<Match, const char*> matches[] = {{Match::exact, "number that is missing"},
                                                     {Match::nearest, "number, nearest"},
                                                     {Match::previous, "number, previous"},
                                                     {Match::next, "number, next"}};
    for (const auto& [match, name] : matches) {
        kinds.push_back(kind_of(name, plan.gaps(), count, 4, [&, match = match](int64_t gap) {
            const int64_t number = plan.missing_number(gap);
            return Question{
                .by = By::number, .match = match, .value = number, .answer = plan.find_number(number, match)};
        }));
    }
    const std::pair<Match, const char*> time_matches[] = {
        {Match::nearest, "time, nearest"}, {Match::previous, "time, previous"}, {Match::next, "time, next"}};
    for (const auto& [match, name] : time_matches) {
        std::mt19937_64 random(5);
        std::uniform_real_distribution<double> offset(-kMostTimeOffset, kMostTimeOffset);
        kinds.push_back(kind_of(name, plan.frames(), count, 6, [&, match = match](int64_t index) {
            const double time = plan.time(index) + offset(random);
            return Question{.by = By::time, .match = match, .time = time, .answer = plan.find_time(time, match)};
        }));
    }
    return kinds;
}

Json latency_json(std::vector<double> seconds) {
    std::sort(seconds.begin(), seconds.end());
    const auto at = [&](double share) {
        return 1e6 * seconds[static_cast<size_t>(share * static_cast<double>(seconds.size() - 1))];
    };
    return {{"count", seconds.size()}, {"median_us", at(0.5)}, {"p99_us", at(0.99)}, {"longest_us", at(1)}};
}

Json measure_lookups(const FramePlan& plan, const QuestionKind& kind, const std::function<OpenedTable()>& open) {
    const OpenedTable table = open();
    std::vector<double> seconds;
    seconds.reserve(kind.questions.size());
    int64_t wrong = 0;
    LookupCounters before;
    LookupCounters most;
    if (table.counters) before = table.counters();
    const LookupCounters first = before;
    for (const Question& question : kind.questions) {
        const double begin = now_monotonic();
        const std::optional<FrameRow> row = question.ask(table);
        seconds.push_back(now_monotonic() - begin);
        if (!question.right(plan, row)) ++wrong;
        if (!table.counters) continue;
        const LookupCounters after = table.counters();
        most.rows_read = std::max(most.rows_read, after.rows_read - before.rows_read);
        most.summaries_read = std::max(most.summaries_read, after.summaries_read - before.summaries_read);
        before = after;
    }
    Json result = latency_json(std::move(seconds));
    result["kind"] = kind.name;
    result["wrong"] = wrong;
    if (table.counters) {
        const auto mean = [&](int64_t all) {
            return static_cast<double>(all) / static_cast<double>(kind.questions.size());
        };
        result["rows_mean"] = mean(before.rows_read - first.rows_read);
        result["rows_most"] = most.rows_read;
        result["summaries_mean"] = mean(before.summaries_read - first.summaries_read);
        result["summaries_most"] = most.summaries_read;
    }
    return result;
}

Json measure_first_lookups(const FramePlan& plan, const QuestionKind& kind, int64_t openings,
                           const std::function<OpenedTable()>& open) {
    std::vector<double> seconds;
    int64_t wrong = 0;
    for (const Question& question : kind.questions) {
        if (static_cast<int64_t>(seconds.size()) == openings) break;
        const OpenedTable table = open();
        const double begin = now_monotonic();
        const std::optional<FrameRow> row = question.ask(table);
        seconds.push_back(now_monotonic() - begin);
        if (!question.right(plan, row)) ++wrong;
    }
    Json result = latency_json(std::move(seconds));
    result["kind"] = kind.name;
    result["wrong"] = wrong;
    return result;
}

}  // namespace reelstore::bench
