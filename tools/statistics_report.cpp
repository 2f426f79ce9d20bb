#include "tools/statistics_report.h"

#include <algorithm>
#include <cmath>

#include "tools/frame_json.h"
#include "tools/time_text.h"

namespace reelstore {

namespace {

constexpr double kPercent = 100;
constexpr double kMilliseconds = 1000;

/// As a whole number where values are.
Json value_json(double value, const ImageType& type) {
    if (type.depth < CV_32F && std::isfinite(value)) return static_cast<int64_t>(value);
    return finite_or_null(value);
}

Json extreme_json(const Extreme& extreme) {
    if (std::isnan(extreme.mean)) return {};
    return {{"index", extreme.index}, {"mean", extreme.mean}};
}

Json summary_json(const ValueStatistics& values) {
    return {{"mean", finite_or_null(values.mean())},
            {"std", finite_or_null(values.standard_deviation())},
            {"min", finite_or_null(values.min())},
            {"max", finite_or_null(values.max())}};
}

Json region_json(const NamedRegion& region, const RegionTotals& totals, const ImageType& type) {
    const cv::Size size(type.width, type.height);
    const cv::Rect bounds = region.region.bounds_in(size);
    Json json;
    json["name"] = region.name.empty() ? Json() : Json(region.name);
    json["rectangle"] = {bounds.x, bounds.y, bounds.width, bounds.height};
    json["pixels"] = region.region.pixels_in(size);
    json["channels"] = Json::array();
    for (size_t channel = 0; channel < totals.channels.size(); ++channel) {
        const ValueStatistics& values = totals.pixels.channels[channel];
        Json one;
        one["channel"] = channel_name(static_cast<int>(channel), type.channels);
        one["values"] = values.count;
        one["mean"] = finite_or_null(values.mean());
        one["std"] = finite_or_null(values.standard_deviation());
        one["min"] = value_json(values.min(), type);
        one["max"] = value_json(values.max(), type);
        one["nan"] = values.nan_count;
        one["infinite"] = values.infinite_count;
        one["saturated"] = values.saturated_count;
        one["frame_mean_std"] = finite_or_null(totals.channels[channel].frame_means.standard_deviation());
        one["darkest_frame"] = extreme_json(totals.channels[channel].darkest);
        one["brightest_frame"] = extreme_json(totals.channels[channel].brightest);
        if (!totals.histograms.empty()) {
            const Histogram& histogram = totals.histograms[channel];
            one["histogram"] = {{"low", histogram.low},
                                {"high", histogram.high},
                                {"counts", histogram.counts},
                                {"below", histogram.below},
                                {"above", histogram.above}};
        }
        json["channels"].push_back(std::move(one));
    }
    return json;
}

std::string counted(int64_t number, const char* one, const char* several) {
    return fmt::format("{} {}", number, number == 1 ? one : several);
}

/// Seconds in the unit that people use for so short a time.
std::string short_time(double seconds) {
    return std::abs(seconds) < 10 ? fmt::format("{:.3f} ms", seconds * kMilliseconds) : duration_text(seconds);
}

std::string value_text(double value, const ImageType& type) {
    if (std::isnan(value)) return "-";
    return type.depth < CV_32F ? fmt::format("{:.0f}", value) : fmt::format("{:.6g}", value);
}

std::string mean_text(double value) {
    return std::isnan(value) ? "-" : fmt::format("{:.6g}", value);
}

}  // namespace

Json regions_json(const FrameTotals& frames) {
    Json json = Json::array();
    if (frames.frames() == 0) return json;
    for (size_t i = 0; i < frames.names().size(); ++i)
        json.push_back(region_json(frames.names()[i], frames.regions()[i], frames.type()));
    return json;
}

Json motion_json(const MotionTotals& motion, MotionFrom from) {
    Json json;
    json["from"] = from == MotionFrom::first ? "first" : "previous";
    json["frames"] = motion.dx.count;
    json["unknown"] = motion.unknown;
    json["dx"] = summary_json(motion.dx);
    json["dy"] = summary_json(motion.dy);
    json["degrees"] = summary_json(motion.degrees);
    json["longest_shift"] = std::isnan(motion.farthest.mean)
                                ? Json()
                                : Json{{"index", motion.farthest.index}, {"pixels", motion.farthest.mean}};
    return json;
}

Json intervals_json(const IntervalStatistics& times) {
    Json json;
    json["count"] = times.intervals;
    json["frames_without_time"] = times.frames_without_time;
    json["first_time"] = times.first_time ? Json(*times.first_time) : Json();
    json["last_time"] = times.last_time ? Json(*times.last_time) : Json();
    json["rate"] = finite_or_null(times.rate());
    json["median"] = finite_or_null(times.median);
    json["mean"] = finite_or_null(times.mean);
    json["min"] = finite_or_null(times.min);
    json["max"] = finite_or_null(times.max);
    json["std"] = finite_or_null(times.standard_deviation);
    json["median_deviation"] = finite_or_null(times.median_deviation);
    json["p99_deviation"] = finite_or_null(times.p99_deviation);
    json["exact"] = times.exact;
    json["repeated_times"] = times.repeated_times;
    json["backward_times"] = times.backward_times;
    json["gap_limit"] = times.gap_limit ? Json(*times.gap_limit) : Json();
    json["long_intervals"] = times.long_intervals;
    json["gaps"] = times.gaps;
    json["delays"] = times.delays;
    json["missing_frames"] = times.missing_frames;
    json["longest_gaps"] = Json::array();
    for (const FrameGap& gap : times.longest_gaps) {
        json["longest_gaps"].push_back({{"index", gap.index},
                                        {"number", gap.number},
                                        {"time", gap.time},
                                        {"interval", gap.interval},
                                        {"long_intervals", gap.long_intervals},
                                        {"missing", gap.missing}});
    }
    return json;
}

Json numbers_json(const IntervalStatistics& numbers) {
    Json json;
    json["jumps"] = numbers.number_jumps;
    json["missing"] = numbers.missing_numbers;
    json["repeated"] = numbers.repeated_numbers;
    json["backward"] = numbers.backward_numbers;
    json["largest_jump"] = numbers.largest_jump ? Json{{"index", numbers.largest_jump->index},
                                                       {"number", numbers.largest_jump->number},
                                                       {"missing", numbers.largest_jump->missing}}
                                                : Json();
    return json;
}

void StatisticsText::pixels(const FrameTotals& frames) {
    const std::vector<NamedRegion>& regions = frames.names();
    const ImageType& type = frames.type();
    if (frames.frames() == 0) return;
    size_t width = 7;
    for (const NamedRegion& region : regions) width = std::max(width, region.name.size() + (type.gray() ? 0 : 6));
    fmt::print(out_, "\n{:<{}} {:>12} {:>12} {:>10} {:>10}  {:<18} {}\n", "pixels", width, "mean", "std", "min", "max",
               "saturated", "means of frames");
    for (size_t i = 0; i < regions.size(); ++i) {
        const RegionTotals& totals = frames.regions()[i];
        for (size_t channel = 0; channel < totals.channels.size(); ++channel) {
            std::string name = regions[i].name;
            if (!type.gray() || name.empty()) {
                name += name.empty() ? "" : " ";
                name += channel_name(static_cast<int>(channel), type.channels);
            }
            channel_line(name, width, totals.pixels.channels[channel], totals.channels[channel], type);
        }
    }
    for (size_t i = 0; i < regions.size(); ++i) {
        for (size_t channel = 0; channel < frames.regions()[i].histograms.size(); ++channel) {
            std::string name = regions[i].name.empty() ? "" : regions[i].name + " ";
            histogram(name + channel_name(static_cast<int>(channel), type.channels),
                      frames.regions()[i].histograms[channel]);
        }
    }
}

void StatisticsText::motion(const MotionTotals& motion, MotionFrom from) {
    fmt::print(out_, "\n");
    line("motion", "against {}: {} measured{}", from == MotionFrom::first ? "the first frame" : "the frame before",
         counted(motion.dx.count, "frame", "frames"),
         motion.unknown > 0 ? fmt::format(", {} where it cannot be told", motion.unknown) : "");
    if (motion.dx.count == 0) return;
    const auto range = [](const ValueStatistics& values) {
        return fmt::format("{:.3f} to {:.3f}, mean {:.3f}, std {:.3f}", values.min(), values.max(), values.mean(),
                           values.standard_deviation());
    };
    line("  right", "{} pixels", range(motion.dx));
    line("  down", "{} pixels", range(motion.dy));
    line("  turned", "{} degrees counterclockwise", range(motion.degrees));
    line("  longest", "{:.3f} pixels, frame {}", motion.farthest.mean, motion.farthest.index);
}

void StatisticsText::intervals(const IntervalStatistics& times, const Recording& recording) {
    fmt::print(out_, "\n");
    if (!times.first_time) {
        line("times", "none");
        return;
    }
    line("times", "{} to {}{}", time_text(recording, *times.first_time), time_text(recording, *times.last_time),
         times.frames_without_time > 0
             ? fmt::format("; {} without a time", counted(times.frames_without_time, "frame", "frames"))
             : "");
    if (times.intervals == 0) return;
    line("intervals", "median {}, mean {}{}, {} to {}", short_time(times.median), short_time(times.mean),
         std::isnan(times.rate()) ? "" : fmt::format(" ({:.6g}/s)", times.rate()), short_time(times.min),
         short_time(times.max));
    line("jitter", "std {}; from the median: half within {}, 99 % within {}", short_time(times.standard_deviation),
         short_time(times.median_deviation), short_time(times.p99_deviation));
    if (times.repeated_times + times.backward_times > 0)
        line("", "{} with the time of the one before, {} with an earlier one",
             counted(times.repeated_times, "frame", "frames"), times.backward_times);
    gaps(times, recording);
}

void StatisticsText::numbers(const IntervalStatistics& numbers) {
    std::string text = "no number is missing";
    if (numbers.largest_jump) {
        text = fmt::format("{} missing in {} (the largest: {} before frame {}, number {})", numbers.missing_numbers,
                           counted(numbers.number_jumps, "jump", "jumps"), numbers.largest_jump->missing,
                           numbers.largest_jump->index, numbers.largest_jump->number);
    }
    line("numbers", "{}; {} repeated, {} backward", text, numbers.repeated_numbers, numbers.backward_numbers);
}

void StatisticsText::channel_line(const std::string& name, size_t width, const ValueStatistics& values,
                                  const ChannelTotals& frames, const ImageType& type) {
    const double part =
        values.count > 0 ? static_cast<double>(values.saturated_count) / static_cast<double>(values.count) : 0;
    const std::string saturated =
        values.saturated_count == 0 ? "0" : fmt::format("{} ({:.3g} %)", values.saturated_count, part * kPercent);
    fmt::print(out_, "{:<{}} {:>12} {:>12} {:>10} {:>10}  {:<18} ", name, width, mean_text(values.mean()),
               mean_text(values.standard_deviation()), value_text(values.min(), type), value_text(values.max(), type),
               saturated);
    if (frames.frame_means.count > 0) {
        fmt::print(out_, "{} (frame {}) to {} (frame {})", mean_text(frames.darkest.mean), frames.darkest.index,
                   mean_text(frames.brightest.mean), frames.brightest.index);
    } else {
        fmt::print(out_, "-");
    }
    if (values.nan_count > 0) fmt::print(out_, "; {} NaN", values.nan_count);
    if (values.infinite_count > 0) fmt::print(out_, "; {} infinite", values.infinite_count);
    fmt::print(out_, "\n");
}

void StatisticsText::histogram(const std::string& name, const Histogram& histogram) {
    constexpr int64_t kWidth = 50;
    const int64_t most = std::max<int64_t>(1, *std::max_element(histogram.counts.begin(), histogram.counts.end()));
    fmt::print(out_, "\nhistogram of {}\n", name);
    if (histogram.below > 0) fmt::print(out_, "{:>12}              {:>14}\n", "below", histogram.below);
    for (size_t bin = 0; bin < histogram.counts.size(); ++bin) {
        const int64_t count = histogram.counts[bin];
        const auto bar = static_cast<size_t>(static_cast<double>(count) / static_cast<double>(most) * kWidth);
        fmt::print(out_, "{:>12.6g} {:>12.6g} {:>14} {}\n", histogram.edge(bin), histogram.edge(bin + 1), count,
                   std::string(bar, '#'));
    }
    if (histogram.above > 0) fmt::print(out_, "{:>12}              {:>14}\n", "above", histogram.above);
}

void StatisticsText::gaps(const IntervalStatistics& times, const Recording& recording) {
    constexpr size_t kMostLines = 10;
    if (!times.gap_limit) {
        line("gaps", "cannot be told: the median interval is not above 0");
        return;
    }
    if (times.gaps == 0) {
        line("gaps", "none: no interval is longer than {}", short_time(*times.gap_limit));
        return;
    }
    const double all = static_cast<double>(times.frames) + static_cast<double>(times.missing_frames);
    line("gaps", "{} above {}: {} made up for by frames that came late, {} with losses, {} missing ({:.3g} %)",
         times.gaps, short_time(*times.gap_limit), times.delays, times.gaps - times.delays,
         counted(times.missing_frames, "frame", "frames"), static_cast<double>(times.missing_frames) / all * kPercent);
    std::vector<FrameGap> longest = times.longest_gaps;
    std::stable_sort(longest.begin(), longest.end(),
                     [](const FrameGap& a, const FrameGap& b) { return a.interval > b.interval; });
    if (longest.size() > kMostLines) longest.resize(kMostLines);
    for (const FrameGap& gap : longest) {
        line("", "{} before frame {} (number {}, {}): {}", short_time(gap.interval), gap.index, gap.number,
             time_text(recording, gap.time),
             gap.missing == 0 ? "late" : counted(gap.missing, "frame missing", "frames missing"));
    }
    if (static_cast<size_t>(times.gaps) > longest.size())
        line("", "and {} shorter ones", static_cast<size_t>(times.gaps) - longest.size());
}

}  // namespace reelstore
