// Old chunks are removed from the front, and nothing else is: by days, bytes and time, also while the store is recorded
// and read, ended anywhere, on a disk that fails.
#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <limits>
#include <mutex>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/file_system.h"
#include "base/sqlite.h"
#include "store/maintenance.h"
#include "store/repair.h"
#include "store/store_lock.h"
#include "store/trim.h"
#include "store/verify.h"
#include "tests/crash_simulation.h"
#include "tests/fault_file_system.h"
#include "tests/sanitized.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"
#include "tests/test_data.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kFormats = {"avc1/mp4", "npy", "mjpeg/avi", "zstd/npy"};
/// For the tests that take long. What wraps the frames of a file does not matter here.
const std::vector<std::string> kCrashFormats = {"avc1/mp4", "npy", "mjpeg/avi"};
constexpr int kChunk = 10;
constexpr int kFrames = 60;
constexpr double kDay = 86400;
constexpr double kYear = 365 * kDay;

std::string short_name(const std::string& format) {
    return format.substr(0, 3);
}

StoreWriterOptions options_of(const std::string& format, bool append = false) {
    StoreWriterOptions options;
    options.format = append ? "" : format;
    if (!append) options.chunk_frames = kChunk;
    if (format == "avc1/mp4") options.codec = {{"tune", "zerolatency"}, {"threads", "1"}, {"gop", "5"}};
    options.commit_interval = 1000;  // commits come when the test says
    options.append = append;
    return options;
}

void add_frame(StoreWriter& writer, int64_t i) {
    writer.add(make_numbered_image(gray_type(), static_cast<int>(i)), 100 + i, fixture_time(i));
    if (i % 3 == 0) writer.add_extra_data({{"i", i}});
}

void add_frames(StoreWriter& writer, int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) add_frame(writer, i);
}

/// Frame i has number 100 + i; frames divisible by 3 have extra data.
void write_store(const fs::path& path, const std::string& format, int64_t frames = kFrames) {
    StoreWriter writer(path, options_of(format));
    add_frames(writer, 0, frames);
    writer.close();
}

/// A store of tiny frames with these times, numbered 0, 1, 2..., in chunks of `chunk_frames`.
void write_times(const fs::path& path, const std::vector<double>& times, int chunk_frames = 2) {
    StoreWriter writer(path, {.format = "npy", .chunk_frames = chunk_frames, .commit_interval = 1000});
    for (size_t i = 0; i < times.size(); ++i)
        writer.add(make_numbered_image({16, 16, 1, CV_8U}, static_cast<int>(i)), static_cast<int64_t>(i), times[i]);
    writer.close();
}

TrimOptions before_frame(int64_t i) {
    return {.before = fixture_time(i)};
}

TrimOptions forced(TrimOptions options) {
    options.force = true;
    return options;
}

/// The frames that were written as first..end-1 are there, and no others, with all that belongs to them.
void check_frames(StoreReader& store, int64_t first, int64_t end) {
    REQUIRE(store.frame_count() == end - first);
    const int64_t count = end - first;
    for (int64_t n = 0; n < count; ++n) {
        const int64_t index = count % 7 == 0 ? count - 1 - n : n * 7 % count;
        const int64_t i = first + index;
        const Frame frame = store.at_index(index);
        CHECK(frame.index == index);
        CHECK(frame.number == 100 + i);
        CHECK(frame.time == fixture_time(i));
        CHECK(read_image_number(frame.image) == static_cast<int>(i));
        const std::vector<Json> expected = i % 3 == 0 ? std::vector<Json>{{{"i", i}}} : std::vector<Json>{};
        CHECK(store.extra_data_of(index) == expected);
        CHECK(store.find_number(100 + i)->index == index);
    }
    CHECK(store.all_extra_data().size() == static_cast<size_t>((end + 2) / 3 - (first + 2) / 3));
    CHECK_FALSE(store.find_number(100 + first - 1));
    CHECK_FALSE(store.find_number(100 + end));
    CHECK(store.find_number(0, Match::next)->index == 0);
    CHECK(store.find_time(0, Match::nearest)->index == 0);
    CHECK(store.number_range()->first == 100 + first);
    CHECK(store.time_range()->first == fixture_time(first));
}

void check_store(const fs::path& path, int64_t first, int64_t end) {
    StoreReader store(path);
    check_frames(store, first, end);
    CHECK(store.warnings().empty());
    CHECK_FALSE(store.incomplete());
    CHECK(store.has_index());
    const VerifyReport report = verify(path, VerifyLevel::hash, {});
    for (const Finding& finding : report.findings) {
        INFO(finding.message);
        // Images have checksums only where an index has been kept since they were written.
        CHECK(finding.code == "no_checksums");
    }
    CHECK_FALSE(fs::exists(path / ".trim.lock"));
}

/// What imgstore sees of it.
void check_without_index(const fs::path& path, int64_t first, int64_t end) {
    const fs::path bare = path.string() + "_bare";
    fs::remove_all(bare);
    fs::copy(path, bare, fs::copy_options::recursive);
    // A reader that is open keeps the log.
    for (const char* name : {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}) fs::remove(bare / name);
    {
        StoreReader store(bare);
        CHECK_FALSE(store.has_index());
        check_frames(store, first, end);
        CHECK(store.warnings().empty());
    }
    // Built from nothing it counts anew, and finds the extra data all the same.
    build_index(bare);
    check_store(bare, first, end);
    fs::remove_all(bare);
}

std::vector<Json> trim_events(const fs::path& path) {
    std::vector<Json> events;
    StoreReader(path).visit_events([&](const EventRow& event) {
        if (event.kind == "trimmed") events.push_back(Json::parse(event.data));
        return true;
    });
    return events;
}

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

bool has_chunk(const fs::path& store, int64_t chunk) {
    const std::vector<std::string> names = names_in(store);
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name.starts_with(StoreLayout::chunk_name(chunk)); });
}

bool says(const std::vector<std::string>& notes, const std::string& text) {
    return std::any_of(notes.begin(), notes.end(),
                       [&](const std::string& note) { return note.find(text) != std::string::npos; });
}

}  // namespace

