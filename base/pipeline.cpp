#include "base/pipeline.h"

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <deque>
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
/// Frames that a filter may still make of one when a stop was requested.
constexpr int64_t kMostGivenSinceStop = 1000;
/// Seconds; longer waits would overflow the clock.
constexpr double kLongestWait = 1e9;

size_t cost_of(const Frame& frame) {
    return frame.image.total() * frame.image.elemSize() + sizeof(Frame);
}

using FrameQueue = BoundedQueue<Frame>;

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

/// What lies between two queues: filters that change each frame by itself, which several threads may run, or one that
/// does not. Frames leave in the order in which they came.
class Stage {
public:
    Stage(std::vector<Filter*> filters, int threads, FrameQueue& in, FrameQueue& out, FirstError& error,
          std::stop_token stop)
        : filters_(std::move(filters)), in_(in), out_(out), error_(error), stop_(std::move(stop)), working_(threads) {
        for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
    }

private:
    void work() {
        while (true) {
            std::unique_lock taking(taking_);
            std::optional<Frame> frame = in_.pop();
            const int64_t place = frame ? taken_++ : 0;
            taking.unlock();
            if (!frame || !pass_on(std::move(*frame), place)) break;
        }
        const std::lock_guard lock(giving_);
        if (--working_ > 0) return;
        if (!ended_) guarded([this] { filters_.back()->finish([this](Frame frame) { give(std::move(frame)); }); });
        out_.close();
    }

    /// Filters the frame that was taken as the `place`th and hands it on behind those taken before. False when nothing
    /// more is to come.
    bool pass_on(Frame frame, int64_t place) {
        // Most filters give one frame, which waits until it is its turn; what others give goes on at once.
        if (!filters_.front()->each_by_itself()) {
            given_since_stop_ = 0;
            guarded(
                [&] { filters_.front()->push(std::move(frame), [this](Frame result) { give(std::move(result)); }); });
            return !ended_;
        }
        std::exception_ptr error;
        try {
            for (Filter* filter : filters_) {
                Frame result;
                filter->push(std::move(frame), [&](Frame given) { result = std::move(given); });
                frame = std::move(result);
            }
        } catch (...) {
            error = std::current_exception();
        }
        std::unique_lock lock(giving_);
        turn_.wait(lock, [&] { return ended_ || given_ == place; });
        given_since_stop_ = 0;
        if (error && !ended_) end(error);
        if (!ended_) give(std::move(frame));
        ++given_;
        turn_.notify_all();
        return !ended_;
    }

    void give(Frame frame) {
        // Whoever wants to stop does not wait until a filter has repeated a frame a million times.
        if (stop_.stop_requested() && ++given_since_stop_ > kMostGivenSinceStop) return end(nullptr);
        const size_t cost = cost_of(frame);
        if (!ended_ && !out_.push(std::move(frame), cost)) end(nullptr);
    }

    template <typename Work>
    void guarded(Work filter) {
        try {
            filter();
        } catch (...) {
            end(std::current_exception());
        }
    }

    void end(std::exception_ptr error) {
        if (error) error_.set(std::move(error));
        ended_ = true;
        in_.abort();
    }

    std::vector<Filter*> filters_;
    FrameQueue& in_;
    FrameQueue& out_;
    FirstError& error_;
    std::stop_token stop_;
    int64_t given_since_stop_ = 0;  ///< for one frame, where there is one thread
    std::mutex taking_;             ///< held while a frame is waited for, so that places follow the queue
    int64_t taken_ = 0;
    std::mutex giving_;  ///< for all below, where there are several threads
    std::condition_variable turn_;
    int64_t given_ = 0;
    bool ended_ = false;
    int working_;
    std::vector<std::jthread> threads_;
};

/// Ends a first pass: what frames under way would tell is of no use any more.
struct FirstPassStopped {};

/// Shows frames to a filter that has to see all of them first.
class FirstPassSink : public FrameSink {
public:
    FirstPassSink(Filter& filter, std::stop_token stop) : filter_(filter), stop_(std::move(stop)) {}
    void write(const Frame& frame) override {
        if (stop_.stop_requested()) throw FirstPassStopped();
        filter_.first_pass(frame);
    }
    void close() override {}

private:
    Filter& filter_;
    std::stop_token stop_;
};

