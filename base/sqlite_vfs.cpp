#include "base/sqlite_vfs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <utility>

#include <sqlite3.h>

#include "base/error.h"
#include "base/file_system.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

std::string& last_error() {
    thread_local std::string text;
    return text;
}

/// SQLite calls from C: an exception ends here, as a result code.
template <typename Call>
int guarded(int code, Call call) {
    try {
        return call();
    } catch (const Error& error) {
        last_error() = error.what();
        return error.code() == ErrorCode::no_space ? SQLITE_FULL : code;
    } catch (const std::bad_alloc&) {
        return SQLITE_IOERR_NOMEM;
    } catch (const std::exception& error) {
        last_error() = error.what();
        return code;
    }
}

/// A file as the system's VFS has opened it. Closing it is left to SQLite.
class SystemFile final : public File {
public:
    SystemFile(sqlite3_file* real, std::string path) : real_(real), path_(std::move(path)) {}

    size_t read_at(void* buffer, size_t size, uint64_t offset) override {
        const int result =
            real_->pMethods->xRead(real_, buffer, static_cast<int>(size), static_cast<sqlite3_int64>(offset));
        if (result == SQLITE_OK) return size;
        if (result != SQLITE_IOERR_SHORT_READ) fail(result, "read");
        const uint64_t end = this->size();
        // Less than was asked for, even if another process has lengthened the file meanwhile.
        return end <= offset ? 0 : static_cast<size_t>(std::min<uint64_t>(end - offset, size - 1));
    }

    void write_at(const void* data, size_t size, uint64_t offset) override {
        check(real_->pMethods->xWrite(real_, data, static_cast<int>(size), static_cast<sqlite3_int64>(offset)),
              "write");
    }

    uint64_t size() override {
        sqlite3_int64 size = 0;
        check(real_->pMethods->xFileSize(real_, &size), "get the size");
        return static_cast<uint64_t>(size);
    }

    void truncate(uint64_t size) override {
        check(real_->pMethods->xTruncate(real_, static_cast<sqlite3_int64>(size)), "set the size");
    }

    void allocate(uint64_t /*size*/) override {
        throw Error(ErrorCode::unsupported, {.path = path_, .chunk = {}, .frame_index = {}},
                    "SQLite takes disk space for its files itself");
    }

    void sync() override {
        check(real_->pMethods->xSync(real_, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY), "sync to disk");
    }

    void close() override {}

private:
    void check(int result, const char* action) {
        if (result != SQLITE_OK) fail(result, action);
    }

    [[noreturn]] void fail(int result, const char* action) {
        if (result == SQLITE_IOERR_NOMEM) throw std::bad_alloc();
        int error_number = 0;
        real_->pMethods->xFileControl(real_, SQLITE_FCNTL_LAST_ERRNO, &error_number);
        if (result == SQLITE_FULL) error_number = ENOSPC;
        throw system_error(error_number == 0 ? EIO : error_number, path_, action);
    }

    sqlite3_file* real_;
    std::string path_;
};

struct OpenFile {
    std::unique_ptr<File> file;
    fs::path folder;
    bool name_is_new = false;
};

/// What SQLite allocates for a file of ours; that of the system's VFS stands behind it.
struct VfsFile {
    sqlite3_file base;
    OpenFile* open;
};
static_assert(sizeof(VfsFile) % 8 == 0);

OpenFile& open_file(sqlite3_file* file) {
    return *reinterpret_cast<VfsFile*>(file)->open;
}

sqlite3_file* real_file(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<VfsFile*>(file) + 1);
}

const sqlite3_io_methods& real_methods(sqlite3_file* file) {
    return *real_file(file)->pMethods;
}

int close_file(sqlite3_file* file) {
    int result = guarded(SQLITE_IOERR_CLOSE, [&] {
        open_file(file).file->close();
        return SQLITE_OK;
    });
    delete std::exchange(reinterpret_cast<VfsFile*>(file)->open, nullptr);
    const int closed = real_methods(file).xClose(real_file(file));
    file->pMethods = nullptr;
    return result == SQLITE_OK ? closed : result;
}

