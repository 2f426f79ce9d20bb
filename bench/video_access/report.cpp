#include "bench/video_access/report.h"

#include <algorithm>

#include <ffms.h>
#include <fmt/format.h>
#include <opencv2/core/utility.hpp>

#include "base/median.h"
#include "bench/command.h"
#include "bench/machine.h"
#include "codecs/video/libav.h"

namespace reelstore::bench {

namespace {

/// The middle of what each repetition says about two contenders that ran right after each other.
double median_ratio(const EntryResult& above, const EntryResult& below) {
    const std::vector<double> numerators = above.milliseconds();
    std::vector<double> ratios = below.milliseconds();
    for (size_t i = 0; i < ratios.size(); ++i) ratios[i] = numerators[i] / ratios[i];
    return median(std::move(ratios));
}

/// By how many milliseconds a request took longer than the same one with less to do.
double median_difference(const EntryResult& more, const EntryResult& less) {
    std::vector<double> differences;
    for (size_t i = 0; i < more.passes.size(); ++i) {
        const std::vector<double>& longer = more.passes[i].request_seconds;
        const std::vector<double>& shorter = less.passes[i].request_seconds;
        for (size_t k = 0; k < longer.size(); ++k) differences.push_back(1e3 * (longer[k] - shorter.at(k)));
    }
    return median(std::move(differences));
}

struct Verdict {
    double seen = 0;
    bool reached = false;
};

std::optional<Verdict> judge(const Target& target, const ClipResult& clip) {
    const EntryResult* subject = clip.find(target.subject);
    const EntryResult* against = clip.find(target.against);
    if (!subject || (!against && !target.against.empty())) return std::nullopt;
    const auto at_most = [&](double seen) { return Verdict{seen, seen <= target.bound}; };
    switch (target.measure) {
        case Measure::times_slower:
            return at_most(median_ratio(*subject, *against));
        case Measure::longer_by_ms:
            return at_most(median_difference(*subject, *against));
        case Measure::longer_fewer: {
            const EntryResult* other_subject = clip.find(target.other_subject);
            const EntryResult* other_against = clip.find(target.other_against);
            if (!other_subject || !other_against) return std::nullopt;
            // What lies below the noise counts as a microsecond.
            const double own = std::max(median_difference(*subject, *against), 1e-3);
            const double seen = median_difference(*other_subject, *other_against) / own;
            return Verdict{seen, seen >= target.bound};
        }
        case Measure::packet_ratio:
            if (!subject->packets_a_frame() || !against->packets_a_frame()) return std::nullopt;
            return at_most(*subject->packets_a_frame() / *against->packets_a_frame());
        case Measure::decodes_a_frame:
            if (!subject->decodes_a_frame()) return std::nullopt;
            return at_most(*subject->decodes_a_frame());
        case Measure::times_faster:
            break;
    }
    const double seen = median_ratio(*against, *subject);
    return Verdict{seen, seen >= target.bound};
}

std::string text_of(const Target& target) {
    switch (target.measure) {
        case Measure::times_slower:
            return fmt::format("time at most {}x {}", target.bound, target.against);
        case Measure::longer_by_ms:
            return fmt::format("at most {} ms longer than with {}", target.bound, target.against);
        case Measure::longer_fewer:
            return fmt::format("the same at most 1/{} of what {} takes longer than with {}", target.bound,
                               target.other_subject, target.other_against);
        case Measure::packet_ratio:
            return fmt::format("no more packets than {}", target.against);
        case Measure::decodes_a_frame:
            return fmt::format("at most {} decodes a frame", target.bound);
        case Measure::times_faster:
            break;
    }
    return fmt::format("at least {}x as fast as {}", target.bound, target.against);
}

std::string number_or_dash(const std::optional<double>& number) {
    return number ? fmt::format("{:.2f}", *number) : "-";
}

std::string significant(double milliseconds) {
    return fmt::format("{:.{}f}", milliseconds, milliseconds < 10 ? 2 : 1);
}

std::string row_of(const ClipResult& clip, const EntryResult& entry, const std::string& limit) {
    const std::vector<double> times = entry.milliseconds();
    const EntryResult* least = clip.find(limit);
    const auto wrong = entry.wrong_frames();
    return fmt::format(
        "| {} | {} | {} | {} | {} .. {} | {} | {} | {:.2f} | {} | {} | {} |\n", clip.clip, entry.name, entry.threads,
        significant(median(times)), significant(*std::min_element(times.begin(), times.end())),
        significant(*std::max_element(times.begin(), times.end())), significant(entry.cpu_milliseconds()),
        least ? fmt::format("{:.2f}", median_ratio(entry, *least)) : "-", median_ratio(entry, clip.entries.front()),
        wrong ? fmt::format("{} of {}", *wrong, entry.frames()) : "not seen", number_or_dash(entry.packets_a_frame()),
        number_or_dash(entry.decodes_a_frame()));
}

std::string target_rows(const WorkloadResult& result) {
    std::string rows;
    for (const Target& target : result.workload.targets) {
        for (const ClipResult& clip : result.clips) {
            const auto verdict = judge(target, clip);
            if (!verdict) continue;
            rows += fmt::format("| {} | {} | {} | {} | {:.2f} | {} |\n", result.workload.name, clip.clip,
                                target.subject, text_of(target), verdict->seen, verdict->reached ? "yes" : "no");
        }
    }
    return rows;
}

std::string first_line(std::string text) {
    text.erase(std::min(text.find('\n'), text.size()));
    return text;
}

std::string ffms2_version() {
    const int version = FFMS_GetVersion();
    return fmt::format("FFMS2 {}.{}.{}", version >> 24, version >> 16 & 0xff, version >> 8 & 0xff);
}

Json entry_json(const ClipResult& clip, const EntryResult& entry, const std::string& limit) {
    std::vector<double> times = entry.milliseconds();
    Json json = {{"contender", entry.name},
                 {"threads", entry.threads},
                 {"ms_per_frame", median(times)},
                 {"ms_per_frame_min", *std::min_element(times.begin(), times.end())},
                 {"ms_per_frame_max", *std::max_element(times.begin(), times.end())},
                 {"ms_per_frame_by_repetition", times},
                 {"cpu_ms_per_frame", entry.cpu_milliseconds()},
                 {"times_first", median_ratio(entry, clip.entries.front())},
                 {"frames", entry.frames()}};
    if (const EntryResult* least = clip.find(limit)) json["times_limit"] = median_ratio(entry, *least);
    if (const auto wrong = entry.wrong_frames()) json["wrong_frames"] = *wrong;
    if (const auto packets = entry.packets_a_frame()) json["packets_per_frame"] = *packets;
    if (const auto decodes = entry.decodes_a_frame()) json["decodes_per_frame"] = *decodes;
    return json;
}

}  // namespace

std::vector<double> EntryResult::milliseconds() const {
    std::vector<double> times;
    for (const Pass& pass : passes) times.push_back(1e3 * pass.seconds / static_cast<double>(pass.frames));
    return times;
}

double EntryResult::cpu_milliseconds() const {
    std::vector<double> times;
    for (const Pass& pass : passes) times.push_back(1e3 * pass.cpu_seconds / static_cast<double>(pass.frames));
    return median(std::move(times));
}

std::optional<int64_t> EntryResult::wrong_frames() const {
    int64_t wrong = 0;
    for (const Pass& pass : passes) {
        if (!pass.wrong_frames) return std::nullopt;
        wrong += *pass.wrong_frames;
    }
    return wrong;
}

int64_t EntryResult::frames() const {
    int64_t frames = 0;
    for (const Pass& pass : passes) frames += pass.frames;
    return frames;
}

std::optional<double> EntryResult::packets_a_frame() const {
    int64_t packets = 0;
    for (const Pass& pass : passes) {
        if (!pass.work) return std::nullopt;
        packets += pass.work->packets_sent;
    }
    return static_cast<double>(packets) / static_cast<double>(frames());
}

std::optional<double> EntryResult::decodes_a_frame() const {
    int64_t decodes = 0;
    for (const Pass& pass : passes) {
        if (!pass.work) return std::nullopt;
        decodes += pass.work->frames_decoded;
    }
    return static_cast<double>(decodes) / static_cast<double>(frames());
}

const EntryResult* ClipResult::find(const std::string& name) const {
    const auto found =
        std::find_if(entries.begin(), entries.end(), [&](const EntryResult& entry) { return entry.name == name; });
    return found == entries.end() ? nullptr : &*found;
}

Circumstances find_circumstances(const Scale& scale) {
    return {
        .processor = processor_name(),
        .cores = processor_count(),
        .load = load_average(),
        .versions = {std::string("FFmpeg ") + av_version_info(), "OpenCV " + cv::getVersionString(), ffms2_version(),
                     first_line(run_command({REELSTORE_BENCH_PYTHON, "-c",
                                             "import av, sys; print('PyAV', av.__version__, 'in Python', "
                                             "sys.version.split()[0])"}))},
        .repetitions = scale.repetitions,
        .quick = scale.quick};
}

std::string markdown_report(const std::vector<WorkloadResult>& results, const Circumstances& circumstances) {
    std::string versions;
    for (const std::string& version : circumstances.versions) versions += (versions.empty() ? "" : ", ") + version;
    std::string text = fmt::format(
        "# Video access\n\n{}{} with {} cores, load {:.1f} before. {}; all of them decode with the same libavcodec. "
        "Times are the median "
        "of "
        "{} repetitions, in which the contenders take turns; ratios are medians of the repetitions' own. How it is "
        "done: [README.md](README.md).\n\n",
        circumstances.quick ? "**A quick run: it checks pixels, its times mean nothing.** " : "",
        circumstances.processor, circumstances.cores, circumstances.load, versions, circumstances.repetitions);
    text += "## Targets\n\n| workload | clip | contender | target | seen | reached |\n|---|---|---|---|--:|---|\n";
    for (const WorkloadResult& result : results) text += target_rows(result);
    for (const WorkloadResult& result : results) {
        text += fmt::format("\n## {}\n\n{}\n\n", result.workload.name, result.workload.about);
        text +=
            "| clip | contender | decoder threads | ms per frame | least .. most | CPU ms per frame | times the limit "
            "| times reelstore | "
            "wrong frames | packets per frame | decodes per frame |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
        for (const ClipResult& clip : result.clips) {
            for (const EntryResult& entry : clip.entries) text += row_of(clip, entry, result.workload.limit);
        }
    }
    return text;
}

Json json_report(const std::vector<WorkloadResult>& results, const Circumstances& circumstances) {
    Json json = {{"processor", circumstances.processor},
                 {"cores", circumstances.cores},
                 {"load_average", circumstances.load},
                 {"versions", circumstances.versions},
                 {"repetitions", circumstances.repetitions},
                 {"quick", circumstances.quick},
                 {"workloads", Json::array()},
                 {"targets", Json::array()}};
    for (const WorkloadResult& result : results) {
        Json workload = {{"name", result.workload.name}, {"about", result.workload.about}, {"clips", Json::array()}};
        for (const ClipResult& clip : result.clips) {
            Json entries = Json::array();
            for (const EntryResult& entry : clip.entries) {
                entries.push_back(entry_json(clip, entry, result.workload.limit));
            }
            workload["clips"].push_back({{"clip", clip.clip}, {"contenders", std::move(entries)}});
            for (const Target& target : result.workload.targets) {
                const auto verdict = judge(target, clip);
                if (!verdict) continue;
                json["targets"].push_back({{"workload", result.workload.name},
                                           {"clip", clip.clip},
                                           {"contender", target.subject},
                                           {"target", text_of(target)},
                                           {"seen", verdict->seen},
                                           {"reached", verdict->reached}});
            }
        }
        json["workloads"].push_back(std::move(workload));
    }
    return json;
}

}  // namespace reelstore::bench
