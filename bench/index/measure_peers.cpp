#include <algorithm>
#include <cmath>
#include <random>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/median.h"
#include "bench/index/child_process.h"
#include "bench/index/experiments.h"
#include "bench/index/imgstore_scheme.h"
#include "bench/index/lookups.h"
#include "bench/stopwatch.h"

namespace reelstore::bench {

namespace {

constexpr int64_t kPeerChunkFrames = 10000;

int64_t chunks_for(int64_t frames) {
    return std::max<int64_t>(10, frames / kPeerChunkFrames);
}

struct Sides {
    std::vector<double> ours;
    std::vector<double> theirs;
    int64_t wrong = 0;

    Json json(const std::string& what) const {
        const double our_median = median(ours);
        const double their_median = median(theirs);
        return {{"what", what},
                {"ours_us", 1e6 * our_median},
                {"imgstore_us", 1e6 * their_median},
                {"times", their_median / our_median},
                {"wrong", wrong}};
    }
};

Json compare(const MadeStore& store, const Scale& scale) {
    const FramePlan& plan = store.plan;
    const StoreLayout layout(store.folder, ChunkKind::file, ".mp4");
    Json rows = Json::array();
    Sides opening;
    for (int64_t i = 0; i < scale.peer_openings; ++i) {
        const Stopwatch our_watch;
        const OpenedTable ours = open_store(store.folder);
        opening.ours.push_back(our_watch.seconds());
        const Stopwatch their_watch;
        const ImgstoreScheme theirs(layout, plan.chunks());
        opening.theirs.push_back(their_watch.seconds());
    }
    rows.push_back(opening.json("open"));

    const ImgstoreScheme theirs(layout, plan.chunks());
    const auto ask_theirs = [&](const Question& question) {
        if (question.by == Question::By::index) return theirs.find_index(question.value);
        if (question.by == Question::By::time) return theirs.find_nearest_time(question.time);
        return question.match == Match::exact ? theirs.find_number(question.value)
                                              : theirs.find_nearest_number(question.value);
    };
    for (const QuestionKind& kind : question_kinds(plan, scale.lookups)) {
        const Match match = kind.questions.front().match;
        if (match == Match::previous || match == Match::next) continue;
        // One after the other: a scan throws everything else out of the processor's caches.
        const OpenedTable ours = open_store(store.folder);
        Sides sides;
        std::vector<std::optional<FrameRow>> rows_found;
        for (const Question& question : kind.questions) {
            const double begin = now_monotonic();
            rows_found.push_back(question.ask(ours));
            sides.ours.push_back(now_monotonic() - begin);
            if (!question.right(plan, rows_found.back())) ++sides.wrong;
        }
        for (size_t i = 0; i < std::min(rows_found.size(), static_cast<size_t>(scale.peer_lookups)); ++i) {
            const double begin = now_monotonic();
            const std::optional<ImgstoreScheme::Place> place = ask_theirs(kind.questions[i]);
            sides.theirs.push_back(now_monotonic() - begin);
            // Of two equally near ones imgstore may give either.
            const std::optional<FrameRow>& row = rows_found[i];
            const bool same = place.has_value() == row.has_value() &&
                              (!row || match == Match::nearest || *place == std::pair(row->chunk, row->position));
            if (!same) ++sides.wrong;
        }
        rows.push_back(sides.json(kind.name));
    }
    return rows;
}

template <typename Value>
std::optional<int64_t> look_at_all(const std::vector<Value>& values, Value target, Match match) {
    std::optional<size_t> best;
    for (size_t i = 0; i < values.size(); ++i) {
        const Value value = values[i];
        const bool fits = match == Match::nearest || (match == Match::exact && value == target) ||
                          (match == Match::previous && value <= target) || (match == Match::next && value >= target);
        if (fits && (!best || std::abs(value - target) < std::abs(values[*best] - target))) best = i;
    }
    return best ? std::optional(static_cast<int64_t>(*best)) : std::nullopt;
}

/// Lookups that do not give what a look at every frame gives.
int64_t wrong_lookups(const MadeStore& store, int64_t count) {
    const FramePlan& plan = store.plan;
    std::vector<int64_t> numbers;
    std::vector<double> times;
    for (int64_t i = 0; i < plan.frames(); ++i) {
        numbers.push_back(plan.number(i));
        times.push_back(plan.time(i));
    }
    const OpenedTable table = open_index(store.index());
    std::mt19937_64 random(9);
    std::uniform_int_distribution<size_t> any(0, numbers.size() - 1);
    std::uniform_int_distribution<int64_t> number_offset(-2, 2);
    std::uniform_real_distribution<double> time_offset(-0.03, 0.03);
    int64_t wrong = 0;
    for (int64_t i = 0; i < count; ++i) {
        const size_t place = any(random);
        const int64_t number = numbers[place] + number_offset(random);
        const double time = times[place] + (i % 2 == 0 ? time_offset(random) : 0.0);
        for (const Match match : {Match::exact, Match::nearest, Match::previous, Match::next}) {
            const std::optional<FrameRow> by_number = table.find_number(number, match);
            const std::optional<FrameRow> by_time = table.find_time(time, match);
            const auto index_of = [](const std::optional<FrameRow>& row) {
                return row ? std::optional(row->index) : std::nullopt;
            };
            if (index_of(by_number) != look_at_all(numbers, number, match)) ++wrong;
            if (index_of(by_time) != look_at_all(times, time, match)) ++wrong;
        }
    }
    return wrong;
}

}  // namespace

Json measure_peer(const std::filesystem::path& parent, const Scale& scale) {
    const MadeStore store = make_store({scale.peer_frames, chunks_for(scale.peer_frames)}, parent);
    warm_up(store.index());
    return {{"frames", store.plan.frames()},
            {"chunks", store.plan.chunks()},
            {"rows", in_child_process([&] { return compare(store, scale); })}};
}

Json measure_courses(const std::filesystem::path& parent, const Scale& scale) {
    Json all = Json::array();
    for (const Course course :
         {Course::ascending, Course::wrapping, Course::clock_step, Course::paired_times, Course::shuffled}) {
        const MadeStore small = make_store({scale.brute_frames, 20, course}, parent);
        const MadeStore large = make_store({scale.course_frames, chunks_for(scale.course_frames), course}, parent);
        warm_up(large.index());
        Json result = {{"course", course_name(course)},
                       {"small_frames", small.plan.frames()},
                       {"compared", 8 * scale.brute_lookups},
                       {"frames", large.plan.frames()},
                       {"chunks", large.plan.chunks()}};
        result["wrong"] = in_child_process([&]() -> Json { return wrong_lookups(small, scale.brute_lookups); });
        result["lookups"] = in_child_process([&] {
            Json lookups = Json::array();
            for (const QuestionKind& kind : question_kinds(large.plan, scale.lookups / 10)) {
                lookups.push_back(measure_lookups(large.plan, kind, [&] { return open_index(large.index()); }));
            }
            return lookups;
        });
        all.push_back(std::move(result));
    }
    return all;
}

Json measure_schema(const std::filesystem::path& parent, const Scale& scale) {
    const MadeStore store = make_store({scale.peer_frames, chunks_for(scale.peer_frames)}, parent);
    warm_up(store.index());
    const std::filesystem::path copy = parent / "two_indexes.sqlite";
    std::filesystem::remove(copy);
    std::filesystem::copy_file(store.index(), copy);
    Json result = in_child_process([&]() -> Json {
        const PlainDatabase database(copy);
        const Stopwatch watch;
        database.execute(
            "CREATE INDEX frames_number ON frames (frame_number); CREATE INDEX frames_time ON frames (frame_time)");
        const double seconds = watch.seconds();
        database.execute("BEGIN");
        PlainStatement by_number(database,
                                 "SELECT frame_index FROM frames WHERE frame_number = ? ORDER BY frame_index LIMIT 1");
        PlainStatement before(
            database,
            "SELECT frame_time, frame_index FROM frames WHERE frame_time <= ? ORDER BY frame_time DESC LIMIT 1");
        PlainStatement after(
            database, "SELECT frame_time, frame_index FROM frames WHERE frame_time >= ? ORDER BY frame_time LIMIT 1");
        const auto number = [&](const Question& question) {
            const bool found = by_number.bind(1, question.value).step();
            const int64_t index = found ? by_number.column_int64(0) : -1;
            by_number.reset();
            return index;
        };
        const auto nearest = [&](const Question& question) {
            const bool has_before = before.bind(1, question.time).step();
            const bool has_after = after.bind(1, question.time).step();
            const bool take_after = has_after && (!has_before || after.column_double(0) - question.time <
                                                                     question.time - before.column_double(0));
            const int64_t index = take_after ? after.column_int64(1) : before.column_int64(1);
            before.reset();
            after.reset();
            return index;
        };
        const std::vector<QuestionKind> kinds = question_kinds(store.plan, scale.lookups);
        Json lookups = Json::array();
        for (const QuestionKind& kind : kinds) {
            if (kind.name != "number" && kind.name != "time, nearest") continue;
            std::vector<double> all;
            int64_t wrong = 0;
            for (const Question& question : kind.questions) {
                const double begin = now_monotonic();
                const int64_t index = kind.name == "number" ? number(question) : nearest(question);
                all.push_back(now_monotonic() - begin);
                if (index != question.answer) ++wrong;
            }
            Json row = latency_json(std::move(all));
            row["kind"] = kind.name;
            row["wrong"] = wrong;
            lookups.push_back(std::move(row));
        }
        return {{"seconds_to_make", seconds}, {"lookups", std::move(lookups)}};
    });
    const auto bytes = static_cast<double>(std::filesystem::file_size(copy));
    std::filesystem::remove(copy);
    result["frames"] = store.plan.frames();
    result["bytes_per_frame"] = bytes / static_cast<double>(store.plan.frames());
    result["ours_bytes_per_frame"] = store.making["index_bytes_per_frame"];
    result["ours_lookups"] = in_child_process([&] {
        Json lookups = Json::array();
        for (const QuestionKind& kind : question_kinds(store.plan, scale.lookups)) {
            if (kind.name != "number" && kind.name != "time, nearest") continue;
            lookups.push_back(measure_lookups(store.plan, kind, [&] { return open_index(store.index()); }));
        }
        return lookups;
    });
    return result;
}

}  // namespace reelstore::bench
