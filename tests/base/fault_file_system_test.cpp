#include "tests/fault_file_system.h"

#include <thread>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/file_system.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

using Repeat = FaultPlan::Repeat;

/// Six operations that change something, and three that do not.
void write_two_files(const std::filesystem::path& folder) {
    auto file = file_system().open(folder / "a", OpenMode::create_exclusive);
    file->write_at("0123456789", 10, 0);
    file->sync();
    CHECK(file->size() == 10);
    file->close();
    file->close();
    CHECK(file_system().open(folder / "a", OpenMode::read)->size() == 10);
    file_system().rename(folder / "a", folder / "b");
    file_system().sync_folder(folder);
}

}  // namespace

TEST_CASE("fault_file_system: every operation that changes something is counted and can fail") {
    const TemporaryFolder first;
    FaultFileSystem none;
    {
        const FileSystemOverride override(none);
        write_two_files(first.path());
    }
    std::vector<OperationKind> kinds;
    for (const FileOperation& operation : none.operations()) kinds.push_back(operation.kind);
    CHECK(kinds == std::vector{OperationKind::create, OperationKind::write, OperationKind::sync, OperationKind::close,
                               OperationKind::rename, OperationKind::sync_folder});
    CHECK(none.failed() == 0);
    CHECK(none.describe(5) == "operation 5 of 6: rename of " + (first / "a").string());

    for (int64_t nth = 1; nth <= none.count(); ++nth) {
        CAPTURE(nth);
        const TemporaryFolder folder;
        FaultFileSystem faults({.nth = nth, .error_number = nth % 2 == 0 ? ENOSPC : EIO});
        const FileSystemOverride override(faults);
        CHECK(error_of([&] { write_two_files(folder.path()); }) ==
              (nth % 2 == 0 ? ErrorCode::no_space : ErrorCode::io));
        CHECK(faults.count() == nth);
        CHECK(faults.failed() == 1);
    }
    const TemporaryFolder folder;
    FaultFileSystem beyond({.nth = none.count() + 1});
    const FileSystemOverride override(beyond);
    write_two_files(folder.path());
    CHECK(beyond.failed() == 0);
}

TEST_CASE("fault_file_system: folders, sizes and removal are counted, looking and failing by themselves too") {
    const TemporaryFolder folder;
    FaultFileSystem faults;
    faults.create_folder(folder / "sub");
    auto file = faults.open(folder / "sub/a", OpenMode::create_exclusive);
    file->allocate(1000);
    file->truncate(10);
    file.reset();
    auto again = faults.open(folder / "sub/a", OpenMode::read_write);
    again->close();
    faults.remove(folder / "sub/a");
    CHECK(error_of([&] { faults.remove(folder / "sub/a"); }) == ErrorCode::not_found);
    faults.status(folder / "sub");
    faults.list(folder / "sub");
    std::vector<OperationKind> kinds;
    for (const FileOperation& operation : faults.operations()) kinds.push_back(operation.kind);
    CHECK(kinds == std::vector{OperationKind::create_folder, OperationKind::create, OperationKind::allocate,
                               OperationKind::truncate, OperationKind::close, OperationKind::remove,
                               OperationKind::remove});
    CHECK(faults.failed() == 0);
}

TEST_CASE("fault_file_system: once, for ever, and for ever of the kind") {
    for (const Repeat repeat : {Repeat::once, Repeat::for_ever, Repeat::for_ever_of_the_kind}) {
        const TemporaryFolder folder;
        FaultFileSystem faults({.nth = 3, .repeat = repeat});
        auto file = faults.open(folder / "a", OpenMode::create_exclusive);
        std::vector<bool> failed;
        auto note = [&](auto action) { failed.push_back(error_of(action) == ErrorCode::io); };
        note([&] { file->sync(); });
        note([&] { file->write_at("x", 1, 0); });
        note([&] { file->sync(); });
        note([&] { file->write_at("x", 1, 0); });
        const bool always = repeat == Repeat::for_ever;
        const bool writes = repeat != Repeat::once;
        CHECK(failed == std::vector{false, true, always, writes});
        CHECK(faults.failed() == 1 + always + writes);
    }
}

