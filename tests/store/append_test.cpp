#include <doctest/doctest.h>

#include <fstream>
#include <set>

#include "base/file_system.h"
#include "store/layout.h"
#include "store/store_lock.h"
#include "tests/store/promised_store.h"
#include "tests/temporary_folder.h"
#include "tests/test_data.h"

using namespace reelstore;

namespace {

std::filesystem::path golden() {
    return test_data() / "golden/imgstore-0.4.0";
}

StoreWriterOptions small(const std::string& format) {
    return {.format = format, .chunk_frames = 4, .time_zone = "Etc/UTC"};
}

/// What goes on with any store.
StoreWriterOptions going_on() {
    return {.append = true};
}

/// Copies a store as it lies on the disk while a writer has it, as a kill would leave it.
void copy_as_killed(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

/// As a writer leaves it that is killed soon after it went on with the store.
void mark_open(const std::filesystem::path& store) {
    const StoreReader reader(store);
    FrameIndex::open(StoreLayout::index(store), reader.metadata().uuid, Database::Mode::read_write)->set_closed(false);
}

std::vector<std::string> kinds_of_events(const std::filesystem::path& store) {
    std::vector<std::string> kinds;
    StoreReader(store).visit_events([&](const EventRow& event) {
        kinds.push_back(event.kind);
        return true;
    });
    return kinds;
}

}  // namespace

TEST_CASE("a closed store is continued behind its last frame, in every format") {
    for (const auto& format : chunk_formats()) {
        if (!format->info().unavailable.empty() || format->info().decodes_at_write) continue;
        // Some encoders want larger images than these.
        if (format->refuses(gray_type())) continue;
        INFO(format->info().name);
        const TemporaryFolder folder;
        {
            StoreWriter writer(folder / "s", small(format->info().name));
            for (int i = 0; i < 6; ++i) add_promised_frame(writer, i);
            writer.close();
        }
        StoreWriter writer(folder / "s", going_on());
        CHECK(writer.frame_count() == 6);
        CHECK(writer.last_frame()->number == number_of(5));
        CHECK(writer.last_frame()->time == fixture_time(5));
        for (int i = 6; i < 12; ++i) add_promised_frame(writer, i);
        writer.close();
        CHECK(violation(folder / "s", 12, 12, true) == "");
        CHECK(StoreReader(folder / "s").chunks() == std::vector<int64_t>{0, 1, 2, 3});
    }
}

TEST_CASE("a killed store is continued, its open chunk completed first, in every format") {
    for (const auto& format : chunk_formats()) {
        if (!format->info().unavailable.empty() || format->info().decodes_at_write) continue;
        // Some encoders want larger images than these.
        if (format->refuses(gray_type())) continue;
        INFO(format->info().name);
        const TemporaryFolder folder;
        StoreWriter first(folder / "first", small(format->info().name));
        for (int i = 0; i < 7; ++i) add_promised_frame(first, i);
        first.commit();
        const int64_t committed = first.stats().frames_committed;
        copy_as_killed(folder / "first", folder / "s");
        StoreWriter writer(folder / "s", going_on());
        CHECK(writer.frame_count() == committed);
        for (auto i = static_cast<int>(committed); i < 12; ++i) add_promised_frame(writer, i);
        writer.close();
        CHECK(violation(folder / "s", 12, 12, true) == "");
        CHECK(kinds_of_events(folder / "s").front() != "");
        first.close();
    }
}

TEST_CASE("a store without frames is continued") {
    const TemporaryFolder folder;
    for (const char* format : {"npy", "avc1/mp4"}) {
        const std::filesystem::path path = folder / (std::string(format) == "npy" ? "a" : "b");
        StoreWriter(path, small(format)).close();
        StoreWriter writer(path, going_on());
        CHECK_FALSE(writer.last_frame());
        for (int i = 0; i < 5; ++i) add_promised_frame(writer, i);
        writer.close();
        StoreReader store(path);
        CHECK(store.frame_count() == 5);
        CHECK(store.image_type() == gray_type());
        for (int i = 0; i < 5; ++i) CHECK(read_image_number(store.at_index(i).image) == i);
    }
}

TEST_CASE("what a writer leaves that is killed before its first frame is taken over") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder / "s");
    std::ofstream(folder / "s" / ".lock") << "{\"pid\": 1}";
    std::ofstream(folder / "s" / "index.sqlite.tmp") << "half";
    std::ofstream(folder / "s" / "metadata.yaml.tmp") << "half";
    CHECK(error_of([&] { StoreWriter(folder / "s", small("npy")); }) == ErrorCode::already_exists);
    StoreWriterOptions options = small("npy");
    options.append = true;
    StoreWriter writer(folder / "s", options);
    for (int i = 0; i < 3; ++i) add_promised_frame(writer, i);
    writer.close();
    CHECK(violation(folder / "s", 3, 3, true) == "");
    CHECK_FALSE(std::filesystem::exists(folder / "s" / "metadata.yaml.tmp"));
    // A folder with anything else in it is none of a writer's.
    std::filesystem::create_directory(folder / "other");
    std::ofstream(folder / "other" / "notes.txt") << "mine";
    CHECK(error_of([&] { StoreWriter(folder / "other", options); }) == ErrorCode::already_exists);
    CHECK(std::filesystem::exists(folder / "other" / "notes.txt"));
}

