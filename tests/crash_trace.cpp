#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "tests/crash_operation.h"
#include "tests/crash_simulation.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

using Kind = CrashOperation::Kind;

constexpr uint64_t kSector = 512;

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::create_file:
            return "create";
        case Kind::create_folder:
            return "create folder";
        case Kind::rename:
            return "rename";
        case Kind::remove:
            return "remove";
        case Kind::write:
            return "write";
        case Kind::resize:
            return "resize";
        case Kind::sync:
            return "sync";
        case Kind::failed_sync:
            return "failed sync";
        case Kind::sync_folder:
            return "sync folder";
        case Kind::mark:
            return "mark";
        case Kind::all_durable:
            return "start";
    }
    return "";
}

std::string text_of(const CrashOperation& operation) {
    std::string text = std::string(name_of(operation.kind)) + " " + operation.path;
    if (operation.kind == Kind::rename) text += " to " + operation.to_name;
    if (operation.kind == Kind::write) text += " at " + std::to_string(operation.offset);
    if (operation.kind == Kind::write || operation.kind == Kind::resize) {
        text += " size " + std::to_string(operation.size);
    }
    return text;
}

bool is_sync(Kind kind) {
    return kind == Kind::sync || kind == Kind::sync_folder;
}

std::string sync_class(const CrashOperation& operation) {
    std::string text = operation.kind == Kind::sync_folder ? "folder: " : "";
    char before = '/';
    bool in_number = false;
    for (const char c : operation.path.empty() ? std::string(".") : operation.path) {
        const bool digit = c >= '0' && c <= '9';
        // The number of a chunk or frame, not that in "mp4".
        if (digit && before == '/') text += 'N';
        in_number = digit && (in_number || before == '/');
        if (!in_number) text += c;
        before = c;
    }
    return text;
}

