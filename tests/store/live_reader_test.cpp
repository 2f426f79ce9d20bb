// Reading a store while it is written, by this process or another, and after its writer was killed.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "codecs/chunk_format.h"
#include "store/layout.h"
#include "store/maintenance.h"
#include "store/open_source.h"
#include "store/store_lock.h"
#include "tests/forwarding_file_system.h"
#include "tests/store/crash_formats.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace fs = std::filesystem;

namespace {

constexpr int kGop = 6;
constexpr int kChunkFrames = 25;

/// Every frame is committed when add() returns, but for those that an encoder holds back: none with these options.
StoreWriterOptions live_options(const ChunkFormat& format) {
    StoreWriterOptions options;
    options.format = format.info().name;
    options.chunk_frames = kChunkFrames;
    options.commit_interval = 0;
    if (format.info().name == "avc1/mp4" || format.info().name == "h264/mkv") {
        options.codec = {{"tune", "zerolatency"}, {"gop", std::to_string(kGop)}};
    }
    return options;
}

StoreWriterOptions live_options(const std::string& format) {
    return live_options(*find_chunk_format(format));
}

ImageType type_for(const ChunkFormat& format) {
    return format.refuses(gray_type()) ? color_type() : gray_type();
}

void add_frame(StoreWriter& writer, const ImageType& type, int index) {
    writer.add(make_numbered_image(type, index), 1000 + index, fixture_time(index));
    if (index % 4 == 0) writer.add_extra_data({{"value", index}});
}

/// What is wrong with a frame; empty when it is the one that add_frame() has written.
std::string fault_of(const Frame& frame, int64_t index) {
    if (frame.index != index) return fmt::format("frame {} came for frame {}", frame.index, index);
    if (frame.number != 1000 + index) return fmt::format("frame {} has the number {}", index, frame.number);
    if (frame.time != fixture_time(index)) return fmt::format("frame {} has the time {}", index, frame.time);
    const std::optional<int> pixels = read_image_number(frame.image);
    if (pixels != static_cast<int>(index)) return fmt::format("frame {} shows {}", index, pixels.value_or(-1));
    return "";
}

/// Everything that a reader says of a store with `count` frames of add_frame().
std::string fault_of(StoreReader& store, int64_t count, uint32_t seed) {
    if (store.frame_count() != count) return fmt::format("{} frames instead of {}", store.frame_count(), count);
    if (store.info().frame_count != count) return "info() has another number of frames";
    if (static_cast<int64_t>(store.rows().size()) != count) return "another number of rows";
    if (store.number_range() !=
        (count > 0 ? std::optional(std::pair<int64_t, int64_t>(1000, 999 + count)) : std::nullopt))
        return "another range of numbers";
    const int64_t chunks = (count + kChunkFrames - 1) / kChunkFrames;
    if (static_cast<int64_t>(store.chunks().size()) != chunks) return "another number of chunks";
    if (thrown_by([&] { store.at_index(count); })) {
    } else {
        return "a frame behind the end";
    }
    std::vector<int64_t> indices(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) indices[static_cast<size_t>(i)] = i;
    std::shuffle(indices.begin(), indices.end(), std::mt19937(seed));
    for (const int64_t index : indices) {
        if (std::string fault = fault_of(store.at_index(index), index); !fault.empty()) return fault;
    }
    const std::vector<Frame> frames = store.at_indices(indices);
    for (size_t i = 0; i < indices.size(); ++i) {
        if (std::string fault = fault_of(frames[i], indices[i]); !fault.empty()) return "in a batch: " + fault;
    }
    if (count > 0 && store.find_time(fixture_time(static_cast<int>(count)) + 10)->index != count - 1)
        return "another frame is nearest to a late time";
    return "";
}

/// Runs `work` in a process of its own, which is ended without any cleaning up; -1 when it was killed by a signal.
pid_t fork_off(const std::function<void()>& work) {
    const pid_t child = fork();
    if (child != 0) return child;
    try {
        work();
    } catch (const std::exception& error) {
        fmt::print(stderr, "in the forked process: {}\n", error.what());
        _exit(1);
    }
    _exit(0);
}

int exit_code_of(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// A store with `count` frames whose writer was killed right after the last was committed.
void write_and_die(const fs::path& path, const StoreWriterOptions& options, const ImageType& type, int count) {
    const pid_t child = fork_off([&] {
        StoreWriter writer(path, options);
        for (int i = 0; i < count; ++i) add_frame(writer, type, i);
        kill(getpid(), SIGKILL);
    });
    REQUIRE(exit_code_of(child) == -1);
}

/// Ends the process where the last step of a change to a database would be: taking its journal away.
class DyingFileSystem : public ForwardingFileSystem {
public:
    void remove(const fs::path& path) override {
        if (path.string().ends_with("-journal")) kill(getpid(), SIGKILL);
        ForwardingFileSystem::remove(path);
    }
};

fs::path with_suffix(fs::path path, const char* suffix) {
    path += suffix;
    return path;
}

void flip_byte(const fs::path& path, uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x5a));
}

}  // namespace

