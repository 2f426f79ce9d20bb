#include "base/byte_writer.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/error.h"

namespace reelstore {

namespace {

/// Keeps SIGPIPE from this thread while it writes, and takes away the one that a write has caused.
class PipeSignalGuard {
public:
    PipeSignalGuard() {
        sigemptyset(&signal_);
        sigaddset(&signal_, SIGPIPE);
        sigset_t pending;
        sigpending(&pending);
        was_pending_ = sigismember(&pending, SIGPIPE) == 1;
        pthread_sigmask(SIG_BLOCK, &signal_, &before_);
    }
    ~PipeSignalGuard() {
        const timespec at_once{};
        const int error = errno;
        if (!was_pending_) {
            while (sigtimedwait(&signal_, nullptr, &at_once) == -1 && errno == EINTR) continue;
        }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = error;
    }
    PipeSignalGuard(const PipeSignalGuard&) = delete;
    PipeSignalGuard& operator=(const PipeSignalGuard&) = delete;

private:
    sigset_t signal_{};
    sigset_t before_{};
    bool was_pending_ = false;
};

void write_all(int descriptor, std::span<const uint8_t> bytes, const std::string& name) {
    const PipeSignalGuard guard;
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes = bytes.subspan(static_cast<size_t>(written));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            pollfd ready{.fd = descriptor, .events = POLLOUT, .revents = 0};
            ::poll(&ready, 1, -1);
        } else if (errno == EPIPE) {
            throw Error(ErrorCode::io, {name, {}, {}},
                        "whoever reads this output has closed it, so the rest was not written");
        } else if (errno != EINTR) {
            throw system_error(errno, name, "write");
        }
    }
}

class AppendingFile : public File {
public:
    AppendingFile(ByteWriter writer, std::string name) : writer_(std::move(writer)), name_(std::move(name)) {}

    size_t read_at(void* /*buffer*/, size_t /*size*/, uint64_t /*offset*/) override { refuse("be read"); }
    void write_at(const void* data, size_t size, uint64_t offset) override {
        if (offset != size_) refuse("be changed where it was written");
        if (size == 0) return;
        // How much of it has gone is not known.
        if (broken_) throw Error(ErrorCode::io, {name_, {}, {}}, "could not be written further");
        broken_ = true;
        writer_({static_cast<const uint8_t*>(data), size});
        broken_ = false;
        size_ += size;
    }
    uint64_t size() override { return size_; }
    void truncate(uint64_t /*size*/) override { refuse("be cut off"); }
    void allocate(uint64_t /*size*/) override {}
    void sync() override {}
    void close() override {}

private:
    [[noreturn]] void refuse(const char* action) const {
        throw Error(ErrorCode::unsupported, {name_, {}, {}}, std::string("is a stream, which cannot ") + action);
    }

    ByteWriter writer_;
    std::string name_;
    uint64_t size_ = 0;
    bool broken_ = false;  ///< the writer has thrown
};

}  // namespace

ByteWriter descriptor_writer(int descriptor, const std::string& name) {
    return [descriptor, name](std::span<const uint8_t> bytes) { write_all(descriptor, bytes, name); };
}

std::unique_ptr<File> appending_file(ByteWriter writer, const std::string& name) {
    return std::make_unique<AppendingFile>(std::move(writer), name);
}

size_t MemoryFile::read_at(void* buffer, size_t size, uint64_t offset) {
    if (offset >= bytes_.size()) return 0;
    const size_t count = std::min<size_t>(size, bytes_.size() - offset);
    std::memcpy(buffer, bytes_.data() + offset, count);
    return count;
}

void MemoryFile::write_at(const void* data, size_t size, uint64_t offset) {
    if (size == 0) return;
    if (offset + size > bytes_.size()) bytes_.resize(offset + size);
    std::memcpy(bytes_.data() + offset, data, size);
}

void MemoryFile::allocate(uint64_t size) {
    if (size > bytes_.size()) bytes_.resize(size);
}

}  // namespace reelstore
