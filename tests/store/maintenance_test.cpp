#include <doctest/doctest.h>

#include <fstream>

#include "base/file_system.h"
#include "base/npy.h"
#include "base/npz.h"
#include "base/sqlite.h"
#include "store/layout.h"
#include "store/maintenance.h"
#include "store/store_lock.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

/// Numbers 97 98 99 0 1 2... in chunks of 4, extra data on every frame.
void write_wrapping_store(const std::filesystem::path& path, const std::string& format) {
    StoreWriter writer(path, {.format = format, .chunk_frames = 4});
    for (int i = 0; i < 10; ++i) {
        writer.add(make_numbered_image(gray_type(), i), i < 5 ? 95 + i : i - 5, fixture_time(i));
        writer.add_extra_data({{"i", i}});
    }
    writer.close();
}

void check_renumbered(const std::filesystem::path& path) {
    StoreReader store(path);
    for (int i = 0; i < 10; ++i) {
        CHECK(store.row(i)->number == i - 5);
        CHECK(store.row(i)->time == fixture_time(i));
        CHECK(read_image_number(store.at_number(i - 5)->image) == i);
    }
    CHECK(store.number_range() == std::pair<int64_t, int64_t>(-5, 4));
    const std::vector<ExtraRecord> records = store.all_extra_data();
    REQUIRE(records.size() == 10);
    for (size_t i = 0; i < 10; ++i) {
        CHECK(records[i].frame_index == static_cast<int64_t>(i));
        CHECK(records[i].data["i"] == i);
    }
    CHECK(store.warnings().empty());
}

}  // namespace

TEST_CASE("renumbering makes the frames before the zero negative, in every file") {
    const TemporaryFolder folder;
    for (const char* format : {"npy", "avc1/mp4", "raw/npy"}) {
        const auto path = folder / std::string(format).substr(0, 3);
        write_wrapping_store(path, format);
        const RenumberResult result = renumber(path);
        CHECK(result.zero_index == 5);
        CHECK(result.frames_changed == 5);
        check_renumbered(path);
        // Again, as after a crash in the middle: nothing changes.
        CHECK(renumber(path).frames_changed == 0);
        check_renumbered(path);
        // The files alone say the same, old numbers included.
        std::filesystem::remove(path / "index.sqlite");
        check_renumbered(path);
        const StoreLayout layout(path, std::string(format) == "npy" ? ChunkKind::folder : ChunkKind::file, ".mp4");
        const NpzReader npz(layout.sidecar(0));
        CHECK(npz.names() == std::vector<std::string>{"frame_time", "frame_number", "_frame_number_before_reindex"});
        CHECK(int64_from_npy(npz.member("_frame_number_before_reindex")) == std::vector<int64_t>{95, 96, 97, 98});
        CHECK(int64_from_npy(npz.member("frame_number")) == std::vector<int64_t>{-5, -4, -3, -2});
    }
}

TEST_CASE("a store without an index is renumbered too") {
    const TemporaryFolder folder;
    write_wrapping_store(folder / "s", "npy");
    std::filesystem::remove(folder / "s" / "index.sqlite");
    renumber(folder / "s");
    check_renumbered(folder / "s");
    CHECK_FALSE(std::filesystem::exists(folder / "s" / "index.sqlite"));
}

TEST_CASE("renumbering needs exactly one zero and changes nothing otherwise") {
    const TemporaryFolder folder;
    for (const auto& numbers : {std::vector<int64_t>{1, 2, 3}, std::vector<int64_t>{0, 1, 0}}) {
        const auto path = folder / std::to_string(numbers[0]);
        StoreWriter writer(path, {.format = "npy"});
        for (size_t i = 0; i < numbers.size(); ++i)
            writer.add(make_numbered_image(gray_type(), 0), numbers[i], static_cast<double>(i));
        writer.close();
        const std::vector<uint8_t> before = read_file(path / "000000" / "index.npz", 1 << 20);
        CHECK(error_of([&] { renumber(path); }) == ErrorCode::invalid_argument);
        CHECK(read_file(path / "000000" / "index.npz", 1 << 20) == before);
    }
}

TEST_CASE("maintenance is refused while a writer is at work") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", {.format = "npy"});
    writer.add(make_numbered_image(gray_type(), 0), 0, 0.0);
    CHECK(error_of([&] { renumber(folder / "s"); }) == ErrorCode::locked);
    CHECK(error_of([&] { build_index(folder / "s"); }) == ErrorCode::locked);
    writer.close();
}

TEST_CASE("a lock file that nobody holds locks nobody out") {
    const TemporaryFolder folder;
    write_wrapping_store(folder / "s", "npy");
    std::ofstream(folder / "s" / ".lock") << R"({"pid": 1, "host": "elsewhere", "start": "2020-01-01T00:00:00"})";
    renumber(folder / "s");
    CHECK_FALSE(std::filesystem::exists(folder / "s" / ".lock"));
    check_renumbered(folder / "s");
}

