#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/frame_source.h"

namespace reelstore {

/// By what frames of several sources are taken to belong together.
enum class SyncBy {
    index,   ///< their places: 0, 1, 2...
    number,  ///< equal numbers; of several frames with one number, the first
    time,    ///< the nearest in time, the earlier one where two are as near
};

/// What is shown of a source that has no frame where the first source has one.
enum class MissingFrame {
    drop,   ///< nothing: the frame of the composition is left out, and the others are counted anew
    hold,   ///< its last frame before; its first one where there is none; as blank where it has none at all
    blank,  ///< what the composition shows without a frame
};

struct SyncOptions {
    SyncBy by = SyncBy::index;
    MissingFrame missing = MissingFrame::hold;
    /// By time: how far, in seconds, the nearest frame of another source may lie from that of the first. None: half of
    /// the larger of both sources' intervals between frames (and 2 % more, since clocks jitter). An interval is that of
    /// info().frame_rate, or else from the first frame to the second.
    std::optional<double> tolerance = {};
};

/// A source as it takes part in a composition. The first one leads: the composition has its frames, with their indices,
/// numbers, times and extra data.
struct ComposedSource {
    std::unique_ptr<FrameSource> frames;
    /// Its frames are shown so much later: in frames, numbers or seconds, as SyncOptions::by says. The first has none.
    double offset = 0;
    /// By index and time: how many times faster it goes than the first. 2 shows every second frame of it, 0.5 each
    /// twice (by index); by time, its first frame keeps its place and the others are counted from there.
    double rate = 1;
};

/// One image from the frames that belong together: one for each source, none where a blank is to be shown. The first is
/// always there. May be called by several threads at once.
using Compose = std::function<cv::Mat(std::span<const std::optional<Frame>>)>;

/// Pixels of all sources together that are read ahead for one composition.
inline constexpr size_t kComposedAheadBytes = size_t{128} << 20;

/// Several sources as one, of images that `compose` makes. Frames come forward, and in any order where all sources have
/// random access (but not where frames are dropped by number or time). Either way they are the same. Holds two frames
/// of each source; those with random access are read ahead, kComposedAheadBytes in all, and others as they do it.
///
/// By number and time, those of each source may not go down; equal ones may follow each other. Where that is seen, at
/// some frames far apart before the first is read and at every frame that is, Error(invalid_argument) names source and
/// frame. A frame that cannot be read is an error, which names its source, wherever it is to be shown; next() then goes
/// on. Where it is not known which number or time it had, since its source only comes forward, the error comes once,
/// and the frame of the composition follows, without it.
///
/// Throws Error(invalid_argument) for options that make no sense, sources without numbers or times that are to be
/// synchronised by these included, and for times some of which count from the epoch and others not, without an offset.
std::unique_ptr<FrameSource> composed_source(std::vector<ComposedSource> sources, const SyncOptions& options,
                                             Compose compose);

}  // namespace reelstore
