#include <doctest/doctest.h>

#include <fstream>

#include "base/file_system.h"
#include "base/sqlite.h"
#include "store/chunk_sidecar.h"
#include "store/layout.h"
#include "store/maintenance.h"
#include "store/repair.h"
#include "store/verify.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

constexpr int kFrames = 25;
constexpr int kChunk = 10;
const std::vector<VerifyLevel> kLevels = {VerifyLevel::presence, VerifyLevel::size, VerifyLevel::frames,
                                          VerifyLevel::hash};

void write_store(const fs::path& path, const std::string& format) {
    StoreWriter writer(path, {.format = format, .chunk_frames = kChunk});
    for (int i = 0; i < kFrames; ++i) {
        writer.add(make_numbered_image(gray_type(), i), i, fixture_time(i));
        writer.add_extra_data({{"i", i}, {"half", i / 2.0}, {"text", "\u00b5"}});
    }
    writer.close();
}

/// Codes of the findings above notes.
std::vector<std::string> codes(const VerifyReport& report) {
    std::vector<std::string> found;
    for (const Finding& finding : report.findings) {
        if (finding.severity != Severity::note) found.push_back(finding.code);
    }
    return found;
}

const Finding& finding(const VerifyReport& report, const std::string& code) {
    for (const Finding& one : report.findings) {
        if (one.code == code) return one;
    }
    FAIL("no finding ", code);
    return report.findings.front();
}

using Codes = std::vector<std::string>;

void flip_byte(const fs::path& path, uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x10));
}

uint64_t offset_of(const fs::path& store, int64_t frame) {
    return static_cast<uint64_t>(
        *Database(store / "index.sqlite", Database::Mode::read_only)
             .query_int64("SELECT byte_offset + byte_size / 2 FROM frames WHERE frame_index = " +
                          std::to_string(frame)));
}

}  // namespace

TEST_CASE("nothing is found in a sound store, at any level, and nothing is changed") {
    const TemporaryFolder folder;
    for (const char* format :
         {"npy", "png", "avc1/mp4", "h264/mkv", "mjpeg/avi", "raw/npy", "zstd/npy", "predicted/rpz"}) {
        CAPTURE(format);
        const fs::path path = folder / std::string(format).substr(0, 3);
        write_store(path, format);
        const auto before = fs::last_write_time(path / "index.sqlite");
        for (const VerifyLevel level : kLevels) {
            const VerifyReport report = verify(path, level);
            CHECK(report.findings.empty());
            CHECK(report.frame_count == kFrames);
            CHECK(report.chunk_count == 3);
        }
        CHECK(fs::last_write_time(path / "index.sqlite") == before);
        CHECK(verify_price(path, VerifyLevel::size).bytes == 0);
        CHECK(verify_price(path, VerifyLevel::hash).bytes == StoreReader(path).media_bytes());
        CHECK(verify_price(path, VerifyLevel::hash).frames_decoded == 0);
        CHECK(verify_price(path, VerifyLevel::frames).frames_decoded == kFrames);
    }
}

TEST_CASE("missing files are found at the lowest level") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "avc1/mp4");
    fs::remove(path / "000001.mp4");
    fs::remove(path / "000000.npz");
    fs::remove(path / "000002.extra.json");
    const VerifyReport report = verify(path, VerifyLevel::presence);
    CHECK(codes(report) == Codes{"sidecar_missing", "media_missing"});
    CHECK(finding(report, "media_missing").severity == Severity::error);
    CHECK(finding(report, "media_missing").chunk == 1);
    CHECK(finding(report, "media_missing").frame_index == 10);
    CHECK(finding(report, "media_missing").count == 10);
    CHECK(finding(report, "sidecar_missing").severity == Severity::warning);
    CHECK(codes(verify(path, VerifyLevel::size)) == Codes{"sidecar_missing", "media_missing", "extra_data_missing"});
    const VerifyReport frames = verify(path, VerifyLevel::frames);
    CHECK(finding(frames, "frame_unreadable").frame_index == 10);
    CHECK(finding(frames, "frame_unreadable").count == 10);
}