TEST_CASE("a lost index is built anew with everything that was in it") {
    const TemporaryFolder folder;
    for (const char* format : {"png", "avc1/mp4", "h264/mkv", "mjpeg/avi", "raw/npy", "zstd/npy", "predicted/rpz"}) {
        CAPTURE(format);
        const auto path = folder / std::string(format).substr(0, 3);
        write_wrapping_store(path, format);
        std::vector<FrameRow> rows;
        {
            StoreReader store(path);
            rows = store.rows();
        }
        std::filesystem::remove(path / "index.sqlite");
        const IndexResult result = build_index(path);
        CHECK(result.frame_count == 10);
        CHECK(result.chunk_count == 3);
        CHECK(result.warnings.empty());
        CHECK_FALSE(std::filesystem::exists(path / "index.sqlite.tmp"));
        StoreReader store(path);
        CHECK(store.closed());
        CHECK(store.all_extra_data().size() == 10);
        REQUIRE(store.rows().size() == rows.size());
        for (int i = 9; i >= 0; --i) {
            CHECK(store.row(i)->number == rows[static_cast<size_t>(i)].number);
            CHECK(read_image_number(store.at_index(i).image) == i);
        }
        CHECK(store.counters().demux_scans == 0);
    }
}

TEST_CASE("building the index keeps what only the old one knows: the chunk of a killed writer") {
    const TemporaryFolder folder;
    for (const char* format : {"npy", "mjpeg/avi", "raw/npy", "zstd/npy"}) {
        CAPTURE(format);
        const auto path = folder / std::string(format).substr(0, 3);
        const auto copy = folder / (std::string(format).substr(0, 3) + "_killed");
        StoreWriter writer(path, {.format = format, .chunk_frames = 4, .commit_interval = 0});
        for (int i = 0; i < 7; ++i) {
            writer.add(make_numbered_image(gray_type(), i), 100 + i, fixture_time(i));
            writer.add_extra_data({{"i", i}});
        }
        writer.add(make_numbered_image(gray_type(), 7), 107, fixture_time(7));
        // The files as a killed writer leaves them; extra data of the last frame may not be down yet.
        writer.add(make_numbered_image(gray_type(), 8), 108, fixture_time(8));
        std::filesystem::copy(path, copy, std::filesystem::copy_options::recursive);
        writer.close();

        const int64_t committed = StoreReader(copy).frame_count();
        CHECK(committed >= 8);
        const size_t records = StoreReader(copy).all_extra_data().size();
        CHECK(records == 7);
        const IndexResult result = build_index(copy);
        CHECK(result.frame_count == committed);
        CHECK(result.chunks_left_out == 0);
        StoreReader store(copy);
        CHECK_FALSE(store.closed());
        CHECK(store.all_extra_data().size() == records);
        for (int64_t i = committed - 1; i >= 0; --i)
            CHECK(read_image_number(store.at_index(i).image) == static_cast<int>(i));

        // Without the old index, what it alone knew is lost, and that is said.
        std::filesystem::remove(copy / "index.sqlite");
        if (committed > 8) CHECK(build_index(copy).chunks_left_out == 1);
        CHECK(StoreReader(copy).frame_count() == 8);
    }
}

TEST_CASE("renumbering a store whose first chunk is gone gives every record its own frame's number") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_wrapping_store(path, "npy");
    std::filesystem::remove(path / "index.sqlite");
    std::filesystem::remove_all(path / "000000");
    // Left are the frames numbered 99 0 1 2 3 4, whose records still count the lost chunk in frame_index.
    CHECK(renumber(path).zero_index == 1);
    for (int run = 0; run < 2; ++run) {
        StoreReader store(path);
        REQUIRE(store.frame_count() == 6);
        const std::vector<ExtraRecord> records = store.all_extra_data();
        REQUIRE(records.size() == 6);
        for (size_t i = 0; i < 6; ++i) {
            CHECK(store.row(static_cast<int64_t>(i))->number == static_cast<int64_t>(i) - 1);
            CHECK(records[i].frame_index == static_cast<int64_t>(i));
            CHECK(records[i].data["i"] == i + 4);
        }
        renumber(path);
    }
}

TEST_CASE("a renumbering that was ended between extra data and numbers is completed by another") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_wrapping_store(path, "npy");
    std::filesystem::remove(path / "index.sqlite");
    std::filesystem::copy(path / "000000" / "index.npz", folder / "old.npz");
    renumber(path);
    std::filesystem::copy_file(folder / "old.npz", path / "000000" / "index.npz",
                               std::filesystem::copy_options::overwrite_existing);
    renumber(path);
    check_renumbered(path);
}

TEST_CASE("an index that somebody has locked is neither replaced nor taken for damaged") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_wrapping_store(path, "npy");
    const Database other(path / "index.sqlite", Database::Mode::read_write);
    other.execute("BEGIN EXCLUSIVE");
    CHECK(error_of([&] { build_index(path); }) == ErrorCode::locked);
    CHECK(error_of([&] { StoreReader store(path); }) == ErrorCode::locked);
    other.execute("ROLLBACK");
    StoreReader store(path);
    CHECK(store.frame_count() == 10);
}

