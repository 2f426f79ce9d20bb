// Measures how fast files of other programs are read, reelstore and its peers in turn: see bench/README.md.
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <opencv2/core/utility.hpp>

#include "bench/command.h"
#include "bench/files/report.h"
#include "bench/machine.h"
#include "bench/output.h"
#include "bench/program.h"
#include "bench/stopwatch.h"

namespace reelstore::bench {

namespace {

struct Options : ProgramOptions {
    int repetitions = 0;
    std::string folder = std::filesystem::temp_directory_path().string();
};

std::string python_versions() {
    std::string text = run_command({REELSTORE_BENCH_PYTHON, "-c",
                                    "import platform, h5py, PIL, scipy, tifffile\n"
                                    "print('tifffile', tifffile.__version__ + ', PIL', PIL.__version__ + ', scipy', "
                                    "scipy.__version__ + ', h5py', h5py.__version__, 'in Python', "
                                    "platform.python_version())"});
    text.erase(text.find_last_not_of('\n') + 1);
    return text;
}

Findings run(const Options& options) {
    Report report;
    const int repetitions = options.repetitions > 0 ? options.repetitions : (options.quick ? 1 : 5);
    report.circumstances = {.processor = processor_name(),
                            .cores = processor_count(),
                            .load_before = load_average(),
                            .versions = {"OpenCV " + cv::getVersionString(), python_versions()},
                            .repetitions = repetitions,
                            .quick = options.quick};
    const ProcessorTimes before = processor_times();
    const Stopwatch watch;
    const TemporaryFolder folder(options.folder);
    const int width = options.quick ? 320 : 1280;
    const int height = options.quick ? 256 : 1024;
    const TestFiles files(width, height, options.quick ? 6 : 48, folder.path());
    for (const FileCase& file : files.cases()) {
        if (file.name.find(options.only) == std::string::npos) continue;
        fmt::print(stderr, "{:4.0f} s  {}\n", watch.seconds(), file.name);
        report.cases.push_back(measure_case(file, files.array(), repetitions));
    }
    report.circumstances.load_after = load_average();
    report.circumstances.others = (processor_times().busy - before.busy - watch.cpu_seconds()) / watch.seconds();
    return {markdown_report(report), json_report(report).dump(2) + "\n", wrong_pixels(report)};
}

}  // namespace

}  // namespace reelstore::bench

int main(int argc, char** argv) {
    reelstore::bench::Options options;
    const auto add_options = [&](CLI::App& app) {
        app.add_option("--repetitions", options.repetitions, "instead of 5, or 1 with --quick");
        app.add_option("--folder", options.folder, "where the files are made, some 600 MB")->capture_default_str();
    };
    return reelstore::bench::run_program(
        {.name = "files",
         .about = "Measures how fast files of other programs are read: reelstore, OpenCV, tifffile, PIL, scipy, h5py.",
         .quick = "small and short: checks the pixels, measures nothing",
         .only = "only the files whose name contains this: npy, tiff, gif, mat, NorPix, ..."},
        options, add_options, [&] { return reelstore::bench::run(options); }, argc, argv);
}
