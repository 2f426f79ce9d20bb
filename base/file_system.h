#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reelstore {

/// An open file. Positions are explicit, so one File serves several readers. Closed by the destructor; call close()
/// after writing to learn of a late error. Every member throws Error on failure. Used by one thread at a time,
/// except read_at(), which any number of threads may call together, and sync(), which one thread may call while another
/// writes.
class File {
public:
    virtual ~File() = default;
    /// Reads up to `size` bytes at `offset`; fewer only at the end of the file.
    virtual size_t read_at(void* buffer, size_t size, uint64_t offset) = 0;
    /// Writes all of it; a short write of the system is continued or becomes an Error.
    virtual void write_at(const void* data, size_t size, uint64_t offset) = 0;
    virtual uint64_t size() = 0;
    /// Cuts the file off, or lengthens it with zeros.
    virtual void truncate(uint64_t size) = 0;
    /// Takes disk space for the first `size` bytes, so that the file system holds that much less for others. Lengthens
    /// the file if it is shorter.
    virtual void allocate(uint64_t size) = 0;
    /// Data and size of all that was written before the call reach the disk (fdatasync). After an Error nobody knows
    /// what has: do not go on with this file.
    virtual void sync() = 0;
    virtual void close() = 0;
    /// The first `size` bytes of the file (more than 0) as memory that can only be read and that stays for as long as
    /// the pointer does, also after close(). It shows what is written to the file later; what lies behind the end of
    /// the file must not be touched until the file has grown, and cutting off a file that somebody looks at kills the
    /// process that looks. Null when this file cannot be mapped: then read it.
    virtual std::shared_ptr<const uint8_t> map(uint64_t /*size*/) { return nullptr; }
};

enum class OpenMode {
    read,              ///< must exist
    create_exclusive,  ///< must not exist; read and write
    read_write,        ///< must exist; read and write
};

enum class FileKind { missing, file, folder, other };

struct FileStatus {
    FileKind kind = FileKind::missing;
    uint64_t size = 0;
    double modified = 0;  ///< seconds since the Unix epoch
};

/// Held for as long as the object lives; see FileSystem::try_lock().
class FileLock {
public:
    virtual ~FileLock() = default;
    /// False in a forked child: the lock stays with the parent, and ends with it even when the child lives on.
    virtual bool held() const { return true; }
};

/// Everything the library asks of the operating system about files; one seam, so that tests can make any call fail.
///
/// Every member throws Error naming the path. All members may be called from any thread.
class FileSystem {
public:
    virtual ~FileSystem() = default;
    virtual std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) = 0;
    virtual FileStatus status(const std::filesystem::path& path) = 0;
    /// Names of the entries of a folder, without "." and "..", sorted bytewise.
    virtual std::vector<std::string> list(const std::filesystem::path& folder) = 0;
    /// The parent must exist, the folder must not.
    virtual void create_folder(const std::filesystem::path& folder) = 0;
    /// Replaces `to` when it exists; durable only after sync_folder().
    virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
    virtual void remove(const std::filesystem::path& path) = 0;
    /// Makes created, renamed and removed names in this folder durable (fsync).
    virtual void sync_folder(const std::filesystem::path& folder) = 0;
    /// Creates the file if needed and takes an exclusive advisory lock (flock), which the system drops when the process
    /// dies. Null when somebody else holds it. `text` replaces the file's content once locked. Throws
    /// Error(unsupported) when the file system has no locks; the file is there then, and what it says has been left
    /// alone.
    virtual std::unique_ptr<FileLock> try_lock(const std::filesystem::path& path, std::string_view text) = 0;
    /// Whether somebody holds the lock that try_lock() takes. Changes nothing, but for an instant a try_lock()
    /// elsewhere may fail because of it. Throws Error(unsupported) as try_lock() does.
    virtual bool is_locked(const std::filesystem::path& /*path*/) { return false; }
    /// A file that a library opens in its own way (SQLite, which needs its own locks), to be used through what is
    /// returned. The operating system's file system gives back `file` itself.
    virtual std::unique_ptr<File> adopt(const std::filesystem::path& /*path*/, std::unique_ptr<File> file) {
        return file;
    }
};

/// The file system in use: the operating system's, unless a test has put another in its place.
FileSystem& file_system();

/// Puts `replacement` in place of file_system() while it lives. For tests; not thread safe.
class FileSystemOverride {
public:
    explicit FileSystemOverride(FileSystem& replacement);
    ~FileSystemOverride();
    FileSystemOverride(const FileSystemOverride&) = delete;
    FileSystemOverride& operator=(const FileSystemOverride&) = delete;

private:
    FileSystem* previous_;
};

/// The whole content; throws Error(corrupt) when the file is larger than `limit`.
std::vector<uint8_t> read_file(const std::filesystem::path& path, uint64_t limit);
/// The same as text.
std::string read_text_file(const std::filesystem::path& path, uint64_t limit);
/// Replaces or creates `path` so that after a crash either the old or the new content is there, whole:
/// temporary file (`path` + ".tmp") + sync + rename + sync of the folder.
void write_file_atomically(const std::filesystem::path& path, const void* data, size_t size);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);
/// Creates `path`, which must not exist, with this content; not synced.
void write_new_file(const std::filesystem::path& path, const void* data, size_t size);
/// Copies a file byte by byte to a new one and syncs it.
void copy_file(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace reelstore
