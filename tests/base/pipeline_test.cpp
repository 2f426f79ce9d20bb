#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include <opencv2/core.hpp>

#include "base/bounded_queue.h"
#include "base/error.h"
#include "base/pipeline.h"

using namespace reelstore;

namespace {

cv::Mat tiny_image(int64_t number) {
    return cv::Mat(4, 4, CV_8UC1, cv::Scalar(static_cast<double>(number % 251)));
}

/// Frames 0..count-1; can count what is alive, fail at a frame and read at random.
class CountingSource : public FrameSource, public RandomAccess {
public:
    explicit CountingSource(int64_t count, bool random_access = false) : count_(count), random_access_(random_access) {
        info_.name = "counting";
        info_.frame_count = count;
    }
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override {
        if (next_ >= count_) return std::nullopt;
        return at_index(next_++);
    }
    RandomAccess* random_access() override { return random_access_ ? this : nullptr; }
    int64_t frame_count() const override { return count_; }
    Frame at_index(int64_t index) override {
        last_ = index;
        if (index == damaged) throw Error(ErrorCode::corrupt, "frame " + std::to_string(index) + " is damaged");
        ++reads;
        Frame frame;
        frame.image = tiny_image(index);
        frame.index = index;
        frame.number = 100 + index;
        frame.time = static_cast<double>(index) * interval;
        return frame;
    }
    std::vector<Json> extra_data() override { return extra_data_of(last_); }
    std::vector<Json> extra_data_of(int64_t index) override {
        return index % 10 == 0 ? std::vector<Json>{{{"at", index}}} : std::vector<Json>{};
    }

    int64_t damaged = -1;
    double interval = 1;
    std::atomic<int64_t> reads = 0;

private:
    SourceInfo info_;
    int64_t count_;
    bool random_access_;
    int64_t next_ = 0;
    int64_t last_ = -1;
};

class CollectingSink : public FrameSink {
public:
    void write(const Frame& frame) override {
        if (static_cast<int64_t>(frames.size()) == fail_at) throw Error(ErrorCode::no_space, "the disk is full");
        if (delay.count() > 0) std::this_thread::sleep_for(delay);
        frames.push_back(frame);
        ++written;
    }
    void write_extra_data(const Json& record) override {
        extra.emplace_back(frames.back().index, record["at"].get<int64_t>());
    }
    void close() override { ++closed; }

    std::vector<Frame> frames;
    std::vector<std::pair<int64_t, int64_t>> extra;
    int64_t fail_at = -1;
    std::chrono::milliseconds delay{0};
    std::atomic<int64_t> written = 0;
    int closed = 0;
};

/// Passes every frame `times` times and one more for each at the end.
class RepeatFilter : public Filter {
public:
    explicit RepeatFilter(int times) : times_(times) {}
    void push(Frame frame, const Receiver& receiver) override {
        for (int i = 0; i < times_; ++i) receiver(frame);
        last_ = frame;
    }
    void finish(const Receiver& receiver) override { receiver(last_); }

private:
    int times_;
    Frame last_;
};

/// Adds the image before to each image; frames then depend on one before them.
class SumFilter : public Filter {
public:
    void push(Frame frame, const Receiver& receiver) override {
        cv::Mat sum = frame.image.clone();
        if (!last_.empty()) sum += last_;
        last_ = frame.image;
        receiver(with_image(std::move(frame), sum));
    }
    std::optional<FilterReach> reach() const override { return FilterReach{1, 0}; }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<SumFilter>(); }

private:
    cv::Mat last_;
};

/// Takes the sum of the first pixels of all frames, which it has to see first, for each frame's number.
class NumberBySum : public Filter {
public:
    void begin(SourceInfo& info) override { expected = info.frame_count.value_or(-1); }
    bool needs_first_pass() const override { return true; }
    void first_pass(const Frame& frame) override { sum_ += frame.image.at<uint8_t>(0, 0); }
    void end_first_pass() override { ++passes; }
    void push(Frame frame, const Receiver& receiver) override {
        frame.number = sum_;
        receiver(std::move(frame));
    }

    int passes = 0;
    int64_t expected = 0;

private:
    int64_t sum_ = 0;
};

/// Puts another object between a source and its random access, so that it only comes forward.
class ForwardSource : public FrameSource {
public:
    ForwardSource(int64_t count, bool can_begin_anew) : count_(count), can_begin_anew_(can_begin_anew) { rewind(); }
    const SourceInfo& info() const override { return source_->info(); }
    std::optional<Frame> next() override { return source_->next(); }
    bool rewind() override {
        if (source_ && !can_begin_anew_) return false;
        source_ = std::make_unique<CountingSource>(count_);
        return true;
    }

private:
    int64_t count_;
    bool can_begin_anew_;
    std::unique_ptr<CountingSource> source_;
};

