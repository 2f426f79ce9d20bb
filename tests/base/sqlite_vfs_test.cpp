#include "base/sqlite_vfs.h"

#include <algorithm>
#include <fstream>
#include <map>

#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/sqlite.h"
#include "tests/fault_file_system.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

using Mode = Database::Mode;
using Repeat = FaultPlan::Repeat;

constexpr const char* kWal = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 5;";
constexpr const char* kJournal = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA;";

void make_table(const fs::path& path) {
    Database(path, Mode::create).execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
}

void add_row(const Database& database, int64_t id) {
    Transaction transaction(database);
    Statement insert = database.prepare("INSERT INTO t(id, v) VALUES (?1, ?2)");
    insert.bind(1, id).bind(2, std::string(1000, 'v')).run();
    transaction.commit();
}

/// Adds rows 1..10, each in a transaction of its own; tells which commits have returned.
std::vector<int64_t> add_ten_rows(const fs::path& path, const char* settings, std::vector<Error>& errors) {
    std::vector<int64_t> committed;
    try {
        const Database database(path, Mode::read_write);
        database.execute(settings);
        for (int64_t id = 1; id <= 10; ++id) {
            try {
                add_row(database, id);
                committed.push_back(id);
            } catch (const Error& error) {
                errors.push_back(error);
            }
        }
    } catch (const Error& error) {
        errors.push_back(error);
    }
    return committed;
}

std::map<std::string, int> operations_by_file(const FaultFileSystem& faults) {
    std::map<std::string, int> counts;
    for (const FileOperation& operation : faults.operations()) {
        ++counts[std::string(to_string(operation.kind)) + " " + operation.path.filename().string()];
    }
    return counts;
}

}  // namespace

TEST_CASE("sqlite_vfs: every change of a database, its journal and its log passes the file system") {
    const TemporaryFolder folder;
    FaultFileSystem faults;
    const FileSystemOverride override(faults);
    make_table(folder / "a.sqlite");
    auto counts = operations_by_file(faults);
    CHECK(counts["create a.sqlite"] == 2);  // by us, and adopted while empty
    CHECK(counts["create a.sqlite-journal"] == 1);
    CHECK(counts["write a.sqlite-journal"] > 0);
    CHECK(counts["sync a.sqlite-journal"] > 0);
    CHECK(counts["sync_folder " + folder.path().filename().string()] == 1);
    CHECK(counts["write a.sqlite"] > 0);
    CHECK(counts["sync a.sqlite"] > 0);
    CHECK(counts["remove a.sqlite-journal"] == 1);

    faults.set_plan({});
    {
        const Database database(folder / "a.sqlite", Mode::read_write);
        database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
        faults.set_plan({});
        add_row(database, 1);
        add_row(database, 2);
        counts = operations_by_file(faults);
        CHECK(counts["sync a.sqlite-wal"] == 3);  // the header of the log, and two commits
        CHECK(counts["sync_folder " + folder.path().filename().string()] == 1);
        CHECK(counts["write a.sqlite"] == 0);
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)");
        CHECK(file_system().status(folder / "a.sqlite-wal").size == 0);
    }
    counts = operations_by_file(faults);
    CHECK(counts["write a.sqlite"] > 0);
    CHECK(counts["sync a.sqlite"] == 1);
    CHECK(counts["truncate a.sqlite-wal"] == 1);
    CHECK(counts["remove a.sqlite-wal"] == 1);
    CHECK(file_system().list(folder.path()) == std::vector<std::string>{"a.sqlite"});

    Database(folder / "a.sqlite", Mode::read_write).execute("PRAGMA journal_mode = DELETE");
    faults.set_plan({});
    for (const Mode mode : {Mode::read_only, Mode::immutable}) {
        CHECK(Database(folder / "a.sqlite", mode).query_int64("SELECT count(*) FROM t") == 2);
    }
    CHECK(faults.count() == 0);
}

TEST_CASE("sqlite_vfs: what SQLite reads comes from the file system, and its errors are told") {
    class UnreadableFileSystem final : public ForwardingFileSystem {
    public:
        class UnreadableFile final : public ForwardingFile {
        public:
            using ForwardingFile::ForwardingFile;
            size_t read_at(void*, size_t, uint64_t) override { throw system_error(EIO, "the disk", "read"); }
        };
        std::unique_ptr<File> adopt(const fs::path& path, std::unique_ptr<File> file) override {
            return std::make_unique<UnreadableFile>(ForwardingFileSystem::adopt(path, std::move(file)));
        }
    };
    const TemporaryFolder folder;
    make_table(folder / "a.sqlite");
    UnreadableFileSystem unreadable;
    const FileSystemOverride override(unreadable);
    const Error error = expected_error([&] { Database(folder / "a.sqlite", Mode::read_only); });
    CHECK(error.code() == ErrorCode::io);
    CHECK(error.place().path == (folder / "a.sqlite").string());
    CHECK(error.message().find("disk I/O error (the disk: cannot read: Input/output error)") != std::string::npos);
}