TEST_CASE("a damaged index is kept aside when a new one is built") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_wrapping_store(path, "npy");
    std::ofstream(path / "index.sqlite") << "no database";
    const IndexResult result = build_index(path);
    CHECK(result.frame_count == 10);
    CHECK(result.warnings.size() == 1);
    CHECK(read_text_file(path / "index.sqlite.damaged", 100) == "no database");
}

TEST_CASE("checksums outlive a new index") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_wrapping_store(path, "avc1/mp4");
    const auto count = [&] {
        return Database(path / "index.sqlite", Database::Mode::read_only)
            .query_int64("SELECT COUNT(*) FROM frames WHERE checksum IS NOT NULL");
    };
    CHECK(count() == 10);
    build_index(path);
    CHECK(count() == 10);
}

TEST_CASE("a new index does not share its log with readers of the old one") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s",
                       {.format = "npy", .chunk_frames = 4, .time_zone = "Etc/UTC", .commit_interval = 0});
    for (int i = 0; i < 6; ++i) writer.add(make_numbered_image(gray_type(), i), i, fixture_time(i));
    const StoreReader old(folder / "s");
    writer.close();
    build_index(folder / "s");
    CHECK_FALSE(std::filesystem::exists(folder / "s" / "index.sqlite-wal"));
    CHECK_FALSE(std::filesystem::exists(folder / "s" / "index.sqlite-shm"));
    CHECK(old.frame_count() == 6);
    CHECK(StoreReader(folder / "s").frame_count() == 6);
}

TEST_CASE("an index that is kept aside does not replace an earlier one") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_wrapping_store(path, "npy");
    std::ofstream(path / "index.sqlite.damaged-wal") << "earlier log";
    std::ofstream(path / "index.sqlite.damaged.2") << "earlier index";
    std::ofstream(path / "index.sqlite") << "no database";
    const IndexResult result = build_index(path);
    CHECK(result.frame_count == 10);
    REQUIRE(result.warnings.size() == 1);
    CHECK(result.warnings[0].find("kept as index.sqlite.damaged.3") != std::string::npos);
    CHECK(read_text_file(path / "index.sqlite.damaged-wal", 100) == "earlier log");
    CHECK(read_text_file(path / "index.sqlite.damaged.2", 100) == "earlier index");
    CHECK(read_text_file(path / "index.sqlite.damaged.3", 100) == "no database");
}

TEST_CASE("the log of a lost index is kept aside, and not taken for that of the new one") {
    const TemporaryFolder folder;
    for (const char* log : {"-wal", "-journal"}) {
        CAPTURE(log);
        const auto path = folder / (std::string("s") + log);
        write_wrapping_store(path, "npy");
        std::filesystem::remove(path / "index.sqlite");
        std::ofstream(path / (std::string("index.sqlite") + log)) << "what nothing else holds";
        std::ofstream(path / "index.sqlite-shm") << "";
        const IndexResult result = build_index(path);
        CHECK(result.frame_count == 10);
        REQUIRE(result.warnings.size() == 1);
        const std::string kept = std::string("index.sqlite.damaged") + log;
        CHECK(result.warnings[0].find(kept) != std::string::npos);
        CHECK(read_text_file(path / kept, 100) == "what nothing else holds");
        for (const char* left : {"index.sqlite-wal", "index.sqlite-shm", "index.sqlite-journal"})
            CHECK_FALSE(std::filesystem::exists(path / left));
        CHECK(StoreReader(path).frame_count() == 10);
    }
}

TEST_CASE("a new index does not take damaged frames for the recording") {
    const TemporaryFolder folder;
    for (const char* format : {"avc1/mp4", "h264/mkv", "mjpeg/avi", "zstd/npy", "predicted/rpz"}) {
        CAPTURE(format);
        const auto path = folder / std::string(format).substr(0, 4);
        write_wrapping_store(path, format);
        const auto asked = [&](const char* sql) {
            return Database(path / "index.sqlite", Database::Mode::read_only).query_int64(sql).value();
        };
        const char* checksums = "SELECT SUM(checksum * (frame_index + 1)) FROM frames";
        const char* flags = "SELECT SUM(packet_flags * (frame_index + 1)) FROM frames";
        const int64_t before = asked(checksums);
        const int64_t flags_before = asked(flags);
        const auto begin = asked("SELECT byte_offset FROM frames WHERE frame_index = 5");
        const auto end = begin + asked("SELECT byte_size FROM frames WHERE frame_index = 5");
        const std::string media = "000001" + find_chunk_format(format)->info().extension;
        std::fstream file(path / media, std::ios::in | std::ios::out | std::ios::binary);
        // Behind the length of the unit in an mp4: its header, which says what kind of frame it is.
        for (int64_t offset = begin + 4; offset < std::min(begin + 8, end); ++offset) {
            file.seekp(offset);
            file.put('\x67');
        }
        file.close();
        build_index(path);
        CHECK(asked(checksums) == before);
        CHECK(asked(flags) == flags_before);
        CHECK(error_of([&] { StoreReader(path).at_index(5); }) == ErrorCode::corrupt);
        CHECK(read_image_number(StoreReader(path).at_index(0).image) == 0);
    }
}