int read_file_at(sqlite3_file* file, void* buffer, int size, sqlite3_int64 offset) {
    return guarded(SQLITE_IOERR_READ, [&] {
        const auto wanted = static_cast<size_t>(size);
        const size_t got = open_file(file).file->read_at(buffer, wanted, static_cast<uint64_t>(offset));
        if (got == wanted) return SQLITE_OK;
        std::memset(static_cast<char*>(buffer) + got, 0, wanted - got);
        return SQLITE_IOERR_SHORT_READ;
    });
}

int write_file_at(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    return guarded(SQLITE_IOERR_WRITE, [&] {
        open_file(file).file->write_at(data, static_cast<size_t>(size), static_cast<uint64_t>(offset));
        return SQLITE_OK;
    });
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
    return guarded(SQLITE_IOERR_TRUNCATE, [&] {
        open_file(file).file->truncate(static_cast<uint64_t>(size));
        return SQLITE_OK;
    });
}

int sync_file(sqlite3_file* file, int /*flags*/) {
    OpenFile& open = open_file(file);
    const int result = guarded(SQLITE_IOERR_FSYNC, [&] {
        open.file->sync();
        return SQLITE_OK;
    });
    if (result != SQLITE_OK || !open.name_is_new) return result;
    // The system's VFS has done so within its own sync; said here, it is known to the FileSystem in use.
    return guarded(SQLITE_IOERR_DIR_FSYNC, [&] {
        file_system().sync_folder(open.folder);
        open.name_is_new = false;
        return SQLITE_OK;
    });
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
    return guarded(SQLITE_IOERR_FSTAT, [&] {
        *size = static_cast<sqlite3_int64>(open_file(file).file->size());
        return SQLITE_OK;
    });
}

int lock_file(sqlite3_file* file, int level) {
    return real_methods(file).xLock(real_file(file), level);
}

int unlock_file(sqlite3_file* file, int level) {
    return real_methods(file).xUnlock(real_file(file), level);
}

int check_reserved_lock(sqlite3_file* file, int* result) {
    return real_methods(file).xCheckReservedLock(real_file(file), result);
}

int control_file(sqlite3_file* file, int operation, void* argument) {
    switch (operation) {
        // Mapped or allocated in pieces, the file would be written past the FileSystem.
        case SQLITE_FCNTL_MMAP_SIZE:
        case SQLITE_FCNTL_CHUNK_SIZE:
            return SQLITE_NOTFOUND;
        default:
            return real_methods(file).xFileControl(real_file(file), operation, argument);
    }
}

int sector_size(sqlite3_file* file) {
    return real_methods(file).xSectorSize(real_file(file));
}

int device_characteristics(sqlite3_file* file) {
    return real_methods(file).xDeviceCharacteristics(real_file(file)) & ~SQLITE_IOCAP_BATCH_ATOMIC;
}

int map_shared(sqlite3_file* file, int page, int page_size, int extend, void volatile** memory) {
    return real_methods(file).xShmMap(real_file(file), page, page_size, extend, memory);
}

int lock_shared(sqlite3_file* file, int offset, int count, int flags) {
    return real_methods(file).xShmLock(real_file(file), offset, count, flags);
}

void shared_barrier(sqlite3_file* file) {
    real_methods(file).xShmBarrier(real_file(file));
}

int unmap_shared(sqlite3_file* file, int remove) {
    return real_methods(file).xShmUnmap(real_file(file), remove);
}

constexpr sqlite3_io_methods make_methods(bool shared_memory) {
    sqlite3_io_methods methods{};
    methods.iVersion = 1;
    methods.xClose = close_file;
    methods.xRead = read_file_at;
    methods.xWrite = write_file_at;
    methods.xTruncate = truncate_file;
    methods.xSync = sync_file;
    methods.xFileSize = file_size;
    methods.xLock = lock_file;
    methods.xUnlock = unlock_file;
    methods.xCheckReservedLock = check_reserved_lock;
    methods.xFileControl = control_file;
    methods.xSectorSize = sector_size;
    methods.xDeviceCharacteristics = device_characteristics;
    if (!shared_memory) return methods;
    // 2: shared memory for the write-ahead log, but, which would be 3, no mapping of the file's data.
    methods.iVersion = 2;
    methods.xShmMap = map_shared;
    methods.xShmLock = lock_shared;
    methods.xShmBarrier = shared_barrier;
    methods.xShmUnmap = unmap_shared;
    return methods;
}

