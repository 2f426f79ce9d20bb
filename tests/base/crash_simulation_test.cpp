#include "tests/crash_simulation.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <thread>

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

const CrashPlan kThorough = {.seed = 3, .states_per_barrier = 20, .random_cuts = 100, .states_per_random_cut = 3};

/// What a file holds; nothing when it is not there.
std::optional<std::string> content(const fs::path& path) {
    if (!fs::exists(path)) return std::nullopt;
    return read_text_file(path, 1 << 20);
}

/// Every content that a file has in some state.
std::set<std::optional<std::string>> contents(const CrashTrace& trace, const std::string& name,
                                              const CrashPlan& plan = kThorough) {
    std::set<std::optional<std::string>> found;
    trace.visit(plan, [&](const CrashState& state) {
        found.insert(content(state.folder / name));
        return true;
    });
    return found;
}

/// Descriptions of the states that `wrong` finds wrong, at most three of them.
std::string violations(const CrashTrace& trace, const CrashPlan& plan,
                       const std::function<std::string(const CrashState&)>& wrong) {
    std::string found;
    int count = 0;
    trace.visit(plan, [&](const CrashState& state) {
        const std::string what = wrong(state);
        if (!what.empty()) {
            found += what + ": " + state.description + "\n";
            ++count;
        }
        return count < 3;
    });
    return found;
}

CrashTrace without(const CrashTrace& trace, const std::string& sync_class) {
    return trace.without_sync([&](const std::string& other) { return other == sync_class; });
}

