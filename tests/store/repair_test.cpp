#include <doctest/doctest.h>

#include <fstream>

#include <opencv2/core.hpp>

#include "base/file_system.h"
#include "base/sqlite.h"
#include "codecs/media_file.h"
#include "codecs/packed/packed_container.h"
#include "codecs/video/demuxer.h"
#include "store/chunk_sidecar.h"
#include "store/repair.h"
#include "store/store_lock.h"
#include "store/verify.h"
#include "tests/forwarding_file_system.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

const std::vector<const char*> kFormats = {"npy",       "png",     "avc1/mp4", "h264/mkv",
                                           "mjpeg/avi", "raw/npy", "zstd/npy", "predicted/rpz"};
constexpr int kFrames = 50;
constexpr int kChunk = 20;

std::string short_name(const std::string& format) {
    return format.substr(0, 4) == "avc1" ? "mp4" : format.substr(0, 3);
}

/// A store as its writer leaves it when it is killed: two chunks are complete, the third is open. Frame i has number
/// 100 + i; frames divisible by 3 have extra data.
void write_killed_store(const fs::path& path, const std::string& format, int frames = kFrames) {
    const fs::path living = path.string() + "_living";
    StoreWriter writer(living, {.format = format, .chunk_frames = kChunk, .commit_interval = 1000});
    for (int i = 0; i < frames; ++i) {
        writer.add(make_numbered_image(gray_type(), i), 100 + i, fixture_time(i));
        if (i % 3 == 0) writer.add_extra_data({{"i", i}});
    }
    writer.commit();
    fs::copy(living, path, fs::copy_options::recursive);
    writer.close();
    fs::remove_all(living);
}

/// Every frame's pixels, number and time, in an order that jumps; `first` is that of the frame with index 0.
void check_frames(const fs::path& path, int64_t count, int64_t first = 0) {
    StoreReader store(path);
    REQUIRE(store.frame_count() == count);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t index = count % 7 == 0 ? count - 1 - i : i * 7 % count;
        const Frame frame = store.at_index(index);
        CHECK(frame.number == 100 + first + index);
        CHECK(frame.time == fixture_time(first + index));
        CHECK(read_image_number(frame.image) == static_cast<int>(first + index));
    }
    for (const Frame& frame : store.at_indices(std::vector<int64_t>{0, count - 1}))
        CHECK(read_image_number(frame.image) == static_cast<int>(first + frame.index));
}

/// Frames that a file holds to those who know nothing of the index: FFmpeg's own demuxer, or by the header of an array.
int64_t frames_in_file(const fs::path& path) {
    const std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
    if (const PackedContainer* packed = packed_container_of(path)) {
        CHECK(packed->complete(*file));
        return packed->read_header(*file).frames;
    }
    Demuxer demuxer(path, demuxer_of_extension(path));
    const UniquePacket packet = make_packet();
    int64_t count = 0;
    while (demuxer.next(*packet)) ++count;
    return count;
}

fs::path media_of(const fs::path& store, int64_t chunk) {
    for (const char* extension : {".mp4", ".mkv", ".avi", ".npy", ".npy.zst", ".rpz", ""}) {
        const fs::path path = store / (StoreLayout::chunk_name(chunk) + extension);
        if (exists(path)) return path;
    }
    return {};
}

/// All that a repair may leave to be done: nothing.
void check_nothing_to_do(const fs::path& path) {
    const RepairPlan plan = plan_repair(path);
    for (const RepairAction& action : plan.actions) MESSAGE(action.what << ": " << action.why);
    CHECK(plan.actions.empty());
    CHECK(plan.problems.empty());
    const RepairResult again = apply_repair(path);
    CHECK(again.done.empty());
    CHECK_FALSE(again.data_lost());
}

/// Without its index a store is what imgstore sees of it.
void check_without_index(const fs::path& path, int64_t count) {
    const fs::path bare = path.string() + "_bare";
    fs::copy(path, bare, fs::copy_options::recursive);
    fs::remove(bare / "index.sqlite");
    check_frames(bare, count);
    CHECK(StoreReader(bare).warnings().empty());
    fs::remove_all(bare);
}

