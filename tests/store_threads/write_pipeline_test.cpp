#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "base/clock.h"
#include "tests/forwarding_file_system.h"
#include "tests/store/promised_store.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

/// A disk that stands still while its gate is closed.
class GatedFileSystem : public ForwardingFileSystem {
public:
    /// Writes to and syncs of files whose names end so wait.
    explicit GatedFileSystem(std::string ending) : ending_(std::move(ending)) {}

    void set_open(bool open) {
        {
            const std::lock_guard lock(mutex_);
            open_ = open;
        }
        changed_.notify_all();
    }

    /// Returns once somebody waits at the gate.
    void wait_for_somebody() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return waiting_ > 0; });
    }

    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
        auto file = ForwardingFileSystem::open(path, mode);
        if (mode == OpenMode::read || !path.string().ends_with(ending_)) return file;
        return std::make_unique<GatedFile>(std::move(file), *this);
    }

private:
    class GatedFile : public ForwardingFile {
    public:
        GatedFile(std::unique_ptr<File> real, GatedFileSystem& system)
            : ForwardingFile(std::move(real)), system_(system) {}
        void write_at(const void* data, size_t size, uint64_t offset) override {
            system_.pass();
            ForwardingFile::write_at(data, size, offset);
        }
        void sync() override {
            system_.pass();
            ForwardingFile::sync();
        }

    private:
        GatedFileSystem& system_;
    };

    void pass() {
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [&] { return open_; });
        --waiting_;
    }

    std::string ending_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    int waiting_ = 0;
};

StoreWriterOptions options_of(const std::string& format, int64_t chunk_frames) {
    return {.format = format, .chunk_frames = chunk_frames, .time_zone = "Etc/UTC", .commit_interval = 1e5};
}

