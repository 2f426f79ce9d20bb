#include "bench/recording/report.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/median.h"

namespace reelstore::bench {

namespace {

constexpr double kLeastSpeed = 0.95;
constexpr double kMostGrowth = 4;  // MB: what an allocator may keep, not what a leak of a few bytes a frame would

struct Target {
    std::string what;
    std::string aim;
    double seen = 0;
    bool reached = false;
};

/// One figure of every repetition.
struct Spread {
    double middle = 0;
    double least = 0;
    double most = 0;
};

Spread spread_of(const std::vector<double>& values) {
    return {median(values), *std::min_element(values.begin(), values.end()),
            *std::max_element(values.begin(), values.end())};
}

template <typename Run, typename Figure>
Spread spread_of(const std::vector<Run>& runs, Figure figure) {
    std::vector<double> values;
    for (const Run& run : runs) values.push_back(figure(run));
    return spread_of(values);
}

template <typename Run, typename Figure>
double middle_of(const std::vector<Run>& runs, Figure figure) {
    return spread_of(runs, figure).middle;
}

std::vector<Target> targets_of(const RecordingReport& report) {
    std::vector<Target> targets;
    for (const ThroughputResult& result : report.throughput) {
        const double seen = result.find(kDefault).speed_against(result.find(kOff));
        targets.push_back({fmt::format("speed of recording {}, {}", result.clip, result.coding.name),
                           fmt::format("a commit every second at least {}x as fast as none", kLeastSpeed), seen,
                           seen >= kLeastSpeed});
    }
    for (const AddResult& result : report.add) {
        if (!result.reelstore) continue;
        const double seen = middle_of(result.runs, [](const AddRun& run) { return run.milliseconds(0.99); });
        targets.push_back({result.name, fmt::format("99 of 100 calls at most {} ms", 1e3 * kLongCall), seen,
                           seen <= 1e3 * kLongCall});
    }
    for (const MemoryResult& result : report.memory) {
        targets.push_back({fmt::format("memory, {} frames of {}", result.run.frames, result.name),
                           fmt::format("at most {} MB more in the last tenth than in the second", kMostGrowth),
                           result.growth(), result.growth() <= kMostGrowth});
    }
    return targets;
}

double a_frame(const Run& run, double seconds) {
    return 1e3 * seconds / static_cast<double>(run.frames);
}

std::string counter_cells(const std::vector<Run>& runs) {
    if (!runs.front().stats) return "- | - | - | -";
    const auto each = [&](auto figure) { return middle_of(runs, figure); };
    return fmt::format("{:.0f} | {:.2f} | {:.2f} | {:.2f}",
                       each([](const Run& run) { return static_cast<double>(run.stats->commits); }),
                       each([](const Run& run) { return a_frame(run, run.stats->encode_seconds); }),
                       each([](const Run& run) { return a_frame(run, run.stats->sync_seconds); }),
                       each([](const Run& run) { return a_frame(run, run.stats->commit_seconds); }));
}

std::string targets_text(const RecordingReport& report) {
    std::string text = "\n## Targets\n\n| what | target | seen | reached |\n|---|---|--:|---|\n";
    for (const Target& target : targets_of(report)) {
        text += fmt::format("| {} | {} | {:.2f} | {} |\n", target.what, target.aim, target.seen,
                            target.reached ? "yes" : "no");
    }
    return text;
}

std::string throughput_text(const std::vector<ThroughputResult>& results) {
    std::string text =
        "\n## As fast as it goes\n\nFrom before the first frame until the store is closed and durable; the peers sync "
        "nothing unless it says so.\n\n"
        "| clip | format | commits | frames/s | least .. most | times \"off\" | MB/s | CPU ms per frame | others' "
        "processors | commits made | encode ms | sync ms | index ms |\n"
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for (const ThroughputResult& result : results) {
        for (const RecorderRuns& recorder : result.recorders) {
            const Spread rate = spread_of(recorder.rates());
            text += fmt::format(
                "| {} | {} | {} | {:.1f} | {:.1f} .. {:.1f} | {:.2f} | {:.1f} | {:.2f} | {:.2f} | {} |\n", result.clip,
                result.coding.name, recorder.name, rate.middle, rate.least, rate.most,
                recorder.speed_against(result.find(kOff)),
                middle_of(recorder.runs,
                          [](const Run& run) { return static_cast<double>(run.bytes) / run.seconds / 1e6; }),
                middle_of(recorder.runs, [](const Run& run) { return a_frame(run, run.cpu_seconds); }),
                middle_of(recorder.runs, [](const Run& run) { return run.others; }), counter_cells(recorder.runs));
        }
    }
    return text;
}

std::string add_text(const std::vector<AddResult>& results) {
    std::string text = fmt::format(
        "\n## The call that hands a frame over\n\n1280x1024 gray at {:.0f} frames/s, a commit every second, a new "
        "chunk every 300 frames; ms, medians of the repetitions with the least and the most.\n\n"
        "| way | median | p99 | p99.9 | longest | calls over {} ms | of them waited, preempted, page faults | "
        "others' processors | frames | longest durable lag |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        kAddFrameRate, 1e3 * kLongCall);
    for (const AddResult& result : results) {
        const auto cell = [&](double share) {
            const Spread spread = spread_of(result.runs, [&](const AddRun& run) { return run.milliseconds(share); });
            return fmt::format("{:.3f} ({:.3f} .. {:.3f})", spread.middle, spread.least, spread.most);
        };
        const auto sum = [&](auto figure) {
            int64_t total = 0;
            for (const AddRun& run : result.runs) total += figure(run);
            return total;
        };
        text += fmt::format(
            "| {} | {} | {} | {} | {} | {} | {}, {}, {} | {:.2f} | {} | {} |\n", result.name, cell(0.5), cell(0.99),
            cell(0.999), cell(1), sum([](const AddRun& run) { return run.long_calls(); }),
            sum([](const AddRun& run) { return run.waited; }), sum([](const AddRun& run) { return run.preempted; }),
            sum([](const AddRun& run) { return run.faulted; }),
            middle_of(result.runs, [](const AddRun& run) { return run.others; }),
            sum([](const AddRun& run) { return static_cast<int64_t>(run.call_seconds.size()); }),
            result.reelstore
                ? fmt::format("{:.2f} s", spread_of(result.runs, [](const AddRun& run) { return run.most_lag; }).most)
                : "-");
    }
    return text;
}

std::string memory_text(const std::vector<MemoryResult>& results) {
    std::string text =
        "\n## Memory\n\n64x48 gray as fast as it goes, a commit every second, a new chunk every 1,000 frames, buffers "
        "of 8 MiB; resident set without mapped files in MB, the most in each part of the frames.\n\n"
        "| format | frames | frames/s | before | first 1 % | 1-10 % | 10-20 % | 20-50 % | 50-90 % | 90-100 % | "
        "growth | growth of what is allocated | others' processors "
        "|\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for (const MemoryResult& result : results) {
        text += fmt::format("| {} | {} | {:.0f} | {:.1f} |", result.name, result.run.frames, result.run.rate(),
                            result.before.resident);
        const std::vector<double> bounds = {0, 0.01, 0.1, 0.2, 0.5, 0.9, 1};
        for (size_t i = 1; i < bounds.size(); ++i) {
            text += fmt::format(" {:.1f} |", result.most_between(bounds[i - 1], bounds[i]));
        }
        text += fmt::format(" {:+.1f} | {:+.1f} | {:.2f} |\n", result.growth(), result.growth(&MemorySample::heap),
                            result.run.others);
    }
    return text;
}

std::string disk_text(const DiskResult& disk) {
    return fmt::format(
        "\n## The disk\n\nOne file in pieces of 1.3 MB: {:.0f} MB/s by write() alone, {:.0f} MB/s with fdatasync() at "
        "the end. 4 KiB appended and synced: {:.2f} ms (the median), {:.1f} ms (the longest of 200).\n",
        disk.written_mb_per_second, disk.synced_mb_per_second, disk.append_and_sync_ms,
        disk.largest_append_and_sync_ms);
}

Json stats_json(const std::optional<WriterStats>& stats) {
    if (!stats) return nullptr;
    return {{"frames_added", stats->frames_added},
            {"frames_committed", stats->frames_committed},
            {"frames_dropped", stats->frames_dropped},
            {"queue_high_water", stats->queue_high_water},
            {"faults", stats->faults},
            {"commits", stats->commits},
            {"chunks_completed", stats->chunks_completed},
            {"encode_seconds", stats->encode_seconds},
            {"sync_seconds", stats->sync_seconds},
            {"commit_seconds", stats->commit_seconds}};
}

Json run_json(const Run& run) {
    return {{"frames", run.frames},
            {"seconds", run.seconds},
            {"cpu_seconds", run.cpu_seconds},
            {"others_processors", run.others},
            {"bytes", run.bytes},
            {"stats", stats_json(run.stats)}};
}

Json add_json(const AddResult& result) {
    Json runs = Json::array();
    for (const AddRun& run : result.runs) {
        runs.push_back({{"calls", run.call_seconds.size()},
                        {"median_ms", run.milliseconds(0.5)},
                        {"p99_ms", run.milliseconds(0.99)},
                        {"p99_9_ms", run.milliseconds(0.999)},
                        {"longest_ms", run.milliseconds(1)},
                        {"long_calls", run.long_calls()},
                        {"long_calls_waited", run.waited},
                        {"long_calls_preempted", run.preempted},
                        {"long_calls_faulted", run.faulted},
                        {"others_processors", run.others},
                        {"longest_durable_lag_seconds", run.most_lag},
                        {"stats", stats_json(run.stats)}});
    }
    return {{"way", result.name}, {"runs", std::move(runs)}};
}

void check_counters(const std::string& what, const std::optional<WriterStats>& stats, int64_t frames,
                    int64_t chunk_frames, int64_t least_commits, std::vector<std::string>& wrong) {
    if (!stats) return;
    const auto check = [&](const char* name, int64_t seen, bool right) {
        if (!right) wrong.push_back(fmt::format("{}: {} is {} after {} frames", what, name, seen, frames));
    };
    check("frames_added", stats->frames_added, stats->frames_added == frames);
    check("frames_committed", stats->frames_committed, stats->frames_committed == frames);
    check("frames_dropped", stats->frames_dropped, stats->frames_dropped == 0);
    check("faults", stats->faults, stats->faults == 0);
    const int64_t chunks = (frames + chunk_frames - 1) / chunk_frames;
    check("chunks_completed", stats->chunks_completed, stats->chunks_completed == chunks);
    check("commits", stats->commits, stats->commits >= std::max(least_commits, chunks));
}

}  // namespace

std::string markdown_report(const RecordingReport& report) {
    std::string text = fmt::format(
        "# What durability costs: results\n\n{}{} with {} processors, load {:.1f} before and {:.1f} after; stores on "
        "{}. {}. Medians of the repetitions, in which the recorders take turns; ratios are medians of the "
        "repetitions' own. How it is done: [README.md](README.md).\n",
        report.quick ? "**A quick run: it checks counters, its times mean nothing.** " : "", report.processor,
        report.processors, report.load_before, report.load_after, report.file_system, fmt::join(report.versions, ", "));
    if (!report.quick) text += targets_text(report);
    if (report.disk) text += disk_text(*report.disk);
    if (!report.throughput.empty()) text += throughput_text(report.throughput);
    if (!report.add.empty()) text += add_text(report.add);
    if (!report.memory.empty()) text += memory_text(report.memory);
    return text;
}

Json json_report(const RecordingReport& report) {
    Json json = {{"processor", report.processor},
                 {"processors", report.processors},
                 {"load_before", report.load_before},
                 {"load_after", report.load_after},
                 {"file_system", report.file_system},
                 {"versions", report.versions},
                 {"quick", report.quick},
                 {"targets", Json::array()},
                 {"recording", Json::array()},
                 {"add", Json::array()},
                 {"memory", Json::array()}};
    for (const Target& target : report.quick ? std::vector<Target>() : targets_of(report)) {
        json["targets"].push_back(
            {{"what", target.what}, {"target", target.aim}, {"seen", target.seen}, {"reached", target.reached}});
    }
    if (report.disk) {
        json["disk"] = {{"written_mb_per_second", report.disk->written_mb_per_second},
                        {"synced_mb_per_second", report.disk->synced_mb_per_second},
                        {"append_and_sync_ms", report.disk->append_and_sync_ms},
                        {"largest_append_and_sync_ms", report.disk->largest_append_and_sync_ms}};
    }
    for (const ThroughputResult& result : report.throughput) {
        Json recorders = Json::array();
        for (const RecorderRuns& recorder : result.recorders) {
            Json runs = Json::array();
            for (const Run& run : recorder.runs) runs.push_back(run_json(run));
            recorders.push_back({{"commits", recorder.name},
                                 {"times_off", recorder.speed_against(result.find(kOff))},
                                 {"runs", std::move(runs)}});
        }
        json["recording"].push_back(
            {{"clip", result.clip}, {"format", result.coding.name}, {"recorders", std::move(recorders)}});
    }
    for (const AddResult& result : report.add) json["add"].push_back(add_json(result));
    for (const MemoryResult& result : report.memory) {
        Json samples = Json::array();
        for (const MemorySample& sample : result.samples)
            samples.push_back({sample.frames, sample.resident, sample.heap});
        json["memory"].push_back({{"format", result.name},
                                  {"chunk_frames", result.chunk_frames},
                                  {"resident_before_mb", result.before.resident},
                                  {"frames_resident_mb_heap_mb", std::move(samples)},
                                  {"growth_mb", result.growth()},
                                  {"heap_growth_mb", result.growth(&MemorySample::heap)},
                                  {"run", run_json(result.run)}});
    }
    return json;
}

std::vector<std::string> wrong_counters(const RecordingReport& report, const AddScale& add) {
    std::vector<std::string> wrong;
    for (const ThroughputResult& result : report.throughput) {
        const ChunkFormatInfo& format = find_chunk_format(result.coding.format)->info();
        for (const RecorderRuns& recorder : result.recorders) {
            for (const Run& run : recorder.runs) {
                // A video encoder holds frames back, so that not every frame makes a commit.
                const bool each = recorder.name == kEveryFrame && !format.video;
                check_counters(fmt::format("{}, {}, commits {}", result.clip, result.coding.name, recorder.name),
                               run.stats, run.frames, format.default_chunk_frames, each ? run.frames : 1, wrong);
            }
        }
    }
    for (const AddResult& result : report.add) {
        for (const AddRun& run : result.runs) {
            check_counters(result.name, run.stats, static_cast<int64_t>(run.call_seconds.size()), add.chunk_frames, 1,
                           wrong);
        }
    }
    for (const MemoryResult& result : report.memory)
        check_counters(result.name, result.run.stats, result.run.frames, result.chunk_frames, 1, wrong);
    return wrong;
}

}  // namespace reelstore::bench
