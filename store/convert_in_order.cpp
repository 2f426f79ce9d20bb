#include "store/convert_in_order.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "base/pipeline.h"
#include "store/frame_equality.h"
#include "store/store_contents.h"

namespace reelstore {

namespace {

/// The events of the frames that are selected, handed out in their order.
class EventsInOrder {
public:
    explicit EventsInOrder(const CopySource& source) {
        const StoreReader& store = *source.store;
        const std::vector<EventRow> all = sorted_events(store);
        int64_t done = -1;
        for (const EventRow& event : all) {
            // Those behind the last frame belong to it.
            const int64_t index = std::min(*event.frame_index, store.frame_count() - 1);
            if (index <= done) continue;
            done = index;
            if (!is_selected(source, index)) continue;
            for (EventRow& own : events_of_run(all, store, {index, index + 1})) {
                if (!synthetic_chunk_of(own)) waiting_.emplace_back(index, std::move(own));
            }
        }
    }

    /// Adds those of the frames up to `index` to the frame that was written last.
    void add_up_to(int64_t index, StoreWriter& output) {
        for (; !waiting_.empty() && waiting_.front().first <= index; waiting_.pop_front()) {
            EventRow& event = waiting_.front().second;
            event.frame_index = output.frame_count() - 1;
            output.add_event(event);
        }
    }

private:
    static bool is_selected(const CopySource& source, int64_t index) {
        if (source.frames.within(index, index + 1).runs.empty()) return false;
        return !source.frames.wanted || source.frames.wanted(source.store->row(index).value());
    }

    std::deque<std::pair<int64_t, EventRow>> waiting_;
};

/// Hands frames to the writer of the new store, and events with them.
class ConvertedFrames : public FrameSink {
public:
    ConvertedFrames(const CopySource& source, StoreWriter& output)
        : source_(source), output_(output), events_(source) {}

    void write(const Frame& frame) override {
        try {
            output_.write(frame);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::wrong_type) throw;
            throw Error(error.code(), {source_.store->folder().string(), {}, frame.index},
                        fmt::format("behind the filters, the frame is {}: {}", ImageType::of(frame.image).text(),
                                    error.message()));
        }
        if (frames_++ == 0) first_ = last_ = frame.index;
        first_ = std::min(first_, frame.index);
        last_ = std::max(last_, frame.index);
        events_.add_up_to(last_, output_);
    }
    void write_extra_data(const Json& record) override { output_.write_extra_data(record); }
    /// The writer is closed by the one to whom it belongs.
    void close() override {}

    int64_t frames() const { return frames_; }
    int64_t first() const { return first_; }
    int64_t last() const { return last_; }

private:
    const CopySource& source_;
    StoreWriter& output_;
    EventsInOrder events_;
    int64_t frames_ = 0;
    int64_t first_ = 0;  ///< indices in the source
    int64_t last_ = 0;
};

/// Compares frames with those of a store, one after the other.
class ComparedFrames : public FrameSink {
public:
    ComparedFrames(StoreReader& copies, ConversionCheck& check)
        : copies_(copies, {{{0, copies.frame_count()}}}), check_(check) {}

    void write(const Frame& frame) override {
        compare_records();
        expected_.clear();
        const int64_t index = check_.frames++;
        try {
            const std::optional<Frame> copy = copies_.next();
            found_ = copies_.extra_data();
            if (!copy) {
                check_.add_difference(index, "is missing");
            } else if (copy->number != frame.number || !same_time(copy->time, frame.time)) {
                check_.add_difference(index, "has another number or time");
            } else if (check_.exact ? !same_pixels(copy->image, frame.image)
                                    : !(ImageType::of(copy->image) == ImageType::of(frame.image))) {
                check_.add_difference(index, "has other pixels");
            }
        } catch (const Error& error) {
            found_.clear();
            check_.add_difference(index, error.what());
        }
    }
    void write_extra_data(const Json& record) override { expected_.push_back(record); }
    void close() override { compare_records(); }

private:
    /// Those of the frame before have all come by now.
    void compare_records() {
        if (expected_ != found_) check_.add_difference(check_.frames - 1, "has other extra data");
        found_ = expected_ = {};
    }

    SelectedFrames copies_;
    ConversionCheck& check_;
    std::vector<Json> found_;
    std::vector<Json> expected_;
};

PipelineOptions pipeline_options() {
    PipelineOptions options;
    options.keep_numbers = true;
    return options;
}

}  // namespace

ConvertResult convert_in_order(const CopySource& source, const Filters& filters, StoreWriter& output,
                               const ConvertOptions& options) {
    SelectedFrames frames(*source.store, source.frames);
    ConvertedFrames sink(source, output);
    PipelineOptions pipeline = pipeline_options();
    pipeline.skip_damaged = options.skip_damaged;
    pipeline.filter_threads = options.threads;
    pipeline.queue_bytes = std::min(options.ahead_bytes, kInOrderBytes);
    pipeline.progress = [&](const PipelineProgress& progress) {
        const auto& tell = progress.first_pass ? options.first_pass_progress : options.progress;
        if (tell) tell(progress.frames_read);
    };
    ConvertResult result;
    const auto finish = [&] {
        result.frames = sink.frames();
        if (sink.frames() == 0) return;
        const FrameRow first = source.store->row(sink.first()).value();
        result.last = source.store->row(sink.last());
        output.add_event(copied_event(*source.store, first, result.last.value(), sink.frames(), 0, options.filters));
    };
    try {
        const PipelineResult done = run_pipeline(frames, filters, sink, pipeline, options.stop);
        result.frames_damaged = done.frames_damaged;
        if (done.frames_damaged > 0) result.damage.push_back(done.first_damage);
        result.cancelled = done.cancelled;
    } catch (...) {
        try {
            finish();
        } catch (const Error&) {
            // What ended the work comes first.
        }
        throw;
    }
    finish();
    return result;
}

ConversionCheck check_in_order(const CopySource& source, const Filters& filters, StoreReader& converted,
                               const ConversionCheckOptions& options) {
    ConversionCheck check;
    check.exact = converted.lossless();
    SelectedFrames frames(*source.store, source.frames);
    ComparedFrames sink(converted, check);
    PipelineOptions pipeline = pipeline_options();
    pipeline.skip_damaged = true;  // they are not in the new store either
    pipeline.progress = [&](const PipelineProgress& progress) {
        if (options.progress && !progress.first_pass) options.progress(progress.frames_read);
    };
    check.cancelled = run_pipeline(frames, filters, sink, pipeline, options.stop).cancelled;
    if (!check.cancelled && converted.frame_count() > check.frames)
        check.add_difference(check.frames, fmt::format("the new store has {} frames more than came through the filters",
                                                       converted.frame_count() - check.frames));
    return check;
}

}  // namespace reelstore
