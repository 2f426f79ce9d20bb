#include "store/trim.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string_view>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_name.h"
#include "base/file_system.h"
#include "base/json.h"
#include "store/chunk_sidecar.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/metadata.h"
#include "store/store_contents.h"
#include "store/store_lock.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr double kSecondsPerDay = 86400;
/// Digits in the name of a chunk.
constexpr size_t kLeastDigits = 6;
/// How long a writer may take over steps in which it has its index for itself.
constexpr double kPatienceSeconds = 5;
constexpr std::chrono::milliseconds kBetweenTries{20};
/// A writer gets its turn between two chunks.
constexpr double kLeastPauseSeconds = 0.01;

const double kNoTime = std::numeric_limits<double>::quiet_NaN();

bool is_link(const fs::path& path) {
    std::error_code error;
    return fs::is_symlink(fs::symlink_status(path, error));
}

bool all_digits(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// The name without what says that a repair has kept the file aside or a writer had not finished it.
std::string_view without_aside(std::string_view name) {
    for (const std::string_view suffix : {".before_repair", ".uncommitted"}) {
        const size_t place = name.rfind(suffix);
        if (place == std::string_view::npos) continue;
        const std::string_view number = name.substr(place + suffix.size());
        if (number.empty() || (number.front() == '.' && all_digits(number.substr(1)))) return name.substr(0, place);
    }
    return name.ends_with(".tmp") ? name.substr(0, name.size() - 4) : name;
}

/// What belongs to each chunk on the disk. Names are those that were there when it was made.
class ChunkFiles {
public:
    ChunkFiles(const StoreLayout& layout, std::string extension) : layout_(layout), extension_(std::move(extension)) {
        for (const std::string& name : file_system().list(layout.folder())) {
            const std::optional<ChunkFileName> split = split_chunk_file_name(name);
            if (split && in_store_folder(split->rest)) names_[split->chunk].push_back(name);
        }
    }

    /// Bytes of the chunk's files; `recorded_media` those of its images, if that is known.
    uint64_t bytes(int64_t chunk, uint64_t recorded_media) const {
        const bool count_images = layout_.kind() != ChunkKind::folder || recorded_media == 0;
        uint64_t sum = count_images ? 0 : recorded_media;
        for (const Entry& entry : entries(chunk)) {
            if (entry.rank != kMedia || count_images) sum += file_system().status(entry.path).size;
        }
        return sum;
    }

    /// Whether anything of the chunk's is there.
    bool any(int64_t chunk) const {
        if (!entries(chunk).empty()) return true;
        const fs::path folder = layout_.media(chunk);
        return is_own_folder(folder) && file_system().list(folder).empty();
    }

    /// In the order of spec/durability.md, and durably. What does not belong to the store stays, and what a link leads
    /// to; said in `notes`.
    void remove(int64_t chunk, std::vector<std::string>& notes) const {
        for (const Entry& entry : entries(chunk)) remove_file(entry.path);
        const fs::path folder = layout_.media(chunk);
        if (is_own_folder(folder)) {
            if (const auto strays = file_system().list(folder); !strays.empty()) {
                notes.push_back(fmt::format("{}: stays, because {} in it does not belong to the store", folder.string(),
                                            strays.front()));
            } else {
                remove_file(folder);
            }
        }
        file_system().sync_folder(layout_.folder());
    }

    /// Chunks with lower numbers of which there is anything.
    std::vector<int64_t> chunks_before(int64_t limit) const {
        std::vector<int64_t> chunks;
        for (const auto& [chunk, names] : names_) {
            if (chunk < limit && any(chunk)) chunks.push_back(chunk);
        }
        return chunks;
    }

private:
    /// What goes first: a chunk without a sidecar is none to readers without an index.
    enum Rank { kSidecar, kExtraData, kMedia };
    struct Entry {
        fs::path path;
        Rank rank;
    };

    bool in_store_folder(const std::string& rest) const {
        if (layout_.kind() == ChunkKind::folder)
            return rest.empty() || rest == ".extra_data.json" || rest == ".extra_data.h5";
        const std::string_view plain = without_aside(rest);
        return plain == extension_ || is_companion(plain);
    }

    static bool is_companion(std::string_view rest) {
        constexpr std::array<std::string_view, 5> kCompanions = {".npz", ".yaml", ".extra.json", ".extra_data.json",
                                                                 ".extra_data.h5"};
        return std::find(kCompanions.begin(), kCompanions.end(), rest) != kCompanions.end();
    }

    bool in_chunk_folder(const std::string& name) const {
        const std::string_view plain = without_aside(name);
        if (plain.starts_with("index")) return is_companion(plain.substr(5));
        return plain.ends_with(extension_) && plain.size() >= kLeastDigits + extension_.size() &&
               all_digits(plain.substr(0, plain.size() - extension_.size()));
    }

    static Rank rank_of(const std::string& name) {
        if (name.ends_with(".npz") || name.ends_with(".yaml")) return kSidecar;
        return name.find(".extra") != std::string::npos ? kExtraData : kMedia;
    }

    static bool is_own_folder(const fs::path& path) {
        return !is_link(path) && file_system().status(path).kind == FileKind::folder;
    }

    std::vector<Entry> entries(int64_t chunk) const {
        std::vector<Entry> found;
        const auto names = names_.find(chunk);
        if (names == names_.end()) return found;
        for (const std::string& name : names->second) {
            const fs::path path = layout_.folder() / name;
            if (is_own_folder(path)) {
                // One in the place of a file is not the store's.
                if (layout_.kind() == ChunkKind::folder) add_content(path, found);
            } else if (is_link(path) || file_system().status(path).kind != FileKind::missing) {
                found.push_back({path, rank_of(name)});
            }
        }
        std::stable_sort(found.begin(), found.end(), [](const Entry& a, const Entry& b) { return a.rank < b.rank; });
        return found;
    }

    void add_content(const fs::path& folder, std::vector<Entry>& found) const {
        for (const std::string& name : file_system().list(folder)) {
            if (in_chunk_folder(name) && !is_own_folder(folder / name))
                found.push_back({folder / name, name.starts_with("index") ? rank_of(name) : kMedia});
        }
    }

    static void remove_file(const fs::path& path) {
        try {
            file_system().remove(path);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::not_found) throw;
        }
    }

    const StoreLayout& layout_;
    std::string extension_;
    std::map<int64_t, std::vector<std::string>> names_;
};

