#include "bench/files/report.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace reelstore::bench {

namespace {

std::string digits(double value) {
    return fmt::format("{:.{}f}", value, value < 10 ? 2 : (value < 100 ? 1 : 0));
}

/// MB/s of pixels.
double rate(const Comparison& comparison, const Series& series) {
    return comparison.image_bytes / 1e3 / series.median_milliseconds();
}

struct TargetRow {
    std::string file;
    std::string order;
    std::string aim;
    double seen = 0;
    double by_cpu = 0;
    bool reached = false;
};

std::vector<TargetRow> target_rows(const Report& report) {
    std::vector<TargetRow> rows;
    for (const CaseResult& result : report.cases) {
        for (const Comparison* comparison : {&result.forward, &result.shuffled}) {
            for (const Target& target : result.file->targets) {
                const Series* const one = comparison->find(target.contender);
                const Series* const other = comparison->find(target.against);
                if (!one || !other) continue;
                const double seen = times_as_fast(*one, *other);
                rows.push_back({.file = result.file->name,
                                .order = comparison == &result.forward ? "in order" : "shuffled",
                                .aim = fmt::format("at least {}x as fast as {}", target.at_least, target.against),
                                .seen = seen,
                                .by_cpu = times_as_fast_by_cpu(*one, *other),
                                .reached = seen >= target.at_least});
            }
        }
    }
    return rows;
}

std::string rates_text(const Report& report) {
    std::string text =
        "## Rates\n\nMB/s of pixels. In order includes opening the file, shuffled does not.\n\n"
        "| file | kB a frame | contender | in order | CPU ms a frame | shuffled | CPU ms a frame | wrong frames |\n"
        "|---|--:|---|--:|--:|--:|--:|--:|\n";
    for (const CaseResult& result : report.cases) {
        for (const Series& series : result.forward.series) {
            const Series* const shuffled = result.shuffled.find(series.name);
            text += fmt::format("| {} | {} | {} | {:.0f} | {} | {} | {} | {} |\n", result.file->name,
                                digits(result.file->frame_bytes / 1e3), series.name, rate(result.forward, series),
                                digits(series.median_cpu_milliseconds()),
                                shuffled ? fmt::format("{:.0f}", rate(result.shuffled, *shuffled)) : "-",
                                shuffled ? digits(shuffled->median_cpu_milliseconds()) : "-",
                                series.wrong_frames() + (shuffled ? shuffled->wrong_frames() : 0));
        }
    }
    return text;
}

Json comparison_json(const Comparison& comparison) {
    Json json = {{"image_bytes", comparison.image_bytes}, {"contenders", Json::array()}};
    for (const Series& series : comparison.series) {
        json["contenders"].push_back({{"name", series.name},
                                      {"milliseconds", series.milliseconds()},
                                      {"cpu_milliseconds", series.cpu_milliseconds()},
                                      {"wrong_frames", series.wrong_frames()}});
    }
    return json;
}

}  // namespace

std::string markdown_report(const Report& report) {
    const Circumstances& seen = report.circumstances;
    std::string text = fmt::format(
        "# Files of other programs: results\n\n{} with {} processors, load {:.1f} before and {:.1f} after; others kept "
        "{:.1f} processors busy meanwhile. {}. Times are the median of {} repetitions, in which the contenders take "
        "turns; ratios are medians of the repetitions' own. How it is done: [README.md](README.md).\n\n",
        seen.processor, seen.cores, seen.load_before, seen.load_after, seen.others, fmt::join(seen.versions, ", "),
        seen.repetitions);
    if (seen.quick) text += "**Made with --quick: the figures mean nothing.**\n\n";
    text += "## Targets\n\n| file | order | target | seen | by processor time | reached |\n|---|---|---|--:|--:|---|\n";
    for (const TargetRow& row : target_rows(report)) {
        text += fmt::format("| {} | {} | {} | {} | {} | {} |\n", row.file, row.order, row.aim, digits(row.seen),
                            digits(row.by_cpu), row.reached ? "yes" : "no");
    }
    return text + "\n" + rates_text(report);
}

Json json_report(const Report& report) {
    const Circumstances& seen = report.circumstances;
    Json json = {{"processor", seen.processor},     {"cores", seen.cores},   {"load_before", seen.load_before},
                 {"load_after", seen.load_after},   {"others", seen.others}, {"versions", seen.versions},
                 {"repetitions", seen.repetitions}, {"quick", seen.quick},   {"targets", Json::array()},
                 {"files", Json::array()}};
    for (const TargetRow& row : target_rows(report)) {
        json["targets"].push_back({{"file", row.file},
                                   {"order", row.order},
                                   {"target", row.aim},
                                   {"seen", row.seen},
                                   {"seen_by_cpu", row.by_cpu},
                                   {"reached", row.reached}});
    }
    for (const CaseResult& result : report.cases) {
        json["files"].push_back({{"file", result.file->name},
                                 {"frame_bytes", result.file->frame_bytes},
                                 {"in_order", comparison_json(result.forward)},
                                 {"shuffled", comparison_json(result.shuffled)}});
    }
    return json;
}

std::vector<std::string> wrong_pixels(const Report& report) {
    std::vector<std::string> wrong;
    for (const CaseResult& result : report.cases) {
        for (const Comparison* comparison : {&result.forward, &result.shuffled}) {
            for (const Series& series : comparison->series) {
                if (series.wrong_frames() == 0) continue;
                wrong.push_back(fmt::format("{}, {}: {} of {} frames are wrong", result.file->name, series.name,
                                            series.wrong_frames(), series.frames()));
            }
        }
    }
    return wrong;
}

}  // namespace reelstore::bench
