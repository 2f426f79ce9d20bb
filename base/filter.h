#pragma once

#include <functional>
#include <memory>

#include "base/frame.h"
#include "base/pixel_type.h"

namespace reelstore {

/// Frames in, frames out: the middle of source -> filters -> sink.
///
/// A filter may give none, one or several frames for each it takes (a temporal filter waits for its window, a
/// rate change repeats or drops). It is used by one thread at a time and must not hold on to more frames than
/// its window needs.
class Filter {
public:
    using Receiver = std::function<void(Frame)>;

    virtual ~Filter() = default;
    /// Takes one frame and hands the results to `receiver`, in order.
    virtual void push(Frame frame, const Receiver& receiver) = 0;
    /// No more frames will come: hands over what was held back.
    virtual void finish(const Receiver& receiver);
    /// Whether each frame is changed by itself: push() hands over exactly one frame, before it returns, which depends
    /// on nothing else, and any number of threads may call it at once.
    virtual bool each_by_itself() const { return false; }
};

/// A filter that changes each frame by itself. `change` may be called by several threads at once.
std::unique_ptr<Filter> frame_filter(std::function<Frame(Frame)> change);
/// The same for what only looks at the pixels. The image given must not be written to; an image that is another or
/// looks elsewhere may be returned. Errors are given the frame's index.
std::unique_ptr<Filter> image_filter(std::function<cv::Mat(const cv::Mat&)> change);

}  // namespace reelstore