void truncate_file(const fs::path& path, uintmax_t size) {
    fs::resize_file(path, size);
}

}  // namespace

TEST_CASE("what a killed writer left is completed: containers, sidecars, extra data, state") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_killed_store(path, format);
        const int64_t committed = StoreReader(path).frame_count();
        REQUIRE(committed > 2 * kChunk);
        CHECK_FALSE(StoreReader(path).closed());
        check_frames(path, committed);

        const RepairPlan plan = plan_repair(path);
        REQUIRE(plan.actions.size() >= 1);
        CHECK(plan.actions[0].kind == RepairKind::finish);
        CHECK(plan.actions[0].chunk == 2);
        const RepairResult result = apply_repair(path);
        CHECK_FALSE(result.data_lost());
        check_frames(path, committed);
        StoreReader store(path);
        CHECK(store.closed());
        CHECK(store.warnings().empty());
        CHECK(store.counters().demux_scans == 0);
        CHECK(store.all_extra_data().size() == static_cast<size_t>((committed + 2) / 3));
        if (media_of(path, 2).has_extension()) CHECK(frames_in_file(media_of(path, 2)) == committed - 2 * kChunk);
        CHECK_FALSE(exists(path / ".reserve"));
        check_without_index(path, committed);
        check_nothing_to_do(path);
    }
}

TEST_CASE("frames behind the committed ones are kept aside, and said") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_killed_store(path, format);
        const int64_t all = StoreReader(path).frame_count();
        {
            // As if the last commit had not come about.
            const Database database(path / "index.sqlite", Database::Mode::read_write);
            database.execute(
                "DELETE FROM frames WHERE frame_index >= " + std::to_string(all - 3) +
                "; DELETE FROM extra_data WHERE frame_index >= " + std::to_string(all - 3) +
                "; UPDATE chunks SET frame_count = frame_count - 3, number_max = (SELECT MAX(frame_number) "
                "FROM frames), time_max = (SELECT MAX(frame_time) FROM frames) WHERE chunk = 2; DROP TABLE "
                "chunk_groups");
        }
        const RepairResult result = apply_repair(path);
        CHECK_FALSE(result.data_lost());
        REQUIRE(result.notes.size() == 1);
        CHECK(result.notes[0].find("3 frames that were written but not committed") != std::string::npos);
        check_frames(path, all - 3);
        check_without_index(path, all - 3);
        if (media_of(path, 2).has_extension()) {
            CHECK(frames_in_file(media_of(path, 2)) == all - 3 - 2 * kChunk);
            CHECK(fs::exists(media_of(path, 2).string() + ".uncommitted"));
        }
        check_nothing_to_do(path);
    }
}

TEST_CASE("what was written of a chunk without a committed frame is put aside") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_killed_store(path, format);
        {
            const Database database(path / "index.sqlite", Database::Mode::read_write);
            database.execute(
                "DELETE FROM frames WHERE chunk = 2; DELETE FROM extra_data WHERE frame_index >= 40; "
                "DELETE FROM chunks WHERE chunk = 2; DROP TABLE chunk_groups");
        }
        const RepairResult result = apply_repair(path);
        CHECK_FALSE(result.data_lost());
        check_frames(path, 2 * kChunk);
        check_without_index(path, 2 * kChunk);
        CHECK(StoreReader(path).closed());
        const bool images = media_of(path, 0).extension().empty();
        CHECK(media_of(path, 2).empty() == !images);
        if (images) CHECK(fs::exists(path / "000002" / ("000000." + short_name(format) + ".uncommitted")));
        check_nothing_to_do(path);
    }
}