uint64_t mixed(uint64_t value) {
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

/// Bytes of a file; what lies behind `bytes_` is zeros, so that reserved space costs nothing.
class Content {
public:
    const std::string& bytes() const { return bytes_; }
    uint64_t size() const { return size_; }

    void write(std::string_view data, uint64_t offset) {
        const uint64_t end = offset + data.size();
        if (bytes_.size() < end) bytes_.resize(static_cast<size_t>(end));
        std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
        size_ = std::max(size_, end);
        digest_.reset();
    }
    void resize(uint64_t size) {
        if (bytes_.size() > size) bytes_.resize(static_cast<size_t>(size));
        size_ = size;
        digest_.reset();
    }
    void apply(const CrashOperation& operation) {
        if (operation.kind == Kind::write) {
            write(*operation.data, operation.offset);
        } else {
            resize(operation.size);
        }
    }
    uint64_t digest() const {
        if (!digest_) digest_ = mixed(std::hash<std::string>()(bytes_) ^ mixed(size_));
        return *digest_;
    }

private:
    std::string bytes_;
    uint64_t size_ = 0;
    mutable std::optional<uint64_t> digest_;
};

/// Names below the folder: for each folder, by its number, what its entries are.
using Names = std::map<int, std::map<std::string, int>>;

void apply_names(Names& names, const CrashOperation& operation) {
    switch (operation.kind) {
        case Kind::create_file:
        case Kind::create_folder:
            names[operation.folder][operation.name] = operation.node;
            break;
        case Kind::rename: {
            auto& from = names[operation.folder];
            const auto entry = from.find(operation.name);
            if (entry != from.end() && entry->second == operation.node) from.erase(entry);
            names[operation.to_folder][operation.to_name] = operation.node;
            break;
        }
        case Kind::remove: {
            auto& from = names[operation.folder];
            const auto entry = from.find(operation.name);
            if (entry != from.end() && entry->second == operation.node) from.erase(entry);
            break;
        }
        default:
            break;
    }
}

/// How much of what is not durable is there.
enum class Choice { none, all, random };

struct StateKind {
    Choice names = Choice::none;
    Choice data = Choice::none;
    const char* text = "";
};

/// What is durable after the first operations of a trace, and what is not yet.
class Disk {
public:
    Disk(const std::vector<CrashOperation>& operations, const std::vector<bool>& left_out)
        : operations_(operations), left_out_(left_out) {}

    /// Goes on to where the operations before `cut` have been done.
    void advance(size_t cut) {
        for (; position_ < cut; ++position_) take(position_);
    }

    /// The files and folders (which have no content) of one state, by path.
    std::map<std::string, std::shared_ptr<const Content>> state(const StateKind& kind, bool names_in_any_order,
                                                                std::mt19937_64& random) {
        const Names names = chosen_names(kind.names, names_in_any_order, random);
        std::map<std::string, std::shared_ptr<const Content>> entries;
        collect(names, kTopNode, "", kind.data, random, entries);
        return entries;
    }

private:
    struct Pending {
        size_t operation = 0;
        bool certain = false;  ///< synced, but behind one that a failed sync has made uncertain
        bool lost = false;     ///< never certain any more
    };
    struct Node {
        std::shared_ptr<Content> durable = std::make_shared<Content>();
        std::vector<Pending> pending;
    };

    void take(size_t index) {
        const CrashOperation& operation = operations_[index];
        switch (operation.kind) {
            case Kind::create_folder:
                folders_.insert(operation.node);
                name_changes_.push_back(index);
                break;
            case Kind::create_file:
            case Kind::rename:
            case Kind::remove:
                name_changes_.push_back(index);
                break;
            case Kind::write:
            case Kind::resize:
                nodes_[operation.node].pending.push_back({index});
                break;
            case Kind::sync:
                if (!left_out_[index]) make_certain(nodes_[operation.node], operation.covers);
                break;
            case Kind::failed_sync:
                for (Pending& pending : nodes_[operation.node].pending) {
                    if (pending.operation < operation.covers && !pending.certain) pending.lost = true;
                }
                break;
            case Kind::sync_folder:
                if (!left_out_[index]) {
                    size_t& durable = durable_names_[operation.node];
                    durable = std::max(durable, operation.covers);
                }
                break;
            case Kind::all_durable:
                for (auto& [number, node] : nodes_) make_certain(node, index);
                all_names_durable_ = index;
                break;
            case Kind::mark:
                break;
        }
    }

    void make_certain(Node& node, size_t covers) {
        for (Pending& pending : node.pending) {
            if (pending.operation < covers && !pending.lost) pending.certain = true;
        }
        size_t folded = 0;
        while (folded < node.pending.size() && node.pending[folded].certain) {
            node.durable->apply(operations_[node.pending[folded].operation]);
            ++folded;
        }
        node.pending.erase(node.pending.begin(), node.pending.begin() + static_cast<std::ptrdiff_t>(folded));
    }

    size_t durable_names(int folder) const {
        const auto found = durable_names_.find(folder);
        return found == durable_names_.end() ? all_names_durable_ : std::max(all_names_durable_, found->second);
    }

    /// The folders whose names an operation changes.
    static std::vector<int> folders_of(const CrashOperation& operation) {
        if (operation.to_folder < 0 || operation.to_folder == operation.folder) return {operation.folder};
        return {operation.folder, operation.to_folder};
    }

    Names chosen_names(Choice choice, bool any_order, std::mt19937_64& random) const {
        std::map<int, size_t> ends;  // of each folder the changes before this operation are there
        std::map<int, std::vector<size_t>> open;
        for (const size_t index : name_changes_) {
            for (const int folder : folders_of(operations_[index])) {
                const size_t durable = ends.try_emplace(folder, durable_names(folder)).first->second;
                if (index >= durable) open[folder].push_back(index);
            }
        }
        std::set<size_t> others;
        for (const auto& [folder, changes] : open) {
            if (choice == Choice::all) {
                ends[folder] = changes.back() + 1;
            } else if (choice == Choice::random && any_order) {
                for (const size_t index : changes) {
                    if (random() % 2 == 0) others.insert(index);
                }
            } else if (choice == Choice::random) {
                // None and all are the states that programs get wrong most often.
                const size_t style = random() % 3;
                const size_t count = style == 0 ? 0 : style == 1 ? changes.size() : random() % (changes.size() + 1);
                if (count > 0) ends[folder] = changes[count - 1] + 1;
            }
        }
        // A rename from one folder to another is there in both, and with it what was before it.
        for (bool changed = true; changed;) {
            changed = false;
            for (const size_t index : name_changes_) {
                const std::vector<int> folders = folders_of(operations_[index]);
                size_t& one = ends[folders.front()];
                size_t& other = ends[folders.back()];
                if ((index < one) == (index < other)) continue;
                (index < one ? other : one) = index + 1;
                changed = true;
            }
        }
        Names names;
        for (const size_t index : name_changes_) {
            const CrashOperation& operation = operations_[index];
            if (index < ends[operation.folder] || others.count(index)) apply_names(names, operation);
        }
        return names;
    }

    void collect(const Names& names, int folder, const std::string& prefix, Choice choice, std::mt19937_64& random,
                 std::map<std::string, std::shared_ptr<const Content>>& entries) {
        const auto found = names.find(folder);
        if (found == names.end()) return;
        for (const auto& [name, number] : found->second) {
            const std::string path = prefix + name;
            if (folders_.count(number)) {
                entries[path] = nullptr;
                collect(names, number, path + "/", choice, random, entries);
            } else {
                entries[path] = content_of(nodes_[number], choice, random);
            }
        }
    }

    std::shared_ptr<const Content> content_of(const Node& node, Choice choice, std::mt19937_64& random) const {
        if (node.pending.empty()) return node.durable;
        auto content = std::make_shared<Content>(*node.durable);
        // One file may be behind while another has been written back.
        const size_t style = random() % 6;
        if (choice == Choice::random && style < 2) choice = style == 0 ? Choice::none : Choice::all;
        const uint64_t there_in_ten = choice == Choice::random ? 1 + 4 * (random() % 3) : 0;
        for (const Pending& pending : node.pending) {
            const CrashOperation& operation = operations_[pending.operation];
            if (pending.certain || choice == Choice::all ||
                (choice == Choice::random && random() % 10 < there_in_ten)) {
                content->apply(operation);
            } else if (choice == Choice::random && operation.kind == Kind::write) {
                if (random() % 3 != 0) tear(*content, operation, random);
                if (random() % 3 == 0) content->resize(std::max(content->size(), operation.offset + operation.size));
            }
        }
        return content;
    }

    /// Only some of the sectors come to the disk: the first, or any.
    static void tear(Content& content, const CrashOperation& operation, std::mt19937_64& random) {
        const std::string_view data = *operation.data;
        const uint64_t end = operation.offset + operation.size;
        const uint64_t first = operation.offset / kSector;
        const uint64_t count = operation.size == 0 ? 0 : (end - 1) / kSector - first + 1;
        const bool only_first = random() % 2 == 0;
        const uint64_t kept = count == 0 ? 0 : random() % count;
        for (uint64_t sector = 0; sector < count; ++sector) {
            if (only_first ? sector >= kept : random() % 2 == 0) continue;
            const uint64_t from = std::max(operation.offset, (first + sector) * kSector);
            const uint64_t to = std::min(end, (first + sector + 1) * kSector);
            content.write(data.substr(static_cast<size_t>(from - operation.offset), static_cast<size_t>(to - from)),
                          from);
        }
    }

    const std::vector<CrashOperation>& operations_;
    const std::vector<bool>& left_out_;
    size_t position_ = 0;
    std::map<int, Node> nodes_;
    std::vector<size_t> name_changes_;
    std::map<int, size_t> durable_names_;
    size_t all_names_durable_ = 0;
    std::set<int> folders_;
};

/// Where states are made: in memory where the system offers that.
class StateFolder {
public:
    StateFolder() {
        std::error_code ignored;
        const fs::path memory = "/dev/shm";
        const fs::path above = fs::is_directory(memory, ignored) && ::access(memory.c_str(), W_OK | X_OK) == 0
                                   ? memory
                                   : fs::temp_directory_path();
        std::string name = (above / "reelstore-states-XXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::system_error(errno, std::generic_category(), name);
        path_ = name;
    }
    ~StateFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    StateFolder(const StateFolder&) = delete;
    StateFolder& operator=(const StateFolder&) = delete;

    fs::path operator/(const std::string& name) const { return path_ / name; }

private:
    fs::path path_;
};

void write_content(const fs::path& path, const Content& content) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), path.string());
    const std::string& bytes = content.bytes();
    size_t done = 0;
    int error_number = 0;
    while (done < bytes.size() && error_number == 0) {
        const ssize_t written = ::write(descriptor, bytes.data() + done, bytes.size() - done);
        if (written < 0) error_number = errno;
        if (written > 0) done += static_cast<size_t>(written);
    }
    if (error_number == 0 && content.size() > bytes.size() &&
        ::ftruncate(descriptor, static_cast<off_t>(content.size())) != 0) {
        error_number = errno;
    }
    ::close(descriptor);
    if (error_number != 0) throw std::system_error(error_number, std::generic_category(), path.string());
}