TEST_CASE("whole chunks go from the front, and what is left is as it was, with an index and without") {
    const TemporaryFolder folder;
    for (const std::string& format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_store(path, format);
        // The chunk with the limit in it stays.
        const TrimPlan plan = plan_trim(path, before_frame(25));
        CHECK(plan.removed.chunks == 2);
        CHECK(plan.removed.frames == 20);
        CHECK(plan.removed.last_chunk == 1);
        CHECK(plan.removed.first_number == 100);
        CHECK(plan.removed.last_number == 119);
        CHECK(plan.frames_kept == 40);
        CHECK(plan.chunks_kept == 4);
        CHECK(plan.refusal == "");
        check_store(path, 0, kFrames);  // nothing was changed

        uint64_t before = 0, after = 0;
        const auto bytes = [&](uint64_t& sum) {
            sum = 0;
            for (const auto& entry : fs::recursive_directory_iterator(path))
                if (entry.is_regular_file() && entry.path().filename().string()[0] == '0') sum += entry.file_size();
        };
        if (format != "npy") bytes(before);
        const TrimResult result = apply_trim(path, before_frame(25));
        CHECK(result.removed.chunks == 2);
        CHECK(result.removed.frames == 20);
        CHECK(result.removed.bytes == plan.removed.bytes);
        if (format != "npy") {
            bytes(after);
            CHECK(before - after == result.removed.bytes);
        }
        CHECK(result.notes.empty());
        for (const int64_t chunk : {0, 1}) CHECK_FALSE(has_chunk(path, chunk));
        for (const int64_t chunk : {2, 3, 4, 5}) CHECK(has_chunk(path, chunk));
        check_store(path, 20, kFrames);
        check_without_index(path, 20, kFrames);

        // One event, with its place behind the frames there were.
        REQUIRE(trim_events(path).size() == 1);
        const Json event = trim_events(path).front();
        CHECK(event["chunks"] == 2);
        CHECK(event["frames"] == 20);
        CHECK(event["first_chunk"] == 0);
        CHECK(event["last_chunk"] == 1);
        CHECK(event["first_number"] == 100);
        CHECK(event["last_number"] == 119);
        CHECK(event["first_time"] == fixture_time(0));
        CHECK(event["last_time"] == fixture_time(19));
        CHECK(event["bytes"] == result.removed.bytes);

        // Again: nothing to do, and nobody need look whether the folder's chunks are still those of the index.
        const auto changed = fs::last_write_time(path);
        CHECK(apply_trim(path, before_frame(25)).removed.chunks == 0);
        CHECK(fs::last_write_time(path) == changed);
        CHECK(trim_events(path).size() == 1);

        // The recording goes on, and is trimmed again.
        {
            StoreWriter writer(path, options_of(format, true));
            CHECK(writer.frame_count() == 40);
            add_frames(writer, kFrames, kFrames + 15);
            writer.close();
        }
        check_store(path, 20, kFrames + 15);
        apply_trim(path, forced(before_frame(50)));
        check_store(path, 50, kFrames + 15);
        check_without_index(path, 50, kFrames + 15);
        CHECK(trim_events(path).size() == 2);

        // Frames keep the frame_index that they have had since the recording began, also in an index built anew.
        const auto first_row = [&] {
            const Database database(path / "index.sqlite", Database::Mode::read_only);
            return database.query_text(
                "SELECT frame_index || ' ' || frame_number || ' ' || (SELECT value FROM store WHERE key = "
                "'first_chunk') FROM frames ORDER BY frame_index LIMIT 1");
        };
        CHECK(first_row() == "50 150 5");
        build_index(path);
        CHECK(first_row() == "50 150 5");
        check_store(path, 50, kFrames + 15);
        CHECK(trim_events(path).size() == 2);
    }
}

TEST_CASE("as many chunks are kept as fit into the bytes") {
    const TemporaryFolder folder;
    for (const std::string& format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_store(path, format);
        const TrimPlan all = plan_trim(path, {.keep_bytes = uint64_t{1} << 40});
        CHECK(all.removed.chunks == 0);
        CHECK(all.chunks_kept == 6);
        const TrimPlan exact = plan_trim(path, {.keep_bytes = all.bytes_kept});
        CHECK(exact.removed.chunks == 0);
        const TrimPlan one_less = plan_trim(path, {.keep_bytes = all.bytes_kept - 1});
        CHECK(one_less.removed.chunks == 1);
        CHECK(one_less.bytes_kept + one_less.removed.bytes == all.bytes_kept);
        CHECK(one_less.notes.empty());
        apply_trim(path, {.keep_bytes = one_less.bytes_kept});
        check_store(path, 10, kFrames);
        CHECK(plan_trim(path, {.keep_bytes = one_less.bytes_kept}).removed.chunks == 0);
        // The last chunk stays however small the room.
        const TrimPlan least = plan_trim(path, {.keep_bytes = 1});
        CHECK(least.chunks_kept == 1);
        CHECK(says(least.notes, "the last chunk"));
        CHECK(error_of([&] { apply_trim(path, {.keep_bytes = 1}); }) == ErrorCode::invalid_argument);
        check_store(path, 10, kFrames);
        apply_trim(path, {.keep_bytes = 1, .force = true});
        check_store(path, 50, kFrames);
    }
}

TEST_CASE("more than half of the frames go only by force, and the refusal says what and how") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "npy");
    CHECK(plan_trim(path, before_frame(30)).refusal == "");  // exactly half
    CHECK(plan_trim(path, before_frame(40)).removed.frames == 40);
    std::string message;
    CHECK(error_of([&] { apply_trim(path, before_frame(40)); }, &message) == ErrorCode::invalid_argument);
    CHECK(message.find("nothing was removed: it would remove 40 of 60 frames") != std::string::npos);
    CHECK(message.find("chunks 0 to 3, numbers 100 to 139") != std::string::npos);
    CHECK(message.find("--force") != std::string::npos);
    check_store(path, 0, kFrames);
    apply_trim(path, forced(before_frame(40)));
    check_store(path, 40, kFrames);
    // Never all of them.
    apply_trim(path, forced(before_frame(10000)));
    check_store(path, 50, kFrames);
}

TEST_CASE("there is exactly one criterion, and it makes sense") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "npy", 20);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinite = std::numeric_limits<double>::infinity();
    for (const TrimOptions& options :
         {TrimOptions{}, TrimOptions{.keep_days = 1, .keep_bytes = 1}, TrimOptions{.keep_days = 1, .before = 1},
          TrimOptions{.keep_days = 0}, TrimOptions{.keep_days = -1}, TrimOptions{.keep_days = nan},
          TrimOptions{.keep_days = infinite}, TrimOptions{.keep_bytes = 0}, TrimOptions{.before = nan}}) {
        CHECK(error_of([&] { plan_trim(path, options); }) == ErrorCode::invalid_argument);
        CHECK(error_of([&] { apply_trim(path, options); }) == ErrorCode::invalid_argument);
    }
    CHECK(error_of([&] { apply_trim(folder.path(), {.keep_days = 1}); }) == ErrorCode::not_a_store);
    CHECK_FALSE(fs::exists(folder / ".trim.lock"));
    CHECK(apply_trim(path, {.before = -infinite < 0 ? -1e300 : 0.0}).removed.chunks == 0);
}