class Run {
public:
    Run(FrameSource& source, std::vector<Filter*> filters, FrameSink& sink, const PipelineOptions& options,
        std::optional<int64_t> expected, std::stop_token stop)
        : source_(source),
          filters_(std::move(filters)),
          sink_(sink),
          options_(options),
          expected_(expected),
          stop_(std::move(stop)) {}

    PipelineResult operator()() {
        const std::vector<std::vector<Filter*>> groups = stages();
        // One part for each queue, and one for reading ahead.
        const size_t part = options_.queue_bytes / (groups.size() + 2);
        ahead_bytes_ = part;
        for (size_t i = 0; i <= groups.size(); ++i) queues_.emplace_back(part);
        const int threads = thread_count(options_.filter_threads);
        {
            // What was read before an error of the source is still filtered and written; nothing is once the sink
            // fails.
            std::jthread reader([this] {
                guarded([this] { read(); }, [] {});
                queues_.front().close();
            });
            std::deque<Stage> running;
            for (size_t i = 0; i < groups.size(); ++i) {
                const int workers = groups[i].front()->each_by_itself() ? threads : 1;
                running.emplace_back(groups[i], workers, queues_[i], queues_[i + 1], error_, stop_);
            }
            std::jthread writer([this] {
                guarded([this] { write(); }, [this] { queues_.back().abort(); });
                done();
            });
            report_until_done();
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
    /// The filters by stages: those that each have a thread, and rows of those that change each frame by itself.
    std::vector<std::vector<Filter*>> stages() const {
        std::vector<std::vector<Filter*>> groups;
        for (Filter* filter : filters_) {
            const bool joins = !groups.empty() && filter->each_by_itself() && groups.back().front()->each_by_itself();
            if (joins) {
                groups.back().push_back(filter);
            } else {
                groups.push_back({filter});
            }
        }
        return groups;
    }

    template <typename Stage, typename OnError>
    void guarded(Stage stage, OnError on_error) {
        try {
            stage();
        } catch (...) {
            error_.set(std::current_exception());
            on_error();
        }
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
        ahead.ahead_bytes = ahead_bytes_;
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
                pacer.wait(frame->time, [this] {
                    return stop_.stop_requested() || queues_.front().closed() || queues_.back().closed();
                });
            // Frames that come out of filters bring theirs, by which those that repeat are known for the same.
            if (!frame->extra_data) {
                std::vector<Json> records =
                    random_access ? random_access->extra_data_of(frame->index) : source_.extra_data();
                if (!records.empty()) frame->extra_data = std::make_shared<const std::vector<Json>>(std::move(records));
            }
            if (options_.time) frame->time = options_.time(*frame);
            if (!options_.keep_numbers) frame->number = options_.first_number + passed;
            ++passed;
            ++frames_read_;
            const size_t cost = cost_of(*frame);
            if (!queues_.front().push(std::move(*frame), cost)) return;
        }
    }

    void write() {
        std::shared_ptr<const std::vector<Json>> records;
        while (std::optional<Frame> frame = queues_.back().pop()) {
            sink_.write(*frame);
            // Of a frame that a filter repeats, the first has them.
            if (frame->extra_data && frame->extra_data != records) {
                records = frame->extra_data;
                for (const Json& record : *records) sink_.write_extra_data(record);
            }
            ++written_;
        }
    }

    void done() {
        const std::lock_guard lock(done_mutex_);
        done_ = true;
        all_done_.notify_all();
    }

    void report_until_done() {
        std::unique_lock lock(done_mutex_);
        while (!all_done_.wait_for(lock, kProgressInterval, [this] { return done_; })) report(false);
    }

    void report(bool last) {
        if (!options_.progress) return;
        const auto now = steady_clock::now();
        if (!last && now - last_report_ < kProgressInterval) return;
        last_report_ = now;
        options_.progress({.frames_read = frames_read_, .frames_written = written_, .frames_expected = expected_});
    }

    FrameSource& source_;
    std::vector<Filter*> filters_;
    FrameSink& sink_;
    PipelineOptions options_;
    std::optional<int64_t> expected_;  ///< frames for the sink
    std::stop_token stop_;
    std::deque<FrameQueue> queues_;  ///< before each stage, and before the sink
    size_t ahead_bytes_ = 0;
    FirstError error_;
    PipelineResult result_;  // its damage members belong to the reading thread until that has been joined
    std::atomic<int64_t> frames_read_ = 0;
    std::atomic<int64_t> written_ = 0;
    std::unique_ptr<ReadAhead> ahead_;  // for a source with random access
    int64_t position_ = 0;              // frames taken from a source that only reads forward
    steady_clock::time_point last_report_ = steady_clock::now();
    std::mutex done_mutex_;
    std::condition_variable all_done_;
    bool done_ = false;
};

/// What is known of the frames that are selected.
SourceInfo selected_info(const FrameSource& source, const PipelineOptions& options) {
    SourceInfo info = source.info();
    if (info.frame_count)
        info.frame_count = std::max<int64_t>(0, (*info.frame_count - options.start + options.step - 1) / options.step);
    if (options.frames)
        info.frame_count = info.frame_count ? std::min(*info.frame_count, *options.frames) : *options.frames;
    if (info.frame_rate) *info.frame_rate /= static_cast<double>(options.step);
    return info;
}

/// Gives every frame to a filter that has to see them first, as those before it in the row make them. False when that
/// was stopped.
bool make_first_pass(FrameSource& source, const std::vector<Filter*>& before, std::optional<int64_t> expected,
                     Filter& filter, const PipelineOptions& options, const std::stop_token& stop) {
    Filters own;
    std::vector<Filter*> row;
    for (const Filter* each : before) {
        own.push_back(each->fresh());
        if (!own.back())
            throw Error(ErrorCode::unsupported,
                        "a filter that has to see all frames first cannot stand behind one that cannot begin anew");
        row.push_back(own.back().get());
    }
    PipelineOptions looking = options;
    looking.realtime = false;
    looking.time = {};
    looking.progress = {};
    if (options.progress) {
        looking.progress = [&](PipelineProgress progress) {
            progress.first_pass = true;
            options.progress(progress);
        };
    }
    FirstPassSink sink(filter, stop);
    bool cancelled = false;
    try {
        cancelled = Run(source, std::move(row), sink, looking, expected, stop)().cancelled;
    } catch (const FirstPassStopped&) {
        return false;
    }
    filter.end_first_pass();
    if (!source.random_access() && !source.rewind()) throw cannot_be_read_twice(source.info());
    return !cancelled;
}

void close_after_error(FrameSink& sink) {
    try {
        sink.close();
    } catch (const std::exception&) {
        // What ended the work comes first.
        return;
    }
}

}  // namespace