/// Cuts of a plan, ascending: where, and how many states of some of the unsynced.
std::map<size_t, int> cuts_of(const std::vector<CrashOperation>& operations, const CrashPlan& plan) {
    std::map<size_t, int> cuts;
    size_t start = 0;
    for (size_t index = 0; index < operations.size(); ++index) {
        const Kind kind = operations[index].kind;
        if (kind == Kind::all_durable) start = index + 1;
        if (!plan.barriers) continue;
        if (kind == Kind::all_durable || is_sync(kind) || kind == Kind::mark) cuts[index + 1] = plan.states_per_barrier;
        if (is_sync(kind)) cuts[index] = plan.states_per_barrier;
    }
    std::mt19937_64 random(mixed(plan.seed));
    for (int i = 0; i < plan.random_cuts; ++i) {
        cuts[start + random() % (operations.size() - start + 1)] += plan.states_per_random_cut;
    }
    return cuts;
}

}  // namespace

std::string read_whole_file(const fs::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), path.string());
    std::string content;
    char buffer[1 << 16];
    ssize_t count = 0;
    while ((count = ::read(descriptor, buffer, sizeof buffer)) > 0) content.append(buffer, static_cast<size_t>(count));
    ::close(descriptor);
    return content;
}

std::vector<std::string> CrashTrace::sync_classes() const {
    std::set<std::string> classes;
    for (const CrashOperation& operation : *operations_) {
        if (is_sync(operation.kind)) classes.insert(sync_class(operation));
    }
    return {classes.begin(), classes.end()};
}

