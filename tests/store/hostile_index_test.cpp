// An index.sqlite that anybody may have made or damaged: whatever is in it, a store opens within bounds of time and
// memory, and gives the right frames or an Error, never a wrong frame.

#include <doctest/doctest.h>

#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <fstream>
#include <random>

#include "base/file_system.h"
#include "base/sqlite.h"
#include "codecs/checksum.h"
#include "store/maintenance.h"
#include "tests/forwarding_file_system.h"
#include "tests/sanitized.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr std::array kMatches = {Match::exact, Match::nearest, Match::previous, Match::next};
constexpr int kChunkFrames = 4;
constexpr int kFrames = 160;  // in 40 chunks: two groups
const ImageType kType{8, 16, 1, CV_8U};

/// Ends the program when it hangs.
class Deadline {
public:
    explicit Deadline(unsigned seconds) { ::alarm(kSanitized ? 10 * seconds : seconds); }
    ~Deadline() { ::alarm(0); }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;
};

int64_t peak_memory() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return int64_t{usage.ru_maxrss} << 10;
}

/// Numbers and times of the frames of a store, whose images carry their indices.
struct Frames {
    std::vector<int64_t> numbers;
    std::vector<double> times;
};

Frames ascending_frames() {
    Frames frames;
    for (int i = 0; i < kFrames; ++i) {
        frames.numbers.push_back(100 + 2 * i);
        frames.times.push_back(1000 + 0.5 * i);
    }
    return frames;
}

/// Numbers that wrap, repeat and run backwards within chunks, and times that step back in one.
Frames unordered_frames() {
    std::mt19937 random(5);
    Frames frames;
    for (int i = 0; i < kFrames; ++i) {
        const bool mixed = i / kChunkFrames % 3 == 1;
        const int64_t number = (2 * i) % 90 + (mixed ? static_cast<int64_t>(random() % 40) : 0);
        frames.numbers.push_back(number);
        frames.times.push_back(1000 + 0.5 * ((i / kChunkFrames) % 7 == 2 ? i - static_cast<int>(random() % 9) : i));
    }
    return frames;
}

void write_store(const std::filesystem::path& path, const Frames& frames) {
    UnsyncedFileSystem unsynced;
    const FileSystemOverride fast(unsynced);
    StoreWriter writer(path, {.format = "npy", .chunk_frames = kChunkFrames});
    for (size_t i = 0; i < frames.numbers.size(); ++i) {
        writer.add(make_numbered_image(kType, static_cast<int>(i)), frames.numbers[i], frames.times[i]);
        if (i % 10 == 3) writer.add_extra_data({{"value", i}});
    }
    writer.close();
}

/// Changes the index with nothing in the way, as an attacker would.
void run_sql(const std::filesystem::path& store, const std::string& sql) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open((store / "index.sqlite").c_str(), &database) == SQLITE_OK);
    char* error = nullptr;
    const int result = sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &error);
    const std::string text = error ? error : "";
    sqlite3_free(error);
    sqlite3_close(database);
    INFO(sql.substr(0, 200));
    REQUIRE_MESSAGE(result == SQLITE_OK, text);
}

int64_t ask_sql(const std::filesystem::path& store, const std::string& sql) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open((store / "index.sqlite").c_str(), &database) == SQLITE_OK);
    sqlite3_stmt* statement = nullptr;
    REQUIRE(sqlite3_prepare_v2(database, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK);
    REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
    const int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return value;
}

template <typename Value>
bool nearer(Value a, Value b, Value target) {
    return std::abs(static_cast<long double>(a) - static_cast<long double>(target)) <
           std::abs(static_cast<long double>(b) - static_cast<long double>(target));
}

template <typename Value>
int64_t expected(const std::vector<Value>& values, Value target, Match match) {
    int64_t best = -1;
    for (size_t i = 0; i < values.size(); ++i) {
        const bool fits = match == Match::nearest || (match == Match::exact && values[i] == target) ||
                          (match == Match::previous && values[i] <= target) ||
                          (match == Match::next && values[i] >= target);
        if (fits && (best < 0 || nearer(values[i], values[static_cast<size_t>(best)], target)))
            best = static_cast<int64_t>(i);
    }
    return best;
}

int64_t index_of(const std::optional<FrameRow>& row) {
    return row ? row->index : -1;
}

/// Whether errors may stand where frames should.
enum class Errors { none, corrupt };