void check_options(const TrimOptions& options) {
    const auto fail = [](const char* message) { throw Error(ErrorCode::invalid_argument, message); };
    if (options.keep_days.has_value() + options.keep_bytes.has_value() + options.before.has_value() != 1)
        fail("say what is kept by exactly one of days, bytes and a time");
    if (options.keep_days && !(*options.keep_days > 0 && std::isfinite(*options.keep_days)))
        fail("the days to be kept must be a number above 0");
    if (options.keep_bytes && *options.keep_bytes == 0) fail("the bytes to be kept must be above 0");
    if (options.before && !std::isfinite(*options.before)) fail("the time must be a finite number of seconds");
}

/// Which chunks of a frame table go.
class Selection {
public:
    /// `on_disk` is asked for chunks that the table does not know, `first_kept` where it begins.
    Selection(const FrameTable& table, const StoreLayout& layout, const ChunkFiles& files, int64_t first_kept,
              const TrimOptions& options)
        : table_(table), layout_(layout), options_(options) {
        table.visit_chunks([&](const ChunkRow& chunk) {
            chunks_.push_back(chunk);
            plan_.bytes_kept += sizes_.emplace_back(files.bytes(chunk.chunk, chunk.media_bytes));
            plan_.frames_kept += chunk.frame_count;
            return true;
        });
        plan_.chunks_kept = static_cast<int64_t>(chunks_.size());
        find_unknown(first_kept);
        choose();
        describe();
        refuse();
    }

