#include "tests/memory_file_system.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/error.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

std::vector<uint8_t> bytes_of(const std::string& text) {
    return {text.begin(), text.end()};
}

/// What a file system answers to the same questions, errors by their code.
std::vector<std::string> answers(FileSystem& files, const std::filesystem::path& root) {
    std::vector<std::string> all;
    const auto ask = [&](const std::string& question, const auto& action) {
        try {
            all.push_back(question + ": " + action());
        } catch (const Error& error) {
            all.push_back(question + ": error " + to_string(error.code()));
        }
    };
    const auto done = [](const auto& action) {
        return [action] {
            action();
            return std::string("done");
        };
    };
    const auto write = [&](const std::string& name, const std::string& text) {
        ask("write " + name, done([&, name, text] {
                const auto file = files.open(root / name, OpenMode::create_exclusive);
                file->write_at(text.data(), text.size(), 0);
                file->close();
            }));
    };
    const auto look = [&](const std::string& name) {
        ask("look at " + name, [&] {
            const FileStatus status = files.status(root / name);
            const char* const kinds[] = {"missing", "file", "folder", "other"};
            return kinds[static_cast<int>(status.kind)] +
                   (status.kind == FileKind::file ? " of " + std::to_string(status.size) : std::string());
        });
        ask("list " + name, [&] {
            std::string names;
            for (const std::string& entry : files.list(root / name)) names += entry + " ";
            return names;
        });
        ask("read " + name, [&] {
            const auto file = files.open(root / name, OpenMode::read);
            std::string text(100, ' ');
            text.resize(file->read_at(text.data(), text.size(), 0));
            return text;
        });
    };
    const auto rename = [&](const std::string& from, const std::string& to) {
        ask("rename " + from + " " + to, done([&, from, to] { files.rename(root / from, root / to); }));
    };
    const auto remove = [&](const std::string& name) {
        ask("remove " + name, done([&, name] { files.remove(root / name); }));
    };
    const auto create_folder = [&](const std::string& name) {
        ask("create " + name, done([&, name] { files.create_folder(root / name); }));
    };

    write("a", "first");
    write("a", "again");
    write("none/a", "no folder");
    create_folder("folder");
    create_folder("folder");
    create_folder("none/folder");
    write("folder/b", "second");
    write("folder/c", "third");
    for (const char* name : {"", "a", "none", "folder", "folder/", "folder/b", "folder/../a", "./folder/./c"})
        look(name);
    ask("change a", done([&] {
            const auto file = files.open(root / "a", OpenMode::read_write);
            file->write_at("XY", 2, 7);
            file->truncate(8);
            file->allocate(10);
            file->sync();
        }));
    look("a");
    ask("write to a file opened for reading",
        done([&] { files.open(root / "a", OpenMode::read)->write_at("Z", 1, 0); }));
    remove("folder");
    rename("a", "folder");
    rename("folder", "a");
    rename("none", "new");
    rename("a", "none/a");
    rename("a", "folder/b");
    look("folder/b");
    rename("folder", "folder/within");
    rename("folder", "moved");
    look("folder");
    look("moved");
    look("moved/c");
    remove("moved/b");
    remove("moved/b");
    remove("moved/c");
    remove("moved");
    look("");
    ask("sync", done([&] { files.sync_folder(root); }));
    ask("lock", [&] {
        std::string seen = files.is_locked(root / "lock") ? "locked" : "free";
        {
            const auto lock = files.try_lock(root / "lock", "mine");
            seen += files.is_locked(root / "lock") ? " locked" : " free";
            seen += files.try_lock(root / "lock", "theirs") ? " taken twice" : " refused";
        }
        return seen + (files.is_locked(root / "lock") ? " locked" : " free");
    });
    look("lock");
    return all;
}

}  // namespace

TEST_CASE("memory_file_system: answers what the operating system's answers") {
    const TemporaryFolder folder;
    const std::vector<std::string> expected = answers(file_system(), folder.path());
    for (const char* root : {"/recordings", "/", "."}) {
        CAPTURE(root);
        MemoryFileSystem memory;
        if (memory.status(root).kind == FileKind::missing) memory.create_folder(root);
        CHECK(answers(memory, root) == expected);
    }
}

TEST_CASE("memory_file_system: added files bring their folders, and the library reads them") {
    MemoryFileSystem memory;
    memory.add_file("/day/mouse/main.dat", bytes_of("pixels"));
    memory.add_file("plain", {});
    const FileSystemOverride override(memory);
    CHECK(read_text_file("/day/mouse/main.dat", 100) == "pixels");
    CHECK(file_system().list("/day") == std::vector<std::string>{"mouse"});
    CHECK(file_system().list("/") == std::vector<std::string>{"day"});
    CHECK(file_system().list(".") == std::vector<std::string>{"plain"});
    write_file_atomically("/day/mouse/main.dat", "other");
    CHECK(read_text_file("/day/mouse/main.dat", 100) == "other");
    CHECK(file_system().list("/day/mouse") == std::vector<std::string>{"main.dat"});
    CHECK_THROWS_AS(memory.add_file("/day/mouse/main.dat/x", {}), Error);
    CHECK_THROWS_AS(memory.add_file("/day/mouse", {}), Error);
}

TEST_CASE("memory_file_system: a mapped file shows what is written and keeps its size") {
    MemoryFileSystem memory;
    memory.add_file("file", bytes_of("0123456789"));
    const auto file = memory.open("file", OpenMode::read_write);
    std::shared_ptr<const uint8_t> map = file->map(10);
    REQUIRE(map);
    CHECK_FALSE(file->map(11));
    file->write_at("X", 1, 9);
    CHECK(map.get()[9] == 'X');
    CHECK_THROWS_AS(file->truncate(5), Error);
    memory.remove("file");
    CHECK(map.get()[0] == '0');
    map.reset();
    file->truncate(5);
    CHECK(file->size() == 5);
}

TEST_CASE("memory_file_system: what does not fit is an error, and removed files make room") {
    MemoryFileSystem memory(1000);
    memory.add_file("a", std::vector<uint8_t>(600));
    const auto file = memory.open("b", OpenMode::create_exclusive);
    file->truncate(400);
    CHECK(error_of([&] { file->write_at("X", 1, 400); }) == ErrorCode::no_space);
    CHECK(error_of([&] { file->truncate(uint64_t{1} << 60); }) == ErrorCode::no_space);
    CHECK(file->size() == 400);
    memory.remove("a");
    file->write_at("X", 1, 999);
    CHECK(file->size() == 1000);
}

}  // namespace reelstore
