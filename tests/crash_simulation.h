#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/forwarding_file_system.h"

namespace reelstore {

/// Which states of a trace are made. Every cut shows what is left when all that is not synced is dropped, when all of
/// it is there, when only the names or only the data of it are there, and some states in between.
struct CrashPlan {
    uint64_t seed = 1;
    /// Cuts at the start, before and after every sync, and after every mark.
    bool barriers = true;
    int states_per_barrier = 2;  ///< with some of what is not synced
    /// So many cuts at any operation.
    int random_cuts = 0;
    int states_per_random_cut = 1;
    /// Changes of names in one folder come to the disk in any subset; otherwise in their order, as journaling file
    /// systems do it.
    bool names_in_any_order = false;
};

/// The disk after a power cut.
struct CrashState {
    /// Holds what the folder of the simulation would hold. The state is made anew for every visit, so it may be
    /// changed.
    std::filesystem::path folder = {};
    /// The marks set before the cut, in order.
    std::vector<std::string> marks = {};
    /// Which cut and which choice, for messages; the same plan makes the same states.
    std::string description = {};
};

struct CrashOperation;

/// What was done to a folder, and the states that a power cut could have left of it.
///
/// The rules: what a file held when it was last synced is there. Each later write is there, missing or there in some of
/// its sectors of 512 bytes, whatever becomes of the writes before and after it; changes of size likewise. Names made,
/// renamed or removed since their folder was last synced may be there or not, in the order in which they happened
/// (CrashPlan::names_in_any_order); a rename is atomic. Syncing a file says nothing of its name, syncing a folder
/// nothing of the files in it. After a failed sync what had been written before is never certain again.
class CrashTrace {
public:
    /// Kinds of syncs in it, each once, sorted: the path within the folder with an N for the number that a name begins
    /// with ("store/N.mp4", "store/index.sqlite-wal"), for those of folders behind "folder: " ("folder: store",
    /// "folder: ." for the folder of the simulation itself).
    std::vector<std::string> sync_classes() const;
    /// The same trace as if the syncs of these classes had not been called.
    CrashTrace without_sync(const std::function<bool(const std::string& sync_class)>& left_out) const;

    /// Makes the states one after the other and shows them to `visitor` until it returns false. States alike in content
    /// and number of marks are shown once. Returns how many were shown.
    int64_t visit(const CrashPlan& plan, const std::function<bool(const CrashState&)>& visitor) const;

    /// Files of the real folder that differ from what the trace says, each with the difference: not empty when
    /// something was written past the file system seam. Files that end in "-shm" do not count. Not while a database in
    /// it is open in this process: reading its file drops its locks.
    std::vector<std::string> differences_from(const std::filesystem::path& folder) const;

    /// Number of operations and a line for each, for messages.
    int64_t size() const;
    std::string describe() const;

private:
    friend class CrashSimulation;
    std::shared_ptr<const std::vector<CrashOperation>> operations_;
    std::vector<bool> left_out_;
};

/// Passes everything on and records what changes below one folder, SQLite's files included (except the shared memory
/// "-shm", which does not survive). What is in the folder at the start counts as durable. Thread safe. Put it in place
/// with FileSystemOverride.
///
/// With a FaultFileSystem in front of it (FaultFileSystem(plan, simulation)) a sync that fails has not been tried; with
/// one behind it (CrashSimulation(folder, faults)) a sync that fails has lost what it should have made durable.
class CrashSimulation : public ForwardingFileSystem {
public:
    /// `folder` must exist. To have the making of a store under test too, give the folder above it.
    explicit CrashSimulation(const std::filesystem::path& folder, FileSystem& real = file_system());
    ~CrashSimulation() override;

    /// Records that the program has promised something at this point.
    void mark(const std::string& text);
    /// What was done so far.
    CrashTrace trace() const;

    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override;
    void create_folder(const std::filesystem::path& folder) override;
    void rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
    void remove(const std::filesystem::path& path) override;
    void sync_folder(const std::filesystem::path& folder) override;
    std::unique_ptr<FileLock> try_lock(const std::filesystem::path& path, std::string_view text) override;
    std::unique_ptr<File> adopt(const std::filesystem::path& path, std::unique_ptr<File> file) override;

private:
    friend class RecordedFile;
    class Recorder;
    std::shared_ptr<Recorder> recorder_;
};

}  // namespace reelstore