std::vector<EventRow> events_of(const std::filesystem::path& store, const std::string& kind) {
    std::vector<EventRow> events;
    StoreReader(store).visit_events([&](const EventRow& event) {
        if (event.kind == kind) events.push_back(event);
        return true;
    });
    return events;
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("add returns while the disk stands still, until the buffers are full; then frames are dropped and counted") {
    const TemporaryFolder folder;
    GatedFileSystem gate(".npy");
    const FileSystemOverride in_place(gate);
    StoreWriterOptions options = options_of("npy", 1000);
    options.overflow = Overflow::drop;
    options.buffer_bytes = 8 * gray_type().bytes();
    StoreWriter writer(folder / "s", options);
    CHECK(writer.add(make_numbered_image(gray_type(), 0), 0, 0));
    writer.commit();
    gate.set_open(false);
    std::set<int> taken{0};
    std::vector<int> dropped;
    for (int i = 1; i < 20; ++i) {
        if (writer.add(make_numbered_image(gray_type(), i), i, 0.5 * i)) {
            taken.insert(i);
        } else {
            dropped.push_back(i);
        }
    }
    REQUIRE(dropped.size() >= 11);
    CHECK(taken.size() >= 8);
    const WriterStats stats = writer.stats();
    CHECK(stats.frames_added == static_cast<int64_t>(taken.size()));
    CHECK(stats.frames_dropped == static_cast<int64_t>(dropped.size()));
    CHECK(stats.queue_high_water >= 6);
    CHECK(stats.frames_committed == 1);
    CHECK(stats.durable_lag > 0);
    gate.set_open(true);
    writer.commit();
    CHECK(writer.stats().durable_lag == 0);
    CHECK(writer.stats().queue_depth == 0);
    CHECK(writer.add(make_numbered_image(gray_type(), 50), 50, 25));
    writer.close();

    StoreReader store(folder / "s");
    taken.insert(50);
    CHECK(store.frame_count() == static_cast<int64_t>(taken.size()));
    int64_t index = 0;
    for (const int number : taken) {
        const Frame frame = store.at_index(index++);
        CHECK(frame.number == number);
        CHECK(read_image_number(frame.image) == number);
    }
    const std::vector<EventRow> events = events_of(folder / "s", "dropped");
    REQUIRE(events.size() == 1);
    const Json data = Json::parse(events[0].data);
    CHECK(data.at("count") == dropped.size());
    CHECK(data.at("first_number") == dropped.front());
    CHECK(data.at("last_number") == dropped.back());
    CHECK(data.at("first_time") == 0.5 * dropped.front());
    CHECK(data.at("last_time") == 0.5 * dropped.back());
    CHECK(data.at("cause") == "queue full");
    CHECK(events[0].frame_index == static_cast<int64_t>(taken.size()) - 1);
}

TEST_CASE("with full buffers add waits for room when no frame may be lost") {
    const TemporaryFolder folder;
    GatedFileSystem gate(".npy");
    const FileSystemOverride in_place(gate);
    StoreWriterOptions options = options_of("npy", 1000);
    options.buffer_bytes = 4 * gray_type().bytes();
    StoreWriter writer(folder / "s", options);
    add_promised_frame(writer, 0);
    writer.commit();
    gate.set_open(false);
    std::thread opener([&] {
        gate.wait_for_somebody();
        while (writer.stats().queue_depth < 2) std::this_thread::yield();
        gate.set_open(true);
    });
    for (int i = 1; i < 40; ++i) add_promised_frame(writer, i);
    opener.join();
    writer.close();
    CHECK(writer.stats().frames_dropped == 0);
    CHECK(violation(folder / "s", 40, 40, true) == "");
}

TEST_CASE("completing a chunk does not hold up what comes after it") {
    const TemporaryFolder folder;
    for (const char* format : {"npy", "avc1/mp4"}) {
        INFO(format);
        const std::filesystem::path path = folder / (std::string(format) == "npy" ? "a" : "b");
        GatedFileSystem gate(".npz.tmp");
        const FileSystemOverride in_place(gate);
        StoreWriter writer(path, options_of(format, 5));
        gate.set_open(false);
        for (int i = 0; i < 5; ++i) add_promised_frame(writer, i);
        gate.wait_for_somebody();
        // The sidecar of the first chunk cannot be written, and still the next frames are taken and encoded.
        for (int i = 5; i < 9; ++i) add_promised_frame(writer, i);
        while (writer.stats().queue_depth > 0) std::this_thread::yield();
        CHECK(writer.stats().chunks_completed == 0);
        gate.set_open(true);
        writer.close();
        CHECK(writer.stats().chunks_completed == 2);
        CHECK(violation(path, 9, 9, true) == "");
    }
}

TEST_CASE("images from acquire() are written without a copy") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", options_of("npy", 5));
    for (int i = 0; i < 8; ++i) {
        PooledImage image = writer.acquire(gray_type());
        REQUIRE(image);
        make_numbered_image(gray_type(), i).copyTo(image.image());
        CHECK(writer.add(std::move(image), number_of(i), fixture_time(i)));
        if (i % 2 == 0) writer.add_extra_data({{"value", i}});
    }
    // One that is given up goes back.
    static_cast<void>(writer.acquire(gray_type()));
    CHECK(error_of([&] { writer.acquire(color_type()); }) == ErrorCode::wrong_type);
    CHECK(error_of([&] { writer.add(PooledImage(), 9, 9); }) == ErrorCode::invalid_argument);
    const auto other = FramePool::create(gray_type(), 1, 1);
    CHECK(error_of([&] { writer.add(other->take(), 9, 9); }) == ErrorCode::invalid_argument);
    writer.close();
    CHECK(violation(folder / "s", 8, 8, true) == "");
}

TEST_CASE("commits come at their interval, with every frame, or with complete chunks only") {
    const TemporaryFolder folder;
    {
        StoreWriterOptions options = options_of("npy", 1000);
        options.commit_interval = 0.02;
        StoreWriter writer(folder / "a", options);
        for (int i = 0; i < 10; ++i) add_promised_frame(writer, i);
        const double begin = now_monotonic();
        while (writer.stats().frames_committed < 10 && now_monotonic() - begin < 30) std::this_thread::yield();
        CHECK(writer.stats().frames_committed == 10);
        CHECK(StoreReader(folder / "a").frame_count() == 10);
    }
    {
        StoreWriterOptions options = options_of("npy", 1000);
        options.commit_interval = 0;
        StoreWriter writer(folder / "b", options);
        for (int i = 0; i < 10; ++i) {
            add_promised_frame(writer, i);
            CHECK(writer.stats().frames_committed == i + 1);
            CHECK(violation(folder / "b", i + 1, i + 1, false) == "");
        }
    }
    {
        StoreWriterOptions options = options_of("npy", 4);
        options.commit_interval.reset();
        options.buffer_bytes = 4 * gray_type().bytes();
        StoreWriter writer(folder / "c", options);
        for (int i = 0; i < 18; ++i) add_promised_frame(writer, i);
        const double begin = now_monotonic();
        while (writer.stats().chunks_completed < 4 && now_monotonic() - begin < 30) std::this_thread::yield();
        // What lies behind a complete chunk may go down with it.
        CHECK(writer.stats().frames_committed >= 16);
        writer.commit();
        CHECK(writer.stats().frames_committed == 18);
    }
    for (const char* name : {"a", "b", "c"}) CHECK(StoreReader(folder / name).closed());
}