TEST_CASE("a recording that was killed is continued, whatever its last chunk had come to") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : kFormats) {
        for (const bool committed : {true, false}) {
            CAPTURE(format);
            CAPTURE(committed);
            const fs::path path = folder / (short_name(format) + std::to_string(committed));
            write_killed_store(path, format);
            if (!committed) {
                const Database database(path / "index.sqlite", Database::Mode::read_write);
                database.execute(
                    "DELETE FROM frames WHERE chunk = 2; DELETE FROM extra_data WHERE frame_index >= 40; "
                    "DELETE FROM chunks WHERE chunk = 2; DROP TABLE chunk_groups");
            }
            const auto count = static_cast<int>(StoreReader(path).frame_count());
            {
                StoreWriter writer(path, {.append = true});
                for (int i = count; i < count + 10; ++i)
                    writer.add(make_numbered_image(gray_type(), i), 100 + i, fixture_time(i));
                writer.close();
            }
            check_frames(path, count + 10);
            check_without_index(path, count + 10);
            check_nothing_to_do(path);
        }
    }
}

namespace {

/// Ends the process, so to speak, at the Nth change of the disk.
class EndingFileSystem : public ForwardingFileSystem {
public:
    struct Ended {};
    explicit EndingFileSystem(int allowed) : allowed_(allowed) {}
    std::unique_ptr<File> open(const fs::path& path, OpenMode mode) override {
        if (mode != OpenMode::read) count();
        return ForwardingFileSystem::open(path, mode);
    }
    void rename(const fs::path& from, const fs::path& to) override {
        count();
        ForwardingFileSystem::rename(from, to);
    }
    void remove(const fs::path& path) override {
        count();
        ForwardingFileSystem::remove(path);
    }
    void sync_folder(const fs::path& path) override {
        count();
        ForwardingFileSystem::sync_folder(path);
    }
    bool ended() const { return changes_ > allowed_; }

private:
    void count() {
        if (++changes_ > allowed_) throw Error(ErrorCode::io, "ended here");
    }
    int allowed_;
    int changes_ = 0;
};

}  // namespace

TEST_CASE("a repair that is ended anywhere leaves every frame readable, and the next one completes it") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : kFormats) {
        CAPTURE(format);
        const fs::path killed = folder / short_name(format);
        write_killed_store(killed, format);
        const int64_t committed = StoreReader(killed).frame_count();
        bool ended = true;
        for (int allowed = 0; ended; ++allowed) {
            REQUIRE(allowed < 100);
            CAPTURE(allowed);
            const fs::path path = folder / "again";
            fs::remove_all(path);
            fs::copy(killed, path, fs::copy_options::recursive);
            {
                EndingFileSystem ending(allowed);
                const FileSystemOverride over(ending);
                // What fails when the lock is given up goes unsaid.
                const auto error = error_of([&] { apply_repair(path); });
                ended = ending.ended();
                if (error) CHECK(ended);
            }
            check_frames(path, committed);
            apply_repair(path);
            check_frames(path, committed);
            check_without_index(path, committed);
            check_nothing_to_do(path);
        }
    }
}

TEST_CASE("a salvage that is ended anywhere is completed by the next one, and the file as it was stays") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : kFormats) {
        CAPTURE(format);
        const fs::path killed = folder / short_name(format);
        write_killed_store(killed, format);
        for (const char* name : {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}) fs::remove(killed / name);
        const fs::path media = media_of(killed, 2);
        const uintmax_t size = media.has_extension() ? fs::file_size(media) : 0;
        std::optional<int64_t> whole;
        bool ended = true;
        for (int allowed = 0; ended; ++allowed) {
            REQUIRE(allowed < 100);
            CAPTURE(allowed);
            const fs::path path = folder / "again";
            fs::remove_all(path);
            fs::copy(killed, path, fs::copy_options::recursive);
            {
                EndingFileSystem ending(allowed);
                const FileSystemOverride over(ending);
                const auto error = error_of([&] { apply_repair(path); });
                ended = ending.ended();
                if (error) CHECK(ended);
            }
            apply_repair(path);
            StoreReader store(path);
            CHECK(store.frame_count() == whole.value_or(store.frame_count()));
            whole = store.frame_count();
            for (int64_t i = 0; i < *whole; ++i)
                CHECK(read_image_number(store.at_index(i).image) == static_cast<int>(i));
            if (media.has_extension() && !packed_container_of(media))
                CHECK(fs::file_size(media_of(path, 2).string() + ".before_repair") == size);
            check_nothing_to_do(path);
        }
        CHECK(*whole > 2 * kChunk);
    }
}

