#include "store/verify.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_name.h"
#include "base/file_system.h"
#include "base/parallel_reader.h"
#include "codecs/checksum.h"
#include "codecs/image_chunk_format.h"
#include "codecs/media_file.h"
#include "codecs/video/packet_cutter.h"
#include "store/chunk_sidecar.h"
#include "store/extra_data_file.h"
#include "store/finish_chunk.h"
#include "store/frame_equality.h"
#include "store/frame_index.h"
#include "store/index_check.h"
#include "store/layout.h"
#include "store/store_contents.h"
#include "store/store_lock.h"
#include "store/store_reader.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr std::array<const char*, 4> kLevelNames = {"presence", "size", "frames", "hash"};
constexpr std::array<const char*, 3> kSeverityNames = {"note", "warning", "error"};
constexpr uint64_t kLargestImage = uint64_t{4} << 30;
constexpr const char* kRepair = "run `store repair`";
constexpr const char* kRebuild = "run `store index`";

uint64_t media_bytes(const FrameIndex& index) {
    uint64_t bytes = 0;
    index.visit_chunks([&](const ChunkRow& chunk) {
        bytes += chunk.media_bytes;
        return true;
    });
    return bytes;
}

/// What a set of frames has in common: which is first, and how many.
struct Run {
    std::optional<int64_t> first = {};
    int64_t count = 0;
    std::string text = {};

    void add(int64_t index, const std::string& reason = {}) {
        if (!first) {
            first = index;
            text = reason;
        }
        ++count;
    }
};

/// The extra data of some frames as the index has them, one record after the other.
class RecordsOfIndex {
public:
    RecordsOfIndex(const FrameIndex& index, int64_t first, int64_t last) : index_(&index), first_(first), last_(last) {}

    const ExtraDataRow* next() {
        if (place_ == page_.size()) {
            page_ = index_->extra_data_page(first_, last_, after_);
            place_ = 0;
        }
        return page_.empty() ? nullptr : &page_[place_++];
    }

    int64_t count_rest() {
        int64_t records = 0;
        while (next()) ++records;
        return records;
    }

private:
    const FrameIndex* index_;
    int64_t first_;
    int64_t last_;
    std::optional<FrameIndex::ExtraDataPlace> after_;
    std::vector<ExtraDataRow> page_;
    size_t place_ = 0;
};

/// Compares the records of a file, one after the other, with those of the index, if there are any to compare with.
class ComparedRecords {
public:
    explicit ComparedRecords(std::optional<RecordsOfIndex> index) : index_(std::move(index)) {}

    void add(Json& record) {
        const int64_t place = records_++;
        if (!index_) return;
        asking_ = true;
        const ExtraDataRow* row = index_->next();
        asking_ = false;
        if (!row) return;
        ++rows_;
        for (const char* key : {"frame_index", "frame_number", "frame_time"}) record.erase(key);
        if (!differing_ && record != Json::parse(row->data, nullptr, false)) differing_ = place;
    }

    std::optional<std::string> difference() {
        if (!index_) return std::nullopt;
        rows_ += index_->count_rest();
        if (rows_ != records_) return fmt::format("has {} records, the index {}", records_, rows_);
        if (differing_) return fmt::format("record {} differs from the index", *differing_);
        return std::nullopt;
    }

    /// Whether it was the index that threw.
    bool failed() const { return asking_; }

private:
    std::optional<RecordsOfIndex> index_;
    int64_t records_ = 0;
    int64_t rows_ = 0;
    std::optional<int64_t> differing_;
    bool asking_ = false;
};

class Verifier {
public:
    Verifier(const fs::path& store, VerifyLevel level, const VerifyOptions& options)
        : folder_(store_folder(store)), level_(level), options_(options) {}

    VerifyReport run() {
        try {
            metadata_ = read_metadata(folder_);
        } catch (const Error& error) {
            add({.code = "metadata_damaged",
                 .severity = Severity::error,
                 .path = StoreLayout::metadata(folder_),
                 .count = 1,
                 .message = error.message(),
                 .remedy = "put it right by hand: every other file of the store is read by what it says"});
            return std::move(report_);
        }
        layout_.emplace(folder_, metadata_.kind, metadata_.extension);
        for (const std::string& warning : metadata_.warnings)
            add({.code = "metadata_corrected", .path = StoreLayout::metadata(folder_), .count = 1, .message = warning});
        check_lock();
        open_index();
        check_staleness();
        check_folder();
        check_chunks();
        check_events();
        if (level_ == VerifyLevel::frames) check_frames();
        if (level_ == VerifyLevel::hash) check_hashes();
        return std::move(report_);
    }

private:
    void add(Finding finding) { report_.findings.push_back(std::move(finding)); }

