#include "base/file_system.h"

#include <cerrno>
#include <fstream>
#include <iterator>

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "base/error.h"
#include "tests/forwarding_file_system.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace {

/// What flock() fails with; 0: it is the system's.
int flock_error = 0;

}  // namespace

/// In the place of the C library's: no file system without locks is at hand.
extern "C" int flock(int descriptor, int operation) noexcept {
    if (flock_error == 0) return static_cast<int>(::syscall(SYS_flock, descriptor, operation));
    errno = flock_error;
    return -1;
}

namespace reelstore {

namespace {

std::string content(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// Records the calls it passes on, and fails at one of them.
class RecordingFileSystem final : public ForwardingFileSystem {
public:
    std::vector<std::string> calls;
    std::string fail_at;

    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override;
    void rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
        note("rename");
        ForwardingFileSystem::rename(from, to);
    }
    void remove(const std::filesystem::path& path) override {
        note("remove");
        ForwardingFileSystem::remove(path);
    }
    void sync_folder(const std::filesystem::path& folder) override {
        note("sync_folder");
        ForwardingFileSystem::sync_folder(folder);
    }

    void note(const std::string& call) {
        calls.push_back(call);
        if (call == fail_at) throw system_error(ENOSPC, "test", call);
    }
};

class RecordingFile final : public ForwardingFile {
public:
    RecordingFile(RecordingFileSystem& system, std::unique_ptr<File> real)
        : ForwardingFile(std::move(real)), system_(system) {}
    void write_at(const void* data, size_t size, uint64_t offset) override {
        system_.note("write");
        ForwardingFile::write_at(data, size, offset);
    }
    void sync() override {
        system_.note("sync");
        ForwardingFile::sync();
    }
    void close() override {
        system_.note("close");
        ForwardingFile::close();
    }

private:
    RecordingFileSystem& system_;
};

std::unique_ptr<File> RecordingFileSystem::open(const std::filesystem::path& path, OpenMode mode) {
    note("open");
    return std::make_unique<RecordingFile>(*this, ForwardingFileSystem::open(path, mode));
}

}  // namespace

TEST_CASE("file_system: files are created exclusively, written and read at positions") {
    TemporaryFolder folder;
    auto file = file_system().open(folder / "a", OpenMode::create_exclusive);
    file->write_at("world", 5, 6);
    file->write_at("hello ", 6, 0);
    CHECK(file->size() == 11);
    file->sync();
    char buffer[32] = {};
    CHECK(file->read_at(buffer, sizeof buffer, 6) == 5);
    CHECK(std::string(buffer) == "world");
    CHECK(file->read_at(buffer, sizeof buffer, 100) == 0);
    file->close();
    file->close();
    CHECK(error_of([&] { file->write_at("x", 1, 0); }) == ErrorCode::io);

    CHECK(error_of([&] { file_system().open(folder / "a", OpenMode::create_exclusive); }) == ErrorCode::already_exists);
    CHECK(error_of([&] { file_system().open(folder / "b", OpenMode::read); }) == ErrorCode::not_found);
    CHECK(error_of([&] { file_system().open(folder / "b", OpenMode::read_write); }) == ErrorCode::not_found);
    auto reader = file_system().open(folder / "a", OpenMode::read);
    CHECK(error_of([&] { reader->write_at("x", 1, 0); }) == ErrorCode::io);
}

TEST_CASE("file_system: truncate cuts off and lengthens with zeros") {
    TemporaryFolder folder;
    auto file = file_system().open(folder / "a", OpenMode::create_exclusive);
    file->write_at("hello world", 11, 0);
    file->truncate(5);
    CHECK(content(folder / "a") == "hello");
    file->truncate(8);
    CHECK(content(folder / "a") == std::string("hello\0\0\0", 8));
    file->truncate(0);
    CHECK(file->size() == 0);
    auto reader = file_system().open(folder / "a", OpenMode::read);
    CHECK(error_of([&] { reader->truncate(1); }) == ErrorCode::io);
}

TEST_CASE("file_system: allocate takes disk space and keeps the content") {
    TemporaryFolder folder;
    auto file = file_system().open(folder / "a", OpenMode::create_exclusive);
    file->write_at("abc", 3, 0);
    file->allocate(1 << 20);
    CHECK(file->size() == 1 << 20);
    struct stat status {};
    REQUIRE(::stat((folder / "a").c_str(), &status) == 0);
    CHECK(status.st_blocks * 512 >= 1 << 20);
    CHECK(content(folder / "a") == "abc" + std::string((1 << 20) - 3, '\0'));
    file->allocate(10);
    CHECK(file->size() == 1 << 20);
    auto reader = file_system().open(folder / "a", OpenMode::read);
    CHECK(error_of([&] { reader->allocate(1 << 21); }) == ErrorCode::io);
    CHECK(error_of([&] { file->allocate(uint64_t{1} << 60); }).has_value());
    CHECK(file->size() == 1 << 20);
}

TEST_CASE("file_system: a folder or a pipe is no file, and a pipe does not block") {
    TemporaryFolder folder;
    CHECK(error_of([&] { file_system().open(folder.path(), OpenMode::read); }) == ErrorCode::io);
    REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
    CHECK(error_of([&] { file_system().open(folder / "pipe", OpenMode::read); }) == ErrorCode::io);
    CHECK(file_system().status(folder / "pipe").kind == FileKind::other);
}

TEST_CASE("file_system: a full disk is no_space") {
    auto file = file_system().open("/dev/full", OpenMode::read_write);
    CHECK(error_of([&] { file->write_at("x", 1, 0); }) == ErrorCode::no_space);
}

TEST_CASE("file_system: status, list, rename and remove") {
    TemporaryFolder folder;
    FileSystem& files = file_system();
    files.create_folder(folder / "sub");
    CHECK(error_of([&] { files.create_folder(folder / "sub"); }) == ErrorCode::already_exists);
    CHECK(error_of([&] { files.create_folder(folder / "no/sub"); }) == ErrorCode::not_found);
    for (const char* name : {"b", "B", "a", ".hidden"}) write_new_file(folder / name, "abc", 3);
    CHECK(files.list(folder.path()) == std::vector<std::string>{".hidden", "B", "a", "b", "sub"});
    CHECK(error_of([&] { files.list(folder / "none"); }) == ErrorCode::not_found);

    CHECK(files.status(folder / "a").kind == FileKind::file);
    CHECK(files.status(folder / "a").size == 3);
    CHECK(files.status(folder / "a").modified > 1e9);
    CHECK(files.status(folder / "sub").kind == FileKind::folder);
    CHECK(files.status(folder / "none").kind == FileKind::missing);
    CHECK(files.status(folder / "a/below").kind == FileKind::missing);

    files.rename(folder / "a", folder / "b");
    CHECK(files.status(folder / "a").kind == FileKind::missing);
    CHECK(error_of([&] { files.rename(folder / "none", folder / "b"); }) == ErrorCode::not_found);
    files.remove(folder / "b");
    files.remove(folder / "sub");
    CHECK(error_of([&] { files.remove(folder / "b"); }) == ErrorCode::not_found);
    files.sync_folder(folder.path());
    CHECK(error_of([&] { files.sync_folder(folder / "none"); }) == ErrorCode::not_found);
}

TEST_CASE("file_system: a lock has one holder, carries its text and ends with its object or process") {
    TemporaryFolder folder;
    auto path = folder / ".lock";
    write_new_file(path, "an older and longer text", 24);
    auto lock = file_system().try_lock(path, "holder 1");
    REQUIRE(lock);
    CHECK(content(path) == "holder 1");
    CHECK_FALSE(file_system().try_lock(path, "holder 2"));
    CHECK(content(path) == "holder 1");
    lock.reset();
    CHECK(file_system().try_lock(path, "holder 2"));

    pid_t child = ::fork();
    if (child == 0) ::_exit(file_system().try_lock(path, "child").release() ? 0 : 1);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(file_system().try_lock(path, "after the child"));
    CHECK(error_of([&] { file_system().try_lock(folder / "no/.lock", ""); }) == ErrorCode::not_found);
}

TEST_CASE("file_system: a removed and created again lock file is another lock") {
    TemporaryFolder folder;
    auto path = folder / ".lock";
    auto old = file_system().try_lock(path, "old");
    file_system().remove(path);
    auto current = file_system().try_lock(path, "new");
    REQUIRE(current);
    CHECK_FALSE(file_system().try_lock(path, "third"));
}

TEST_CASE("file_system: a file system without locks is told from a lock that somebody holds") {
    TemporaryFolder folder;
    const auto path = folder / ".lock";
    write_new_file(path, "holder", 6);
    for (const int error_number : {ENOLCK, EOPNOTSUPP, EINVAL, ENOSYS}) {
        flock_error = error_number;
        CHECK(error_of([&] { file_system().try_lock(path, "me"); }) == ErrorCode::unsupported);
        CHECK(error_of([&] { file_system().is_locked(path); }) == ErrorCode::unsupported);
        CHECK(content(path) == "holder");
    }
    flock_error = EIO;
    CHECK(error_of([&] { file_system().try_lock(path, "me"); }) == ErrorCode::io);
    flock_error = EWOULDBLOCK;
    CHECK_FALSE(file_system().try_lock(path, "me"));
    flock_error = 0;
    CHECK(file_system().try_lock(path, "me"));
}

TEST_CASE("file_system: a lock stays with the process that took it, and its forked children do not prolong it") {
    TemporaryFolder folder;
    const auto path = folder / ".lock";
    int to_grandchild[2];
    int from_grandchild[2];
    REQUIRE(::pipe(to_grandchild) == 0);
    REQUIRE(::pipe(from_grandchild) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const auto lock = file_system().try_lock(path, "child");
        if (!lock || ::fork() != 0) ::_exit(lock ? 0 : 1);
        char byte = lock->held() ? 'h' : '.';
        if (::write(from_grandchild[1], &byte, 1) != 1) ::_exit(1);
        ::close(to_grandchild[1]);
        // Lives until the test has ended.
        ::_exit(::read(to_grandchild[0], &byte, 1) == 0 ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    char byte = 0;
    REQUIRE(::read(from_grandchild[0], &byte, 1) == 1);
    CHECK(byte == '.');
    CHECK(file_system().try_lock(path, "after the child"));
    for (const int descriptor : {to_grandchild[0], to_grandchild[1], from_grandchild[0], from_grandchild[1]}) {
        ::close(descriptor);
    }
}

TEST_CASE("file_system: a forked child that ends its copy of a lock neither frees it nor closes a file of its own") {
    TemporaryFolder folder;
    const auto path = folder / ".lock";
    auto other = file_system().try_lock(folder / "other", "");
    auto lock = file_system().try_lock(path, "parent");
    auto third = file_system().try_lock(folder / "third", "");
    other.reset();
    const pid_t child = ::fork();
    if (child == 0) {
        // Gets the number that the lock had.
        auto file = file_system().open(folder / "file", OpenMode::create_exclusive);
        lock.reset();
        third.reset();
        const bool written = !error_of([&] { file->write_at("x", 1, 0); });
        ::_exit(written && !file_system().try_lock(path, "child") ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(lock->held());
    CHECK_FALSE(file_system().try_lock(path, "second"));
    CHECK(content(path) == "parent");
    CHECK_FALSE(file_system().try_lock(folder / "third", "second"));
    CHECK(file_system().try_lock(folder / "other", "second"));
}

TEST_CASE("file_system: reading whole files keeps to the limit") {
    TemporaryFolder folder;
    write_new_file(folder / "a", "abc", 3);
    CHECK(read_file(folder / "a", 3) == std::vector<uint8_t>{'a', 'b', 'c'});
    CHECK(read_text_file(folder / "a", 100) == "abc");
    CHECK(error_of([&] { read_file(folder / "a", 2); }) == ErrorCode::corrupt);
    CHECK(error_of([&] { read_text_file(folder / "b", 2); }) == ErrorCode::not_found);
    CHECK(error_of([&] { write_new_file(folder / "a", "x", 1); }) == ErrorCode::already_exists);
    write_new_file(folder / "empty", nullptr, 0);
    CHECK(read_text_file(folder / "empty", 0).empty());
}

TEST_CASE("file_system: copies are exact and never replace a file") {
    TemporaryFolder folder;
    std::string large(3'000'000, 'x');
    for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7 + i / 1000);
    write_new_file(folder / "a", large.data(), large.size());
    reelstore::copy_file(folder / "a", folder / "b");
    CHECK(content(folder / "b") == large);
    CHECK(error_of([&] { reelstore::copy_file(folder / "a", folder / "b"); }) == ErrorCode::already_exists);
    CHECK(error_of([&] { reelstore::copy_file(folder / "none", folder / "c"); }) == ErrorCode::not_found);
    CHECK_FALSE(std::filesystem::exists(folder / "c"));
}

TEST_CASE("file_system: an atomic write syncs before it renames, and the folder after") {
    TemporaryFolder folder;
    RecordingFileSystem recording;
    FileSystemOverride override(recording);
    write_file_atomically(folder / "a", "first");
    CHECK(recording.calls == std::vector<std::string>{"open", "write", "sync", "close", "rename", "sync_folder"});
    write_file_atomically(folder / "a", "second");
    CHECK(content(folder / "a") == "second");
    CHECK_FALSE(std::filesystem::exists(folder / "a.tmp"));
}

TEST_CASE("file_system: a failed atomic write leaves the old content and no temporary file") {
    TemporaryFolder folder;
    write_file_atomically(folder / "a", "old");
    for (const char* step : {"open", "write", "sync", "close", "rename"}) {
        CAPTURE(step);
        RecordingFileSystem recording;
        recording.fail_at = step;
        FileSystemOverride override(recording);
        CHECK(error_of([&] { write_file_atomically(folder / "a", "new"); }) == ErrorCode::no_space);
        CHECK(content(folder / "a") == "old");
        CHECK_FALSE(std::filesystem::exists(folder / "a.tmp"));
    }
    write_new_file(folder / "a.tmp", "left by a crash", 15);
    write_file_atomically(folder / "a", "new");
    CHECK(content(folder / "a") == "new");
}

TEST_CASE("file_system: a failed new file or copy leaves nothing behind") {
    TemporaryFolder folder;
    write_new_file(folder / "a", "abc", 3);
    RecordingFileSystem recording;
    recording.fail_at = "write";
    FileSystemOverride override(recording);
    CHECK(error_of([&] { write_new_file(folder / "b", "x", 1); }) == ErrorCode::no_space);
    CHECK(error_of([&] { reelstore::copy_file(folder / "a", folder / "c"); }) == ErrorCode::no_space);
    CHECK(file_system().list(folder.path()) == std::vector<std::string>{"a"});
}

TEST_CASE("file_system: a relative name without folder is written beside the others") {
    TemporaryFolder folder;
    auto previous = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());
    write_file_atomically("plain", "text");
    std::filesystem::current_path(previous);
    CHECK(content(folder / "plain") == "text");
}

TEST_CASE("file_system: a mapped file shows later writes and outlives its file") {
    TemporaryFolder folder;
    write_new_file(folder / "a", "abc", 3);
    auto file = file_system().open(folder / "a", OpenMode::read_write);
    // With room to grow into.
    const std::shared_ptr<const uint8_t> bytes = file->map(1 << 20);
    REQUIRE(bytes);
    CHECK(std::string(bytes.get(), bytes.get() + 3) == "abc");
    file->write_at("XYZ", 3, 2);
    CHECK(std::string(bytes.get(), bytes.get() + 5) == "abXYZ");
    file->close();
    file.reset();
    std::filesystem::remove(folder / "a");
    CHECK(std::string(bytes.get(), bytes.get() + 5) == "abXYZ");
}

}  // namespace reelstore