TEST_CASE("a repair of a packed chunk that is cut off can be ended anywhere too, and loses no other frame") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : {"raw/npy", "zstd/npy"}) {
        CAPTURE(format);
        const fs::path killed = folder / short_name(format);
        write_killed_store(killed, format);
        const int64_t committed = StoreReader(killed).frame_count();
        {
            const Database database(killed / "index.sqlite", Database::Mode::read_only);
            const auto begin = database.query_int64("SELECT byte_offset FROM frames WHERE frame_index = " +
                                                    std::to_string(committed - 2));
            truncate_file(media_of(killed, 2), static_cast<uintmax_t>(*begin) + 40);
        }
        bool ended = true;
        for (int allowed = 0; ended; ++allowed) {
            REQUIRE(allowed < 100);
            CAPTURE(allowed);
            const fs::path path = folder / "again";
            fs::remove_all(path);
            fs::copy(killed, path, fs::copy_options::recursive);
            {
                EndingFileSystem ending(allowed);
                const FileSystemOverride over(ending);
                const auto error = error_of([&] { apply_repair(path); });
                ended = ending.ended();
                if (error) CHECK(ended);
            }
            apply_repair(path);
            CHECK(frames_in_file(media_of(path, 2)) == committed - 2 - 2 * kChunk);
            StoreReader store(path);
            REQUIRE(store.frame_count() == committed);
            for (int64_t i = committed - 1; i >= 0; --i) {
                if (i >= committed - 2) {
                    CHECK(error_of([&] { store.at_index(i); }).has_value());
                } else {
                    CHECK(read_image_number(store.at_index(i).image) == static_cast<int>(i));
                }
            }
            const VerifyReport report = verify(path, VerifyLevel::hash);
            int64_t missing = 0;
            for (const Finding& finding : report.findings) {
                CHECK(finding.code != "bytes_changed");
                if (finding.code == "media_short") missing += finding.count;
            }
            CHECK(missing == 2);
            check_nothing_to_do(path);
        }
    }
}

TEST_CASE("when the repair ended between new file and new index, readers find the frames and a rerun the places") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : {"avc1/mp4", "h264/mkv", "mjpeg/avi"}) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_killed_store(path, format);
        const int64_t committed = StoreReader(path).frame_count();
        fs::copy(path, folder / "repaired", fs::copy_options::recursive);
        apply_repair(folder / "repaired");
        fs::copy_file(media_of(folder / "repaired", 2), media_of(path, 2), fs::copy_options::overwrite_existing);
        check_frames(path, committed);
        CHECK_FALSE(apply_repair(path).data_lost());
        check_frames(path, committed);
        CHECK(StoreReader(path).warnings().empty());
        CHECK_FALSE(fs::exists(media_of(path, 2).string() + ".uncommitted"));
        check_nothing_to_do(path);
        fs::remove_all(folder / "repaired");
    }
}

TEST_CASE("committed frames whose bytes are gone stay listed, the others are kept, and it counts as a loss") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : {"png", "avc1/mp4", "h264/mkv", "mjpeg/avi", "raw/npy", "zstd/npy", "predicted/rpz"}) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_killed_store(path, format);
        const int64_t committed = StoreReader(path).frame_count();
        int64_t cut = 0;
        if (std::string(format) == "png") {
            fs::remove(path / "000002" / "000001.png");
            cut = 2 * kChunk + 1;
        } else {
            const Database database(path / "index.sqlite", Database::Mode::read_only);
            cut = committed - 2;
            const auto end =
                database.query_int64("SELECT byte_offset + 1 FROM frames WHERE frame_index = " + std::to_string(cut));
            truncate_file(media_of(path, 2), static_cast<uintmax_t>(*end));
        }
        const RepairResult result = apply_repair(path);
        CHECK(result.data_lost());
        REQUIRE(result.done.size() >= 1);
        CHECK(result.done[0].loses == (std::string(format) == "png" ? "1 frame" : "2 frames"));
        StoreReader store(path);
        CHECK(store.frame_count() == committed);
        for (int64_t i = committed - 1; i >= 0; --i) {
            const bool lost = std::string(format) == "png" ? i == cut : i >= cut;
            if (lost) {
                CHECK(error_of([&] { store.at_index(i); }).has_value());
            } else {
                CHECK(read_image_number(store.at_index(i).image) == static_cast<int>(i));
            }
        }
        check_nothing_to_do(path);
    }
}