TEST_CASE("a reader sees each frame when it is committed, in every format, shuffled and in order") {
    for (const auto& format : chunk_formats()) {
        if (!crash_tested(format->info())) continue;
        CAPTURE(format->info().name);
        const TemporaryFolder folder;
        const fs::path path = folder / "store";
        const ImageType type = type_for(*format);
        StoreWriter writer(path, live_options(*format));
        add_frame(writer, type, 0);
        StoreReader store(path);
        const std::unique_ptr<StoreReader> clone = store.clone();
        StoreReader follower(path);
        int64_t followed = 0;
        int64_t visible = store.frame_count();
        constexpr int kFrames = 60;
        for (int i = 1; i < kFrames; ++i) {
            add_frame(writer, type, i);
            REQUIRE(store.frame_count() == visible);
            const bool changed = store.refresh();
            REQUIRE(changed == (store.frame_count() > visible));
            CHECK_FALSE(store.refresh());
            visible = store.frame_count();
            REQUIRE(visible == i + 1);
            REQUIRE(clone->frame_count() == visible);
            CHECK_FALSE(store.closed());
            CHECK(store.has_extra_data());
            REQUIRE(fault_of(store, visible, static_cast<uint32_t>(i)) == "");
            REQUIRE(fault_of(clone->at_index(visible - 1), visible - 1) == "");
            follower.refresh();
            while (const std::optional<Frame> frame = follower.next()) {
                REQUIRE(fault_of(*frame, followed) == "");
                ++followed;
            }
            REQUIRE(followed == visible);
        }
        writer.close();
        CHECK(store.refresh());
        CHECK(store.closed());
        CHECK(clone->closed());
        CHECK(fault_of(store, kFrames, 1) == "");
        CHECK(store.all_extra_data().size() == kFrames / 4);
        CHECK(store.info().frame_rate.value_or(0) == doctest::Approx(1 / kFixtureInterval).epsilon(0.01));
        CHECK(store.warnings().empty());
        CHECK_FALSE(store.incomplete());
    }
}

TEST_CASE("following a video sends each packet once, whatever the number of refreshes") {
    for (const char* name : {"avc1/mp4", "h264/mkv", "mjpeg/avi"}) {
        CAPTURE(name);
        const TemporaryFolder folder;
        const fs::path path = folder / "store";
        StoreWriterOptions options = live_options(name);
        constexpr int kFrames = 200;
        options.chunk_frames = 120;
        StoreWriter writer(path, options);
        add_frame(writer, gray_type(), 0);
        StoreReader by_index(path);
        StoreReader in_order(path);
        int64_t next = 0;
        for (int i = 1; i < kFrames; ++i) {
            add_frame(writer, gray_type(), i);
            if (i % 3 == 1 && i + 1 < kFrames) continue;  // one or two frames at a time
            by_index.refresh();
            in_order.refresh();
            for (; next < by_index.frame_count(); ++next) {
                REQUIRE(fault_of(by_index.at_index(next), next) == "");
                REQUIRE(fault_of(in_order.next().value(), next) == "");
            }
            REQUIRE_FALSE(in_order.next());
        }
        REQUIRE(next == kFrames);
        for (const StoreReader* store : {&by_index, &in_order}) {
            const DecodeCounters counters = store->counters();
            CHECK(counters.packets_sent <= kFrames + 2 * kGop);
            CHECK(counters.demux_scans == 0);
            CHECK(counters.seeks <= 2);
        }
    }
}