TEST_CASE("a file that is cut off, and values that differ, are found by their sizes and by reading the sidecars") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "avc1/mp4");
    fs::resize_file(path / "000001.mp4", offset_of(path, 17));
    const StoreLayout layout(path, ChunkKind::file, ".mp4");
    ChunkSidecar sidecar = *read_chunk_sidecar(layout, 0);
    sidecar.times[3] += 0.001;
    sidecar.numbers[5] = 77;
    write_chunk_sidecar(layout, 0, read_metadata(path), sidecar);
    std::ofstream(path / "000002.extra.json") << "[{\"i\": 20, \"frame_index\": 20}]";
    CHECK(codes(verify(path, VerifyLevel::presence)) == Codes{"index_stale"});
    const VerifyReport report = verify(path, VerifyLevel::size);
    CHECK(codes(report) ==
          Codes{"index_stale", "sidecar_differs", "container_incomplete", "media_short", "extra_data_differs"});
    CHECK(finding(report, "sidecar_differs").frame_index == 3);
    CHECK(finding(report, "sidecar_differs").count == 2);
    CHECK(finding(report, "media_short").frame_index == 17);
    CHECK(finding(report, "media_short").count == 3);
}

TEST_CASE("image files: missing, of another size, strays") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "png");
    fs::remove(path / "000000" / "000004.png");
    fs::resize_file(path / "000001" / "000002.png", 50);
    std::ofstream(path / "000002" / "000099.png") << "x";
    std::ofstream(path / "000002" / "000004.png.uncommitted") << "x";
    fs::create_directory(path / "holiday");
    const VerifyReport report = verify(path, VerifyLevel::size);
    CHECK(codes(report) == Codes{"stray", "image_missing", "image_size"});
    CHECK(finding(report, "image_missing").frame_index == 4);
    CHECK(finding(report, "image_size").frame_index == 12);
    CHECK(finding(report, "kept_aside").chunk == 2);
    CHECK(report.findings.size() == 5);
}

TEST_CASE("a changed byte is found by its checksum, without decoding, and by decoding") {
    const TemporaryFolder folder;
    for (const char* format : {"npy", "avc1/mp4", "h264/mkv", "mjpeg/avi", "raw/npy", "zstd/npy", "predicted/rpz"}) {
        CAPTURE(format);
        const fs::path path = folder / std::string(format).substr(0, 3);
        write_store(path, format);
        const bool images = std::string(format) == "npy";
        const fs::path file =
            images ? path / "000001" / "000002.npy" : path / ("000001" + find_chunk_format(format)->info().extension);
        flip_byte(file, images ? 1000 : offset_of(path, 12));
        CHECK_FALSE(verify(path, VerifyLevel::size).damaged());
        const VerifyReport hash = verify(path, VerifyLevel::hash);
        CHECK(codes(hash) == Codes{"bytes_changed"});
        CHECK(finding(hash, "bytes_changed").frame_index == 12);
        CHECK(finding(hash, "bytes_changed").count == 1);
        const VerifyReport frames = verify(path, VerifyLevel::frames);
        CHECK(codes(frames) == Codes{"frame_unreadable"});
        CHECK(finding(frames, "frame_unreadable").frame_index == 12);
    }
}

