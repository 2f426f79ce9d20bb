#include "filters/sliding_window.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "filters/image_values.h"

namespace reelstore {

void OneImageType::check(const Frame& frame) {
    const ImageType type = ImageType::of(frame.image);
    if (type == type_) return;
    const ErrorPlace place{{}, {}, frame.index};
    const int depth = type.depth;
    if (depth != CV_8U && depth != CV_16U && depth != CV_16S && depth != CV_32F && depth != CV_64F)
        throw wrong_type(frame.image, filter_, "uint8, uint16, int16, float32 and float64").at(place);
    if (!type_.empty()) {
        throw Error(ErrorCode::wrong_type, place,
                    fmt::format("the image is {}, those before it are {}; the filter {} needs images of one size and "
                                "type (resize makes them)",
                                type.text(), type_.text(), filter_));
    }
    type_ = type;
}

void SlidingWindowFilter::push(Frame frame, const Receiver& receiver) {
    images_.check(frame);
    if (!std::exchange(started_, true)) first_ = center_ = frame.index;
    // A part of an image would keep all of it.
    if (frame.image.isSubmatrix()) frame = with_image(frame, frame.image.clone());
    const int64_t place = end();
    frames_.push_back(with_changed_image(std::move(frame), [&](const cv::Mat& image) { return taken(place, image); }));
    if (place - center_ >= after_) give(receiver, false);
}

void SlidingWindowFilter::finish(const Receiver& receiver) {
    while (center_ < end()) give(receiver, true);
}

void SlidingWindowFilter::give(const Receiver& receiver, bool ended) {
    const Window window{first_, center_, end() - 1, ended};
    Frame frame = with_changed_image(frames_[static_cast<size_t>(center_ - first_)],
                                     [&](const cv::Mat&) { return result(window); });
    ++center_;
    while (first_ < center_ - before_) {
        dropped(first_);
        frames_.pop_front();
        ++first_;
    }
    receiver(std::move(frame));
}

SlidingFold::SlidingFold(int64_t length, Operation operation)
    : length_(length),
      spacing_(std::max<int64_t>(1, std::llround(std::sqrt(static_cast<double>(length))))),
      operation_(std::move(operation)) {}

void SlidingFold::add(int64_t place, const cv::Mat& image) {
    if (place % length_ == 0 || beginning_.empty()) {
        operation_.set(beginning_, image);
    } else {
        operation_.add(beginning_, image);
    }
    last_ = place;
}

const SlidingFold::State& SlidingFold::from(int64_t first, bool ended, const ImageAt& image_at) {
    const int64_t end = first - first % length_ + length_ - 1;
    // Frames that came first need not begin a block; which ones these are must not matter once the last frame is there.
    if (first % length_ == 0 || (end >= last_ && !ended)) return beginning_;
    if (end >= last_) return end_of_block(first, last_, image_at);
    operation_.join(joined_, end_of_block(first, end, image_at), beginning_);
    return joined_;
}

const SlidingFold::State& SlidingFold::end_of_block(int64_t first, int64_t end, const ImageAt& image_at) {
    if (ends_reach_ != end) {
        forget(ends_.end());
        operation_.set(folded_, image_at(end));
        for (int64_t place = end; place >= first; --place) {
            if (place < end) operation_.add(folded_, image_at(place));
            if (place == end || place % spacing_ == 0) keep(place, folded_);
        }
        ends_reach_ = end;
    }
    forget(ends_.lower_bound(first));
    if (ends_.begin()->first != first) {
        int64_t place = ends_.begin()->first;
        const State& nearest = ends_.begin()->second;
        folded_.resize(nearest.size());
        for (size_t i = 0; i < nearest.size(); ++i) nearest[i].copyTo(folded_[i]);
        while (place > first) {
            operation_.add(folded_, image_at(--place));
            keep(place, folded_);
        }
    }
    return ends_.begin()->second;
}

void SlidingFold::keep(int64_t first, const State& state) {
    State copy;
    if (!unused_.empty()) {
        copy = std::move(unused_.back());
        unused_.pop_back();
    }
    copy.resize(state.size());
    for (size_t i = 0; i < state.size(); ++i) state[i].copyTo(copy[i]);
    ends_[first] = std::move(copy);
}

void SlidingFold::forget(std::map<int64_t, State>::iterator end) {
    while (ends_.begin() != end) {
        unused_.push_back(std::move(ends_.begin()->second));
        ends_.erase(ends_.begin());
    }
}

}  // namespace reelstore
