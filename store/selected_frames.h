#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/parallel_reader.h"
#include "store/recording.h"

namespace reelstore {

/// The frames of a recording that a condition on their row selects, as a source of its own; rows are read ahead in
/// blocks, so that memory does not grow with the recording, and frames on several threads. The recording must outlive
/// it.
class SelectedFrames : public FrameSource {
public:
    /// Frames first, first+step, ... below last, of those the ones for which `wanted` is true (all when it is empty).
    SelectedFrames(Recording& recording, int64_t first, int64_t last, int64_t step,
                   std::function<bool(const FrameRow&)> wanted = {});
    /// Of the frames of these runs, in order and apart from each other, the ones for which `wanted` is true.
    SelectedFrames(Recording& recording, std::vector<IndexRun> runs, std::function<bool(const FrameRow&)> wanted);
    SelectedFrames(const SelectedFrames&) = delete;
    SelectedFrames& operator=(const SelectedFrames&) = delete;

    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override;
    std::vector<Json> extra_data() override;
    const Json& user_metadata() const override { return recording_.user_metadata(); }
    const std::vector<std::string>& warnings() const override { return recording_.warnings(); }

private:
    std::optional<int64_t> next_index();
    void read_block();

    Recording& recording_;
    SourceInfo info_;
    std::vector<IndexRun> runs_;
    size_t run_ = 0;
    int64_t next_row_;
    int64_t step_;
    std::function<bool(const FrameRow&)> wanted_;
    std::vector<int64_t> block_;
    size_t place_ = 0;
    int64_t last_read_ = -1;  ///< the frame extra_data() speaks of
    ReadAhead frames_;
};

}  // namespace reelstore
