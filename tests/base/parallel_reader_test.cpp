#include "base/parallel_reader.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/numbered_frames.h"

namespace reelstore {

namespace {

constexpr ImageType kType{.height = 24, .width = 64, .channels = 1, .depth = CV_8U};

/// What all clones of a source do together.
struct Log {
    std::mutex mutex;
    std::vector<int64_t> read;
    std::atomic<int> clones = 0;
    std::atomic<int> in_flight = 0;
    std::atomic<int> most_in_flight = 0;
    int decoder_threads = 0;

    int64_t times_read(int64_t index) {
        const std::lock_guard lock(mutex);
        return std::count(read.begin(), read.end(), index);
    }
};

/// Numbered frames in groups, as a video has them; reading one out of order within its planned group is a failure.
class GroupedSource : public RandomAccess {
public:
    GroupedSource(int64_t count, int64_t group, std::shared_ptr<Log> log = std::make_shared<Log>())
        : count_(count), group_(group), log_(std::move(log)) {}

    int64_t frame_count() const override { return count_; }

    Frame at_index(int64_t index) override {
        if (index < 0 || index >= count_) throw Error(ErrorCode::invalid_argument, "outside");
        if (index == damaged) throw Error(ErrorCode::corrupt, "damaged " + std::to_string(index));
        {
            const std::lock_guard lock(log_->mutex);
            log_->read.push_back(index);
        }
        Frame frame;
        frame.image = make_numbered_image(kType, static_cast<int>(index));
        frame.index = index;
        frame.number = index;
        ++counters_.frames_decoded;
        return frame;
    }

    int64_t entry_of(int64_t index) override { return index / group_ * group_; }

    std::unique_ptr<RandomAccess> clone_access(int decoder_threads) override {
        if (!can_clone) return nullptr;
        ++log_->clones;
        log_->decoder_threads = decoder_threads;
        auto clone = std::make_unique<GroupedSource>(count_, group_, log_);
        clone->damaged = damaged;
        return clone;
    }

    DecodeCounters counters() const override { return counters_; }

    void grow(int64_t count) { count_ = count; }
    Log& log() { return *log_; }

