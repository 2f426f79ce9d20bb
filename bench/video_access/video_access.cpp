// Measures access to video, reelstore and its peers in turn on the same frames: see bench/README.md.
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/error.h"
#include "bench/footage.h"
#include "bench/output.h"
#include "bench/program.h"
#include "bench/stopwatch.h"
#include "bench/video_access/clip.h"
#include "bench/video_access/contender.h"
#include "bench/video_access/report.h"
#include "bench/video_access/workload.h"

namespace reelstore::bench {

namespace {

struct Options : ProgramOptions {
    int repetitions = 0;
    std::string video = kSampleVideo;
};

std::vector<ImageType> image_types(bool quick) {
    if (quick) return {{.height = 256, .width = 320}, {.height = 240, .width = 320, .channels = 3}};
    return {{.height = 1024, .width = 1280}, {.height = 480, .width = 640, .channels = 3}};
}

ClipResult measure(const Workload& workload, const Clip& clip, int repetitions) {
    const std::vector<Entry> entries = workload.entries(clip);
    ClipResult result{.clip = clip.name, .entries = {}};
    for (const Entry& entry : entries) {
        result.entries.push_back({.name = entry.name, .threads = entry.threads, .passes = {}});
    }
    for (int repetition = 0; repetition < repetitions; ++repetition) {
        std::mt19937 random(static_cast<unsigned>(repetition) + 1);
        const std::vector<int64_t> requests = workload.requests(clip, random);
        for (size_t i = 0; i < entries.size(); ++i) {
            const auto contender = entries[i].make(clip);
            const std::span<const int64_t> asked(requests.data(), std::min(requests.size(), entries[i].most_requests));
            result.entries[i].passes.push_back(contender->run(asked));
        }
    }
    return result;
}

std::vector<WorkloadResult> measure_all(const Options& options, const Scale& scale) {
    const TemporaryFolder folder;
    ClipFactory clips(folder.path(), options.video);
    std::vector<WorkloadResult> results;
    const Stopwatch watch;
    for (const Workload& workload : workloads(scale)) {
        if (workload.name.find(options.only) == std::string::npos) continue;
        WorkloadResult result{.workload = workload, .clips = {}};
        for (const ImageType& type : image_types(scale.quick)) {
            for (const Content content : {Content::synthetic, Content::real}) {
                const Clip& clip = clips.make(content, type, workload.coding);
                fmt::print(stderr, "{:4.0f} s  {}: {}\n", watch.seconds(), workload.name, clip.name);
                result.clips.push_back(measure(workload, clip, scale.repetitions));
            }
        }
        results.push_back(std::move(result));
    }
    fmt::print(stderr, "{:4.0f} s  done\n", watch.seconds());
    return results;
}

int64_t wrong_frames_of_reelstore(const std::vector<WorkloadResult>& results) {
    int64_t wrong = 0;
    for (const WorkloadResult& result : results) {
        for (const ClipResult& clip : result.clips) {
            for (const EntryResult& entry : clip.entries) {
                if (entry.name.starts_with("reelstore")) wrong += *entry.wrong_frames();
            }
        }
    }
    return wrong;
}

Findings run(const Options& options) {
    const Scale scale = {.quick = options.quick,
                         .repetitions = options.repetitions > 0 ? options.repetitions : (options.quick ? 2 : 5)};
    const Circumstances circumstances = find_circumstances(scale);
    const std::vector<WorkloadResult> results = measure_all(options, scale);
    Findings findings = {markdown_report(results, circumstances), json_report(results, circumstances).dump(2) + "\n"};
    const int64_t wrong = wrong_frames_of_reelstore(results);
    if (wrong > 0) findings.wrong.push_back(fmt::format("reelstore gave {} wrong frames", wrong));
    return findings;
}

}  // namespace

}  // namespace reelstore::bench

int main(int argc, char** argv) {
    reelstore::bench::Options options;
    const auto add_options = [&](CLI::App& app) {
        app.add_option("--repetitions", options.repetitions, "instead of 5, or 2 with --quick");
        app.add_option("--video", options.video, "the real footage")->capture_default_str();
    };
    return reelstore::bench::run_program(
        {.name = "video_access",
         .about = "Measures access to video: reelstore, OpenCV, FFMS2, PyAV, ffmpeg and the limit, in turn.",
         .quick = "small and short: checks the pixels, measures nothing",
         .only = "only workloads whose name contains this"},
        options, add_options, [&] { return reelstore::bench::run(options); }, argc, argv);
}