    const TrimPlan& plan() const { return plan_; }
    /// In order.
    std::vector<int64_t> chunks() const {
        std::vector<int64_t> numbers;
        for (size_t i = 0; i < count_; ++i) numbers.push_back(chunks_[i].chunk);
        return numbers;
    }

private:
    void note(const std::string& text) { plan_.notes.push_back(text); }

    /// Of chunks that nobody knows nobody can say how old they are.
    void find_unknown(int64_t first_kept) {
        for (const StoreLayout::Chunk& chunk : layout_.chunks()) {
            if (chunk.number < first_kept || table_.find_chunk(chunk.number)) continue;
            try {
                const std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(layout_, chunk.number);
                if (sidecar && sidecar->numbers.empty()) continue;
            } catch (const Error& error) {
                if (error.code() == ErrorCode::io) throw;
            }
            unknown_ = chunk.number;
            return;
        }
    }

    void choose() {
        // The last chunk with frames stays, and what is behind it.
        size_t most = chunks_.size();
        while (most > 0 && chunks_[most - 1].frame_count == 0) --most;
        if (most > 0) --most;
        if (options_.keep_days && plan_.frames_kept > 0) {
            newest_ = table_.row(plan_.frames_kept - 1).value().time;
            if (std::isnan(newest_))
                throw Error(ErrorCode::invalid_argument, {layout_.folder().string(), {}, plan_.frames_kept - 1},
                            "the frame recorded last has no time to count days from; say which frames go by "
                            "`--before` or `--keep-bytes`");
            limit_ = newest_ - *options_.keep_days * kSecondsPerDay;
        } else if (options_.before) {
            limit_ = *options_.before;
        }
        uint64_t bytes = plan_.bytes_kept;
        while (count_ < most && wanted(chunks_[count_], bytes) && allowed(count_)) bytes -= sizes_[count_++];
        if (options_.keep_bytes && bytes > *options_.keep_bytes)
            note(
                fmt::format("{} bytes stay, more than {}: the last chunk and what keeps chunks from going are not "
                            "removed",
                            bytes, *options_.keep_bytes));
        note_stop(most);
    }

    bool wanted(const ChunkRow& chunk, uint64_t bytes_left) const {
        if (options_.keep_bytes) return bytes_left > *options_.keep_bytes;
        return chunk.frame_count == 0 || (chunk.time_max && *chunk.time_max < limit_);
    }

    bool allowed(size_t place) {
        const ChunkRow& chunk = chunks_[place];
        if (!chunk.closed) {
            note(
                fmt::format("chunk {} is not complete and stays, with everything behind it; `store repair` completes "
                            "it",
                            chunk.chunk));
            return false;
        }
        if (unknown_ && *unknown_ < chunks_[place + 1].chunk) {
            note(
                fmt::format("the frames of chunk {} are not known; it stays, with everything behind it; `store "
                            "repair` finds them",
                            *unknown_));
            return false;
        }
        if (!options_.keep_bytes && has_untimed(chunk)) {
            note(fmt::format("chunk {} has frames without a time and stays, with everything behind it", chunk.chunk));
            return false;
        }
        return true;
    }

    bool has_untimed(const ChunkRow& chunk) const {
        if (chunk.times_ascending) return false;
        bool found = false;
        table_.visit_rows(chunk.first_index, chunk.end_index(), [&](const FrameRow& row) {
            found = std::isnan(row.time);
            return !found;
        });
        return found;
    }

    /// Says when a chunk that is not old enough keeps older ones from going.
    void note_stop(size_t most) {
        if (options_.keep_bytes || count_ >= most || wanted(chunks_[count_], 0)) return;
        const ChunkRow& stop = chunks_[count_];
        const bool older_behind = std::any_of(
            chunks_.begin() + static_cast<std::ptrdiff_t>(count_), chunks_.begin() + static_cast<std::ptrdiff_t>(most),
            [&](const ChunkRow& chunk) { return chunk.frame_count > 0 && wanted(chunk, 0); });
        if (!older_behind) return;
        if (stop.time_max) {
            note(fmt::format("chunk {} has times up to {} and stays, with everything behind it, although that is older",
                             stop.chunk, utc_text(*stop.time_max)));
        } else {
            note(fmt::format("chunk {} has frames without a time and stays, with everything behind it", stop.chunk));
        }
    }

