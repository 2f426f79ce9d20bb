#pragma once

#include <cstddef>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "codecs/foreign/file_bytes.h"

namespace reelstore {

/// The names in a folder, listed once. Recordings that came from a file system without capital letters often name their
/// parts in other letters than the files have.
class FolderFiles {
public:
    /// The folder that `file` lies in. A folder that cannot be listed seems empty.
    explicit FolderFiles(const std::filesystem::path& file);

    /// The path of the file called `name`; where there is none of just this name, of one that differs in capital and
    /// small letters only. Only the last part of a name with folders in it, also those of Windows, is looked for.
    std::optional<std::filesystem::path> find(std::string_view name) const;
    /// What find() would look for first.
    std::filesystem::path path_of(std::string_view name) const;
    /// Sorted bytewise.
    const std::vector<std::string>& names() const { return names_; }

private:
    std::filesystem::path folder_;
    bool listed_ = false;
    std::vector<std::string> names_;
    std::unordered_map<std::string, size_t> by_lower_case_;
};

/// The last part of a path of Unix or Windows.
std::string_view last_part(std::string_view path);

/// The files of a recording that is spread over many. They are opened when they are needed, and only some stay open.
/// Every member may be called by any number of threads at once.
class FileSeries {
public:
    static constexpr size_t kMostOpen = 32;

    FileSeries(std::vector<std::filesystem::path> paths, bool map) : paths_(std::move(paths)), map_(map) {}

    size_t count() const { return paths_.size(); }
    const std::filesystem::path& path(size_t place) const { return paths_[place]; }
    /// Throws Error naming the path when it cannot be opened; a later call tries again.
    std::shared_ptr<const FileBytes> open(size_t place) const;

private:
    std::vector<std::filesystem::path> paths_;
    bool map_;
    mutable std::mutex mutex_;
    /// The one used last in front.
    mutable std::list<std::pair<size_t, std::shared_ptr<const FileBytes>>> open_;
};

}  // namespace reelstore