TEST_CASE("B-frames and an encoder that looks ahead: only what is committed is there, and it is right") {
    const TemporaryFolder folder;
    const fs::path path = folder / "store";
    StoreWriterOptions options = live_options("avc1/mp4");
    options.codec = {{"bframes", "3"}, {"gop", "12"}};
    StoreWriter writer(path, options);
    std::unique_ptr<StoreReader> store;
    int64_t next = 0;
    constexpr int kFrames = 120;
    for (int i = 0; i < kFrames; ++i) {
        add_frame(writer, gray_type(), i);
        if (!store && is_store(path)) store = std::make_unique<StoreReader>(path);
        if (!store) continue;
        store->refresh();
        REQUIRE(store->frame_count() <= i + 1);
        for (; next < store->frame_count(); ++next) REQUIRE(fault_of(store->at_index(next), next) == "");
        if (next > 0) REQUIRE(fault_of(store->at_index(next / 2), next / 2) == "");
    }
    CHECK(next > kFrames / 2);
    writer.close();
    REQUIRE(store->refresh());
    CHECK(fault_of(*store, kFrames, 5) == "");
}

TEST_CASE("damage in the open chunk costs its frames, not those that come later") {
    for (const char* name : {"avc1/mp4", "h264/mkv"}) {
        CAPTURE(name);
        const TemporaryFolder folder;
        const fs::path path = folder / "store";
        StoreWriterOptions options = live_options(name);
        options.codec["gop"] = "5";
        StoreWriter writer(path, options);
        for (int i = 0; i < 12; ++i) add_frame(writer, gray_type(), i);
        StoreReader store(path);
        const int64_t offset = [&] {
            const Database index(StoreLayout::index(path), Database::Mode::read_only);
            return index.query_int64("SELECT byte_offset + byte_size / 2 FROM frames WHERE frame_index = 6").value();
        }();
        flip_byte(StoreLayout(path, ChunkKind::file, store.metadata().extension).media(0),
                  static_cast<uint64_t>(offset));
        for (const int64_t index : {6, 7, 9}) {
            CHECK(error_of([&] { store.at_index(index); }) == ErrorCode::corrupt);
        }
        for (int i = 12; i < 24; ++i) {
            add_frame(writer, gray_type(), i);
            REQUIRE(store.refresh());
            CHECK(fault_of(store.at_index(i), i) == "");
            CHECK(fault_of(store.at_index(3), 3) == "");
        }
        writer.close();
        CHECK(error_of([&] { store.at_index(6); }) == ErrorCode::corrupt);
    }
}

TEST_CASE("a flipped byte in an image file is an Error, not another picture") {
    for (const char* name : {"npy", "bmp", "png", "pgm"}) {
        CAPTURE(name);
        const TemporaryFolder folder;
        write_numbered_store(folder / "store", {.format = name}, gray_type(), 6);
        const fs::path file = folder / "store/000000" / (std::string("000003.") + name);
        flip_byte(file, fs::file_size(file) - 9);
        StoreReader store(folder / "store");
        const Error error = expected_error([&] { store.at_index(3); });
        CHECK(error.code() == ErrorCode::corrupt);
        CHECK(std::string(error.what()).find("000003") != std::string::npos);
        for (const int64_t index : {0, 1, 2, 4, 5}) CHECK(read_image_number(store.at_index(index).image) == index);
    }
}

TEST_CASE("the first moments of a recording") {
    const TemporaryFolder folder;
    const fs::path path = folder / "store";
    fs::create_directory(path);
    std::string message;
    CHECK(error_of([&] { StoreReader store(path); }, &message) == ErrorCode::not_a_store);
    CHECK(message.find("about to begin") == std::string::npos);
    {
        const StoreLock lock(path);
        CHECK(error_of([&] { StoreReader store(path); }, &message) == ErrorCode::not_a_store);
        CHECK(message.find("about to begin") != std::string::npos);
        CHECK(error_of([&] { open_recording(path.string()); }, &message) == ErrorCode::not_a_store);
        CHECK(message.find("about to begin") != std::string::npos);
    }

    // Metadata and index are there, but no frame; then a chunk that has none yet.
    fs::remove_all(path);
    write_numbered_store(path, {.format = "npy"}, gray_type(), 3);
    const std::string uuid = StoreReader(path).metadata().uuid;
    fs::remove(StoreLayout::index(path));
    fs::remove(path / "000000/index.npz");
    const auto index = FrameIndex::create(StoreLayout::index(path), uuid);
    index->use_write_ahead_log(true);
    StoreReader store(path);
    CHECK(store.frame_count() == 0);
    CHECK_FALSE(store.closed());
    CHECK_FALSE(store.next());
    CHECK(store.chunks().empty());
    CHECK_FALSE(store.number_range());
    index->add_chunk(0, false);
    CHECK(store.refresh());
    CHECK(store.frame_count() == 0);
    CHECK(store.chunks().empty());
    CHECK_FALSE(store.next());
    // The media hold more frames than are committed.
    const std::vector<NewFrame> frames = {{.number = 0, .time = 1, .stored = {}},
                                          {.number = 1, .time = 2, .stored = {}}};
    index->add_frames(frames);
    CHECK(store.refresh());
    REQUIRE(store.frame_count() == 2);
    CHECK(read_image_number(store.next()->image) == 0);
    CHECK(read_image_number(store.next()->image) == 1);
    CHECK_FALSE(store.next());
    CHECK(store.chunks() == std::vector<int64_t>{0});
}

