#include "base/file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <system_error>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

/// A descriptor that is closed when it goes out of scope.
class Descriptor {
public:
    explicit Descriptor(int number = -1) : number_(number) {}
    ~Descriptor() { reset(); }
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    Descriptor& operator=(Descriptor&&) = delete;

    int get() const { return number_; }
    bool open() const { return number_ >= 0; }
    int release() { return std::exchange(number_, -1); }
    void reset() {
        if (number_ >= 0) ::close(std::exchange(number_, -1));
    }

private:
    int number_;
};

template <typename Call>
auto retry_interrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR) result = call();
    return result;
}

void write_all(int descriptor, const void* data, size_t size, uint64_t offset, const std::string& path) {
    const char* position = static_cast<const char*>(data);
    while (size > 0) {
        ssize_t written =
            retry_interrupted([&] { return ::pwrite(descriptor, position, size, static_cast<off_t>(offset)); });
        if (written < 0) throw system_error(errno, path, "write");
        if (written == 0) throw Error(ErrorCode::io, {.path = path, .chunk = {}, .frame_index = {}}, "cannot write");
        position += written;
        size -= static_cast<size_t>(written);
        offset += static_cast<uint64_t>(written);
    }
}

class PosixFile final : public File {
public:
    PosixFile(Descriptor descriptor, std::string path) : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

    size_t read_at(void* buffer, size_t size, uint64_t offset) override {
        char* position = static_cast<char*>(buffer);
        size_t done = 0;
        while (done < size) {
            ssize_t count = retry_interrupted([&] {
                return ::pread(descriptor_.get(), position + done, size - done, static_cast<off_t>(offset + done));
            });
            if (count < 0) throw system_error(errno, path_, "read");
            if (count == 0) break;
            done += static_cast<size_t>(count);
        }
        return done;
    }

    void write_at(const void* data, size_t size, uint64_t offset) override {
        write_all(descriptor_.get(), data, size, offset, path_);
    }

    uint64_t size() override {
        struct stat status {};
        if (::fstat(descriptor_.get(), &status) != 0) throw system_error(errno, path_, "get the size");
        return static_cast<uint64_t>(status.st_size);
    }

    void truncate(uint64_t size) override {
        if (retry_interrupted([&] { return ::ftruncate(descriptor_.get(), static_cast<off_t>(size)); }) != 0) {
            throw system_error(errno, path_, "set the size");
        }
    }

    void allocate(uint64_t size) override {
        int result = EINTR;
        while (result == EINTR) result = ::posix_fallocate(descriptor_.get(), 0, static_cast<off_t>(size));
        if (result != 0) throw system_error(result, path_, "take disk space");
    }

    void sync() override {
        if (retry_interrupted([&] { return ::fdatasync(descriptor_.get()); }) != 0) {
            throw system_error(errno, path_, "sync to disk");
        }
    }

    void close() override {
        if (!descriptor_.open()) return;
        // On Linux the descriptor is gone even when close() was interrupted: never call it twice.
        if (::close(descriptor_.release()) != 0 && errno != EINTR) throw system_error(errno, path_, "close");
    }

    std::shared_ptr<const uint8_t> map(uint64_t size) override {
        if (size > SIZE_MAX) return nullptr;
        void* memory =
            ::mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_SHARED | MAP_NORESERVE, descriptor_.get(), 0);
        // Some file systems cannot, and addresses may run short.
        if (memory == MAP_FAILED) return nullptr;
        return {static_cast<const uint8_t*>(memory),
                [memory, size](const uint8_t*) { ::munmap(memory, static_cast<size_t>(size)); }};
    }

private:
    Descriptor descriptor_;
    std::string path_;
};

/// A lock belongs to the open file, which a forked child has too: were it to keep the descriptor, the lock would
/// outlive the process that took it. So the child closes the descriptors of all locks.
class PosixLock final : public FileLock {
public:
    explicit PosixLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {
        static const int registered = ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
        if (registered != 0) throw Error(ErrorCode::internal, "the system is short of memory for a lock");
        const std::lock_guard guard(mutex());
        next_ = first();
        if (next_) next_->previous_ = this;
        first() = this;
    }
    ~PosixLock() override {
        const std::lock_guard guard(mutex());
        if (next_) next_->previous_ = previous_;
        (previous_ ? previous_->next_ : first()) = next_;
    }
    PosixLock(const PosixLock&) = delete;
    PosixLock& operator=(const PosixLock&) = delete;

    bool held() const override { return descriptor_.open(); }

private:
    static std::mutex& mutex() {
        static std::mutex mutex;
        return mutex;
    }
    // A list without memory of its own: a child of several threads must not allocate.
    static PosixLock*& first() {
        static PosixLock* first = nullptr;
        return first;
    }
    static void before_fork() { mutex().lock(); }
    static void after_fork_in_parent() { mutex().unlock(); }
    static void after_fork_in_child() {
        for (PosixLock* lock = first(); lock; lock = lock->next_) lock->descriptor_.reset();
        mutex().unlock();
    }