std::vector<int64_t> indices(const CollectingSink& sink) {
    std::vector<int64_t> list;
    for (const Frame& frame : sink.frames) list.push_back(frame.index);
    return list;
}

}  // namespace

TEST_SUITE("threads") {
    TEST_CASE("a pipeline passes every frame on in order, with its extra data, and closes the sink") {
        CountingSource source(1000);
        CollectingSink sink;
        PipelineOptions options;
        options.keep_numbers = true;
        int64_t last_progress = -1;
        options.progress = [&](const PipelineProgress& progress) {
            CHECK(progress.frames_expected == 1000);
            CHECK(progress.frames_written >= last_progress);
            last_progress = progress.frames_written;
        };
        const PipelineResult result = run_pipeline(source, {}, sink, options);
        CHECK(result.frames_written == 1000);
        CHECK(last_progress == 1000);
        CHECK_FALSE(result.cancelled);
        CHECK(sink.closed == 1);
        REQUIRE(sink.frames.size() == 1000);
        for (int64_t i = 0; i < 1000; ++i) {
            CHECK(sink.frames[static_cast<size_t>(i)].index == i);
            CHECK(sink.frames[static_cast<size_t>(i)].number == 100 + i);
        }
        REQUIRE(sink.extra.size() == 100);
        for (const auto& [frame, at] : sink.extra) CHECK(frame == at);
    }

    TEST_CASE("start, step and frames select; numbers count from 0 unless they are kept") {
        for (const bool random_access : {false, true}) {
            CountingSource source(100, random_access);
            CollectingSink sink;
            PipelineOptions options;
            options.start = 10;
            options.step = 7;
            options.frames = 5;
            run_pipeline(source, {}, sink, options);
            CHECK(indices(sink) == std::vector<int64_t>{10, 17, 24, 31, 38});
            for (size_t i = 0; i < 5; ++i) CHECK(sink.frames[i].number == static_cast<int64_t>(i));
            // A source that can jump is not read where nothing is wanted.
            CHECK(source.reads == (random_access ? 5 : 39));
        }
    }

    TEST_CASE("more frames than there are end with the source") {
        CountingSource source(3);
        CollectingSink sink;
        PipelineOptions options;
        options.frames = 10;
        CHECK(run_pipeline(source, {}, sink, options).frames_written == 3);
        CountingSource none(0);
        CollectingSink empty;
        CHECK(run_pipeline(none, {}, empty).frames_written == 0);
        CHECK(empty.closed == 1);
    }

    TEST_CASE("filters may repeat frames and hold some back until the end") {
        CountingSource source(3);
        CollectingSink sink;
        std::vector<std::unique_ptr<Filter>> filters;
        filters.push_back(std::make_unique<RepeatFilter>(2));
        filters.push_back(std::make_unique<RepeatFilter>(1));
        run_pipeline(source, filters, sink);
        CHECK(indices(sink) == std::vector<int64_t>{0, 0, 1, 1, 2, 2, 2, 2});
        CHECK(sink.extra.size() == 1);
    }

    TEST_CASE("filters of single frames run on several threads, in order, between others") {
        CountingSource source(3000);
        CollectingSink sink;
        Filters filters;
        std::atomic<int> running = 0;
        std::atomic<int> most = 0;
        filters.push_back(image_filter([&](const cv::Mat& image) {
            most = std::max(most.load(), ++running);
            if (image.at<uint8_t>(0, 0) % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
            cv::Mat changed = image + 1;
            --running;
            return changed;
        }));
        filters.push_back(image_filter([](const cv::Mat& image) { return cv::Mat(image * 0.5); }));
        filters.push_back(std::make_unique<SumFilter>());
        filters.push_back(image_filter([](const cv::Mat& image) { return cv::Mat(image + 3); }));
        PipelineOptions options;
        options.filter_threads = 4;
        options.queue_bytes = 20000;
        run_pipeline(source, filters, sink, options);
        CHECK(most > 1);
        REQUIRE(sink.frames.size() == 3000);
        const auto halved = [](int64_t index) {
            return index < 0 ? cv::Mat(cv::Mat::zeros(4, 4, CV_8UC1)) : cv::Mat((tiny_image(index) + 1) * 0.5);
        };
        for (int64_t i = 0; i < 3000; ++i) {
            const Frame& frame = sink.frames[static_cast<size_t>(i)];
            CHECK(frame.index == i);
            const cv::Mat expected = halved(i) + halved(i - 1) + 3;
            CHECK(cv::norm(frame.image, expected, cv::NORM_INF) == 0);
        }
        CHECK(sink.extra.size() == 300);
        for (const auto& [frame, at] : sink.extra) CHECK(frame == at);
    }

    TEST_CASE("an error of a filter is thrown when the frames before it are written") {
        for (const int threads : {1, 4}) {
            CountingSource source(200);
            CollectingSink sink;
            Filters filters;
            filters.push_back(image_filter([](const cv::Mat& image) {
                if (image.at<uint8_t>(0, 0) == 77) throw Error(ErrorCode::wrong_type, "nothing for me");
                return image;
            }));
            filters.push_back(std::make_unique<SumFilter>());
            PipelineOptions options;
            options.filter_threads = threads;
            CHECK_THROWS_WITH_AS(run_pipeline(source, filters, sink, options), "frame index 77: nothing for me", Error);
            CHECK(sink.closed == 1);
            REQUIRE(sink.frames.size() == 77);
            CHECK(sink.frames.back().index == 76);
        }
    }

    TEST_CASE("a sink that fails stops filters and source") {
        CountingSource source(100000);
        CollectingSink sink;
        sink.fail_at = 20;
        Filters filters;
        filters.push_back(image_filter([](const cv::Mat& image) { return image; }));
        filters.push_back(std::make_unique<SumFilter>());
        filters.push_back(image_filter([](const cv::Mat& image) { return image; }));
        PipelineOptions options;
        options.filter_threads = 3;
        options.queue_bytes = 4000;
        CHECK_THROWS_WITH_AS(run_pipeline(source, filters, sink, options), "the disk is full", Error);
        CHECK(source.reads < 200);
    }

    TEST_CASE("a filter that has to see all frames first sees those that are selected, through the filters before it") {
        for (const int kind : {0, 1}) {
            std::unique_ptr<FrameSource> source;
            if (kind == 0) source = std::make_unique<CountingSource>(60, true);
            if (kind == 1) source = std::make_unique<ForwardSource>(60, true);
            CollectingSink sink;
            Filters filters;
            filters.push_back(std::make_unique<SumFilter>());
            filters.push_back(std::make_unique<NumberBySum>());
            auto& summing = static_cast<NumberBySum&>(*filters.back());
            PipelineOptions options;
            options.start = 10;
            options.frames = 3;
            options.keep_numbers = true;
            bool looked = false;
            options.progress = [&](const PipelineProgress& progress) {
                looked = looked || (progress.first_pass && progress.frames_read == 3);
                CHECK(progress.frames_expected == 3);
            };
            run_pipeline(*source, filters, sink, options);
            CHECK(looked);
            CHECK(summing.passes == 1);
            CHECK(summing.expected == 3);
            REQUIRE(indices(sink) == std::vector<int64_t>{10, 11, 12});
            for (const Frame& frame : sink.frames) {
                CHECK(frame.number == 10 + (10 + 11) + (11 + 12));
                const int64_t index = frame.index;
                CHECK(frame.image.at<uint8_t>(0, 0) == (index == 10 ? 10 : 2 * index - 1));
            }
        }
        ForwardSource once(60, false);
        CollectingSink sink;
        Filters filters;
        filters.push_back(std::make_unique<NumberBySum>());
        CHECK_THROWS_WITH_AS(run_pipeline(once, filters, sink), doctest::Contains("come only once"), Error);
        Filters behind;
        behind.push_back(std::make_unique<RepeatFilter>(2));
        behind.push_back(std::make_unique<NumberBySum>());
        CountingSource source(60, true);
        CHECK_THROWS_WITH_AS(run_pipeline(source, behind, sink), doctest::Contains("cannot begin anew"), Error);
    }

    TEST_CASE("a stop request does not wait for a filter that repeats a frame very often") {
        CountingSource source(100, true);
        CollectingSink sink;
        Filters filters;
        filters.push_back(std::make_unique<RepeatFilter>(2000000));
        std::stop_source stop;
        PipelineOptions options;
        options.queue_bytes = 1000;
        sink.delay = std::chrono::milliseconds(1);
        options.progress = [&](const PipelineProgress&) { stop.request_stop(); };
        const PipelineResult result = run_pipeline(source, filters, sink, options, stop.get_token());
        CHECK(result.cancelled);
        CHECK(result.frames_written < 20000);
        CHECK(sink.closed == 1);
    }

    TEST_CASE("a first pass that is stopped writes nothing and closes the sink") {
        CountingSource source(100000, true);
        CollectingSink sink;
        Filters filters;
        filters.push_back(std::make_unique<NumberBySum>());
        std::stop_source stop;
        PipelineOptions options;
        options.progress = [&](const PipelineProgress& progress) {
            if (progress.first_pass && progress.frames_read > 10) stop.request_stop();
        };
        // Slow enough for a report to come in between.
        filters.insert(filters.begin(), image_filter([](const cv::Mat& image) {
                           std::this_thread::sleep_for(std::chrono::milliseconds(1));
                           return image;
                       }));
        CHECK(run_pipeline(source, filters, sink, options, stop.get_token()).cancelled);
        CHECK(sink.frames.empty());
        CHECK(sink.closed == 1);
    }

    TEST_CASE("an error of a first pass closes the sink and is thrown") {
        CountingSource source(100, true);
        source.damaged = 20;
        CollectingSink sink;
        Filters filters;
        filters.push_back(std::make_unique<NumberBySum>());
        CHECK_THROWS_WITH_AS(run_pipeline(source, filters, sink), "frame 20 is damaged", Error);
        CHECK(sink.frames.empty());
        CHECK(sink.closed == 1);
    }

    TEST_CASE("an error of any stage stops the others, closes the sink and is thrown") {
        CountingSource source(100000);
        CollectingSink sink;
        sink.fail_at = 50;
        CHECK_THROWS_WITH_AS(run_pipeline(source, {}, sink), "the disk is full", Error);
        CHECK(sink.closed == 1);
        CHECK(sink.frames.size() == 50);

        CountingSource broken(100);
        broken.damaged = 20;
        CollectingSink before;
        CHECK_THROWS_WITH_AS(run_pipeline(broken, {}, before), "frame 20 is damaged", Error);
        CHECK(before.closed == 1);
        CHECK(before.frames.size() == 20);
    }

    TEST_CASE("damaged frames can be left out and are counted") {
        for (const bool random_access : {false, true}) {
            CountingSource source(30, random_access);
            source.damaged = 20;
            CollectingSink sink;
            PipelineOptions options;
            options.skip_damaged = true;
            const PipelineResult result = run_pipeline(source, {}, sink, options);
            CHECK(result.frames_written == 29);
            CHECK(result.frames_damaged == 1);
            CHECK(result.first_damage == "frame 20 is damaged");
        }
    }

    TEST_CASE("a stop request ends the run with a closed sink and what was read") {
        CountingSource source(1 << 30);
        CollectingSink sink;
        std::stop_source stop;
        std::jthread stopper([&] {
            while (sink.written < 100) std::this_thread::yield();
            stop.request_stop();
        });
        const PipelineResult result = run_pipeline(source, {}, sink, {}, stop.get_token());
        CHECK(result.cancelled);
        CHECK(sink.closed == 1);
        CHECK(result.frames_written == static_cast<int64_t>(sink.frames.size()));
        CHECK(result.frames_written >= 100);
    }

    TEST_CASE("a slow sink holds the source back: memory stays bounded") {
        CountingSource source(200);
        CollectingSink sink;
        sink.delay = std::chrono::milliseconds(1);
        PipelineOptions options;
        options.queue_bytes = 1000;  // a few frames with their overhead
        int64_t ahead = 0;
        options.time = [&](const Frame& frame) {
            ahead = std::max(ahead, frame.index - sink.written);
            return frame.time;
        };
        run_pipeline(source, {}, sink, options);
        CHECK(sink.frames.size() == 200);
        CHECK(ahead < 30);
    }

    TEST_CASE("real time paces frames by their own times") {
        CountingSource source(6);
        source.interval = 0.02;
        CollectingSink sink;
        PipelineOptions options;
        options.realtime = true;
        const auto start = std::chrono::steady_clock::now();
        run_pipeline(source, {}, sink, options);
        // Never faster than the recording; how much slower is the machine's business.
        CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(100));
    }

    TEST_CASE("a closed queue gives out what waits and takes nothing more") {
        BoundedQueue<int> queue(10);
        CHECK(queue.push(1, 4));
        CHECK(queue.push(2, 6));
        std::atomic<bool> pushed = false;
        std::jthread pusher([&] {
            CHECK(queue.push(3, 100));  // dearer than the whole queue: passes once it is empty
            pushed = true;
        });
        CHECK(queue.pop() == 1);
        CHECK_FALSE(pushed);
        CHECK(queue.pop() == 2);
        CHECK(queue.pop() == 3);
        pusher.join();
        CHECK(queue.push(4, 1));
        queue.close();
        CHECK_FALSE(queue.push(5, 1));
        CHECK(queue.pop() == 4);
        CHECK_FALSE(queue.pop());
        BoundedQueue<int> aborted(10);
        CHECK(aborted.push(1, 1));
        aborted.abort();
        CHECK_FALSE(aborted.pop());
    }

}  // TEST_SUITE
