#include "store/selected_frames.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace reelstore {

namespace {

constexpr int64_t kBlockRows = 4096;
/// Of frames that wait to be taken.
constexpr size_t kAheadBytes = size_t{96} << 20;
/// From this step on, one lookup a row costs less than passing over the rows between.
constexpr int64_t kSparseStep = 64;

/// Rows in ascending order of index, though not all: read one by one where they lie far apart, ahead in ever larger
/// blocks where they lie close together.
class AscendingRows {
public:
    explicit AscendingRows(const Recording& recording) : recording_(recording) {}

    const FrameRow* find(int64_t index) {
        if (index < first_ || index >= first_ + static_cast<int64_t>(block_.size())) read(index);
        return block_.empty() ? nullptr : &block_[static_cast<size_t>(index - first_)];
    }

private:
    void read(int64_t index) {
        const int64_t end = first_ + static_cast<int64_t>(block_.size());
        const bool near = !block_.empty() && index >= end && index - end < kSparseStep;
        size_ = near ? std::min(size_ * 4, kBlockRows) : 1;
        first_ = index;
        block_.clear();
        if (size_ == 1) {
            if (const std::optional<FrameRow> row = recording_.row(index)) block_.push_back(*row);
            return;
        }
        recording_.visit_rows(index, index + size_, [this](const FrameRow& row) {
            block_.push_back(row);
            return true;
        });
    }

    const Recording& recording_;
    int64_t first_ = 0;
    int64_t size_ = 1;
    std::vector<FrameRow> block_;
};

/// Those that there are.
FrameSelection clipped(FrameSelection selection, int64_t frame_count) {
    selection.step = std::min(selection.step, kLongestStep);
    return selection.within(0, frame_count);
}

}  // namespace

std::optional<int64_t> FrameSelection::count() const {
    if (wanted) return std::nullopt;
    int64_t frames = 0;
    for (const IndexRun& run : runs) {
        if (run.last > run.first) frames += (run.last - run.first - 1) / step + 1;
    }
    return frames;
}

FrameSelection FrameSelection::within(int64_t first, int64_t last) const {
    FrameSelection part{{}, step, wanted};
    for (const IndexRun& run : runs) {
        IndexRun cut{run.first, std::min(run.last, last)};
        if (first >= cut.last) continue;
        if (first > run.first) cut.first += ((first - run.first - 1) / step + 1) * step;
        if (cut.first < cut.last) part.runs.push_back(cut);
    }
    return part;
}

FrameSelection frames_with_numbers(const Recording& recording, std::optional<int64_t> first,
                                   std::optional<int64_t> last) {
    using Limits = std::numeric_limits<int64_t>;
    if (last == Limits::min()) return {};  // no number is below the lowest
    const int64_t low = first.value_or(Limits::min());
    const int64_t high = last ? *last - 1 : Limits::max();
    FrameSelection selection{recording.runs_of_numbers(low, high)};
    if (!recording.numbers_ascend()) {
        selection.wanted = [low, high](const FrameRow& row) { return row.number >= low && row.number <= high; };
    }
    return selection;
}

FrameSelection frames_with_times(const Recording& recording, std::optional<double> first, std::optional<double> last) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    FrameSelection selection{recording.runs_of_times(first.value_or(-kInfinity), last.value_or(kInfinity))};
    // Also where times ascend: the runs have the frames at `last` too.
    selection.wanted = [first, last](const FrameRow& row) {
        return !std::isnan(row.time) && (!first || row.time >= *first) && (!last || row.time < *last);
    };
    return selection;
}

