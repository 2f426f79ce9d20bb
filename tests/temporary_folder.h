#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace reelstore {

/// A new empty folder for one test; removed with everything in it at the end.
class TemporaryFolder {
public:
    explicit TemporaryFolder(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
        std::string name = (parent / "reelstore-XXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::system_error(errno, std::generic_category(), name);
        path_ = name;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

/// A folder whose files are never written to a disk, if the system has one: for tests that sync very often.
inline std::filesystem::path memory_folder() {
    const std::filesystem::path memory = "/dev/shm";
    std::error_code ignored;
    if (std::filesystem::is_directory(memory, ignored) && ::access(memory.c_str(), W_OK) == 0) return memory;
    return std::filesystem::temp_directory_path();
}

}  // namespace reelstore
