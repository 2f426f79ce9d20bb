#include "store/repair.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_name.h"
#include "base/file_system.h"
#include "codecs/media_file.h"
#include "codecs/video/demuxer.h"
#include "store/chunk_sidecar.h"
#include "store/extra_data_file.h"
#include "store/finish_chunk.h"
#include "store/frame_index.h"
#include "store/index_check.h"
#include "store/salvage_chunk.h"
#include "store/store_contents.h"
#include "store/store_lock.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr std::array<const char*, 5> kKindNames = {"finish", "sidecar", "extra_data", "salvage", "index"};

constexpr const char* kNoEnd = "its end is missing";

std::string frames_text(int64_t frames) {
    return fmt::format("{} {}", frames, frames == 1 ? "frame" : "frames");
}

/// A planned action with what it takes to do it.
struct Step {
    RepairAction action;
    /// Does it and sets what was really kept and lost. Null: part of the step before.
    std::function<void(RepairAction& action, RepairResult& result)> apply;
};

/// What is to be done to one store.
class Repair {
public:
    /// `lock` null: only to plan.
    Repair(const fs::path& store, const RepairOptions& options, const StoreLock* lock)
        : folder_(store_folder(store)),
          options_(options),
          lock_(lock),
          metadata_(read_metadata(folder_)),
          layout_(folder_, metadata_.kind, metadata_.extension) {
        open_index();
        on_disk_ = layout_.chunks();
        if (index_) {
            plan_indexed();
        } else {
            plan_without_index();
        }
        plan_reserve();
        plan_index();
    }

    RepairPlan plan() const {
        RepairPlan plan;
        for (const Step& step : steps_) plan.actions.push_back(step.action);
        plan.problems = problems_;
        return plan;
    }

    RepairResult apply() {
        RepairResult result;
        result.problems = problems_;
        if (steps_.empty()) return result;
        if (index_) {
            index_.reset();
            index_ = FrameIndex::open(StoreLayout::index(folder_), metadata_.uuid, Database::Mode::read_write);
            index_->use_write_ahead_log(true);
        }
        const auto all = static_cast<int64_t>(steps_.size());
        for (Step& step : steps_) {
            if (options_.cancel.stop_requested())
                throw Error(ErrorCode::cancelled, {folder_.string(), {}, {}}, "the repair was stopped; run it again");
            if (options_.progress) options_.progress(static_cast<int64_t>(result.done.size()), all);
            step.apply(step.action, result);
            result.done.push_back(step.action);
        }
        settle();
        if (options_.progress) options_.progress(all, all);
        return result;
    }

private:
    bool wanted(RepairKind kind, std::optional<int64_t> chunk) const {
        if (!options_.only.empty() && !options_.only.contains(kind)) return false;
        // The index is planned for a single chunk only where that needs it.
        return !options_.chunk || options_.chunk == chunk || kind == RepairKind::index;
    }

    void add(RepairAction action, std::function<void(RepairAction&, RepairResult&)> apply) {
        if (wanted(action.kind, action.chunk)) steps_.push_back({std::move(action), std::move(apply)});
    }

    void problem(const fs::path& path, int64_t chunk, const std::string& text) {
        if (!options_.chunk || options_.chunk == chunk)
            problems_.push_back(fmt::format("{}: chunk {}: {}", path.string(), chunk, text));
    }

