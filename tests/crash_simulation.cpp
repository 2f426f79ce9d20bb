#include "tests/crash_simulation.h"

#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "tests/crash_operation.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

using Kind = CrashOperation::Kind;

}  // namespace

/// The operations so far, and which number stands for which file.
class CrashSimulation::Recorder {
public:
    explicit Recorder(const fs::path& folder)
        : given_(fs::absolute(folder).lexically_normal()), canonical_(fs::canonical(folder)) {
        nodes_.push_back({true, -1, "", {}});
        scan(canonical_);
        operations_.push_back({.kind = Kind::all_durable});
    }

    std::mutex& mutex() { return mutex_; }

    /// The path within the folder, "" for the folder itself; nothing for what lies elsewhere.
    std::optional<fs::path> inner(const fs::path& path) const {
        const fs::path plain = fs::absolute(path).lexically_normal();
        for (const fs::path& top : {given_, canonical_}) {
            fs::path relative = plain.lexically_relative(top);
            if (relative == ".") return fs::path();
            if (!relative.empty() && *relative.begin() != "..") return without_end_slash(relative);
        }
        const fs::path resolved = fs::weakly_canonical(plain.parent_path()) / plain.filename();
        fs::path relative = resolved.lexically_relative(canonical_);
        if (relative == ".") return fs::path();
        if (relative.empty() || *relative.begin() == "..") return std::nullopt;
        return without_end_slash(relative);
    }

    /// The following are called with the mutex held.

    std::optional<int> find(const fs::path& inner) const {
        int node = kTopNode;
        for (const fs::path& name : inner) {
            const auto& entries = nodes_[static_cast<size_t>(node)].entries;
            const auto found = entries.find(name.string());
            if (found == entries.end()) return std::nullopt;
            node = found->second;
        }
        return node;
    }

    int known(const fs::path& inner) const {
        const std::optional<int> node = find(inner);
        if (!node) throw std::logic_error(inner.string() + " was not made through the file system seam");
        return *node;
    }

    int create(const fs::path& inner, bool folder) {
        const int parent = known(inner.parent_path());
        const int node = static_cast<int>(nodes_.size());
        nodes_.push_back({folder, parent, inner.filename().string(), {}});
        nodes_[static_cast<size_t>(parent)].entries[inner.filename().string()] = node;
        operations_.push_back({.kind = folder ? Kind::create_folder : Kind::create_file,
                               .path = inner.string(),
                               .node = node,
                               .folder = parent,
                               .name = inner.filename().string()});
        return node;
    }

    void rename(const fs::path& from, const fs::path& to) {
        const int node = known(from);
        const int from_folder = known(from.parent_path());
        const int to_folder = known(to.parent_path());
        nodes_[static_cast<size_t>(from_folder)].entries.erase(from.filename().string());
        nodes_[static_cast<size_t>(to_folder)].entries[to.filename().string()] = node;
        nodes_[static_cast<size_t>(node)].parent = to_folder;
        nodes_[static_cast<size_t>(node)].name = to.filename().string();
        operations_.push_back({.kind = Kind::rename,
                               .path = from.string(),
                               .node = node,
                               .folder = from_folder,
                               .name = from.filename().string(),
                               .to_folder = to_folder,
                               .to_name = to.filename().string()});
    }

    void remove(const fs::path& inner) {
        const std::optional<int> node = find(inner);
        if (!node) return;
        const int folder = known(inner.parent_path());
        nodes_[static_cast<size_t>(folder)].entries.erase(inner.filename().string());
        operations_.push_back({.kind = Kind::remove,
                               .path = inner.string(),
                               .node = *node,
                               .folder = folder,
                               .name = inner.filename().string()});
    }

    void write(int node, std::string_view data, uint64_t offset) {
        operations_.push_back({.kind = Kind::write,
                               .path = path_of(node),
                               .node = node,
                               .offset = offset,
                               .size = data.size(),
                               .data = std::make_shared<const std::string>(data)});
    }

    void resize(int node, uint64_t size) {
        operations_.push_back({.kind = Kind::resize, .path = path_of(node), .node = node, .size = size});
    }

    void sync(Kind kind, int node, size_t covers) {
        operations_.push_back({.kind = kind, .path = path_of(node), .node = node, .covers = covers});
    }

    void mark(const std::string& text) { operations_.push_back({.kind = Kind::mark, .path = text}); }

    size_t count() const { return operations_.size(); }
    const std::vector<CrashOperation>& operations() const { return operations_; }

private:
    struct Node {
        bool folder = false;
        int parent = -1;
        std::string name = {};
        std::map<std::string, int> entries = {};
    };

    static fs::path without_end_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

    void scan(const fs::path& folder) {
        for (const auto& entry : fs::directory_iterator(folder)) {
            if (is_shared_memory(entry.path())) continue;
            const int node = create(entry.path().lexically_relative(canonical_), entry.is_directory());
            if (entry.is_directory()) {
                scan(entry.path());
            } else {
                write(node, read_whole_file(entry.path()), 0);
            }
        }
    }

    std::string path_of(int node) const {
        std::string path;
        for (; node > kTopNode; node = nodes_[static_cast<size_t>(node)].parent) {
            if (!path.empty()) path.insert(0, "/");
            path.insert(0, nodes_[static_cast<size_t>(node)].name);
        }
        return path;
    }

    fs::path given_;
    fs::path canonical_;
    std::mutex mutex_;
    std::vector<Node> nodes_;
    std::vector<CrashOperation> operations_;
};

class RecordedFile final : public ForwardingFile {
public:
    RecordedFile(std::shared_ptr<CrashSimulation::Recorder> recorder, int node, std::unique_ptr<File> real)
        : ForwardingFile(std::move(real)), recorder_(std::move(recorder)), node_(node) {}