/// Rows 1.. that a database must hold without a gap, as many as the marks say at least.
std::string wrong_rows(const CrashState& state, const std::string& name, int64_t most) {
    try {
        if (!fs::exists(state.folder / name) || fs::file_size(state.folder / name) == 0) {
            return state.marks.empty() ? "" : "no database";
        }
        const Database database(state.folder / name, Database::Mode::read_write);
        if (database.query_text("PRAGMA integrity_check") != "ok") return "not intact";
        if (!database.query_int64("SELECT count(*) FROM sqlite_schema WHERE name = 't'").value_or(0)) {
            return state.marks.empty() ? "" : "no table";
        }
        const int64_t rows = database.query_int64("SELECT count(*) FROM t").value_or(-1);
        const int64_t last = database.query_int64("SELECT max(id) FROM t").value_or(0);
        if (rows != last) return "a gap in the rows";
        if (database.query_int64("SELECT count(*) FROM t WHERE length(v) != 300 + id") != 0) return "wrong values";
        const int64_t promised = state.marks.empty() ? 0 : std::stoll(state.marks.back());
        if (rows < promised) return std::to_string(rows) + " rows of " + std::to_string(promised);
        if (rows > most) return "more rows than were written";
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

void make_table(const Database& database) {
    database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
}

void add_rows(const Database& database, CrashSimulation& simulation, int64_t first, int64_t count) {
    for (int64_t id = first; id < first + count; ++id) {
        Transaction transaction(database);
        Statement insert = database.prepare("INSERT INTO t(id, v) VALUES (?1, ?2)");
        insert.bind(1, id).bind(2, std::string(static_cast<size_t>(300 + id), 'v')).run();
        transaction.commit();
        simulation.mark(std::to_string(id));
    }
}

/// Rows 1..12 in a database of the given settings.
CrashTrace record_rows(const fs::path& folder, const std::string& settings) {
    CrashSimulation simulation(folder);
    {
        const FileSystemOverride override(simulation);
        const Database database(folder / "a.sqlite", Database::Mode::create);
        database.execute(settings);
        make_table(database);
        add_rows(database, simulation, 1, 12);
    }
    CHECK(simulation.trace().differences_from(folder).empty());
    return simulation.trace();
}

}  // namespace

TEST_CASE("crash_simulation: writes that are not synced are there, missing or torn, in any subset") {
    const TemporaryFolder folder;
    CrashSimulation simulation(folder.path());
    {
        const FileSystemOverride override(simulation);
        auto file = file_system().open(folder / "a", OpenMode::create_exclusive);
        file->write_at("base", 4, 0);
        file->sync();
        file_system().sync_folder(folder.path());
        simulation.mark("durable");
        file->write_at("B", 1, 0);
        file->write_at("E", 1, 3);
        file->close();
    }
    CHECK(simulation.trace().differences_from(folder.path()).empty());
    std::set<std::optional<std::string>> after;
    std::set<std::optional<std::string>> before;
    const int64_t count = simulation.trace().visit(kThorough, [&](const CrashState& state) {
        (state.marks.empty() ? before : after).insert(content(state.folder / "a"));
        return true;
    });
    CHECK(after == std::set<std::optional<std::string>>{"base", "Base", "basE", "BasE"});
    CHECK(before.count(std::nullopt));
    CHECK(before.count(""));
    CHECK(before.count("base"));
    CHECK(before.count(std::string(4, '\0')));
    CHECK(before.size() == 4);
    // States alike are shown once.
    CHECK(count <= 12);
}

TEST_CASE("crash_simulation: a write is torn at sectors only, and each sector is old or new") {
    const TemporaryFolder folder;
    write_new_file(folder / "a", std::string(2000, 'o').data(), 2000);
    CrashSimulation simulation(folder.path());
    const auto file = simulation.open(folder / "a", OpenMode::read_write);
    file->write_at(std::string(1500, 'n').data(), 1500, 300);
    const auto found = contents(simulation.trace(), "a", {.random_cuts = 3000});
    CHECK(found.size() == 16);
    for (const auto& text : found) {
        REQUIRE(text);
        REQUIRE(text->size() == 2000);
        std::set<size_t> changes;
        for (size_t i = 1; i < 2000; ++i) {
            if ((*text)[i] != (*text)[i - 1]) changes.insert(i);
        }
        for (const size_t change : changes) CHECK((change % 512 == 0 || change == 300 || change == 1800));
    }
}

TEST_CASE("crash_simulation: sizes that are not synced may be old or new") {
    const TemporaryFolder folder;
    write_new_file(folder / "a", "0123456789", 10);
    CrashSimulation simulation(folder.path());
    const auto file = simulation.open(folder / "a", OpenMode::read_write);
    file->truncate(4);
    CHECK(contents(simulation.trace(), "a") == std::set<std::optional<std::string>>{"0123456789", "0123"});
    file->sync();
    simulation.mark("synced");
    file->allocate(6);
    file->allocate(2);
    std::set<std::optional<std::string>> found;
    simulation.trace().visit(kThorough, [&](const CrashState& state) {
        if (!state.marks.empty()) found.insert(content(state.folder / "a"));
        return true;
    });
    CHECK(found == std::set<std::optional<std::string>>{"0123", std::string("0123\0\0", 6)});
}

TEST_CASE("crash_simulation: space that is only reserved costs nothing") {
    const TemporaryFolder folder;
    CrashSimulation simulation(folder.path());
    const auto file = simulation.open(folder / "a", OpenMode::create_exclusive);
    file->truncate(uint64_t{1} << 40);
    std::set<uint64_t> sizes;
    simulation.trace().visit(kThorough, [&](const CrashState& state) {
        if (fs::exists(state.folder / "a")) sizes.insert(fs::file_size(state.folder / "a"));
        return true;
    });
    CHECK(sizes == std::set<uint64_t>{0, uint64_t{1} << 40});
}

TEST_CASE("crash_simulation: what was written while a sync ran is not made durable by it") {
    class SlowFileSystem final : public ForwardingFileSystem {
    public:
        class SlowFile final : public ForwardingFile {
        public:
            SlowFile(SlowFileSystem& system, std::unique_ptr<File> real)
                : ForwardingFile(std::move(real)), system_(system) {}
            void sync() override { system_.while_syncing(); }

        private:
            SlowFileSystem& system_;
        };
        std::unique_ptr<File> open(const fs::path& path, OpenMode mode) override {
            return std::make_unique<SlowFile>(*this, ForwardingFileSystem::open(path, mode));
        }
        std::function<void()> while_syncing;
    };
    const TemporaryFolder folder;
    write_new_file(folder / "a", "...", 3);
    SlowFileSystem slow;
    CrashSimulation simulation(folder.path(), slow);
    const auto file = simulation.open(folder / "a", OpenMode::read_write);
    file->write_at("1", 1, 0);
    slow.while_syncing = [&] { file->write_at("2", 1, 1); };
    file->sync();
    simulation.mark("synced");
    std::set<std::optional<std::string>> found;
    simulation.trace().visit(kThorough, [&](const CrashState& state) {
        if (!state.marks.empty()) found.insert(content(state.folder / "a"));
        return true;
    });
    CHECK(found == std::set<std::optional<std::string>>{"1..", "12."});
}

TEST_CASE("crash_simulation: names come in their order, with or without what is in the files") {
    const TemporaryFolder folder;
    CrashSimulation simulation(folder.path());
    for (const char* name : {"a", "b", "c"}) simulation.open(folder / name, OpenMode::create_exclusive);
    simulation.rename(folder / "a", folder / "d");
    simulation.remove(folder / "b");
    auto names = [&](bool any_order) {
        CrashPlan plan = kThorough;
        plan.names_in_any_order = any_order;
        std::set<std::string> found;
        simulation.trace().visit(plan, [&](const CrashState& state) {
            std::string all;
            for (const std::string& name : file_system().list(state.folder)) all += name;
            found.insert(all);
            return true;
        });
        return found;
    };
    CHECK(names(false) == std::set<std::string>{"", "a", "ab", "abc", "bcd", "cd"});
    const std::set<std::string> any = names(true);
    for (const char* some : {"", "b", "c", "bd", "cd", "abc", "d"}) {
        CAPTURE(some);
        CHECK(any.count(some));
    }
    // A rename is atomic.
    for (const std::string& some : any) CHECK_FALSE((some.find('a') != some.npos && some.find('d') != some.npos));
}

TEST_CASE("crash_simulation: a folder that is not durable takes its files with it") {
    const TemporaryFolder folder;
    CrashSimulation simulation(folder.path());
    {
        const FileSystemOverride override(simulation);
        file_system().create_folder(folder / "sub");
        auto file = file_system().open(folder / "sub/a", OpenMode::create_exclusive);
        file->write_at("x", 1, 0);
        file->sync();
        file_system().sync_folder(folder / "sub");
        simulation.mark("file");
        file_system().sync_folder(folder.path());
        simulation.mark("folder");
    }
    const CrashTrace trace = simulation.trace();
    CHECK(trace.sync_classes() == std::vector<std::string>{"folder: .", "folder: sub", "sub/a"});
    std::map<std::string, std::set<std::optional<std::string>>> found;
    trace.visit(kThorough, [&](const CrashState& state) {
        found[state.marks.empty() ? "" : state.marks.back()].insert(content(state.folder / "sub/a"));
        return true;
    });
    CHECK(found["file"] == std::set<std::optional<std::string>>{std::nullopt, "x"});
    CHECK(found["folder"] == std::set<std::optional<std::string>>{"x"});
    for (const std::string& sync_class : trace.sync_classes()) {
        CAPTURE(sync_class);
        bool lost = false;
        without(trace, sync_class).visit(kThorough, [&](const CrashState& state) {
            lost = lost || (state.marks.size() == 2 && content(state.folder / "sub/a") != "x");
            return true;
        });
        CHECK(lost);
    }
}

TEST_CASE("crash_simulation: syncs are told apart by what is synced, not by its number") {
    const TemporaryFolder folder;
    CrashSimulation simulation(folder.path());
    const FileSystemOverride override(simulation);
    for (const char* chunk : {"000001", "000002"}) {
        file_system().create_folder(folder / chunk);
        for (const char* name : {"000000.mp4", "000017.mp4", "index2.npz"}) {
            write_file_atomically(folder / chunk / name, "x");
        }
    }
    file_system().sync_folder(folder.path());
    CHECK(simulation.trace().sync_classes() ==
          std::vector<std::string>{"N/N.mp4.tmp", "N/index2.npz.tmp", "folder: .", "folder: N"});
}

TEST_CASE("crash_simulation: a rename between folders happens in both or in none") {
    const TemporaryFolder folder;
    fs::create_directory(folder / "from");
    fs::create_directory(folder / "to");
    write_new_file(folder / "from/a", "x", 1);
    CrashSimulation simulation(folder.path());
    simulation.open(folder / "to/new", OpenMode::create_exclusive);
    simulation.rename(folder / "from/a", folder / "to/a");
    simulation.sync_folder(folder / "from");
    simulation.mark("renamed");
    std::set<bool> moved;
    simulation.trace().visit(kThorough, [&](const CrashState& state) {
        const bool there = fs::exists(state.folder / "to/a");
        CHECK(there != fs::exists(state.folder / "from/a"));
        if (there) CHECK(fs::exists(state.folder / "to/new"));
        if (!state.marks.empty()) CHECK(there);
        moved.insert(there);
        return true;
    });
    CHECK(moved.size() == 2);
}

TEST_CASE("crash_simulation: what a failed sync should have kept is never certain again") {
    const TemporaryFolder folder;
    write_new_file(folder / "a", "...", 3);
    FaultFileSystem faults({.nth = 2});
    CrashSimulation simulation(folder.path(), faults);
    const auto file = simulation.open(folder / "a", OpenMode::read_write);
    file->write_at("1", 1, 0);
    CHECK(error_of([&] { file->sync(); }) == ErrorCode::io);
    file->write_at("2", 1, 1);
    file->sync();
    simulation.mark("synced");
    std::set<std::optional<std::string>> found;
    simulation.trace().visit(kThorough, [&](const CrashState& state) {
        if (!state.marks.empty()) found.insert(content(state.folder / "a"));
        return true;
    });
    CHECK(found == std::set<std::optional<std::string>>{".2.", "12."});
}

TEST_CASE("crash_simulation: a short write counts with what it has written") {
    const TemporaryFolder folder;
    FaultFileSystem faults({.nth = 2, .short_write = true});
    CrashSimulation simulation(folder.path(), faults);
    const auto file = simulation.open(folder / "a", OpenMode::create_exclusive);
    CHECK(error_of([&] { file->write_at("0123456789", 10, 0); }) == ErrorCode::io);
    CHECK(simulation.trace().differences_from(folder.path()).empty());
    CHECK(contents(simulation.trace(), "a").count("01234"));
}

TEST_CASE("crash_simulation: what is done past the seam is noticed") {
    const TemporaryFolder folder;
    write_new_file(folder / "before", "x", 1);
    CrashSimulation simulation(folder.path());
    CHECK(simulation.trace().differences_from(folder.path()).empty());
    write_new_file(folder / "past", "x", 1);
    CHECK(simulation.trace().differences_from(folder.path()) ==
          std::vector<std::string>{"past: is there, but nobody made it"});
    fs::remove(folder / "past");
    fs::resize_file(folder / "before", 0);
    CHECK(simulation.trace().differences_from(folder.path()) ==
          std::vector<std::string>{"before: has another content"});
    fs::remove(folder / "before");
    CHECK(simulation.trace().differences_from(folder.path()) == std::vector<std::string>{"before: is not there"});
    write_new_file(folder / "past", "x", 1);
    CHECK_THROWS_AS(simulation.open(folder / "past", OpenMode::read_write), std::logic_error);
}

TEST_CASE("crash_simulation: a lock file is recorded with its text, and other folders are left alone") {
    const TemporaryFolder folder;
    const TemporaryFolder other;
    CrashSimulation simulation(folder.path());
    {
        const auto lock = simulation.try_lock(folder / ".lock", "holder");
        CHECK_FALSE(simulation.try_lock(folder / ".lock", "second"));
        CHECK(simulation.trace().differences_from(folder.path()).empty());
    }
    const int64_t before = simulation.trace().size();
    const FileSystemOverride override(simulation);
    write_file_atomically(other / "a", "text");
    CHECK(simulation.trace().size() == before);
    // The same folder by another name.
    fs::create_directory_symlink(folder.path(), other / "link");
    write_file_atomically(other / "link/a", "text");
    CHECK(simulation.trace().differences_from(folder.path()).empty());
}

TEST_CASE("crash_simulation: the same plan makes the same states, another seed others") {
    const TemporaryFolder folder;
    const CrashTrace trace = record_rows(folder.path(), "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    auto digest = [&](uint64_t seed, bool any_order) {
        std::string all;
        CrashPlan plan{.seed = seed, .states_per_barrier = 3, .random_cuts = 20, .names_in_any_order = any_order};
        const int64_t count = trace.visit(plan, [&](const CrashState& state) {
            for (const std::string& name : file_system().list(state.folder)) {
                all += name + std::to_string(std::hash<std::string>()(*content(state.folder / name)));
            }
            return true;
        });
        CHECK(count > 50);
        return all;
    };
    CHECK(digest(1, false) == digest(1, false));
    CHECK(digest(1, true) == digest(1, true));
    CHECK(digest(1, false) != digest(2, false));
}

TEST_CASE("crash_simulation: an atomically written file is old or new in every state, and needs each of its syncs") {
    const TemporaryFolder folder;
    const std::string old_text(3000, 'o');
    const std::string new_text(5000, 'n');
    write_new_file(folder / "a", old_text.data(), old_text.size());
    CrashSimulation simulation(folder.path());
    {
        const FileSystemOverride override(simulation);
        write_file_atomically(folder / "a", new_text);
        simulation.mark("written");
    }
    const CrashTrace trace = simulation.trace();
    CHECK(trace.sync_classes() == std::vector<std::string>{"a.tmp", "folder: ."});
    auto wrong = [&](const CrashState& state) -> std::string {
        const auto text = content(state.folder / "a");
        if (text == new_text || (text == old_text && state.marks.empty())) return "";
        return text == old_text ? "still the old" : "neither old nor new";
    };
    for (const bool any_order : {false, true}) {
        CrashPlan plan = kThorough;
        plan.names_in_any_order = any_order;
        CHECK(violations(trace, plan, wrong) == "");
    }
    const CrashPlan small;
    CHECK(violations(without(trace, "a.tmp"), small, wrong) != "");
    CHECK(violations(without(trace, "folder: ."), small, wrong) != "");
}

TEST_CASE("crash_simulation: a write-ahead log with full syncs keeps every committed row") {
    const TemporaryFolder folder;
    const CrashTrace trace = record_rows(folder.path(), "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    auto wrong = [](const CrashState& state) { return wrong_rows(state, "a.sqlite", 12); };
    const auto classes = trace.sync_classes();
    CHECK(std::count(classes.begin(), classes.end(), "a.sqlite-wal") == 1);
    CHECK(std::count(classes.begin(), classes.end(), "folder: .") == 1);
    CHECK(violations(trace, kThorough, wrong) == "");
    CHECK(violations(without(trace, "a.sqlite-wal"), kThorough, wrong) != "");
    CHECK(violations(without(trace, "folder: ."), kThorough, wrong) != "");
}

TEST_CASE("crash_simulation: a write-ahead log that starts again keeps every committed row") {
    const TemporaryFolder folder;
    const CrashTrace trace = record_rows(
        folder.path(), "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4;");
    auto wrong = [](const CrashState& state) { return wrong_rows(state, "a.sqlite", 12); };
    CHECK(violations(trace, kThorough, wrong) == "");
    // The pages must be down before the log is written over.
    CHECK(violations(without(trace, "a.sqlite"), kThorough, wrong) != "");
}

TEST_CASE("crash_simulation: without full syncs rows are lost") {
    const TemporaryFolder folder;
    auto wrong = [](const CrashState& state) { return wrong_rows(state, "a.sqlite", 12); };
    fs::create_directory(folder / "off");
    const CrashTrace off = record_rows(folder / "off", "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;");
    CHECK(violations(off, kThorough, wrong) != "");
    fs::create_directory(folder / "normal");
    const CrashTrace normal = record_rows(folder / "normal", "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    CHECK(violations(normal, kThorough, wrong) != "");
}

TEST_CASE("crash_simulation: a rollback journal keeps every committed row") {
    const TemporaryFolder folder;
    const CrashTrace trace = record_rows(folder.path(), "PRAGMA synchronous = EXTRA;");
    auto wrong = [](const CrashState& state) { return wrong_rows(state, "a.sqlite", 12); };
    const auto classes = trace.sync_classes();
    CHECK(std::count(classes.begin(), classes.end(), "a.sqlite-journal") == 1);
    CHECK(violations(trace, kThorough, wrong) == "");
    for (const char* sync_class : {"a.sqlite-journal", "a.sqlite", "folder: ."}) {
        CAPTURE(sync_class);
        CHECK(violations(without(trace, sync_class), kThorough, wrong) != "");
    }
    // FULL is not enough: it leaves the removal of the journal, which is the commit, to chance.
    for (const char* settings : {"PRAGMA synchronous = OFF;", "PRAGMA synchronous = FULL;"}) {
        CAPTURE(settings);
        const TemporaryFolder other;
        CHECK(violations(record_rows(other.path(), settings), kThorough, wrong) != "");
    }
}

TEST_CASE("crash_simulation: a database leaves its write-ahead log without losing a row") {
    const TemporaryFolder folder;
    CrashSimulation simulation(folder.path());
    {
        const FileSystemOverride override(simulation);
        const Database database(folder / "a.sqlite", Database::Mode::create);
        make_table(database);
        database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
        add_rows(database, simulation, 1, 8);
        database.execute(
            "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE; "
            "PRAGMA synchronous = EXTRA;");
        CHECK_FALSE(fs::exists(folder / "a.sqlite-wal"));
        add_rows(database, simulation, 9, 4);
        database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
        add_rows(database, simulation, 13, 4);
    }
    CHECK(simulation.trace().differences_from(folder.path()).empty());
    auto wrong = [](const CrashState& state) { return wrong_rows(state, "a.sqlite", 16); };
    const CrashTrace trace = simulation.trace();
    CHECK(violations(trace, kThorough, wrong) == "");
    CHECK(violations(without(trace, "a.sqlite"), kThorough, wrong) != "");
}

TEST_SUITE("threads") {
    TEST_CASE("crash_simulation: a trace of several threads is whole") {
        const TemporaryFolder folder;
        CrashSimulation simulation(folder.path());
        std::vector<std::thread> threads;
        for (int thread = 0; thread < 3; ++thread) {
            threads.emplace_back([&, thread] {
                for (int i = 0; i < 10; ++i) {
                    const auto path = folder / (std::to_string(thread) + "-" + std::to_string(i));
                    const auto file = simulation.open(path, OpenMode::create_exclusive);
                    file->write_at(std::string(5000, 'x').data(), 5000, 0);
                    file->sync();
                    simulation.sync_folder(folder.path());
                    simulation.mark(path.filename().string());
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        const CrashTrace trace = simulation.trace();
        CHECK(trace.differences_from(folder.path()).empty());
        bool whole = true;
        const CrashPlan plan{.states_per_barrier = 10, .random_cuts = 1000};
        CHECK(trace.visit(plan, [&](const CrashState& state) {
            for (const std::string& name : state.marks) {
                whole = whole && fs::file_size(state.folder / name) == 5000;
            }
            return whole;
        }) > 300);
        CHECK(whole);
    }
}

}  // namespace reelstore