void visit_rows(const Recording& recording, const FrameSelection& selection,
                const std::function<bool(const FrameRow&)>& visit) {
    bool more = true;
    const auto pass_on = [&](const FrameRow& row) {
        if (!selection.wanted || selection.wanted(row)) more = visit(row);
        return more;
    };
    const FrameSelection there = clipped(selection, recording.frame_count());
    for (const IndexRun& run : there.runs) {
        if (there.step >= kSparseStep) {
            for (int64_t index = run.first; more && index < run.last; index += there.step) {
                if (const std::optional<FrameRow> row = recording.row(index)) pass_on(*row);
            }
        } else {
            recording.visit_rows(run.first, run.last, [&](const FrameRow& row) {
                return (row.index - run.first) % there.step != 0 || pass_on(row);
            });
        }
        if (!more) return;
    }
}

void visit_extra_data(const Recording& recording, const FrameSelection& selection,
                      const std::function<bool(const ExtraRecord&, const FrameRow&)>& visit) {
    AscendingRows rows(recording);
    bool more = true;
    const FrameSelection there = clipped(selection, recording.frame_count());
    for (const IndexRun& run : there.runs) {
        recording.visit_extra_data(run.first, run.last, [&](const ExtraRecord& record) {
            if ((record.frame_index - run.first) % there.step != 0) return true;
            const FrameRow* row = rows.find(record.frame_index);
            if (row && (!there.wanted || there.wanted(*row))) more = visit(record, *row);
            return more;
        });
        if (!more) return;
    }
}

SelectedFrames::SelectedFrames(Recording& recording, FrameSelection selection)
    : SelectedFrames(recording, std::move(selection), recording.info(), recording) {}

SelectedFrames::SelectedFrames(Recording& recording, FrameSelection selection, FrameSource& pictures)
    : SelectedFrames(recording, std::move(selection), pictures.info(), *pictures.random_access()) {}

SelectedFrames::SelectedFrames(Recording& recording, FrameSelection selection, const SourceInfo& info,
                               RandomAccess& pictures)
    : recording_(recording),
      pictures_(pictures),
      info_(info),
      selection_(clipped(std::move(selection), recording.frame_count())) {
    info_.frame_count = selection_.count();
    SelectedFrames::rewind();
}

bool SelectedFrames::rewind() {
    frames_.reset();
    run_ = 0;
    next_row_ = selection_.runs.empty() ? 0 : selection_.runs.front().first;
    block_.clear();
    place_ = 0;
    last_read_ = -1;
    frames_.emplace(
        pictures_, [this] { return next_index(); },
        ReadAheadOptions{.threads = recording_.threads(), .ahead_bytes = kAheadBytes});
    return true;
}

SelectedFrames::SelectedFrames(Recording& recording, int64_t first, int64_t last, int64_t step,
                               std::function<bool(const FrameRow&)> wanted)
    : SelectedFrames(recording, FrameSelection{{{first, last}}, step, std::move(wanted)}) {}

std::optional<Frame> SelectedFrames::next() {
    last_read_ = -1;
    std::optional<Frame> frame = frames_->next();
    if (frame) last_read_ = frame->index;
    return frame;
}

std::vector<Json> SelectedFrames::extra_data() {
    return last_read_ < 0 ? std::vector<Json>() : pictures_.extra_data_of(last_read_);
}

std::optional<int64_t> SelectedFrames::next_index() {
    while (place_ == block_.size()) {
        if (run_ == selection_.runs.size()) return std::nullopt;
        if (next_row_ < selection_.runs[run_].last) {
            read_block();
        } else if (++run_ < selection_.runs.size()) {
            next_row_ = selection_.runs[run_].first;
        }
    }
    return block_[place_++];
}

void SelectedFrames::read_block() {
    block_.clear();
    place_ = 0;
    const int64_t step = selection_.step;
    const int64_t end = std::min(selection_.runs[run_].last, next_row_ + kBlockRows * step);
    if (selection_.wanted) {
        const FrameSelection block{{{next_row_, end}}, step, selection_.wanted};
        visit_rows(recording_, block, [&](const FrameRow& row) {
            block_.push_back(row.index);
            return true;
        });
        next_row_ += (end - next_row_ + step - 1) / step * step;
        return;
    }
    for (; next_row_ < end; next_row_ += step) block_.push_back(next_row_);
}

}  // namespace reelstore