    void write_at(const void* data, size_t size, uint64_t offset) override {
        try {
            ForwardingFile::write_at(data, size, offset);
        } catch (...) {
            // Some of it may have been written.
            std::string there(size, '\0');
            there.resize(read_at(there.data(), size, offset));
            if (!there.empty()) record([&] { recorder_->write(node_, there, offset); });
            throw;
        }
        record([&] { recorder_->write(node_, {static_cast<const char*>(data), size}, offset); });
    }

    void truncate(uint64_t size) override {
        ForwardingFile::truncate(size);
        record([&] { recorder_->resize(node_, size); });
    }

    void allocate(uint64_t size) override {
        const uint64_t before = ForwardingFile::size();
        ForwardingFile::allocate(size);
        if (size > before) record([&] { recorder_->resize(node_, size); });
    }

    void sync() override {
        size_t covers = 0;
        record([&] { covers = recorder_->count(); });
        try {
            ForwardingFile::sync();
        } catch (...) {
            record([&] { recorder_->sync(Kind::failed_sync, node_, covers); });
            throw;
        }
        record([&] { recorder_->sync(Kind::sync, node_, covers); });
    }

private:
    template <typename Action>
    void record(Action action) {
        const std::lock_guard lock(recorder_->mutex());
        action();
    }

    std::shared_ptr<CrashSimulation::Recorder> recorder_;
    int node_;
};

CrashSimulation::CrashSimulation(const fs::path& folder, FileSystem& real)
    : ForwardingFileSystem(real), recorder_(std::make_shared<Recorder>(folder)) {}

CrashSimulation::~CrashSimulation() = default;

void CrashSimulation::mark(const std::string& text) {
    const std::lock_guard lock(recorder_->mutex());
    recorder_->mark(text);
}

CrashTrace CrashSimulation::trace() const {
    const std::lock_guard lock(recorder_->mutex());
    CrashTrace trace;
    trace.operations_ = std::make_shared<const std::vector<CrashOperation>>(recorder_->operations());
    trace.left_out_.assign(recorder_->count(), false);
    return trace;
}

std::unique_ptr<File> CrashSimulation::open(const fs::path& path, OpenMode mode) {
    const auto inner = recorder_->inner(path);
    if (!inner || mode == OpenMode::read) return ForwardingFileSystem::open(path, mode);
    const std::lock_guard lock(recorder_->mutex());
    std::unique_ptr<File> file = ForwardingFileSystem::open(path, mode);
    const int node = mode == OpenMode::create_exclusive ? recorder_->create(*inner, false) : recorder_->known(*inner);
    return std::make_unique<RecordedFile>(recorder_, node, std::move(file));
}

void CrashSimulation::create_folder(const fs::path& folder) {
    const auto inner = recorder_->inner(folder);
    if (!inner) return ForwardingFileSystem::create_folder(folder);
    const std::lock_guard lock(recorder_->mutex());
    ForwardingFileSystem::create_folder(folder);
    recorder_->create(*inner, true);
}

void CrashSimulation::rename(const fs::path& from, const fs::path& to) {
    const auto inner_from = recorder_->inner(from);
    const auto inner_to = recorder_->inner(to);
    if (!inner_from && !inner_to) return ForwardingFileSystem::rename(from, to);
    if (!inner_from || !inner_to) throw std::logic_error(from.string() + " is moved out of the folder or into it");
    const std::lock_guard lock(recorder_->mutex());
    ForwardingFileSystem::rename(from, to);
    recorder_->rename(*inner_from, *inner_to);
}

void CrashSimulation::remove(const fs::path& path) {
    const auto inner = recorder_->inner(path);
    if (!inner) return ForwardingFileSystem::remove(path);
    const std::lock_guard lock(recorder_->mutex());
    ForwardingFileSystem::remove(path);
    recorder_->remove(*inner);
}

void CrashSimulation::sync_folder(const fs::path& folder) {
    const auto inner = recorder_->inner(folder);
    if (!inner) return ForwardingFileSystem::sync_folder(folder);
    size_t covers = 0;
    {
        const std::lock_guard lock(recorder_->mutex());
        covers = recorder_->count();
    }
    ForwardingFileSystem::sync_folder(folder);
    const std::lock_guard lock(recorder_->mutex());
    recorder_->sync(Kind::sync_folder, recorder_->known(*inner), covers);
}

std::unique_ptr<FileLock> CrashSimulation::try_lock(const fs::path& path, std::string_view text) {
    const auto inner = recorder_->inner(path);
    if (!inner) return ForwardingFileSystem::try_lock(path, text);
    const std::lock_guard lock(recorder_->mutex());
    const bool is_new = status(path).kind == FileKind::missing;
    std::unique_ptr<FileLock> held = ForwardingFileSystem::try_lock(path, text);
    if (is_new && status(path).kind != FileKind::missing) recorder_->create(*inner, false);
    if (held) {
        const int node = recorder_->known(*inner);
        recorder_->resize(node, 0);
        recorder_->write(node, text, 0);
    }
    return held;
}

std::unique_ptr<File> CrashSimulation::adopt(const fs::path& path, std::unique_ptr<File> file) {
    std::unique_ptr<File> real = ForwardingFileSystem::adopt(path, std::move(file));
    const auto inner = recorder_->inner(path);
    if (!inner) return real;
    const std::lock_guard lock(recorder_->mutex());
    std::optional<int> node = recorder_->find(*inner);
    if (!node) node = recorder_->create(*inner, false);
    return std::make_unique<RecordedFile>(recorder_, *node, std::move(real));
}

}  // namespace reelstore