    Descriptor descriptor_;
    PosixLock* previous_ = nullptr;
    PosixLock* next_ = nullptr;
};

/// Error(unsupported) where the file system has no such locks at all.
Error lock_error(int error_number, const fs::path& path, const char* action) {
    switch (error_number) {
        case ENOLCK:
        case EOPNOTSUPP:
        case EINVAL:
        case ENOSYS:
            return Error(ErrorCode::unsupported, {.path = path.string(), .chunk = {}, .frame_index = {}},
                         std::string("cannot ") + action + ": this file system has no locks (" +
                             std::generic_category().message(error_number) + ")");
        default:
            return system_error(error_number, path.string(), action);
    }
}

/// Whether `path` still names the open file: a former holder may have removed it between our open and our lock.
bool names_open_file(const fs::path& path, int descriptor) {
    struct stat by_name {};
    struct stat by_descriptor {};
    return ::stat(path.c_str(), &by_name) == 0 && ::fstat(descriptor, &by_descriptor) == 0 &&
           by_name.st_dev == by_descriptor.st_dev && by_name.st_ino == by_descriptor.st_ino;
}

class PosixFileSystem final : public FileSystem {
public:
    std::unique_ptr<File> open(const fs::path& path, OpenMode mode) override {
        // Without O_NONBLOCK a pipe put in the place of a file would stop the program for good.
        int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        const char* action = "open";
        switch (mode) {
            case OpenMode::read:
                flags |= O_RDONLY;
                break;
            case OpenMode::create_exclusive:
                flags |= O_RDWR | O_CREAT | O_EXCL;
                action = "create";
                break;
            case OpenMode::read_write:
                flags |= O_RDWR;
                break;
        }
        Descriptor descriptor(retry_interrupted([&] { return ::open(path.c_str(), flags, 0666); }));
        if (!descriptor.open()) throw system_error(errno, path.string(), action);
        struct stat status {};
        if (::fstat(descriptor.get(), &status) != 0) throw system_error(errno, path.string(), action);
        if (S_ISDIR(status.st_mode)) throw system_error(EISDIR, path.string(), action);
        if (S_ISFIFO(status.st_mode)) throw system_error(ESPIPE, path.string(), action);
        return std::make_unique<PosixFile>(std::move(descriptor), path.string());
    }

    FileStatus status(const fs::path& path) override {
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0) {
            if (errno == ENOENT || errno == ENOTDIR) return {};
            throw system_error(errno, path.string(), "look at it");
        }
        FileStatus result;
        result.kind = S_ISREG(status.st_mode)   ? FileKind::file
                      : S_ISDIR(status.st_mode) ? FileKind::folder
                                                : FileKind::other;
        result.size = static_cast<uint64_t>(status.st_size);
        const timespec& modified = status.st_mtim;
        result.modified = static_cast<double>(modified.tv_sec) + 1e-9 * static_cast<double>(modified.tv_nsec);
        return result;
    }

    std::vector<std::string> list(const fs::path& folder) override {
        std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(folder.c_str()), ::closedir);
        if (!stream) throw system_error(errno, folder.string(), "list the folder");
        std::vector<std::string> names;
        while (true) {
            errno = 0;
            const dirent* entry = ::readdir(stream.get());
            if (!entry) break;
            std::string name = entry->d_name;
            if (name != "." && name != "..") names.push_back(std::move(name));
        }
        if (errno != 0) throw system_error(errno, folder.string(), "list the folder");
        std::sort(names.begin(), names.end());
        return names;
    }

    void create_folder(const fs::path& folder) override {
        if (::mkdir(folder.c_str(), 0777) != 0) throw system_error(errno, folder.string(), "create the folder");
    }

    void rename(const fs::path& from, const fs::path& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0) {
            throw system_error(errno, from.string(), "rename to \"" + to.string() + "\"");
        }
    }

    void remove(const fs::path& path) override {
        if (::remove(path.c_str()) != 0) throw system_error(errno, path.string(), "remove");
    }

    void sync_folder(const fs::path& folder) override {
        Descriptor descriptor(
            retry_interrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
        if (!descriptor.open()) throw system_error(errno, folder.string(), "open the folder");
        // EINVAL: the file system (some network ones) has no such operation and nothing better to offer.
        if (retry_interrupted([&] { return ::fsync(descriptor.get()); }) != 0 && errno != EINVAL) {
            throw system_error(errno, folder.string(), "sync the folder to disk");
        }
    }

    std::unique_ptr<FileLock> try_lock(const fs::path& path, std::string_view text) override {
        while (true) {
            Descriptor descriptor(retry_interrupted(
                [&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666); }));
            if (!descriptor.open()) throw system_error(errno, path.string(), "open the lock file");
            if (retry_interrupted([&] { return ::flock(descriptor.get(), LOCK_EX | LOCK_NB); }) != 0) {
                if (errno == EWOULDBLOCK) return nullptr;
                throw lock_error(errno, path, "lock");
            }
            if (!names_open_file(path, descriptor.get())) continue;
            if (retry_interrupted([&] { return ::ftruncate(descriptor.get(), 0); }) != 0) {
                throw system_error(errno, path.string(), "write the lock file");
            }
            try {
                write_all(descriptor.get(), text.data(), text.size(), 0, path.string());
            } catch (const Error& error) {
                // The text only tells people who it is. On a full disk somebody must be able to make room.
                if (error.code() != ErrorCode::no_space) throw;
            }
            return std::make_unique<PosixLock>(std::move(descriptor));
        }
    }

    bool is_locked(const fs::path& path) override {
        const Descriptor descriptor(
            retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); }));
        if (!descriptor.open()) {
            if (errno == ENOENT || errno == ENOTDIR) return false;
            throw system_error(errno, path.string(), "open the lock file");
        }
        if (retry_interrupted([&] { return ::flock(descriptor.get(), LOCK_SH | LOCK_NB); }) == 0) return false;
        if (errno != EWOULDBLOCK) throw lock_error(errno, path, "look at the lock");
        return true;
    }
};