TEST_CASE("a complete file that was cut off afterwards keeps the frames that are there, and what is cut off of it") {
    for (const char* format : {"avc1/mp4", "raw/npy", "zstd/npy", "predicted/rpz"}) {
        CAPTURE(format);
        const TemporaryFolder folder(memory_folder());
        const fs::path path = folder / "s";
        write_numbered_store(path, {.format = format, .chunk_frames = kChunk}, gray_type(), 3 * kChunk, 100);
        const fs::path media = media_of(path, 1);
        uintmax_t end = 0;
        {
            const Database database(path / "index.sqlite", Database::Mode::read_only);
            end = static_cast<uintmax_t>(
                *database.query_int64("SELECT byte_offset + byte_size FROM frames WHERE frame_index = 29"));
        }
        truncate_file(media, end + 5);
        const RepairResult result = apply_repair(path);
        CHECK(result.data_lost());
        CHECK(frames_in_file(media) == 10);
        const bool in_place = find_packed_container(container_of(media)) != nullptr;
        CHECK(fs::file_size(media.string() + ".before_repair") == (in_place ? 5 : end + 5));
        StoreReader store(path);
        for (int i = 0; i < 3 * kChunk; ++i) {
            if (i >= 30 && i < 40) {
                // An array says itself how many frames it holds now.
                const bool counted = std::string(format) == "raw/npy";
                CHECK(error_of([&] { store.at_index(i); }) == (counted ? ErrorCode::not_found : ErrorCode::corrupt));
            } else {
                CHECK(read_image_number(store.at_index(i).image) == i);
            }
        }
        check_nothing_to_do(path);
    }
}

TEST_CASE(
    "damaged frames of a packed chunk stay where they are, are counted, and do not keep it from being completed") {
    for (const char* format : {"raw/npy", "zstd/npy", "predicted/rpz"}) {
        CAPTURE(format);
        const TemporaryFolder folder(memory_folder());
        const fs::path path = folder / "s";
        write_killed_store(path, format);
        const int64_t committed = StoreReader(path).frame_count();
        const fs::path media = media_of(path, 2);
        {
            const Database database(path / "index.sqlite", Database::Mode::read_only);
            const auto middle = database.query_int64(
                "SELECT byte_offset + byte_size / 2 FROM frames WHERE frame_index = " + std::to_string(2 * kChunk + 3));
            std::fstream file(media, std::ios::in | std::ios::out | std::ios::binary);
            file.seekg(*middle);
            const int byte = file.get();
            file.seekp(*middle);
            file.put(static_cast<char>(byte ^ 0x41));
        }
        const RepairResult result = apply_repair(path);
        REQUIRE_FALSE(result.done.empty());
        CHECK(result.done[0].loses == "1 frame");
        CHECK(frames_in_file(media) == committed - 2 * kChunk);
        StoreReader store(path);
        REQUIRE(store.frame_count() == committed);
        for (int64_t i = committed - 1; i >= 0; --i) {
            if (i != 2 * kChunk + 3) CHECK(read_image_number(store.at_index(i).image) == static_cast<int>(i));
        }
        int64_t changed = 0;
        for (const Finding& finding : verify(path, VerifyLevel::hash).findings) {
            if (finding.code == "bytes_changed") changed += finding.count;
        }
        CHECK(changed == 1);
        check_nothing_to_do(path);
    }
}