CrashTrace CrashTrace::without_sync(const std::function<bool(const std::string& sync_class)>& left_out) const {
    CrashTrace trace = *this;
    for (size_t index = 0; index < operations_->size(); ++index) {
        const CrashOperation& operation = (*operations_)[index];
        if (is_sync(operation.kind) && left_out(sync_class(operation))) trace.left_out_[index] = true;
    }
    return trace;
}

int64_t CrashTrace::visit(const CrashPlan& plan, const std::function<bool(const CrashState&)>& visitor) const {
    const std::vector<CrashOperation>& operations = *operations_;
    const StateFolder folder;
    Disk disk(operations, left_out_);
    std::unordered_set<uint64_t> seen;
    std::vector<std::string> marks;
    size_t marked = 0;
    int64_t shown = 0;
    for (const auto& [cut, random_states] : cuts_of(operations, plan)) {
        disk.advance(cut);
        for (; marked < cut; ++marked) {
            if (operations[marked].kind == Kind::mark) marks.push_back(operations[marked].path);
        }
        std::vector<StateKind> kinds = {{Choice::none, Choice::none, "only what is synced"},
                                        {Choice::all, Choice::all, "everything"},
                                        {Choice::all, Choice::none, "all names, synced data"},
                                        {Choice::none, Choice::all, "synced names, all data"}};
        for (int i = 0; i < random_states; ++i)
            kinds.push_back({Choice::random, Choice::random, "some of the unsynced"});
        for (size_t number = 0; number < kinds.size(); ++number) {
            std::mt19937_64 random(mixed(plan.seed ^ mixed(cut ^ mixed(number))));
            const auto entries = disk.state(kinds[number], plan.names_in_any_order, random);
            uint64_t digest = mixed(marks.size());
            for (const auto& [path, content] : entries) {
                digest = mixed(digest ^ std::hash<std::string>()(path));
                if (content) digest = mixed(digest ^ content->digest());
            }
            if (!seen.insert(digest).second) continue;

            CrashState state;
            state.folder = folder / std::to_string(shown);
            state.marks = marks;
            state.description = "power cut after operation " + std::to_string(cut) + " of " +
                                std::to_string(operations.size()) +
                                (cut > 0 ? " (" + text_of(operations[cut - 1]) + ")" : "") + ", " + kinds[number].text +
                                ", state " + std::to_string(number) + ", seed " + std::to_string(plan.seed);
            fs::create_directory(state.folder);
            for (const auto& [path, content] : entries) {
                if (content) {
                    write_content(state.folder / path, *content);
                } else {
                    fs::create_directory(state.folder / path);
                }
            }
            ++shown;
            const bool go_on = visitor(state);
            std::error_code ignored;
            fs::remove_all(state.folder, ignored);
            if (!go_on) return shown;
        }
    }
    return shown;
}

std::vector<std::string> CrashTrace::differences_from(const fs::path& folder) const {
    Disk disk(*operations_, left_out_);
    disk.advance(operations_->size());
    std::mt19937_64 random;
    auto entries = disk.state({Choice::all, Choice::all, ""}, false, random);
    std::vector<std::string> differences;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        const std::string path = entry.path().lexically_relative(folder).string();
        if (is_shared_memory(path)) continue;
        const auto found = entries.find(path);
        if (found == entries.end()) {
            differences.push_back(path + ": is there, but nobody made it");
            continue;
        }
        const std::shared_ptr<const Content> content = found->second;
        entries.erase(found);
        if (entry.is_directory() != !content) {
            differences.push_back(path + ": a file in the place of a folder or the other way round");
        } else if (content) {
            std::string expected = content->bytes();
            expected.resize(static_cast<size_t>(content->size()));
            if (read_whole_file(entry.path()) != expected) differences.push_back(path + ": has another content");
        }
    }
    for (const auto& [path, content] : entries) differences.push_back(path + ": is not there");
    return differences;
}

int64_t CrashTrace::size() const {
    return static_cast<int64_t>(operations_->size());
}

std::string CrashTrace::describe() const {
    std::string text;
    for (size_t index = 0; index < operations_->size(); ++index) {
        text += std::to_string(index + 1) + " " + text_of((*operations_)[index]);
        text += left_out_[index] ? " (left out)\n" : "\n";
    }
    return text;
}

}  // namespace reelstore
