#include "filters/filtered_source.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/parallel_reader.h"

namespace reelstore {

namespace {

/// Frames that are read for a window reach so many times farther than it, so that what is read twice where two readers
/// meet counts little.
constexpr int64_t kWindowsInARow = 16;

/// The filter, which every reader of the frames takes its own from once its first pass has been made.
class LearnedFilter {
public:
    explicit LearnedFilter(std::unique_ptr<Filter> filter)
        : filter_(std::move(filter)), learned_(!filter_->needs_first_pass()) {}

    Filter& filter() { return *filter_; }
    /// `look_at_all` gives every frame to the filter; it is called by the first to come here, others wait. What it
    /// throws is thrown to all: a second pass would count frames twice.
    template <typename LookAtAll>
    void learn(LookAtAll look_at_all) {
        const std::lock_guard lock(mutex_);
        if (error_) std::rethrow_exception(error_);
        if (learned_) return;
        try {
            look_at_all(*filter_);
            filter_->end_first_pass();
        } catch (...) {
            error_ = std::current_exception();
            throw;
        }
        learned_ = true;
    }

private:
    std::unique_ptr<Filter> filter_;
    std::mutex mutex_;
    bool learned_;
    std::exception_ptr error_;
};

void attach(Frame& frame, std::vector<Json> records) {
    if (!records.empty()) frame.extra_data = std::make_shared<const std::vector<Json>>(std::move(records));
}

/// A window longer than any recording is as long as need be.
FilterReach bounded(const FilterReach& reach) {
    return {std::min(reach.before, kLongestStep), std::min(reach.after, kLongestStep)};
}

/// What a filter is to learn from does not depend on frames that are damaged: whoever reads those is told.
template <typename Read>
void look_at_readable(Filter& filter, Read read) {
    while (true) {
        std::optional<Frame> frame;
        try {
            frame = read();
        } catch (const Error& error) {
            if (error.code() == ErrorCode::corrupt || error.code() == ErrorCode::not_found) continue;
            throw;
        }
        if (!frame) return;
        filter.first_pass(*frame);
    }
}

class FilteredAccess : public RandomAccess {
public:
    FilteredAccess(RandomAccess& access, std::shared_ptr<LearnedFilter> filter)
        : access_(&access),
          brings_extra_data_(dynamic_cast<FilteredAccess*>(&access) != nullptr),
          learned_(std::move(filter)),
          reach_(bounded(*learned_->filter().reach())) {}
    FilteredAccess(std::unique_ptr<RandomAccess> access, std::shared_ptr<LearnedFilter> filter)
        : FilteredAccess(*access, std::move(filter)) {
        owned_ = std::move(access);
    }

    int64_t frame_count() const override { return access_->frame_count(); }
    FrameStamp stamp(int64_t index) override { return access_->stamp(index); }
    std::vector<Json> extra_data_of(int64_t index) override { return access_->extra_data_of(index); }
    int threads() const override { return access_->threads(); }
    DecodeCounters counters() const override { return access_->counters(); }

    Frame at_index(int64_t index) override {
        learn();
        if (index < 0 || index >= frame_count()) access_->at_index(index);  // throws, unless the frame has come by now
        if (learned_->filter().each_by_itself()) return changed(index);
        if (last_ && last_->index == index && !(ended_ && next_taken_ < frame_count())) return *last_;
        return run_up_to(index);
    }

    int64_t entry_of(int64_t index) override {
        if (reach_.before == kLongestStep) return 0;
        if (reach_.before == 0 && reach_.after == 0) return access_->entry_of(index);
        return index - index % (kWindowsInARow * (reach_.before + reach_.after));
    }
    void will_read(std::span<const int64_t> indices) override {
        if (reach_.before == 0 && reach_.after == 0) access_->will_read(indices);
    }

    std::unique_ptr<RandomAccess> clone_access() override {
        learn();
        std::unique_ptr<RandomAccess> clone = access_->clone_access();
        if (!clone) return nullptr;
        return std::make_unique<FilteredAccess>(std::move(clone), learned_);
    }

    void learn() {
        learned_->learn([this](Filter& filter) {
            ReadAhead all(*access_,
                          [next = int64_t{0}, count = access_->frame_count()]() mutable -> std::optional<int64_t> {
                              return next < count ? std::optional(next++) : std::nullopt;
                          });
            look_at_readable(filter, [&] { return all.next(); });
        });
    }

private:
    Frame take(int64_t index) {
        Frame frame = access_->at_index(index);
        if (!brings_extra_data_) attach(frame, access_->extra_data_of(index));
        return frame;
    }

    Frame changed(int64_t index) {
        Frame result;
        learned_->filter().push(take(index), [&](Frame given) { result = std::move(given); });
        return result;
    }

    /// Feeds the filter until it gives this frame: on from where it stands, or anew from the first frame that counts.
    Frame run_up_to(int64_t index) {
        const int64_t first = reach_.before >= index ? 0 : index - reach_.before;
        // The last frames that a filter gave stay the right ones until there are more.
        const bool over = ended_ && (ready_.empty() || next_taken_ < frame_count());
        if (!running_ || over || index < next_result_ || first > next_taken_) {
            running_ = learned_->filter().fresh();
            ready_.clear();
            next_taken_ = first;
            ended_ = false;
        }
        last_.reset();
        next_result_ = index;
        while (true) {
            // What comes before depends on frames that this filter was not given.
            while (!ready_.empty() && ready_.front().index < index) ready_.pop_front();
            if (!ready_.empty()) break;
            if (next_taken_ < frame_count()) {
                // Where this throws, the filter stands where it stood: frames behind need not be fed to it anew.
                Frame frame = take(next_taken_);
                ++next_taken_;
                feed([&](const Filter::Receiver& keep) { running_->push(std::move(frame), keep); });
            } else if (!std::exchange(ended_, true)) {
                feed([&](const Filter::Receiver& keep) { running_->finish(keep); });
            } else {
                break;
            }
        }
        if (ready_.empty() || ready_.front().index != index)
            throw Error(ErrorCode::internal, {{}, {}, index}, "the filter gave no result for this frame");
        last_ = std::move(ready_.front());
        ready_.pop_front();
        next_result_ = index + 1;
        return *last_;
    }

