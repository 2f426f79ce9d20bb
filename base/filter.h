#pragma once

#include <functional>

#include "base/frame.h"

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
};

}  // namespace reelstore