TEST_CASE("a clock that goes backwards is an event; the times stay as they were given") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", options_of("npy", 1000));
    const std::vector<double> times = {10, 11, 11, 4, 5, -3};
    for (size_t i = 0; i < times.size(); ++i)
        writer.add(make_numbered_image(gray_type(), static_cast<int>(i)), static_cast<int64_t>(i), times[i]);
    writer.close();
    StoreReader store(folder / "s");
    for (size_t i = 0; i < times.size(); ++i) CHECK(store.row(static_cast<int64_t>(i))->time == times[i]);
    const std::vector<EventRow> events = events_of(folder / "s", "clock_step");
    REQUIRE(events.size() == 2);
    CHECK(events[0].frame_index == 3);
    const Json first = Json::parse(events[0].data);
    CHECK(first.at("time_before") == 11);
    CHECK(first.at("time_after") == 4);
    CHECK(first.at("monotonic_seconds").get<double>() >= 0);
    CHECK(first.at("monotonic_seconds").get<double>() < 60);
    CHECK(events[1].frame_index == 5);
}

TEST_CASE("a clock that steps at every frame does not fill the index") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", options_of("npy", 10000));
    for (int i = 0; i < 1500; ++i) writer.add(make_numbered_image({16, 16, 1, CV_8U}, 0), i, -i);
    writer.close();
    const std::vector<EventRow> events = events_of(folder / "s", "clock_step");
    REQUIRE(events.size() == 1001);
    CHECK(Json::parse(events.back().data).at("not_listed") == 499);
}

TEST_CASE("frames that a camera lost are reported in runs by cause") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", options_of("npy", 1000));
    CHECK(error_of([&] { writer.report_dropped(0, 0, "usb"); }) == ErrorCode::invalid_argument);
    add_promised_frame(writer, 0);
    for (int i = 1; i < 4; ++i) writer.report_dropped(i, 0.1 * i, "usb");
    writer.report_dropped(4, 0.4, "sensor");
    CHECK(error_of([&] { writer.report_dropped(5, 0.5, "\xff"); }) == ErrorCode::invalid_argument);
    add_promised_frame(writer, 1);
    writer.report_dropped(9, 0.9, "usb");
    writer.close();
    CHECK(writer.stats().frames_dropped == 5);
    const std::vector<EventRow> events = events_of(folder / "s", "dropped");
    REQUIRE(events.size() == 3);
    CHECK(Json::parse(events[0].data).at("count") == 3);
    CHECK(Json::parse(events[0].data).at("last_number") == 3);
    CHECK(Json::parse(events[1].data).at("cause") == "sensor");
    CHECK(events[1].frame_index == 1);
    CHECK(events[2].frame_index == 2);
}

TEST_CASE("extra data of frames that the encoder holds do not stop the caller for good") {
    const TemporaryFolder folder;
    StoreWriterOptions options = options_of("avc1/mp4", 1000);
    options.commit_interval = 0.05;
    StoreWriter writer(folder / "s", options);
    const std::string text(size_t{12} << 20, 'x');
    writer.add(make_numbered_image(gray_type(), 0), 0, 0);
    for (int i = 0; i < 7; ++i) writer.add_extra_data({{"text", text}, {"i", i}});
    writer.close();
    CHECK(StoreReader(folder / "s").extra_data_of(0).size() == 7);
}

TEST_CASE("closing twice does nothing, and nothing can be added afterwards") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", options_of("npy", 4));
    for (int i = 0; i < 6; ++i) add_promised_frame(writer, i);
    writer.close();
    writer.close();
    CHECK(error_of([&] { add_promised_frame(writer, 6); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { writer.commit(); }) == ErrorCode::invalid_argument);
    CHECK(writer.stats().frames_committed == 6);
    CHECK(violation(folder / "s", 6, 6, true) == "");
}

TEST_CASE("a writer that is destroyed without close() completes the store") {
    const TemporaryFolder folder;
    {
        StoreWriter writer(folder / "s", options_of("avc1/mp4", 4));
        for (int i = 0; i < 6; ++i) add_promised_frame(writer, i);
    }
    CHECK(violation(folder / "s", 6, 6, true) == "");
}

TEST_SUITE_END();
