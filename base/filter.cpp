#include "base/filter.h"

#include <utility>

#include "base/error.h"

namespace reelstore {

namespace {

class FrameFilter : public Filter {
public:
    explicit FrameFilter(std::function<Frame(Frame)> change) : change_(std::move(change)) {}

    void push(Frame frame, const Receiver& receiver) override { receiver(change_(std::move(frame))); }
    bool each_by_itself() const override { return true; }

private:
    std::function<Frame(Frame)> change_;
};

/// Whether the pixels of `part` lie in memory that `whole` shows.
bool lies_within(const cv::Mat& part, const cv::Mat& whole) {
    return part.datastart != nullptr && part.datastart == whole.datastart;
}

}  // namespace

void Filter::finish(const Receiver&) {}

std::unique_ptr<Filter> frame_filter(std::function<Frame(Frame)> change) {
    return std::make_unique<FrameFilter>(std::move(change));
}

std::unique_ptr<Filter> image_filter(std::function<cv::Mat(const cv::Mat&)> change) {
    return frame_filter([change = std::move(change)](Frame frame) {
        cv::Mat changed;
        try {
            changed = change(frame.image);
        } catch (const Error& error) {
            throw error.at({{}, {}, frame.index});
        } catch (const cv::Exception& error) {
            throw Error(ErrorCode::internal, {{}, {}, frame.index}, "OpenCV cannot change this image: " + error.err);
        }
        if (!lies_within(changed, frame.image)) frame.owner.reset();
        frame.image = std::move(changed);
        return frame;
    });
}

}  // namespace reelstore