TEST_CASE("a lost or damaged index is built anew, a lost or damaged sidecar from the index") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : {"npy", "avc1/mp4", "zstd/npy"}) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_numbered_store(path, {.format = format, .chunk_frames = kChunk}, gray_type(), kFrames, 100);
        const fs::path sidecar = std::string(format) == "npy" ? path / "000001" / "index.npz" : path / "000001.npz";
        check_nothing_to_do(path);

        fs::remove(path / "index.sqlite");
        RepairResult result = apply_repair(path);
        REQUIRE(result.done.size() == 1);
        CHECK(result.done[0].kind == RepairKind::index);
        CHECK(exists(path / "index.sqlite"));
        check_frames(path, kFrames);
        check_nothing_to_do(path);

        std::ofstream(path / "index.sqlite") << "no database";
        CHECK_FALSE(apply_repair(path).data_lost());
        CHECK(exists(path / "index.sqlite.damaged"));
        check_frames(path, kFrames);
        check_nothing_to_do(path);

        fs::remove(sidecar);
        result = apply_repair(path);
        REQUIRE(result.done.size() == 1);
        CHECK(result.done[0].kind == RepairKind::sidecar);
        CHECK_FALSE(result.data_lost());
        check_without_index(path, kFrames);
        check_nothing_to_do(path);

        truncate_file(sidecar, 0);
        CHECK_FALSE(apply_repair(path).data_lost());
        check_without_index(path, kFrames);
        check_nothing_to_do(path);
    }
}

TEST_CASE("checksums, sizes of image files and events outlive a new index") {
    const TemporaryFolder folder(memory_folder());
    const fs::path path = folder / "s";
    write_killed_store(path, "png");
    apply_repair(path);
    const auto facts = [&] {
        const Database database(path / "index.sqlite", Database::Mode::read_only);
        return std::vector<std::optional<int64_t>>{
            database.query_int64("SELECT SUM(checksum) FROM frames"),
            database.query_int64("SELECT SUM(byte_size) FROM frames"),
            database.query_int64("SELECT SUM(media_bytes) FROM chunks"),
            database.query_int64("SELECT COUNT(*) FROM events WHERE kind = 'repaired'"),
            database.query_int64("SELECT frame_index FROM events WHERE kind = 'repaired'")};
    };
    const auto before = facts();
    CHECK(before[3] == 1);
    build_index(path);
    CHECK(facts() == before);
}

TEST_CASE("a chunk of which only the media are left comes back with marked guesses for numbers and times") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_numbered_store(path, {.format = format, .chunk_frames = kChunk}, gray_type(), kFrames, 100);
        const fs::path media = media_of(path, 1);
        fs::remove(path / "index.sqlite");
        fs::remove(media.has_extension() ? path / "000001.npz" : media / "index.npz");
        const RepairPlan plan = plan_repair(path);
        REQUIRE(plan.actions.size() == 2);
        CHECK(plan.actions[0].kind == RepairKind::salvage);
        CHECK(plan.actions[1].kind == RepairKind::index);
        const RepairResult result = apply_repair(path);
        CHECK(result.data_lost());
        StoreReader store(path);
        REQUIRE(store.frame_count() == kFrames);
        for (int i = kFrames - 1; i >= 0; --i) {
            const Frame frame = store.at_index(i);
            CHECK(read_image_number(frame.image) == i);
            CHECK(frame.number == 100 + i);
            CHECK(frame.time == doctest::Approx(fixture_time(i)).epsilon(1e-12));
        }
        const StoreLayout layout(path, store.metadata().kind, store.metadata().extension);
        CHECK(read_chunk_sidecar(layout, 1)->synthetic);
        CHECK_FALSE(read_chunk_sidecar(layout, 0)->synthetic);
        const auto marks = [&] {
            return Database(path / "index.sqlite", Database::Mode::read_only)
                .query_int64("SELECT COUNT(*) FROM events WHERE kind = 'repaired' AND data LIKE '%synthetic%'");
        };
        CHECK(marks() == 1);
        build_index(path);
        CHECK(marks() == 1);
        check_nothing_to_do(path);
    }
}