TEST_CASE("fault_file_system: only what is counted fails, and a new plan counts anew") {
    const TemporaryFolder folder;
    FaultFileSystem faults({.nth = 1, .repeat = Repeat::for_ever, .counted = [](const FileOperation& operation) {
                                return operation.kind == OperationKind::sync && operation.path.extension() == ".b";
                            }});
    auto a = faults.open(folder / "x.a", OpenMode::create_exclusive);
    auto b = faults.open(folder / "x.b", OpenMode::create_exclusive);
    a->sync();
    b->write_at("x", 1, 0);
    CHECK(error_of([&] { b->sync(); }) == ErrorCode::io);
    CHECK(faults.count() == 1);
    faults.set_plan({.nth = 2});
    b->sync();
    CHECK(error_of([&] { a->sync(); }) == ErrorCode::io);
    b->sync();
}

TEST_CASE("fault_file_system: a short write leaves half, a plain one nothing") {
    const TemporaryFolder folder;
    for (const bool short_write : {false, true}) {
        FaultFileSystem faults({.nth = 2, .error_number = ENOSPC, .short_write = short_write});
        const auto path = folder / (short_write ? "short" : "plain");
        auto file = faults.open(path, OpenMode::create_exclusive);
        CHECK(error_of([&] { file->write_at("0123456789", 10, 0); }) == ErrorCode::no_space);
        CHECK(read_text_file(path, 100) == (short_write ? "01234" : ""));
        file->write_at("abc", 3, 1);
        CHECK(read_text_file(path, 100) == (short_write ? "0abc4" : std::string("\0abc", 4)));
    }
}

TEST_CASE("fault_file_system: a full disk takes what fits, and space comes back") {
    const TemporaryFolder folder;
    write_new_file(folder / "old", "0123456789", 10);
    FaultFileSystem faults;
    faults.set_free_bytes(20);
    auto file = faults.open(folder / "a", OpenMode::create_exclusive);
    file->write_at("0123456789abcde", 15, 0);
    file->write_at("0123456789", 10, 5);  // in place
    CHECK(faults.free_bytes() == 5);
    CHECK(error_of([&] { file->write_at("0123456789", 10, 15); }) == ErrorCode::no_space);
    CHECK(file->size() == 20);
    CHECK(faults.free_bytes() == 0);
    CHECK(error_of([&] { file->allocate(21); }) == ErrorCode::no_space);
    CHECK(error_of([&] { file->truncate(21); }) == ErrorCode::no_space);
    file->truncate(12);
    CHECK(faults.free_bytes() == 8);
    file->allocate(18);
    CHECK(faults.free_bytes() == 2);
    faults.remove(folder / "old");
    CHECK(faults.free_bytes() == 12);
    auto other = faults.open(folder / "b", OpenMode::create_exclusive);
    CHECK(error_of([&] { other->allocate(13); }) == ErrorCode::no_space);
    CHECK(faults.free_bytes() == 12);
    other->write_at("0123456789ab", 12, 0);
    CHECK(faults.free_bytes() == 0);
    faults.rename(folder / "b", folder / "a");
    CHECK(faults.free_bytes() == 18);
    CHECK(faults.failed() == 4);
    faults.set_free_bytes(std::nullopt);
    other->write_at(std::string(100, 'x').data(), 100, 0);
}

TEST_SUITE("threads") {
    TEST_CASE("fault_file_system: exactly one of many operations on many threads fails") {
        const TemporaryFolder folder;
        FaultFileSystem faults({.nth = 100});
        faults.set_free_bytes(100000);
        std::atomic<int> failed = 0;
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&, i] {
                auto file = faults.open(folder / std::to_string(i), OpenMode::create_exclusive);
                for (uint64_t place = 0; place < 100; ++place) {
                    try {
                        file->write_at("x", 1, place);
                    } catch (const Error&) {
                        ++failed;
                    }
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        CHECK(failed == 1);
        CHECK(faults.failed() == 1);
        CHECK(faults.count() == 404);
        uint64_t bytes = 0;
        for (int i = 0; i < 4; ++i) bytes += std::filesystem::file_size(folder / std::to_string(i));
        CHECK(faults.free_bytes() == 100000 - bytes);
    }
}

}  // namespace reelstore