TEST_CASE("days are counted back from the frame recorded last, whatever the clock of this machine says") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    std::vector<double> times;
    for (int day = 0; day < 20; ++day) times.push_back(1e9 + day * kDay);
    write_times(path, times);
    // The last frame is of day 19: those before day 12 go, in whole chunks.
    CHECK(plan_trim(path, {.keep_days = 7}).removed.frames == 12);
    CHECK(plan_trim(path, {.keep_days = 8.5}).removed.frames == 10);
    CHECK(plan_trim(path, {.keep_days = 19}).removed.frames == 0);
    CHECK(plan_trim(path, {.keep_days = 1e6}).removed.frames == 0);
    apply_trim(path, forced({.keep_days = 7}));
    StoreReader store(path);
    CHECK(store.frame_count() == 8);
    CHECK(store.at_index(0).number == 12);
}

TEST_CASE("a clock that jumps a year does not cost the recording") {
    const TemporaryFolder folder;
    const auto days = [](int count, double begin) {
        std::vector<double> times;
        for (int hour = 0; hour < 4 * count; ++hour) times.push_back(begin + hour * kDay / 4);
        return times;
    };
    const auto joined = [](std::vector<double> a, const std::vector<double>& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    };
    std::string message;
    SUBCASE("forward, at the very end") {
        for (const int behind : {1, 2, 3, 10}) {
            CAPTURE(behind);
            std::vector<double> late(static_cast<size_t>(behind), 1e9 + kYear);
            const fs::path path = folder / std::to_string(behind);
            write_times(path, joined(days(20, 1e9), late));
            const TrimPlan plan = plan_trim(path, {.keep_days = 7});
            CHECK(plan.refusal.find("leap") != std::string::npos);
            CHECK(error_of([&] { apply_trim(path, {.keep_days = 7}); }, &message) == ErrorCode::invalid_argument);
            CHECK(message.find("--before") != std::string::npos);
            CHECK(StoreReader(path).frame_count() == 80 + behind);
        }
    }
    SUBCASE("forward, less than half of the recording before it") {
        write_times(folder / "s", joined(days(3, 1e9), days(5, 1e9 + kYear)));
        // Seven days have not passed since, but for the jump.
        CHECK(error_of([&] { apply_trim(folder / "s", {.keep_days = 7}); }, &message) == ErrorCode::invalid_argument);
        CHECK(message.find("more than half") == std::string::npos);
        CHECK(message.find("leap") != std::string::npos);
        // Four have: less than one day since the jump, and all before it, is older.
        CHECK(apply_trim(folder / "s", {.keep_days = 4}).removed.frames == 14);
    }
    SUBCASE("forward, in the midst of a chunk") {
        write_times(folder / "s", joined(days(20, 1e9), days(1, 1e9 + kYear)), 81);
        CHECK(apply_trim(folder / "s", {.keep_days = 7}).removed.frames == 0);
        write_times(folder / "t", joined(days(20, 1e9), days(3, 1e9 + kYear)), 7);
        CHECK(error_of([&] { apply_trim(folder / "t", {.keep_days = 7}); }) == ErrorCode::invalid_argument);
    }
    SUBCASE("forward and back") {
        const std::vector<double> times =
            joined(joined(days(10, 1e9), {1e9 + kYear, 1e9 + kYear}), days(20, 1e9 + 10 * kDay));
        write_times(folder / "s", times);
        // The limit is told by the last frame; the frames from next year keep what is behind them.
        const TrimPlan plan = plan_trim(folder / "s", {.keep_days = 7});
        CHECK(plan.removed.frames == 40);
        CHECK(plan.refusal == "");
        CHECK(says(plan.notes, "although that is older"));
        apply_trim(folder / "s", {.keep_days = 7});
        CHECK(StoreReader(folder / "s").frame_count() == 82);
        CHECK(plan_trim(folder / "s", {.keep_days = 7}).removed.frames == 0);
        CHECK(plan_trim(folder / "s", {.before = 1e9 + 2 * kYear}).removed.frames == 80);
    }
    SUBCASE("back") {
        write_times(folder / "s", joined(days(20, 1e9), days(20, 1e9 - kYear)));
        CHECK(apply_trim(folder / "s", {.keep_days = 7}).removed.frames == 0);
        CHECK(StoreReader(folder / "s").frame_count() == 160);
    }
}

TEST_CASE(
    "frames without a time keep everything behind them, and a store whose last frame has none is not counted in days") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_times(path, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    const auto forget_times = [&](const std::string& where) {
        const Database database(path / "index.sqlite", Database::Mode::read_write);
        database.execute("UPDATE frames SET frame_time = NULL WHERE " + where);
    };
    // As an index has it that was made from a foreign store's sidecars.
    const auto summarize = [&](int chunk, const std::string& values) {
        const Database database(path / "index.sqlite", Database::Mode::read_write);
        database.execute(fmt::format("UPDATE chunks SET {} WHERE chunk = {}; DROP TABLE chunk_groups", values, chunk));
    };
    SUBCASE("one of a chunk") {
        forget_times("frame_index = 5");
        summarize(2, "time_max = 5, times_ascending = 0");
        const TrimPlan plan = plan_trim(path, {.before = 100});
        CHECK(plan.removed.frames == 4);
        CHECK(says(plan.notes, "chunk 2 has frames without a time"));
    }
    SUBCASE("a chunk") {
        forget_times("frame_index IN (4, 5)");
        summarize(2, "time_min = NULL, time_max = NULL, times_ascending = 0");
        const TrimPlan plan = plan_trim(path, {.before = 100});
        CHECK(plan.removed.frames == 4);
        CHECK(says(plan.notes, "chunk 2 has frames without a time"));
        // Bytes do not ask for times.
        CHECK(plan_trim(path, {.keep_bytes = 1}).removed.frames == 8);
    }
    SUBCASE("the last") {
        forget_times("frame_index = 9");
        summarize(4, "time_max = 9, times_ascending = 0");
        CHECK(error_of([&] { plan_trim(path, {.keep_days = 1}); }) == ErrorCode::invalid_argument);
        CHECK(plan_trim(path, {.before = 5.5}).removed.frames == 4);
    }
}