    void check_cancelled() const {
        if (options_.cancel.stop_requested())
            throw Error(ErrorCode::cancelled, {folder_.string(), {}, {}}, "the check was stopped");
    }

    void progress(int64_t done, int64_t all) const {
        check_cancelled();
        if (options_.progress) options_.progress(done, all);
    }

    bool is_media(const fs::path& path) const {
        const FileKind kind = layout_->kind() == ChunkKind::folder ? FileKind::folder : FileKind::file;
        return file_system().status(path).kind == kind;
    }

    bool looks_into_files() const { return level_ != VerifyLevel::presence; }

    // ---- the store as a whole

    void check_lock() {
        being_written_ = StoreLock::held(folder_);
        const fs::path lock = StoreLayout::lock(folder_);
        if (being_written_) {
            add({.code = "being_written", .path = lock, .count = 1, .message = "the store is being written"});
            return;
        }
        if (is_file(lock))
            add({.code = "lock_left", .path = lock, .count = 1, .message = "left by a writer that was ended"});
        if (is_file(StoreLayout::reserve(folder_))) {
            add({.code = "reserve_left",
                 .path = StoreLayout::reserve(folder_),
                 .count = 1,
                 .message = "disk space that a writer held back and could not give free",
                 .remedy = kRepair});
        }
    }

