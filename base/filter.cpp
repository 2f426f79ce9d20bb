#include "base/filter.h"

#include <utility>

#include <opencv2/core.hpp>

#include "base/error.h"

namespace reelstore {

namespace {

class FrameFilter : public Filter {
public:
    explicit FrameFilter(std::shared_ptr<const std::function<Frame(Frame)>> change) : change_(std::move(change)) {}

    void push(Frame frame, const Receiver& receiver) override { receiver((*change_)(std::move(frame))); }
    bool each_by_itself() const override { return true; }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<FrameFilter>(change_); }

private:
    std::shared_ptr<const std::function<Frame(Frame)>> change_;
};

class PureImageFilter : public Filter {
public:
    using Change = std::function<cv::Mat(const cv::Mat&)>;

    PureImageFilter(std::shared_ptr<const Change> change, bool keeps_layout)
        : change_(std::move(change)), keeps_layout_(keeps_layout) {}

    void begin(SourceInfo& info) override {
        info.image_type = type_of_result(info.image_type);
        if (!keeps_layout_) info.encoding.clear();
    }
    void push(Frame frame, const Receiver& receiver) override {
        receiver(with_changed_image(std::move(frame), *change_));
    }
    bool each_by_itself() const override { return true; }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<PureImageFilter>(change_, keeps_layout_); }

private:
    /// Empty where such images cannot be changed: the first frame will tell why.
    ImageType type_of_result(const ImageType& type) const {
        if (type.empty()) return {};
        try {
            return ImageType::of((*change_)(cv::Mat::zeros(type.height, type.width, type.cv_type())));
        } catch (const std::exception&) {
            return {};
        }
    }

    std::shared_ptr<const Change> change_;
    bool keeps_layout_;
};

/// Whether the pixels of `part` lie in memory that `whole` shows.
bool lies_within(const cv::Mat& part, const cv::Mat& whole) {
    return part.datastart != nullptr && part.datastart == whole.datastart;
}

}  // namespace

void Filter::begin(SourceInfo& info) {
    info.image_type = {};
    info.encoding.clear();
    if (reach()) return;
    info.frame_count.reset();
    info.frame_rate.reset();
}

void Filter::finish(const Receiver&) {}

std::optional<FilterReach> Filter::reach() const {
    if (each_by_itself()) return FilterReach{};
    return std::nullopt;
}

void Filter::first_pass(const Frame&) {}

void Filter::end_first_pass() {}

SourceInfo info_behind(SourceInfo info, const Filters& filters) {
    for (const std::unique_ptr<Filter>& filter : filters) filter->begin(info);
    return info;
}

Error cannot_be_read_twice(const SourceInfo& source) {
    return Error(ErrorCode::unsupported, {source.name, {}, {}},
                 "a filter has to see all frames before it gives the first, but these come only once; save them first");
}

std::unique_ptr<Filter> frame_filter(std::function<Frame(Frame)> change) {
    return std::make_unique<FrameFilter>(std::make_shared<const std::function<Frame(Frame)>>(std::move(change)));
}

std::unique_ptr<Filter> image_filter(std::function<cv::Mat(const cv::Mat&)> change) {
    return frame_filter(
        [change = std::move(change)](Frame frame) { return with_changed_image(std::move(frame), change); });
}

std::unique_ptr<Filter> pure_image_filter(std::function<cv::Mat(const cv::Mat&)> change, bool keeps_layout) {
    return std::make_unique<PureImageFilter>(std::make_shared<const PureImageFilter::Change>(std::move(change)),
                                             keeps_layout);
}

Frame with_image(Frame frame, cv::Mat changed) {
    if (!lies_within(changed, frame.image)) frame.owner.reset();
    frame.image = std::move(changed);
    return frame;
}

Frame with_changed_image(Frame frame, const std::function<cv::Mat(const cv::Mat&)>& change) {
    cv::Mat changed;
    try {
        changed = change(frame.image);
    } catch (const Error& error) {
        throw error.at({{}, {}, frame.index});
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal, {{}, {}, frame.index}, "OpenCV cannot change this image: " + error.err);
    }
    return with_image(std::move(frame), std::move(changed));
}

}  // namespace reelstore