    void describe() {
        TrimmedChunks& removed = plan_.removed;
        removed.chunks = static_cast<int64_t>(count_);
        for (size_t i = 0; i < count_; ++i) {
            removed.frames += chunks_[i].frame_count;
            removed.bytes += sizes_[i];
        }
        plan_.chunks_kept -= removed.chunks;
        plan_.frames_kept -= removed.frames;
        plan_.bytes_kept -= removed.bytes;
        if (count_ == 0) return;
        removed.first_chunk = chunks_.front().chunk;
        removed.last_chunk = chunks_[count_ - 1].chunk;
        const std::optional<FrameRow> first = table_.row(0);
        const std::optional<FrameRow> last = table_.row(removed.frames - 1);
        if (!first || !last) return;
        removed.first_number = first->number;
        removed.last_number = last->number;
        removed.first_time = first->time;
        removed.last_time = last->time;
    }

    void refuse() {
        if (count_ == 0) return;
        const TrimmedChunks& removed = plan_.removed;
        const int64_t all = removed.frames + plan_.frames_kept;
        if (removed.frames * 2 > all) {
            plan_.refusal = fmt::format(
                "it would remove {} of {} frames, more than half (chunks {} to {}, numbers {} to {})", removed.frames,
                all, removed.first_chunk, removed.last_chunk, removed.first_number, removed.last_number);
        }
        if (options_.keep_days && rests_on_a_leap()) {
            plan_.refusal += fmt::format(
                "{}they are more than {} days old only because the times of the frames leap by more than that in one "
                "step: a clock that was set, or a pause",
                plan_.refusal.empty() ? fmt::format("it would remove {} frames, but ", removed.frames) : "; and ",
                *options_.keep_days);
        }
        if (!plan_.refusal.empty())
            plan_.refusal += options_.keep_days ? "; say `--force` if that is meant, or `--before` with a time"
                                                : "; say `--force` if that is meant";
    }

    /// Whether less than the days to be kept have passed behind the chunks that go, but for steps longer than that.
    bool rests_on_a_leap() const {
        const double most = *options_.keep_days * kSecondsPerDay;
        double before = plan_.removed.last_time;
        double passed = newest_ - before;
        const auto step_to = [&](double time) {
            if (std::abs(time - before) > most) passed -= time - before;
            before = time;
        };
        for (size_t i = count_; i < chunks_.size(); ++i) {
            const ChunkRow& chunk = chunks_[i];
            if (chunk.frame_count == 0) continue;
            if (chunk.times_ascending && *chunk.time_max - *chunk.time_min <= most) {
                step_to(*chunk.time_min);
                before = *chunk.time_max;
                continue;
            }
            table_.visit_rows(chunk.first_index, chunk.end_index(), [&](const FrameRow& row) {
                if (!std::isnan(row.time)) step_to(row.time);
                return true;
            });
        }
        return passed < most;
    }

    const FrameTable& table_;
    const StoreLayout& layout_;
    const TrimOptions& options_;
    std::vector<ChunkRow> chunks_;
    std::vector<uint64_t> sizes_;
    std::optional<int64_t> unknown_;  ///< the first chunk on the disk that the table lacks
    double newest_ = kNoTime;
    double limit_ = 0;
    size_t count_ = 0;  ///< of the first chunks go
    TrimPlan plan_;
};

Error with_advice(const Error& error, const char* advice) {
    return Error(error.code(), error.place(), error.message() + advice);
}

void add_advice_and_throw(const Error& error) {
    const bool damaged = error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported;
    if (damaged && error.message().find("run `store") == std::string::npos)
        throw with_advice(error, "; run `store repair` before chunks are removed");
    throw error;
}

