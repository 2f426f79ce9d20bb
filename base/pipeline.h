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
    /// Frames are looked at before the first is written, because a filter needs a first pass; frames_read are those of
    /// this pass.
    bool first_pass = false;
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
    /// Pixels waiting to be read ahead, filtered or written, at most and in all (one frame always fits).
    size_t queue_bytes = size_t{64} << 20;
    int filter_threads = 0;  ///< for filters that change each frame by itself; 0: one per core
};

struct PipelineResult {
    int64_t frames_written = 0;
    int64_t frames_damaged = 0;     ///< skipped because they could not be read
    std::string first_damage = {};  ///< message of the first of them
    bool cancelled = false;
};

/// Runs source -> filters -> sink until the source ends, `frames` are through or `stop` is requested.
///
/// The source is read on one thread, ahead and on all cores when it has random access, and the sink written on another.
/// Between them, filters that stand in a row and change each frame by itself run on several threads, each other filter
/// on one of its own. Where a filter needs a first pass, the frames that are selected are read before, once for each
/// such filter, through those before it. On a stop request the frames already read are still written and the sink is
/// closed, so the output is complete up to there. The first error of any stage stops the others, frames before it are
/// written, the sink is closed as well as it can be and the error is thrown from here. Throws Error(unsupported) when a
/// first pass is needed and the source has neither random access nor rewind(), or a filter before has no fresh().
///
/// Extra data goes with its frame (Frame::extra_data).
PipelineResult run_pipeline(FrameSource& source, const Filters& filters, FrameSink& sink,
                            const PipelineOptions& options = {}, std::stop_token stop = {});

}  // namespace reelstore
