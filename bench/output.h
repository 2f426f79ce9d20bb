#pragma once

#include <filesystem>
#include <string>

namespace reelstore::bench {

/// A folder that is gone with everything in it at the end.
class TemporaryFolder {
public:
    /// Inside of `parent`; throws Error when it cannot be made.
    explicit TemporaryFolder(const std::filesystem::path& parent = std::filesystem::temp_directory_path());
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// Writes a file, replacing what was there. Throws Error.
void write_text(const std::filesystem::path& path, const std::string& text);

}  // namespace reelstore::bench