TEST_CASE("options that do not fit the store are refused, and the store stays as it was") {
    const TemporaryFolder folder;
    StoreWriterOptions made = small("npy");
    made.metadata = "rig: 3";
    write_numbered_store(folder / "s", made, gray_type(), 5);
    const auto refused = [&](const StoreWriterOptions& options) {
        return error_of([&] { StoreWriter(folder / "s", options); }) == ErrorCode::invalid_argument;
    };
    CHECK(refused({.format = "png", .append = true}));
    CHECK(refused({.chunk_frames = 5, .append = true}));
    CHECK(refused({.metadata = "rig: 4", .append = true}));
    CHECK(refused({.encoding = "cv_bayerbg2bgr", .append = true}));
    CHECK(refused({.time_zone = "Europe/Vienna", .append = true}));
    CHECK(StoreReader(folder / "s").closed());
    // The same is no contradiction.
    made.append = true;
    StoreWriter writer(folder / "s", made);
    CHECK(error_of([&] { writer.add(make_numbered_image(color_type(), 5), 5, 5); }) == ErrorCode::wrong_type);
    writer.add(make_numbered_image(gray_type(), 5), 5, fixture_time(5));
    writer.close();
    CHECK(StoreReader(folder / "s").frame_count() == 6);
}

TEST_CASE("a store that is being written is refused, a lock that nobody holds is not") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", small("npy"));
    add_promised_frame(writer, 0);
    std::string message;
    CHECK(error_of([&] { StoreWriter(folder / "s", going_on()); }, &message) == ErrorCode::locked);
    CHECK(message.find("process " + std::to_string(getpid())) != std::string::npos);
    writer.close();
    std::ofstream(StoreLayout::lock(folder / "s"))
        << R"({"pid": 1, "host": "elsewhere", "start": "2020-01-01T00:00:00"})";
    StoreWriter again(folder / "s", going_on());
    add_promised_frame(again, 1);
    again.close();
    CHECK(violation(folder / "s", 2, 2, true) == "");
}

TEST_CASE("stores that imgstore wrote are continued") {
    for (const char* name : {"npy", "png-gray", "avc1_mp4"}) {
        if (!std::filesystem::exists(golden() / name)) continue;
        INFO(name);
        const TemporaryFolder folder;
        std::filesystem::copy(golden() / name, folder / "s", std::filesystem::copy_options::recursive);
        int64_t count = 0;
        ImageType type;
        {
            StoreReader store(folder / "s");
            count = store.frame_count();
            type = store.metadata().stored_type;
        }
        StoreWriter writer(folder / "s", going_on());
        CHECK(writer.frame_count() == count);
        const int64_t number = writer.last_frame()->number + 1;
        writer.add(make_numbered_image(type, 77), number, writer.last_frame()->time + 1);
        writer.close();
        StoreReader store(folder / "s");
        CHECK(store.frame_count() == count + 1);
        CHECK(read_image_number(store.at_number(number)->image) == 77);
        for (int64_t i = 0; i < count; ++i) CHECK_FALSE(store.at_index(i).image.empty());
    }
}

TEST_CASE("a recording that has lost its index is not touched, however often it is tried") {
    const TemporaryFolder folder;
    {
        StoreWriter writer(folder / "first", small("avc1/mp4"));
        for (int i = 0; i < 6; ++i) add_promised_frame(writer, i);
        writer.commit();
        copy_as_killed(folder / "first", folder / "s");
    }
    for (const char* name : {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm"})
        std::filesystem::remove(folder / "s" / name);
    const auto size = std::filesystem::file_size(folder / "s" / "000001.mp4");
    for (int tries = 0; tries < 3; ++tries) {
        std::string message;
        CHECK(error_of([&] { StoreWriter(folder / "s", going_on()); }, &message) == ErrorCode::corrupt);
        INFO(message);
        CHECK(message.find("store repair") != std::string::npos);
        CHECK(std::filesystem::file_size(folder / "s" / "000001.mp4") == size);
    }
}

TEST_CASE("chunk numbers are not used twice") {
    const TemporaryFolder folder;
    write_numbered_store(folder / "s", small("npy"), gray_type(), 3);
    // Media of a chunk that nobody knows of: a writer was killed before its first commit.
    mark_open(folder / "s");
    std::filesystem::create_directory(folder / "s" / "000004");
    std::ofstream(folder / "s" / "000004" / "000000.npy") << "torn";
    StoreWriter writer(folder / "s", going_on());
    writer.add(make_numbered_image(gray_type(), 3), 3, fixture_time(3));
    writer.close();
    CHECK(StoreReader(folder / "s").chunks() == std::vector<int64_t>{0, 5});
}

TEST_CASE("chunk numbers of media that are put aside are not used again") {
    const TemporaryFolder folder;
    StoreWriterOptions options = small("avc1/mp4");
    write_numbered_store(folder / "s", options, gray_type(), 3);
    std::ofstream(folder / "s" / "000007.mp4") << "torn";
    mark_open(folder / "s");
    StoreWriter writer(folder / "s", going_on());
    writer.add(make_numbered_image(gray_type(), 3), 3, fixture_time(3));
    writer.close();
    CHECK(StoreReader(folder / "s").chunks() == std::vector<int64_t>{0, 8});
    CHECK_FALSE(std::filesystem::exists(folder / "s" / "000007.mp4"));
}
