#include "store/filtered_recording.h"

#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/parallel_reader.h"
#include "filters/filtered_source.h"

namespace reelstore {

namespace {

/// A recording that belongs to somebody else, for filters to stand on.
class BorrowedRecording : public FrameSource {
public:
    explicit BorrowedRecording(Recording& recording) : recording_(recording), info_(recording.info()) {
        // Filters must not count on an end that is not there yet.
        if (!recording.closed()) info_.frame_count.reset();
    }
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override { return recording_.next(); }
    RandomAccess* random_access() override { return &recording_; }
    std::vector<Json> extra_data() override { return recording_.extra_data(); }
    const Json& user_metadata() const override { return recording_.user_metadata(); }
    const std::vector<std::string>& warnings() const override { return recording_.warnings(); }

private:
    Recording& recording_;
    SourceInfo info_;
};

/// What filters throw does not know of which recording the frame is.
class PlacedAccess : public RandomAccess {
public:
    PlacedAccess(RandomAccess& access, std::string path) : access_(&access), path_(std::move(path)) {}
    PlacedAccess(std::unique_ptr<RandomAccess> access, std::string path)
        : owned_(std::move(access)), access_(owned_.get()), path_(std::move(path)) {}

    Frame at_index(int64_t index) override {
        try {
            return access_->at_index(index);
        } catch (const Error& error) {
            throw error.at({path_, {}, index});
        }
    }
    std::unique_ptr<RandomAccess> clone_access() override {
        std::unique_ptr<RandomAccess> clone = access_->clone_access();
        if (!clone) return nullptr;
        return std::make_unique<PlacedAccess>(std::move(clone), path_);
    }
    int64_t frame_count() const override { return access_->frame_count(); }
    FrameStamp stamp(int64_t index) override { return access_->stamp(index); }
    std::vector<Json> extra_data_of(int64_t index) override { return access_->extra_data_of(index); }
    int64_t entry_of(int64_t index) override { return access_->entry_of(index); }
    void will_read(std::span<const int64_t> indices) override { access_->will_read(indices); }
    int threads() const override { return access_->threads(); }
    DecodeCounters counters() const override { return access_->counters(); }

private:
    std::unique_ptr<RandomAccess> owned_;
    RandomAccess* access_;
    std::string path_;
};

std::unique_ptr<FrameSource> through(Recording& recording, std::vector<std::unique_ptr<Filter>> filters) {
    std::unique_ptr<FrameSource> frames = std::make_unique<BorrowedRecording>(recording);
    for (size_t i = 0; i < filters.size(); ++i) {
        frames = std::move(frames) | std::move(filters[i]);
        if (frames->random_access()) continue;
        throw Error(ErrorCode::unsupported, {recording.path().string(), {}, {}},
                    fmt::format("behind filter {} of {} frames only come forward, since it changes their number or "
                                "order; `store extract` and `store save` take such filters",
                                i + 1, filters.size()));
    }
    return frames;
}

class FilteredRecording : public Recording {
public:
    FilteredRecording(std::unique_ptr<Recording> recording, std::vector<std::unique_ptr<Filter>> filters)
        : recording_(std::move(recording)),
          frames_(through(*recording_, std::move(filters))),
          access_(*frames_->random_access(), recording_->path().string()),
          in_order_(access_, {.threads = recording_->threads()}),
          any_order_(access_, recording_->threads()),
          info_(frames_->info()) {}

    std::optional<Frame> next() override {
        const int64_t index = in_order_.position();
        std::optional<Frame> frame = in_order_.next();
        if (frame) last_read_ = index;
        return frame;
    }
    Frame at_index(int64_t index) override {
        Frame frame = access_.at_index(index);
        last_read_ = index;
        return frame;
    }
    std::vector<Frame> at_indices(std::span<const int64_t> indices) override {
        std::vector<Frame> frames = any_order_.read(indices);
        if (!indices.empty()) last_read_ = indices.back();
        return frames;
    }
    int64_t entry_of(int64_t index) override { return access_.entry_of(index); }
    void will_read(std::span<const int64_t> indices) override { access_.will_read(indices); }
    std::unique_ptr<RandomAccess> clone_access() override { return access_.clone_access(); }
    int threads() const override { return recording_->threads(); }
    DecodeCounters counters() const override {
        DecodeCounters counters = access_.counters();
        counters += in_order_.counters();
        counters += any_order_.counters();
        return counters;
    }

    int64_t frame_count() const override { return recording_->frame_count(); }
    std::optional<FrameRow> row(int64_t index) const override { return recording_->row(index); }
    std::optional<FrameRow> find_number(int64_t number, Match match) const override {
        return recording_->find_number(number, match);
    }
    std::optional<FrameRow> find_time(double time, Match match) const override {
        return recording_->find_time(time, match);
    }
    void visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const override {
        recording_->visit_rows(first, last, visit);
    }
    std::optional<std::pair<int64_t, int64_t>> number_range() const override { return recording_->number_range(); }
    std::optional<std::pair<double, double>> time_range() const override { return recording_->time_range(); }
    bool numbers_ascend() const override { return recording_->numbers_ascend(); }
    std::vector<IndexRun> runs_of_numbers(int64_t low, int64_t high) const override {
        return recording_->runs_of_numbers(low, high);
    }
    std::vector<IndexRun> runs_of_times(double low, double high) const override {
        return recording_->runs_of_times(low, high);
    }
    FrameStamp stamp(int64_t index) override { return recording_->stamp(index); }

    bool has_extra_data() const override { return recording_->has_extra_data(); }
    void visit_extra_data(int64_t first, int64_t last,
                          const std::function<bool(const ExtraRecord&)>& visit) const override {
        recording_->visit_extra_data(first, last, visit);
    }
    std::vector<Json> extra_data_of(int64_t index) override { return recording_->extra_data_of(index); }
    std::vector<Json> extra_data() override {
        return last_read_ < 0 ? std::vector<Json>() : recording_->extra_data_of(last_read_);
    }

    const std::filesystem::path& path() const override { return recording_->path(); }
    bool closed() const override { return recording_->closed(); }
    uint64_t media_bytes() const override { return recording_->media_bytes(); }
    bool incomplete() const override { return recording_->incomplete(); }
    const std::vector<std::string>& warnings() const override { return recording_->warnings(); }
    const Json& user_metadata() const override { return recording_->user_metadata(); }

    const SourceInfo& info() const override {
        const SourceInfo& below = recording_->info();
        info_.frame_count = below.frame_count;
        info_.media_bytes = below.media_bytes;
        if (info_.image_type.empty() && !looked_ && frame_count() > 0) learn_image_type();
        return info_;
    }

private:
    void learn_image_type() const {
        looked_ = true;
        try {
            info_.image_type = ImageType::of(access_.at_index(0).image);
        } catch (const Error&) {
            // A first frame that is damaged hides no others; whoever reads it is told.
            return;
        }
    }

    std::unique_ptr<Recording> recording_;
    std::unique_ptr<FrameSource> frames_;
    mutable PlacedAccess access_;
    SequentialReader in_order_;
    ParallelReader any_order_;
    mutable SourceInfo info_;
    mutable bool looked_ = false;
    int64_t last_read_ = -1;  ///< the frame extra_data() speaks of
};

}  // namespace

std::unique_ptr<Recording> filtered_recording(std::unique_ptr<Recording> recording,
                                              std::vector<std::unique_ptr<Filter>> filters) {
    if (filters.empty()) return recording;
    return std::make_unique<FilteredRecording>(std::move(recording), std::move(filters));
}

}  // namespace reelstore