TEST_CASE("random trims and recordings leave exactly what they should") {
    const TemporaryFolder folder(memory_folder());
    for (const std::string& format : kFormats) {
        for (uint32_t seed = 0; seed < (kSanitized ? 2 : 6); ++seed) {
            CAPTURE(format);
            CAPTURE(seed);
            std::mt19937 random(seed * 77 + static_cast<uint32_t>(format[0]));
            const auto between = [&](int64_t least, int64_t most) {
                return std::uniform_int_distribution<int64_t>(least, most)(random);
            };
            const fs::path path = folder / "s";
            fs::remove_all(path);
            std::vector<int64_t> begins;  // of the chunks that are there
            int64_t end = 0;
            const auto record = [&] {
                StoreWriter writer(path, options_of(format, end > 0));
                const int64_t count = between(1, 35);
                for (int64_t i = 0; i < count; i += kChunk) begins.push_back(end + i);
                add_frames(writer, end, end + count);
                writer.close();
                end += count;
            };
            record();
            for (int step = 0; step < 6; ++step) {
                if (between(0, 2) == 0) {
                    record();
                } else if (between(0, 3) == 0) {
                    fs::remove(path / "index.sqlite");
                } else {
                    TrimOptions options;
                    size_t goes = 0;
                    if (between(0, 1) == 0) {
                        const int64_t limit = between(begins.front(), end + 3);
                        options.before = fixture_time(limit);
                        while (goes + 1 < begins.size() && begins[goes + 1] <= limit) ++goes;
                    } else {
                        const int64_t kept = between(begins.front(), end - 1);
                        options.keep_days = (fixture_time(end - 1) - fixture_time(kept)) / kDay + 1e-9;
                        while (goes + 1 < begins.size() && begins[goes + 1] <= kept) ++goes;
                    }
                    options.force = true;
                    const TrimPlan plan = plan_trim(path, options);
                    CHECK(plan.removed.chunks == static_cast<int64_t>(goes));
                    const TrimResult result = apply_trim(path, options);
                    CHECK(result.removed.chunks == static_cast<int64_t>(goes));
                    CHECK(result.removed.bytes == plan.removed.bytes);
                    begins.erase(begins.begin(), begins.begin() + static_cast<std::ptrdiff_t>(goes));
                }
                if (fs::exists(path / "index.sqlite")) {
                    check_store(path, begins.front(), end);
                } else {
                    StoreReader store(path);
                    check_frames(store, begins.front(), end);
                }
            }
            if (fs::exists(path / "index.sqlite")) check_without_index(path, begins.front(), end);
        }
    }
}

TEST_CASE("a store of imgstore gets an index first, and says so") {
    const TemporaryFolder folder;
    const fs::path golden = test_data() / "golden" / "imgstore-0.4.0";
    for (const char* name : {"avc1_mp4-gray", "npy-uint16", "mjpeg_avi-gray"}) {
        CAPTURE(name);
        const fs::path path = folder / name;
        fs::copy(golden / name, path, fs::copy_options::recursive);
        std::vector<Frame> frames;
        std::vector<int64_t> chunks;
        {
            StoreReader store(path);
            while (std::optional<Frame> frame = store.next()) {
                frame->image = frame->image.clone();
                frames.push_back(*frame);
            }
            chunks = store.chunks();
            REQUIRE(chunks.size() >= 2);
        }
        const std::vector<std::string> names = names_in(path);
        size_t first = 0;
        {
            StoreReader store(path);
            while (store.row(static_cast<int64_t>(first))->chunk == chunks[0]) ++first;
        }
        const TrimOptions options = forced({.before = frames[first].time});
        const TrimPlan plan = plan_trim(path, options);
        CHECK(plan.removed.chunks == 1);
        CHECK(says(plan.notes, "index.sqlite"));
        CHECK(names_in(path) == names);
        CHECK(says(apply_trim(path, options).notes, "index.sqlite was made first"));
        CHECK_FALSE(has_chunk(path, chunks[0]));
        for (const bool with_index : {true, false}) {
            CAPTURE(with_index);
            if (!with_index) fs::remove(path / "index.sqlite");
            StoreReader store(path);
            REQUIRE(store.frame_count() == static_cast<int64_t>(frames.size() - first));
            for (size_t i = first; i < frames.size(); ++i) {
                const Frame frame = store.at_index(static_cast<int64_t>(i - first));
                CHECK(frame.number == frames[i].number);
                CHECK(frame.time == frames[i].time);
                CHECK(cv::norm(frame.image, frames[i].image, cv::NORM_INF) == 0);
            }
        }
        // Where nothing goes, none is made.
        apply_trim(path, {.before = -1e9});
        CHECK_FALSE(fs::exists(path / "index.sqlite"));
    }
}

// ---- while the store is read and written

TEST_CASE("beside a writer old chunks go, its recording is undisturbed, and open readers keep what is left") {
    const TemporaryFolder folder;
    for (const std::string& format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        StoreWriter writer(path, options_of(format));
        add_frames(writer, 0, 45);
        writer.commit();
        StoreReader reader(path);
        const auto clone = reader.clone();
        REQUIRE(reader.frame_count() == 45);
        CHECK(read_image_number(reader.next()->image) == 0);
        CHECK(read_image_number(reader.at_index(25).image) == 25);

        CHECK(plan_trim(path, before_frame(25)).removed.frames == 20);
        const TrimResult result = apply_trim(path, before_frame(25));
        CHECK(result.removed.frames == 20);
        CHECK(result.notes.empty());
        CHECK_FALSE(fs::exists(path / ".trim.lock"));
        CHECK_FALSE(has_chunk(path, 0));
        CHECK(StoreLock::held(path));

        const auto check_old_reader = [&](StoreReader& old, int64_t count) {
            CHECK(old.frame_count() == count);
            for (int64_t n = 0; n < count; ++n) {
                const int64_t i = n * 7 % count;
                if (i < 20) {
                    std::string message;
                    CHECK(error_of([&] { old.at_index(i); }, &message) == ErrorCode::not_found);
                    CHECK(message.find("store trim") != std::string::npos);
                    CHECK(error_of([&] { old.row(i); }) == ErrorCode::not_found);
                    CHECK_FALSE(old.find_number(100 + i));
                    CHECK(old.find_number(100 + i, Match::next)->index == 20);
                    CHECK_FALSE(old.find_number(100 + i, Match::previous));
                    CHECK(old.find_time(fixture_time(i), Match::nearest)->index == 20);
                } else {
                    const Frame frame = old.at_index(i);
                    CHECK(frame.number == 100 + i);
                    CHECK(read_image_number(frame.image) == static_cast<int>(i));
                    CHECK(old.find_number(100 + i)->index == i);
                    CHECK(old.find_time(fixture_time(i), Match::exact)->index == i);
                }
            }
            CHECK(error_of([&] { old.at_indices(std::vector<int64_t>{30, 3}); }) == ErrorCode::not_found);
            const std::vector<Frame> batch = old.at_indices(std::vector<int64_t>{44, 20, 31});
            CHECK(read_image_number(batch[0].image) == 44);
            CHECK(read_image_number(batch[1].image) == 20);
            CHECK(read_image_number(batch[2].image) == 31);
            CHECK(old.number_range()->first == 120);
            CHECK(old.chunks() == std::vector<int64_t>{2, 3, 4});
            CHECK(old.info().frame_count == count);
            CHECK(old.info().frame_rate.value_or(0) == doctest::Approx(1 / kFixtureInterval));
            std::vector<int64_t> shown;
            old.seek(18);
            for (int64_t i = 18; i < count; ++i) {
                const auto error = error_of([&] {
                    if (const auto frame = old.next()) shown.push_back(*read_image_number(frame->image));
                });
                if (i < 20) CHECK(error == ErrorCode::not_found);
            }
            REQUIRE(shown.size() == static_cast<size_t>(count - 20));
            for (int64_t i = 20; i < count; ++i) CHECK(shown[static_cast<size_t>(i - 20)] == i);
        };
        check_old_reader(reader, 45);
        check_old_reader(*clone, 45);
        {
            StoreReader fresh(path);
            check_frames(fresh, 20, 45);
        }

        // The chunk that is being written never goes, nor the last one.
        CHECK(apply_trim(path, forced(before_frame(10000))).removed.frames == 20);
        {
            StoreReader fresh(path);
            check_frames(fresh, 40, 45);
        }
        add_frames(writer, 45, 73);
        writer.commit();
        CHECK(reader.refresh());
        CHECK(reader.frame_count() == 73);
        CHECK(read_image_number(reader.at_index(72).image) == 72);
        CHECK(error_of([&] { reader.at_index(39); }) == ErrorCode::not_found);
        apply_trim(path, before_frame(50));
        add_frames(writer, 73, 88);
        writer.close();
        check_store(path, 50, 88);
        check_without_index(path, 50, 88);
        CHECK(trim_events(path).size() == 3);
        CHECK(read_image_number(reader.at_index(55).image) == 55);
    }
}