    void open_index() {
        const fs::path path = StoreLayout::index(folder_);
        if (!is_file(path)) {
            // A store of imgstore never had one.
            if (!metadata_.writer.empty()) {
                add({.code = "index_missing",
                     .severity = Severity::warning,
                     .path = path,
                     .count = 1,
                     .message = "the index is missing; frames are read by what lies beside the chunks",
                     .remedy = kRepair});
            }
            return;
        }
        try {
            index_ = open_index_to_read(folder_, metadata_);
            check_summaries();
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) throw;
            index_.reset();
            const bool newer = error.code() == ErrorCode::unsupported;
            add({.code = newer ? "index_newer" : "index_damaged",
                 .severity = Severity::warning,
                 .path = path,
                 .chunk = error.place().chunk,
                 .count = 1,
                 .message = error.message(),
                 .remedy = newer ? "use the version of reelstore that wrote it" : kRepair});
        }
        if (index_ && !index_->closed() && !being_written_) {
            add({.code = "open",
                 .severity = Severity::warning,
                 .path = path,
                 .count = 1,
                 .message = "the writer was ended before it could close the store",
                 .remedy = kRepair});
        }
    }

    /// Whether lookups find what is there. A damaged page shows only when it is read.
    void check_summaries() {
        if (!looks_into_files()) return check_chunk_tree(*index_);
        // Each chunk is looked at again, beside its files.
        const auto looked = [this](int64_t done, int64_t all) {
            looked_at_ = done + 1;
            if (dear()) return check_cancelled();
            progress(done, 2 * all);
        };
        for (const WrongSummary& wrong : find_wrong_summaries(*index_, looked)) {
            add({.code = "summary_wrong",
                 .severity = Severity::warning,
                 .path = StoreLayout::index(folder_),
                 .chunk = wrong.chunk,
                 .frame_index = wrong.frame_index,
                 .count = wrong.frame_count,
                 .message = wrong.message,
                 .remedy = kRebuild});
        }
    }

    /// Whether the chunks are still those that the index was made from.
    void check_staleness() {
        if (!index_ || !index_->closed() || being_written_) return;
        const std::optional<ChunkChanges> changes = find_changes(*index_, *layout_);
        if (!changes || !changes->stale()) return;
        const std::vector<int64_t>& first = changes->changed.empty() ? changes->added : changes->changed;
        add({.code = "index_stale",
             .severity = Severity::warning,
             .path = StoreLayout::index(folder_),
             .chunk = first.front(),
             .count = static_cast<int64_t>(changes->added.size() + changes->changed.size()),
             .message = fmt::format("chunks have been changed since it was made ({} added, {} changed); readers take "
                                    "these from their files",
                                    changes->added.size(), changes->changed.size()),
             .remedy = kRebuild});
    }

    /// Names in the store's folder that belong to nothing, and those of chunks nobody knows.
    void check_folder() {
        for (const StoreLayout::Chunk& chunk : layout_->chunks()) on_disk_[chunk.number] = chunk;
        std::set<std::string> known = {"metadata.yaml",        "index.sqlite", "index.sqlite-wal", "index.sqlite-shm",
                                       "index.sqlite-journal", ".lock",        ".reserve",         ".trim.lock"};
        for (const auto& [number, chunk] : on_disk_) {
            known.insert(layout_->media(number).filename().string());
            for (const char* extension : {".npz", ".yaml", ".extra.json", ".extra_data.json", ".extra_data.h5"})
                known.insert(StoreLayout::chunk_name(number) + extension);
        }
        Run temporary, kept, stray;
        for (const std::string& name : file_system().list(folder_)) {
            if (known.contains(name)) continue;
            sort_name(folder_ / name, temporary, kept, stray);
        }
        report_names(folder_, {}, temporary, kept, stray);
    }

    void sort_name(const fs::path& path, Run& temporary, Run& kept, Run& stray) const {
        const std::string name = path.filename().string();
        if (name.ends_with(".tmp")) {
            temporary.add(0, name);
        } else if (name.find(".before_repair") != std::string::npos || name.find(".uncommitted") != std::string::npos ||
                   name.find(".damaged") != std::string::npos) {
            kept.add(0, name);
        } else {
            const bool chunk_like =
                layout_->kind() == ChunkKind::folder
                    ? path.parent_path() == folder_ && file_system().status(path).kind == FileKind::folder
                    : name.ends_with(metadata_.extension);
            if (chunk_like || path.parent_path() != folder_) stray.add(0, name);
        }
    }

    void report_names(const fs::path& folder, std::optional<int64_t> chunk, const Run& temporary, const Run& kept,
                      const Run& stray) {
        if (temporary.count > 0 && !being_written_) {
            add({.code = "temporary_left",
                 .path = folder / temporary.text,
                 .chunk = chunk,
                 .count = temporary.count,
                 .message = "left by a program that was ended; holds nothing that is not elsewhere"});
        }
        if (kept.count > 0) {
            add({.code = "kept_aside",
                 .path = folder / kept.text,
                 .chunk = chunk,
                 .count = kept.count,
                 .message = "kept by a repair as it was before"});
        }
        if (stray.count > 0) {
            // imgstore opens no packed arrays, so nothing is taken for a chunk there.
            const bool misleads =
                !chunk && (layout_->kind() == ChunkKind::folder || reading_format(metadata_)->info().video);
            add({.code = "stray",
                 .severity = misleads ? Severity::warning : Severity::note,
                 .path = folder / stray.text,
                 .chunk = chunk,
                 .count = stray.count,
                 .message = "does not belong to the store",
                 .remedy = misleads ? "move it elsewhere: imgstore takes it for a chunk" : ""});
        }
    }

    void check_events() {
        if (!index_) return;
        std::map<std::string, Run> runs;
        index_->visit_events([&](const EventRow& event) {
            if (event.kind != "dropped" && event.kind != "lost" && event.kind != "fault") return true;
            const Json data = Json::parse(event.data, nullptr, false);
            const Json count = data.is_object() ? data.value("count", Json()) : Json();
            Run& run = runs[event.kind];
            run.add(event.frame_index.value_or(0));
            if (count.is_number_integer() && count.get<int64_t>() > 0) run.count += count.get<int64_t>() - 1;
            return true;
        });
        for (const auto& [kind, run] : runs) {
            const char* what = kind == "dropped" ? "frames were dropped while recording"
                               : kind == "lost"  ? "frames were lost while recording"
                                                 : "faults happened while recording";
            add({.code = kind,
                 .path = StoreLayout::index(folder_),
                 .frame_index = run.first,
                 .count = run.count,
                 .message = fmt::format("{} {}", run.count, what)});
        }
    }

    // ---- chunks: presence and size

    void check_chunks() {
        int64_t done = looked_at_;
        if (index_) {
            report_.frame_count = index_->frame_count();
            report_.chunk_count = index_->chunk_count();
            index_->visit_chunks([&](const ChunkRow& chunk) {
                if (!dear()) progress(done++, looked_at_ + report_.chunk_count);
                check_indexed(chunk);
                return true;
            });
            if (!index_->closed()) {
                const std::vector<int64_t> begun = uncommitted_chunks(*index_, *layout_);
                begun_.insert(begun.begin(), begun.end());
            }
            for (const auto& [number, chunk] : on_disk_) {
                if (!index_->find_chunk(number)) check_unknown(chunk);
            }
            return;
        }
        report_.chunk_count = static_cast<int64_t>(on_disk_.size());
        for (const auto& [number, chunk] : on_disk_) {
            if (!dear()) progress(done++, looked_at_ + report_.chunk_count);
            check_unindexed(chunk);
        }
    }

    bool dear() const { return level_ == VerifyLevel::frames || level_ == VerifyLevel::hash; }

    void check_indexed(const ChunkRow& chunk) {
        const fs::path media = layout_->media(chunk.chunk);
        if (!chunk.closed && !being_written_) {
            add({.code = "chunk_open",
                 .severity = Severity::warning,
                 .path = media,
                 .chunk = chunk.chunk,
                 .frame_index = chunk.first_index,
                 .count = chunk.frame_count,
                 .message = fmt::format("its writer was ended; its {} committed frames can be read, by this program",
                                        chunk.frame_count),
                 .remedy = kRepair});
        }
        if (chunk.frame_count == 0) return;
        if (!is_media(media)) {
            add({.code = "media_missing",
                 .severity = Severity::error,
                 .path = media,
                 .chunk = chunk.chunk,
                 .frame_index = chunk.first_index,
                 .count = chunk.frame_count,
                 .message = fmt::format("is missing; its {} frames are lost", chunk.frame_count),
                 .remedy = "put it back from a copy"});
        } else if (looks_into_files()) {
            check_media_sizes(chunk, media);
        }
        if (!chunk.closed) return;
        check_sidecar(chunk);
        check_extra_data(chunk);
    }

    void check_unknown(const StoreLayout::Chunk& chunk) {
        if (chunk.number < index_->first_kept_chunk()) {
            add({.code = "trimmed_left",
                 .path = layout_->media(chunk.number),
                 .chunk = chunk.number,
                 .count = 1,
                 .message = "was removed from the store by `store trim`, but files of it are left",
                 .remedy = "the next `store trim --apply` removes them"});
            return;
        }
        // While recording, the file of a new chunk is there before the first commit.
        if (being_written_ || !chunk.has_media) return;
        if (layout_->kind() == ChunkKind::folder && holds_nothing(chunk.number)) return;
        const bool uncommitted = begun_.contains(chunk.number);
        add({.code = uncommitted ? "chunk_uncommitted" : "chunk_unknown",
             .severity = Severity::warning,
             .path = layout_->media(chunk.number),
             .chunk = chunk.number,
             .count = 1,
             .message = uncommitted ? "its writer was ended before it committed a frame of it"
                                    : "the index does not know this chunk; its frames are not shown",
             .remedy = kRepair});
    }

    bool holds_nothing(int64_t chunk) const {
        for (const std::string& name : file_system().list(layout_->media(chunk))) {
            if (fs::path(name).extension() == metadata_.extension) return false;
        }
        return true;
    }

    void check_unindexed(const StoreLayout::Chunk& chunk) {
        const fs::path media = layout_->media(chunk.number);
        std::optional<ChunkSidecar> sidecar;
        std::string why = "there are no numbers and times for it";
        try {
            sidecar = read_chunk_sidecar(*layout_, chunk.number);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::not_found) throw;
            why = error.what();
        }
        if (!sidecar) {
            add({.code = "sidecar_missing",
                 .severity = Severity::error,
                 .path = layout_->sidecar(chunk.number),
                 .chunk = chunk.number,
                 .count = 1,
                 .message = why + "; its frames are not shown",
                 .remedy = kRepair});
            return;
        }
        const auto frames = static_cast<int64_t>(sidecar->numbers.size());
        const int64_t first = report_.frame_count;
        report_.frame_count += frames;
        note_synthetic(chunk.number, first, *sidecar);
        if (frames == 0) return;
        if (!chunk.has_media) {
            add({.code = "media_missing",
                 .severity = Severity::error,
                 .path = media,
                 .chunk = chunk.number,
                 .frame_index = first,
                 .count = frames,
                 .message = fmt::format("is missing; its {} frames are lost", frames),
                 .remedy = "put it back from a copy"});
        } else if (looks_into_files() && layout_->kind() == ChunkKind::folder) {
            check_images(chunk.number, first, frames);
        } else if (looks_into_files()) {
            check_container(chunk.number, media);
        }
        if (looks_into_files()) check_extra_data_file(chunk.number, first, frames, false);
    }

    void note_synthetic(int64_t chunk, int64_t first, const ChunkSidecar& sidecar) {
        if (!sidecar.synthetic) return;
        add({.code = "times_synthetic",
             .path = layout_->sidecar(chunk),
             .chunk = chunk,
             .frame_index = first,
             .count = static_cast<int64_t>(sidecar.numbers.size()),
             .message = "numbers and times are guesses of a repair"});
    }

    void check_container(int64_t chunk, const fs::path& media) {
        const std::string container = container_of(media);
        if (!needs_completion(container)) return;
        if (media_complete(*file_system().open(media, OpenMode::read), container)) return;
        add({.code = "container_incomplete",
             .severity = Severity::warning,
             .path = media,
             .chunk = chunk,
             .count = 1,
             .message = completes_in_place(container) ? "was not completed; other programs do not read it right"
                                                      : "has no end; other programs cannot open it",
             .remedy = kRepair});
    }

    void check_media_sizes(const ChunkRow& chunk, const fs::path& media) {
        if (layout_->kind() == ChunkKind::folder) {
            check_images(chunk.chunk, chunk.first_index, chunk.frame_count);
            return;
        }
        if (chunk.closed) check_container(chunk.chunk, media);
        const std::shared_ptr<const PacketTable> table = index_->packet_table(chunk.chunk);
        if (!table) return;
        const uint64_t size = file_system().status(media).size;
        Run lost;
        for (int64_t position = 0; position < table->frame_count(); ++position) {
            const Packet& packet = table->packet_of(position);
            if (packet.offset > size || packet.size > size - packet.offset) lost.add(chunk.first_index + position);
        }
        if (lost.count == 0) return;
        add({.code = "media_short",
             .severity = Severity::error,
             .path = media,
             .chunk = chunk.chunk,
             .frame_index = lost.first,
             .count = lost.count,
             .message = fmt::format("ends at byte {}, before the last {} of its {} frames", size, lost.count,
                                    chunk.frame_count),
             .remedy = "put it back from a copy; `store repair` saves the other frames"});
    }

    void check_images(int64_t chunk, int64_t first, int64_t frames) {
        const fs::path folder = layout_->media(chunk);
        Run missing, changed, temporary, kept, stray;
        for (int64_t position = 0; position < frames; ++position) {
            const fs::path path = folder / image_file_name(position, metadata_.extension);
            const FileStatus status = file_system().status(path);
            const std::optional<uint64_t> size = index_ ? index_->byte_size(first + position) : std::nullopt;
            if (status.kind != FileKind::file) {
                missing.add(first + position, path.filename().string());
            } else if ((size && *size != status.size) || status.size == 0) {
                changed.add(first + position, path.filename().string());
            }
        }
        report_images("image_missing", "files of frames are missing", chunk, missing);
        report_images("image_size", "files of frames have another size than was recorded", chunk, changed);
        for (const std::string& name : file_system().list(folder)) {
            if (name.starts_with("index.") && !name.ends_with(".tmp") && !name.ends_with(".before_repair")) continue;
            const fs::path path = name;
            const std::string stem = path.stem().string();
            const bool number = !stem.empty() && stem.size() <= 15 &&
                                std::all_of(stem.begin(), stem.end(), [](char c) { return c >= '0' && c <= '9'; });
            if (number && path.extension() == metadata_.extension && std::stoll(stem) < frames) continue;
            sort_name(folder / name, temporary, kept, stray);
        }
        const std::optional<ChunkRow> row = index_ ? index_->find_chunk(chunk) : std::nullopt;
        if (!row || row->closed) report_names(folder, chunk, temporary, kept, stray);
    }

    void report_images(const char* code, const char* what, int64_t chunk, const Run& run) {
        if (run.count == 0) return;
        add({.code = code,
             .severity = Severity::error,
             .path = layout_->media(chunk) / run.text,
             .chunk = chunk,
             .frame_index = run.first,
             .count = run.count,
             .message = fmt::format("{} {}", run.count, what),
             .remedy = "put them back from a copy"});
    }

    // ---- sidecars and extra data

    void check_sidecar(const ChunkRow& chunk) {
        const auto problem = [&](const char* code, std::optional<int64_t> first, int64_t count,
                                 const std::string& message) {
            add({.code = code,
                 .severity = Severity::warning,
                 .path = layout_->sidecar(chunk.chunk),
                 .chunk = chunk.chunk,
                 .frame_index = first,
                 .count = count,
                 .message = message,
                 .remedy = kRepair});
        };
        std::optional<ChunkSidecar> sidecar;
        try {
            sidecar = read_chunk_sidecar(*layout_, chunk.chunk);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::not_found) throw;
            problem("sidecar_damaged", chunk.first_index, chunk.frame_count,
                    error.message() + "; the index has what was in it");
            return;
        }
        if (!sidecar) {
            problem("sidecar_missing", chunk.first_index, chunk.frame_count,
                    "is missing; the index has what was in it");
            return;
        }
        note_synthetic(chunk.chunk, chunk.first_index, *sidecar);
        const auto frames = static_cast<int64_t>(sidecar->numbers.size());
        if (frames != chunk.frame_count) {
            problem("sidecar_differs", chunk.first_index, std::abs(frames - chunk.frame_count),
                    fmt::format("has {} frames, the index {}", frames, chunk.frame_count));
            return;
        }
        if (!looks_into_files()) return;
        Run differing;
        index_->visit_rows(chunk.first_index, chunk.first_index + frames, [&](const FrameRow& row) {
            const auto position = static_cast<size_t>(row.position);
            if (sidecar->numbers[position] != row.number || !same_time(sidecar->times[position], row.time))
                differing.add(row.index);
            return true;
        });
        if (differing.count > 0) {
            problem("sidecar_differs", differing.first, differing.count,
                    fmt::format("numbers or times of {} frames differ from the index", differing.count));
            report_.findings.back().remedy = "decide which is right: `store index` builds the index from the sidecars";
        }
    }

    void check_extra_data(const ChunkRow& chunk) {
        if (looks_into_files()) check_extra_data_file(chunk.chunk, chunk.first_index, chunk.frame_count, true);
    }

    /// `indexed` when the index has the records too.
    void check_extra_data_file(int64_t chunk, int64_t first, int64_t frames, bool indexed) {
        const fs::path own = layout_->extra_data(chunk);
        const auto problem = [&](const char* code, const fs::path& path, int64_t count, const std::string& message) {
            add({.code = code,
                 .severity = Severity::warning,
                 .path = path,
                 .chunk = chunk,
                 .frame_index = first,
                 .count = count,
                 .message = message,
                 .remedy = kRepair});
        };
        const std::vector<fs::path> files = layout_->extra_data_files(chunk);
        if (files.empty() && indexed) {
            if (const int64_t records = RecordsOfIndex(*index_, first, first + frames).count_rest(); records > 0)
                problem("extra_data_missing", own, records, "is missing; the index has what was in it");
        }
        for (const fs::path& path : files) {
            ComparedRecords compared(indexed && path == own && files.size() == 1
                                         ? std::optional<RecordsOfIndex>({*index_, first, first + frames})
                                         : std::nullopt);
            ExtraDataFacts file;
            try {
                file = visit_extra_data_file(path, [&](Json& record) { compared.add(record); });
            } catch (const Error& error) {
                if (error.code() == ErrorCode::io || compared.failed()) throw;
                problem("extra_data_damaged", path, frames, error.message());
                continue;
            }
            if (!file.warnings.empty()) {
                problem("extra_data_damaged", path, static_cast<int64_t>(file.warnings.size()), file.warnings.front());
            } else if (path == own && !extra_data_is_closed(path)) {
                problem("extra_data_damaged", path, 1, "its end is missing; other programs cannot read it");
            } else if (const auto difference = compared.difference()) {
                problem("extra_data_differs", path, 1, *difference);
            }
        }
    }

    // ---- frames and hash

    void check_frames() {
        // Reading needs nothing of what was opened for looking.
        const std::unique_ptr<StoreReader> store =
            std::make_unique<StoreReader>(folder_, StoreReaderOptions{.map = false, .check_bytes = true});
        const int64_t all = store->frame_count();
        std::map<int64_t, Run> failed;
        int64_t asked = 0;
        int64_t done = 0;
        ReadAhead frames(*store, [&]() { return asked < all ? std::optional(asked++) : std::nullopt; },
                         {.threads = options_.threads});
        while (done < all) {
            progress(done, all);
            try {
                if (!frames.next()) break;
            } catch (const Error& error) {
                if (error.code() == ErrorCode::cancelled) throw;
                const std::optional<FrameRow> row = store->row(done);
                failed[row ? row->chunk : -1].add(done, error.message());
            }
            ++done;
        }
        for (const auto& [chunk, run] : failed) {
            add({.code = "frame_unreadable",
                 .severity = Severity::error,
                 .path = layout_->media(chunk),
                 .chunk = chunk,
                 .frame_index = run.first,
                 .count = run.count,
                 .message = fmt::format("{} frames cannot be read, the first because: {}", run.count, run.text),
                 .remedy = "put the file back from a copy"});
        }
        progress(all, all);
    }

    void check_hashes() {
        if (!index_) {
            add({.code = "no_checksums",
                 .path = StoreLayout::index(folder_),
                 .count = report_.frame_count,
                 .message = "without an index there are no checksums to compare with"});
            return;
        }
        Run unchecked;
        const auto all = static_cast<int64_t>(media_bytes(*index_));
        int64_t done = 0;
        index_->visit_chunks([&](const ChunkRow& chunk) {
            progress(done, all);
            const fs::path media = layout_->media(chunk.chunk);
            if (chunk.frame_count > 0 && is_media(media)) {
                Run damaged = layout_->kind() == ChunkKind::folder ? hash_images(chunk, done, all, unchecked)
                                                                   : hash_file(chunk, media, done, all, unchecked);
                if (damaged.count > 0) {
                    add({.code = "bytes_changed",
                         .severity = Severity::error,
                         .path = layout_->kind() == ChunkKind::folder ? media / damaged.text : media,
                         .chunk = chunk.chunk,
                         .frame_index = damaged.first,
                         .count = damaged.count,
                         .message =
                             fmt::format("the bytes of {} frames are not those that were recorded", damaged.count),
                         .remedy = "put the file back from a copy"});
                }
            }
            done += static_cast<int64_t>(chunk.media_bytes);
            return true;
        });
        if (unchecked.count > 0) {
            add({.code = "no_checksums",
                 .path = StoreLayout::index(folder_),
                 .frame_index = unchecked.first,
                 .count = unchecked.count,
                 .message = fmt::format("no checksum was recorded for {} frames", unchecked.count)});
        }
        progress(all, all);
    }

    Run hash_images(const ChunkRow& chunk, int64_t done, int64_t all, Run& unchecked) const {
        Run damaged;
        for (int64_t index = chunk.first_index; index < chunk.first_index + chunk.frame_count; ++index) {
            const std::optional<uint32_t> checksum = index_->checksum(index);
            const std::string name = image_file_name(index - chunk.first_index, metadata_.extension);
            const fs::path path = layout_->media(chunk.chunk) / name;
            if (!checksum) {
                unchecked.add(index);
            } else if (is_file(path)) {
                const std::vector<uint8_t> bytes = read_file(path, kLargestImage);
                if (frame_checksum(bytes) != *checksum) damaged.add(index, name);
                done += static_cast<int64_t>(bytes.size());
            }
            progress(std::min(done, all), all);
        }
        return damaged;
    }

    Run hash_file(const ChunkRow& chunk, const fs::path& media, int64_t done, int64_t all, Run& unchecked) const {
        Run damaged;
        const std::shared_ptr<const PacketTable> table = index_->packet_table(chunk.chunk);
        if (!table) {
            for (int64_t i = 0; i < chunk.frame_count; ++i) unchecked.add(chunk.first_index + i);
            return damaged;
        }
        const std::unique_ptr<File> file = file_system().open(media, OpenMode::read);
        const PacketCheck check = check_packets(*file, *table, [&](int64_t packet, int64_t packets) {
            const double part = packets > 0 ? static_cast<double>(packet) / static_cast<double>(packets) : 1;
            const auto bytes = static_cast<int64_t>(part * static_cast<double>(chunk.media_bytes));
            progress(std::min(done + bytes, all), all);
            return true;
        });
        const uint64_t size = file->size();
        const auto changed = [&](size_t place) {
            const Packet& packet = table->packets[place];
            const bool there = packet.offset <= size && packet.size <= size - packet.offset;
            return packet.checksum && there && !check.sound[place];
        };
        std::set<int64_t> changed_positions;
        for (int64_t position = 0; position < table->frame_count(); ++position) {
            if (!table->packet_of(position).checksum) unchecked.add(chunk.first_index + position);
            if (changed(table->display_order[static_cast<size_t>(position)])) changed_positions.insert(position);
        }
        std::set<uint64_t> hidden;
        for (size_t place = 0; place < table->packets.size(); ++place) {
            if (table->packets[place].hidden && changed(place)) hidden.insert(table->packets[place].offset);
        }
        if (!hidden.empty()) changed_positions.merge(positions_with(table, hidden));
        for (const int64_t position : changed_positions) damaged.add(chunk.first_index + position);
        return damaged;
    }

    /// Frames that need one of the packets at these offsets.
    static std::set<int64_t> positions_with(const std::shared_ptr<const PacketTable>& table,
                                            const std::set<uint64_t>& offsets) {
        const PacketCutter cutter(table);
        std::set<int64_t> found;
        for (int64_t position = 0; position < table->frame_count(); ++position) {
            const auto needed = cutter.cut(position, position + 1);
            if (std::any_of(needed->packets.begin(), needed->packets.end(),
                            [&](const Packet& packet) { return offsets.contains(packet.offset); })) {
                found.insert(position);
            }
        }
        return found;
    }

    fs::path folder_;
    VerifyLevel level_;
    VerifyOptions options_;
    StoreMetadata metadata_;
    std::optional<StoreLayout> layout_;
    std::unique_ptr<FrameIndex> index_;
    std::map<int64_t, StoreLayout::Chunk> on_disk_;
    std::set<int64_t> begun_;  ///< chunks of which nothing was committed
    int64_t looked_at_ = 0;    ///< chunks whose rows have been read
    bool being_written_ = false;
    VerifyReport report_;
};

}  // namespace

