#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/frame.h"
#include "base/frame_source.h"
#include "base/pixel_type.h"

namespace reelstore {

/// The frames that the result at one frame depends on: so many before it and behind it.
struct FilterReach {
    /// As `before`: all frames from the first on.
    static constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

    int64_t before = 0;
    int64_t after = 0;
};

/// Frames in, frames out: the middle of source -> filters -> sink.
///
/// A filter may give none, one or several frames for each it takes (a temporal filter waits for its window, a
/// rate change repeats or drops). It is used by one thread at a time and must not hold on to more frames than
/// its window needs. Frames keep their number, time and extra data unless the filter is there to change them; of a
/// frame that is given several times in a row, the extra data counts once.
///
/// The calls come in this order: begin(), where needs_first_pass() first_pass() for every frame and end_first_pass(),
/// then push() for every frame and finish().
class Filter {
public:
    using Receiver = std::function<void(Frame)>;

    virtual ~Filter() = default;
    /// Told, before the first frame and perhaps more than once, what is known of the frames to come; makes of it what
    /// is known of its results. As it stands: image type and raw layout are no longer known, and, unless reach() is,
    /// neither are number and rate of the frames. Throws Error(invalid_argument) when such frames are nothing for it.
    virtual void begin(SourceInfo& info);
    /// Takes one frame and hands the results to `receiver`, in order.
    virtual void push(Frame frame, const Receiver& receiver) = 0;
    /// No more frames will come: hands over what was held back.
    virtual void finish(const Receiver& receiver);

    /// Whether each frame is changed by itself: push() hands over exactly one frame, before it returns, which depends
    /// on nothing else, and any number of threads may call it at once.
    virtual bool each_by_itself() const { return false; }
    /// Known where each frame gives exactly one result, in order and with its index: the frames that it depends on. Fed
    /// with these alone by a fresh() filter, the result is the same to the last bit. Results then can be had in any
    /// order (filters/filtered_source.h). Nothing: frames only come forward.
    virtual std::optional<FilterReach> reach() const;
    /// This filter as it was before push(), knowing what it learned in begin() and its first pass. Null where there is
    /// no such: frames then only come forward, and the filter can stand before no filter that needs a first pass.
    virtual std::unique_ptr<Filter> fresh() const { return nullptr; }

    /// Whether it has to see all frames once before push(); they are read twice then.
    virtual bool needs_first_pass() const { return false; }
    virtual void first_pass(const Frame& frame);
    virtual void end_first_pass();
};

using Filters = std::vector<std::unique_ptr<Filter>>;

/// What is known of frames like these behind all the filters: what their begin() makes of it, one after the other.
SourceInfo info_behind(SourceInfo info, const Filters& filters);
/// What to throw where a filter needs a first pass and the frames come only once.
Error cannot_be_read_twice(const SourceInfo& source);

/// A filter that changes each frame by itself. `change` may be called by several threads at once.
std::unique_ptr<Filter> frame_filter(std::function<Frame(Frame)> change);
/// The same for what only looks at the pixels. The image given must not be written to; an image that is another or
/// looks elsewhere may be returned. Errors are given the frame's index.
std::unique_ptr<Filter> image_filter(std::function<cv::Mat(const cv::Mat&)> change);

/// image_filter() of a function that does nothing but change pixels: it is also called with a black image, from which
/// begin() learns what the type of the results will be. `keeps_layout`: values change and none moves, so that images in
/// a camera's raw layout (SourceInfo::encoding) stay such.
std::unique_ptr<Filter> pure_image_filter(std::function<cv::Mat(const cv::Mat&)> change, bool keeps_layout = false);

/// `frame` with another image, `changed`, which may look into the memory of its own. Number, time and extra data stay.
Frame with_image(Frame frame, cv::Mat changed);
/// `change` of the frame's image; errors are given the frame's index. What image_filter() does.
Frame with_changed_image(Frame frame, const std::function<cv::Mat(const cv::Mat&)>& change);

}  // namespace reelstore
