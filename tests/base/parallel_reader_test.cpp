#include "base/parallel_reader.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
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
    std::map<int64_t, std::set<const RandomAccess*>> readers;  ///< by group

    int64_t times_read(int64_t index) {
        const std::lock_guard lock(mutex);
        return std::count(read.begin(), read.end(), index);
    }

    size_t most_readers_of_a_group() {
        const std::lock_guard lock(mutex);
        size_t most = 0;
        for (const auto& [group, own] : readers) most = std::max(most, own.size());
        return most;
    }
};

/// Numbered frames in groups, as a video has them.
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
            log_->readers[index / group_].insert(this);
        }
        Frame frame;
        frame.image = make_numbered_image(kType, static_cast<int>(index));
        frame.index = index;
        frame.number = index;
        ++counters_.frames_decoded;
        return frame;
    }

    int64_t entry_of(int64_t index) override { return index / group_ * group_; }

    std::unique_ptr<RandomAccess> clone_access() override {
        if (!can_clone) return nullptr;
        if (log_->clones == clones_to_make) throw Error(ErrorCode::io, "no more clones");
        ++log_->clones;
        auto clone = std::make_unique<GroupedSource>(count_, group_, log_);
        clone->damaged = damaged;
        return clone;
    }

    DecodeCounters counters() const override { return counters_; }

    void grow(int64_t count) { count_ = count; }
    Log& log() { return *log_; }

    int64_t damaged = -1;
    bool can_clone = true;
    int clones_to_make = 100;

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
                                {.threads = threads});
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
                        {.threads = 3, .ahead_bytes = 40 * kType.bytes()});
        for (int64_t index = 0; index < 30; ++index) CHECK(read_image_number(ahead.next()->image) == index);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        const std::lock_guard lock(source.log().mutex);
        // What was taken, the bytes allowed, and one frame each that was begun.
        CHECK(source.log().read.size() <= 30 + 40 + 3);
    }

    TEST_CASE("a group longer than can be handed out at once is read by one reader, each frame once") {
        GroupedSource source(3000, 5000);
        int64_t next = 0;
        ReadAhead ahead(source, [&]() { return next < 3000 ? std::optional(next++) : std::nullopt; }, {.threads = 3});
        for (int64_t index = 0; index < 3000; ++index) CHECK(read_image_number(ahead.next()->image) == index);
        CHECK(ahead.counters().frames_decoded == 3000);
        CHECK(source.log().most_readers_of_a_group() == 1);
    }

    TEST_CASE("a clone that cannot be made costs no frame") {
        GroupedSource source(100, 7);
        source.clones_to_make = 1;
        SequentialReader reader(source, {.threads = 4});
        for (int64_t index = 0; index < 100; ++index) CHECK(read_image_number(reader.next()->image) == index);
        CHECK_FALSE(reader.next());
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
