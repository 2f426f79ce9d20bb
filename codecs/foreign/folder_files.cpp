#include "codecs/foreign/folder_files.h"

#include <algorithm>

#include "base/error.h"
#include "base/file_name.h"
#include "base/file_system.h"
#include "base/text.h"

namespace reelstore {

FolderFiles::FolderFiles(const std::filesystem::path& file) : folder_(file.parent_path()) {
    try {
        names_ = file_system().list(folder_.empty() ? std::filesystem::path(".") : folder_);
        listed_ = true;
    } catch (const Error&) {
        // A folder may be readable file by file only.
    }
    for (size_t i = 0; i < names_.size(); ++i) by_lower_case_.emplace(lower_case(names_[i]), i);
}

std::filesystem::path FolderFiles::path_of(std::string_view name) const {
    return folder_ / last_part(name);
}

std::optional<std::filesystem::path> FolderFiles::find(std::string_view name) const {
    const std::string_view wanted = last_part(name);
    if (wanted.empty()) return std::nullopt;
    std::filesystem::path path = path_of(name);
    const bool may_be_there = !listed_ || std::binary_search(names_.begin(), names_.end(), wanted);
    if (may_be_there && is_file(path)) return path;
    const auto other = by_lower_case_.find(lower_case(wanted));
    if (other == by_lower_case_.end()) return std::nullopt;
    path = folder_ / names_[other->second];
    return is_file(path) ? std::optional(path) : std::nullopt;
}

std::string_view last_part(std::string_view path) {
    const size_t slash = path.find_last_of("/\\");
    return slash == path.npos ? path : path.substr(slash + 1);
}

std::shared_ptr<const FileBytes> FileSeries::open(size_t place) const {
    const std::lock_guard lock(mutex_);
    const auto known =
        std::find_if(open_.begin(), open_.end(), [&](const auto& opened) { return opened.first == place; });
    if (known != open_.end()) {
        open_.splice(open_.begin(), open_, known);
    } else {
        open_.emplace_front(place, std::make_shared<const FileBytes>(paths_[place], map_));
        if (open_.size() > kMostOpen) open_.pop_back();
    }
    return open_.front().second;
}

}  // namespace reelstore
