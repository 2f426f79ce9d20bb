#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file_system.h"
#include "base/npy.h"
#include "base/pipeline.h"
#include "base/text.h"
#include "codecs/image_codec.h"
#include "store/selected_frames.h"
#include "tools/console.h"
#include "tools/frame_lists.h"
#include "tools/ranges.h"
#include "tools/replaced_output.h"
#include "tools/selection.h"
#include "tools/source_options.h"
#include "tools/statistics_report.h"
#include "tools/text_output.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

/// "NAME=REST"; the name is empty where there is none.
std::pair<std::string, std::string> name_and_rest(const std::string& text) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) return {"", text};
    return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<int> parse_places(const std::string& text, const std::string& option) {
    std::vector<int> places;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(':', begin), text.size());
        const int64_t place = parse_integer(text.substr(begin, end - begin), option);
        if (place < 0 || place > kMaxImageSide)
            throw UsageError(fmt::format("{} takes numbers from 0 to {}, not {}", option, kMaxImageSide, place));
        places.push_back(static_cast<int>(place));
        begin = end + 1;
    }
    return places;
}

Region parse_rectangle(const std::string& text) {
    const std::vector<int> places = parse_places(text, "--roi");
    if (places.size() != 4) throw UsageError("--roi takes [NAME=]X:Y:WIDTH:HEIGHT, not \"" + text + "\"");
    return Region::rectangle({places[0], places[1], places[2], places[3]});
}

Region parse_polygon(const std::string& text) {
    constexpr size_t kFewest = 6;
    const std::vector<int> places = parse_places(text, "--polygon");
    if (places.size() < kFewest || places.size() % 2 != 0)
        throw UsageError("--polygon takes [NAME=]X:Y:X:Y:X:Y... with three corners at least, not \"" + text + "\"");
    std::vector<cv::Point> corners;
    for (size_t i = 0; i < places.size(); i += 2) corners.emplace_back(places[i], places[i + 1]);
    return Region::polygon(corners);
}

Region read_mask(const std::string& path) {
    const std::vector<uint8_t> bytes = read_file(path, kMaxImageBytes);
    const cv::Mat mask = lower_case_extension(path) == ".npy" ? image_from_npy(bytes) : decode_image(bytes, path);
    try {
        return Region::mask(mask);
    } catch (const Error& error) {
        throw error.at({path, {}, {}});
    }
}

/// The options that say which pixels.
class RegionOptions {
public:
    void declare(CLI::App& app) {
        const auto add = [&app](const char* name, std::vector<std::string>& values, const char* help) {
            app.add_option(name, values, help)->allow_extra_args(false);
        };
        add("--roi", rectangles_, "only the pixels of a rectangle [NAME=]X:Y:WIDTH:HEIGHT; may be given several times");
        add("--polygon", polygons_, "likewise, of a polygon with the corners [NAME=]X:Y:X:Y:X:Y...");
        add("--mask", masks_, "likewise, where the image [NAME=]FILE (PNG, TIFF, .npy ...) is not 0");
    }

    bool given() const { return !rectangles_.empty() || !polygons_.empty() || !masks_.empty(); }
    /// One without a name where nothing was asked for: the whole image.
    std::vector<NamedRegion> regions() const {
        std::vector<NamedRegion> regions;
        const auto add = [&](const std::vector<std::string>& texts, const std::string& kind, auto parse) {
            for (const std::string& text : texts) {
                auto [name, rest] = name_and_rest(text);
                if (name.empty()) name = kind + (texts.size() > 1 ? std::to_string(&text - texts.data() + 1) : "");
                for (const NamedRegion& other : regions) {
                    if (other.name == name) throw UsageError("two regions are named \"" + name + "\"");
                }
                regions.push_back({name, parse(rest)});
            }
        };
        add(rectangles_, "roi", parse_rectangle);
        add(polygons_, "polygon", parse_polygon);
        add(masks_, "mask", read_mask);
        if (regions.empty()) regions.push_back({});
        return regions;
    }

private:
    std::vector<std::string> rectangles_;
    std::vector<std::string> polygons_;
    std::vector<std::string> masks_;
};

