// Measures the index of a store of many frames, beside imgstore's scheme: see bench/README.md.
#include <sqlite3.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/error.h"
#include "bench/index/experiments.h"
#include "bench/index/report.h"
#include "bench/machine.h"
#include "bench/output.h"
#include "bench/program.h"
#include "bench/stopwatch.h"

namespace reelstore::bench {

namespace {

constexpr int64_t kChunkFrames = 10000;

struct Options : ProgramOptions {
    std::string keep;
    std::string folder = std::filesystem::temp_directory_path().string();
    std::vector<int64_t> frames;
    std::vector<int64_t> chunks;
};

/// The stores that are compared, the smallest first.
std::vector<FramePlan> plans_of(const Options& options) {
    std::vector<FramePlan> plans;
    if (options.quick) plans.emplace_back(3000, 10);
    if (!options.quick) plans.emplace_back(100000, 10);
    std::vector<int64_t> frames = options.frames;
    if (frames.empty()) frames.push_back(options.quick ? 40000 : 10000000);
    for (size_t i = 0; i < frames.size(); ++i) {
        const int64_t least_chunks = options.quick ? 100 : 1;
        plans.emplace_back(frames[i], i < options.chunks.size()
                                          ? options.chunks[i]
                                          : std::max(least_chunks, (frames[i] + kChunkFrames - 1) / kChunkFrames));
    }
    return plans;
}

Json measure_all(const Options& options, const std::filesystem::path& folder) {
    Scale scale;
    if (options.quick) {
        scale = {.lookups = 300,
                 .openings = 3,
                 .first_lookups = 3,
                 .brute_frames = 2000,
                 .brute_lookups = 150,
                 .course_frames = 20000,
                 .peer_frames = 20000,
                 .peer_openings = 2,
                 .peer_lookups = 20};
    }
    Json report = {{"machine",
                    {{"processor", processor_name()},
                     {"processors", processor_count()},
                     {"sqlite", sqlite3_libversion()},
                     {"load_before", load_average()}}},
                   {"quick", options.quick}};
    const std::vector<FramePlan> plans = plans_of(options);
    const Stopwatch watch;
    const auto wanted = [&](const std::string& part) {
        const bool is = part.find(options.only) != std::string::npos;
        if (is) fmt::print(stderr, "{:4.0f} s  {}\n", watch.seconds(), part);
        return is;
    };
    if (wanted("stores")) {
        report["stores"] = Json::array();
        for (const FramePlan& plan : plans) report["stores"].push_back(measure_store(make_store(plan, folder), scale));
    }
    if (wanted("peer")) report["peer"] = measure_peer(folder, scale);
    if (wanted("sidecars")) report["sidecars"] = measure_sidecars(make_store(plans[1], folder), folder, scale);
    if (wanted("schema")) report["schema"] = measure_schema(folder, scale);
    if (wanted("courses")) report["courses"] = measure_courses(folder, scale);
    report["machine"]["load_after"] = load_average();
    add_targets(report);
    return report;
}

Findings run(const Options& options) {
    std::optional<TemporaryFolder> temporary;
    std::filesystem::path folder = options.keep;
    if (options.keep.empty()) {
        temporary.emplace(options.folder);
        folder = temporary->path();
    }
    std::filesystem::create_directories(folder);
    const Json report = measure_all(options, folder);
    return {markdown_report(report), report.dump(2) + "\n", wrong_results(report)};
}

}  // namespace

}  // namespace reelstore::bench

int main(int argc, char** argv) {
    reelstore::bench::Options options;
    const auto add_options = [&](CLI::App& app) {
        app.add_option("--frames", options.frames, "sizes that are compared with the small store, instead of 10000000")
            ->delimiter(',')
            ->check(CLI::PositiveNumber);
        app.add_option("--chunks", options.chunks, "how many chunks each size has, instead of one per 10,000 frames")
            ->delimiter(',')
            ->check(CLI::PositiveNumber);
        app.add_option("--keep", options.keep, "makes the stores in this folder, or takes those that are there");
        app.add_option("--folder", options.folder, "on the disk to be measured")->capture_default_str();
    };
    return reelstore::bench::run_program(
        {.name = "index",
         .about = "Measures the index of stores of many frames (made without pictures), beside imgstore's scheme.",
         .quick = "few frames: checks answers and counters, measures nothing",
         .only = "only the parts whose name contains this: stores, peer, sidecars, schema, courses"},
        options, add_options, [&] { return reelstore::bench::run(options); }, argc, argv);
}
