#include "base/sqlite.h"

#include <cmath>
#include <fstream>
#include <limits>

#include <sqlite3.h>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/file_system.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

using Mode = Database::Mode;

/// A database made without any of the defences.
void make_with_sqlite(const std::filesystem::path& path, const char* sql) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
    CHECK(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
}

}  // namespace

TEST_CASE("sqlite: values of every kind survive, and NaN becomes NULL") {
    Database database("messages only", Mode::memory);
    database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    Statement insert = database.prepare("INSERT INTO t(v) VALUES (?1)");
    insert.bind(1, std::numeric_limits<int64_t>::min()).run();
    insert.bind(1, 0.1).run();
    insert.bind(1, std::nan("")).run();
    insert.bind(1, std::string_view("a\0b", 3)).run();
    insert.bind(1, std::string_view()).run();
    insert.bind(1, 7).run();

    Statement select = database.prepare("SELECT v FROM t ORDER BY id");
    REQUIRE(select.step());
    CHECK(select.column_int64(0) == std::numeric_limits<int64_t>::min());
    REQUIRE(select.step());
    CHECK(select.column_double(0) == 0.1);
    REQUIRE(select.step());
    CHECK(select.is_null(0));
    CHECK(std::isnan(select.column_double(0)));
    CHECK(select.column_text(0).empty());
    REQUIRE(select.step());
    CHECK(select.column_text(0) == std::string("a\0b", 3));
    REQUIRE(select.step());
    CHECK_FALSE(select.is_null(0));
    CHECK(select.column_text(0).empty());
    REQUIRE(select.step());
    CHECK_FALSE(select.step());
    select.reset();
    CHECK(select.step());

    CHECK(database.query_int64("SELECT count(*) FROM t") == 6);
    CHECK_FALSE(database.query_int64("SELECT v FROM t WHERE id = 3"));
    CHECK_FALSE(database.query_int64("SELECT v FROM t WHERE id = 99"));
    CHECK(database.query_text("SELECT 'x' || 'y'") == "xy");
}

TEST_CASE("sqlite: a statement can be moved, and used again after an error") {
    Database database("memory", Mode::memory);
    database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    Statement first = database.prepare("INSERT INTO t VALUES (?1)");
    Statement insert = std::move(first);
    insert.bind(1, 5).run();
    insert.reset();
    CHECK(error_of([&] { insert.bind(1, 5).run(); }) == ErrorCode::internal);
    insert.reset();
    insert.bind(1, 6).run();
    Statement other = database.prepare("SELECT 1");
    other = std::move(insert);
    other.bind(1, 7).run();
    CHECK(database.query_int64("SELECT count(*) FROM t") == 3);
    CHECK(error_of([&] { other.bind(2, 1); }) == ErrorCode::internal);
}

TEST_CASE("sqlite: modes and whether the file must exist") {
    TemporaryFolder folder;
    auto path = folder / "a.sqlite";
    CHECK(error_of([&] { Database(path, Mode::read_only); }) == ErrorCode::not_found);
    CHECK(error_of([&] { Database(path, Mode::read_write); }) == ErrorCode::not_found);
    CHECK(error_of([&] { Database(path, Mode::immutable); }) == ErrorCode::not_found);
    CHECK(error_of([&] { Database(folder.path(), Mode::read_only); }) == ErrorCode::io);
    CHECK(error_of([&] { Database("", Mode::read_only); }) == ErrorCode::not_found);
    CHECK_FALSE(std::filesystem::exists(path));
    {
        Database database(path, Mode::create);
        database.execute("CREATE TABLE t(v); INSERT INTO t VALUES (42)");
        CHECK(database.path() == path.string());
    }
    CHECK(error_of([&] { Database(path, Mode::create); }) == ErrorCode::already_exists);
    for (Mode mode : {Mode::read_only, Mode::immutable}) {
        Database database(path, mode);
        CHECK(database.query_int64("SELECT v FROM t") == 42);
        CHECK(error_of([&] { database.execute("INSERT INTO t VALUES (1)"); }) == ErrorCode::io);
    }
    Database(path, Mode::read_write).execute("UPDATE t SET v = 43");
    CHECK(Database(path, Mode::read_only).query_int64("SELECT v FROM t") == 43);
}

TEST_CASE("sqlite: names that mean something to SQLite are plain files here") {
    TemporaryFolder folder;
    auto previous = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());
    for (const char* name : {":memory:", "file:x?mode=memory", "a b%20#c?d.sqlite", "\xc3\xa9'\"&=.sqlite"}) {
        CAPTURE(name);
        Database(name, Mode::create).execute("CREATE TABLE t(v); INSERT INTO t VALUES (42)");
        CHECK(std::filesystem::exists(folder / name));
        CHECK(Database(name, Mode::immutable).query_int64("SELECT v FROM t") == 42);
        CHECK(Database(folder / name, Mode::immutable).query_int64("SELECT v FROM t") == 42);
        CHECK(Database(name, Mode::read_only).query_int64("SELECT v FROM t") == 42);
    }
    std::filesystem::current_path(previous);
}

