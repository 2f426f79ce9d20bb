#include "store/store_lock.h"

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <utility>

#include "base/json.h"
#include "store/layout.h"
#include "tests/forwarding_file_system.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

/// A file system that knows no locks.
class UnlockableFileSystem : public ForwardingFileSystem {
public:
    std::unique_ptr<FileLock> try_lock(const std::filesystem::path& path, std::string_view) override {
        throw Error(ErrorCode::unsupported, {path.string(), {}, {}}, "no locks here");
    }
    bool is_locked(const std::filesystem::path& path) override {
        throw Error(ErrorCode::unsupported, {path.string(), {}, {}}, "no locks here");
    }
};

Json read_holder(const std::filesystem::path& folder) {
    return Json::parse(read_text_file(StoreLayout::lock(folder), 4096));
}

void write_holder(const std::filesystem::path& folder, const Json& holder) {
    std::ofstream(StoreLayout::lock(folder)) << holder.dump();
}

}  // namespace

TEST_CASE("the lock names its holder, keeps others out and goes with it") {
    const TemporaryFolder folder;
    {
        const StoreLock lock(folder.path());
        CHECK(StoreLock::held(folder.path()));
        CHECK(read_holder(folder.path()).at("pid") == getpid());
        CHECK(error_of([&] { StoreLock(folder.path()); }) == ErrorCode::locked);
    }
    CHECK_FALSE(StoreLock::held(folder.path()));
    CHECK_FALSE(std::filesystem::exists(StoreLayout::lock(folder.path())));
}

TEST_CASE("a forked child neither holds nor removes its parent's lock") {
    const TemporaryFolder folder;
    auto lock = std::make_unique<StoreLock>(folder.path());
    const pid_t child = fork();
    if (child == 0) {
        lock.reset();
        _exit(0);
    }
    int status = 1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(std::filesystem::exists(StoreLayout::lock(folder.path())));
    CHECK(StoreLock::held(folder.path()));
}

TEST_CASE("where there are no locks the text decides") {
    const TemporaryFolder folder;
    UnlockableFileSystem unlockable;
    const FileSystemOverride in_place(unlockable);
    Json holder;
    {
        const StoreLock lock(folder.path());
        holder = read_holder(folder.path());
        CHECK(StoreLock::held(folder.path()));
        CHECK(error_of([&] { StoreLock(folder.path()); }) == ErrorCode::locked);
    }
    CHECK_FALSE(StoreLock::held(folder.path()));

    // A process of this machine that has ended.
    const pid_t child = fork();
    if (child == 0) _exit(0);
    int status = 1;
    REQUIRE(waitpid(child, &status, 0) == child);
    holder["pid"] = child;
    write_holder(folder.path(), holder);
    CHECK_FALSE(StoreLock::held(folder.path()));
    CHECK_FALSE(error_of([&] { StoreLock(folder.path()); }));

    holder["host"] = "another-machine";
    write_holder(folder.path(), holder);
    std::string message;
    CHECK(error_of([&] { StoreLock(folder.path()); }, &message) == ErrorCode::locked);
    CHECK(message.find("another-machine") != std::string::npos);
    CHECK(message.find("remove .lock") != std::string::npos);

    for (const char* text : {"", "no JSON", "[]", "{\"pid\": \"x\"}"}) {
        std::ofstream(StoreLayout::lock(folder.path())) << text;
        CHECK_FALSE(error_of([&] { StoreLock(folder.path()); }));
    }
}

namespace {

/// Lets another writer act at a certain moment of ours.
class MeddlingFileSystem : public UnlockableFileSystem {
public:
    std::function<void()> before_create;
    std::function<void()> after_create;
    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
        if (mode == OpenMode::create_exclusive && before_create) std::exchange(before_create, nullptr)();
        auto file = ForwardingFileSystem::open(path, mode);
        if (mode == OpenMode::create_exclusive && after_create) std::exchange(after_create, nullptr)();
        return file;
    }
};

}  // namespace

TEST_CASE("where there are no locks, of two writers that find the same stale file one wins") {
    const TemporaryFolder folder;
    MeddlingFileSystem meddling;
    const FileSystemOverride in_place(meddling);
    const auto rival = [&] { write_holder(folder.path(), {{"pid", 1}, {"host", "rival"}, {"start", "now"}}); };
    const auto rival_has_it = [&] { return read_holder(folder.path()).at("host") == "rival"; };
    for (const bool created_first : {true, false}) {
        CAPTURE(created_first);
        write_holder(folder.path(), "stale");
        (created_first ? meddling.before_create : meddling.after_create) = [&] {
            // Having taken ours for the stale one, in the second case.
            std::filesystem::remove(StoreLayout::lock(folder.path()));
            rival();
        };
        CHECK(error_of([&] { StoreLock(folder.path()); }) == ErrorCode::locked);
        CHECK(rival_has_it());
        std::filesystem::remove(StoreLayout::lock(folder.path()));
    }
    {
        const StoreLock lock(folder.path());
        rival();
    }
    CHECK(rival_has_it());
}
