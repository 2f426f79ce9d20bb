// Measures filters, alone and in chains, beside OpenCV, Python and FFmpeg: see bench/README.md.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <opencv2/core/utility.hpp>

#include "bench/command.h"
#include "bench/filters/parts.h"
#include "bench/filters/report.h"
#include "bench/machine.h"
#include "bench/output.h"
#include "bench/program.h"
#include "bench/stopwatch.h"

namespace reelstore::bench {

namespace {

struct Options : ProgramOptions {
    int repetitions = 0;
    std::string part;
    std::string folder = std::filesystem::temp_directory_path().string();
};

std::string first_line(const std::vector<std::string>& command) {
    const std::string text = run_command(command);
    return text.substr(0, text.find('\n'));
}

Findings run(const Options& options) {
    const Scale scale = {options.quick, options.repetitions > 0 ? options.repetitions : (options.quick ? 1 : 5)};
    Report report;
    report.circumstances = {
        .processor = processor_name(),
        .cores = processor_count(),
        .load_before = load_average(),
        .versions = {"OpenCV " + cv::getVersionString(),
                     first_line({REELSTORE_BENCH_PYTHON, "-c",
                                 "import platform, numpy, cv2\n"
                                 "print('numpy', numpy.__version__ + ', cv2', cv2.__version__, 'in Python', "
                                 "platform.python_version())"}),
                     first_line({"ffmpeg", "-version"})},
        .repetitions = scale.repetitions,
        .quick = options.quick};
    const ProcessorTimes before = processor_times();
    const Stopwatch watch;
    const TemporaryFolder folder(options.folder);
    const auto measure = [&](const char* name, const auto& part) {
        if (!options.part.empty() && options.part != name) return;
        fmt::print(stderr, "{:4.0f} s  {}\n", watch.seconds(), name);
        report.parts.push_back(part());
    };
    measure("single", [&] { return measure_single_filters(scale, options.only); });
    measure("chains", [&] { return measure_chains(scale, options.only, folder.path()); });
    measure("mosaics", [&] { return measure_mosaics(scale, options.only, folder.path()); });
    measure("long", [&] { return measure_long_conversion(scale, options.only, folder.path()); });
    report.circumstances.load_after = load_average();
    report.circumstances.others = (processor_times().busy - before.busy - watch.cpu_seconds()) / watch.seconds();
    return {markdown_report(report), json_report(report).dump(2) + "\n", wrong_findings(report)};
}

}  // namespace

}  // namespace reelstore::bench

int main(int argc, char** argv) {
    reelstore::bench::Options options;
    const auto add_options = [&](CLI::App& app) {
        app.add_option("--part", options.part, "only single, chains, mosaics or long")
            ->check(CLI::IsMember({"single", "chains", "mosaics", "long"}));
        app.add_option("--repetitions", options.repetitions, "instead of 5, or 1 with --quick");
        app.add_option("--folder", options.folder, "where recordings are made, some 2 GB")->capture_default_str();
    };
    return reelstore::bench::run_program(
        {.name = "filters",
         .about = "Measures filters: alone beside OpenCV's calls, chains of them beside Python, mosaics beside FFmpeg, "
                  "and the conversion of a long recording.",
         .quick = "small and short: checks pixels and counters, measures nothing",
         .only = "only works whose name contains this: clahe, float32, npy, ..."},
        options, add_options, [&] { return reelstore::bench::run(options); }, argc, argv);
}
