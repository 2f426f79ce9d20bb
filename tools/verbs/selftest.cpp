#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <opencv2/core.hpp>
#include <random>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/numbered_frames.h"
#include "store/store_reader.h"
#include "store/store_writer.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

constexpr int kChunkFrames = 7;
constexpr int64_t kFirstNumber = 1000;
constexpr double kFirstTime = 1577836800;
constexpr double kInterval = 0.0403;

/// A folder that goes with the run.
class ScratchFolder {
public:
    ScratchFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "reelstore_selftest_XXXXXX").string();
        if (!mkdtemp(name.data())) throw system_error(errno, name, "make a temporary folder");
        path_ = name;
    }
    ~ScratchFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

struct Case {
    const ChunkFormat* format;
    ImageType type;
};

struct Outcome {
    int64_t accesses = 0;
    int64_t wrong = 0;
    std::string first_problem;
    double seconds = 0;

    void problem(const std::string& text) {
        if (wrong++ == 0) first_problem = text;
    }
};

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    for (const auto& format : chunk_formats()) {
        if (!format->info().unavailable.empty()) continue;
        for (const int depth : {CV_8U, CV_16U, CV_32F}) {
            for (const int channels : {1, 3}) {
                // Odd sizes: nothing may be lost where a codec wants even ones. Some codecs want larger images.
                for (const auto& [height, width] : {std::pair(47, 63), std::pair(71, 99)}) {
                    const ImageType type{height, width, channels, depth};
                    if (format->refuses(type)) continue;
                    cases.push_back({format.get(), type});
                    break;
                }
            }
        }
    }
    return cases;
}

void check(Outcome& outcome, const Case& test, const std::optional<Frame>& frame, int64_t index, const char* access) {
    ++outcome.accesses;
    if (!frame) return outcome.problem(fmt::format("{}: frame {} is missing", access, index));
    const std::optional<int> seen = read_image_number(frame->image);
    if (seen != static_cast<int>(index)) {
        return outcome.problem(
            fmt::format("{}: frame {} shows the number {}", access, index, seen ? std::to_string(*seen) : "none"));
    }
    if (frame->index != index || frame->number != kFirstNumber + index) {
        return outcome.problem(
            fmt::format("{}: frame {} came back as index {}, number {}", access, index, frame->index, frame->number));
    }
    if (test.format->info().lossless &&
        cv::norm(frame->image, make_numbered_image(test.type, static_cast<int>(index)), cv::NORM_INF) != 0) {
        outcome.problem(fmt::format("{}: the pixels of frame {} changed", access, index));
    }
}

Outcome run_case(const Case& test, const std::filesystem::path& folder, int frames) {
    Outcome outcome;
    const double start = now_monotonic();
    try {
        StoreWriter writer(folder, {.format = test.format->info().name, .chunk_frames = kChunkFrames});
        for (int i = 0; i < frames; ++i)
            writer.add(make_numbered_image(test.type, i), kFirstNumber + i, kFirstTime + i * kInterval);
        writer.close();

        StoreReader store(folder);
        for (int i = 0; i < frames; ++i) check(outcome, test, store.next(), i, "next");
        std::vector<int64_t> order(static_cast<size_t>(frames));
        std::iota(order.begin(), order.end(), int64_t{0});
        std::mt19937 random(42);
        std::shuffle(order.begin(), order.end(), random);
        for (const int64_t i : order) {
            check(outcome, test, store.at_index(i), i, "index");
            check(outcome, test, store.at_number(kFirstNumber + frames - 1 - i), frames - 1 - i, "number");
            check(outcome, test, store.at_time(kFirstTime + static_cast<double>(i) * kInterval + 0.01), i, "time");
        }
        const std::vector<Frame> batch = store.at_indices(order);
        for (size_t i = 0; i < order.size(); ++i) check(outcome, test, batch[i], order[i], "batch");
    } catch (const Error& error) {
        outcome.problem(error.what());
    }
    outcome.seconds = now_monotonic() - start;
    return outcome;
}

class SelftestVerb : public Verb {
public:
    std::string name() const override { return "selftest"; }
    std::string summary() const override {
        return "check every format on this machine: numbered frames, written and read in shuffled order";
    }
    std::string examples() const override { return "  store selftest\n  store selftest --frames 1000 --json\n"; }
    void declare(CLI::App& app) override {
        app.add_option("--frames", frames_, "frames for each format (default 100)")->check(CLI::Range(1, 65535));
        app.add_flag("--json", json_, "one JSON object a line");
    }
    int run() override {
        const ScratchFolder scratch;
        ProgressBar bar("testing formats");
        const std::vector<Case> cases = all_cases();
        int64_t failed = 0;
        if (!json_)
            fmt::print("{:<17} {:<9} {:<8} {:>9} {:>6} {:>8}\n", "format", "type", "channels", "accesses", "wrong",
                       "seconds");
        for (size_t i = 0; i < cases.size(); ++i) {
            bar.update(static_cast<int64_t>(i), static_cast<int64_t>(cases.size()));
            const std::filesystem::path folder = scratch.path() / std::to_string(i);
            const Outcome outcome = run_case(cases[i], folder, frames_);
            std::error_code ignored;
            std::filesystem::remove_all(folder, ignored);
            failed += outcome.wrong > 0 ? 1 : 0;
            print(cases[i], outcome);
        }
        if (!json_) fmt::print("\n{} of {} tests passed\n", cases.size() - static_cast<size_t>(failed), cases.size());
        return failed == 0 ? kExitDone : kExitFailed;
    }

private:
    void print(const Case& test, const Outcome& outcome) const {
        const std::string& name = test.format->info().name;
        const std::string type = dtype_name(test.type.depth);
        if (json_) {
            fmt::print("{}\n", Json{{"format", name},
                                    {"dtype", type},
                                    {"channels", test.type.channels},
                                    {"accesses", outcome.accesses},
                                    {"wrong", outcome.wrong},
                                    {"problem", outcome.first_problem},
                                    {"seconds", outcome.seconds}}
                                   .dump());
            return;
        }
        fmt::print("{:<17} {:<9} {:<8} {:>9} {:>6} {:>8.2f}\n", name, type, test.type.channels, outcome.accesses,
                   outcome.wrong, outcome.seconds);
        if (outcome.wrong > 0) fmt::print("    {}\n", outcome.first_problem);
    }

    int frames_ = 100;
    bool json_ = false;
};

}  // namespace

void add_verbs_selftest(VerbTable& table) {
    table.push_back(std::make_unique<SelftestVerb>());
}

}  // namespace reelstore
