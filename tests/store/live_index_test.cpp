// An index that grows while it is read: everything stays as it was at the opening, until refresh(). And indexes of
// earlier versions, which lack tables.

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <random>

#include "base/file_system.h"
#include "store/frame_index.h"
#include "store/loaded_table.h"
#include "store/maintenance.h"
#include "tests/forwarding_file_system.h"
#include "tests/sanitized.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr std::array kMatches = {Match::exact, Match::nearest, Match::previous, Match::next};
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Frames {
    std::vector<int64_t> numbers;
    std::vector<double> times;
    std::vector<int64_t> chunks;  // of each frame
};

template <typename Value>
int64_t expected(const std::vector<Value>& values, Value target, Match match) {
    int64_t best = -1;
    const auto distance = [&](Value value) {
        return std::abs(static_cast<long double>(value) - static_cast<long double>(target));
    };
    for (size_t i = 0; i < values.size(); ++i) {
        const bool fits = (match == Match::nearest && !std::isnan(static_cast<double>(values[i]))) ||
                          (match == Match::exact && values[i] == target) ||
                          (match == Match::previous && values[i] <= target) ||
                          (match == Match::next && values[i] >= target);
        if (fits && (best < 0 || distance(values[i]) < distance(values[static_cast<size_t>(best)])))
            best = static_cast<int64_t>(i);
    }
    return best;
}

int64_t index_of(const std::optional<FrameRow>& row) {
    return row ? row->index : -1;
}

/// What is wrong with what an index says of these frames; empty when nothing is.
std::string fault_of(const FrameTable& index, const Frames& frames, std::mt19937& random, int questions) {
    const auto count = static_cast<int64_t>(frames.numbers.size());
    if (index.frame_count() != count) return fmt::format("{} frames instead of {}", index.frame_count(), count);
    if (index.row(count) || index.row(-1)) return "a row outside";
    const auto last = index.last_chunk();
    if (count > 0 && (!last || last->end_index() != count)) return "another last chunk";
    for (int question = 0; question < questions && count > 0; ++question) {
        const auto place = static_cast<size_t>(random()) % frames.numbers.size();
        const auto row = index.row(static_cast<int64_t>(place));
        const bool same_time =
            row && (row->time == frames.times[place] || (std::isnan(row->time) && std::isnan(frames.times[place])));
        if (!row || row->number != frames.numbers[place] || !same_time || row->chunk != frames.chunks[place])
            return fmt::format("another row {}", place);
        const int64_t number = frames.numbers[place] + static_cast<int64_t>(random() % 5) - 2;
        const double time = std::isnan(frames.times[place]) ? 7 : frames.times[place] + (random() % 5 - 2.0) / 4;
        for (const Match match : kMatches) {
            const int64_t found = index_of(index.find_number(number, match));
            if (found != expected(frames.numbers, number, match))
                return fmt::format("number {} match {}: {} of {}, not {}", number, static_cast<int>(match), found,
                                   count, expected(frames.numbers, number, match));
            const int64_t at_time = index_of(index.find_time(time, match));
            if (at_time != expected(frames.times, time, match))
                return fmt::format("time {} match {}: {} of {}, not {}", time, static_cast<int>(match), at_time, count,
                                   expected(frames.times, time, match));
        }
        // A run is whole or cut by the value; outside no frame fits.
        const auto runs = index.runs_of_numbers(number - 3, number + 3);
        for (size_t i = 0; i < frames.numbers.size(); ++i) {
            const bool inside = std::any_of(runs.begin(), runs.end(), [&](const IndexRun& run) {
                return static_cast<int64_t>(i) >= run.first && static_cast<int64_t>(i) < run.last;
            });
            if (!inside && std::abs(frames.numbers[i] - number) <= 3) return fmt::format("frame {} is in no run", i);
        }
        if (!runs.empty() && runs.back().last > count) return "a run behind the end";
    }
    if (count == 0) {
        if (index.find_number(5, Match::nearest) || index.find_time(5, Match::nearest)) return "a frame of none";
        return index.number_range() ? "a range of none" : "";
    }
    const auto [low, high] = std::minmax_element(frames.numbers.begin(), frames.numbers.end());
    if (index.number_range() != std::pair(*low, *high)) return "another range of numbers";
    if (index.numbers_ascend() != std::is_sorted(frames.numbers.begin(), frames.numbers.end()))
        return "another order of numbers";
    std::vector<int64_t> chunks = frames.chunks;
    chunks.erase(std::unique(chunks.begin(), chunks.end()), chunks.end());
    std::vector<int64_t> said;
    index.visit_chunks([&](const ChunkRow& chunk) {
        if (chunk.frame_count > 0) said.push_back(chunk.chunk);
        return true;
    });
    if (said != chunks) return "other chunks";
    return "";
}