PipelineResult run_pipeline(FrameSource& source, const Filters& filters, FrameSink& sink,
                            const PipelineOptions& given_options, std::stop_token stop) {
    PipelineOptions options = given_options;
    if (options.step < 1) throw Error(ErrorCode::invalid_argument, "the step must be at least 1");
    options.step = std::min(options.step, kLongestStep);
    if (options.start < 0) throw Error(ErrorCode::invalid_argument, "the start must not be negative");
    SourceInfo info = selected_info(source, options);
    std::vector<Filter*> row;
    for (const std::unique_ptr<Filter>& filter : filters) {
        const std::optional<int64_t> expected = info.frame_count;
        filter->begin(info);
        if (filter->needs_first_pass()) {
            // Asked before any frame is read, so that a camera is not watched in vain.
            if (!source.random_access() && !source.rewind()) throw cannot_be_read_twice(source.info());
            bool complete = false;
            try {
                complete = make_first_pass(source, row, expected, *filter, options, stop);
            } catch (...) {
                close_after_error(sink);
                throw;
            }
            if (!complete) {
                sink.close();
                PipelineResult result;
                result.cancelled = true;
                return result;
            }
        }
        row.push_back(filter.get());
    }
    return Run(source, std::move(row), sink, options, info.frame_count, std::move(stop))();
}

}  // namespace reelstore