/// Throws Error(corrupt) where the index of a store that nobody writes does not speak of the chunks that are there.
void check_index_fits(const FrameIndex& index, const StoreLayout& layout) {
    const ErrorPlace place{StoreLayout::index(layout.folder()).string(), {}, {}};
    if (!index.closed()) {
        if (lacks_complete_chunks(index, layout, layout.chunks()))
            throw Error(ErrorCode::corrupt, place,
                        "the index lacks the frames of complete chunks; run `store repair` before chunks are removed");
        return;
    }
    const std::optional<ChunkChanges> changes = find_changes(index, layout);
    if (changes && changes->stale())
        throw Error(ErrorCode::corrupt, place,
                    "chunks have been put in or changed since the index was made; run `store index` before chunks are "
                    "removed");
}

/// The writer's lock, unless a writer has it.
std::unique_ptr<StoreLock> try_store_lock(const fs::path& folder) {
    try {
        return std::make_unique<StoreLock>(folder, false);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::locked) throw;
        return nullptr;
    }
}

bool in_write_ahead_mode(const FrameIndex& index) {
    return index.database().query_text("PRAGMA journal_mode") == "wal";
}

void check_refusal(const TrimPlan& plan, const fs::path& folder, const TrimOptions& options) {
    if (!plan.refusal.empty() && !options.force)
        throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}}, "nothing was removed: " + plan.refusal);
}

/// A run that changes something.
class Trim {
public:
    Trim(const fs::path& store, const TrimOptions& options)
        : folder_(store_folder(store)),
          options_(options),
          metadata_(read_metadata(folder_)),  // what is no store gets no lock file
          layout_(folder_, metadata_.kind, metadata_.extension),
          trim_lock_(folder_),
          lock_(try_store_lock(folder_)) {}

    TrimResult run() {
        if (!is_file(StoreLayout::index(folder_))) make_index();
        open_index();
        const ChunkFiles files(layout_, metadata_.extension);
        const Selection selection(*index_, layout_, files, index_->first_kept_chunk(), options_);
        check_refusal(selection.plan(), folder_, options_);
        result_.notes.insert(result_.notes.end(), selection.plan().notes.begin(), selection.plan().notes.end());
        remove_leftovers(files);
        const std::vector<int64_t> chunks = selection.chunks();
        const auto all = static_cast<int64_t>(chunks.size());
        for (int64_t done = 0; done < all; ++done) {
            check_cancelled();
            if (options_.progress) options_.progress(done, all);
            const double begin = now_monotonic();
            if (!remove_chunk(chunks[static_cast<size_t>(done)], files)) break;
            if (!lock_) std::this_thread::sleep_for(pause_after(now_monotonic() - begin));
        }
        // Chunks without frames, which no index lists, go with those around them.
        remove_leftovers(files);
        finish_event();
        result_.leftovers = static_cast<int64_t>(leftovers_.size());
        if (options_.progress) options_.progress(all, all);
        close_index();
        return std::move(result_);
    }

private:
    void check_cancelled() const {
        if (options_.cancel.stop_requested())
            throw Error(ErrorCode::cancelled, {folder_.string(), {}, {}},
                        fmt::format("stopped after {} chunks; run it again to go on", result_.removed.chunks));
    }

    static std::chrono::duration<double> pause_after(double seconds) {
        return std::chrono::duration<double>(std::max(seconds, kLeastPauseSeconds));
    }

    /// Without an index nothing could say that a chunk has gone in one step.
    void make_index() {
        if (!lock_)
            throw Error(ErrorCode::locked, {folder_.string(), {}, {}},
                        "the store is being written by a program that keeps no index; trim it when that has finished");
        const IndexResult built = build_index(folder_, *lock_);
        result_.notes = built.warnings;
        result_.notes.push_back(fmt::format("index.sqlite was made first, of {} frames in {} chunks", built.frame_count,
                                            built.chunk_count));
    }

