#include "tests/memory_file_system.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace reelstore {

namespace fs = std::filesystem;

/// What all files of a file system share.
struct MemoryFileSystem::Budget {
    uint64_t capacity = 0;
    std::atomic<uint64_t> used = 0;
    std::atomic<int64_t> changes = 0;
};

struct MemoryFileSystem::Content {
    explicit Content(std::shared_ptr<Budget> shared) : budget(std::move(shared)) {}
    ~Content() { budget->used -= bytes->size(); }
    Content(const Content&) = delete;
    Content& operator=(const Content&) = delete;

    /// The caller holds `mutex`, or is the only one that knows the file.
    void resize(uint64_t size, const std::string& path) {
        const uint64_t before = bytes->size();
        if (size == before) return;
        if (bytes.use_count() > 1) {
            throw Error(ErrorCode::unsupported, {path, {}, {}}, "a file in memory keeps its size while it is mapped");
        }
        if (size > before) {
            const uint64_t more = size - before;
            if (more > budget->capacity || budget->used.fetch_add(more) > budget->capacity - more) {
                if (more <= budget->capacity) budget->used -= more;
                throw system_error(ENOSPC, path, "write");
            }
        } else {
            budget->used -= before - size;
        }
        bytes->resize(static_cast<size_t>(size));
        // A reader that goes past the end must hit the end of the memory, or a sanitizer does not see it.
        bytes->shrink_to_fit();
    }
    void note_change() { modified = static_cast<double>(++budget->changes); }

    std::shared_ptr<Budget> budget;
    std::mutex mutex;
    std::shared_ptr<std::vector<uint8_t>> bytes = std::make_shared<std::vector<uint8_t>>();
    double modified = 0;
    bool locked = false;
};

class MemoryFileSystem::OpenFile final : public File {
public:
    OpenFile(std::shared_ptr<Content> content, std::string path, bool writable)
        : content_(std::move(content)), path_(std::move(path)), writable_(writable) {}

    size_t read_at(void* buffer, size_t size, uint64_t offset) override {
        const std::lock_guard guard(content_->mutex);
        const std::vector<uint8_t>& bytes = *content_->bytes;
        if (offset >= bytes.size()) return 0;
        const size_t count = std::min(size, bytes.size() - static_cast<size_t>(offset));
        if (count > 0) std::memcpy(buffer, bytes.data() + offset, count);
        return count;
    }

    void write_at(const void* data, size_t size, uint64_t offset) override {
        check_writable("write");
        const std::lock_guard guard(content_->mutex);
        if (offset > UINT64_MAX - size) throw system_error(EFBIG, path_, "write");
        if (offset + size > content_->bytes->size()) content_->resize(offset + size, path_);
        if (size > 0) std::memcpy(content_->bytes->data() + offset, data, size);
        content_->note_change();
    }

    uint64_t size() override {
        const std::lock_guard guard(content_->mutex);
        return content_->bytes->size();
    }

    void truncate(uint64_t size) override {
        check_writable("set the size");
        const std::lock_guard guard(content_->mutex);
        content_->resize(size, path_);
        content_->note_change();
    }

    void allocate(uint64_t size) override {
        check_writable("take disk space");
        const std::lock_guard guard(content_->mutex);
        if (size > content_->bytes->size()) content_->resize(size, path_);
    }

    void sync() override {}
    void close() override {}

    std::shared_ptr<const uint8_t> map(uint64_t size) override {
        const std::lock_guard guard(content_->mutex);
        if (size > content_->bytes->size()) return nullptr;
        return {content_->bytes, content_->bytes->data()};
    }

private:
    void check_writable(const char* action) const {
        if (!writable_) throw system_error(EBADF, path_, action);
    }

    std::shared_ptr<Content> content_;
    std::string path_;
    bool writable_;
};

