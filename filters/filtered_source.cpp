#include "filters/filtered_source.h"

#include <deque>
#include <utility>

#include "base/error.h"

namespace reelstore {

namespace {

/// What a filter that changes each frame by itself makes of one.
Frame changed(Filter& filter, Frame frame) {
    Frame result;
    filter.push(std::move(frame), [&](Frame given) { result = std::move(given); });
    return result;
}

class FilteredAccess : public RandomAccess {
public:
    FilteredAccess(RandomAccess& access, std::shared_ptr<Filter> filter)
        : access_(&access), filter_(std::move(filter)) {}
    FilteredAccess(std::unique_ptr<RandomAccess> access, std::shared_ptr<Filter> filter)
        : owned_(std::move(access)), access_(owned_.get()), filter_(std::move(filter)) {}

    int64_t frame_count() const override { return access_->frame_count(); }
    Frame at_index(int64_t index) override { return changed(*filter_, access_->at_index(index)); }
    FrameStamp stamp(int64_t index) override { return access_->stamp(index); }
    std::vector<Json> extra_data_of(int64_t index) override { return access_->extra_data_of(index); }
    int64_t entry_of(int64_t index) override { return access_->entry_of(index); }
    void will_read(std::span<const int64_t> indices) override { access_->will_read(indices); }
    int threads() const override { return access_->threads(); }
    DecodeCounters counters() const override { return access_->counters(); }

    std::unique_ptr<RandomAccess> clone_access() override {
        std::unique_ptr<RandomAccess> clone = access_->clone_access();
        if (!clone) return nullptr;
        return std::make_unique<FilteredAccess>(std::move(clone), filter_);
    }

private:
    std::unique_ptr<RandomAccess> owned_;
    RandomAccess* access_;
    std::shared_ptr<Filter> filter_;
};

class FilteredSource : public FrameSource {
public:
    FilteredSource(std::unique_ptr<FrameSource> source, std::unique_ptr<Filter> filter)
        : source_(std::move(source)), filter_(std::move(filter)), info_(source_->info()) {
        // The filter may change both.
        info_.image_type = {};
        if (!filter_->each_by_itself()) {
            info_.frame_count.reset();
            info_.frame_rate.reset();
            return;
        }
        if (RandomAccess* access = source_->random_access()) access_.emplace(*access, filter_);
        if (access_ && access_->frame_count() > 0) learn_image_type();
    }

    const SourceInfo& info() const override { return info_; }
    RandomAccess* random_access() override { return access_ ? &*access_ : nullptr; }
    const Json& user_metadata() const override { return source_->user_metadata(); }
    const std::vector<std::string>& warnings() const override { return source_->warnings(); }
    std::vector<Json> extra_data() override { return extra_data_; }

    std::optional<Frame> next() override {
        const auto keep = [this](Frame frame) { ready_.push_back(std::move(frame)); };
        while (ready_.empty() && !ended_) {
            std::optional<Frame> frame = source_->next();
            if (!frame) {
                ended_ = true;
                filter_->finish(keep);
                break;
            }
            for (Json& record : source_->extra_data()) waiting_.push_back(std::move(record));
            filter_->push(std::move(*frame), keep);
        }
        if (ready_.empty()) return std::nullopt;
        extra_data_ = std::exchange(waiting_, {});
        Frame frame = std::move(ready_.front());
        ready_.pop_front();
        return frame;
    }

private:
    void learn_image_type() {
        try {
            info_.image_type = ImageType::of(access_->at_index(0).image);
        } catch (const Error&) {
            // A first frame that is damaged hides no others; whoever reads it is told.
            return;
        }
    }

    std::unique_ptr<FrameSource> source_;
    std::shared_ptr<Filter> filter_;
    SourceInfo info_;
    std::optional<FilteredAccess> access_;
    std::deque<Frame> ready_;
    std::vector<Json> waiting_;     ///< extra data of frames taken since the last one was given
    std::vector<Json> extra_data_;  ///< of the frame given last
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<FrameSource> operator|(std::unique_ptr<FrameSource> source, std::unique_ptr<Filter> filter) {
    return std::make_unique<FilteredSource>(std::move(source), std::move(filter));
}

}  // namespace reelstore
