#include "bench/formats/report.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "bench/formats/coder.h"
#include "bench/formats/frame_access.h"
#include "bench/formats/targets.h"

namespace reelstore::bench {

namespace {

std::string significant(double value) {
    return fmt::format("{:.{}f}", value, value < 10 ? 2 : (value < 100 ? 1 : 0));
}

/// So that 0.837 and 0.84 differ.
std::string three_digits(double value) {
    return fmt::format("{:.{}f}", value, value < 1 ? 3 : (value < 10 ? 2 : 1));
}

std::string least_and_most(const std::vector<double>& values) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    return significant(*least) + " .. " + significant(*most);
}

/// MB/s of pixels, from milliseconds a frame.
double rate(double image_bytes, double milliseconds) {
    return image_bytes / 1e3 / milliseconds;
}

std::string rates(const Comparison& comparison, const Series& series) {
    std::vector<double> all = series.milliseconds();
    for (double& value : all) value = rate(comparison.image_bytes, value);
    return fmt::format("{:.0f} | {}", rate(comparison.image_bytes, series.median_milliseconds()), least_and_most(all));
}

std::string ratio(const Comparison& comparison, const Series& series) {
    return series.frame_bytes > 0 ? fmt::format("{:.3f}", comparison.image_bytes / series.frame_bytes) : "-";
}

std::string targets_text(const Report& report) {
    const std::vector<TargetRow> rows = target_rows(report);
    if (rows.empty()) return "";
    std::string text =
        "## Targets\n\n| clip | what | target | seen | by processor time | reached |\n|---|---|---|--:|--:|---|\n";
    for (const TargetRow& row : rows) {
        text += fmt::format("| {} | {} | {} | {} | {} | {} |\n", row.clip, row.what, row.aim, three_digits(row.seen),
                            row.seen_by_cpu ? three_digits(*row.seen_by_cpu) : "-", row.reached ? "yes" : "no");
    }
    return text + "\n";
}

std::string coding_text(const std::vector<CodingResult>& results) {
    if (results.empty()) return "";
    std::string text =
        "## Encoding and decoding in memory\n\nOne thread, MB/s of pixels. *ratio* is the size of the pixels over the "
        "size of the bytes.\n\n"
        "| clip | coder | ratio | encode MB/s | least .. most | CPU ms a frame | decode MB/s | least .. most | CPU ms "
        "a "
        "frame | wrong frames |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for (const CodingResult& result : results) {
        for (const Series& decode : result.decode.series) {
            const Series* encode = result.encode.find(decode.name);
            text += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", result.decode.clip, decode.name,
                                encode ? ratio(result.decode, decode) : "-",
                                encode ? rates(result.encode, *encode) : "- | -",
                                encode ? significant(encode->median_cpu_milliseconds()) : "-",
                                rates(result.decode, decode), significant(decode.median_cpu_milliseconds()),
                                encode ? std::to_string(decode.wrong_frames()) : "not seen");
        }
    }
    return text + "\n";
}

std::string reading_text(const std::vector<ReadingResult>& results) {
    if (results.empty()) return "";
    std::string text = fmt::format(
        "## One frame, anywhere\n\nEvery frame of a file is asked for once, in no order. *times* is the time over that "
        "of "
        "{}.\n\n| clip | reader | ratio | ms a frame | least .. most | CPU ms a frame | times | wrong frames |\n"
        "|---|---|--:|--:|--:|--:|--:|--:|\n",
        chunk_reader_name(kPredictedFast));
    for (const ReadingResult& result : results) {
        const Series& first = *result.single.find(chunk_reader_name(kPredictedFast));
        for (const Series& series : result.single.series) {
            text += fmt::format("| {} | {} | {} | {} | {} | {} | {:.2f} | {} of {} |\n", result.single.clip,
                                series.name, ratio(result.single, series), significant(series.median_milliseconds()),
                                least_and_most(series.milliseconds()), significant(series.median_cpu_milliseconds()),
                                times_as_fast(first, series), series.wrong_frames(), series.frames());
        }
    }
    text +=
        "\n## Views of a mapped file\n\nEvery frame is asked for many times, in no order; no pixel is touched.\n\n"
        "| clip | reader | us a frame | least .. most | wrong frames |\n|---|---|--:|--:|--:|\n";
    for (const ReadingResult& result : results) {
        for (const Series& series : result.views.series) {
            std::vector<double> microseconds = series.milliseconds();
            for (double& value : microseconds) value *= 1e3;
            text += fmt::format("| {} | {} | {} | {} | {} of {} |\n", result.views.clip, series.name,
                                significant(1e3 * series.median_milliseconds()), least_and_most(microseconds),
                                series.wrong_frames(), series.frames());
        }
    }
    return text + "\n";
}

