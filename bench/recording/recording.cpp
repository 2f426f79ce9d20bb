// Measures what durability costs a recording, reelstore and its peers in turn on the same frames: see bench/README.md.
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <opencv2/core/utility.hpp>

#include "base/error.h"
#include "bench/footage.h"
#include "bench/machine.h"
#include "bench/output.h"
#include "bench/program.h"
#include "bench/recording/report.h"
#include "bench/stopwatch.h"

namespace reelstore::bench {

namespace {

struct Options : ProgramOptions {
    int repetitions = 0;
    double seconds = 4;
    std::string format;
    std::string folder = std::filesystem::temp_directory_path().string();
    std::string video = kSampleVideo;
};

std::vector<Clip> clips(const Options& options) {
    const int images = options.quick ? 8 : 64;
    const std::vector<ImageType> types =
        options.quick
            ? std::vector<ImageType>{{.height = 256, .width = 320}, {.height = 240, .width = 320, .channels = 3}}
            : std::vector<ImageType>{{.height = 1024, .width = 1280}, {.height = 480, .width = 640, .channels = 3}};
    std::vector<Clip> all;
    for (const ImageType& type : types) {
        all.push_back(synthetic_clip(type, images));
        if (!options.quick) all.push_back(real_clip(type, images, options.video));
    }
    return all;
}

RecordingReport measure_all(const Options& options, const AddScale& add_scale) {
    RecordingReport report = {.processor = processor_name(),
                              .processors = processor_count(),
                              .load_before = load_average(),
                              .file_system = file_system_name(options.folder),
                              .versions = {"OpenCV " + cv::getVersionString()},
                              .quick = options.quick};
    const TemporaryFolder folder(options.folder);
    const Stopwatch watch;
    const auto wanted = [&](const std::string& part) { return part.find(options.only) != std::string::npos; };
    const auto say = [&](const std::string& what) { fmt::print(stderr, "{:4.0f} s  {}\n", watch.seconds(), what); };

    // First, while nothing else has left anything in memory.
    if (wanted("memory")) {
        say("memory");
        const MemoryScale scale =
            options.quick ? MemoryScale{.video_frames = 1500, .image_frames = 300, .chunk_frames = 120} : MemoryScale{};
        report.memory = measure_memory(scale, options.format, folder.path());
    }
    if (wanted("add")) {
        say("add");
        report.add = measure_add(synthetic_clip({.height = 1024, .width = 1280}, options.quick ? 8 : 64), add_scale,
                                 options.format, folder.path());
    }
    if (wanted("recording")) {
        report.disk = measure_disk(folder.path(), options.quick ? 20 : 1500);
        const ThroughputScale scale = {.repetitions = options.repetitions,
                                       .seconds = options.seconds,
                                       .most_frames = options.quick ? 16 : ThroughputScale().most_frames};
        for (const Clip& clip : clips(options)) {
            for (const Coding& coding : codings()) {
                if (coding.name.find(options.format) == std::string::npos) continue;
                say(fmt::format("recording {}: {}", clip.name, coding.name));
                report.throughput.push_back(measure_throughput(clip, coding, scale, folder.path()));
            }
        }
    }
    say("done");
    report.load_after = load_average();
    return report;
}

Findings run(Options options) {
    if (options.repetitions <= 0) options.repetitions = options.quick ? 1 : 5;
    const AddScale add_scale = {.repetitions = options.quick ? 1 : std::min(options.repetitions, 3),
                                .frames = options.quick ? 30 : 3000,
                                .chunk_frames = options.quick ? 10 : 300};
    const RecordingReport report = measure_all(options, add_scale);
    return {markdown_report(report), json_report(report).dump(2) + "\n", wrong_counters(report, add_scale)};
}

}  // namespace

}  // namespace reelstore::bench

int main(int argc, char** argv) {
    reelstore::bench::Options options;
    const auto add_options = [&](CLI::App& app) {
        app.add_option("--format", options.format, "only what has this in its name: npy, OpenCV");
        app.add_option("--repetitions", options.repetitions, "instead of 5 (of add at most 3), or 1 with --quick");
        app.add_option("--seconds", options.seconds, "about how long one recording takes")->capture_default_str();
        app.add_option("--folder", options.folder, "on the disk to be measured")->capture_default_str();
        app.add_option("--video", options.video, "the real footage")->capture_default_str();
    };
    return reelstore::bench::run_program(
        {.name = "recording",
         .about =
             "Measures what durability costs a recording: reelstore with different commit intervals, OpenCV, write().",
         .quick = "small and short: checks counters, measures nothing",
         .only = "only the parts whose name contains this: memory, add, recording"},
        options, add_options, [&] { return reelstore::bench::run(options); }, argc, argv);
}