/// Asks for frames by index, and by every so many numbers and times, which are others each time. Returns the number of
/// questions that were refused.
int check_all(const std::filesystem::path& path, const Frames& frames, Errors errors) {
    constexpr int kSparsely = 5;
    static int round = 0;
    const int offset = round++ % kSparsely;
    int refused = 0;
    const auto ask = [&](const std::string& what, const auto& question) {
        const std::optional<Error> error = thrown_by([&] {
            const std::string wrong = question();
            if (!wrong.empty()) FAIL(what << ": " << wrong);
        });
        if (!error) return;
        if (errors == Errors::none || error->code() != ErrorCode::corrupt)
            FAIL(what << ": " << std::string(error->what()));
        ++refused;
    };
    std::unique_ptr<StoreReader> store;
    ask("open", [&] {
        store = std::make_unique<StoreReader>(path);
        return "";
    });
    if (!store) return refused;
    if (errors == Errors::corrupt && store->frame_count() == 0) {
        // Nothing is left to read it from, and it says so.
        CHECK(store->incomplete());
        CHECK_FALSE(store->warnings().empty());
        return 1;
    }
    ask("count", [&] {
        return store->frame_count() == kFrames ? std::string() : "frame_count " + std::to_string(store->frame_count());
    });
    std::vector<int64_t> order;
    for (int64_t i = offset; i < kFrames; i += kSparsely) order.push_back(i * 61 % kFrames);
    for (const int64_t index : order) {
        const auto place = static_cast<size_t>(index);
        ask("index " + std::to_string(index), [&]() -> std::string {
            const Frame frame = store->at_index(index);
            if (read_image_number(frame.image) != index) return "wrong pixels";
            if (frame.number != frames.numbers[place]) return "number " + std::to_string(frame.number);
            if (frame.time != frames.times[place]) return "time " + std::to_string(frame.time);
            return "";
        });
    }
    const auto [low, high] = std::minmax_element(frames.numbers.begin(), frames.numbers.end());
    for (const Match match : kMatches) {
        for (int64_t number = *low - 2 + offset; number <= *high + 2; number += kSparsely) {
            ask("number " + std::to_string(number) + " match " + std::to_string(static_cast<int>(match)), [&] {
                const int64_t found = index_of(store->find_number(number, match));
                const int64_t right = expected(frames.numbers, number, match);
                return found == right ? "" : std::to_string(found) + " instead of " + std::to_string(right);
            });
        }
        for (double time = 999 + 0.25 * offset; time < 1000 + 0.5 * kFrames + 1; time += 0.25 * kSparsely) {
            ask("time " + std::to_string(time) + " match " + std::to_string(static_cast<int>(match)), [&] {
                const int64_t found = index_of(store->find_time(time, match));
                const int64_t right = expected(frames.times, time, match);
                return found == right ? "" : std::to_string(found) + " instead of " + std::to_string(right);
            });
        }
    }
    ask("rows", [&] {
        std::string wrong;
        int64_t next = 0;
        store->visit_rows(0, kFrames, [&](const FrameRow& row) {
            const auto place = static_cast<size_t>(next);
            if (row.index != next || row.number != frames.numbers[place] || row.time != frames.times[place])
                wrong = "row " + std::to_string(next);
            ++next;
            return wrong.empty();
        });
        return wrong.empty() && next != kFrames ? "rows " + std::to_string(next) : wrong;
    });
    ask("extra data", [&] {
        int records = 0;
        store->visit_extra_data(0, kFrames, [&](const ExtraRecord&) { return ++records < 1000; });
        return "";
    });
    ask("events", [&] {
        store->visit_events([](const EventRow&) { return true; });
        return "";
    });
    ask("ranges", [&] {
        store->number_range();
        store->time_range();
        store->chunks();
        store->media_bytes();
        store->info();
        return "";
    });
    return refused;
}

/// A store, what is in it, and a copy of its index as the writer left it.
class Victim {
public:
    explicit Victim(const Frames& frames) : frames_(frames) {
        write_store(path(), frames);
        std::filesystem::copy_file(path() / "index.sqlite", folder_ / "sound");
        CHECK(check_all(path(), frames_, Errors::none) == 0);
    }

    std::filesystem::path path() const { return folder_ / "store"; }

    /// Puts the sound index back.
    void restore() const {
        for (const char* log : {"-wal", "-shm", "-journal"})
            std::filesystem::remove(path() / (std::string("index.sqlite") + log));
        std::filesystem::copy_file(folder_ / "sound", path() / "index.sqlite",
                                   std::filesystem::copy_options::overwrite_existing);
    }

    /// Renames the sidecars, so that nothing but the index can answer.
    void hide_sidecars(bool hidden) const {
        for (const auto& entry : std::filesystem::directory_iterator(path())) {
            if (!entry.is_directory()) continue;
            const std::filesystem::path shown = entry.path() / "index.npz";
            const std::filesystem::path aside = entry.path() / "index.npz.aside";
            std::filesystem::rename(hidden ? shown : aside, hidden ? aside : shown);
        }
    }

    /// With this change of its index, and with and without sidecars.
    int check_changed(const std::string& sql) const {
        const Deadline deadline(20);
        INFO(sql.substr(0, 300));
        restore();
        run_sql(path(), sql);
        check_all(path(), frames_, Errors::none);
        hide_sidecars(true);
        const int refused = check_all(path(), frames_, Errors::corrupt);
        hide_sidecars(false);
        return refused;
    }

    /// With an index that is no good, however it became so.
    void check_useless() const {
        const Deadline deadline(20);
        const int64_t before = peak_memory();
        check_all(path(), frames_, Errors::none);
        if (!kSanitized) CHECK(peak_memory() - before < int64_t{600} << 20);
    }

    const Frames& frames() const { return frames_; }

private:
    TemporaryFolder folder_{memory_folder()};
    Frames frames_;
};

std::string text_of(char c, size_t count) {
    return std::string(count, c);
}

/// Makes a table anew with other columns, and the same rows as far as they fit.
std::string recreated(const std::string& table, const std::string& columns, const std::string& select) {
    return "ALTER TABLE " + table + " RENAME TO before; CREATE TABLE " + table + " (" + columns + ");" +
           (select.empty() ? "" : "INSERT INTO " + table + " " + select + ";") + "DROP TABLE before;";
}

}  // namespace