TEST_CASE("an open reader's lookups do not miss what is left where numbers wrap and clocks step back") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    StoreWriter writer(path, {.format = "npy", .chunk_frames = 3, .commit_interval = 1000});
    const auto number = [](int64_t i) { return (65520 + i) % 65536; };
    const auto time = [](int64_t i) { return i < 24 ? 1e6 + static_cast<double>(i) : 1e3 + static_cast<double>(i); };
    for (int64_t i = 0; i < 150; ++i)
        writer.add(make_numbered_image({16, 16, 1, CV_8U}, static_cast<int>(i)), number(i), time(i));
    writer.commit();
    StoreReader old(path);
    CHECK(old.find_number(70000, Match::previous)->number == 65535);
    CHECK(apply_trim(path, {.keep_bytes = 30000, .force = true}).removed.frames > 0);
    const StoreReader fresh(path);
    const int64_t removed = old.frame_count() - fresh.frame_count();
    REQUIRE(removed >= 24);
    for (const Match match : {Match::exact, Match::nearest, Match::previous, Match::next}) {
        for (int64_t i = 0; i < 150; ++i) {
            for (const int64_t wanted : {number(i), number(i) + 1, number(i) - 1, int64_t{70000}, int64_t{-5}}) {
                const auto expected = fresh.find_number(wanted, match);
                const auto found = old.find_number(wanted, match);
                REQUIRE(found.has_value() == expected.has_value());
                if (found) CHECK(found->index == expected->index + removed);
            }
            for (const double wanted : {time(i), time(i) + 0.4, 0.0, 1e9}) {
                const auto expected = fresh.find_time(wanted, match);
                const auto found = old.find_time(wanted, match);
                REQUIRE(found.has_value() == expected.has_value());
                if (found) CHECK(found->index == expected->index + removed);
            }
        }
    }
    CHECK(old.number_range() == fresh.number_range());
    CHECK(old.time_range() == fresh.time_range());
    CHECK(old.numbers_ascend() == fresh.numbers_ascend());
    writer.close();
}

TEST_CASE("an index that is written and trimmed for ever stays small and is not taken for damaged") {
    const TemporaryFolder folder;
    const fs::path path = folder / "index.sqlite";
    const auto index = FrameIndex::create(path, "u");
    index->use_write_ahead_log(true);
    std::unique_ptr<FrameIndex> reader;
    constexpr int64_t kRows = 500;
    for (int64_t chunk = 0; chunk < 200; ++chunk) {
        Transaction transaction(index->database());
        index->add_chunk(chunk, true);
        std::vector<NewFrame> frames(kRows);
        for (int64_t i = 0; i < kRows; ++i) {
            frames[static_cast<size_t>(i)].number = chunk * kRows + i;
            frames[static_cast<size_t>(i)].time = static_cast<double>(chunk * kRows + i);
        }
        index->add_frames(frames);
        if (chunk > 2) index->remove_first_chunk();
        transaction.commit();
        index->reload();
        if (!reader) reader = FrameIndex::open(path, "u");
        CHECK(reader->refresh() == (chunk > 0));
        CHECK(reader->frame_count() == (chunk + 1) * kRows);
        CHECK(reader->find_number(chunk * kRows + 7, Match::exact)->index == chunk * kRows + 7);
    }
    index->use_write_ahead_log(false);
    CHECK(reader->first_index() == 197 * kRows);
    CHECK(FrameIndex::open(path, "u")->frame_count() == 3 * kRows);
    reader.reset();
    CHECK(fs::file_size(path) < 4 * 1024 * 1024);
}

