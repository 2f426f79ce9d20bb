#include "store/selected_frames.h"

#include <algorithm>

namespace reelstore {

namespace {

constexpr int64_t kBlockRows = 4096;

}  // namespace

SelectedFrames::SelectedFrames(Recording& recording, int64_t first, int64_t last, int64_t step,
                               std::function<bool(const FrameRow&)> wanted)
    : recording_(recording),
      info_(recording.info()),
      runs_({{first, std::min(last, recording.frame_count())}}),
      next_row_(first),
      step_(std::min(step, kLongestStep)),
      wanted_(std::move(wanted)),
      frames_(recording, [this] { return next_index(); }, {.threads = recording.threads()}) {
    info_.frame_count.reset();
    const int64_t end = runs_.front().last;
    if (!wanted_) info_.frame_count = end > first ? (end - first + step_ - 1) / step_ : 0;
}

SelectedFrames::SelectedFrames(Recording& recording, std::vector<IndexRun> runs,
                               std::function<bool(const FrameRow&)> wanted)
    : recording_(recording),
      info_(recording.info()),
      runs_(std::move(runs)),
      next_row_(runs_.empty() ? 0 : runs_.front().first),
      step_(1),
      wanted_(std::move(wanted)),
      frames_(recording, [this] { return next_index(); }, {.threads = recording.threads()}) {
    info_.frame_count.reset();
}

std::optional<Frame> SelectedFrames::next() {
    last_read_ = -1;
    std::optional<Frame> frame = frames_.next();
    if (frame) last_read_ = frame->index;
    return frame;
}

std::vector<Json> SelectedFrames::extra_data() {
    return last_read_ < 0 ? std::vector<Json>() : recording_.extra_data_of(last_read_);
}

std::optional<int64_t> SelectedFrames::next_index() {
    while (place_ == block_.size()) {
        if (run_ == runs_.size()) return std::nullopt;
        if (next_row_ < runs_[run_].last) {
            read_block();
        } else if (++run_ < runs_.size()) {
            next_row_ = runs_[run_].first;
        }
    }
    return block_[place_++];
}

void SelectedFrames::read_block() {
    block_.clear();
    place_ = 0;
    const int64_t end = std::min(runs_[run_].last, next_row_ + kBlockRows * step_);
    if (!wanted_) {
        for (; next_row_ < end; next_row_ += step_) block_.push_back(next_row_);
        return;
    }
    recording_.visit_rows(next_row_, end, [&](const FrameRow& row) {
        if ((row.index - next_row_) % step_ == 0 && wanted_(row)) block_.push_back(row.index);
        return true;
    });
    next_row_ += (end - next_row_ + step_ - 1) / step_ * step_;
}

}  // namespace reelstore