TEST_CASE("an index of a newer version is refused, read past, and kept aside by store index") {
    const Victim victim(ascending_frames());
    run_sql(victim.path(), "PRAGMA user_version = 2; ALTER TABLE frames RENAME COLUMN frame_time TO instant");
    {
        StoreReader store(victim.path());
        CHECK_FALSE(store.has_index());
        const std::string warnings = fmt::format("{}", fmt::join(store.warnings(), "\n"));
        CHECK(warnings.find("index.sqlite: the index has version 2; this version of reelstore reads up to 1") !=
              std::string::npos);
        CHECK(warnings.find("store index") != std::string::npos);
        CHECK(warnings.find("cannot prepare") == std::string::npos);
    }
    check_all(victim.path(), victim.frames(), Errors::none);
    // Writing does not touch it.
    std::string message;
    CHECK(error_of([&] { StoreWriter(victim.path(), {.append = true}); }, &message) == ErrorCode::unsupported);
    CHECK(message.find("version 2") != std::string::npos);
    CHECK(ask_sql(victim.path(), "PRAGMA user_version") == 2);

    const IndexResult result = build_index(victim.path());
    CHECK(result.frame_count == kFrames);
    CHECK(ask_sql(victim.path(), "PRAGMA user_version") == 1);
    CHECK(StoreReader(victim.path()).has_index());
    check_all(victim.path(), victim.frames(), Errors::none);
    int kept = 0;
    for (const auto& entry : std::filesystem::directory_iterator(victim.path())) {
        if (entry.path().filename().string().find("damaged") == std::string::npos) continue;
        ++kept;
        const Database aside(entry.path(), Database::Mode::read_only);
        CHECK(aside.query_int64("PRAGMA user_version") == 2);
        CHECK(aside.query_int64("SELECT COUNT(instant) FROM frames") == kFrames);
    }
    CHECK(kept == 1);
}

TEST_CASE("tables that are none are not asked") {
    const Victim victim(unordered_frames());
    const std::string columns =
        "frame_index, frame_number, frame_time, chunk, byte_offset, byte_size, packet_flags, packet_pts, "
        "decode_position, checksum";
    const std::string endless = "WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM c) SELECT x AS ";
    const std::vector<std::string> changes = {
        "ALTER TABLE frames RENAME TO others; CREATE VIEW frames AS SELECT * FROM others",
        "DROP TABLE frames; CREATE VIEW frames AS " + endless +
            "frame_index, x AS frame_number, x AS frame_time, x AS chunk, x AS byte_offset, x AS byte_size, x AS "
            "packet_flags, x AS packet_pts, x AS decode_position, x AS checksum FROM c",
        "ALTER TABLE chunks RENAME TO others; CREATE VIEW chunks AS SELECT others.* FROM others, others AS more",
        "DROP TABLE store; CREATE VIEW store AS " + endless + "key, 'uuid' AS value FROM c",
        "DROP TABLE chunk_groups; CREATE VIEW chunk_groups AS " + endless +
            "level, x AS place, x AS number_min, x AS number_max, 1 AS numbers_ascending, x AS time_min, x AS "
            "time_max, 1 AS times_ascending, 0 AS parts, 0 AS checksum FROM c",
        "DROP TABLE events; CREATE VIEW events AS " + endless +
            "event_id, x AS time, 'x' AS kind, x AS frame_index, '{}' AS data FROM c",
        "DROP TABLE sidecars; CREATE VIEW sidecars AS " + endless + "chunk, x AS bytes, x AS checksum FROM c",
        "DROP TABLE frames; CREATE VIRTUAL TABLE frames USING fts5(" + columns + ")",
        "DROP TABLE chunks; CREATE VIRTUAL TABLE chunks USING dbstat",
        "DROP TABLE extra_data; CREATE VIRTUAL TABLE extra_data USING rtree(record_id, low, high)",
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE frames USING "
        "csv(filename=/etc/passwd)', rootpage = 0 WHERE name = 'frames'",
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE frames (frame_index' WHERE name = "
        "'frames'",
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE "
        "name = 'chunks') WHERE name = 'frames'",
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 1 WHERE name = 'chunk_groups'",
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET name = 'Frames', tbl_name = 'Frames' WHERE name = "
        "'frames'",
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name LIKE 'sqlite_autoindex%'",
        "ALTER TABLE chunk_groups RENAME TO others; ALTER TABLE others RENAME TO Chunk_Groups",
        "DROP TABLE frames",
        "DROP TABLE chunks",
        "DROP TABLE extra_data",
        "DROP TABLE chunk_groups; CREATE TABLE a (x); CREATE INDEX chunk_groups ON a (x)",
        "ALTER TABLE frames DROP COLUMN checksum",
        "ALTER TABLE chunks RENAME COLUMN time_max TO latest",
        recreated("frames", columns, "SELECT * FROM before"),
        recreated("frames",
                  "frame_index INTEGER PRIMARY KEY, frame_time REAL, chunk INTEGER NOT NULL, byte_offset INTEGER, "
                  "byte_size INTEGER, packet_flags INTEGER, packet_pts INTEGER, decode_position INTEGER, checksum "
                  "INTEGER, frame_number INTEGER AS (length(replace(hex(zeroblob(30000000)), '0', '00')))",
                  "SELECT frame_index, frame_time, chunk, byte_offset, byte_size, packet_flags, packet_pts, "
                  "decode_position, checksum FROM before"),
        "ALTER TABLE frames ADD COLUMN more TEXT AS (hex(zeroblob(30000000)))",
    };
    for (const std::string& change : changes) {
        INFO(change.substr(0, 300));
        victim.restore();
        run_sql(victim.path(), change);
        victim.check_useless();
        victim.hide_sidecars(true);
        {
            const Deadline deadline(20);
            const auto error = error_of([&] { StoreReader(victim.path()).at_index(3); });
            CHECK((error == ErrorCode::corrupt || error == ErrorCode::invalid_argument ||
                   error == ErrorCode::unsupported || !error));
        }
        victim.hide_sidecars(false);
        const Deadline deadline(20);
        const IndexResult built = build_index(victim.path());
        CHECK(built.frame_count == kFrames);
        CHECK(StoreReader(victim.path()).has_index());
        check_all(victim.path(), victim.frames(), Errors::none);
    }
}

TEST_CASE("what somebody adds to the index is nothing to a reader") {
    const Victim victim(unordered_frames());
    const std::vector<std::string> additions = {
        "CREATE TRIGGER one AFTER INSERT ON frames BEGIN DELETE FROM chunks; END; CREATE TRIGGER two AFTER UPDATE ON "
        "store BEGIN DELETE FROM frames; END; CREATE TRIGGER three AFTER UPDATE ON chunks BEGIN DELETE FROM frames; "
        "END;",
        "CREATE INDEX by_number ON frames (frame_number); CREATE INDEX by_time ON frames (frame_time); ANALYZE",
        "CREATE INDEX covering ON frames (frame_index, frame_number, frame_time, chunk); ANALYZE; UPDATE sqlite_stat1 "
        "SET stat = '1 1 1 1 1'",
        "ALTER TABLE frames ADD COLUMN my_score REAL; UPDATE frames SET my_score = frame_index",
        "CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')",
        "CREATE VIEW overview AS SELECT chunk, COUNT(*) FROM frames GROUP BY chunk",
        "PRAGMA journal_mode = WAL",
    };
    for (const std::string& addition : additions) {
        INFO(addition);
        victim.restore();
        run_sql(victim.path(), addition);
        CHECK(StoreReader(victim.path()).has_index());
        CHECK(check_all(victim.path(), victim.frames(), Errors::none) == 0);
        victim.hide_sidecars(true);
        CHECK(check_all(victim.path(), victim.frames(), Errors::none) == 0);
        victim.hide_sidecars(false);
    }
    // An index whose pages say other than the table misleads no lookup.
    victim.restore();
    run_sql(victim.path(),
            "CREATE INDEX by_number ON frames (frame_number); PRAGMA writable_schema = ON; UPDATE sqlite_master SET "
            "rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'extra_data_frame') WHERE name = 'by_number'");
    victim.check_useless();
}

TEST_CASE("writers set off nothing that somebody has put into the index") {
    const Frames frames = ascending_frames();
    const std::string slow = text_of('a', 40000);
    const std::string pattern = "%a%a%a%a%a%a%a%a%a%a%b";
    const std::vector<std::string> changes = {
        "CREATE TRIGGER one AFTER INSERT ON frames BEGIN DELETE FROM chunks; END; CREATE TRIGGER two AFTER INSERT ON "
        "chunks BEGIN INSERT INTO frames (frame_index, frame_number, chunk) WITH RECURSIVE c(x) AS (SELECT 1000 UNION "
        "ALL SELECT x + 1 FROM c) SELECT x, x, 0 FROM c; END;",
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'frame_time      REAL,', "
        "'frame_time      REAL CHECK (''" +
            slow + "'' NOT LIKE ''" + pattern + "''),') WHERE name = 'frames'",
        recreated("events",
                  "event_id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, frame_index INTEGER, data "
                  "TEXT NOT NULL, more TEXT DEFAULT ('" +
                      slow + "' LIKE '" + pattern + "')",
                  ""),
        "ALTER TABLE extra_data ADD COLUMN more TEXT AS (hex(zeroblob(30000000)))",
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) SELECT 'index', "
        "'slow', 'frames', rootpage, 'CREATE INDEX slow ON frames (''" +
            slow + "'' LIKE ''" + pattern + "'')' FROM sqlite_master WHERE name = 'extra_data_frame'",
    };
    for (const std::string& change : changes) {
        INFO(change.substr(0, 300));
        const Victim victim(frames);
        run_sql(victim.path(), change);
        const Deadline deadline(20);
        const std::optional<ErrorCode> error = error_of([&] {
            StoreWriter writer(victim.path(), {.append = true});
            for (int i = kFrames; i < kFrames + 20; ++i)
                writer.add(make_numbered_image(kType, i), 100 + 2 * i, 1000 + 0.5 * i);
            writer.close();
        });
        if (error) {
            CHECK(error == ErrorCode::corrupt);
            check_all(victim.path(), victim.frames(), Errors::none);
            CHECK(build_index(victim.path()).frame_count == kFrames);
        } else {
            StoreReader store(victim.path());
            REQUIRE(store.frame_count() == kFrames + 20);
            for (int64_t i = kFrames + 19; i >= 0; i -= 3) {
                CHECK(read_image_number(store.at_index(i).image) == i);
                CHECK(index_of(store.find_number(100 + 2 * i)) == i);
            }
        }
    }
}