TEST_CASE("a recording with constant trims and readers: nothing fails and nothing is wrong") {
    const TemporaryFolder folder;
    for (const std::string& format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        StoreWriterOptions options = options_of(format);
        options.commit_interval = 0.005;
        StoreWriter writer(path, options);
        add_frames(writer, 0, 30);
        writer.commit();
        std::atomic<bool> done = false;
        std::atomic<int> trims = 0;
        std::atomic<int> wrong = 0;
        std::string trouble;
        std::mutex mutex;
        const auto note = [&](const std::string& text) {
            const std::lock_guard lock(mutex);
            ++wrong;
            trouble = text;
        };
        std::thread trimmer([&] {
            while (!done) {
                try {
                    if (apply_trim(path, {.keep_bytes = 60000, .force = true}).removed.chunks > 0) ++trims;
                } catch (const Error& error) {
                    note(error.what());
                }
            }
        });
        std::thread reading([&] {
            std::mt19937 random(1);
            while (!done) {
                try {
                    StoreReader store(path);
                    for (int i = 0; i < 20; ++i) {
                        const auto index = static_cast<int64_t>(random() % static_cast<uint32_t>(store.frame_count()));
                        try {
                            const Frame frame = store.at_index(index);
                            if (frame.number != 100 + *read_image_number(frame.image)) note("a frame shows another");
                        } catch (const Error& error) {
                            if (error.code() != ErrorCode::not_found) note(error.what());
                        }
                    }
                } catch (const Error& error) {
                    note(error.what());
                }
            }
        });
        const int64_t end = kSanitized ? 300 : 1000;
        for (int64_t i = 30; i < end; ++i) {
            add_frame(writer, i);
            std::this_thread::sleep_for(std::chrono::microseconds(500));
        }
        std::string message;
        const auto closing = error_of([&] { writer.close(); }, &message);
        INFO(message);
        CHECK_FALSE(closing);
        done = true;
        trimmer.join();
        reading.join();
        INFO(trouble);
        CHECK(wrong == 0);
        CHECK(trims > 2);
        StoreReader store(path);
        CHECK(store.closed());
        check_store(path, end - store.frame_count(), end);
        check_without_index(path, end - store.frame_count(), end);
    }
}

TEST_CASE("readers that open and read a closed store while it is trimmed are right, or say that a frame has gone") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    constexpr int64_t kMany = kSanitized ? 90 : 300;
    {
        StoreWriter writer(path, {.format = "npy", .chunk_frames = 3, .commit_interval = 1000});
        add_frames(writer, 0, kMany);
        writer.close();
    }
    std::atomic<bool> done = false;
    std::atomic<int> wrong = 0;
    std::atomic<int> opened = 0;
    std::string trouble;
    std::mutex mutex;
    const auto reading = [&](uint32_t seed) {
        std::mt19937 random(seed);
        while (!done) {
            const auto error = thrown_by([&] {
                const auto store = std::make_unique<StoreReader>(path);
                ++opened;
                if (!store->warnings().empty()) throw Error(ErrorCode::internal, store->warnings().front());
                for (int i = 0; i < 10; ++i) {
                    const auto index = static_cast<int64_t>(random() % static_cast<uint32_t>(store->frame_count()));
                    const auto gone = thrown_by([&] {
                        const Frame frame = store->at_index(index);
                        if (frame.number != 100 + *read_image_number(frame.image))
                            throw Error(ErrorCode::internal, "a frame shows another");
                        const auto found = store->find_number(frame.number);
                        if (found && found->index != index) throw Error(ErrorCode::internal, "a number has moved");
                    });
                    if (gone && gone->code() != ErrorCode::not_found) throw *gone;
                }
            });
            if (!error) continue;
            const std::lock_guard lock(mutex);
            ++wrong;
            trouble = error->what();
        }
    };
    std::thread one([&] { reading(1); });
    std::thread two([&] { reading(2); });
    while (opened < 4 && wrong == 0) std::this_thread::yield();
    std::string message;
    const auto trimming = error_of([&] { apply_trim(path, forced(before_frame(kMany - 6))); }, &message);
    INFO(message);
    CHECK_FALSE(trimming);
    done = true;
    one.join();
    two.join();
    INFO(trouble);
    CHECK(wrong == 0);
    check_store(path, kMany - 6, kMany);
}

TEST_CASE("two who would remove, rebuild or repair at once exclude each other; a writer waits for them") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "npy");
    {
        const TrimLock lock(path);
        std::string message;
        CHECK(error_of([&] { apply_trim(path, before_frame(25)); }, &message) == ErrorCode::locked);
        CHECK(message.find("trimmed") != std::string::npos);
        CHECK(error_of([&] { build_index(path); }) == ErrorCode::locked);
        CHECK(error_of([&] { apply_repair(path); }) == ErrorCode::locked);
        CHECK(error_of([&] { renumber(path); }) == ErrorCode::locked);
        CHECK(plan_trim(path, before_frame(25)).removed.frames == 20);
    }
    check_store(path, 0, kFrames);
    {
        auto lock = std::make_unique<StoreLock>(path);
        auto trim_lock = std::make_unique<TrimLock>(path);
        std::thread trim([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
            lock.reset();
            trim_lock.reset();
        });
        StoreWriter writer(path, options_of("npy", true));
        add_frames(writer, kFrames, kFrames + 5);
        trim.join();
        CHECK(error_of([&] { StoreWriter(path, options_of("npy", true)); }) == ErrorCode::locked);
        writer.close();
    }
    // One that was left by a process that was killed.
    std::ofstream(path / ".trim.lock") << "{}";
    apply_trim(path, before_frame(25));
    check_store(path, 20, kFrames + 5);
}

TEST_CASE("a recording does not end because a trim is held up by the disk") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    StoreWriter writer(path, options_of("npy"));
    add_frames(writer, 0, 15);
    writer.commit();
    std::atomic<bool> begun = false;
    std::thread slow([&] {
        // SQLite's own patience, as set for readers, is 5 s.
        const Database database(path / "index.sqlite", Database::Mode::read_write);
        const Transaction transaction(database);
        begun = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(5700));
    });
    while (!begun) std::this_thread::yield();
    add_frames(writer, 15, 35);
    writer.commit();
    slow.join();
    writer.close();
    check_store(path, 0, 35);
}

TEST_CASE("extra data find their frames behind a removed beginning where frames are alike") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    {
        StoreWriter writer(path, {.format = "npy", .chunk_frames = 4, .commit_interval = 1000});
        for (int i = 0; i < 24; ++i) {
            // From the tenth on, three frames each have the same number and time.
            const int alike = i < 10 ? i : i - i % 3;
            writer.add(make_numbered_image(gray_type(), i), alike, 1000 + alike);
            writer.add_extra_data({{"i", i}});
        }
        writer.close();
    }
    apply_trim(path, {.before = 1008});
    for (const bool with_index : {true, false}) {
        CAPTURE(with_index);
        if (!with_index) fs::remove(path / "index.sqlite");
        StoreReader store(path);
        REQUIRE(store.frame_count() == 16);
        CHECK(store.all_extra_data().size() == 16);
        for (int64_t index = 0; index < 16; ++index) {
            const int64_t i = 8 + index;
            CHECK(read_image_number(store.at_index(index).image) == static_cast<int>(i));
            CHECK(store.extra_data_of(index) == std::vector<Json>{{{"i", i}}});
        }
    }
}