/// The file or stream of the trace.
class Trace {
public:
    /// Empty: none is wanted. Throws Error(already_exists) where the file is there and `force` is not given.
    Trace(const std::string& path, bool force, const Recording& recording) : path_(path) {
        if (path.empty() || to_stream()) return;
        if (lies_in(path, recording.path())) throw UsageError("the trace lies in the recording itself");
        if (file_system().status(path).kind == FileKind::folder)
            throw UsageError(path + " is a folder; give the name of a file");
        replaced_.emplace(path, force);
    }
    /// Half a trace would be taken for a whole one.
    ~Trace() {
        if (!file_) return;
        file_.reset();
        std::error_code ignored;
        if (std::filesystem::is_regular_file(path_, ignored)) std::filesystem::remove(path_, ignored);
    }
    Trace(const Trace&) = delete;
    Trace& operator=(const Trace&) = delete;
    bool to_stream() const { return path_ == "-"; }
    FrameTotals::LineReceiver receiver() {
        if (path_.empty()) return {};
        return [this](const std::string& line) {
            if (to_stream()) {
                out_.line(line);
            } else if (!file_) {
                file_.emplace(path_, line);
            } else {
                file_->add(line);
            }
        };
    }
    /// What the file replaced is gone then, unless the new one may be less.
    void finish(bool cancelled) {
        out_.flush();
        if (!file_) return;
        file_->close();
        file_.reset();
        if (!cancelled) {
            replaced_->commit();
            return;
        }
        const std::filesystem::path old = replaced_->keep_both();
        if (!old.empty()) fmt::print(stderr, "the file that was to be replaced is now {}\n", old.string());
    }

private:
    std::string path_;
    std::optional<ReplacedOutput> replaced_;
    std::optional<FrameListFile> file_;
    TextOutput out_;
};

class StatsVerb : public Verb {
public:
    std::string name() const override { return "stats"; }
    std::string summary() const override {
        return "mean, spread, histogram and motion of pixels; intervals and losses";
    }
    std::string examples() const override {
        return "  store stats mystore\n"
               "  store stats mystore --intervals                        (times and numbers only, fast)\n"
               "  store stats mystore --histogram 16 --index ::100\n"
               "  store stats mystore --trace means.csv --roi left=0:0:320:480 --roi right=320:0:320:480\n"
               "  store stats mystore --trace - --mask heart.png > heart.csv\n"
               "  store stats video.mp4 --motion first --trace motion.csv --filter resize=scale=0.5\n"
               "  store stats mystore --json | jq '.regions[0].channels[0].mean'\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        selection_.declare(app);
        CLI::Option* const intervals =
            app.add_flag("--intervals", only_intervals_, "only intervals, gaps and lost numbers; no image is read");
        regions_.declare(app);
        app.add_option("--histogram", bins_, "count values in so many bins")->check(CLI::Range(1, kMostBins));
        app.add_option("--range", range_,
                       "LOW:HIGH of the histogram (default: all values of integers, 0:1 for floats)");
        app.add_option("--saturation", saturation_,
                       "values from here on are saturated (default: the largest of integers)");
        app.add_option("--motion", motion_, "shift and rotation of each frame against the first or the previous one")
            ->check(CLI::IsMember({"first", "previous"}));
        app.add_option("--trace", trace_, "CSV file, or - for standard output, with a line for every frame")
            ->excludes(intervals);
        source_.declare_pixels(app);
        source_.declare_filter(app);
        app.add_flag("--force", force_, "replace the file of --trace");
        app.add_flag("--json", json_, "one JSON object on stdout");
    }
    int run() override {
        check_options();
        const std::unique_ptr<Recording> recording = source_.open(recording_);
        const SourceNotes notes(*recording);
        const FrameSelection selection = selection_.frames_of(*recording);
        const int code = only_intervals_ ? print_intervals(*recording, selection) : measure(*recording, selection);
        return code == kExitDone && recording->incomplete() ? kExitDataLost : code;
    }

private:
    static constexpr int kMostBins = 1 << 20;

    void check_options() const {
        if (json_ && trace_ == "-") throw UsageError("--json and --trace - cannot both go to standard output");
        if (!range_.empty() && bins_ == 0) throw UsageError("--range is for --histogram");
        const bool asks_for_pixels =
            regions_.given() || bins_ > 0 || saturation_ || !motion_.empty() || !source_.filter.empty();
        if (only_intervals_ && asks_for_pixels)
            throw UsageError("--intervals reads no image, so nothing about pixels can be asked for with it");
    }

    StatisticsOptions statistics_options() const {
        StatisticsOptions options;
        options.bins = bins_;
        options.saturation = saturation_;
        if (range_.empty()) return options;
        const size_t colon = range_.find(':');
        const auto number = [this](const std::string& text) {
            const std::optional<double> value = number_of(text);
            if (!value) throw UsageError("--range takes LOW:HIGH, not \"" + range_ + "\"");
            return *value;
        };
        options.low = number(range_.substr(0, colon));
        options.high = number(colon == std::string::npos ? "" : range_.substr(colon + 1));
        if (!(*options.low < *options.high)) throw UsageError("--range: the low end must be below the high end");
        return options;
    }

    static std::optional<double> number_of(const std::string& text) {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool whole = error == std::errc() && end == text.data() + text.size();
        return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
    }

    static IntervalStatistics intervals_of(const Recording& recording, const FrameSelection& selection,
                                           const InterruptGuard& interrupt) {
        ProgressBar bar("reading times");
        int64_t rows = 0;
        return interval_statistics([&](const std::function<bool(const FrameRow&)>& visit) {
            rows = 0;
            visit_rows(recording, selection, [&](const FrameRow& row) {
                constexpr int64_t kLook = 4096;
                if (++rows % kLook == 0) {
                    if (interrupt.interrupted()) throw Error(ErrorCode::cancelled, "interrupted");
                    bar.update(rows, selection.count());
                }
                return visit(row);
            });
        });
    }