    int64_t damaged = -1;
    bool can_clone = true;

private:
    int64_t count_;
    int64_t group_;
    std::shared_ptr<Log> log_;
    DecodeCounters counters_;
};

std::vector<int64_t> shuffled_with_repeats(int64_t count, size_t length) {
    std::mt19937 random(7);
    std::vector<int64_t> indices(length);
    for (int64_t& index : indices) index = std::uniform_int_distribution<int64_t>(0, count - 1)(random);
    return indices;
}

void check_frames(const std::vector<Frame>& frames, const std::vector<int64_t>& indices) {
    REQUIRE(frames.size() == indices.size());
    for (size_t i = 0; i < indices.size(); ++i) {
        CHECK(frames[i].index == indices[i]);
        CHECK(read_image_number(frames[i].image) == indices[i]);
    }
}

}  // namespace

TEST_SUITE("threads") {
    TEST_CASE("a batch comes in the caller's order, each frame read once, whatever the number of threads") {
        const std::vector<int64_t> indices = shuffled_with_repeats(200, 300);
        for (const int threads : {1, 2, 3, 8}) {
            GroupedSource source(200, 7);
            ParallelReader reader(source, threads);
            const std::vector<Frame> frames = reader.read(indices);
            check_frames(frames, indices);
            for (const int64_t index : indices) CHECK(source.log().times_read(index) == 1);
            CHECK(source.log().clones == threads - 1);
            check_frames(reader.read(indices), indices);
            CHECK(source.log().clones == threads - 1);
            CHECK(source.counters().frames_decoded + reader.counters().frames_decoded ==
                  static_cast<int64_t>(source.log().read.size()));
        }
    }

    TEST_CASE("repeated indices of a batch share their pixels; an empty batch is empty") {
        GroupedSource source(10, 5);
        const std::vector<Frame> frames = read_frames(source, std::vector<int64_t>{3, 9, 3});
        CHECK(frames[0].image.data == frames[2].image.data);
        CHECK(read_frames(source, {}).empty());
    }

    TEST_CASE("a batch with an index that does not exist is refused before anything is read") {
        GroupedSource source(10, 5);
        for (const int64_t outside : {int64_t{-1}, int64_t{10}}) {
            try {
                read_frames(source, std::vector<int64_t>{3, outside});
                FAIL("accepted");
            } catch (const Error& error) {
                CHECK(error.code() == ErrorCode::invalid_argument);
            }
            CHECK(source.log().read.empty());
        }
    }

    TEST_CASE("the first frame that cannot be read is the error of the batch") {
        GroupedSource source(100, 5);
        source.damaged = 42;
        std::vector<int64_t> all(100);
        std::iota(all.begin(), all.end(), 0);
        for (const int threads : {1, 4}) {
            ParallelReader reader(source, threads);
            try {
                reader.read(all);
                FAIL("accepted");
            } catch (const Error& error) {
                CHECK(std::string(error.what()).find("damaged 42") != std::string::npos);
            }
            check_frames(reader.read(std::vector<int64_t>{41, 43}), {41, 43});
        }
    }

    TEST_CASE("frames read ahead come in order, errors in their turn") {
        for (const int threads : {1, 2, 5}) {
            for (const int64_t group : {1, 6, 1000}) {
                GroupedSource source(120, group);
                source.damaged = 50;
                int64_t next = 0;
                ReadAhead ahead(source, [&]() { return next < 120 ? std::optional(next++) : std::nullopt; },
                                {.threads = threads, .frame_bytes = kType.bytes()});
                for (int64_t index = 0; index < 120; ++index) {
                    if (index == 50) {
                        CHECK_THROWS_AS(ahead.next(), Error);
                        continue;
                    }
                    const std::optional<Frame> frame = ahead.next();
                    REQUIRE(frame);
                    CHECK(read_image_number(frame->image) == index);
                }
                CHECK_FALSE(ahead.next());
                CHECK_FALSE(ahead.next());
            }
        }
    }

    TEST_CASE("reading ahead is bounded in bytes and stops when nobody takes the frames") {
        GroupedSource source(5000, 10);
        int64_t next = 0;
        ReadAhead ahead(source, [&]() { return next < 5000 ? std::optional(next++) : std::nullopt; },
                        {.threads = 3, .frame_bytes = kType.bytes(), .ahead_bytes = 40 * kType.bytes()});
        for (int64_t index = 0; index < 30; ++index) CHECK(read_image_number(ahead.next()->image) == index);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        const std::lock_guard lock(source.log().mutex);
        // The bytes allowed, what was taken, and one frame each that was begun; the head group is never held up.
        CHECK(source.log().read.size() <= 30 + 40 + 3 + 10);
    }

    TEST_CASE("a group too long to be read ahead is decoded by one reader with threads of its own") {
        GroupedSource source(500, 1000);
        int64_t next = 0;
        ReadAhead ahead(source, [&]() { return next < 500 ? std::optional(next++) : std::nullopt; },
                        {.threads = 3, .frame_bytes = kType.bytes(), .ahead_bytes = 40 * kType.bytes()});
        for (int64_t index = 0; index < 500; ++index) CHECK(read_image_number(ahead.next()->image) == index);
        CHECK(source.log().clones == 1);
        CHECK(source.log().decoder_threads == 3);
        CHECK(ahead.counters().frames_decoded == 500);
    }

    TEST_CASE("sequential reading: seeks, the end, a source that grows, one that cannot be cloned") {
        for (const bool can_clone : {true, false}) {
            GroupedSource source(40, 7);
            source.can_clone = can_clone;
            SequentialReader reader(source, {.threads = 3});
            for (int64_t index = 0; index < 40; ++index) CHECK(read_image_number(reader.next()->image) == index);
            CHECK_FALSE(reader.next());
            source.grow(60);
            for (int64_t index = 40; index < 60; ++index) CHECK(read_image_number(reader.next()->image) == index);
            CHECK_FALSE(reader.next());
            reader.seek(11);
            for (int64_t index = 11; index < 30; ++index) {
                CHECK(reader.position() == index);
                CHECK(read_image_number(reader.next()->image) == index);
            }
            reader.seek(3);
            CHECK(read_image_number(reader.next()->image) == 3);
        }
    }

    TEST_CASE("the source grows while it is read ahead") {
        GroupedSource source(40, 7);
        SequentialReader reader(source, {.threads = 2});
        for (int64_t index = 0; index < 40; ++index) {
            if (index == 39) source.grow(50);
            CHECK(read_image_number(reader.next()->image) == index);
        }
        for (int64_t index = 40; index < 50; ++index) CHECK(read_image_number(reader.next()->image) == index);
        CHECK_FALSE(reader.next());
    }
}

}  // namespace reelstore