TEST_CASE("values of any kind where numbers belong") {
    for (const Frames& frames : {ascending_frames(), unordered_frames()}) {
        const Victim victim(frames);
        for (const char* value :
             {"'text'", "x'00ff'", "''", "-1", "9223372036854775807", "-9223372036854775808", "9e18", "9e999", "-9e999",
              "1.5", "9223372036854775800", "999999999999999", "1000000000000000", "4611686018427387904"}) {
            for (const char* change : {"UPDATE frames SET frame_number = {} WHERE frame_index = 77",
                                       "UPDATE frames SET chunk = {} WHERE frame_index = 77",
                                       "UPDATE frames SET frame_index = {} WHERE frame_index = 77",
                                       "UPDATE frames SET frame_index = {} WHERE frame_index = 159",
                                       "UPDATE chunks SET chunk = {} WHERE chunk = 39",
                                       "UPDATE chunks SET chunk = {} WHERE chunk = 17",
                                       "UPDATE chunks SET chunk = {} WHERE chunk = 0",
                                       "UPDATE chunks SET first_index = {} WHERE chunk = 39",
                                       "UPDATE chunks SET first_index = {} WHERE chunk = 17",
                                       "UPDATE chunks SET first_index = {} WHERE chunk = 0",
                                       "UPDATE chunks SET frame_count = {} WHERE chunk = 39",
                                       "UPDATE chunks SET frame_count = {} WHERE chunk = 17",
                                       "UPDATE chunks SET media_bytes = {}",
                                       "UPDATE chunks SET numbers_ascending = {}",
                                       "UPDATE chunks SET times_ascending = {}",
                                       "UPDATE chunks SET time_max = {}",
                                       "UPDATE chunks SET number_min = {}",
                                       "UPDATE chunk_groups SET number_max = {}",
                                       "UPDATE chunk_groups SET place = {} WHERE place = 1",
                                       "UPDATE chunk_groups SET level = {} WHERE place = 1",
                                       "UPDATE store SET value = {} WHERE key = 'state'",
                                       "UPDATE sidecars SET bytes = {}",
                                       "UPDATE sidecars SET chunk = {} WHERE chunk = 3",
                                       "INSERT OR REPLACE INTO store (key, value) VALUES ('first_chunk', {})",
                                       "INSERT INTO events (time, kind, frame_index, data) VALUES ({0}, {0}, {0}, {0})",
                                       "INSERT INTO extra_data (frame_index, data) VALUES ({0}, {0})"}) {
                const std::string sql = fmt::format(fmt::runtime(change), value);
                INFO(sql);
                victim.restore();
                sqlite3* database = nullptr;
                REQUIRE(sqlite3_open((victim.path() / "index.sqlite").c_str(), &database) == SQLITE_OK);
                const bool changed = sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK &&
                                     sqlite3_changes(database) > 0;
                sqlite3_close(database);
                // What SQLite itself refuses, nobody can have done.
                if (!changed) continue;
                const Deadline deadline(20);
                const auto error = thrown_by([&] { StoreReader(victim.path()).frame_count(); });
                CHECK_FALSE(error);
                // A frame has the number that its row says, if it is one.
                const std::string text = value;
                const bool whole =
                    text.find_first_of("x'.") == std::string::npos && text.find("e9") == std::string::npos;
                if (whole && sql.starts_with("UPDATE frames SET frame_number")) continue;
                check_all(victim.path(), victim.frames(), Errors::none);
            }
        }
    }
}