/// Adds frames to an index and to the list, as a camera that goes on in one of several ways.
class Camera {
public:
    Camera(FrameIndex& index, uint32_t seed) : index_(index), random_(seed), kind_(static_cast<int>(seed % 5)) {}

    void work() {
        Transaction transaction(index_.database());
        const int steps = 1 + static_cast<int>(random_() % 6);
        for (int step = 0; step < steps; ++step) {
            if (!chunk_ || random_() % 3 == 0) {
                // Numbers of chunks leap within a group of the index's, behind it, and behind groups of groups.
                const int64_t leaps[] = {1, 1, 1, 7, 32, 33, 1000, 1025, 33000};
                chunk_ = chunk_.value_or(-1) + leaps[random_() % 9];
                index_.add_chunk(*chunk_, false);
                if (random_() % 4 == 0) continue;  // stays empty for now
            }
            std::vector<NewFrame> added(random_() % 4);
            for (NewFrame& frame : added) {
                frame = {next_number(), next_time(), {}};
                frames_.numbers.push_back(frame.number);
                frames_.times.push_back(frame.time);
                frames_.chunks.push_back(*chunk_);
            }
            index_.add_frames(added);
        }
        transaction.commit();
    }

    const Frames& frames() const { return frames_; }

private:
    int64_t next_number() {
        const auto count = static_cast<int64_t>(frames_.numbers.size());
        switch (kind_) {
            case 0:
                return count * 2;
            case 1:
                return count % 64;  // wraps
            case 2:
                return 500 - count;  // runs backwards
            case 3:
                return count / 5;  // repeats
            default:
                return static_cast<int64_t>(random_() % 300);
        }
    }

    double next_time() {
        const auto count = static_cast<double>(frames_.numbers.size());
        switch (kind_) {
            case 1:
                return 1e9 + count + (random_() % 40 == 0 ? 3e7 : 0);  // leaps a year and back
            case 2:
                return random_() % 6 == 0 ? kNaN : count;
            case 4:
                return static_cast<double>(random_() % 100) / 4;
            default:
                return 1e9 + count / 4;
        }
    }

    FrameIndex& index_;
    std::mt19937 random_;
    int kind_;
    std::optional<int64_t> chunk_;
    Frames frames_;
};

/// Takes from an index what early versions did not have.
void make_early(const std::filesystem::path& path) {
    const Database database(path, Database::Mode::read_write);
    for (const char* table : {"events", "chunk_groups", "sidecars", "hidden_packets"})
        database.execute(std::string("DROP TABLE ") + table);
}

bool has_table(const std::filesystem::path& path, const std::string& table) {
    return Database(path, Database::Mode::read_only)
        .query_int64("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '" + table + "'")
        .has_value();
}

}  // namespace

TEST_CASE("an index stays as it was at the opening while others add to it, and refresh() takes it all over") {
    UnsyncedFileSystem unsynced;
    const FileSystemOverride fast(unsynced);
    for (uint32_t seed = 0; seed < (kSanitized ? 5U : 25U); ++seed) {
        INFO(seed);
        const TemporaryFolder folder(memory_folder());
        const std::filesystem::path path = folder / "index.sqlite";
        const auto written = FrameIndex::create(path, "uuid");
        written->use_write_ahead_log(true);
        Camera camera(*written, seed);
        struct Open {
            std::unique_ptr<FrameIndex> index;
            Frames frames;
        };
        std::vector<Open> readers;
        std::mt19937 random(seed);
        for (int round = 0; round < 40; ++round) {
            camera.work();
            if (round % 9 == 0) readers.push_back({FrameIndex::open(path, "uuid"), camera.frames()});
            for (Open& reader : readers) {
                const std::string fault = fault_of(*reader.index, reader.frames, random, 3);
                if (!fault.empty()) FAIL("seed " << seed << " round " << round << ": " << fault);
                if (random() % 7 != 0) continue;
                CHECK((reader.index->refresh() || reader.frames.numbers.size() == camera.frames().numbers.size()));
                reader.frames = camera.frames();
                const std::string fault_then = fault_of(*reader.index, reader.frames, random, 3);
                if (!fault_then.empty()) FAIL("seed " << seed << " round " << round << " fresh: " << fault_then);
            }
            const std::string fault = fault_of(*written, camera.frames(), random, 1);
            if (!fault.empty()) FAIL("seed " << seed << " round " << round << " writer: " << fault);
        }
    }
}

