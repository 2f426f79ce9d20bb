#include "base/pipeline.h"

#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <thread>

#include "base/bounded_queue.h"
#include "base/error.h"
#include "base/parallel_reader.h"

namespace reelstore {

namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr duration<double> kProgressInterval{0.1};
/// Seconds; longer waits would overflow the clock.
constexpr double kLongestWait = 1e9;

/// A frame on its way, with the extra data tied to it.
struct Item {
    Frame frame;
    std::vector<Json> extra_data;
};

size_t cost_of(const Item& item) {
    return item.frame.image.total() * item.frame.image.elemSize() + sizeof(Item);
}

/// Keeps the first error of any stage.
class FirstError {
public:
    void set(std::exception_ptr error) {
        std::lock_guard lock(mutex_);
        if (!error_) error_ = std::move(error);
    }
    void rethrow() {
        std::lock_guard lock(mutex_);
        if (error_) std::rethrow_exception(error_);
    }

private:
    std::mutex mutex_;
    std::exception_ptr error_;
};

/// Waits until a frame is due, counted from the first frame's time.
class Pacer {
public:
    /// Returns early when `give_up` says so.
    template <typename GiveUp>
    void wait(double time, GiveUp give_up) {
        if (!std::isfinite(time)) return;
        if (!started_) {
            started_ = true;
            first_time_ = time;
            start_ = steady_clock::now();
        }
        const auto due = start_ + std::chrono::duration_cast<steady_clock::duration>(
                                      duration<double>(std::min(time - first_time_, kLongestWait)));
        while (!give_up()) {
            const auto left = due - steady_clock::now();
            if (left <= steady_clock::duration::zero()) return;
            std::this_thread::sleep_for(std::min<steady_clock::duration>(left, std::chrono::milliseconds(50)));
        }
    }

private:
    bool started_ = false;
    double first_time_ = 0;
    steady_clock::time_point start_;
};

class Run {
public:
    Run(FrameSource& source, const std::vector<std::unique_ptr<Filter>>& filters, FrameSink& sink,
        const PipelineOptions& options, std::stop_token stop)
        : source_(source),
          filters_(filters),
          sink_(sink),
          options_(options),
          stop_(std::move(stop)),
          to_filters_(options.queue_bytes),
          to_sink_(options.queue_bytes) {}

    PipelineResult operator()() {
        if (options_.step < 1) throw Error(ErrorCode::invalid_argument, "the step must be at least 1");
        options_.step = std::min(options_.step, kLongestStep);
        if (options_.start < 0) throw Error(ErrorCode::invalid_argument, "the start must not be negative");
        set_expected();
        {
            // What was read before an error of the source is still filtered and written; nothing is once the sink
            // fails.
            std::jthread reader([this] {
                guarded([this] { read(); }, [] {});
                to_filters_.close();
            });
            std::jthread writer([this] { guarded([this] { write(); }, [this] { to_sink_.abort(); }); });
            guarded([this] { filter(); }, [] {});
            to_filters_.abort();
            to_sink_.close();
        }
        // The sink is closed even after an error, so that what was written so far is a valid output.
        guarded([this] { sink_.close(); }, [] {});
        report(true);
        error_.rethrow();
        result_.frames_written = written_;
        result_.cancelled = stop_.stop_requested();
        return result_;
    }

private:
    template <typename Stage, typename OnError>
    void guarded(Stage stage, OnError on_error) {
        try {
            stage();
        } catch (...) {
            error_.set(std::current_exception());
            on_error();
        }
    }

    void set_expected() {
        const std::optional<int64_t> count = source_.info().frame_count;
        if (count) expected_ = std::max<int64_t>(0, (*count - options_.start + options_.step - 1) / options_.step);
        if (options_.frames) expected_ = expected_ ? std::min(*expected_, *options_.frames) : *options_.frames;
    }

    /// The next of the frames start, start + step...; nothing behind the end.
    std::optional<Frame> read_at(int64_t position) {
        if (ahead_) return ahead_->next();
        while (position_ < position) {
            ++position_;
            if (!source_.next()) return std::nullopt;
        }
        ++position_;
        return source_.next();
    }