    void open_index() {
        const double give_up = now_monotonic() + kPatienceSeconds;
        for (;;) {
            try {
                index_ = FrameIndex::open(StoreLayout::index(folder_), metadata_.uuid, Database::Mode::read_write);
            } catch (const Error& error) {
                add_advice_and_throw(error);
            }
            // Beside a writer there must be a log, in which two can write by turns; it is made and ended by the writer.
            if (lock_ || in_write_ahead_mode(*index_)) break;
            index_.reset();
            if (now_monotonic() > give_up)
                throw Error(ErrorCode::locked, {folder_.string(), {}, {}},
                            "another program has the store for itself; try again when it has finished");
            std::this_thread::sleep_for(kBetweenTries);
            lock_ = try_store_lock(folder_);
        }
        const Database& database = index_->database();
        // Pages of rows that are gone need not be overwritten.
        database.execute("PRAGMA secure_delete = OFF");
        if (lock_) {
            check_index_fits(*index_, layout_);
        } else {
            // Two connections that fold the log in at the same moment can damage the database (spec/durability.md).
            database.execute("PRAGMA wal_autocheckpoint = 0");
        }
    }

    void remove_leftovers(const ChunkFiles& files) {
        for (const int64_t chunk : files.chunks_before(index_->first_kept_chunk())) {
            remove_files(chunk, files);
            if (std::find(leftovers_.begin(), leftovers_.end(), chunk) == leftovers_.end()) leftovers_.push_back(chunk);
        }
    }

    void remove_files(int64_t chunk, const ChunkFiles& files) {
        try {
            files.remove(chunk, result_.notes);
        } catch (const Error& error) {
            throw with_advice(error.at({{}, chunk, {}}),
                              "; the chunk is no part of the store any more, and the next `store trim --apply` removes "
                              "what is left of it");
        }
    }