TEST_CASE("texts larger or deeper than anything we write") {
    const Victim victim(ascending_frames());
    const std::vector<std::string> changes = {
        "UPDATE store SET value = value || hex(zeroblob(40000000)) WHERE key = 'uuid'",
        "UPDATE store SET value = hex(zeroblob(40000000)) WHERE key = 'state'",
        "INSERT INTO store (key, value) VALUES (hex(zeroblob(40000000)), '')",
        "UPDATE chunks SET stream = hex(zeroblob(40000000)) WHERE chunk = 3",
        "UPDATE chunks SET stream = zeroblob(70000000) WHERE chunk = 3",
        "UPDATE chunks SET stream = '{\"checksum\":1,\"a\":' || replace(hex(zeroblob(10000000)), '0', '[')",
        "UPDATE chunks SET stream = '{\"checksum\":1,\"a\":' || replace(hex(zeroblob(1000000)), '0', '[') || "
        "replace(hex(zeroblob(1000000)), '0', ']') || '}'",
        "UPDATE extra_data SET data = hex(zeroblob(40000000)) WHERE frame_index = 13",
        "UPDATE extra_data SET data = '{\"a\":' || replace(hex(zeroblob(1000000)), '0', '[') || "
        "replace(hex(zeroblob(1000000)), '0', ']') || '}' WHERE frame_index = 13",
        "INSERT INTO events (time, kind, data) VALUES (1, 'repaired', hex(zeroblob(40000000)))",
        "INSERT INTO events (time, kind, data) VALUES (1, 'repaired', '{\"a\":' || replace(hex(zeroblob(1000000)), "
        "'0', '[') || replace(hex(zeroblob(1000000)), '0', ']') || '}')",
        "UPDATE chunks SET state = hex(zeroblob(40000000)) WHERE chunk = 3",
    };
    for (const std::string& change : changes) {
        INFO(change);
        victim.restore();
        run_sql(victim.path(), "PRAGMA ignore_check_constraints = ON;" + change);
        victim.check_useless();
        const Deadline deadline(20);
        CHECK(build_index(victim.path()).frame_count == kFrames);
        check_all(victim.path(), victim.frames(), Errors::none);
    }
}