TEST_CASE("the open chunk of a killed writer is found without index by its sibling's parameters") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : kFormats) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_killed_store(path, format);
        const int64_t committed = StoreReader(path).frame_count();
        for (const char* name : {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}) fs::remove(path / name);
        CHECK(apply_repair(path).data_lost());
        StoreReader store(path);
        CHECK(store.frame_count() >= committed);
        for (int64_t i = store.frame_count() - 1; i >= 0; --i) {
            CHECK(store.row(i)->number == 100 + i);
            CHECK(read_image_number(store.at_index(i).image) == static_cast<int>(i));
        }
        if (media_of(path, 2).has_extension())
            CHECK(frames_in_file(media_of(path, 2)) == store.frame_count() - 2 * kChunk);
        check_nothing_to_do(path);
    }
}

TEST_CASE("an mp4 without any sibling needs a file that was made with the same settings") {
    const TemporaryFolder folder(memory_folder());
    const fs::path path = folder / "s";
    write_killed_store(path, "avc1/mp4", 15);
    for (const char* name : {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}) fs::remove(path / name);
    const RepairPlan plan = plan_repair(path);
    REQUIRE(plan.problems.size() == 1);
    CHECK(plan.problems[0].find("--like") != std::string::npos);
    CHECK(apply_repair(path, {.only = {RepairKind::salvage}}).data_lost());
    write_numbered_store(folder / "other", {.format = "avc1/mp4"}, gray_type(), 5);
    const RepairResult result = apply_repair(path, {.like = folder / "other" / "000000.mp4"});
    CHECK(result.problems.empty());
    StoreReader store(path);
    CHECK(store.frame_count() > 0);
    for (int64_t i = store.frame_count() - 1; i >= 0; --i)
        CHECK(read_image_number(store.at_index(i).image) == static_cast<int>(i));
    check_nothing_to_do(path);
}

TEST_CASE("an extra data file that is cut off gets its end, and the file as it was is kept") {
    const TemporaryFolder folder(memory_folder());
    for (const bool with_index : {true, false}) {
        const fs::path path = folder / (with_index ? "with" : "without");
        write_killed_store(path, "avc1/mp4");
        apply_repair(path);
        if (!with_index) {
            // As imgstore leaves it: without index, and nothing says that there ever was one.
            fs::remove(path / "index.sqlite");
            const std::string text = read_text_file(path / "metadata.yaml", 100000);
            const size_t line = text.find("  writer:");
            REQUIRE(line != std::string::npos);
            std::ofstream(path / "metadata.yaml") << text.substr(0, line) << text.substr(text.find('\n', line) + 1);
        }
        check_nothing_to_do(path);
        const fs::path file = path / "000001.extra.json";
        const uintmax_t size = fs::file_size(file);
        truncate_file(file, size - 1);
        const RepairResult result = apply_repair(path);
        REQUIRE(result.done.size() == 1);
        CHECK(result.done[0].kind == RepairKind::extra_data);
        CHECK(fs::file_size(file) == size);
        CHECK(fs::file_size(file.string() + ".before_repair") == size - 1);
        CHECK_FALSE(result.data_lost());
        check_nothing_to_do(path);
    }
}

TEST_CASE("only what is asked is done") {
    const TemporaryFolder folder(memory_folder());
    const fs::path path = folder / "s";
    write_killed_store(path, "mjpeg/avi");
    fs::remove(path / "000000.npz");
    CHECK(plan_repair(path, {.only = {RepairKind::index}}).actions.empty());
    CHECK(plan_repair(path, {.chunk = 1}).actions.empty());
    RepairResult result = apply_repair(path, {.only = {RepairKind::sidecar}});
    REQUIRE(result.done.size() == 1);
    CHECK(result.done[0].chunk == 0);
    CHECK_FALSE(StoreReader(path).closed());
    apply_repair(path, {.chunk = 2});
    CHECK(StoreReader(path).closed());
}