TEST_CASE("an empty store that is continued after it was opened") {
    const TemporaryFolder folder;
    const fs::path path = folder / "store";
    StoreWriterOptions options = live_options("npy");
    StoreWriter(path, options).close();
    StoreReader store(path);
    CHECK(store.frame_count() == 0);
    options.append = true;
    StoreWriter writer(path, options);
    add_frame(writer, gray_type(), 0);
    CHECK(store.refresh());
    CHECK(store.frame_count() == 1);
    CHECK(store.row(0)->number == 1000);
    std::string message;
    CHECK(error_of([&] { store.at_index(0); }, &message) == ErrorCode::unsupported);
    CHECK(message.find("open it again") != std::string::npos);
    CHECK(fault_of(StoreReader(path).at_index(0), 0) == "");
}

TEST_CASE("a chunk is closed while the next one grows already") {
    const TemporaryFolder folder;
    const auto index = FrameIndex::create(folder / "index.sqlite", "u");
    index->use_write_ahead_log(true);
    const auto reader = FrameIndex::open(folder / "index.sqlite", "u");
    const std::vector<NewFrame> frames(3);
    for (int64_t chunk = 0; chunk < 4; ++chunk) {
        index->add_chunk(chunk, false);
        index->add_frames(frames);
        if (chunk != 1) continue;  // 0 is closed late, 2 is never closed
        index->close_chunk(1);
        REQUIRE(reader->refresh());
        CHECK_FALSE(chunk_rows(*reader)[0].closed);
        CHECK(chunk_rows(*reader)[1].closed);
    }
    index->close_chunk(3);
    REQUIRE(reader->refresh());
    REQUIRE(chunk_rows(*reader).size() == 4);
    CHECK(chunk_rows(*reader)[3].closed);
    CHECK_FALSE(chunk_rows(*reader)[2].closed);
    CHECK(reader->frame_count() == 12);
    CHECK_FALSE(reader->refresh());
    index->close_chunk(2);
    index->set_closed(true);
    CHECK_FALSE(reader->closed());
    REQUIRE(reader->refresh());
    CHECK(reader->closed());
}

TEST_CASE("events") {
    const TemporaryFolder folder;
    const fs::path path = folder / "store";
    write_numbered_store(path, {.format = "npy"}, gray_type(), 3);
    StoreReader store(path);
    const auto events_of = [](const StoreReader& reader) {
        std::vector<EventRow> events;
        reader.visit_events([&](const EventRow& event) {
            events.push_back(event);
            return true;
        });
        return events;
    };
    const auto before = static_cast<int64_t>(events_of(store).size());
    CHECK(store.event_count() == before);
    {
        const auto index =
            FrameIndex::open(StoreLayout::index(path), store.metadata().uuid, Database::Mode::read_write);
        index->add_event({.time = 5.5, .kind = "dropped", .frame_index = 2, .data = R"({"count":7})"});
        index->add_event({.time = 6.5, .kind = "fault"});
    }
    CHECK(store.refresh());
    CHECK(store.event_count() == before + 2);
    const std::vector<EventRow> events = events_of(store);
    REQUIRE(events.size() == static_cast<size_t>(before) + 2);
    const EventRow& dropped = events[events.size() - 2];
    CHECK(dropped.kind == "dropped");
    CHECK(dropped.time == 5.5);
    CHECK(dropped.frame_index == 2);
    CHECK(dropped.data == R"({"count":7})");
    CHECK_FALSE(events.back().frame_index);
    int visited = 0;
    store.visit_events([&](const EventRow&) { return ++visited < 1; });
    CHECK(visited == 1);

    fs::remove(StoreLayout::index(path));
    CHECK(StoreReader(path).event_count() == 0);
}

