#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace reelstore {

/// Files that lie in memory: for fuzzers, which open thousands of recordings a second, and for tests of what reads or
/// writes through the file system seam only. Nothing else of the machine can be seen through it. Put it in place with
/// FileSystemOverride; files may outlive it. Thread safe.
///
/// Paths are compared after lexical normalisation; "/" and "." are there from the start. Times of modification are
/// seconds from 1 on, one more with every change. A file that somebody has mapped cannot change its size:
/// Error(unsupported). A removed file lives on for those who have it open.
class MemoryFileSystem : public FileSystem {
public:
    /// Bytes of all files together; more is Error(no_space), so that a bug does not take the machine's memory.
    explicit MemoryFileSystem(uint64_t capacity = uint64_t{1} << 30);
    ~MemoryFileSystem() override;

    /// Puts a file there, with the folders that it stands in, in place of what was there under its name. Throws Error
    /// when a folder is called like it or a file like one of its folders.
    void add_file(const std::filesystem::path& path, std::vector<uint8_t> content);

    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override;
    FileStatus status(const std::filesystem::path& path) override;
    std::vector<std::string> list(const std::filesystem::path& folder) override;
    void create_folder(const std::filesystem::path& folder) override;
    void rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
    void remove(const std::filesystem::path& path) override;
    void sync_folder(const std::filesystem::path& folder) override;
    std::unique_ptr<FileLock> try_lock(const std::filesystem::path& path, std::string_view text) override;
    bool is_locked(const std::filesystem::path& path) override;

private:
    struct Content;
    struct Budget;
    class OpenFile;
    class Lock;
    /// By path as key_of() gives it; folders have no content.
    using Entries = std::map<std::string, std::shared_ptr<Content>>;

    static std::string key_of(const std::filesystem::path& path);
    Entries::iterator find(const std::filesystem::path& path);
    void check_parent(const std::filesystem::path& path);
    bool has_entries(const std::string& folder);

    std::shared_ptr<Budget> budget_;
    std::mutex mutex_;  ///< of the names; each file has its own for what is in it
    Entries entries_;
};

}  // namespace reelstore
