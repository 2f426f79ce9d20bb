// Measures what durability costs a recording, reelstore and its peers in turn on the same frames: see bench/README.md.
#include <sys/vfs.h>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <linux/magic.h>
#include <CLI/CLI.hpp>
#include <opencv2/core/utility.hpp>

#include "base/error.h"
#include "bench/footage.h"
#include "bench/machine.h"
#include "bench/output.h"
#include "bench/recording/report.h"
#include "bench/stopwatch.h"

namespace reelstore::bench {

namespace {

struct Options {
    bool quick = false;
    int repetitions = 0;
    double seconds = 4;
    std::string out;
    std::string only;
    std::string format;
    std::string folder = std::filesystem::temp_directory_path().string();
    std::string video = kSampleVideo;
};

std::string file_system_name(const std::string& folder) {
    struct statfs status = {};
    if (::statfs(folder.c_str(), &status) != 0) return "an unknown file system";
    switch (static_cast<unsigned long>(status.f_type)) {
        case EXT4_SUPER_MAGIC:
            return "ext4";
        case XFS_SUPER_MAGIC:
            return "xfs";
        case BTRFS_SUPER_MAGIC:
            return "btrfs";
        case TMPFS_MAGIC:
            return "tmpfs, **where a sync does nothing** (--folder chooses a disk)";
        case OVERLAYFS_SUPER_MAGIC:
            return "overlayfs";
        default:
            return fmt::format("a file system of type {:#x}", static_cast<unsigned long>(status.f_type));
    }
}

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

int run(Options options) {
    if (options.repetitions <= 0) options.repetitions = options.quick ? 1 : 5;
    const AddScale add_scale = {.repetitions = options.quick ? 1 : std::min(options.repetitions, 3),
                                .frames = options.quick ? 30 : 3000,
                                .chunk_frames = options.quick ? 10 : 300};
    const RecordingReport report = measure_all(options, add_scale);
    const std::string text = markdown_report(report);
    fmt::print("{}", text);
    if (!options.out.empty()) {
        const std::filesystem::path out = options.out;
        std::filesystem::create_directories(out);
        write_text(out / "recording.md", text);
        write_text(out / "recording.json", json_report(report).dump(2) + "\n");
    }
    const std::vector<std::string> wrong = wrong_counters(report, add_scale);
    for (const std::string& line : wrong) fmt::print(stderr, "{}\n", line);
    return wrong.empty() ? 0 : 1;
}

}  // namespace

}  // namespace reelstore::bench

int main(int argc, char** argv) {
    reelstore::bench::Options options;
    CLI::App app(
        "Measures what durability costs a recording: reelstore with different commit intervals, OpenCV, write().");
    app.add_flag("--quick", options.quick, "small and short: checks counters, measures nothing");
    app.add_option("--out", options.out, "folder for recording.md and recording.json");
    app.add_option("--only", options.only, "only the parts whose name contains this: memory, add, recording");
    app.add_option("--format", options.format, "only what has this in its name: npy, OpenCV");
    app.add_option("--repetitions", options.repetitions, "instead of 5 (of add at most 3), or 1 with --quick");
    app.add_option("--seconds", options.seconds, "about how long one recording takes")->capture_default_str();
    app.add_option("--folder", options.folder, "on the disk to be measured")->capture_default_str();
    app.add_option("--video", options.video, "the real footage")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        return reelstore::bench::run(options);
    } catch (const std::exception& error) {
        fmt::print(stderr, "recording: {}\n", error.what());
        return 1;
    }
}