FileSystem*& current_file_system() {
    static PosixFileSystem system;
    static FileSystem* current = &system;
    return current;
}

void remove_quietly(const fs::path& path) {
    try {
        file_system().remove(path);
    } catch (const Error&) {
        // The error that led here says more than this one.
    }
}

/// Creates `path` exclusively and lets `fill` write it; what is there of it goes away again when that fails.
template <typename Fill>
void create_file(const fs::path& path, Fill fill) {
    std::unique_ptr<File> file = file_system().open(path, OpenMode::create_exclusive);
    try {
        fill(*file);
        file->close();
    } catch (...) {
        file.reset();
        remove_quietly(path);
        throw;
    }
}

fs::path folder_of(const fs::path& path) {
    fs::path folder = path.parent_path();
    return folder.empty() ? fs::path(".") : folder;
}

template <typename Content>
Content read_content(const fs::path& path, uint64_t limit) {
    std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
    uint64_t size = file->size();
    if (size > limit) {
        throw Error(
            ErrorCode::corrupt, {.path = path.string(), .chunk = {}, .frame_index = {}},
            "has " + std::to_string(size) + " bytes, more than the " + std::to_string(limit) + " that make sense here");
    }
    Content content(static_cast<size_t>(size), 0);
    content.resize(file->read_at(content.data(), content.size(), 0));
    return content;
}

}  // namespace

FileSystem& file_system() {
    return *current_file_system();
}

FileSystemOverride::FileSystemOverride(FileSystem& replacement)
    : previous_(std::exchange(current_file_system(), &replacement)) {}

FileSystemOverride::~FileSystemOverride() {
    current_file_system() = previous_;
}

std::vector<uint8_t> read_file(const fs::path& path, uint64_t limit) {
    return read_content<std::vector<uint8_t>>(path, limit);
}

std::string read_text_file(const fs::path& path, uint64_t limit) {
    return read_content<std::string>(path, limit);
}

void write_file_atomically(const fs::path& path, const void* data, size_t size) {
    fs::path temporary = path;
    temporary += ".tmp";
    if (file_system().status(temporary).kind != FileKind::missing) file_system().remove(temporary);
    create_file(temporary, [&](File& file) {
        file.write_at(data, size, 0);
        file.sync();
    });
    try {
        file_system().rename(temporary, path);
    } catch (...) {
        remove_quietly(temporary);
        throw;
    }
    file_system().sync_folder(folder_of(path));
}

void write_file_atomically(const fs::path& path, std::string_view text) {
    write_file_atomically(path, text.data(), text.size());
}

void write_new_file(const fs::path& path, const void* data, size_t size) {
    create_file(path, [&](File& file) { file.write_at(data, size, 0); });
}

void copy_file(const fs::path& from, const fs::path& to) {
    constexpr size_t kBlock = size_t{1} << 20;
    std::unique_ptr<File> source = file_system().open(from, OpenMode::read);
    create_file(to, [&](File& file) {
        std::vector<uint8_t> block(kBlock);
        uint64_t offset = 0;
        while (size_t count = source->read_at(block.data(), block.size(), offset)) {
            file.write_at(block.data(), count, offset);
            offset += count;
        }
        file.sync();
    });
}

}  // namespace reelstore