    int print_intervals(const Recording& recording, const FrameSelection& selection) const {
        if (selection.step != 1)
            throw UsageError("--intervals looks at frames that follow each other; give a range without a step");
        const InterruptGuard interrupt;
        const IntervalStatistics times = intervals_of(recording, selection, interrupt);
        if (json_) {
            Json json;
            json["path"] = recording.path().string();
            json["frames"] = times.frames;
            add_intervals(json, times, recording);
            print(json);
            return kExitDone;
        }
        StatisticsText text(stdout);
        text.line("recording", "{}", recording.path().string());
        text.line("frames", "{}", times.frames);
        print_intervals(text, times, recording);
        return kExitDone;
    }

    static void add_intervals(Json& json, const IntervalStatistics& times, const Recording& recording) {
        json["intervals"] = recording.info().has_times ? intervals_json(times) : Json();
        json["numbers"] = recording.info().has_numbers ? numbers_json(times) : Json();
    }

    static void print_intervals(StatisticsText& text, const IntervalStatistics& times, const Recording& recording) {
        text.intervals(times, recording);
        if (recording.info().has_numbers && times.frames > 0) text.numbers(times);
    }

    int measure(Recording& recording, const FrameSelection& selection) {
        const MotionFrom from = motion_.empty()      ? MotionFrom::none
                                : motion_ == "first" ? MotionFrom::first
                                                     : MotionFrom::previous;
        Filters filters = source_.filters();
        Trace trace(trace_, force_, recording);
        FrameTotals totals(regions_.regions(), from, trace.receiver());
        filters.push_back(totals.measuring(statistics_options()));
        const InterruptGuard interrupt;
        SelectedFrames frames(recording, selection);
        PipelineResult result = run(frames, filters, totals, interrupt);
        trace.finish(result.cancelled);
        std::optional<IntervalStatistics> times;
        try {
            if (selection.step == 1 && !result.cancelled) times = intervals_of(recording, selection, interrupt);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::cancelled) throw;
            result.cancelled = true;
        }
        if (json_) {
            print(json_of(recording, result, totals, from, times));
        } else {
            StatisticsText text(trace.to_stream() ? stderr : stdout);
            text.line("recording", "{}", recording.path().string());
            text.line("frames", "{}{}", totals.frames(),
                      totals.frames() > 0 ? fmt::format(" measured, {}", totals.type().text()) : "");
            text.pixels(totals);
            if (from != MotionFrom::none && totals.frames() > 0) text.motion(totals.motion(), from);
            if (times) print_intervals(text, *times, recording);
        }
        return code_of(result);
    }

    static PipelineResult run(FrameSource& frames, const Filters& filters, FrameSink& sink,
                              const InterruptGuard& interrupt) {
        ProgressBar bar("measuring");
        PipelineOptions pipeline;
        pipeline.keep_numbers = true;
        pipeline.skip_damaged = true;
        pipeline.progress = [&](const PipelineProgress& progress) {
            bar.update(progress.first_pass ? progress.frames_read : progress.frames_written, progress.frames_expected);
        };
        return run_pipeline(frames, filters, sink, pipeline, interrupt.token());
    }

    static int code_of(const PipelineResult& result) {
        if (result.frames_damaged > 0) {
            fmt::print(stderr, "{} frames could not be read and were left out; the first: {}\n", result.frames_damaged,
                       result.first_damage);
        }
        if (result.cancelled) return kExitInterrupted;
        return result.frames_damaged > 0 ? kExitDataLost : kExitDone;
    }

    static Json json_of(const Recording& recording, const PipelineResult& result, const FrameTotals& totals,
                        MotionFrom from, const std::optional<IntervalStatistics>& times) {
        Json json;
        json["path"] = recording.path().string();
        json["frames"] = totals.frames();
        json["frames_damaged"] = result.frames_damaged;
        const bool any = totals.frames() > 0;
        json["image_shape"] = any ? Json(totals.type().shape()) : Json();
        json["dtype"] = any ? Json(dtype_name(totals.type().depth)) : Json();
        json["regions"] = regions_json(totals);
        json["motion"] = from == MotionFrom::none ? Json() : motion_json(totals.motion(), from);
        if (times) {
            add_intervals(json, *times, recording);
        } else {
            json["intervals"] = json["numbers"] = Json();
        }
        return json;
    }

    static void print(const Json& json) {
        fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
    }

    std::string recording_;
    SourceOptionGroup source_;
    SelectionOptions selection_;
    RegionOptions regions_;
    bool only_intervals_ = false;
    int bins_ = 0;
    std::string range_;
    std::optional<double> saturation_;
    std::string motion_;
    std::string trace_;
    bool force_ = false;
    bool json_ = false;
};

}  // namespace

void add_verbs_stats(VerbTable& table) {
    table.push_back(std::make_unique<StatsVerb>());
}

}  // namespace reelstore
