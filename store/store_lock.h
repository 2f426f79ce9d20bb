#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/file_system.h"

namespace reelstore {

/// A file in a store's folder that is flock()ed, with the holder's pid, host and start as JSON. Removed by the
/// destructor; one left by a killed process does not lock anybody out. Where the file system knows no flock(), the text
/// decides: a holder on this machine counts while its process lives, one on another machine as long as the file is
/// there.
class LockFile {
public:
    ~LockFile();
    LockFile(const LockFile&) = delete;
    LockFile& operator=(const LockFile&) = delete;

protected:
    /// `activity` is what the holder does to the store ("written"). Throws Error(locked) naming the holder when another
    /// process has it; waits for a while as long as somebody holds `patient_while` too.
    LockFile(std::filesystem::path path, std::string activity, const std::filesystem::path& patient_while = {});
    static bool held_file(const std::filesystem::path& path);

private:
    void lock_by_text();
    Error locked(const std::string& advice) const;

    std::filesystem::path path_;
    std::string activity_;
    int owner_;         ///< the process
    std::string text_;  ///< where there are no locks: what the file holds as long as it is ours
    std::unique_ptr<FileLock> lock_;
};

/// Keeps other writers out of a store: STORE/.lock.
class StoreLock : public LockFile {
public:
    /// Throws Error(locked) naming the holder when another process has it. One that only trims, indexes or repairs the
    /// store is waited for, for up to a minute, unless `patient` is false.
    explicit StoreLock(const std::filesystem::path& folder, bool patient = true);
    /// Whether somebody writes to the store in this folder. Needs no right to write; throws Error(io) when that cannot
    /// be found out.
    static bool held(const std::filesystem::path& folder);
};

/// Of those who may be at a store beside its writer (store/trim.h), or who replace its index, keeps all but one out:
/// STORE/.trim.lock.
class TrimLock : public LockFile {
public:
    /// Throws Error(locked) naming the holder when another process has it.
    explicit TrimLock(const std::filesystem::path& folder);
};

/// Error(not_a_store) for a folder that a writer has, and in which there is no metadata.yaml yet.
Error not_begun(const std::filesystem::path& folder);

}  // namespace reelstore
