#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/parallel_reader.h"
#include "store/recording.h"

namespace reelstore {

/// Which frames of a recording: of every run the first and each `step`-th behind it, of those the ones for which
/// `wanted` is true.
struct FrameSelection {
    std::vector<IndexRun> runs = {};  ///< in order and apart from each other
    int64_t step = 1;
    std::function<bool(const FrameRow&)> wanted = {};  ///< null: all of them

    /// How many there are; nothing where that takes a look at the rows.
    std::optional<int64_t> count() const;
    /// Those of the frames first..last-1.
    FrameSelection within(int64_t first, int64_t last) const;
};

/// The frames whose number lies from `first` to below `last`; a side that is missing is open. Where numbers ascend, the
/// runs are those frames and nothing else is looked at.
FrameSelection frames_with_numbers(const Recording& recording, std::optional<int64_t> first,
                                   std::optional<int64_t> last);
/// The same for times. Frames without a time are in no such selection.
FrameSelection frames_with_times(const Recording& recording, std::optional<double> first, std::optional<double> last);

/// The rows of a selection in order; stops when `visit` returns false. Rows are read in blocks, and only those of the
/// runs.
void visit_rows(const Recording& recording, const FrameSelection& selection,
                const std::function<bool(const FrameRow&)>& visit);
/// The extra data of a selection, with the row of the frame each record belongs to, in order of frame; stops when
/// `visit` returns false. Only records of the runs are read.
void visit_extra_data(const Recording& recording, const FrameSelection& selection,
                      const std::function<bool(const ExtraRecord&, const FrameRow&)>& visit);

/// Selected frames of a recording as a source of its own; rows are read ahead in blocks, so that memory does not grow
/// with the recording, and frames on several threads. The recording must outlive it.
class SelectedFrames : public FrameSource {
public:
    SelectedFrames(Recording& recording, FrameSelection selection);
    /// The same with the images of `pictures`, a source with random access that has a frame for each of the
    /// recording's, index for index. It must outlive this object too.
    SelectedFrames(Recording& recording, FrameSelection selection, FrameSource& pictures);
    /// Frames first, first+step, ... below last, of those the ones for which `wanted` is true (all when it is empty).
    SelectedFrames(Recording& recording, int64_t first, int64_t last, int64_t step,
                   std::function<bool(const FrameRow&)> wanted = {});
    SelectedFrames(const SelectedFrames&) = delete;
    SelectedFrames& operator=(const SelectedFrames&) = delete;

    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override;
    bool rewind() override;
    std::vector<Json> extra_data() override;
    const Json& user_metadata() const override { return recording_.user_metadata(); }
    const std::vector<std::string>& warnings() const override { return recording_.warnings(); }

private:
    std::optional<int64_t> next_index();
    void read_block();

    SelectedFrames(Recording& recording, FrameSelection selection, const SourceInfo& info, RandomAccess& pictures);

    Recording& recording_;
    RandomAccess& pictures_;
    SourceInfo info_;
    FrameSelection selection_;
    size_t run_ = 0;
    int64_t next_row_ = 0;
    std::vector<int64_t> block_;
    size_t place_ = 0;
    int64_t last_read_ = -1;  ///< the frame extra_data() speaks of
    std::optional<ReadAhead> frames_;
};

}  // namespace reelstore