std::string recording_text(const Report& report) {
    if (report.recording.empty()) return "";
    std::string text = fmt::format(
        "## Recording\n\nFrom the first frame until everything is on the disk ({}).\n\n| clip | how | MB/s | least .. "
        "most "
        "| CPU ms a frame |\n|---|---|--:|--:|--:|\n",
        report.circumstances.file_system);
    for (const Comparison& result : report.recording) {
        for (const Series& series : result.series) {
            text += fmt::format("| {} | {} | {} | {} |\n", result.clip, series.name, rates(result, series),
                                significant(series.median_cpu_milliseconds()));
        }
    }
    return text + "\n";
}

std::string quality(const FormatResult& format) {
    return std::isinf(format.least_psnr) ? "lossless" : fmt::format("{:.1f} dB", format.least_psnr);
}

std::string formats_text(const std::vector<FormatsResult>& results) {
    if (results.empty()) return "";
    std::string text =
        "## All chunk formats\n\nThrough the format's own writer and reader, with its default options; nothing is "
        "synced. "
        "Encoders of video and of packed chunks use as many threads as they like, which shows in the CPU time. Quality "
        "is the worst frame's "
        "PSNR.\n\n"
        "| clip | format | kB a frame | ratio | quality | write ms | CPU ms | in order ms | CPU ms | at random ms | "
        "CPU "
        "ms |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for (const FormatsResult& result : results) {
        for (const FormatResult& format : result.formats) {
            text += fmt::format("| {} | {} | {} | {:.2f} | {} |", result.clip, format.name,
                                significant(format.write.frame_bytes / 1e3),
                                result.image_bytes / format.write.frame_bytes, quality(format));
            for (const Series* series : {&format.write, &format.in_order, &format.at_random}) {
                text += fmt::format(" {} | {} |", significant(series->median_milliseconds()),
                                    significant(series->median_cpu_milliseconds()));
            }
            text += "\n";
        }
    }
    return text + "\n";
}

Json series_json(const Series& series) {
    return {{"name", series.name},
            {"frame_bytes", series.frame_bytes},
            {"ms_per_frame", series.median_milliseconds()},
            {"ms_per_frame_by_repetition", series.milliseconds()},
            {"cpu_ms_per_frame", series.median_cpu_milliseconds()},
            {"frames", series.frames()},
            {"wrong_frames", series.wrong_frames()}};
}

Json comparison_json(const Comparison& comparison) {
    Json json = {{"clip", comparison.clip}, {"image_bytes", comparison.image_bytes}, {"contenders", Json::array()}};
    for (const Series& series : comparison.series) json["contenders"].push_back(series_json(series));
    return json;
}

void add_wrong(const std::string& clip, const std::string& name, const Series& series,
               std::vector<std::string>& wrong) {
    const int64_t frames = series.wrong_frames();
    if (frames > 0) wrong.push_back(fmt::format("{}, {}: {} frames with other pixels", clip, name, frames));
}

}  // namespace