TEST_CASE("packed chunks: cut off, not completed, strays beside them") {
    const TemporaryFolder folder;
    for (const char* format : {"raw/npy", "zstd/npy", "predicted/rpz"}) {
        CAPTURE(format);
        const fs::path path = folder / std::string(format).substr(0, 3);
        write_store(path, format);
        const std::string extension = find_chunk_format(format)->info().extension;
        // imgstore cannot open such a store, so nothing is taken for a chunk that is none.
        std::ofstream(path / ("mine" + extension)) << "x";
        std::ofstream(path / ("000001" + extension + ".bak")) << "x";
        std::ofstream(path / "000001.npy.gz") << "x";
        const VerifyReport strays = verify(path, VerifyLevel::size);
        CHECK(codes(strays).empty());
        CHECK(finding(strays, "stray").count == 1);
        CHECK(strays.frame_count == kFrames);
        CHECK(strays.chunk_count == 3);

        fs::resize_file(path / ("000001" + extension), offset_of(path, 17));
        const VerifyReport cut = verify(path, VerifyLevel::size);
        CHECK(codes(cut) == Codes{"container_incomplete", "media_short"});
        CHECK(finding(cut, "media_short").frame_index == 17);
        CHECK(finding(cut, "media_short").count == 3);
        CHECK(codes(verify(path, VerifyLevel::presence)).empty());
        const VerifyReport frames = verify(path, VerifyLevel::frames);
        CHECK(finding(frames, "frame_unreadable").frame_index == 17);
        CHECK(finding(frames, "frame_unreadable").count == 3);
    }
}

TEST_CASE("a damaged, missing or foreign index is said, and the chunks are looked at without it") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "mjpeg/avi");
    write_store(folder / "other", "mjpeg/avi");
    fs::copy_file(folder / "other" / "index.sqlite", path / "index.sqlite", fs::copy_options::overwrite_existing);
    CHECK(codes(verify(path, VerifyLevel::size)) == Codes{"index_damaged"});
    std::ofstream(path / "index.sqlite") << "no database";
    CHECK(codes(verify(path, VerifyLevel::hash)) == Codes{"index_damaged"});
    fs::remove(path / "index.sqlite");
    fs::remove(path / "000001.npz");
    const VerifyReport report = verify(path, VerifyLevel::frames);
    CHECK(codes(report) == Codes{"index_missing", "sidecar_missing"});
    CHECK(finding(report, "sidecar_missing").severity == Severity::error);
    CHECK(report.frame_count == 15);
}

TEST_CASE("an index that is not that of the chunks is said, with the chunk and what to do") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "mjpeg/avi");
    const StoreLayout layout(path, ChunkKind::file, ".avi");
    ChunkSidecar sidecar = *read_chunk_sidecar(layout, 1);
    sidecar.times[2] += 0.001;
    write_chunk_sidecar(layout, 1, read_metadata(path), sidecar);
    for (const VerifyLevel level : kLevels) {
        const VerifyReport report = verify(path, level);
        CHECK(finding(report, "index_stale").chunk == 1);
        CHECK(finding(report, "index_stale").count == 1);
        CHECK(finding(report, "index_stale").remedy.find("store index") != std::string::npos);
    }
    build_index(path);
    for (const VerifyLevel level : kLevels) CHECK_FALSE(verify(path, level).damaged());

    fs::copy_file(path / "000001.avi", path / "000003.avi");
    fs::copy_file(path / "000001.npz", path / "000003.npz");
    const VerifyReport added = verify(path, VerifyLevel::presence);
    CHECK(codes(added) == Codes{"index_stale", "chunk_unknown"});
    CHECK(finding(added, "index_stale").chunk == 3);
    build_index(path);
    CHECK_FALSE(verify(path, VerifyLevel::size).damaged());
}

TEST_CASE("a summary that is not what the rows say is said, with the chunk and what to do, and repaired") {
    const TemporaryFolder folder;
    // Two frames in the midst of a chunk change places; or one gets the largest number, or a later time.
    for (const char* change :
         {"UPDATE frames SET frame_number = CASE frame_index WHEN 13 THEN 14 ELSE 13 END WHERE frame_index IN (13, 14)",
          "UPDATE frames SET frame_number = 999 WHERE frame_index = 13",
          "UPDATE frames SET frame_time = 5e9 WHERE frame_index = 13"}) {
        CAPTURE(change);
        const fs::path path = folder / "s";
        write_store(path, "npy");
        Database(path / "index.sqlite", Database::Mode::read_write).execute(change);
        CHECK_FALSE(verify(path, VerifyLevel::presence).damaged());
        const VerifyReport report = verify(path, VerifyLevel::size);
        CHECK(codes(report) == Codes{"summary_wrong", "sidecar_differs"});
        CHECK(finding(report, "summary_wrong").chunk == 1);
        CHECK(finding(report, "summary_wrong").frame_index == 10);
        CHECK(finding(report, "summary_wrong").remedy.find("store index") != std::string::npos);
        const RepairPlan plan = plan_repair(path, {});
        REQUIRE(plan.actions.size() == 1);
        CHECK(plan.actions.front().kind == RepairKind::index);
        CHECK(plan.actions.front().why.find("chunk 1") != std::string::npos);
        apply_repair(path, {});
        CHECK_FALSE(verify(path, VerifyLevel::hash).damaged());
        CHECK(StoreReader(path).row(13)->number == 13);
        fs::remove_all(path);
    }
}

