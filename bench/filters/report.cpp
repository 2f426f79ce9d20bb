#include "bench/filters/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace reelstore::bench {

namespace {

std::string digits(double value) {
    return fmt::format("{:.{}f}", value, value < 10 ? 2 : (value < 100 ? 1 : 0));
}

std::string target_rows(const Part& part) {
    std::string text;
    for (const Work& work : part.works) {
        for (const Target& target : work.targets) {
            const Series* const one = work.comparison.find(target.contender);
            const Series* const other = work.comparison.find(target.against);
            if (!one || !other) continue;
            const double seen = times_as_fast(*one, *other);
            text += fmt::format("| {} | {} at least {}x as fast as {} | {} | {} | {} |\n", work.name, target.contender,
                                target.at_least, target.against, digits(seen),
                                digits(times_as_fast_by_cpu(*one, *other)), seen >= target.at_least ? "yes" : "no");
        }
    }
    return text;
}

std::string part_text(const Part& part) {
    std::string text = fmt::format("## {}\n\n{}\n\n", part.title, part.explanation);
    for (const std::string& remark : part.remarks) text += fmt::format("- {}\n", remark);
    if (!part.remarks.empty()) text += "\n";
    const std::string targets = target_rows(part);
    if (!targets.empty())
        text += "| work | target | seen | by processor time | reached |\n|---|---|--:|--:|---|\n" + targets + "\n";
    text += "| work | contender | ms a frame | CPU ms a frame | MB/s of pixels |\n|---|---|--:|--:|--:|\n";
    for (const Work& work : part.works) {
        for (const Series& series : work.comparison.series) {
            const double time = series.median_milliseconds();
            text += fmt::format("| {} | {} | {:.3f} | {:.3f} | {:.0f} |\n", work.name, series.name, time,
                                series.median_cpu_milliseconds(), work.comparison.image_bytes / 1e3 / time);
        }
    }
    return text + "\n";
}

Json part_json(const Part& part) {
    Json json = {{"title", part.title}, {"remarks", part.remarks}, {"works", Json::array()}};
    for (const Work& work : part.works) {
        Json contenders = Json::array();
        for (const Series& series : work.comparison.series) {
            contenders.push_back({{"name", series.name},
                                  {"milliseconds", series.milliseconds()},
                                  {"cpu_milliseconds", series.cpu_milliseconds()},
                                  {"wrong_frames", series.wrong_frames()}});
        }
        json["works"].push_back(
            {{"name", work.name}, {"image_bytes", work.comparison.image_bytes}, {"contenders", contenders}});
    }
    return json;
}

}  // namespace

std::string markdown_report(const Report& report) {
    const Circumstances& seen = report.circumstances;
    std::string text = fmt::format(
        "# Filters: results\n\n{} with {} processors, load {:.1f} before and {:.1f} after; others kept {:.1f} "
        "processors "
        "busy meanwhile. {}. Times are the median of {} repetitions, in which the contenders take turns; ratios are "
        "medians of the repetitions' own. How it is done: [README.md](README.md).\n\n",
        seen.processor, seen.cores, seen.load_before, seen.load_after, seen.others, fmt::join(seen.versions, ", "),
        seen.repetitions);
    if (seen.quick) text += "**Made with --quick: the figures mean nothing.**\n\n";
    for (const Part& part : report.parts) text += part_text(part);
    return text;
}

Json json_report(const Report& report) {
    const Circumstances& seen = report.circumstances;
    Json json = {{"processor", seen.processor},     {"cores", seen.cores},   {"load_before", seen.load_before},
                 {"load_after", seen.load_after},   {"others", seen.others}, {"versions", seen.versions},
                 {"repetitions", seen.repetitions}, {"quick", seen.quick},   {"parts", Json::array()}};
    for (const Part& part : report.parts) json["parts"].push_back(part_json(part));
    return json;
}

std::vector<std::string> wrong_findings(const Report& report) {
    std::vector<std::string> wrong;
    for (const Part& part : report.parts) {
        wrong.insert(wrong.end(), part.wrong.begin(), part.wrong.end());
        for (const Work& work : part.works) {
            for (const Series& series : work.comparison.series) {
                if (series.wrong_frames() == 0) continue;
                wrong.push_back(fmt::format("{}, {}: {} of {} frames are wrong", work.name, series.name,
                                            series.wrong_frames(), series.frames()));
            }
        }
    }
    return wrong;
}

}  // namespace reelstore::bench