std::string markdown_report(const Report& report) {
    const Circumstances& seen = report.circumstances;
    std::string versions;
    for (const std::string& version : seen.versions) versions += (versions.empty() ? "" : ", ") + version;
    std::string text = fmt::format(
        "# Chunk formats: results\n\n{} with {} processors, load {:.1f} before and {:.1f} after; others kept {:.1f} "
        "processors busy meanwhile. {}. Images are 1280x1024 unless it was `--quick`. Times are the median of {} "
        "repetitions, in which the contenders take turns; ratios are medians of the repetitions' own. How it is done: "
        "[README.md](README.md).\n\n",
        seen.processor, seen.cores, seen.load_before, seen.load_after, seen.others, versions, seen.repetitions);
    if (seen.quick) text += "**Made with --quick: the figures mean nothing.**\n\n";
    text += targets_text(report);
    text += coding_text(report.coding);
    text += reading_text(report.reading);
    text += recording_text(report);
    text += formats_text(report.formats);
    text.pop_back();
    return text;
}

Json json_report(const Report& report) {
    const Circumstances& seen = report.circumstances;
    Json json = {{"processor", seen.processor},
                 {"cores", seen.cores},
                 {"load_before", seen.load_before},
                 {"load_after", seen.load_after},
                 {"others", seen.others},
                 {"file_system", seen.file_system},
                 {"versions", seen.versions},
                 {"repetitions", seen.repetitions},
                 {"quick", seen.quick},
                 {"targets", Json::array()},
                 {"encode", Json::array()},
                 {"decode", Json::array()},
                 {"random_frames", Json::array()},
                 {"random_views", Json::array()},
                 {"recording", Json::array()},
                 {"formats", Json::array()}};
    for (const TargetRow& row : target_rows(report)) {
        json["targets"].push_back({{"clip", row.clip},
                                   {"what", row.what},
                                   {"target", row.aim},
                                   {"seen", row.seen},
                                   {"reached", row.reached}});
        if (row.seen_by_cpu) json["targets"].back()["seen_by_cpu"] = *row.seen_by_cpu;
    }
    for (const CodingResult& result : report.coding) {
        json["encode"].push_back(comparison_json(result.encode));
        json["decode"].push_back(comparison_json(result.decode));
    }
    for (const ReadingResult& result : report.reading) {
        json["random_frames"].push_back(comparison_json(result.single));
        json["random_views"].push_back(comparison_json(result.views));
    }
    for (const Comparison& result : report.recording) json["recording"].push_back(comparison_json(result));
    for (const FormatsResult& result : report.formats) {
        Json formats = Json::array();
        for (const FormatResult& format : result.formats) {
            Json entry = {{"format", format.name},
                          {"lossless", std::isinf(format.least_psnr)},
                          {"write", series_json(format.write)},
                          {"in_order", series_json(format.in_order)},
                          {"at_random", series_json(format.at_random)}};
            if (std::isfinite(format.least_psnr)) entry["least_psnr"] = format.least_psnr;
            formats.push_back(std::move(entry));
        }
        json["formats"].push_back(
            {{"clip", result.clip}, {"image_bytes", result.image_bytes}, {"formats", std::move(formats)}});
    }
    return json;
}

std::vector<std::string> wrong_pixels(const Report& report) {
    std::vector<std::string> wrong;
    for (const CodingResult& result : report.coding) {
        for (const Series& series : result.decode.series) add_wrong(result.decode.clip, series.name, series, wrong);
    }
    for (const ReadingResult& result : report.reading) {
        for (const Comparison* comparison : {&result.single, &result.views}) {
            for (const Series& series : comparison->series) {
                // OpenCV's way to gray is its own affair; the report counts.
                if (series.name != kOpenCv) add_wrong(comparison->clip, series.name, series, wrong);
            }
        }
    }
    for (const FormatsResult& result : report.formats) {
        for (const FormatResult& format : result.formats) {
            add_wrong(result.clip, format.name + ", in order", format.in_order, wrong);
            add_wrong(result.clip, format.name + ", at random", format.at_random, wrong);
        }
    }
    return wrong;
}

}  // namespace reelstore::bench