constexpr sqlite3_io_methods kMethods = make_methods(false);
constexpr sqlite3_io_methods kMethodsWithSharedMemory = make_methods(true);

sqlite3_vfs* system_vfs(sqlite3_vfs* vfs) {
    return static_cast<sqlite3_vfs*>(vfs->pAppData);
}

int open_through(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags, int* flags_out) {
    constexpr int kJournals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    sqlite3_vfs* system = system_vfs(vfs);
    // Temporary files are nobody's data.
    if (!name || !(flags & (SQLITE_OPEN_MAIN_DB | kJournals)))
        return system->xOpen(system, name, file, flags, flags_out);
    file->pMethods = nullptr;
    sqlite3_file* real = real_file(file);
    std::memset(real, 0, static_cast<size_t>(system->szOsFile));
    errno = 0;
    int result = system->xOpen(system, name, real, flags, flags_out);
    if (result == SQLITE_OK) {
        result = guarded(SQLITE_CANTOPEN, [&] {
            auto open = std::make_unique<OpenFile>();
            const fs::path path = name;
            open->file = file_system().adopt(path, std::make_unique<SystemFile>(real, path.string()));
            open->folder = path.parent_path();
            open->name_is_new = (flags & SQLITE_OPEN_CREATE) && (flags & kJournals);
            reinterpret_cast<VfsFile*>(file)->open = open.release();
            file->pMethods = real->pMethods->xShmMap ? &kMethodsWithSharedMemory : &kMethods;
            return SQLITE_OK;
        });
    } else if (errno != 0) {
        last_error() = system_error(errno, name, "open").what();
    }
    if (result != SQLITE_OK && real->pMethods) real->pMethods->xClose(real);
    return result;
}

int remove_through(sqlite3_vfs* /*vfs*/, const char* name, int sync_folder) {
    const int result = guarded(SQLITE_IOERR_DELETE, [&] {
        try {
            file_system().remove(name);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::not_found) throw;
            return SQLITE_IOERR_DELETE_NOENT;
        }
        return SQLITE_OK;
    });
    if (result != SQLITE_OK || !sync_folder) return result;
    return guarded(SQLITE_IOERR_DIR_FSYNC, [&] {
        file_system().sync_folder(fs::path(name).parent_path());
        return SQLITE_OK;
    });
}

int access_through(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
    if (flags != SQLITE_ACCESS_EXISTS) {
        sqlite3_vfs* system = system_vfs(vfs);
        return system->xAccess(system, name, flags, result);
    }
    return guarded(SQLITE_IOERR_ACCESS, [&] {
        const FileStatus status = file_system().status(name);
        // An empty journal or log says nothing and does not count as one, as with the system's VFS.
        *result = status.kind != FileKind::missing && (status.kind != FileKind::file || status.size > 0);
        return SQLITE_OK;
    });
}

/// Registers a VFS around one of the system's. `vfs` is never destroyed: SQLite keeps a pointer to it.
const char* register_vfs(sqlite3_vfs& vfs, const char* name, const char* system_name) {
    sqlite3_vfs* system = sqlite3_initialize() == SQLITE_OK ? sqlite3_vfs_find(system_name) : nullptr;
    if (!system) throw Error(ErrorCode::internal, "SQLite has no access to files on this system");
    vfs = *system;
    vfs.iVersion = 2;
    vfs.pNext = nullptr;
    vfs.zName = name;
    vfs.szOsFile += static_cast<int>(sizeof(VfsFile));
    vfs.pAppData = system;
    vfs.xOpen = open_through;
    vfs.xDelete = remove_through;
    vfs.xAccess = access_through;
    if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK) {
        throw Error(ErrorCode::internal, "SQLite does not take another access to files");
    }
    return name;
}

}  // namespace

const char* sqlite_vfs_name(SqliteLocks locks) {
    static sqlite3_vfs with_locks;
    static sqlite3_vfs without_locks;
    static const char* const kWithLocks = register_vfs(with_locks, "reelstore", "unix");
    static const char* const kWithoutLocks = register_vfs(without_locks, "reelstore-none", "unix-none");
    return locks == SqliteLocks::yes ? kWithLocks : kWithoutLocks;
}

const std::string& last_vfs_error() {
    return last_error();
}

void forget_vfs_error() {
    last_error().clear();
}

}  // namespace reelstore