TEST_CASE("the writer that has finished during a trim leaves one file, which the trim sees to") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    auto writer = std::make_unique<StoreWriter>(path, options_of("npy"));
    add_frames(*writer, 0, kFrames);
    writer->commit();
    TrimOptions options = before_frame(25);
    options.progress = [&](int64_t done, int64_t /*all*/) {
        if (done == 1) writer.reset();
    };
    CHECK(apply_trim(path, options).removed.frames == 20);
    CHECK_FALSE(fs::exists(path / "index.sqlite-wal"));
    {
        const Database database(path / "index.sqlite", Database::Mode::read_only);
        CHECK(database.query_text("PRAGMA journal_mode") == "delete");
    }
    check_store(path, 20, kFrames);
}

TEST_CASE("a store whose writer was killed is trimmed as far as its chunks are complete") {
    const TemporaryFolder folder;
    for (const std::string& format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        const fs::path living = folder / "living";
        {
            StoreWriter writer(living, options_of(format));
            add_frames(writer, 0, 55);
            writer.commit();
            fs::copy(living, path, fs::copy_options::recursive);
        }
        fs::remove_all(living);
        CHECK(apply_trim(path, before_frame(25)).removed.frames == 20);
        {
            StoreReader store(path);
            CHECK_FALSE(store.closed());
            check_frames(store, 20, 55);
        }
        CHECK_FALSE(apply_repair(path).data_lost());
        check_store(path, 20, 55);
        check_without_index(path, 20, 55);
    }
}

// ---- what is on the disk

TEST_CASE("what does not belong to the store stays, what links lead to too, and what was kept aside goes") {
    const TemporaryFolder folder;
    for (const std::string format : {"avc1/mp4", "npy"}) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_store(path, format);
        const bool images = format == "npy";
        const fs::path elsewhere = folder / (short_name(format) + "_elsewhere");
        fs::create_directory(elsewhere);
        const auto touch = [](const fs::path& file) { std::ofstream(file) << "x"; };
        // Chunk 1 has been moved to another disk.
        const fs::path media = images ? path / "000001" : path / "000001.mp4";
        fs::rename(media, elsewhere / "moved");
        fs::create_symlink(elsewhere / "moved", media);
        for (const char* name : {"000000.txt", "000000.mp4.bak", "000000x.npz", "00000.npz", "notes.md"})
            touch(path / name);
        touch(elsewhere / "valuable");
        fs::create_symlink(elsewhere / "valuable", path / "000000.link");
        if (images) {
            touch(path / "000000" / "000003.npy.uncommitted");
            touch(path / "000000" / "notes.md");
            fs::create_symlink(elsewhere / "valuable", path / "000000" / "link.npy");
        } else {
            touch(path / "000000.mp4.before_repair");
            touch(path / "000000.npz.before_repair.2");
            touch(path / "000000.mp4.uncommitted");
            fs::create_directory(path / "000000");
            touch(path / "000000" / "file");
        }
        const TrimResult result = apply_trim(path, before_frame(25));
        CHECK(result.removed.frames == 20);
        StoreReader store(path);
        check_frames(store, 20, kFrames);
        CHECK(fs::exists(elsewhere / "moved"));
        CHECK(fs::exists(elsewhere / "valuable"));
        CHECK_FALSE(fs::is_symlink(media));
        for (const char* name : {"000000.txt", "000000.mp4.bak", "000000x.npz", "00000.npz", "notes.md", "000000.link"})
            CHECK(fs::exists(path / name));
        if (images) {
            CHECK(says(result.notes, "does not belong to the store"));
            CHECK(names_in(path / "000000") == std::vector<std::string>{"link.npy", "notes.md"});
            CHECK(names_in(elsewhere / "moved").size() >= kChunk);
        } else {
            CHECK(result.notes.empty());
            CHECK_FALSE(fs::exists(path / "000000.mp4.before_repair"));
            CHECK_FALSE(fs::exists(path / "000000.npz.before_repair.2"));
            CHECK_FALSE(fs::exists(path / "000000.mp4.uncommitted"));
            CHECK(fs::exists(path / "000000" / "file"));
        }
        // The next one has nothing to do.
        const TrimResult again = apply_trim(path, before_frame(25));
        CHECK(again.removed.chunks == 0);
        CHECK(again.leftovers == 0);
    }
}

TEST_CASE("chunks that the index does not know are not passed over") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "avc1/mp4");
    fs::remove(path / "index.sqlite");
    fs::remove(path / "000002.npz");
    // Nobody knows how old chunk 2 is.
    const TrimPlan plan = plan_trim(path, before_frame(45));
    CHECK(plan.removed.chunks == 1);
    CHECK(says(plan.notes, "chunk 2"));
    CHECK(apply_trim(path, before_frame(45)).removed.chunks == 1);
    CHECK(fs::exists(path / "000002.mp4"));
    CHECK(plan_trim(path, before_frame(45)).removed.chunks == 0);
    CHECK(apply_repair(path).problems.empty());
    CHECK(StoreReader(path).frame_count() == 50);
}

TEST_CASE("an index that does not fit the chunks is put right first") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "npy");
    SUBCASE("chunks put in") {
        fs::copy(path / "000003", path / "000008", fs::copy_options::recursive);
        const fs::path index = path / "index.sqlite";
        fs::last_write_time(index, fs::last_write_time(index) - std::chrono::seconds(10));
        for (const bool apply : {false, true}) {
            std::string message;
            CHECK(error_of(
                      [&] {
                          if (apply) {
                              apply_trim(path, before_frame(25));
                          } else {
                              plan_trim(path, before_frame(25));
                          }
                      },
                      &message) == ErrorCode::corrupt);
            CHECK(message.find("store index") != std::string::npos);
        }
        build_index(path);
        CHECK(apply_trim(path, before_frame(25)).removed.frames == 20);
    }
    SUBCASE("damaged") {
        std::ofstream(path / "index.sqlite") << std::string(5000, 'x');
        std::string message;
        CHECK(error_of([&] { apply_trim(path, before_frame(25)); }, &message) == ErrorCode::corrupt);
        CHECK(message.find("store repair") != std::string::npos);
        CHECK(error_of([&] { plan_trim(path, before_frame(25)); }) == ErrorCode::corrupt);
        CHECK_FALSE(fs::exists(path / ".trim.lock"));
        CHECK(StoreReader(path).frame_count() == kFrames);
    }
}

// ---- ended anywhere, and on disks that fail

