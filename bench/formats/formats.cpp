// Measures the chunk formats, reelstore's and its peers' coders in turn on the same images: see bench/README.md.
#include <blosc.h>
#include <zstd.h>

#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <opencv2/core/utility.hpp>

#include "bench/command.h"
#include "bench/footage.h"
#include "bench/formats/report.h"
#include "bench/machine.h"
#include "bench/output.h"
#include "bench/program.h"
#include "bench/stopwatch.h"
#include "codecs/video/libav.h"

namespace reelstore::bench {

namespace {

struct Options : ProgramOptions {
    int repetitions = 0;
    std::string folder = std::filesystem::temp_directory_path().string();
    std::string video = kSampleVideo;
};

Scale scale_of(const Options& options) {
    Scale scale;
    if (options.quick) {
        scale = {.quick = true,
                 .repetitions = 1,
                 .coded_images = 4,
                 .slow_images = 2,
                 .slow_requests = 3,
                 .view_rounds = 2,
                 .recorded_frames = 20,
                 .format_images = 6,
                 .format_repetitions = 1};
    }
    if (options.repetitions > 0) scale.repetitions = options.repetitions;
    return scale;
}

std::string python_versions() {
    std::string text = run_command({REELSTORE_BENCH_PYTHON, "-c",
                                    "import platform, av, h5py, numcodecs, zarr\n"
                                    "print('h5py', h5py.__version__ + ', zarr', zarr.__version__ + ', numcodecs', "
                                    "numcodecs.__version__ + ', PyAV', "
                                    "av.__version__, 'in Python', platform.python_version())"});
    text.erase(text.find_last_not_of('\n') + 1);
    return text;
}

Report measure_all(const Options& options, const Scale& scale) {
    Report report;
    report.circumstances = {.processor = processor_name(),
                            .cores = processor_count(),
                            .load_before = load_average(),
                            .file_system = file_system_name(options.folder),
                            .versions = {std::string("FFmpeg ") + av_version_info(), "OpenCV " + cv::getVersionString(),
                                         std::string("zstd ") + ZSTD_versionString(),
                                         std::string("blosc ") + blosc_get_version_string(), python_versions()},
                            .repetitions = scale.repetitions,
                            .quick = scale.quick};
    const ProcessorTimes before = processor_times();
    const Stopwatch watch;
    const auto wanted = [&](const std::string& part) { return part.find(options.only) != std::string::npos; };
    const auto say = [&](const std::string& what) { fmt::print(stderr, "{:4.0f} s  {}\n", watch.seconds(), what); };

    const std::vector<Clip> clips =
        scale.quick ? make_clips(320, 256, 8, options.video) : make_clips(1280, 1024, 48, options.video);
    for (const Clip& clip : clips) {
        if (wanted("coding")) {
            say("coding: " + clip.name);
            report.coding.push_back(measure_coding(clip, scale));
        }
        if (wanted("reading")) {
            say("reading: " + clip.name);
            const TemporaryFolder folder(options.folder);
            report.reading.push_back(measure_reading(clip, scale, folder.path()));
        }
        if (wanted("recording") && &clip == &clips.front()) {
            say("recording: " + clip.name);
            const TemporaryFolder folder(options.folder);
            report.recording.push_back(measure_recording(clip, scale, folder.path()));
        }
        if (wanted("formats")) {
            say("formats: " + clip.name);
            const TemporaryFolder folder(options.folder);
            report.formats.push_back(measure_formats(clip, scale, folder.path()));
        }
    }
    say("done");
    report.circumstances.load_after = load_average();
    report.circumstances.others = (processor_times().busy - before.busy - watch.cpu_seconds()) / watch.seconds();
    return report;
}

Findings run(const Options& options) {
    capture_libav_log();
    const Report report = measure_all(options, scale_of(options));
    return {markdown_report(report), json_report(report).dump(2) + "\n", wrong_pixels(report)};
}

}  // namespace

}  // namespace reelstore::bench

int main(int argc, char** argv) {
    reelstore::bench::Options options;
    const auto add_options = [&](CLI::App& app) {
        app.add_option("--repetitions", options.repetitions, "instead of 5, or 1 with --quick");
        app.add_option("--folder", options.folder, "on the disk to be measured")->capture_default_str();
        app.add_option("--video", options.video, "the real footage")->capture_default_str();
    };
    return reelstore::bench::run_program(
        {.name = "formats",
         .about = "Measures the chunk formats: reelstore's, FFV1, blosc, zstd, png, HDF5, zarr, dd, in turn.",
         .quick = "small and short: checks the pixels, measures nothing",
         .only = "only the parts whose name contains this: coding, reading, recording, formats"},
        options, add_options, [&] { return reelstore::bench::run(options); }, argc, argv);
}
