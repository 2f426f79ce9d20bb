#pragma once

#include <memory>
#include <utility>

#include "base/file_system.h"

namespace reelstore {

/// A file that does what another does; what a test wants otherwise, it overrides.
class ForwardingFile : public File {
public:
    explicit ForwardingFile(std::unique_ptr<File> real) : real_(std::move(real)) {}
    size_t read_at(void* buffer, size_t size, uint64_t offset) override { return real_->read_at(buffer, size, offset); }
    void write_at(const void* data, size_t size, uint64_t offset) override { real_->write_at(data, size, offset); }
    uint64_t size() override { return real_->size(); }
    void truncate(uint64_t size) override { real_->truncate(size); }
    void allocate(uint64_t size) override { real_->allocate(size); }
    void sync() override { real_->sync(); }
    void close() override { real_->close(); }
    std::shared_ptr<const uint8_t> map(uint64_t size) override { return real_->map(size); }

private:
    std::unique_ptr<File> real_;
};

/// A file system that does what another does; what a test wants otherwise, it overrides.
class ForwardingFileSystem : public FileSystem {
public:
    explicit ForwardingFileSystem(FileSystem& real = file_system()) : real_(real) {}
    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
        return real_.open(path, mode);
    }
    FileStatus status(const std::filesystem::path& path) override { return real_.status(path); }
    std::vector<std::string> list(const std::filesystem::path& folder) override { return real_.list(folder); }
    void create_folder(const std::filesystem::path& folder) override { real_.create_folder(folder); }
    void rename(const std::filesystem::path& from, const std::filesystem::path& to) override { real_.rename(from, to); }
    void remove(const std::filesystem::path& path) override { real_.remove(path); }
    void sync_folder(const std::filesystem::path& folder) override { real_.sync_folder(folder); }
    std::unique_ptr<FileLock> try_lock(const std::filesystem::path& path, std::string_view text) override {
        return real_.try_lock(path, text);
    }
    bool is_locked(const std::filesystem::path& path) override { return real_.is_locked(path); }
    std::unique_ptr<File> adopt(const std::filesystem::path& path, std::unique_ptr<File> file) override {
        return real_.adopt(path, std::move(file));
    }

private:
    FileSystem& real_;
};

/// Does everything but wait for the disk, so that tests with many small recordings are fast. Put it behind the others:
/// `UnsyncedFileSystem unsynced; FaultFileSystem faults(plan, unsynced);`
class UnsyncedFileSystem : public ForwardingFileSystem {
public:
    using ForwardingFileSystem::ForwardingFileSystem;
    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
        return std::make_unique<UnsyncedFile>(ForwardingFileSystem::open(path, mode));
    }
    void sync_folder(const std::filesystem::path& /*folder*/) override {}
    std::unique_ptr<File> adopt(const std::filesystem::path& path, std::unique_ptr<File> file) override {
        return std::make_unique<UnsyncedFile>(ForwardingFileSystem::adopt(path, std::move(file)));
    }

private:
    class UnsyncedFile final : public ForwardingFile {
    public:
        using ForwardingFile::ForwardingFile;
        void sync() override {}
    };
};

}  // namespace reelstore