TEST_CASE("an index that is replaced under a reader") {
    const TemporaryFolder folder;
    const fs::path path = folder / "store";
    write_numbered_store(path, {.format = "npy", .chunk_frames = 4}, gray_type(), 10, 1000);
    StoreReader store(path);
    const auto right = [&](int64_t index) { return fault_of(store.at_index(index), index); };
    CHECK_FALSE(store.refresh());
    const auto other = [&](int64_t frames) {
        auto index = FrameIndex::create(folder / "other.sqlite", store.metadata().uuid);
        for (int64_t i = 0; i < frames; ++i) {
            if (i % 4 == 0) index->add_chunk(i / 4, true);
            const NewFrame frame{.number = 1000 + i, .time = fixture_time(i), .stored = {}};
            index->add_frames({&frame, 1});
        }
        index->set_closed(true);
        index.reset();
        fs::rename(folder / "other.sqlite", StoreLayout::index(path));
    };

    SUBCASE("by `store index`") {
        build_index(path);
        CHECK(right(7) == "");
        CHECK(store.refresh());
        CHECK_FALSE(store.refresh());
        CHECK(store.closed());
    }
    SUBCASE("by one with more frames") {
        for (int i : {10, 11}) fs::copy_file(path / "000000/000001.npy", path / fmt::format("000002/{:06}.npy", i - 8));
        other(12);
        CHECK(store.frame_count() == 10);
        CHECK(store.refresh());
        CHECK(store.frame_count() == 12);
        CHECK(store.at_index(11).number == 1011);
    }
    SUBCASE("by one with fewer: the reader keeps what it has") {
        other(9);
        CHECK_FALSE(store.refresh());
        CHECK(store.frame_count() == 10);
        CHECK_FALSE(store.refresh());
    }
    SUBCASE("by none, for a while") {
        fs::rename(StoreLayout::index(path), folder / "aside");
        CHECK_FALSE(store.refresh());
        CHECK(right(9) == "");
        other(10);
        CHECK(store.refresh());
    }
    SUBCASE("by rubbish") {
        std::ofstream(folder / "rubbish") << std::string(5000, 'x');
        fs::rename(folder / "rubbish", StoreLayout::index(path));
        CHECK_FALSE(store.refresh());
    }
    for (int64_t index = 9; index >= 0; --index) CHECK(right(index) == "");
}

TEST_CASE("the lock is seen without being taken") {
    const TemporaryFolder folder;
    CHECK_FALSE(StoreLock::held(folder.path()));
    CHECK_FALSE(StoreLock::held(folder / "nothing"));
    {
        const StoreLock lock(folder.path());
        CHECK(StoreLock::held(folder.path()));
        const std::string text = read_text_file(StoreLayout::lock(folder.path()), 4096);
        CHECK(text.find(std::to_string(getpid())) != std::string::npos);
    }
    CHECK_FALSE(StoreLock::held(folder.path()));
    std::ofstream(StoreLayout::lock(folder.path())) << "left behind";
    CHECK_FALSE(StoreLock::held(folder.path()));
    CHECK(read_text_file(StoreLayout::lock(folder.path()), 4096) == "left behind");

    // Those who look do not keep a writer out.
    std::atomic<bool> done = false;
    std::thread looking([&] {
        while (!done) StoreLock::held(folder.path());
    });
    int taken = 0;
    for (int i = 0; i < 500; ++i) {
        if (!thrown_by([&] { const StoreLock lock(folder.path()); })) ++taken;
    }
    done = true;
    looking.join();
    CHECK(taken == 500);
}

