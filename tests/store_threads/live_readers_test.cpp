// One writer and several readers of the same store at the same time, each with clones on threads of their own. Runs for
// some seconds, or for as many as the environment variable REELSTORE_TEST_SECONDS says.

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/layout.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr int kReaders = 4;
constexpr int64_t kFirstNumber = 500;
/// Numbers that fit into the pixels.
constexpr int64_t kPictures = 65536;

double test_seconds() {
    const char* text = std::getenv("REELSTORE_TEST_SECONDS");
    return text ? std::atof(text) : 3;
}

/// What has gone wrong on any thread; few enough to be read.
class Faults {
public:
    void add(const std::string& fault) {
        const std::lock_guard lock(mutex_);
        if (faults_.size() < 10) faults_.push_back(fault);
        any_ = true;
    }
    bool any() const { return any_; }
    std::vector<std::string> all() const {
        const std::lock_guard lock(mutex_);
        return faults_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> faults_;
    std::atomic<bool> any_ = false;
};

void check_frame(const Frame& frame, int64_t index, Faults& faults) {
    const std::optional<int> picture = read_image_number(frame.image);
    if (frame.index != index || frame.number != kFirstNumber + index || frame.time != fixture_time(index) ||
        picture != static_cast<int>(index % kPictures)) {
        faults.add(fmt::format("frame {} came as frame {}, number {}, time {}, picture {}", index, frame.index,
                               frame.number, frame.time, picture.value_or(-1)));
    }
}

struct Recording {
    std::filesystem::path path;
    Faults faults;
    std::atomic<bool> written = false;
    std::atomic<int64_t> frames_added = 0;
    std::atomic<int64_t> frames_read = 0;
};

void write(Recording& recording, const std::string& format, double seconds) {
    try {
        StoreWriterOptions options;
        options.format = format;
        options.chunk_frames = 100;
        options.commit_interval = 0.05;
        StoreWriter writer(recording.path, options);
        const double end = now_monotonic() + seconds;
        for (int64_t i = 0; now_monotonic() < end && !recording.faults.any(); ++i) {
            writer.add(make_numbered_image(gray_type(), static_cast<int>(i % kPictures)), kFirstNumber + i,
                       fixture_time(i));
            recording.frames_added = i + 1;
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        writer.close();
    } catch (const std::exception& error) {
        recording.faults.add(std::string("writer: ") + error.what());
    }
    recording.written = true;
}

/// Reads random frames through a clone of a reader that takes over new ones meanwhile.
void read_clone(Recording& recording, StoreReader& clone, const std::atomic<bool>& done, uint32_t seed) {
    try {
        std::mt19937 random(seed);
        while (!done && !recording.faults.any()) {
            const int64_t count = clone.frame_count();
            if (count == 0) continue;
            const int64_t index = std::uniform_int_distribution<int64_t>(0, count - 1)(random);
            check_frame(clone.at_index(index), index, recording.faults);
            if (clone.info().frame_count < count) recording.faults.add("frames have gone for a clone");
            if (clone.chunks().empty()) recording.faults.add("no chunks for a clone");
            ++recording.frames_read;
        }
    } catch (const std::exception& error) {
        recording.faults.add(std::string("clone: ") + error.what());
    }
}

class Reader {
public:
    Reader(Recording& recording, uint32_t seed)
        : recording_(recording), store_(recording.path, {.threads = 2}), random_(seed) {}

    void run() {
        std::atomic<bool> done = false;
        const std::unique_ptr<StoreReader> clone = store_.clone();
        std::thread other([&] { read_clone(recording_, *clone, done, random_()); });
        try {
            // In this order: what is committed before the end is seen is all.
            for (bool last = false; !last && !recording_.faults.any();) {
                last = recording_.written;
                look();
            }
            if (!store_.closed()) recording_.faults.add("the store is not closed at the end");
            if (seen_ != recording_.frames_added || next_ != seen_)
                recording_.faults.add(fmt::format("{} frames seen, {} read in order, {} written", seen_, next_,
                                                  recording_.frames_added.load()));
        } catch (const std::exception& error) {
            recording_.faults.add(std::string("reader: ") + error.what());
        }
        done = true;
        other.join();
    }

private:
    void look() {
        store_.refresh();
        const int64_t count = store_.frame_count();
        if (count < seen_) recording_.faults.add(fmt::format("{} frames after {}", count, seen_));
        seen_ = count;
        if (count == 0) return;
        if (store_.row(count - 1)->number != kFirstNumber + count - 1) recording_.faults.add("a wrong last row");
        while (const std::optional<Frame> frame = store_.next()) check_frame(*frame, next_++, recording_.faults);
        std::vector<int64_t> indices(12);
        for (int64_t& index : indices) index = std::uniform_int_distribution<int64_t>(0, count - 1)(random_);
        const std::vector<Frame> frames = store_.at_indices(indices);
        for (size_t i = 0; i < indices.size(); ++i) check_frame(frames[i], indices[i], recording_.faults);
        check_frame(store_.at_time(fixture_time(count - 1)).value(), count - 1, recording_.faults);
        recording_.frames_read += static_cast<int64_t>(indices.size()) + 1;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }

    Recording& recording_;
    StoreReader store_;
    std::mt19937 random_;
    int64_t seen_ = 0;
    int64_t next_ = 0;
};

void record_and_read(const std::string& format) {
    const TemporaryFolder folder;
    Recording recording;
    recording.path = folder / "store";
    std::thread writer([&] { write(recording, format, test_seconds()); });
    while (!is_store(recording.path) && !recording.written) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::vector<std::thread> readers;
    for (uint32_t i = 0; i < kReaders; ++i) {
        readers.emplace_back([&recording, i] {
            try {
                Reader(recording, i).run();
            } catch (const std::exception& error) {
                recording.faults.add(std::string("opening: ") + error.what());
            }
        });
    }
    writer.join();
    for (std::thread& reader : readers) reader.join();
    for (const std::string& fault : recording.faults.all()) FAIL_CHECK(fault);
    CHECK(recording.frames_added > 50);
    CHECK(recording.frames_read > 4 * 50);
    MESSAGE(format, ": ", recording.frames_added.load(), " frames written, ", recording.frames_read.load(),
            " read out of order");
}

}  // namespace

TEST_SUITE("threads") {
    TEST_CASE("a writer and readers with clones, video") {
        record_and_read("avc1/mp4");
    }

    TEST_CASE("a writer and readers with clones, image files") {
        record_and_read("npy");
    }

    TEST_CASE("a writer and readers with clones, arrays that grow while they are mapped") {
        record_and_read("raw/npy");
    }
}
