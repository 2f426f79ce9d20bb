#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>

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
