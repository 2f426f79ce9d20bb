#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "base/filter.h"
#include "base/frame_source.h"

namespace reelstore {

/// How far a pipeline has come; handed to the progress callback.
struct PipelineProgress {
    int64_t frames_read = 0;
    int64_t frames_written = 0;
    std::optional<int64_t> frames_expected = {};  ///< none when the source does not know its end
};

struct PipelineOptions {
    int64_t start = 0;                   ///< frames to skip at the beginning
    std::optional<int64_t> frames = {};  ///< frames to pass on at most, after start and step
    int64_t step = 1;                    ///< pass on every step-th frame
    bool realtime = false;               ///< pace frames by their own times, as a camera would
    bool keep_numbers = false;           ///< false: number the written frames anew
    int64_t first_number = 0;            ///< of frames numbered anew; the others follow one by one
    bool skip_damaged = false;           ///< true: count frames that cannot be read and go on
    /// Replaces a frame's time; called on the reading thread in order. Empty: times stay as they are.
    std::function<double(const Frame&)> time = {};
    /// Called on the thread of run(), at most ten times a second and once at the end.
    std::function<void(const PipelineProgress&)> progress = {};
    size_t queue_bytes = size_t{256} << 20;  ///< pixels waiting between two stages, at most (one frame always fits)
};

struct PipelineResult {
    int64_t frames_written = 0;
    int64_t frames_damaged = 0;     ///< skipped because they could not be read
    std::string first_damage = {};  ///< message of the first of them
    bool cancelled = false;
};

/// Runs source -> filters -> sink until the source ends, `frames` are through or `stop` is requested.
///
/// The source is read on one thread, ahead and on all cores when it has random access, and the sink written on another;
/// filters run on the caller's. Memory is bounded by `queue_bytes` for each of the two queues and for reading ahead. On
/// a stop request the frames already read are still written and the sink is closed, so the output is complete up to
/// there. The first error of any stage stops the others; the sink is closed as well as it can be and the error is
/// thrown from here.
PipelineResult run_pipeline(FrameSource& source, const std::vector<std::unique_ptr<Filter>>& filters, FrameSink& sink,
                            const PipelineOptions& options = {}, std::stop_token stop = {});

}  // namespace reelstore