TEST_CASE("a store that is being written is left alone") {
    const TemporaryFolder folder(memory_folder());
    const fs::path path = folder / "s";
    StoreWriter writer(path, {.format = "npy"});
    writer.add(make_numbered_image(gray_type(), 0), 0, 0.0);
    writer.commit();
    CHECK(error_of([&] { plan_repair(path); }) == ErrorCode::locked);
    CHECK(error_of([&] { apply_repair(path); }) == ErrorCode::locked);
    writer.close();
    check_nothing_to_do(path);
}

TEST_CASE("an index that knows less than the sidecars does not cut the media down") {
    const TemporaryFolder folder(memory_folder());
    const fs::path path = folder / "s";
    write_numbered_store(path, {.format = "avc1/mp4", .chunk_frames = kChunk}, gray_type(), kFrames, 100);
    {
        // As if the store had been copied without the index' log.
        const Database database(path / "index.sqlite", Database::Mode::read_write);
        database.execute(
            "DELETE FROM frames WHERE frame_index >= 43; UPDATE chunks SET frame_count = 3, state = 'open' "
            "WHERE chunk = 2; UPDATE store SET value = 'open' WHERE key = 'state'");
    }
    const RepairResult result = apply_repair(path);
    REQUIRE(result.done.size() >= 1);
    CHECK_FALSE(result.data_lost());
    check_frames(path, kFrames);
    check_nothing_to_do(path);
}

TEST_CASE("a part of a repair does not close a store in which there is something to finish") {
    const TemporaryFolder folder(memory_folder());
    const fs::path path = folder / "s";
    write_killed_store(path, "mjpeg/avi");
    {
        const Database database(path / "index.sqlite", Database::Mode::read_write);
        database.execute(
            "DELETE FROM frames WHERE chunk = 2; DELETE FROM extra_data WHERE frame_index >= 40; "
            "DELETE FROM chunks WHERE chunk = 2; DROP TABLE chunk_groups");
    }
    fs::remove(path / "000000.npz");
    // No chunk of the index is open, but one is there that was not committed.
    CHECK(apply_repair(path, {.only = {RepairKind::sidecar}}).done.size() == 1);
    CHECK_FALSE(StoreReader(path).closed());
    fs::remove(path / "000001.npz");
    CHECK(apply_repair(path, {.chunk = 1}).done.size() == 1);
    CHECK_FALSE(StoreReader(path).closed());
    CHECK_FALSE(media_of(path, 2).empty());
    apply_repair(path);
    CHECK(StoreReader(path).closed());
    CHECK(media_of(path, 2).empty());
    check_nothing_to_do(path);
}

TEST_CASE("a chunk behind the index whose sidecar is damaged was recorded, and is not put aside") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : {"npy", "mjpeg/avi"}) {
        CAPTURE(format);
        const fs::path path = folder / short_name(format);
        write_numbered_store(path, {.format = format, .chunk_frames = kChunk}, gray_type(), kFrames, 100);
        {
            const Database database(path / "index.sqlite", Database::Mode::read_write);
            database.execute(
                "DELETE FROM frames WHERE chunk = 2; DELETE FROM chunks WHERE chunk = 2; "
                "UPDATE store SET value = 'open' WHERE key = 'state'");
        }
        const fs::path media = media_of(path, 2);
        truncate_file(media.has_extension() ? path / "000002.npz" : media / "index.npz", 30);
        const RepairResult result = apply_repair(path);
        REQUIRE_FALSE(result.done.empty());
        CHECK(result.done[0].kind == RepairKind::salvage);
        // Only the times are guesses.
        StoreReader store(path);
        REQUIRE(store.frame_count() == kFrames);
        for (int i = kFrames - 1; i >= 0; --i) {
            CHECK(store.row(i)->number == 100 + i);
            CHECK(read_image_number(store.at_index(i).image) == i);
        }
        check_nothing_to_do(path);
    }
}