TEST_CASE("an index that was opened while its last chunk was empty finds nothing of what came into it") {
    const TemporaryFolder folder(memory_folder());
    const std::filesystem::path path = folder / "index.sqlite";
    for (const int64_t empty : {1, 32, 1024, 32768}) {
        INFO(empty);
        std::filesystem::remove(path);
        const auto written = FrameIndex::create(path, "uuid");
        written->add_chunk(0, true);
        written->add_frames(std::vector<NewFrame>{{1, 1.0, {}}, {2, 2.0, {}}});
        written->add_chunk(empty, false);
        const auto reader = FrameIndex::open(path, "uuid");
        written->add_frames(std::vector<NewFrame>{{3, 3.0, {}}, {0, 0.5, {}}, {9, 9.0, {}}});
        std::mt19937 random(1);
        CHECK(fault_of(*reader, {{1, 2}, {1, 2}, {0, 0}}, random, 20) == "");
        CHECK(reader->refresh());
        CHECK(fault_of(*reader, {{1, 2, 3, 0, 9}, {1, 2, 3, 0.5, 9}, {0, 0, empty, empty, empty}}, random, 20) == "");
    }
}

TEST_CASE("frames that are removed while others read are missed by nobody else") {
    for (const uint32_t seed : {0U, 1U, 4U}) {
        const TemporaryFolder folder(memory_folder());
        const std::filesystem::path path = folder / "index.sqlite";
        const auto written = FrameIndex::create(path, "uuid");
        written->use_write_ahead_log(true);
        Camera camera(*written, seed);
        while (camera.frames().numbers.size() < 120) camera.work();
        const Frames all = camera.frames();
        const auto reader = FrameIndex::open(path, "uuid");
        const auto other = FrameIndex::open(path, "uuid", Database::Mode::read_write);
        int64_t removed = 0;
        while (removed < 60) {
            Transaction transaction(other->database());
            other->remove_first_chunk();
            transaction.commit();
            removed = other->first_index();
        }
        CHECK(reader->frame_count() == 120 + static_cast<int64_t>(all.numbers.size()) - 120);
        for (int64_t i = 0; i < reader->frame_count(); ++i) {
            INFO(i);
            const auto place = static_cast<size_t>(i);
            const auto error = error_of([&] {
                const auto row = reader->row(i);
                CHECK(row->number == all.numbers[place]);
                CHECK(row->index == i);
            });
            CHECK(error == (i < removed ? std::optional(ErrorCode::not_found) : std::nullopt));
        }
        // Numbers that only frames have which are still there are found.
        for (size_t i = static_cast<size_t>(removed); i < all.numbers.size(); ++i) {
            if (std::find(all.numbers.begin(), all.numbers.begin() + static_cast<std::ptrdiff_t>(i), all.numbers[i]) !=
                all.numbers.begin() + static_cast<std::ptrdiff_t>(i))
                continue;
            std::optional<FrameRow> row;
            const auto error = error_of([&] { row = reader->find_number(all.numbers[i], Match::exact); });
            CHECK_FALSE(error);
            CHECK(index_of(row) == static_cast<int64_t>(i));
        }
        const auto again = FrameIndex::open(path, "uuid");
        const auto rest = [&](const auto& values) {
            return std::vector(values.begin() + static_cast<std::ptrdiff_t>(removed), values.end());
        };
        std::mt19937 random(3);
        CHECK(fault_of(*again, {rest(all.numbers), rest(all.times), rest(all.chunks)}, random, 50) == "");
    }
}

TEST_CASE("a clock that leaps a year ahead and back does not keep frames from being found") {
    const TemporaryFolder folder(memory_folder());
    UnsyncedFileSystem unsynced;
    const FileSystemOverride fast(unsynced);
    constexpr double kYear = 365 * 86400.0;
    Frames frames;
    {
        StoreWriter writer(folder / "s", {.format = "npy", .chunk_frames = 7});
        CHECK(error_of([&] { StoreWriter(folder / "s", {.append = true}); }) == ErrorCode::locked);
        for (int i = 0; i < 200; ++i) {
            const double leap = i >= 60 && i < 75 ? kYear : i >= 130 && i < 131 ? -kYear : 0;
            frames.numbers.push_back(i);
            frames.times.push_back(kFixtureTime + i * 0.5 + leap);
            frames.chunks.push_back(i / 7);
            writer.add(make_numbered_image({8, 16, 1, CV_8U}, i), i, frames.times.back());
        }
        writer.close();
    }
    for (const bool with_index : {true, false}) {
        if (!with_index) std::filesystem::remove(folder / "s" / "index.sqlite");
        StoreReader store(folder / "s");
        CHECK(store.has_index() == with_index);
        CHECK(store.time_range() == std::pair(frames.times[130], frames.times[74]));
        for (int i = -3; i < 210; ++i) {
            for (const double leap : {0.0, kYear, -kYear, kYear / 2, 0.3}) {
                const double time = kFixtureTime + i * 0.5 + leap;
                for (const Match match : kMatches) {
                    const int64_t found = index_of(store.find_time(time, match));
                    if (found != expected(frames.times, time, match))
                        FAIL("frame " << i << " leap " << leap << " match " << static_cast<int>(match) << ": "
                                      << found);
                    if (i >= 0 && i < 200 && match == Match::exact && found >= 0)
                        CHECK(read_image_number(store.at_index(found).image) == found);
                }
            }
        }
    }
}