    /// False when it must stay: since the plan was made its writer has opened it again.
    bool remove_chunk(int64_t chunk, const ChunkFiles& files) {
        const TrimmedChunks before = result_.removed;
        const uint64_t bytes = files.bytes(chunk, 0);
        try {
            if (!remove_rows(chunk)) return false;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::no_space) throw;
            // Nothing can be written, not even that there is less: then the files make room for it.
            files.remove(chunk, result_.notes);
            result_.removed = before;
            index_->reload();
            if (!remove_rows(chunk)) return false;
        }
        result_.removed.bytes += bytes;
        remove_files(chunk, files);
        return true;
    }

    bool remove_rows(int64_t number) {
        Transaction transaction(index_->database());
        index_->refresh();
        std::optional<ChunkRow> chunk;
        index_->visit_chunks([&](const ChunkRow& row) {
            chunk = row;
            return false;
        });
        if (!chunk || chunk->chunk != number || !chunk->closed) {
            result_.notes.push_back(fmt::format("chunk {} has been changed by its writer and stays", number));
            return false;
        }
        TrimmedChunks& removed = result_.removed;
        if (chunk->frame_count > 0) {
            const FrameRow first = index_->row(chunk->first_index).value();
            const FrameRow last = index_->row(chunk->end_index() - 1).value();
            if (removed.frames == 0) {
                removed.first_number = first.number;
                removed.first_time = first.time;
            }
            removed.last_number = last.number;
            removed.last_time = last.time;
        }
        if (removed.chunks++ == 0) removed.first_chunk = number;
        removed.last_chunk = number;
        removed.frames += chunk->frame_count;
        index_->remove_first_chunk();
        record_event();
        transaction.commit();
        return true;
    }

    /// One event a run, which grows with every chunk.
    void record_event() {
        const std::string data = event_data().dump();
        if (event_ && result_.removed.chunks > 1) {
            index_->set_event_data(*event_, data);
        } else {
            event_ = index_->add_event({now_utc(), "trimmed", index_->frame_count(), data});
        }
    }

    Json event_data() const {
        const TrimmedChunks& removed = result_.removed;
        Json data = {{"chunks", removed.chunks},
                     {"frames", removed.frames},
                     {"first_chunk", removed.first_chunk},
                     {"last_chunk", removed.last_chunk}};
        if (removed.frames > 0) {
            data["first_number"] = removed.first_number;
            data["last_number"] = removed.last_number;
            if (!std::isnan(removed.first_time)) data["first_time"] = removed.first_time;
            if (!std::isnan(removed.last_time)) data["last_time"] = removed.last_time;
        }
        return data;
    }

    /// Behind the files, so that the index is younger than its folder.
    void finish_event() {
        if (result_.removed.chunks == 0) return;
        Json data = event_data();
        data["bytes"] = result_.removed.bytes;
        Transaction transaction(index_->database());
        index_->set_event_data(event_.value(), data.dump());
        transaction.commit();
    }

    /// A writer that has finished meanwhile could not make one file of the index, because it was open here.
    void close_index() {
        const auto is_closed = [&] {
            index_->refresh();
            return index_->closed();
        };
        const bool closed = is_closed();
        if (!lock_) {
            index_.reset();
            const double give_up = now_monotonic() + kPatienceSeconds;
            do {
                lock_ = try_store_lock(folder_);
            } while (!lock_ && closed && now_monotonic() < give_up &&
                     (std::this_thread::sleep_for(kBetweenTries), true));
            if (!lock_) return;
            index_ = FrameIndex::open(StoreLayout::index(folder_), metadata_.uuid, Database::Mode::read_write);
        }
        if (is_closed() && in_write_ahead_mode(*index_)) index_->use_write_ahead_log(false);
        index_.reset();
    }

    fs::path folder_;
    TrimOptions options_;
    StoreMetadata metadata_;
    StoreLayout layout_;
    TrimLock trim_lock_;
    std::unique_ptr<StoreLock> lock_;  ///< null: beside a writer
    std::unique_ptr<FrameIndex> index_;
    std::optional<int64_t> event_;
    std::vector<int64_t> leftovers_;
    TrimResult result_;
};

}  // namespace

TrimPlan plan_trim(const fs::path& store, const TrimOptions& options) {
    check_options(options);
    const fs::path folder = store_folder(store);
    const StoreMetadata metadata = read_metadata(folder);
    const StoreLayout layout(folder, metadata.kind, metadata.extension);
    if (!is_file(StoreLayout::index(folder))) {
        std::vector<std::string> warnings;
        const OpenedSidecars sidecars = open_sidecars(layout, warnings);
        const ChunkFiles files(layout, metadata.extension);
        TrimPlan plan = Selection(*sidecars.table, layout, files, 0, options).plan();
        plan.notes.insert(plan.notes.begin(), warnings.begin(), warnings.end());
        if (plan.removed.chunks > 0)
            plan.notes.push_back("the store has no index.sqlite; one is made first, which reads through all media");
        return plan;
    }
    std::unique_ptr<FrameIndex> index;
    try {
        index = open_index_to_read(folder, metadata);
    } catch (const Error& error) {
        add_advice_and_throw(error);
    }
    if (!StoreLock::held(folder)) check_index_fits(*index, layout);
    const ChunkFiles files(layout, metadata.extension);
    const int64_t first_kept = index->first_kept_chunk();
    TrimPlan plan = Selection(*index, layout, files, first_kept, options).plan();
    plan.leftovers = static_cast<int64_t>(files.chunks_before(first_kept).size());
    return plan;
}

TrimResult apply_trim(const fs::path& store, const TrimOptions& options) {
    // Where there is nothing to do not even a lock is left in the folder's time, by which readers tell whether their
    // index has fallen behind.
    const TrimPlan plan = plan_trim(store, options);
    if (plan.removed.chunks == 0 && plan.leftovers == 0) return {{}, 0, plan.notes};
    check_refusal(plan, store, options);
    return Trim(store, options).run();
}

}  // namespace reelstore
