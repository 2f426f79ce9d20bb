#include "tests/fault_file_system.h"

#include <algorithm>

#include "base/error.h"

namespace reelstore {

namespace fs = std::filesystem;

const char* to_string(OperationKind kind) {
    switch (kind) {
        case OperationKind::create:
            return "create";
        case OperationKind::write:
            return "write";
        case OperationKind::truncate:
            return "truncate";
        case OperationKind::allocate:
            return "allocate";
        case OperationKind::sync:
            return "sync";
        case OperationKind::close:
            return "close";
        case OperationKind::create_folder:
            return "create_folder";
        case OperationKind::rename:
            return "rename";
        case OperationKind::remove:
            return "remove";
        case OperationKind::sync_folder:
            return "sync_folder";
    }
    return "";
}

class FaultFile final : public ForwardingFile {
public:
    FaultFile(FaultFileSystem& system, fs::path path, std::unique_ptr<File> real, bool counts_close)
        : ForwardingFile(std::move(real)), system_(system), path_(std::move(path)), counts_close_(counts_close) {}

    void write_at(const void* data, size_t size, uint64_t offset) override {
        const auto fault = system_.fault_of({OperationKind::write, path_});
        if (fault && fault->short_write) write_in_space(data, size / 2, offset);
        if (fault) throw system_error(fault->error_number, path_.string(), "write");
        write_in_space(data, size, offset);
    }

    void truncate(uint64_t size) override {
        system_.note({OperationKind::truncate, path_});
        const std::lock_guard lock(system_.space_mutex_);
        const uint64_t before = ForwardingFile::size();
        if (size > before) take_space(size - before, "truncate");
        ForwardingFile::truncate(size);
        if (size < before) system_.give_back(before - size);
    }

    void allocate(uint64_t size) override {
        system_.note({OperationKind::allocate, path_});
        const std::lock_guard lock(system_.space_mutex_);
        const uint64_t before = ForwardingFile::size();
        if (size > before) take_space(size - before, "allocate");
        ForwardingFile::allocate(size);
    }

    void sync() override {
        system_.note({OperationKind::sync, path_});
        ForwardingFile::sync();
    }

    void close() override {
        const bool counted = counts_close_ && !closed_;
        closed_ = true;
        ForwardingFile::close();
        if (counted) system_.note({OperationKind::close, path_});
    }

private:
    void take_space(uint64_t bytes, const char* action) {
        if (system_.take_space(bytes, true) < bytes) system_.fail_for_space(path_, action);
    }

    void write_in_space(const void* data, size_t size, uint64_t offset) {
        const std::lock_guard lock(system_.space_mutex_);
        const uint64_t before = ForwardingFile::size();
        const uint64_t wanted = offset + size > before ? offset + size - before : 0;
        const uint64_t taken = system_.take_space(wanted, false);
        const uint64_t end = offset + size - (wanted - taken);
        if (end > offset) ForwardingFile::write_at(data, static_cast<size_t>(end - offset), offset);
        if (taken < wanted) system_.fail_for_space(path_, "write");
    }

    FaultFileSystem& system_;
    fs::path path_;
    bool counts_close_;
    bool closed_ = false;
};

FaultFileSystem::FaultFileSystem(FaultPlan plan, FileSystem& real)
    : ForwardingFileSystem(real), plan_(std::move(plan)) {}

void FaultFileSystem::set_free_bytes(std::optional<uint64_t> bytes) {
    const std::lock_guard space_lock(space_mutex_);
    const std::lock_guard lock(mutex_);
    free_bytes_ = bytes;
}

std::optional<uint64_t> FaultFileSystem::free_bytes() const {
    const std::lock_guard lock(mutex_);
    return free_bytes_;
}

void FaultFileSystem::set_plan(FaultPlan plan) {
    const std::lock_guard lock(mutex_);
    plan_ = std::move(plan);
    operations_.clear();
    failed_ = 0;
    failing_kind_.reset();
}

int64_t FaultFileSystem::count() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int64_t>(operations_.size());
}

int64_t FaultFileSystem::failed() const {
    const std::lock_guard lock(mutex_);
    return failed_;
}