TEST_CASE("a summary or a group that is changed alone is damage of the index") {
    const TemporaryFolder folder;
    for (const char* change :
         {"UPDATE chunks SET number_max = number_max + 5 WHERE chunk = 1",
          "UPDATE chunks SET times_ascending = 0 WHERE chunk = 1",
          "UPDATE chunks SET frame_count = frame_count - 1 WHERE chunk = 2",
          "UPDATE chunk_groups SET number_min = 3 WHERE level = 1", "DELETE FROM chunk_groups WHERE level = 2",
          "DELETE FROM chunk_groups WHERE level = 3"}) {
        CAPTURE(change);
        const fs::path path = folder / "s";
        write_store(path, "npy");
        Database(path / "index.sqlite", Database::Mode::read_write).execute(change);
        for (const VerifyLevel level : {VerifyLevel::presence, VerifyLevel::size}) {
            const VerifyReport report = verify(path, level);
            CHECK(codes(report) == Codes{"index_damaged"});
            CHECK(report.frame_count == kFrames);
        }
        fs::remove_all(path);
    }
}

TEST_CASE("a store that is being written is no damage, one whose writer was killed waits for its repair") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    StoreWriter writer(path, {.format = "mjpeg/avi", .chunk_frames = kChunk, .commit_interval = 1000});
    for (int i = 0; i < 15; ++i) writer.add(make_numbered_image(gray_type(), i), i, fixture_time(i));
    writer.report_dropped(15, fixture_time(15), "the camera was busy");
    writer.report_dropped(16, fixture_time(16), "the camera was busy");
    writer.commit();
    fs::copy(path, folder / "killed", fs::copy_options::recursive);
    for (const VerifyLevel level : kLevels) {
        const VerifyReport report = verify(path, level);
        CHECK_FALSE(report.damaged());
        CHECK(finding(report, "being_written").count == 1);
        CHECK(report.frame_count >= kChunk);
    }
    writer.close();
    const VerifyReport closed = verify(path, VerifyLevel::size);
    CHECK_FALSE(closed.damaged());
    CHECK(finding(closed, "dropped").count == 2);
    for (const VerifyLevel level : kLevels) {
        const VerifyReport report = verify(folder / "killed", level);
        CHECK(codes(report) == Codes{"open", "chunk_open"});
        CHECK(finding(report, "chunk_open").chunk == 1);
        CHECK(finding(report, "lock_left").severity == Severity::note);
    }
}

TEST_CASE("a check can be stopped, and tells how far it is") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    write_store(path, "avc1/mp4");
    std::stop_source stop;
    stop.request_stop();
    for (const VerifyLevel level : kLevels) {
        CHECK(error_of([&] { verify(path, level, {.cancel = stop.get_token()}); }) == ErrorCode::cancelled);
        int64_t last = 0;
        int64_t whole = 0;
        verify(path, level, {.progress = [&](int64_t done, int64_t all) {
                   CHECK(done >= last);
                   CHECK(done <= all);
                   last = done;
                   whole = all;
               }});
        CHECK(whole > 0);
    }
    CHECK(error_of([&] { verify(folder / "nothing", VerifyLevel::size); }) == ErrorCode::not_found);
}
