#pragma once

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tests/forwarding_file_system.h"

namespace reelstore {

/// What changes something on disk, as far as a program can make it fail.
enum class OperationKind {
    create,  ///< open() of a new file, or a file of SQLite that is empty when it is adopted
    write,
    truncate,
    allocate,
    sync,
    close,  ///< of a file that can be written; SQLite keeps failures of its own ones to itself, so they are not counted
    create_folder,
    rename,
    remove,
    sync_folder,
};

const char* to_string(OperationKind kind);

struct FileOperation {
    OperationKind kind = OperationKind::write;
    std::filesystem::path path = {};  ///< as the program gave it; of a rename the old name
};

/// Which operation fails, and how.
struct FaultPlan {
    enum class Repeat {
        once,
        for_ever,              ///< every counted operation from there on
        for_ever_of_the_kind,  ///< those of the same kind from there on
    };

    int64_t nth = 0;           ///< counted from 1; 0: none fails
    int error_number = EIO;    ///< or ENOSPC, EROFS, ...
    bool short_write = false;  ///< a write that fails has written half of its bytes
    Repeat repeat = Repeat::once;
    /// Operations that are counted and may fail; empty: all. `[](auto& operation) { return operation.kind ==
    /// OperationKind::sync; }` makes the Nth sync fail.
    std::function<bool(const FileOperation&)> counted = {};
};

/// Counts every operation that changes something on disk, SQLite's included, and lets the Nth fail, or all that does
/// not fit on a disk of a given size. A failed operation has not been done, except that a short write has written half
/// and a failed close has closed. Thread safe. Put it in place with FileSystemOverride; it must outlive its files.
class FaultFileSystem : public ForwardingFileSystem {
public:
    explicit FaultFileSystem(FaultPlan plan = {}, FileSystem& real = file_system());

    /// From now on the files may grow by so many bytes together; what remove(), truncate() and a rename over a file
    /// free can be used again. A write that does not fit writes what fits and fails with ENOSPC. Nothing: no limit.
    void set_free_bytes(std::optional<uint64_t> bytes);
    std::optional<uint64_t> free_bytes() const;
    /// Another plan from here on; its operations are counted from 1 again.
    void set_plan(FaultPlan plan);

    /// Counted operations so far, failed ones included.
    int64_t count() const;
    /// How many of them failed by the plan or for want of space.
    int64_t failed() const;
    std::vector<FileOperation> operations() const;
    /// "operation 17 of 30: sync of index.sqlite-wal".
    std::string describe(int64_t nth) const;

    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override;
    void create_folder(const std::filesystem::path& folder) override;
    void rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
    void remove(const std::filesystem::path& path) override;
    void sync_folder(const std::filesystem::path& folder) override;
    std::unique_ptr<File> adopt(const std::filesystem::path& path, std::unique_ptr<File> file) override;

private:
    friend class FaultFile;

    struct Fault {
        int error_number = 0;
        bool short_write = false;
    };

    /// Counts the operation and says how it fails, if it does.
    std::optional<Fault> fault_of(const FileOperation& operation);
    /// Counts the operation and throws if it fails.
    void note(const FileOperation& operation);
    /// Takes as much of `bytes` as is free, and says how much that is; `all_or_nothing`: all of it or 0.
    uint64_t take_space(uint64_t bytes, bool all_or_nothing);
    [[noreturn]] void fail_for_space(const std::filesystem::path& path, const char* action);
    void give_back(uint64_t bytes);

    mutable std::mutex mutex_;
    std::mutex space_mutex_;  ///< held while files grow or shrink, so that their sizes stay known
    FaultPlan plan_;
    std::vector<FileOperation> operations_;
    int64_t failed_ = 0;
    std::optional<OperationKind> failing_kind_;
    std::optional<uint64_t> free_bytes_;
};

}  // namespace reelstore
