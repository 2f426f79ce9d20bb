#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/file_system.h"

namespace reelstore {

/// Keeps other writers out of a store: STORE/.lock, flock()ed, with the holder's pid, host and start as JSON. Removed
/// by the destructor; one left by a killed process does not lock anybody out. Where the file system knows no flock(),
/// the text decides: a writer on this machine counts while its process lives, one on another machine as long as the
/// file is there.
class StoreLock {
public:
    /// Throws Error(locked) naming the holder when another process has it.
    explicit StoreLock(const std::filesystem::path& folder);
    ~StoreLock();
    /// Whether somebody writes to the store in this folder. Needs no right to write; throws Error(io) when that cannot
    /// be found out.
    static bool held(const std::filesystem::path& folder);
    StoreLock(const StoreLock&) = delete;
    StoreLock& operator=(const StoreLock&) = delete;

private:
    void lock_by_text(const std::filesystem::path& folder);

    std::filesystem::path path_;
    int owner_;         ///< the process
    std::string text_;  ///< where there are no locks: what .lock holds as long as it is ours
    std::unique_ptr<FileLock> lock_;
};

/// Error(not_a_store) for a folder that a writer has, and in which there is no metadata.yaml yet.
Error not_begun(const std::filesystem::path& folder);

}  // namespace reelstore
