#pragma once

#include <filesystem>
#include <string_view>

#include "base/file_system.h"

namespace reelstore {

/// The name with `suffix` behind it, its own extension included: "000003.mp4" and ".tmp" give "000003.mp4.tmp".
inline std::filesystem::path with_suffix(std::filesystem::path path, std::string_view suffix) {
    path += suffix;
    return path;
}

/// Whether there is an ordinary file of this name.
inline bool is_file(const std::filesystem::path& path) {
    return file_system().status(path).kind == FileKind::file;
}

}  // namespace reelstore
