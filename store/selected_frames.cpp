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
      next_row_(first),
      last_(std::min(last, recording.frame_count())),
      step_(std::min(step, kLongestStep)),
      wanted_(std::move(wanted)),
      frames_(recording, [this] { return next_index(); }, {.threads = recording.threads()}) {
    info_.frame_count.reset();
    if (!wanted_) info_.frame_count = last_ > first ? (last_ - first + step_ - 1) / step_ : 0;
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
        if (next_row_ >= last_) return std::nullopt;
        read_block();
    }
    return block_[place_++];
}

void SelectedFrames::read_block() {
    block_.clear();
    place_ = 0;
    const int64_t end = std::min(last_, next_row_ + kBlockRows * step_);
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