TEST_CASE("rows and chunks that are missing, doubled or out of order") {
    const std::string again = recreated("chunks",
                                        "chunk INTEGER PRIMARY KEY, first_index INTEGER NOT NULL, frame_count INTEGER "
                                        "NOT NULL, number_min INTEGER, number_max INTEGER, numbers_ascending INTEGER "
                                        "NOT NULL, time_min REAL, time_max REAL, times_ascending INTEGER NOT NULL, "
                                        "state TEXT NOT NULL, media_bytes INTEGER NOT NULL, stream TEXT",
                                        "SELECT * FROM before");
    const std::vector<std::string> changes = {
        "DELETE FROM frames WHERE frame_index = 0",
        "DELETE FROM frames WHERE frame_index = 159",
        "DELETE FROM frames WHERE frame_index = 77",
        "DELETE FROM frames WHERE frame_index BETWEEN 60 AND 90",
        "DELETE FROM frames",
        "INSERT INTO frames SELECT 160, frame_number, frame_time, chunk, NULL, NULL, NULL, NULL, NULL, NULL FROM "
        "frames WHERE frame_index = 159",
        "INSERT INTO frames SELECT -1, frame_number, frame_time, chunk, NULL, NULL, NULL, NULL, NULL, NULL FROM frames "
        "WHERE frame_index = 0",
        "UPDATE frames SET frame_index = frame_index + 1000000",
        "UPDATE frames SET frame_index = frame_index + 1000000 WHERE frame_index >= 80",
        "UPDATE frames SET chunk = 20 WHERE frame_index = 79",
        "UPDATE frames SET chunk = 18 WHERE frame_index BETWEEN 76 AND 79",
        again + "UPDATE chunks SET first_index = 76 WHERE chunk = 20",
        again + "UPDATE chunks SET first_index = 0",
        again + "UPDATE chunks SET first_index = 156 - first_index",
        again + "UPDATE chunks SET first_index = 156 - first_index WHERE chunk IN (5, 34)",
        again + "UPDATE chunks SET first_index = 80 WHERE chunk = 39",
        "UPDATE chunks SET chunk = chunk + 1000 WHERE chunk = 20",
        "UPDATE chunks SET chunk = 100 - chunk",
        "UPDATE chunks SET chunk = chunk + 7",
        "UPDATE chunks SET chunk = chunk * 1000",
        "DELETE FROM chunks WHERE chunk = 0",
        "DELETE FROM chunks WHERE chunk = 20",
        "DELETE FROM chunks WHERE chunk = 39",
        "DELETE FROM chunks",
        "INSERT INTO chunks SELECT 40, 160, 0, NULL, NULL, 1, NULL, NULL, 1, 'closed', 0, NULL",
        "INSERT INTO chunks SELECT 40, 160, 4, 420, 426, 1, 1080, 1081.5, 1, 'closed', 0, NULL",
        "INSERT INTO chunks SELECT -1, -4, 4, 0, 9, 1, 1, 2, 1, 'closed', 0, NULL",
        "UPDATE chunks SET frame_count = 5 WHERE chunk = 20; UPDATE chunks SET first_index = 85, frame_count = 3 WHERE "
        "chunk = 21",
        "UPDATE chunks SET frame_count = 3 WHERE chunk = 20; UPDATE chunks SET first_index = 83, frame_count = 5 WHERE "
        "chunk = 21",
        "UPDATE chunks SET frame_count = 8 WHERE chunk = 20; DELETE FROM chunks WHERE chunk = 21",
        "UPDATE chunks SET frame_count = 3, first_index = 1 WHERE chunk = 0; DELETE FROM frames WHERE frame_index = 0",
        "UPDATE chunks SET frame_count = 3, first_index = 1 WHERE chunk = 0",
        "UPDATE chunks SET frame_count = 3 WHERE chunk = 39",
        "UPDATE chunks SET first_index = first_index + 4; UPDATE frames SET frame_index = frame_index + 4",
        "DELETE FROM chunk_groups",
        "DELETE FROM chunk_groups WHERE level = 1 AND place = 0",
        "DELETE FROM chunk_groups WHERE level = 1 AND place = 1",
        "DELETE FROM chunk_groups WHERE level = 2",
        "DELETE FROM chunk_groups WHERE level = 3",
        "INSERT INTO chunk_groups SELECT level, 7, number_min, number_max, numbers_ascending, time_min, time_max, "
        "times_ascending, parts, checksum FROM chunk_groups WHERE level = 1 AND place = 0",
        "INSERT INTO chunk_groups SELECT level, -1, number_min, number_max, numbers_ascending, time_min, time_max, "
        "times_ascending, parts, checksum FROM chunk_groups WHERE place = 0",
        "UPDATE chunk_groups SET place = 1 - place WHERE level = 1",
        "UPDATE store SET value = 'open' WHERE key = 'state'",
        "UPDATE chunks SET state = 'open' WHERE chunk = 20",
        "DELETE FROM sidecars",
        "UPDATE sidecars SET chunk = -chunk",
        "UPDATE sidecars SET checksum = checksum + 1",
        "INSERT INTO store (key, value) VALUES ('first_chunk', '20')",
    };
    for (const Frames& frames : {ascending_frames(), unordered_frames()}) {
        const Victim victim(frames);
        for (const std::string& change : changes) {
            // SQLite refuses a key that is there twice for a moment.
            if (change.starts_with("UPDATE chunk_groups SET place = 1 - place")) continue;
            // An index that says 'open' may know frames that no sidecar has; it must be right or refuse.
            const bool open = change.find("'open' WHERE key") != std::string::npos;
            INFO(change);
            const Deadline deadline(20);
            victim.restore();
            std::string sql = change;
            // In a way that passes over keys which are there twice meanwhile.
            for (const auto& [table, column] :
                 {std::pair("chunks", "first_index"), {"chunks", "chunk"}, {"frames", "frame_index"}}) {
                const std::string all = fmt::format("UPDATE {} SET {} = {} +", table, column, column);
                if (const size_t at = sql.find(all);
                    at != std::string::npos && sql.find("WHERE", at) == std::string::npos)
                    sql = sql.substr(0, at) +
                          fmt::format("UPDATE {0} SET {1} = -1 - {1}; UPDATE {0} SET {1} = -1 - {1} +", table, column) +
                          sql.substr(at + all.size());
            }
            run_sql(victim.path(), sql);
            check_all(victim.path(), victim.frames(), open ? Errors::corrupt : Errors::none);
            victim.hide_sidecars(true);
            // With nothing else to go by, what is gone from the index is gone; but nothing may be another frame.
            std::unique_ptr<StoreReader> store;
            const auto error = thrown_by([&] { store = std::make_unique<StoreReader>(victim.path()); });
            if (error) CHECK(error->code() == ErrorCode::corrupt);
            for (int64_t i = 0; !error && i < store->frame_count(); ++i) {
                const auto refused = thrown_by([&] {
                    const Frame frame = store->at_index(i);
                    const int number = read_image_number(frame.image).value();
                    if (frame.number != frames.numbers[static_cast<size_t>(number)])
                        FAIL("index " << i << " is " << number << " with number " << frame.number);
                });
                if (refused && refused->code() != ErrorCode::corrupt && refused->code() != ErrorCode::not_found)
                    FAIL(std::string(refused->what()));
            }
            victim.hide_sidecars(false);
        }
    }
}

