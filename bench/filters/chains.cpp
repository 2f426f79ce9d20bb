#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/json.h"
#include "base/pipeline.h"
#include "bench/command.h"
#include "bench/filters/parts.h"
#include "bench/filters/recordings.h"
#include "codecs/file_format.h"
#include "filters/filter_table.h"
#include "filters/filtered_source.h"

namespace reelstore::bench {

namespace fs = std::filesystem;

namespace {

constexpr char kProgram[] = "store extract";
constexpr char kPipeline[] = "run_pipeline()";
constexpr char kOneThread[] = "one thread";
constexpr char kPython[] = "Python";
constexpr char kPythonOneThread[] = "Python, one thread";
constexpr double kClip = 8;
constexpr int kTiles = 5;
/// Rows at the top where the text stands, which is not compared.
constexpr int kTextRows = 48;

struct Chain {
    std::string name;
    fs::path input;
    int64_t frames = 0;
    ImageType type;
    cv::Rect crop;
    cv::Size size;
    double tolerance = 0;  ///< by which Python's pixels may differ: its decoder converts colours its own way

    std::string filters() const {
        return fmt::format("crop={}:{}:{}:{},clahe={}:{},resize={}:{},text='{{number}}'", crop.x, crop.y, crop.width,
                           crop.height, kClip, kTiles, size.width, size.height);
    }
};

/// What all of it must give, without the text, from the frames as reelstore reads them.
std::vector<cv::Mat> expected_images(const Chain& chain) {
    std::vector<cv::Mat> images;
    const auto clahe = cv::createCLAHE(kClip, cv::Size(kTiles, kTiles));
    const auto source = open_file_source(chain.input);
    while (const auto frame = source->next()) {
        cv::Mat image = frame->image(chain.crop).clone();
        if (image.channels() == 1) {
            clahe->apply(image, image);
        } else {
            cv::Mat lab;
            cv::Mat lightness;
            cv::cvtColor(image, lab, cv::COLOR_BGR2Lab);
            cv::extractChannel(lab, lightness, 0);
            clahe->apply(lightness, lightness);
            cv::insertChannel(lightness, lab, 0);
            cv::cvtColor(lab, image, cv::COLOR_Lab2BGR);
        }
        cv::Mat resized;
        cv::resize(image, resized, chain.size, 0, 0, cv::INTER_AREA);
        images.push_back(resized);
    }
    return images;
}

/// How many of the images in a file differ, or are missing, or too many.
int64_t wrong_images(const fs::path& path, const std::vector<cv::Mat>& expected, double tolerance) {
    const auto source = open_file_source(path);
    int64_t wrong = 0;
    size_t count = 0;
    while (const auto frame = source->next()) {
        const size_t index = count++;
        if (index >= expected.size() || frame->image.size() != expected[index].size() ||
            frame->image.type() != expected[index].type()) {
            ++wrong;
            continue;
        }
        const cv::Range rows(kTextRows, frame->image.rows);
        const double values = static_cast<double>(frame->image.rowRange(rows).total()) * frame->image.channels();
        const double difference =
            cv::norm(frame->image.rowRange(rows), expected[index].rowRange(rows), cv::NORM_L1) / values;
        wrong += difference > tolerance;
    }
    return wrong + std::max<int64_t>(0, static_cast<int64_t>(expected.size()) - static_cast<int64_t>(count));
}

Pass run_python(const Chain& chain, const fs::path& output, int threads) {
    const Json request = {{"input", chain.input.string()},
                          {"output", output.string()},
                          {"frames", chain.frames},
                          {"threads", threads},
                          {"crop", {chain.crop.x, chain.crop.y, chain.crop.width, chain.crop.height}},
                          {"clip", kClip},
                          {"tiles", kTiles},
                          {"size", {chain.size.width, chain.size.height}}};
    const std::string folder = REELSTORE_BENCH_FOLDER;
    const Json answer =
        Json::parse(run_command({REELSTORE_BENCH_PYTHON, "-B", folder + "/python_chain.py", request.dump()}));
    Pass pass;
    pass.frames = answer.at("frames");
    pass.seconds = answer.at("seconds");
    pass.cpu_seconds = answer.at("cpu_seconds");
    return pass;
}

Pass run_library(const Chain& chain) {
    CountingSink sink;
    Pass pass = timed(chain.frames, [&] {
        const auto source = open_file_source(chain.input);
        const Filters filters = make_filters(chain.filters());
        run_pipeline(*source, filters, sink);
    });
    pass.wrong_frames = std::abs(sink.frames() - chain.frames);
    return pass;
}

Pass run_one_thread(const Chain& chain) {
    int64_t frames = 0;
    const int threads = cv::getNumThreads();
    cv::setNumThreads(1);
    Pass pass = timed(chain.frames, [&] {
        SourceOptions options;
        options.threads = 1;
        std::unique_ptr<FrameSource> source = open_file_source(chain.input, options);
        for (auto& filter : make_filters(chain.filters())) source = std::move(source) | std::move(filter);
        while (source->next()) ++frames;
    });
    cv::setNumThreads(threads);
    pass.wrong_frames = std::abs(frames - chain.frames);
    return pass;
}

Work measure(const Chain& chain, int repetitions, const fs::path& folder) {
    Work work = {chain.name, {chain.name, static_cast<double>(chain.type.bytes()), {}}, {}};
    work.targets = {{kProgram, kPython, 1.5}, {kPipeline, kPython, 1.5}, {kOneThread, kPythonOneThread, 1}};
    for (const char* name : {kProgram, kPipeline, kOneThread, kPython, kPythonOneThread})
        work.comparison.series.push_back({.name = name});
    const std::vector<cv::Mat> expected = expected_images(chain);
    const fs::path output = folder / "chain.npy";
    for (int repetition = 0; repetition < repetitions; ++repetition) {
        const bool last = repetition + 1 == repetitions;
        std::vector<Pass> passes;
        passes.push_back(timed_command({REELSTORE_BENCH_STORE, "extract", chain.input.string(), output.string(),
                                        "--force", "--filter", chain.filters()},
                                       chain.frames));
        if (last) passes.back().wrong_frames = wrong_images(output, expected, 0);
        passes.push_back(run_library(chain));
        passes.push_back(run_one_thread(chain));
        for (const int threads : {0, 1}) {
            passes.push_back(run_python(chain, output, threads));
            if (last) passes.back().wrong_frames = wrong_images(output, expected, chain.tolerance);
        }
        for (size_t i = 0; i < passes.size(); ++i) work.comparison.series[i].passes.push_back(passes[i]);
    }
    return work;
}

}  // namespace

Part measure_chains(const Scale& scale, std::string_view only, const fs::path& folder) {
    Part part = {.title = "A chain of filters",
                 .explanation =
                     "crop, clahe, resize and text over a recording. `store extract` writes a .npy, its start "
                     "included; Python writes one too, its start and imports not included; the library's frames are "
                     "dropped. What Python's text looks like is its own."};
    const int64_t frames = scale.quick ? 6 : 240;
    std::vector<Chain> chains;
    chains.push_back({.name = "chain over npy, uint8 gray",
                      .input = folder / "chain_input.npy",
                      .frames = frames,
                      .type = {.height = 1024, .width = 1280},
                      .crop = {64, 64, 1024, 768},
                      .size = {512, 384}});
    chains.push_back({.name = "chain over mp4, uint8 color",
                      .input = folder / "chain_input.mp4",
                      .frames = frames,
                      .type = {.height = 480, .width = 640, .channels = 3},
                      .crop = {40, 40, 560, 400},
                      .size = {420, 300},
                      .tolerance = 4});
    for (const Chain& chain : chains) {
        if (chain.name.find(only) == std::string::npos) continue;
        make_recording(chain.input, chain.type, chain.frames);
        part.works.push_back(measure(chain, scale.repetitions, folder));
        fs::remove(chain.input);
    }
    return part;
}

}  // namespace reelstore::bench
