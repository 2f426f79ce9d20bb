#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/filter.h"
#include "base/pixel_type.h"

namespace reelstore {

/// Frames that are compared with each other have to be of one size and type.
class OneImageType {
public:
    /// `filter` is its name, for messages.
    explicit OneImageType(const char* filter) : filter_(filter) {}

    /// Throws Error(wrong_type), naming the frame, when its image is no uint8, uint16, int16, float32 or float64 one or
    /// unlike those before.
    void check(const Frame& frame);

private:
    const char* filter_;
    ImageType type_;
};

/// A filter whose result at a frame depends on so many frames before it and behind it; there are fewer at both ends of
/// the recording. Holds these frames and no more.
///
/// Frames have places: the index of the first one that came, then one more for each. What is computed from places is
/// thus the same wherever in a recording reading began.
class SlidingWindowFilter : public Filter {
public:
    void push(Frame frame, const Receiver& receiver) final;
    void finish(const Receiver& receiver) final;
    std::optional<FilterReach> reach() const final { return FilterReach{before_, after_}; }

protected:
    /// The frames at hand for one result.
    struct Window {
        int64_t first = 0;   ///< the place of the first
        int64_t center = 0;  ///< and of that whose result is made
        int64_t last = 0;    ///< the newest
        bool ended = false;  ///< none will come after the last
    };

    SlidingWindowFilter(const char* name, int64_t before, int64_t after)
        : before_(before), after_(after), images_(name), name_(name) {}

    /// A frame came; gives what is to be kept of its image. Images come in order, all of one type.
    virtual cv::Mat taken(int64_t /*place*/, const cv::Mat& image) { return image; }
    /// Its window made of what was kept.
    virtual cv::Mat result(const Window& window) = 0;
    /// What was kept of this frame is needed no more.
    virtual void dropped(int64_t /*place*/) {}

    /// What was kept of a frame in the window.
    const cv::Mat& kept(int64_t place) const { return frames_[static_cast<size_t>(place - first_)].image; }
    const char* name() const { return name_; }
    int64_t before() const { return before_; }
    int64_t after() const { return after_; }

private:
    void give(const Receiver& receiver, bool ended);
    int64_t end() const { return first_ + static_cast<int64_t>(frames_.size()); }

    int64_t before_;
    int64_t after_;
    OneImageType images_;
    const char* name_;
    std::deque<Frame> frames_;
    int64_t first_ = 0;   // place of the first frame held
    int64_t center_ = 0;  // of the next result
    bool started_ = false;
};

/// What all frames of a sliding window come to, by an operation that is associative up to rounding (sum, smallest,
/// largest): about four operations a pixel and frame however long the window. Results depend on the places of the
/// window's frames alone, to the last bit.
///
/// The frames are taken in blocks as long as the window; a window is the end of one block, folded backwards from the
/// block's end, and the beginning of the next (van Herk 1992, Gil and Werman 1993). Folded ends are kept at every so
/// many places, those between made again when they are near, which takes about the square root of the memory.
class SlidingFold {
public:
    /// What some frames come to.
    using State = std::vector<cv::Mat>;
    struct Operation {
        std::function<void(State&, const cv::Mat&)> set;  ///< to that of one frame, in memory of its own
        std::function<void(State&, const cv::Mat&)> add;
        std::function<void(State&, const State&, const State&)> join;  ///< sets the first to that of both others
    };
    using ImageAt = std::function<const cv::Mat&(int64_t)>;

    /// `length`: of the longest window, at least 1.
    SlidingFold(int64_t length, Operation operation);

    /// Takes the frame behind the last one.
    void add(int64_t place, const cv::Mat& image);
    /// Of the frames from `first` on, up to the one added last. `first` never goes back. `ended`: no more frames will
    /// be added. `image_at` gives the frames of the window. The state ends with the next call.
    const State& from(int64_t first, bool ended, const ImageAt& image_at);

private:
    const State& end_of_block(int64_t first, int64_t end, const ImageAt& image_at);
    void keep(int64_t first, const State& state);
    void forget(std::map<int64_t, State>::iterator end);

    int64_t length_;
    int64_t spacing_;  // between ends that are kept
    Operation operation_;
    State beginning_;  // of the block of the frame added last
    int64_t last_ = 0;
    std::map<int64_t, State> ends_;  // by their first place
    std::vector<State> unused_;      // memory of ends that were forgotten
    State folded_;                   // while an end is made
    State joined_;
    int64_t ends_reach_ = -1;  // the last place of all of them
};

}  // namespace reelstore