TEST_CASE("sqlite: what is no database is corrupt when it is opened") {
    TemporaryFolder folder;
    std::string garbage(10000, 'x');
    write_new_file(folder / "garbage", garbage.data(), garbage.size());
    for (Mode mode : {Mode::read_only, Mode::read_write, Mode::immutable}) {
        CHECK(error_of([&] { Database(folder / "garbage", mode); }) == ErrorCode::corrupt);
    }
}

TEST_CASE("sqlite: a cut off or changed database is an Error at most") {
    TemporaryFolder folder;
    {
        Database database(folder / "whole", Mode::create);
        database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
        Statement insert = database.prepare("INSERT INTO t(v) VALUES (?1)");
        for (int i = 0; i < 300; ++i) insert.bind(1, std::string(40, char('a' + i % 26))).run();
    }
    auto whole = read_file(folder / "whole", 1 << 20);
    auto try_all = [&](const std::vector<uint8_t>& bytes) {
        write_file_atomically(folder / "damaged", bytes.data(), bytes.size());
        return error_of([&] {
            Database database(folder / "damaged", Mode::read_only);
            database.query_int64("SELECT sum(length(v)) FROM t");
            // Half a page reads as a page with zeros, which only this check notices.
            if (database.query_text("PRAGMA integrity_check") != "ok") throw Error(ErrorCode::corrupt, "not intact");
        });
    };
    CHECK_FALSE(try_all(whole));
    for (size_t size = 1; size < whole.size(); size += 997) {
        CAPTURE(size);
        CHECK(try_all({whole.begin(), whole.begin() + std::ptrdiff_t(size)}) == ErrorCode::corrupt);
    }
    for (size_t i = 0; i < 200; ++i) {
        std::vector<uint8_t> changed = whole;
        changed[i * 37 % whole.size()] ^= 0xff;
        try_all(changed);
    }
}

TEST_CASE("sqlite: views, triggers and schema tricks of a foreign database do nothing") {
    TemporaryFolder folder;
    make_with_sqlite(folder / "a",
                     "CREATE TABLE t(v); CREATE TABLE log(v); CREATE VIEW w AS SELECT v FROM t;"
                     "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.v); END");
    Database database(folder / "a", Mode::read_write);
    CHECK(error_of([&] { database.prepare("SELECT * FROM w"); }) == ErrorCode::corrupt);
    database.execute("INSERT INTO t VALUES (1)");
    CHECK(database.query_int64("SELECT count(*) FROM log") == 0);
    auto other = (folder / "b").string();
    CHECK(error_of([&] { database.execute("ATTACH '" + other + "' AS b"); }));
    CHECK(error_of([&] { database.execute("SELECT load_extension('x')"); }));
    CHECK(error_of([&] { database.execute("PRAGMA writable_schema=ON; DELETE FROM sqlite_schema"); }));
    CHECK(error_of([&] { database.query_int64("SELECT length(zeroblob(100000000))"); }) == ErrorCode::corrupt);
    CHECK_FALSE(std::filesystem::exists(other));
}

TEST_CASE("sqlite: errors name the file and say what SQLite says") {
    TemporaryFolder folder;
    Database database(folder / "a", Mode::create);
    try {
        database.prepare("SELECT v FROM missing");
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::corrupt);
        CHECK(error.place().path == (folder / "a").string());
        CHECK(error.message() == "cannot prepare a statement: no such table: missing");
    }
    for (const char* sql : {"", " ", "-- nothing", "SELECT 1; SELECT 2"}) {
        CHECK(error_of([&] { database.prepare(sql); }) == ErrorCode::internal);
    }
    database.execute("PRAGMA max_page_count=2; CREATE TABLE t(v)");
    CHECK(error_of([&] { database.execute("INSERT INTO t VALUES (zeroblob(100000))"); }) == ErrorCode::no_space);
}

TEST_CASE("sqlite: a transaction not committed is rolled back") {
    TemporaryFolder folder;
    Database database(folder / "a", Mode::create);
    database.execute("CREATE TABLE t(v)");
    {
        Transaction transaction(database);
        database.execute("INSERT INTO t VALUES (1)");
    }
    CHECK(database.query_int64("SELECT count(*) FROM t") == 0);
    {
        Transaction transaction(database);
        database.execute("INSERT INTO t VALUES (1)");
        transaction.commit();
    }
    CHECK(database.query_int64("SELECT count(*) FROM t") == 1);
}

TEST_CASE("sqlite: a second writer waits and is then told that the database is locked") {
    TemporaryFolder folder;
    Database first(folder / "a", Mode::create);
    first.execute("CREATE TABLE t(v)");
    Database second(folder / "a", Mode::read_write);
    second.execute("PRAGMA busy_timeout=10");
    Transaction transaction(first);
    CHECK(error_of([&] { Transaction another(second); }) == ErrorCode::locked);
}

}  // namespace reelstore
