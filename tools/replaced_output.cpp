#include "tools/replaced_output.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/file_system.h"

namespace reelstore {

ReplacedOutput::ReplacedOutput(const std::filesystem::path& path, bool force) : path_(path) {
    if (!path_.has_filename()) path_ = path_.parent_path();
    const FileKind kind = file_system().status(path_).kind;
    // A device or a pipe is written to, never replaced.
    if (kind == FileKind::missing || kind == FileKind::other) return;
    if (kind == FileKind::folder && file_system().list(path_).empty()) return;
    if (!force) throw Error(ErrorCode::already_exists, {path.string(), {}, {}}, "exists already; --force replaces it");
    aside_ = path_;
    aside_ += ".old";
    if (file_system().status(aside_).kind != FileKind::missing) {
        throw Error(ErrorCode::already_exists, {aside_.string(), {}, {}},
                    "is left from an earlier run that was ended; look at it and move it away");
    }
    file_system().rename(path_, aside_);
}

ReplacedOutput::~ReplacedOutput() {
    if (aside_.empty()) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    std::filesystem::rename(aside_, path_, ignored);
}

void ReplacedOutput::commit() {
    if (aside_.empty()) return;
    std::error_code error;
    std::filesystem::remove_all(aside_, error);
    aside_.clear();
    if (error) throw system_error(error.value(), path_.string(), "remove what it replaced");
}

std::filesystem::path ReplacedOutput::keep_both() {
    return std::exchange(aside_, {});
}

bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
    std::error_code error;
    // A relative path of which nothing is there yet would stay relative.
    const std::filesystem::path inner =
        std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
    const std::filesystem::path outer =
        std::filesystem::weakly_canonical(std::filesystem::absolute(folder, error), error);
    if (inner.empty() || outer.empty()) return false;
    return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

}  // namespace reelstore