TEST_CASE("early indexes are read in every way, and get the tables they lack when they are written to") {
    const TemporaryFolder folder(memory_folder());
    UnsyncedFileSystem unsynced;
    const FileSystemOverride fast(unsynced);
    for (const uint32_t seed : {0U, 1U, 2U, 3U, 4U}) {
        INFO(seed);
        const std::filesystem::path path = folder / "index.sqlite";
        std::filesystem::remove(path);
        Frames frames;
        {
            const auto written = FrameIndex::create(path, "uuid");
            Camera camera(*written, seed);
            while (camera.frames().numbers.size() < 100) camera.work();
            frames = camera.frames();
        }
        make_early(path);
        std::mt19937 random(seed);
        for (const auto mode : {Database::Mode::read_only, Database::Mode::immutable}) {
            const auto index = FrameIndex::open(path, "uuid", mode);
            CHECK(fault_of(*index, frames, random, 40) == "");
            CHECK(index->event_count() == 0);
            CHECK_FALSE(index->sidecar_mark(0));
        }
        CHECK_FALSE(has_table(path, "chunk_groups"));
        // With a log that another has left, and nobody to share it with.
        {
            const Database writer(path, Database::Mode::read_write);
            writer.execute("PRAGMA journal_mode = WAL; UPDATE store SET value = 'closed' WHERE key = 'state'");
            std::filesystem::create_directories(folder / "copy");
            for (const char* name : {"index.sqlite", "index.sqlite-wal"})
                std::filesystem::copy_file(folder / name, folder / "copy" / name,
                                           std::filesystem::copy_options::overwrite_existing);
            const auto index = FrameIndex::open(folder / "copy" / "index.sqlite", "uuid", Database::Mode::unlocked);
            CHECK(index->closed());
            CHECK(fault_of(*index, frames, random, 40) == "");
        }
        // While one reads it as it was, another makes it a present one and goes on with it.
        const auto reader = FrameIndex::open(path, "uuid");
        {
            const auto index = FrameIndex::open(path, "uuid", Database::Mode::read_write);
            for (const char* table : {"events", "chunk_groups", "sidecars", "hidden_packets"})
                CHECK(has_table(path, table));
            CHECK(fault_of(*index, frames, random, 40) == "");
            CHECK(fault_of(*reader, frames, random, 40) == "");
            index->add_chunk(40000000, false);
            index->add_frames(std::vector<NewFrame>{{-7, 3.0, {}}, {12, 2e9, {}}});
            CHECK(fault_of(*reader, frames, random, 40) == "");
        }
        frames.numbers.insert(frames.numbers.end(), {-7, 12});
        frames.times.insert(frames.times.end(), {3.0, 2e9});
        frames.chunks.insert(frames.chunks.end(), {40000000, 40000000});
        CHECK(reader->refresh());
        CHECK(fault_of(*reader, frames, random, 40) == "");
        CHECK(fault_of(*FrameIndex::open(path, "uuid"), frames, random, 40) == "");
    }
}

TEST_CASE("a store with an early index is continued") {
    const TemporaryFolder folder(memory_folder());
    write_numbered_store(folder / "s", {.format = "npy", .chunk_frames = 3}, gray_type(), 10);
    make_early(folder / "s" / "index.sqlite");
    {
        StoreReader store(folder / "s");
        CHECK(store.has_index());
        CHECK(store.warnings().empty());
        CHECK(index_of(store.find_number(7)) == 7);
    }
    {
        StoreWriter writer(folder / "s", {.append = true});
        for (int i = 10; i < 15; ++i) writer.add(make_numbered_image(gray_type(), i), i, fixture_time(i));
        writer.report_dropped(15, fixture_time(15), "a test");
        writer.close();
    }
    StoreReader store(folder / "s");
    CHECK(store.has_index());
    REQUIRE(store.frame_count() == 15);
    for (int64_t i = 14; i >= 0; --i) {
        CHECK(read_image_number(store.at_number(i)->image) == i);
        CHECK(index_of(store.find_time(fixture_time(static_cast<int>(i)), Match::exact)) == i);
    }
    CHECK(store.event_count() > 0);
}
