#include "codecs/selected_source.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/crop.h"
#include "base/error.h"
#include "base/parallel_reader.h"

namespace reelstore {

namespace {

/// What is taken of a source.
struct Part {
    std::string name;  ///< of the source, for messages
    int64_t start = 0;
    std::optional<int64_t> frames;
    int64_t step = 1;
    std::optional<cv::Rect> crop;

    int64_t count_of(int64_t source_frames) const {
        const int64_t behind_start = std::max<int64_t>(source_frames - start, 0);
        const int64_t count = behind_start / step + (behind_start % step > 0 ? 1 : 0);
        return std::min(count, frames.value_or(count));
    }

    Frame of(Frame frame, int64_t index) const {
        frame.index = index;
        if (!crop) return frame;
        try {
            frame.image = cropped(frame.image, *crop).clone();
        } catch (const Error& error) {
            throw error.at({name, {}, index});
        }
        frame.owner.reset();
        return frame;
    }
};

class SelectedAccess : public RandomAccess {
public:
    SelectedAccess(RandomAccess& access, const Part& part) : access_(&access), part_(part) {}
    SelectedAccess(std::unique_ptr<RandomAccess> access, const Part& part)
        : owned_(std::move(access)), access_(owned_.get()), part_(part) {}

    int64_t frame_count() const override { return part_.count_of(access_->frame_count()); }
    Frame at_index(int64_t index) override { return part_.of(access_->at_index(source_index(index)), index); }
    FrameStamp stamp(int64_t index) override { return access_->stamp(source_index(index)); }
    std::vector<Json> extra_data_of(int64_t index) override { return access_->extra_data_of(source_index(index)); }

    int64_t entry_of(int64_t index) override {
        // Any frame of the group will do as its name, and the key frame itself need not be among those taken.
        const int64_t entry = access_->entry_of(source_index(index));
        return std::max<int64_t>((entry - part_.start + part_.step - 1) / part_.step, 0);
    }

    void will_read(std::span<const int64_t> indices) override {
        std::vector<int64_t> of_source;
        for (const int64_t index : indices) of_source.push_back(source_index(index));
        access_->will_read(of_source);
    }

    std::unique_ptr<RandomAccess> clone_access() override {
        std::unique_ptr<RandomAccess> clone = access_->clone_access();
        if (!clone) return nullptr;
        return std::make_unique<SelectedAccess>(std::move(clone), part_);
    }

    int threads() const override { return access_->threads(); }
    DecodeCounters counters() const override { return access_->counters(); }

private:
    int64_t source_index(int64_t index) const {
        if (index < 0 || index >= frame_count()) {
            throw Error(ErrorCode::invalid_argument, {part_.name, {}, {}},
                        fmt::format("there is no frame {} among {}", index, frame_count()));
        }
        return part_.start + index * part_.step;
    }

    std::unique_ptr<RandomAccess> owned_;
    RandomAccess* access_;
    Part part_;
};

class SelectedSource : public FrameSource {
public:
    SelectedSource(std::unique_ptr<FrameSource> source, const Part& part) : source_(std::move(source)), part_(part) {
        if (RandomAccess* access = source_->random_access()) access_.emplace(*access, part_);
        if (access_)
            in_order_ = std::make_unique<SequentialReader>(*access_, ReadAheadOptions{.threads = access_->threads()});
        info_ = source_->info();
        if (info_.frame_count) info_.frame_count = part_.count_of(*info_.frame_count);
        if (info_.frame_rate) *info_.frame_rate /= static_cast<double>(part_.step);
        if (part_.crop && !info_.image_type.empty()) {
            info_.image_type = cropped(info_.image_type, *part_.crop);
        }
    }

    const SourceInfo& info() const override { return info_; }
    RandomAccess* random_access() override { return access_ ? &*access_ : nullptr; }
    const Json& user_metadata() const override { return source_->user_metadata(); }
    const std::vector<std::string>& warnings() const override { return source_->warnings(); }

    std::optional<Frame> next() override {
        if (in_order_) {
            last_read_ = in_order_->position();
            return in_order_->next();
        }
        if (part_.frames && last_read_ + 1 >= *part_.frames) return std::nullopt;
        const int64_t to_skip = last_read_ < 0 ? part_.start : part_.step - 1;
        for (int64_t skipped = 0; skipped < to_skip; ++skipped) {
            if (!source_->next()) return std::nullopt;
        }
        std::optional<Frame> frame = source_->next();
        if (frame) frame = part_.of(std::move(*frame), ++last_read_);
        return frame;
    }

    std::vector<Json> extra_data() override {
        if (!in_order_) return source_->extra_data();
        return last_read_ >= 0 && last_read_ < access_->frame_count() ? access_->extra_data_of(last_read_)
                                                                      : std::vector<Json>{};
    }

private:
    std::unique_ptr<FrameSource> source_;
    Part part_;
    SourceInfo info_;
    std::optional<SelectedAccess> access_;
    std::unique_ptr<SequentialReader> in_order_;  // where there is random access
    int64_t last_read_ = -1;
};

}  // namespace

std::unique_ptr<FrameSource> selected_source(std::unique_ptr<FrameSource> source, const SourceOptions& options) {
    const auto refuse = [&](const char* reason) {
        throw Error(ErrorCode::invalid_argument, {source->info().name, {}, {}}, reason);
    };
    if (options.start < 0) refuse("the first frame to be taken cannot lie before the beginning");
    if (options.frames && *options.frames < 0) refuse("the number of frames to be taken cannot be negative");
    if (options.step < 1) refuse("the step between frames must be at least 1");
    if (options.start == 0 && !options.frames && options.step == 1 && !options.crop) return source;
    Part part;
    part.name = source->info().name;
    // A longer step than any source has frames takes its first one; sums must not overflow on the way.
    part.start = std::min(options.start, kLongestStep);
    part.step = std::min(options.step, kLongestStep);
    part.frames = options.frames;
    part.crop = options.crop;
    try {
        return std::make_unique<SelectedSource>(std::move(source), part);
    } catch (const Error& error) {
        throw error.at({part.name, {}, {}});
    }
}

}  // namespace reelstore