    void open_index() {
        const fs::path path = StoreLayout::index(folder_);
        if (!is_file(path)) {
            if (!metadata_.writer.empty()) index_trouble_ = "it is missing";
            return;
        }
        had_index_ = true;
        try {
            index_ = open_index_to_read(folder_, metadata_);
            // A damaged page shows only when it is read.
            const std::vector<WrongSummary> wrong = find_wrong_summaries(*index_);
            if (!wrong.empty())
                index_trouble_ = fmt::format("chunk {}: {}", wrong.front().chunk, wrong.front().message);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt) throw;
            index_.reset();
            index_trouble_ = error.what();
        }
    }

    // ---- a store whose index can be read

    void plan_indexed() {
        index_->visit_chunks([&](const ChunkRow& chunk) {
            if (sidecar_knows_more(chunk)) {
                stale_ = true;
            } else if (!chunk.closed) {
                plan_finish(chunk, "its writer was ended before it could complete the chunk");
            } else if (chunk.frame_count > 0) {
                plan_closed(chunk);
            }
            return true;
        });
        std::vector<int64_t> uncommitted;
        // In a store that was closed, what nobody knows is not the end of a recording.
        if (!index_->closed()) uncommitted = uncommitted_chunks(*index_, layout_);
        for (const StoreLayout::Chunk& chunk : on_disk_) {
            // What a trim has not come to remove is no part of the store.
            if (chunk.number < index_->first_kept_chunk() || index_->find_chunk(chunk.number)) continue;
            if (std::find(uncommitted.begin(), uncommitted.end(), chunk.number) == uncommitted.end()) {
                plan_unknown(chunk);
            } else {
                plan_aside(chunk.number);
            }
        }
        if (!index_->closed() && steps_.empty() && !stale_ && !unknown_chunks_ && wanted(RepairKind::finish, {})) {
            add({.kind = RepairKind::finish,
                 .path = StoreLayout::index(folder_),
                 .what = "mark the store as closed",
                 .why = "its writer was ended before it could",
                 .keeps = frames_text(index_->frame_count())},
                [](RepairAction&, RepairResult&) {});
        }
    }

    void plan_aside(int64_t chunk) {
        add({.kind = RepairKind::finish,
             .chunk = chunk,
             .path = layout_.media(chunk),
             .what = "put aside what was written of the chunk",
             .why = "its writer was ended before it committed a frame of it",
             .keeps = "the bytes, under another name"},
            [this, chunk](RepairAction&, RepairResult& result) {
                const FinishedChunk finished = set_chunk_aside(*index_, layout_, metadata_, chunk);
                result.notes.insert(result.notes.end(), finished.notes.begin(), finished.notes.end());
            });
    }

    void plan_reserve() {
        if (const fs::path reserve = StoreLayout::reserve(folder_); is_file(reserve)) {
            add({.kind = RepairKind::finish,
                 .path = reserve,
                 .what = "give the disk space free that the writer held back",
                 .why = "its writer was ended before it could",
                 .keeps = "everything: the file holds nothing"},
                [reserve](RepairAction&, RepairResult&) { file_system().remove(reserve); });
        }
    }

    void plan_finish(const ChunkRow& chunk, const std::string& why) {
        add({.kind = RepairKind::finish,
             .chunk = chunk.chunk,
             .path = layout_.media(chunk.chunk),
             .what = "complete the chunk from the index",
             .why = why,
             .keeps = frames_text(chunk.frame_count)},
            [this, number = chunk.chunk](RepairAction& action, RepairResult& result) {
                const FinishedChunk finished = complete_chunk(*index_, layout_, metadata_, number);
                action.keeps = frames_text(finished.frames_kept);
                if (finished.frames_lost > 0) action.loses = frames_text(finished.frames_lost);
                result.notes.insert(result.notes.end(), finished.notes.begin(), finished.notes.end());
            });
    }

    void plan_closed(const ChunkRow& chunk) {
        const fs::path media = layout_.media(chunk.chunk);
        const FileKind kind = file_system().status(media).kind;
        if (kind == FileKind::missing) {
            problem(media, chunk.chunk, fmt::format("the media of {} are missing", frames_text(chunk.frame_count)));
        } else if (layout_.kind() == ChunkKind::file && chunk.has_stream) {
            plan_damaged_media(chunk, media);
        }
        plan_sidecar(chunk);
        plan_extra_data_of_index(chunk);
    }

    void plan_damaged_media(const ChunkRow& chunk, const fs::path& media) {
        const std::string container = container_of(media);
        const std::unique_ptr<File> file = file_system().open(media, OpenMode::read);
        if (media_complete(*file, container)) return;
        const std::shared_ptr<const PacketTable> table = index_->packet_table(chunk.chunk);
        if (!table) return;
        const PacketCheck check = check_packets(*file, *table);
        // A streamed mkv never has its sizes filled in, and can be opened all the same.
        if (check.missing == 0 && !needs_completion(container)) return;
        if (check.damaged + check.missing == chunk.frame_count) {
            problem(media, chunk.chunk, fmt::format("nothing of its {} is left", frames_text(chunk.frame_count)));
            return;
        }
        plan_finish(chunk, "the file was cut off or damaged");
    }

    bool sidecar_knows_more(const ChunkRow& chunk) const {
        try {
            const std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(layout_, chunk.chunk);
            return sidecar && static_cast<int64_t>(sidecar->numbers.size()) > chunk.frame_count;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::io) throw;
            return false;
        }
    }

    void plan_sidecar(const ChunkRow& chunk) {
        std::string why;
        try {
            const std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(layout_, chunk.chunk);
            if (sidecar && static_cast<int64_t>(sidecar->numbers.size()) == chunk.frame_count) return;
            why = sidecar ? fmt::format("it has the numbers of {}, the index of {}",
                                        frames_text(static_cast<int64_t>(sidecar->numbers.size())), chunk.frame_count)
                          : "it is missing";
        } catch (const Error& error) {
            why = error.message();
        }
        if (file_system().status(layout_.sidecar(chunk.chunk).parent_path()).kind != FileKind::folder) return;
        add({.kind = RepairKind::sidecar,
             .chunk = chunk.chunk,
             .path = layout_.sidecar(chunk.chunk),
             .what = "write the numbers and times anew from the index",
             .why = why,
             .keeps = fmt::format("numbers and times of {}", frames_text(chunk.frame_count))},
            [this, number = chunk.chunk](RepairAction&, RepairResult& result) {
                keep(layout_.sidecar(number), result);
                ChunkSidecar sidecar = sidecar_of(*index_, number);
                index_->visit_events([&](const EventRow& event) {
                    sidecar.synthetic = sidecar.synthetic || synthetic_chunk_of(event) == number;
                    return true;
                });
                write_chunk_sidecar(layout_, number, metadata_, sidecar);
            });
    }

    void plan_extra_data_of_index(const ChunkRow& chunk) {
        size_t records = 0;
        index_->visit_extra_data(chunk.first_index, chunk.first_index + chunk.frame_count,
                                 [&](const ExtraDataRow&) { return ++records > 0; });
        const fs::path path = layout_.extra_data(chunk.chunk);
        const std::vector<fs::path> files = layout_.extra_data_files(chunk.chunk);
        if (files.empty() ? records == 0 : files != std::vector{path}) return;
        std::string why = "it is missing";
        if (!files.empty()) {
            const auto [readable, damage] = readable_records(path);
            if (damage.empty() && readable >= records) return;
            // What is in the file alone is not in the index' records.
            if (readable > records) return plan_extra_data_file(path, chunk.chunk);
            why = damage.empty() ? fmt::format("it has {} records, the index {}", readable, records) : damage;
        }
        add({.kind = RepairKind::extra_data,
             .chunk = chunk.chunk,
             .path = path,
             .what = "write the extra data anew from the index",
             .why = why,
             .keeps = fmt::format("{} records", records)},
            [this, path, number = chunk.chunk](RepairAction&, RepairResult& result) {
                keep(path, result);
                write_extra_data_file(*index_, layout_, number);
            });
    }

    /// A chunk that the index does not know: a writer was ended before the first commit, or its numbers and times were
    /// lost when the index was made.
    void plan_unknown(const StoreLayout::Chunk& chunk) {
        if (has_readable_sidecar(chunk.number)) {
            // A chunk without frames is not listed.
            if (!read_chunk_sidecar(layout_, chunk.number)->numbers.empty()) unknown_chunks_ = true;
        } else if (chunk.has_media) {
            plan_salvage(chunk.number);
        } else {
            problem(layout_.sidecar(chunk.number), chunk.number, "is damaged, and there are no media");
        }
    }

    // ---- a store without an index

    void plan_without_index() {
        for (const StoreLayout::Chunk& chunk : on_disk_) {
            const bool readable = has_readable_sidecar(chunk.number);
            if (!chunk.has_media) {
                problem(layout_.media(chunk.number), chunk.number, "the media are missing");
            } else if (!readable || cut_off(chunk.number)) {
                plan_salvage(chunk.number);
            }
            const fs::path extra_data = layout_.extra_data(chunk.number);
            if (is_file(extra_data) && !readable_records(extra_data).second.empty())
                plan_extra_data_file(extra_data, chunk.number);
        }
    }

    /// An mp4 without its end, which nothing can open, or a packed array that was not completed.
    bool cut_off(int64_t chunk) const {
        const fs::path media = layout_.media(chunk);
        return layout_.kind() == ChunkKind::file && needs_completion(container_of(media)) && is_file(media) &&
               !media_complete(*file_system().open(media, OpenMode::read), container_of(media));
    }

    bool has_readable_sidecar(int64_t chunk) const {
        try {
            return read_chunk_sidecar(layout_, chunk).has_value();
        } catch (const Error& error) {
            if (error.code() == ErrorCode::io) throw;
            return false;
        }
    }

    /// Records that can be read from an extra data file, and what is wrong with it.
    static std::pair<size_t, std::string> readable_records(const fs::path& path) {
        try {
            size_t records = 0;
            const ExtraDataFacts file = visit_extra_data_file(path, [&](Json&) { ++records; });
            if (!file.warnings.empty()) return {records, file.warnings.front()};
            return {records, extra_data_is_closed(path) ? "" : kNoEnd};
        } catch (const Error& error) {
            if (error.code() == ErrorCode::io) throw;
            return {0, error.what()};
        }
    }

    void plan_extra_data_file(const fs::path& path, int64_t chunk) {
        const auto [count, damage] = readable_records(path);
        add({.kind = RepairKind::extra_data,
             .chunk = chunk,
             .path = path,
             .what = "write the records that can be read anew",
             .why = damage,
             .keeps = fmt::format("{} records", count),
             .loses = damage == kNoEnd ? "" : "what is damaged"},
            [this, path](RepairAction&, RepairResult& result) {
                const Json records = readable_json(path);
                keep(path, result);
                std::string text;
                for (const Json& record : records) {
                    if (!text.empty()) text += ", ";
                    text += record.dump(-1, ' ', true);
                }
                write_file_atomically(path, "[" + text + "]");
            });
    }

    static Json readable_json(const fs::path& path) {
        Json records = Json::array();
        try {
            for (Json& record : read_extra_data_file(path).records) records.push_back(std::move(record));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt) throw;
        }
        return records;
    }

    SalvageHints hints() {
        if (!hints_) {
            hints_.emplace();
            if (options_.like) {
                hints_->like = Demuxer(*options_.like).stream();
            } else {
                if (index_) {
                    index_->visit_chunks([&](const ChunkRow& chunk) {
                        if (chunk.has_stream && !hints_->like) hints_->like = index_->stream(chunk.chunk);
                        return !hints_->like;
                    });
                }
                if (!hints_->like) hints_->like = sibling_stream(layout_);
            }
        }
        return *hints_;
    }

    void plan_salvage(int64_t chunk) {
        if (!wanted(RepairKind::salvage, chunk)) return;
        auto found = std::make_shared<SalvageableChunk>();
        try {
            *found = find_salvageable(layout_, metadata_, chunk, hints());
        } catch (const Error& error) {
            if (error.code() == ErrorCode::io) throw;
            problems_.push_back(error.what());
            return;
        }
        // An empty chunk that imgstore's writer left is nothing to be mended.
        if (found->frames == 0 && layout_.kind() == ChunkKind::folder && found->torn.empty()) return;
        salvages_ = true;
        std::string loses = found->left_over;
        bool numbered = false;
        if (has_readable_sidecar(chunk)) {
            numbered = true;
            const auto listed = static_cast<int64_t>(read_chunk_sidecar(layout_, chunk)->numbers.size());
            if (listed > found->frames) loses = frames_text(listed - found->frames);
        } else if (found->frames > 0) {
            loses = "numbers and times" + (loses.empty() ? "" : "; " + loses);
        }
        const char* what = "find the frames in the file";
        if (!numbered) what = "find the frames in the file and guess their numbers and times";
        if (found->media_complete) what = "guess the numbers and times of the frames";
        add({.kind = RepairKind::salvage,
             .chunk = chunk,
             .path = layout_.media(chunk),
             .what = what,
             .why = found->media_complete ? "there is no readable file with numbers and times"
                                          : "the file is not complete",
             .keeps = frames_text(found->frames),
             .loses = loses},
            [this, chunk, found](RepairAction& action, RepairResult& result) {
                const std::vector<std::string> notes = salvage_chunk(layout_, metadata_, chunk, *found);
                result.notes.insert(result.notes.end(), notes.begin(), notes.end());
                const std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(layout_, chunk);
                if (sidecar && !sidecar->synthetic && action.loses.starts_with("numbers"))
                    action.loses = found->left_over;
            });
    }

    // ---- the index

    void plan_index() {
        std::string why = index_trouble_;
        if (why.empty() && stale_) why = "it lacks frames that the chunks' sidecars have";
        if (why.empty() && unknown_chunks_) why = "it lacks chunks that are there";
        if (why.empty() && salvages_ && had_index_) why = "it lacks the chunks that were salvaged";
        if (why.empty() || (options_.chunk && !salvages_)) return;
        add({.kind = RepairKind::index,
             .path = StoreLayout::index(folder_),
             .what = "build the index anew from the chunks",
             .why = why,
             .keeps = "everything that the chunks hold"},
            [this](RepairAction& action, RepairResult& result) {
                settle();
                const IndexResult built = build_index(folder_, *lock_);
                action.keeps = fmt::format("{} in {} chunks", frames_text(built.frame_count), built.chunk_count);
                if (built.chunks_left_out > 0) action.loses = fmt::format("{} chunks", built.chunks_left_out);
                result.notes.insert(result.notes.end(), built.warnings.begin(), built.warnings.end());
            });
    }

    void keep(const fs::path& path, RepairResult& result) const {
        if (!is_file(path)) return;
        result.notes.push_back(
            fmt::format("{}: kept as it was as {}", path.string(), keep_copy(path).filename().string()));
    }

    /// Whether finishing is wanted, if only of one chunk, and no chunk is left that it would change. Readers and the
    /// next repair look at a closed store no further.
    bool nothing_to_finish() const {
        if (!options_.only.empty() && !options_.only.contains(RepairKind::finish)) return false;
        return index_->open_chunks().empty() && uncommitted_chunks(*index_, layout_).empty() &&
               !lacks_complete_chunks(*index_, layout_, layout_.chunks());
    }

    /// Leaves the index closed if everything is, and as one file.
    void settle() {
        if (!index_) return;
        if (!index_->closed() && nothing_to_finish()) index_->set_closed(true);
        index_->use_write_ahead_log(false);
        index_.reset();
    }

    fs::path folder_;
    RepairOptions options_;
    const StoreLock* lock_;
    StoreMetadata metadata_;
    StoreLayout layout_;
    std::unique_ptr<FrameIndex> index_;
    bool had_index_ = false;
    std::string index_trouble_;
    bool unknown_chunks_ = false;  ///< with sidecars, and not in the index
    bool stale_ = false;           ///< a sidecar has frames that the index has not
    bool salvages_ = false;
    std::vector<StoreLayout::Chunk> on_disk_;
    std::optional<SalvageHints> hints_;
    std::vector<Step> steps_;
    std::vector<std::string> problems_;
};

}  // namespace

const char* to_string(RepairKind kind) {
    return kKindNames[static_cast<size_t>(kind)];
}

std::optional<RepairKind> repair_kind_of(std::string_view name) {
    const auto found = std::find(kKindNames.begin(), kKindNames.end(), name);
    if (found == kKindNames.end()) return std::nullopt;
    return static_cast<RepairKind>(found - kKindNames.begin());
}

bool RepairResult::data_lost() const {
    return !problems.empty() ||
           std::any_of(done.begin(), done.end(), [](const RepairAction& action) { return !action.loses.empty(); });
}

RepairPlan plan_repair(const fs::path& store, const RepairOptions& options) {
    const fs::path folder = store_folder(store);
    if (StoreLock::held(folder)) {
        throw Error(ErrorCode::locked, {folder.string(), {}, {}},
                    "the store is being written; repair it when its writer has finished");
    }
    return Repair(store, options, nullptr).plan();
}

RepairResult apply_repair(const fs::path& store, const RepairOptions& options) {
    const fs::path folder = store_folder(store);
    read_metadata(folder);  // what is no store gets no lock file
    const StoreLock lock(folder);
    const TrimLock trim_lock(folder);
    return Repair(store, options, &lock).apply();
}

}  // namespace reelstore