const char* to_string(VerifyLevel level) {
    return kLevelNames[static_cast<size_t>(level)];
}

const char* to_string(Severity severity) {
    return kSeverityNames[static_cast<size_t>(severity)];
}

std::optional<VerifyLevel> verify_level_of(std::string_view name) {
    const auto found = std::find(kLevelNames.begin(), kLevelNames.end(), name);
    if (found == kLevelNames.end()) return std::nullopt;
    return static_cast<VerifyLevel>(found - kLevelNames.begin());
}

bool VerifyReport::damaged() const {
    return std::any_of(findings.begin(), findings.end(),
                       [](const Finding& finding) { return finding.severity != Severity::note; });
}

VerifyPrice verify_price(const fs::path& store, VerifyLevel level) {
    if (level != VerifyLevel::frames && level != VerifyLevel::hash) return {};
    try {
        const StoreReader reader(store);
        VerifyPrice price;
        if (level == VerifyLevel::frames) price.frames_decoded = reader.frame_count();
        if (level == VerifyLevel::frames || reader.has_index()) price.bytes = reader.media_bytes();
        return price;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::not_found || error.code() == ErrorCode::not_a_store) throw;
        return {};  // verify() will say what is wrong
    }
}

VerifyReport verify(const fs::path& store, VerifyLevel level, const VerifyOptions& options) {
    return Verifier(store, level, options).run();
}

}  // namespace reelstore
