#include <algorithm>
#include <memory>

#include "base/clock.h"
#include "base/file_system.h"
#include "bench/index/child_process.h"
#include "bench/index/experiments.h"
#include "bench/index/lookups.h"
#include "bench/index/plain_sqlite.h"
#include "bench/stopwatch.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/maintenance.h"

namespace reelstore::bench {

namespace {

/// Rows visited in the middle of a store.
constexpr int64_t kVisited = 1000000;

Json openings(int64_t count, const std::function<std::shared_ptr<const void>()>& open) {
    std::vector<double> seconds;
    for (int64_t i = 0; i < count; ++i) {
        const Stopwatch watch;
        const std::shared_ptr<const void> opened = open();
        seconds.push_back(watch.seconds());
    }
    return latency_json(std::move(seconds));
}

/// The limit of lookups: one row by its key, by a statement that is prepared already, in one transaction.
Json bare_rows(const MadeStore& store, const QuestionKind& kind) {
    const PlainDatabase database(store.index());
    database.execute("BEGIN");
    PlainStatement select(database, "SELECT frame_number, frame_time FROM frames WHERE frame_index = ?");
    std::vector<double> seconds;
    int64_t wrong = 0;
    for (const Question& question : kind.questions) {
        const double begin = now_monotonic();
        const bool found = select.bind(1, question.value).step();
        const int64_t number = found ? select.column_int64(0) : -1;
        const double time = found ? select.column_double(1) : -1;
        select.reset();
        seconds.push_back(now_monotonic() - begin);
        if (number != store.plan.number(question.value) || time != store.plan.time(question.value)) ++wrong;
    }
    Json result = latency_json(std::move(seconds));
    result["wrong"] = wrong;
    return result;
}

Json visited_rows(const MadeStore& store) {
    const auto index = FrameIndex::open(store.index(), kUuid);
    const int64_t count = std::min(kVisited, store.plan.frames());
    const int64_t first = (store.plan.frames() - count) / 2;
    int64_t wrong = 0;
    int64_t expected = first;
    const Stopwatch watch;
    index->visit_rows(first, first + count, [&](const FrameRow& row) {
        if (row.index != expected++) ++wrong;
        return true;
    });
    const double seconds = watch.seconds();
    if (expected != first + count) ++wrong;
    return {{"rows", count}, {"rows_per_second", static_cast<double>(count) / seconds}, {"wrong", wrong}};
}

Json measure(const MadeStore& store, const Scale& scale) {
    const FramePlan& plan = store.plan;
    Json result = {{"frames", plan.frames()}, {"chunks", plan.chunks()}, {"chunk_frames", plan.chunk_frames()}};
    const std::vector<QuestionKind> kinds = question_kinds(plan, scale.lookups);
    result["memory_before_mb"] = process_memory().resident;
    const auto open = [&] { return open_index(store.index()); };
    result["open_index"] =
        openings(scale.openings, [&] { return std::shared_ptr(FrameIndex::open(store.index(), kUuid)); });
    result["open_store"] = openings(scale.openings, [&] { return std::make_shared<StoreReader>(store.folder); });
    result["open_store_and_ranges"] = openings(scale.openings, [&] {
        auto reader = std::make_shared<StoreReader>(store.folder);
        reader->number_range();
        reader->time_range();
        return reader;
    });
    result["lookups"] = Json::array();
    for (const QuestionKind& kind : kinds) result["lookups"].push_back(measure_lookups(plan, kind, open));
    result["first_lookups"] = Json::array();
    for (const QuestionKind& kind : kinds)
        result["first_lookups"].push_back(measure_first_lookups(plan, kind, scale.first_lookups, open));
    result["visit_rows"] = visited_rows(store);
    const ProcessMemory memory = process_memory();
    result["memory_mb"] = memory.resident;
    result["largest_memory_mb"] = memory.largest;
    result["bare_rows"] = bare_rows(store, kinds.front());
    return result;
}

/// A store with the same chunks and no index.
std::filesystem::path without_index(const MadeStore& store, const std::filesystem::path& parent) {
    const std::filesystem::path folder = parent / (store.folder.filename().string() + "_without_index");
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    for (const auto& entry : std::filesystem::directory_iterator(store.folder)) {
        if (entry.path() != store.index())
            std::filesystem::create_hard_link(entry.path(), folder / entry.path().filename());
    }
    return folder;
}

/// The limit of opening a store without index: every byte of its sidecars, read once.
Json read_sidecars(const MadeStore& store) {
    const Stopwatch watch;
    uint64_t bytes = 0;
    for (int64_t chunk = 0; chunk < store.plan.chunks(); ++chunk) {
        const std::filesystem::path path = StoreLayout(store.folder, ChunkKind::file, ".mp4").sidecar(chunk);
        bytes += read_file(path, uint64_t{1} << 30).size();
    }
    return {{"seconds", watch.seconds()}, {"bytes", bytes}};
}

}  // namespace

Json measure_store(const MadeStore& store, const Scale& scale) {
    warm_up(store.index());
    Json result = in_child_process([&] { return measure(store, scale); });
    result["making"] = store.making;
    return result;
}

Json measure_sidecars(const MadeStore& store, const std::filesystem::path& parent, const Scale& scale) {
    const std::filesystem::path folder = without_index(store, parent);
    const auto opened = [&](int64_t count) {
        return in_child_process([&]() -> Json {
            Json result = {{"open", openings(count, [&] { return std::make_shared<StoreReader>(folder); })}};
            result["lookups"] = Json::array();
            for (const QuestionKind& kind : question_kinds(store.plan, scale.lookups / 10))
                result["lookups"].push_back(measure_lookups(store.plan, kind, [&] { return open_store(folder); }));
            const ProcessMemory memory = process_memory();
            result["memory_mb"] = memory.resident;
            result["largest_memory_mb"] = memory.largest;
            return result;
        });
    };
    Json result = {{"frames", store.plan.frames()}, {"chunks", store.plan.chunks()}};
    result["read_sidecars"] = read_sidecars(store);
    result["without_index"] = opened(scale.peer_openings);
    result["build"] = in_child_process([&]() -> Json {
        const Stopwatch watch;
        const IndexResult built = build_index(folder);
        return {{"seconds", watch.seconds()},
                {"frames", built.frame_count},
                {"index_bytes", std::filesystem::file_size(StoreLayout::index(folder))},
                {"largest_memory_mb", process_memory().largest}};
    });
    result["with_index"] = opened(scale.openings);
    std::filesystem::remove_all(folder);
    return result;
}

}  // namespace reelstore::bench