    /// Where frames can be had in any order, those passed over are not read and the others are read ahead.
    void read_ahead(RandomAccess& random_access) {
        const bool bounded = options_.frames && !options_.skip_damaged;
        const auto next_index = [&random_access, bounded, this, index = options_.start,
                                 count = int64_t{0}]() mutable -> std::optional<int64_t> {
            if (index >= random_access.frame_count() || (bounded && count >= *options_.frames)) return std::nullopt;
            ++count;
            return std::exchange(index, index + options_.step);
        };
        ReadAheadOptions ahead;
        ahead.threads = random_access.threads();
        ahead.ahead_bytes = std::min(ahead.ahead_bytes, options_.queue_bytes);
        // Frames that are paced or few are not worth the threads.
        if (options_.realtime || (options_.frames && *options_.frames == 1)) ahead.threads = 1;
        ahead_ = std::make_unique<ReadAhead>(random_access, next_index, ahead);
    }

    void read() {
        Pacer pacer;
        int64_t passed = 0;
        RandomAccess* random_access = source_.random_access();
        if (random_access) read_ahead(*random_access);
        for (int64_t position = options_.start; !stop_.stop_requested(); position += options_.step) {
            if (options_.frames && passed >= *options_.frames) break;
            std::optional<Frame> frame;
            try {
                frame = read_at(position);
            } catch (const Error& error) {
                if (!options_.skip_damaged) throw;
                if (result_.frames_damaged++ == 0) result_.first_damage = error.what();
                continue;
            }
            if (!frame) break;
            if (options_.realtime)
                pacer.wait(frame->time,
                           [this] { return stop_.stop_requested() || to_filters_.closed() || to_sink_.closed(); });
            Item item{std::move(*frame),
                      random_access ? random_access->extra_data_of(frame->index) : source_.extra_data()};
            if (options_.time) item.frame.time = options_.time(item.frame);
            if (!options_.keep_numbers) item.frame.number = options_.first_number + passed;
            ++passed;
            ++frames_read_;
            const size_t cost = cost_of(item);
            if (!to_filters_.push(std::move(item), cost)) return;
        }
    }

    void filter() {
        while (std::optional<Item> item = to_filters_.pop()) {
            std::vector<Json> extra_data = std::move(item->extra_data);
            if (!pass(0, std::move(item->frame), extra_data)) return;
            report(false);
        }
        std::vector<Json> none;
        for (size_t i = 0; i < filters_.size(); ++i) {
            filters_[i]->finish([&](Frame frame) { pass(i + 1, std::move(frame), none); });
        }
    }

    /// Hands a frame to filter `stage`, or to the sink behind the last one; its extra data goes with the first result.
    /// False when the sink takes no more.
    bool pass(size_t stage, Frame frame, std::vector<Json>& extra_data) {
        if (stage < filters_.size()) {
            bool taken = true;
            filters_[stage]->push(std::move(frame),
                                  [&](Frame result) { taken = pass(stage + 1, std::move(result), extra_data); });
            return taken;
        }
        Item item{std::move(frame), std::move(extra_data)};
        extra_data.clear();
        const size_t cost = cost_of(item);
        return to_sink_.push(std::move(item), cost);
    }

    void write() {
        while (std::optional<Item> item = to_sink_.pop()) {
            sink_.write(item->frame);
            for (const Json& record : item->extra_data) sink_.write_extra_data(record);
            ++written_;
        }
    }

    void report(bool last) {
        if (!options_.progress) return;
        const auto now = steady_clock::now();
        if (!last && now - last_report_ < kProgressInterval) return;
        last_report_ = now;
        options_.progress({frames_read_, written_, expected_});
    }

    FrameSource& source_;
    const std::vector<std::unique_ptr<Filter>>& filters_;
    FrameSink& sink_;
    PipelineOptions options_;
    std::stop_token stop_;
    BoundedQueue<Item> to_filters_;
    BoundedQueue<Item> to_sink_;
    FirstError error_;
    PipelineResult result_;  // its damage members belong to the reading thread until that has been joined
    std::atomic<int64_t> frames_read_ = 0;
    std::atomic<int64_t> written_ = 0;
    std::optional<int64_t> expected_;
    std::unique_ptr<ReadAhead> ahead_;  // for a source with random access
    int64_t position_ = 0;              // frames taken from a source that only reads forward
    steady_clock::time_point last_report_ = steady_clock::now();
};

}  // namespace

PipelineResult run_pipeline(FrameSource& source, const std::vector<std::unique_ptr<Filter>>& filters, FrameSink& sink,
                            const PipelineOptions& options, std::stop_token stop) {
    return Run(source, filters, sink, options, std::move(stop))();
}

}  // namespace reelstore