class MemoryFileSystem::Lock final : public FileLock {
public:
    explicit Lock(std::shared_ptr<Content> content) : content_(std::move(content)) {}
    ~Lock() override {
        const std::lock_guard guard(content_->mutex);
        content_->locked = false;
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

private:
    std::shared_ptr<Content> content_;
};

MemoryFileSystem::MemoryFileSystem(uint64_t capacity) : budget_(std::make_shared<Budget>()) {
    budget_->capacity = capacity;
    entries_["/"] = nullptr;
    entries_["."] = nullptr;
}

MemoryFileSystem::~MemoryFileSystem() = default;

std::string MemoryFileSystem::key_of(const fs::path& path) {
    const fs::path normal = path.lexically_normal();
    std::string key = normal.string();
    if (key.size() > 1 && key.back() == '/') key.pop_back();
    return key;
}

MemoryFileSystem::Entries::iterator MemoryFileSystem::find(const fs::path& path) {
    return entries_.find(key_of(path));
}

void MemoryFileSystem::check_parent(const fs::path& path) {
    fs::path parent = fs::path(key_of(path)).parent_path();
    if (parent.empty()) parent = ".";
    const auto entry = find(parent);
    if (entry == entries_.end()) throw system_error(ENOENT, path.string(), "create");
    if (entry->second) throw system_error(ENOTDIR, path.string(), "create");
}

bool MemoryFileSystem::has_entries(const std::string& folder) {
    const std::string prefix = folder + '/';
    const auto next = entries_.lower_bound(prefix);
    return next != entries_.end() && next->first.compare(0, prefix.size(), prefix) == 0;
}

void MemoryFileSystem::add_file(const fs::path& path, std::vector<uint8_t> content) {
    const std::lock_guard guard(mutex_);
    const fs::path normal = key_of(path);
    fs::path folder;
    for (const fs::path& part : normal.parent_path()) {
        folder /= part;
        const auto [entry, added] = entries_.try_emplace(key_of(folder));
        if (entry->second) throw system_error(ENOTDIR, path.string(), "create");
    }
    const auto entry = entries_.try_emplace(normal.string()).first;
    if (!entry->second && (has_entries(entry->first) || entry->first == "." || entry->first == "/")) {
        throw system_error(EISDIR, path.string(), "create");
    }
    const auto added = std::make_shared<Content>(budget_);
    added->resize(content.size(), path.string());
    std::copy(content.begin(), content.end(), added->bytes->begin());
    added->note_change();
    entry->second = added;
}

std::unique_ptr<File> MemoryFileSystem::open(const fs::path& path, OpenMode mode) {
    const std::lock_guard guard(mutex_);
    const auto entry = find(path);
    const bool creates = mode == OpenMode::create_exclusive;
    if (creates && entry != entries_.end()) throw system_error(EEXIST, path.string(), "create");
    if (creates) {
        check_parent(path);
        const auto content = std::make_shared<Content>(budget_);
        content->note_change();
        entries_[key_of(path)] = content;
        return std::make_unique<OpenFile>(content, path.string(), true);
    }
    if (entry == entries_.end()) throw system_error(ENOENT, path.string(), "open");
    if (!entry->second) throw system_error(EISDIR, path.string(), "open");
    return std::make_unique<OpenFile>(entry->second, path.string(), mode == OpenMode::read_write);
}

FileStatus MemoryFileSystem::status(const fs::path& path) {
    const std::lock_guard guard(mutex_);
    const auto entry = find(path);
    if (entry == entries_.end()) return {};
    if (!entry->second) return {.kind = FileKind::folder, .size = 0, .modified = 0};
    const std::lock_guard content_guard(entry->second->mutex);
    return {.kind = FileKind::file, .size = entry->second->bytes->size(), .modified = entry->second->modified};
}

std::vector<std::string> MemoryFileSystem::list(const fs::path& folder) {
    const std::lock_guard guard(mutex_);
    const auto entry = find(folder);
    if (entry == entries_.end()) throw system_error(ENOENT, folder.string(), "list the folder");
    if (entry->second) throw system_error(ENOTDIR, folder.string(), "list the folder");
    std::string key = entry->first;
    std::vector<std::string> names;
    for (const auto& [name, content] : entries_) {
        if (name == "." || name == "/") continue;
        const size_t slash = name.rfind('/');
        const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : name.substr(0, slash);
        if (parent == key) names.push_back(slash == std::string::npos ? name : name.substr(slash + 1));
    }
    std::sort(names.begin(), names.end());
    return names;
}

void MemoryFileSystem::create_folder(const fs::path& folder) {
    const std::lock_guard guard(mutex_);
    if (find(folder) != entries_.end()) throw system_error(EEXIST, folder.string(), "create the folder");
    check_parent(folder);
    entries_[key_of(folder)] = nullptr;
}

void MemoryFileSystem::rename(const fs::path& from, const fs::path& to) {
    const std::lock_guard guard(mutex_);
    const auto entry = find(from);
    const std::string action = "rename to \"" + to.string() + "\"";
    if (entry == entries_.end()) throw system_error(ENOENT, from.string(), action);
    check_parent(to);
    const std::string from_key = entry->first;
    const std::string to_key = key_of(to);
    if (from_key == to_key) return;
    const auto replaced = entries_.find(to_key);
    if (entry->second) {
        if (replaced != entries_.end() && !replaced->second) throw system_error(EISDIR, from.string(), action);
        entries_[to_key] = entry->second;
        entries_.erase(from_key);
        return;
    }
    if (to_key.compare(0, from_key.size() + 1, from_key + '/') == 0) throw system_error(EINVAL, from.string(), action);
    if (replaced != entries_.end() && replaced->second) throw system_error(ENOTDIR, from.string(), action);
    if (has_entries(to_key)) throw system_error(ENOTEMPTY, from.string(), action);
    Entries moved;
    for (auto place = entries_.begin(); place != entries_.end();) {
        const bool within =
            place->first == from_key || place->first.compare(0, from_key.size() + 1, from_key + '/') == 0;
        if (within) moved[to_key + place->first.substr(from_key.size())] = place->second;
        place = within ? entries_.erase(place) : std::next(place);
    }
    for (auto& [name, content] : moved) entries_[name] = std::move(content);
}

void MemoryFileSystem::remove(const fs::path& path) {
    const std::lock_guard guard(mutex_);
    const auto entry = find(path);
    if (entry == entries_.end()) throw system_error(ENOENT, path.string(), "remove");
    if (!entry->second && has_entries(entry->first)) throw system_error(ENOTEMPTY, path.string(), "remove");
    entries_.erase(entry);
}

void MemoryFileSystem::sync_folder(const fs::path& folder) {
    const std::lock_guard guard(mutex_);
    const auto entry = find(folder);
    if (entry == entries_.end()) throw system_error(ENOENT, folder.string(), "sync the folder to disk");
    if (entry->second) throw system_error(ENOTDIR, folder.string(), "sync the folder to disk");
}

std::unique_ptr<FileLock> MemoryFileSystem::try_lock(const fs::path& path, std::string_view text) {
    const std::lock_guard guard(mutex_);
    auto entry = find(path);
    if (entry == entries_.end()) {
        check_parent(path);
        entry = entries_.emplace(key_of(path), std::make_shared<Content>(budget_)).first;
    }
    const std::shared_ptr<Content> content = entry->second;
    if (!content) throw system_error(EISDIR, path.string(), "open the lock file");
    const std::lock_guard content_guard(content->mutex);
    if (content->locked) return nullptr;
    content->resize(text.size(), path.string());
    std::copy(text.begin(), text.end(), content->bytes->begin());
    content->note_change();
    content->locked = true;
    return std::make_unique<Lock>(content);
}

bool MemoryFileSystem::is_locked(const fs::path& path) {
    const std::lock_guard guard(mutex_);
    const auto entry = find(path);
    if (entry == entries_.end() || !entry->second) return false;
    const std::lock_guard content_guard(entry->second->mutex);
    return entry->second->locked;
}

}  // namespace reelstore