TEST_CASE("a reading process follows a writing one to its end") {
    for (const char* name : {"avc1/mp4", "npy"}) {
        CAPTURE(name);
        const TemporaryFolder folder;
        const fs::path path = folder / "store";
        constexpr int kFrames = 200;
        const pid_t child = fork_off([&] {
            StoreWriterOptions options = live_options(name);
            options.commit_interval = 0.03;
            StoreWriter writer(path, options);
            for (int i = 0; i < kFrames; ++i) {
                add_frame(writer, gray_type(), i);
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            }
            writer.close();
        });
        const double give_up = now_monotonic() + 60;
        while (!is_store(path) && now_monotonic() < give_up) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        StoreReader store(path);
        int64_t next = 0;
        int64_t growths = 0;
        bool was_recording = false;
        while (now_monotonic() < give_up) {
            const int64_t before = next;
            while (const std::optional<Frame> frame = store.next()) {
                REQUIRE(fault_of(*frame, next) == "");
                ++next;
            }
            growths += next > before;
            if (store.closed()) break;
            was_recording = was_recording || StoreLock::held(path);
            if (!store.refresh()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        CHECK(exit_code_of(child) == 0);
        CHECK(next == kFrames);
        CHECK(growths >= 5);
        CHECK(was_recording);
        CHECK_FALSE(StoreLock::held(path));
        CHECK(fault_of(store, kFrames, 3) == "");
    }
}

TEST_CASE("stores are opened at any moment of their beginning and end") {
    const TemporaryFolder folder;
    constexpr int kStores = 30;
    const pid_t child = fork_off([&] {
        for (int i = 0; i < kStores; ++i) {
            StoreWriter writer(folder / std::to_string(i), live_options("npy"));
            for (int frame = 0; frame < 3; ++frame) add_frame(writer, gray_type(), frame);
            writer.close();
        }
    });
    const double give_up = now_monotonic() + 120;
    int opened = 0;
    int opened_empty_handed = 0;
    for (int i = 0; i < kStores && now_monotonic() < give_up;) {
        const std::optional<Error> error = thrown_by([&] {
            StoreReader store(folder / std::to_string(i));
            ++opened;
            CHECK(store.warnings().empty());
            const int64_t count = store.frame_count();
            CHECK(count <= 3);
            store.refresh();
            CHECK(store.frame_count() >= count);
            if (store.frame_count() > 0) CHECK(fault_of(store.at_index(0), 0) == "");
            if (!store.closed()) return;
            CHECK(store.frame_count() == 3);
            ++i;
        });
        if (!error) continue;
        ++opened_empty_handed;
        const bool not_begun = error->code() == ErrorCode::not_found || error->code() == ErrorCode::not_a_store;
        CHECK_MESSAGE(not_begun, error->what());
    }
    CHECK(exit_code_of(child) == 0);
    CHECK(opened > kStores);
    CHECK(opened_empty_handed > 0);
}

TEST_CASE("a killed store is read at once, and followed when it is continued") {
    for (const auto& format : chunk_formats()) {
        if (!crash_tested(format->info())) continue;
        CAPTURE(format->info().name);
        const TemporaryFolder folder;
        const fs::path path = folder / "store";
        const ImageType type = type_for(*format);
        write_and_die(path, live_options(*format), type, 33);
        CHECK_FALSE(StoreLock::held(path));
        StoreReader store(path);
        CHECK_FALSE(store.closed());
        CHECK(fault_of(store, 33, 9) == "");
        CHECK(store.warnings().empty());
        StoreWriterOptions options = live_options(*format);
        options.append = true;
        StoreWriter writer(path, options);
        for (int i = 33; i < 36; ++i) {
            add_frame(writer, type, i);
            REQUIRE(store.refresh());
            REQUIRE(store.frame_count() == i + 1);
            CHECK(fault_of(store.at_index(i), i) == "");
            for (const int64_t index : {0, 24, 25, 32}) CHECK(fault_of(store.at_index(index), index) == "");
        }
        writer.close();
        CHECK(store.refresh());
        CHECK(store.closed());
    }
}

TEST_CASE("stores on read-only media and in folders of others") {
    if (geteuid() != 0) {
        MESSAGE("skipped: only root can mount read-only and become another user");
        return;
    }
    const TemporaryFolder folder;
    fs::permissions(folder.path(), fs::perms::all);
    const auto index_of = [](const fs::path& store) { return StoreLayout::index(store); };
    const fs::path closed = folder / "closed";
    {
        StoreWriter writer(closed, live_options("avc1/mp4"));
        for (int i = 0; i < 30; ++i) add_frame(writer, gray_type(), i);
        writer.close();
    }
    CHECK_FALSE(fs::exists(with_suffix(index_of(closed), "-wal")));
    write_and_die(folder / "killed", live_options("avc1/mp4"), gray_type(), 30);
    REQUIRE(fs::file_size(with_suffix(index_of(folder / "killed"), "-wal")) > 0);
    REQUIRE(fs::exists(with_suffix(index_of(folder / "killed"), "-shm")));
    fs::copy(folder / "killed", folder / "log_alone", fs::copy_options::recursive);
    fs::remove(with_suffix(index_of(folder / "log_alone"), "-shm"));
    // A reader was there when the store was closed, so that its log could not be taken away.
    const fs::path log_mode = folder / "log_mode";
    fs::copy(closed, log_mode, fs::copy_options::recursive);
    {
        FrameIndex::open(index_of(log_mode), StoreReader(closed).metadata().uuid, Database::Mode::read_write)
            ->use_write_ahead_log(true);
        const Database database(index_of(log_mode), Database::Mode::read_only);
        CHECK(database.query_text("PRAGMA journal_mode") == "wal");
    }
    for (const char* suffix : {"-wal", "-shm"}) fs::remove(with_suffix(index_of(log_mode), suffix));
    // Killed in the last step of switching the log on or off: what is left behind wants to be undone.
    for (const bool on : {true, false}) {
        const fs::path half_done = folder / (on ? "half_begun" : "half_closed");
        fs::copy(closed, half_done, fs::copy_options::recursive);
        const pid_t child = fork_off([&] {
            const auto index =
                FrameIndex::open(index_of(half_done), StoreReader(closed).metadata().uuid, Database::Mode::read_write);
            if (!on) index->use_write_ahead_log(true);
            DyingFileSystem dying;
            const FileSystemOverride replaced(dying);
            index->use_write_ahead_log(on);
        });
        CHECK(exit_code_of(child) == -1);
        CHECK(fs::file_size(with_suffix(index_of(half_done), "-journal")) > 0);
    }

    const auto read_all = [&] {
        for (const char* name : {"closed", "killed", "log_alone", "log_mode", "half_begun", "half_closed"}) {
            try {
                StoreReader store(folder / name);
                std::string fault = fault_of(store, 30, 2);
                // What the journal holds cannot be written back here; then the chunks' own files say it all.
                const bool without_index = std::string(name).starts_with("half");
                if (fault.empty() && store.warnings().size() != (without_index ? 1 : 0)) fault = "other warnings";
                if (fault.empty() && store.refresh()) fault = "something new";
                if (!fault.empty()) throw Error(ErrorCode::internal, fault);
            } catch (const Error& error) {
                throw Error(ErrorCode::internal, fmt::format("{}: {}", name, error.what()));
            }
        }
    };

    SUBCASE("read-only mount") {
        constexpr int kCannotMount = 77;
        const pid_t child = fork_off([&] {
            const std::string place = folder.path().string();
            if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                mount(place.c_str(), place.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
                mount(place.c_str(), place.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0)
                _exit(kCannotMount);
            read_all();
        });
        const int code = exit_code_of(child);
        if (code == kCannotMount) {
            MESSAGE("skipped: mounting is not allowed here");
        } else {
            CHECK(code == 0);
        }
    }
    SUBCASE("another user") {
        const pid_t child = fork_off([&] {
            constexpr uid_t kNobody = 65534;
            if (setgid(kNobody) != 0 || setuid(kNobody) != 0) _exit(2);
            read_all();
        });
        CHECK(exit_code_of(child) == 0);
    }
    SUBCASE("another user follows a recording") {
        const fs::path path = folder / "live";
        StoreWriter writer(path, live_options("npy"));
        for (int i = 0; i < 5; ++i) add_frame(writer, gray_type(), i);
        int to_child[2];
        int to_parent[2];
        REQUIRE(pipe(to_child) == 0);
        REQUIRE(pipe(to_parent) == 0);
        const pid_t child = fork_off([&] {
            constexpr uid_t kNobody = 65534;
            if (setgid(kNobody) != 0 || setuid(kNobody) != 0) _exit(2);
            StoreReader store(path);
            if (store.frame_count() != 5 || !StoreLock::held(path)) _exit(3);
            char byte = 1;
            if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1) _exit(4);
            if (!store.refresh() || store.frame_count() != 6) _exit(5);
            if (!fault_of(store.at_index(5), 5).empty()) _exit(6);
        });
        char byte = 0;
        REQUIRE(read(to_parent[0], &byte, 1) == 1);
        add_frame(writer, gray_type(), 5);
        REQUIRE(write(to_child[1], &byte, 1) == 1);
        CHECK(exit_code_of(child) == 0);
        for (const int end : {to_child[0], to_child[1], to_parent[0], to_parent[1]}) ::close(end);
        writer.close();
    }
}