TEST_CASE("no summary of a chunk can lie") {
    for (const Frames& frames : {ascending_frames(), unordered_frames()}) {
        const Victim victim(frames);
        int changes = 0;
        int noticed = 0;
        for (const int chunk : {0, 20, 31, 32, 39}) {
            for (const char* assignment :
                 {"number_min = number_min - 1",
                  "number_min = number_min + 1",
                  "number_max = number_max - 1",
                  "number_max = number_max + 1",
                  "number_min = number_min - 1000",
                  "number_max = number_max + 1000",
                  "number_min = number_max",
                  "number_max = number_min",
                  "number_min = NULL",
                  "number_max = NULL",
                  "number_min = -9223372036854775808",
                  "number_max = 9223372036854775807",
                  "numbers_ascending = 1 - numbers_ascending",
                  "time_min = time_min - 1",
                  "time_min = time_min + 0.5",
                  "time_max = time_max - 0.5",
                  "time_max = time_max + 1",
                  "time_max = 1e300",
                  "time_min = -1e300",
                  "time_min = NULL",
                  "time_max = NULL",
                  "time_min = NULL, time_max = NULL",
                  "time_max = 9e999",
                  "times_ascending = 1 - times_ascending",
                  "first_index = first_index + 1",
                  "first_index = first_index - 1",
                  "frame_count = frame_count + 1",
                  "frame_count = frame_count - 1",
                  "frame_count = 0",
                  "frame_count = 0, number_min = NULL, number_max = NULL, time_min = NULL, time_max "
                  "= NULL",
                  "first_index = first_index + 1, frame_count = frame_count - 1",
                  "chunk = chunk + 100",
                  "media_bytes = 0",
                  "media_bytes = media_bytes + 1",
                  "stream = '{}'",
                  "state = 'open'"}) {
                const std::string sql = fmt::format("UPDATE chunks SET {} WHERE chunk = {}", assignment, chunk);
                INFO(sql);
                victim.restore();
                if (ask_sql(victim.path(),
                            fmt::format("SELECT COUNT(*) FROM chunks WHERE chunk = {} AND {}", chunk,
                                        sql.find("first_index - 1") != std::string::npos && chunk == 0 ? "0" : "1")) ==
                    0)
                    continue;
                ++changes;
                noticed += victim.check_changed(sql) > 0 ? 1 : 0;
            }
        }
        MESSAGE(changes << " changes, " << noticed << " refused without sidecars");
        CHECK(noticed > 80);
    }
}

