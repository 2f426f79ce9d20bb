#include "base/file_system.h"

#include <cerrno>
#include <fstream>
#include <iterator>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "base/error.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

std::string content(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// Records the calls it passes on, and fails at one of them.
class RecordingFileSystem final : public FileSystem {
public:
    explicit RecordingFileSystem(FileSystem& real) : real_(real) {}

    std::vector<std::string> calls;
    std::string fail_at;

    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override;
    FileStatus status(const std::filesystem::path& path) override { return real_.status(path); }
    std::vector<std::string> list(const std::filesystem::path& folder) override { return real_.list(folder); }
    void create_folder(const std::filesystem::path& folder) override { real_.create_folder(folder); }
    void rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
        note("rename");
        real_.rename(from, to);
    }
    void remove(const std::filesystem::path& path) override {
        note("remove");
        real_.remove(path);
    }
    void sync_folder(const std::filesystem::path& folder) override {
        note("sync_folder");
        real_.sync_folder(folder);
    }
    std::unique_ptr<FileLock> try_lock(const std::filesystem::path& path, std::string_view text) override {
        return real_.try_lock(path, text);
    }

    void note(const std::string& call) {
        calls.push_back(call);
        if (call == fail_at) throw system_error(ENOSPC, "test", call);
    }

private:
    FileSystem& real_;
};

class RecordingFile final : public File {
public:
    RecordingFile(RecordingFileSystem& system, std::unique_ptr<File> real) : system_(system), real_(std::move(real)) {}
    size_t read_at(void* buffer, size_t size, uint64_t offset) override { return real_->read_at(buffer, size, offset); }
    void write_at(const void* data, size_t size, uint64_t offset) override {
        system_.note("write");
        real_->write_at(data, size, offset);
    }
    uint64_t size() override { return real_->size(); }
    void sync() override {
        system_.note("sync");
        real_->sync();
    }
    void close() override {
        system_.note("close");
        real_->close();
    }

private:
    RecordingFileSystem& system_;
    std::unique_ptr<File> real_;
};

std::unique_ptr<File> RecordingFileSystem::open(const std::filesystem::path& path, OpenMode mode) {
    note("open");
    return std::make_unique<RecordingFile>(*this, real_.open(path, mode));
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
    RecordingFileSystem recording(file_system());
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
        RecordingFileSystem recording(file_system());
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
    RecordingFileSystem recording(file_system());
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

}  // namespace reelstore