    /// A filter that threw is not used any more.
    template <typename Feed>
    void feed(Feed give) {
        try {
            give([this](Frame frame) { ready_.push_back(std::move(frame)); });
        } catch (...) {
            running_.reset();
            throw;
        }
    }

    std::unique_ptr<RandomAccess> owned_;
    RandomAccess* access_;
    bool brings_extra_data_;  ///< what lies below gives frames with it
    std::shared_ptr<LearnedFilter> learned_;
    FilterReach reach_;
    std::unique_ptr<Filter> running_;
    int64_t next_taken_ = 0;   ///< the frame that `running_` has to be given next
    int64_t next_result_ = 0;  ///< the first frame that it can still give
    bool ended_ = false;       ///< it was told that no more frames come
    std::deque<Frame> ready_;
    std::optional<Frame> last_;
};

class FilteredSource : public FrameSource {
public:
    FilteredSource(std::unique_ptr<FrameSource> source, std::unique_ptr<Filter> filter)
        : source_(std::move(source)), info_(source_->info()) {
        filter->begin(info_);
        const bool can_begin_anew = filter->each_by_itself() || filter->fresh();
        const bool in_any_order = filter->reach() && can_begin_anew;
        const auto* const below = dynamic_cast<FilteredSource*>(source_.get());
        looks_first_ = filter->needs_first_pass() || (below && below->looks_first_);
        learned_ = std::make_shared<LearnedFilter>(std::move(filter));
        if (!in_any_order) return;
        if (RandomAccess* access = source_->random_access()) access_.emplace(*access, learned_);
        if (access_ && !looks_first_ && info_.image_type.empty() && access_->frame_count() > 0) learn_image_type();
    }

    const SourceInfo& info() const override { return info_; }
    RandomAccess* random_access() override { return access_ ? &*access_ : nullptr; }
    const Json& user_metadata() const override { return source_->user_metadata(); }
    const std::vector<std::string>& warnings() const override { return source_->warnings(); }
    std::vector<Json> extra_data() override {
        return extra_data_ && !is_repeated_ ? *extra_data_ : std::vector<Json>();
    }

    std::optional<Frame> next() override {
        if (!running_) start();
        const auto keep = [this](Frame frame) { ready_.push_back(std::move(frame)); };
        while (ready_.empty() && !ended_) {
            std::optional<Frame> frame = source_->next();
            if (!frame) {
                ended_ = true;
                running_->finish(keep);
                break;
            }
            // Frames that filters below repeat bring theirs, by which they are known for the same.
            if (!frame->extra_data) attach(*frame, source_->extra_data());
            running_->push(std::move(*frame), keep);
        }
        if (ready_.empty()) return std::nullopt;
        Frame frame = std::move(ready_.front());
        ready_.pop_front();
        // Of a frame that the filter repeats, the first has them.
        is_repeated_ = frame.extra_data && frame.extra_data == extra_data_;
        extra_data_ = frame.extra_data;
        return frame;
    }

    bool rewind() override {
        if (running_ && !own_) return false;
        if (!source_->rewind()) return false;
        own_.reset();
        running_ = nullptr;
        ready_.clear();
        extra_data_.reset();
        ended_ = false;
        return true;
    }

private:
    void start() {
        if (access_) {
            access_->learn();
        } else {
            learned_->learn([this](Filter& filter) {
                if (RandomAccess* access = source_->random_access()) {
                    look_at_readable(filter, [&, index = int64_t{0}]() mutable -> std::optional<Frame> {
                        return index < access->frame_count() ? std::optional(access->at_index(index++)) : std::nullopt;
                    });
                    return;
                }
                if (!source_->rewind()) throw cannot_be_read_twice(source_->info());
                look_at_readable(filter, [this] { return source_->next(); });
                source_->rewind();
            });
        }
        own_ = learned_->filter().fresh();
        running_ = own_ ? own_.get() : &learned_->filter();
    }

    void learn_image_type() {
        try {
            info_.image_type = ImageType::of(access_->at_index(0).image);
        } catch (const Error&) {
            // A first frame that is damaged hides no others; whoever reads it is told.
            return;
        }
    }

    std::unique_ptr<FrameSource> source_;
    SourceInfo info_;
    std::shared_ptr<LearnedFilter> learned_;
    bool looks_first_ = false;  ///< this filter or one below has to see all frames before it gives one
    std::optional<FilteredAccess> access_;
    std::unique_ptr<Filter> own_;  ///< of next(); null where there is none but the one in `learned_`
    Filter* running_ = nullptr;    ///< of next(), from the first frame on
    std::deque<Frame> ready_;
    std::shared_ptr<const std::vector<Json>> extra_data_;  ///< of the frame given last
    bool is_repeated_ = false;
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<FrameSource> operator|(std::unique_ptr<FrameSource> source, std::unique_ptr<Filter> filter) {
    return std::make_unique<FilteredSource>(std::move(source), std::move(filter));
}

}  // namespace reelstore