namespace {

struct FaultMode {
    std::string name;
    FaultPlan plan;
};

const std::vector<FaultMode> kFaultModes = {
    {"EIO once", {.error_number = EIO}},
    {"EIO for ever", {.error_number = EIO, .repeat = FaultPlan::Repeat::for_ever}},
    {"ENOSPC once", {.error_number = ENOSPC, .short_write = true}},
    {"EROFS for ever", {.error_number = EROFS, .repeat = FaultPlan::Repeat::for_ever}},
};

/// Whatever a trim of the first 30 of 60 frames has come to, the store is right and the next trim completes it.
void check_any_stage(const fs::path& path) {
    {
        StoreReader store(path);
        const int64_t first = kFrames - store.frame_count();
        CHECK(first % kChunk == 0);
        CHECK(first <= 30);
        check_frames(store, first, kFrames);
        CHECK(store.warnings().empty());
        CHECK(store.has_index());
    }
    for (const Finding& finding : verify(path, VerifyLevel::hash, {}).findings) {
        INFO(finding.code, ": ", finding.message);
        CHECK((finding.code == "trimmed_left" || finding.code == "lock_left"));
    }
    // Nothing that a repair would touch.
    CHECK(plan_repair(path).actions.empty());
    // Other programs never see a frame as another.
    const fs::path bare = path.string() + "_bare";
    fs::remove_all(bare);
    fs::copy(path, bare, fs::copy_options::recursive);
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) fs::remove(bare.string() + "/index.sqlite" + suffix);
    {
        StoreReader store(bare);
        CHECK(store.frame_count() >= 30);
        for (int64_t index = 0; index < store.frame_count(); ++index) {
            const FrameRow row = store.row(index).value();
            try {
                CHECK(read_image_number(store.at_index(index).image) == static_cast<int>(row.number - 100));
            } catch (const Error& error) {
                // Of a chunk that is being removed.
                CHECK(row.number < 130);
            }
        }
    }
    // A recording goes on as well.
    fs::remove_all(bare);
    fs::copy(path, bare, fs::copy_options::recursive);
    {
        StoreWriter writer(bare, options_of("", true));
        add_frames(writer, kFrames, kFrames + 2);
        writer.close();
        StoreReader store(bare);
        check_frames(store, kFrames + 2 - store.frame_count(), kFrames + 2);
    }
    fs::remove_all(bare);
    apply_trim(path, before_frame(30));
    {
        // Where nothing was left to do the files of locks may be left, which nobody holds.
        const StoreLock lock(path, false);
        const TrimLock trim_lock(path);
    }
    check_store(path, 30, kFrames);
    for (const int64_t chunk : {0, 1, 2}) CHECK_FALSE(has_chunk(path, chunk));
}

}  // namespace

TEST_SUITE_BEGIN("crash");

TEST_CASE("a trim that meets any failure of the disk leaves every frame right, and the next one completes it") {
    for (const std::string& format : kCrashFormats) {
        const TemporaryFolder folder(memory_folder());
        const fs::path whole = folder / "whole";
        write_store(whole, format);
        for (const FaultMode& mode : kFaultModes) {
            const std::string& name = mode.name;
            const FaultPlan& plan = mode.plan;
            bool failed = true;
            int64_t errors = 0;
            // What fails for ever fails alike at many of them.
            const bool once = plan.repeat == FaultPlan::Repeat::once && plan.error_number == EIO;
            const int64_t step = (once ? 1 : 4) * (kSanitized ? 7 : 1);
            for (int64_t nth = 1; failed; nth += step) {
                REQUIRE(nth < 500);
                const fs::path path = folder / "s";
                fs::remove_all(path);
                fs::copy(whole, path, fs::copy_options::recursive);
                FaultPlan at = plan;
                at.nth = nth;
                FaultFileSystem faults(at);
                std::optional<Error> error;
                {
                    const FileSystemOverride in_place(faults);
                    error = thrown_by([&] { apply_trim(path, before_frame(30)); });
                }
                failed = faults.failed() > 0;
                INFO(format, ", ", name, ", ", faults.describe(nth), ": ", error ? error->what() : "no error");
                if (!failed) CHECK_FALSE(error);
                if (error) {
                    ++errors;
                    CHECK((error->code() == ErrorCode::io || error->code() == ErrorCode::no_space ||
                           error->code() == ErrorCode::corrupt));
                }
                check_any_stage(path);
            }
            CHECK(errors > (kSanitized ? 0 : 5));
        }
    }
}

TEST_CASE("a trim that ends with the power leaves every frame right, and the next one completes it") {
    for (const std::string& format : kCrashFormats) {
        const TemporaryFolder folder(memory_folder());
        const fs::path path = folder / "s";
        write_store(path, format);
        CrashSimulation simulation(folder.path());
        {
            const FileSystemOverride in_place(simulation);
            apply_trim(path, before_frame(30));
        }
        const CrashPlan plan{.seed = 3, .states_per_barrier = kSanitized ? 0 : 1, .random_cuts = kSanitized ? 5 : 25};
        int64_t complete = 0;
        const int64_t states = simulation.trace().visit(plan, [&](const CrashState& state) {
            INFO(format, ", ", state.description);
            if (!has_chunk(state.folder / "s", 2)) ++complete;
            check_any_stage(state.folder / "s");
            return true;
        });
        CHECK(states > (kSanitized ? 10 : 50));
        CHECK(complete > 0);
    }
}

TEST_CASE("a full disk is no obstacle") {
    for (const uint64_t free : {0, 3000, 9000}) {
        CAPTURE(free);
        const TemporaryFolder folder(memory_folder());
        const fs::path path = folder / "s";
        {
            StoreWriter writer(path, options_of("npy"));
            for (int i = 0; i < kFrames; ++i)
                writer.add(make_numbered_image({200, 400, 1, CV_8U}, i), 100 + i, fixture_time(i));
            writer.close();
        }
        FaultFileSystem full;
        full.set_free_bytes(free);
        {
            const FileSystemOverride in_place(full);
            CHECK(apply_trim(path, before_frame(30)).removed.frames == 30);
        }
        CHECK(full.failed() > 0);
        StoreReader store(path);
        REQUIRE(store.frame_count() == 30);
        for (int i = 0; i < 30; ++i) CHECK(read_image_number(store.at_index(i).image) == 30 + i);
        CHECK(verify(path, VerifyLevel::hash, {}).findings.empty());
    }
}

TEST_CASE("a trim that is stopped has removed whole chunks, and is gone on with") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "npy");
    std::stop_source stop;
    TrimOptions options = before_frame(30);
    options.cancel = stop.get_token();
    options.progress = [&](int64_t done, int64_t all) {
        CHECK(all == 3);
        if (done == 0) stop.request_stop();
    };
    CHECK(error_of([&] { apply_trim(path, options); }) == ErrorCode::cancelled);
    check_store(path, 10, kFrames);
    check_any_stage(path);
    CHECK(trim_events(path).size() == 2);
}

TEST_SUITE_END();