std::vector<FileOperation> FaultFileSystem::operations() const {
    const std::lock_guard lock(mutex_);
    return operations_;
}

std::string FaultFileSystem::describe(int64_t nth) const {
    const std::lock_guard lock(mutex_);
    std::string text = "operation " + std::to_string(nth) + " of " + std::to_string(operations_.size());
    if (nth < 1 || nth > static_cast<int64_t>(operations_.size())) return text;
    const FileOperation& operation = operations_[static_cast<size_t>(nth - 1)];
    return text + ": " + to_string(operation.kind) + " of " + operation.path.string();
}

std::unique_ptr<File> FaultFileSystem::open(const fs::path& path, OpenMode mode) {
    if (mode == OpenMode::read) return ForwardingFileSystem::open(path, mode);
    if (mode == OpenMode::create_exclusive) note({OperationKind::create, path});
    return std::make_unique<FaultFile>(*this, path, ForwardingFileSystem::open(path, mode), true);
}

void FaultFileSystem::create_folder(const fs::path& folder) {
    note({OperationKind::create_folder, folder});
    ForwardingFileSystem::create_folder(folder);
}

void FaultFileSystem::rename(const fs::path& from, const fs::path& to) {
    note({OperationKind::rename, from});
    const std::lock_guard lock(space_mutex_);
    const FileStatus replaced = status(to);
    ForwardingFileSystem::rename(from, to);
    if (replaced.kind == FileKind::file) give_back(replaced.size);
}

void FaultFileSystem::remove(const fs::path& path) {
    note({OperationKind::remove, path});
    const std::lock_guard lock(space_mutex_);
    const FileStatus removed = status(path);
    ForwardingFileSystem::remove(path);
    if (removed.kind == FileKind::file) give_back(removed.size);
}

void FaultFileSystem::sync_folder(const fs::path& folder) {
    note({OperationKind::sync_folder, folder});
    ForwardingFileSystem::sync_folder(folder);
}

std::unique_ptr<File> FaultFileSystem::adopt(const fs::path& path, std::unique_ptr<File> file) {
    if (file->size() == 0) note({OperationKind::create, path});
    return std::make_unique<FaultFile>(*this, path, ForwardingFileSystem::adopt(path, std::move(file)), false);
}

std::optional<FaultFileSystem::Fault> FaultFileSystem::fault_of(const FileOperation& operation) {
    const std::lock_guard lock(mutex_);
    if (plan_.counted && !plan_.counted(operation)) return std::nullopt;
    operations_.push_back(operation);
    const auto number = static_cast<int64_t>(operations_.size());
    if (plan_.nth <= 0 || number < plan_.nth) return std::nullopt;
    if (number == plan_.nth) {
        failing_kind_ = operation.kind;
    } else if (plan_.repeat == FaultPlan::Repeat::once) {
        return std::nullopt;
    } else if (plan_.repeat == FaultPlan::Repeat::for_ever_of_the_kind && operation.kind != failing_kind_) {
        return std::nullopt;
    }
    ++failed_;
    return Fault{plan_.error_number, plan_.short_write};
}

void FaultFileSystem::note(const FileOperation& operation) {
    const auto fault = fault_of(operation);
    if (fault) throw system_error(fault->error_number, operation.path.string(), to_string(operation.kind));
}

uint64_t FaultFileSystem::take_space(uint64_t bytes, bool all_or_nothing) {
    const std::lock_guard lock(mutex_);
    if (!free_bytes_) return bytes;
    if (bytes > *free_bytes_ && all_or_nothing) return 0;
    const uint64_t taken = std::min(bytes, *free_bytes_);
    *free_bytes_ -= taken;
    return taken;
}

void FaultFileSystem::fail_for_space(const fs::path& path, const char* action) {
    {
        const std::lock_guard lock(mutex_);
        ++failed_;
    }
    throw system_error(ENOSPC, path.string(), action);
}

void FaultFileSystem::give_back(uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    if (free_bytes_) *free_bytes_ += bytes;
}

}  // namespace reelstore