TEST_CASE("sqlite_vfs: an error quotes the cause of its own call only") {
    const TemporaryFolder folder;
    make_table(folder / "a.sqlite");
    FaultFileSystem faults;
    const FileSystemOverride override(faults);
    const Database database(folder / "a.sqlite", Mode::read_write);
    database.execute(kWal);
    add_row(database, 1);
    faults.set_plan({.nth = 1, .counted = [](auto& operation) { return operation.kind == OperationKind::sync; }});
    std::string message;
    CHECK(error_of([&] { add_row(database, 2); }, &message) == ErrorCode::io);
    CHECK(message.find("a.sqlite-wal: cannot sync: Input/output error)") != std::string::npos);
    CHECK(error_of([&] { database.execute("SELECT * FROM none"); }, &message) == ErrorCode::corrupt);
    CHECK(message.find("sync") == std::string::npos);
    database.execute("PRAGMA max_page_count=2");
    CHECK(error_of([&] { database.execute("INSERT INTO t(v) VALUES (zeroblob(100000))"); }, &message) ==
          ErrorCode::no_space);
    CHECK(message.find("sync") == std::string::npos);
}

TEST_CASE("sqlite_vfs: any failing operation is an Error of the right kind, and no committed row is lost") {
    UnsyncedFileSystem unsynced;
    const FileSystemOverride fast(unsynced);
    int64_t cases = 0;
    for (const char* settings : {kWal, kJournal}) {
        FaultFileSystem none;
        {
            const TemporaryFolder folder;
            make_table(folder / "a.sqlite");
            const FileSystemOverride override(none);
            std::vector<Error> errors;
            CHECK(add_ten_rows(folder / "a.sqlite", settings, errors).size() == 10);
        }
        REQUIRE(none.count() > 30);
        for (const Repeat repeat : {Repeat::once, Repeat::for_ever, Repeat::for_ever_of_the_kind}) {
            for (const bool short_write : {false, true}) {
                for (int64_t nth = 1; nth <= none.count(); ++nth) {
                    const TemporaryFolder folder;
                    const auto path = folder / "a.sqlite";
                    make_table(path);
                    const int error_number = nth % 2 == 0 ? ENOSPC : EIO;
                    FaultFileSystem faults(
                        {.nth = nth, .error_number = error_number, .short_write = short_write, .repeat = repeat});
                    std::vector<Error> errors;
                    std::vector<int64_t> committed;
                    {
                        const FileSystemOverride override(faults);
                        committed = add_ten_rows(path, settings, errors);
                    }
                    CAPTURE(settings);
                    CAPTURE(faults.describe(nth));
                    CAPTURE(static_cast<int>(repeat));
                    REQUIRE(faults.failed() > 0);
                    for (const Error& error : errors) {
                        CAPTURE(error.what());
                        const bool right = error.code() == ErrorCode::io || error.code() == ErrorCode::no_space;
                        CHECK(right);
                    }
                    if (!errors.empty()) {
                        CHECK(errors.front().code() == (error_number == ENOSPC ? ErrorCode::no_space : ErrorCode::io));
                    }
                    const Database database(path, Mode::read_write);
                    CHECK(database.query_text("PRAGMA integrity_check") == "ok");
                    for (const int64_t id : committed) {
                        CHECK(database.query_int64("SELECT length(v) FROM t WHERE id = " + std::to_string(id)) == 1000);
                    }
                    // A commit that failed may be there all the same, but nothing else.
                    const int64_t rows = database.query_int64("SELECT count(*) FROM t").value_or(-1);
                    CHECK(rows <= static_cast<int64_t>(committed.size() + errors.size()));
                    if (errors.empty()) CHECK(committed.size() == 10);
                    ++cases;
                }
            }
        }
    }
    CHECK(cases > 500);
}

TEST_CASE("sqlite_vfs: a full disk is no_space, and the rows before it stay") {
    UnsyncedFileSystem unsynced;
    const FileSystemOverride fast(unsynced);
    for (const char* settings : {kWal, kJournal}) {
        for (uint64_t free = 0; free < 60000; free += 1777) {
            const TemporaryFolder folder;
            const auto path = folder / "a.sqlite";
            make_table(path);
            FaultFileSystem faults;
            faults.set_free_bytes(free);
            std::vector<Error> errors;
            std::vector<int64_t> committed;
            {
                const FileSystemOverride override(faults);
                committed = add_ten_rows(path, settings, errors);
            }
            CAPTURE(settings);
            CAPTURE(free);
            for (const Error& error : errors) CHECK(error.code() == ErrorCode::no_space);
            CHECK(committed.size() + errors.size() >= 1);
            const Database database(path, Mode::read_write);
            CHECK(database.query_text("PRAGMA integrity_check") == "ok");
            CHECK(database.query_int64("SELECT count(*) FROM t") >= static_cast<int64_t>(committed.size()));
        }
    }
}

