#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/frame_source.h"
#include "filters/synchronized_frames.h"

namespace reelstore {

/// By which frames are matched: their place, number or time. Holds each of these exactly.
using FrameKey = long double;

/// A source of a composition, as its frames are matched with those of the first.
struct MatchedSource {
    std::string name;
    FrameKey offset = 0;
    FrameKey rate = 1;
    bool has_interval = false;  ///< its info() knows it
    FrameKey interval = 0;      ///< seconds between frames, by time
    FrameKey origin = 0;        ///< time of its first frame, by time
    FrameKey tolerance = 0;     ///< by time, in seconds of its own
};

/// Which of two frames is shown.
enum class ShownFrame { before, after, none, left_out };

/// Which frames of several sources belong together: what reading in any order and reading forward have in common.
class FrameMatching {
public:
    /// Throws what composed_source() throws for its options.
    FrameMatching(const std::vector<ComposedSource>& sources, const SyncOptions& options);

    const SyncOptions& options() const { return options_; }
    bool by(SyncBy what) const { return options_.by == what; }
    size_t source_count() const { return sources_.size(); }
    const std::string& name(size_t source) const { return sources_[source].name; }
    /// Whether intervals that info() does not know, or times of first frames, still have to be learned.
    bool needs_first_times() const;
    /// Times of a source's first two frames, as far as there are such. After the last of them, call end_learning().
    void learn(size_t source, std::optional<FrameKey> first, std::optional<FrameKey> second);
    void end_learning();

    /// Throws Error for a frame without a time by which it could be matched.
    FrameKey key(size_t source, int64_t position, const FrameStamp& stamp) const;
    /// The key that another source's frame has to have where the first one's has `leading`.
    FrameKey wanted(size_t source, FrameKey leading) const;
    /// `before`: that of the last frame that is not beyond `wanted`; `after`: of the first that is.
    ShownFrame choose(size_t source, FrameKey wanted, std::optional<FrameKey> before,
                      std::optional<FrameKey> after) const;
    /// Of a source whose numbers or times go down at a frame.
    Error goes_down(size_t source, int64_t position, FrameKey key, FrameKey earlier) const;

private:
    SyncOptions options_;
    std::vector<MatchedSource> sources_;
};

}  // namespace reelstore
