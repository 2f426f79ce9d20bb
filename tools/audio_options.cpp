#include "tools/audio_options.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/video/audio_file_track.h"
#include "codecs/video/video_sink.h"
#include "tools/console.h"
#include "tools/match.h"
#include "tools/ranges.h"

namespace reelstore {

namespace {

/// How far a frame at a constant rate may be from its own time: sound that is off by less is not noticed.
constexpr double kUnnoticed = 0.04;

/// The selected frames on the recording's clock.
struct FrameTimes {
    double first = 0;
    double last = 0;
    int64_t count = 0;
};

[[noreturn]] void refuse_constant_rate(double rate, const FrameRow& row, double off) {
    throw UsageError(
        fmt::format("at {:g} frames a second frame {} would be shown {:.3f} s off its time, so sound cannot be "
                    "in step; extract to .mp4, .mkv, .mov or .webm with the frames' own times (--times true)",
                    rate, row.index, off));
}

/// Throws where no sound can be in step with these times.
FrameTimes times_of(const Recording& recording, const FrameSelection& selection) {
    FrameTimes times;
    visit_rows(recording, selection, [&](const FrameRow& row) {
        if (!std::isfinite(row.time)) {
            throw UsageError(fmt::format("frame {} has no time, so sound cannot be in step with it", row.index));
        }
        if (times.count++ == 0) {
            times.first = row.time;
        } else if (row.time < times.last) {
            throw UsageError(
                fmt::format("the time of frame {} goes back by {:.3f} s, so sound cannot be in step; "
                            "extract the frames before and from it on by themselves",
                            row.index, times.last - row.time));
        }
        times.last = row.time;
        return true;
    });
    return times;
}

void check_even(const Recording& recording, const FrameSelection& selection, const FrameTimes& times, double rate) {
    int64_t position = 0;
    visit_rows(recording, selection, [&](const FrameRow& row) {
        const double off = static_cast<double>(position++) / rate - (row.time - times.first);
        if (std::abs(off) > kUnnoticed) refuse_constant_rate(rate, row, off);
        return true;
    });
}

/// For recordings without times: frames that follow each other at a known rate.
FrameTimes times_by_rate(const Recording& recording, const FrameSelection& selection, std::optional<double> rate) {
    if (!rate) {
        throw UsageError(recording.info().name +
                         ": its frames have no times, so sound cannot be in step; give their rate with --fps");
    }
    if (selection.step != 1 || selection.wanted || selection.runs.size() > 1) {
        throw UsageError("frames without times can only be in step with sound when they follow each other");
    }
    const int64_t first = selection.runs.empty() ? 0 : selection.runs[0].first;
    const int64_t last = selection.runs.empty() ? 0 : selection.runs[0].last;
    return {.first = static_cast<double>(first) / *rate,
            .last = static_cast<double>(std::max(first, last - 1)) / *rate,
            .count = last - first};
}

bool has_times(const Recording& recording) {
    const auto row = recording.row(0);
    return row && std::isfinite(row->time);
}

}  // namespace

void AudioOptions::declare(CLI::App& app) {
    app.add_option(
        "--audio", audio_,
        "sound for the video: 'source' (the recording is a video with sound), or a file (.wav, .m4a, ...); the "
        "frames are shown at their own times");
    app.add_option("--audio-start", start_,
                   "when the file of --audio begins, in the recording's times (default: with its first frame)");
}

void AudioOptions::add_to(SinkOptions& options, const std::string& extension, AskedTiming asked,
                          const Recording& recording, const FrameSelection& selection) {
    if (!given()) {
        if (!start_.empty()) throw UsageError("--audio-start needs --audio FILE");
        return;
    }
    const bool of_source = audio_ == "source";
    if (of_source && !start_.empty())
        throw UsageError("--audio source keeps its own time; --audio-start is for a file");
    const std::filesystem::path path = of_source ? recording.path() : std::filesystem::path(audio_);
    if (of_source && file_system().status(path).kind == FileKind::folder) {
        throw UsageError(path.string() + " holds frames only; give a file with its sound: --audio FILE");
    }
    const VideoContainer* container = video_container(extension);
    const bool timed = has_times(recording);
    // Where they were asked for and cannot be, the sink says so.
    if (timed && container && container->true_times && !asked.constant) options.true_times = true;

    const FrameTimes times =
        timed ? times_of(recording, selection) : times_by_rate(recording, selection, options.frame_rate);
    if (timed && container && !options.true_times) {
        if (options.codec.count("frame_rate") > 0) throw UsageError("give the frame rate as --fps, not by --set");
        if (!asked.rate_given && times.last > times.first) {
            options.frame_rate = static_cast<double>(times.count - 1) / (times.last - times.first);
        }
        if (options.frame_rate) check_even(recording, selection, times, *options.frame_rate);
    }
    double sound_begin = 0;
    if (!start_.empty()) {
        refuse_dates(recording.info(), start_);
        sound_begin = parse_time(start_);
    } else if (!of_source && timed) {
        sound_begin = recording.row(0)->time;
    }
    const auto track = std::make_shared<AudioFileTrack>(
        path, times.first - sound_begin, of_source ? AudioFileTrack::Clock::container : AudioFileTrack::Clock::playing);
    if (const auto last = track->last_second(); last && *last <= 0) {
        throw UsageError(fmt::format("{} ends {:.3f} s before the first of these frames", path.string(), -*last));
    }
    if (sound_begin > times.last && !of_source) {
        throw UsageError(
            fmt::format("{} begins {:.3f} s after the last of these frames", path.string(), sound_begin - times.last));
    }
    options.audio = track;
    track_ = track;
}

bool AudioOptions::report() const {
    const auto track = track_.lock();
    if (!track) return false;
    if (!track->description().empty()) fmt::print(stderr, "sound: {}\n", track->description());
    print_notes(track->warnings());
    return track->incomplete();
}

}  // namespace reelstore