TEST_CASE("sqlite_vfs: a failing adoption leaves no lock and no open file") {
    const TemporaryFolder folder;
    make_table(folder / "a.sqlite");
    class RefusingFileSystem final : public ForwardingFileSystem {
    public:
        std::unique_ptr<File> adopt(const fs::path& path, std::unique_ptr<File> /*file*/) override {
            throw system_error(EIO, path.string(), "open");
        }
    };
    const auto descriptors = [] { return file_system().list("/proc/self/fd").size(); };
    const size_t before = descriptors();
    {
        RefusingFileSystem refusing;
        const FileSystemOverride override(refusing);
        for (int i = 0; i < 3; ++i) {
            CHECK(error_of([&] { Database(folder / "a.sqlite", Mode::read_write); }) == ErrorCode::io);
        }
    }
    CHECK(descriptors() == before);
    const Database database(folder / "a.sqlite", Mode::read_write);
    add_row(database, 1);
}

TEST_CASE("sqlite_vfs: locks hold between processes and between connections") {
    const TemporaryFolder folder;
    const auto path = folder / "a.sqlite";
    make_table(path);
    for (const char* settings : {kJournal, kWal}) {
        CAPTURE(settings);
        const Database first(path, Mode::read_write);
        first.execute(settings);
        Transaction transaction(first);
        const auto try_to_write = [&] {
            return error_of([&] {
                const Database second(path, Mode::read_write);
                second.execute("PRAGMA busy_timeout = 10");
                Transaction another(second);
            });
        };
        CHECK(try_to_write() == ErrorCode::locked);
        const pid_t child = ::fork();
        if (child == 0) ::_exit(try_to_write() == ErrorCode::locked ? 0 : 1);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
}

TEST_CASE("sqlite_vfs: a log is shared with SQLite's own access to files") {
    const TemporaryFolder folder;
    const auto path = folder / "a.sqlite";
    make_table(path);
    const Database database(path, Mode::read_write);
    database.execute(kWal);
    add_row(database, 1);
    sqlite3* other = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &other) == SQLITE_OK);
    CHECK(sqlite3_exec(other, "INSERT INTO t(id, v) VALUES (2, 'x')", nullptr, nullptr, nullptr) == SQLITE_OK);
    CHECK(database.query_int64("SELECT count(*) FROM t") == 2);
    add_row(database, 3);
    int64_t rows = 0;
    sqlite3_exec(
        other, "SELECT count(*) FROM t",
        [](void* result, int, char** values, char**) {
            *static_cast<int64_t*>(result) = std::stoll(values[0]);
            return 0;
        },
        &rows, nullptr);
    CHECK(rows == 3);
    sqlite3_close(other);
}

TEST_CASE("sqlite_vfs: the file is never mapped, so that nothing is written past the file system") {
    const TemporaryFolder folder;
    make_table(folder / "a.sqlite");
    const Database database(folder / "a.sqlite", Mode::read_write);
    database.execute("PRAGMA mmap_size = 1000000");
    CHECK(database.query_int64("PRAGMA mmap_size").value_or(0) == 0);
    database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
        "INSERT INTO t(v) SELECT hex(zeroblob(500)) FROM n");
    CHECK(database.query_int64("SELECT sum(length(v)) FROM t") == 100000);
    std::ifstream maps("/proc/self/maps");
    const std::string all{std::istreambuf_iterator<char>(maps), {}};
    CHECK(all.find((folder / "a.sqlite").string()) == std::string::npos);
}

TEST_CASE("sqlite_vfs: large sorts use temporary files, which are none of ours") {
    const TemporaryFolder folder;
    make_table(folder / "a.sqlite");
    FaultFileSystem faults;
    const FileSystemOverride override(faults);
    const Database database(folder / "a.sqlite", Mode::read_write);
    database.execute("PRAGMA temp_store = FILE; PRAGMA cache_size = 10; CREATE TEMP TABLE s(v TEXT)");
    faults.set_plan({});
    database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
        "INSERT INTO s SELECT hex(randomblob(100)) FROM n");
    CHECK(database.query_int64("SELECT count(*) FROM (SELECT v FROM s ORDER BY v)") == 20000);
    CHECK(faults.count() == 0);
}

}  // namespace reelstore