namespace {

/// Gives the groups the checksums that fit what they say now.
std::string with_right_checksums(const std::filesystem::path& store) {
    std::string sql;
    const Database database(store / "index.sqlite", Database::Mode::read_only);
    Statement rows = database.prepare(
        "SELECT level, place, number_min, number_max, numbers_ascending, time_min, time_max, times_ascending, parts "
        "FROM chunk_groups");
    while (rows.step()) {
        const std::string text =
            fmt::format("{} {} {} {} {:d} {:a} {:a} {:d} {}", rows.column_int64(0), rows.column_int64(1),
                        rows.column_int64(2), rows.column_int64(3), rows.column_int64(4) != 0, rows.column_double(5),
                        rows.column_double(6), rows.column_int64(7) != 0, static_cast<uint32_t>(rows.column_int64(8)));
        const uint32_t checksum = frame_checksum({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
        sql += fmt::format("UPDATE chunk_groups SET checksum = {} WHERE level = {} AND place = {};", checksum,
                           rows.column_int64(0), rows.column_int64(1));
    }
    return sql;
}

}  // namespace

TEST_CASE("no summary of a group of chunks can lie, not even with a checksum that fits") {
    for (const Frames& frames : {ascending_frames(), unordered_frames()}) {
        const Victim victim(frames);
        {
            // The checksums of this test are those of the format.
            run_sql(victim.path(), with_right_checksums(victim.path()));
            CHECK(StoreReader(victim.path()).has_index());
            CHECK(check_all(victim.path(), victim.frames(), Errors::none) == 0);
        }
        for (const char* where : {"level = 1 AND place = 0", "level = 1 AND place = 1", "level = 2", "level = 3"}) {
            for (const char* assignment : {"number_min = number_min - 1",
                                           "number_min = number_min + 1",
                                           "number_max = number_max - 1",
                                           "number_max = number_max + 1",
                                           "number_min = number_max",
                                           "number_max = number_min",
                                           "number_min = -9223372036854775808",
                                           "number_max = 9223372036854775807",
                                           "numbers_ascending = 1 - numbers_ascending",
                                           "time_min = time_min - 1",
                                           "time_min = time_min + 1",
                                           "time_max = time_max - 1",
                                           "time_max = time_max + 1",
                                           "time_max = 1e300",
                                           "time_max = NULL",
                                           "time_min = NULL, time_max = NULL",
                                           "times_ascending = 1 - times_ascending",
                                           "place = place + 1000",
                                           "place = -5",
                                           "level = 4",
                                           "level = 0",
                                           "parts = parts + 1"}) {
                for (const bool checksummed : {false, true}) {
                    const std::string sql = fmt::format("UPDATE chunk_groups SET {} WHERE {}", assignment, where);
                    INFO(std::string(sql + (checksummed ? " with checksums" : "")));
                    const Deadline deadline(20);
                    victim.restore();
                    run_sql(victim.path(), sql);
                    if (checksummed) run_sql(victim.path(), with_right_checksums(victim.path()));
                    check_all(victim.path(), victim.frames(), Errors::none);
                    victim.hide_sidecars(true);
                    check_all(victim.path(), victim.frames(), Errors::corrupt);
                    victim.hide_sidecars(false);
                }
            }
        }
    }
}

namespace {

std::vector<uint8_t> read_pages(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_pages(const std::filesystem::path& path, const std::vector<uint8_t>& bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void put_big_endian(uint8_t* at, uint32_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i, value >>= 8) at[i] = static_cast<uint8_t>(value);
}

/// A page of a table's tree that has the same child over and over.
void make_interior(uint8_t* page, size_t page_size, uint32_t child) {
    constexpr size_t kHeader = 12;
    constexpr size_t kCell = 5;
    const size_t count = (page_size - kHeader) / (kCell + 2);
    std::fill(page, page + page_size, uint8_t{0});
    page[0] = 5;
    put_big_endian(page + 3, static_cast<uint32_t>(count), 2);
    put_big_endian(page + 5, static_cast<uint32_t>(page_size - count * kCell), 2);
    put_big_endian(page + 8, child, 4);
    for (size_t i = 0; i < count; ++i) {
        const size_t cell = page_size - (i + 1) * kCell;
        put_big_endian(page + kHeader + 2 * i, static_cast<uint32_t>(cell), 2);
        put_big_endian(page + cell, child, 4);
        page[cell + 4] = static_cast<uint8_t>(std::min<size_t>(i + 1, 127));
    }
}

}  // namespace

TEST_CASE("a file whose pages refer to each other again and again comes to an end") {
    const Victim victim(ascending_frames());
    const std::filesystem::path path = victim.path() / "index.sqlite";
    for (const char* table : {"events", "frames", "chunks", "store", "chunk_groups", "sidecars", "hidden_packets",
                              "extra_data", "sqlite_master"}) {
        INFO(std::string(table));
        victim.restore();
        // Free pages to build with.
        run_sql(victim.path(), "CREATE TABLE filler (x); INSERT INTO filler VALUES (zeroblob(100000))");
        if (std::string(table) == "events") {
            run_sql(victim.path(), "INSERT INTO events (event_id, time, kind, data) VALUES (1, 2.5, 'x', '{}')");
        }
        const auto page_size = static_cast<size_t>(ask_sql(victim.path(), "PRAGMA page_size"));
        const auto pages = static_cast<uint32_t>(ask_sql(victim.path(), "PRAGMA page_count"));
        const bool schema = std::string(table) == "sqlite_master";
        const uint32_t root =
            schema
                ? 1
                : static_cast<uint32_t>(ask_sql(victim.path(), fmt::format("SELECT rootpage FROM sqlite_master WHERE "
                                                                           "name = '{}'",
                                                                           table)));
        std::vector<uint8_t> bytes = read_pages(path);
        const auto page = [&](uint32_t number) { return bytes.data() + (number - 1) * page_size; };
        // root -> a -> b -> c -> leaf, some hundred times each.
        const uint32_t leaf = pages;
        std::copy_n(page(root), page_size, page(leaf));
        if (schema) {
            page(1)[100 + 3] = 0;  // an empty schema is refused too
            page(1)[100 + 4] = 0;
        } else {
            for (uint32_t level = 1; level <= 3; ++level)
                make_interior(page(leaf - level), page_size, leaf - level + 1);
            make_interior(page(root), page_size, leaf - 3);
        }
        write_pages(path, bytes);
        victim.check_useless();
        victim.hide_sidecars(true);
        {
            const Deadline deadline(20);
            const auto error = thrown_by([&] {
                StoreReader store(victim.path());
                for (int64_t i = 0; i < store.frame_count(); ++i) {
                    if (read_image_number(store.at_index(i).image) != i) FAIL("wrong frame " << i);
                }
                store.visit_events([](const EventRow&) { return true; });
                store.event_count();
                store.media_bytes();
                store.chunks();
            });
            if (error) CHECK(error->code() == ErrorCode::corrupt);
        }
        victim.hide_sidecars(false);
        const Deadline deadline(30);
        CHECK(build_index(victim.path()).frame_count == kFrames);
        check_all(victim.path(), victim.frames(), Errors::none);
    }
}

TEST_CASE("a header that claims other pages, and a file cut off anywhere") {
    const Victim victim(unordered_frames());
    const std::filesystem::path path = victim.path() / "index.sqlite";
    const std::vector<uint8_t> sound = read_pages(path);
    for (const uint32_t claim : {0U, 1U, 3U, 0x7fffffffU, 0xfffffffeU}) {
        std::vector<uint8_t> bytes = sound;
        put_big_endian(bytes.data() + 28, claim, 4);
        write_pages(path, bytes);
        victim.check_useless();
    }
    for (const size_t size : {size_t{1}, size_t{100}, size_t{512}, size_t{4096}, size_t{8191}, sound.size() / 2,
                              sound.size() - 4096, sound.size() - 1}) {
        write_pages(path, std::vector<uint8_t>(sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(size)));
        INFO(size);
        const Deadline deadline(20);
        // Zeros for a checksum at the end of the last page make an error of its frame.
        check_all(victim.path(), victim.frames(), Errors::corrupt);
    }
    std::mt19937 random(9);
    for (int round = 0; round < (kSanitized ? 10 : 60); ++round) {
        std::vector<uint8_t> bytes = sound;
        for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
        write_pages(path, bytes);
        const Deadline deadline(20);
        // A changed byte in a row of frames changes a frame's number; a crash or a hang it may not be.
        thrown_by([&] {
            StoreReader store(victim.path());
            for (int64_t i = 0; i < store.frame_count(); ++i) {
                thrown_by([&] { store.row(i); });
                thrown_by([&] { store.find_number(i, Match::nearest); });
            }
        });
    }
}
