#include "store/maintenance.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_name.h"
#include "base/file_system.h"
#include "store/chunk_sidecar.h"
#include "store/extra_data_file.h"
#include "store/finish_chunk.h"
#include "store/store_contents.h"
#include "store/store_lock.h"

namespace reelstore {

namespace {

/// Key under which a renumbered record keeps its old number, as imgstore does.
constexpr const char* kNumberBefore = "_frame_number_before_reindex";

/// A database and what SQLite keeps beside it.
constexpr std::array<const char*, 4> kDatabaseFiles = {"", "-wal", "-shm", "-journal"};

/// Removes a database and what SQLite may have left beside it.
void remove_database(const std::filesystem::path& path) {
    for (const char* suffix : kDatabaseFiles) {
        const std::filesystem::path file = with_suffix(path, suffix);
        if (file_system().status(file).kind == FileKind::file) file_system().remove(file);
    }
}

/// Renames an index and its logs, those of them that there are, under a name that none of them has yet.
std::filesystem::path set_index_aside(const std::filesystem::path& path) {
    const std::filesystem::path aside = free_name(path, ".damaged", kDatabaseFiles);
    for (const char* suffix : kDatabaseFiles) {
        if (is_file(with_suffix(path, suffix)))
            file_system().rename(with_suffix(path, suffix), with_suffix(aside, suffix));
    }
    return aside;
}

/// SQLite would take the logs of a lost index for those of the new one.
void clear_logs(const std::filesystem::path& path, std::vector<std::string>& warnings) {
    if (!is_file(path)) {
        for (const char* log : {"-wal", "-journal"}) {
            if (file_system().status(with_suffix(path, log)).size == 0) continue;
            const std::filesystem::path aside = with_suffix(set_index_aside(path), log);
            warnings.push_back(fmt::format("{}: the index it belongs to is missing; kept as {}",
                                           with_suffix(path, log).string(), aside.filename().string()));
            return;
        }
    }
    // A reader may have the old index open; its empty log and shared memory must not become the new one's.
    for (const char* log : {"-wal", "-shm"}) {
        if (is_file(with_suffix(path, log))) file_system().remove(with_suffix(path, log));
    }
}

/// The index that is to be replaced, as one file without a log, if it can be read. One that is damaged, foreign or
/// newer is moved aside, not deleted. Anything else that keeps it from being read is an Error: it may hold what nothing
/// else does.
std::unique_ptr<FrameIndex> take_earlier_index(const std::filesystem::path& path, const StoreMetadata& metadata,
                                               std::vector<std::string>& warnings) {
    if (!is_file(path)) return nullptr;
    try {
        auto index = FrameIndex::open(path, metadata.uuid, Database::Mode::read_write);
        index->use_write_ahead_log(false);
        if (file_system().status(with_suffix(path, "-wal")).size > 0) {
            throw Error(ErrorCode::locked, {path.string(), {}, {}},
                        "somebody is reading the index; try again when the readers have closed the store");
        }
        return index;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) throw;
        warnings.push_back(fmt::format("{}; kept as {}", error.what(), set_index_aside(path).filename().string()));
        return nullptr;
    }
}

/// A new index at `fresh` of what is in a store, and in an earlier index if there is one.
void make_index(const std::filesystem::path& fresh, const StoreLayout& layout, const StoreMetadata& metadata,
                const FrameIndex* earlier, const ChunkProgress& progress, IndexResult& result) {
    const auto index = FrameIndex::create(fresh, metadata.uuid);
    Transaction transaction(index->database());
    const FillResult filled = fill_index(*index, layout, metadata, result.warnings, {true, earlier, progress});
    const auto add_record = [&](const ExtraRecord& record) {
        index->add_extra_data(record.frame_index, record.data.dump());
    };
    visit_extra_data_files(*index, layout, result.warnings, add_record);
    if (earlier) visit_extra_data_only_in(*earlier, *index, layout, add_record);
    std::set<int64_t> known_synthetic;
    if (earlier) {
        for (const EventRow& event : events_of(*earlier, *index)) {
            if (const auto chunk = synthetic_chunk_of(event)) known_synthetic.insert(*chunk);
            index->add_event(event);
        }
    }
    for (const int64_t number : filled.synthetic) {
        const ChunkRow chunk = index->find_chunk(number).value();
        if (!known_synthetic.contains(number))
            index->add_event(synthetic_event(number, chunk.frame_count, chunk.end_index()));
    }
    index->set_closed(filled.chunks_unfinished == 0);
    result.chunks_left_out = filled.chunks_left_out;
    result.chunks_without_media = filled.chunks_without_media;
    transaction.commit();
    result.frame_count = index->frame_count();
    result.chunk_count = index->chunk_count();
}

/// The store's index if it has one that opens.
std::unique_ptr<FrameIndex> open_existing_index(const std::filesystem::path& folder, const StoreMetadata& metadata) {
    const std::filesystem::path path = StoreLayout::index(folder);
    if (!is_file(path)) return nullptr;
    return FrameIndex::open(path, metadata.uuid, Database::Mode::read_write);
}

/// Records of an extra data file with the frame each belongs to.
struct ExtraDataToRenumber {
    std::filesystem::path path;
    std::vector<Json> records;
    std::vector<std::optional<int64_t>> frames;
    std::vector<std::optional<int64_t>> numbers;  ///< new ones
};

/// The extra data of a chunk, before anything is changed. Throws when they cannot be renumbered.
std::vector<ExtraDataToRenumber> extra_data_to_renumber(const FrameTable& frames, const StoreLayout& layout,
                                                        int64_t chunk) {
    std::vector<ExtraDataToRenumber> files;
    int64_t removed_frames = frames.removed_frames();
    for (const std::filesystem::path& path : layout.extra_data_files(chunk)) {
        if (path.extension() != ".json") {
            throw Error(ErrorCode::unsupported, {path.string(), chunk, {}},
                        "extra data in HDF5 cannot be renumbered; nothing was changed");
        }
        ExtraDataToRenumber file{path, read_extra_data_file(path).records, {}, {}};
        for (const Json& record : file.records) {
            std::optional<int64_t> frame = frame_of_record(frames, record, removed_frames);
            if (!frame && record.contains(kNumberBefore)) {
                // A run that was ended had come to this file, but not to its chunk's numbers.
                Json before = record;
                before["frame_number"] = record[kNumberBefore];
                frame = frame_of_record(frames, before, removed_frames);
            }
            file.frames.push_back(frame);
        }
        files.push_back(std::move(file));
    }
    return files;
}

void find_numbers(ExtraDataToRenumber& file, const FrameTable& frames,
                  const std::function<int64_t(const FrameRow&)>& new_number) {
    for (const std::optional<int64_t>& frame : file.frames) {
        const std::optional<FrameRow> row = frame ? frames.row(*frame) : std::nullopt;
        file.numbers.push_back(row ? std::optional(new_number(*row)) : std::nullopt);
    }
}

void write_renumbered(ExtraDataToRenumber& file) {
    for (size_t i = 0; i < file.records.size(); ++i) {
        if (!file.numbers[i]) continue;
        Json& record = file.records[i];
        if (!record.contains(kNumberBefore)) record[kNumberBefore] = record["frame_number"];
        record["frame_number"] = *file.numbers[i];
    }
    write_file_atomically(file.path, Json(file.records).dump());
}

}  // namespace

IndexResult build_index(const std::filesystem::path& store, const ChunkProgress& progress) {
    const std::filesystem::path folder = store_folder(store);
    read_metadata(folder);  // what is no store gets no lock file
    const StoreLock lock(folder);
    const TrimLock trim_lock(folder);
    return build_index(folder, lock, progress);
}

IndexResult build_index(const std::filesystem::path& store, const StoreLock&, const ChunkProgress& progress) {
    const std::filesystem::path folder = store_folder(store);
    const StoreMetadata metadata = read_metadata(folder);
    const StoreLayout layout(folder, metadata.kind, metadata.extension);
    const std::filesystem::path path = StoreLayout::index(folder);
    const std::filesystem::path fresh = with_suffix(path, ".tmp");
    remove_database(fresh);

    IndexResult result;
    result.warnings = metadata.warnings;
    {
        std::unique_ptr<FrameIndex> earlier = take_earlier_index(path, metadata, result.warnings);
        const std::vector<std::string> before = result.warnings;
        try {
            make_index(fresh, layout, metadata, earlier.get(), progress, result);
        } catch (const Error& error) {
            if (!earlier || error.code() != ErrorCode::corrupt) throw;
            // It opened, but cannot be read to its end.
            earlier.reset();
            remove_database(fresh);
            result = {};
            result.warnings = before;
            result.warnings.push_back(
                fmt::format("{}; kept as {}", error.what(), set_index_aside(path).filename().string()));
            make_index(fresh, layout, metadata, nullptr, progress, result);
        }
    }
    clear_logs(path, result.warnings);
    // Replaces the old index in one step: there is no moment without one.
    file_system().rename(fresh, path);
    file_system().sync_folder(folder);
    return result;
}

RenumberResult renumber(const std::filesystem::path& store, const ChunkProgress& progress) {
    const std::filesystem::path folder = store_folder(store);
    const StoreMetadata metadata = read_metadata(folder);
    const StoreLayout layout(folder, metadata.kind, metadata.extension);
    const StoreLock lock(folder);
    const TrimLock trim_lock(folder);
    const std::unique_ptr<FrameIndex> index = open_existing_index(folder, metadata);

    // Everything is read before the first file is changed, so that a store that cannot be renumbered stays as it is.
    RenumberResult result;
    std::vector<std::string> warnings;
    const OpenedSidecars sidecars = open_sidecars(layout, warnings);
    const FrameTable& frames = *sidecars.table;
    if (sidecars.result.chunks_left_out > 0)
        throw Error(ErrorCode::corrupt, fmt::format("{}; nothing was changed", warnings.back()));
    if (index && index->frame_count() != frames.frame_count()) {
        throw Error(ErrorCode::unsupported, {folder.string(), {}, {}},
                    fmt::format("{} frames are in the index, {} in finished chunks: a store with an unfinished or "
                                "missing chunk cannot be renumbered",
                                index->frame_count(), frames.frame_count()));
    }
    int64_t zeros = 0;
    frames.visit_rows(0, frames.frame_count(), [&](const FrameRow& row) {
        if (row.number == 0 && zeros++ == 0) result.zero_index = row.index;
        return true;
    });
    if (zeros != 1) {
        throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}},
                    fmt::format("{} frames have the number 0; there must be exactly one", zeros));
    }
    const auto new_number = [&](const FrameRow& row) {
        return row.index < result.zero_index ? row.index - result.zero_index : row.number;
    };
    frames.visit_rows(0, result.zero_index, [&](const FrameRow& row) {
        if (row.number != new_number(row)) ++result.frames_changed;
        return true;
    });
    std::vector<ExtraDataToRenumber> extra_data;
    frames.visit_chunks([&](const ChunkRow& chunk) {
        for (ExtraDataToRenumber& file : extra_data_to_renumber(frames, layout, chunk.chunk))
            extra_data.push_back(std::move(file));
        return true;
    });
    for (ExtraDataToRenumber& file : extra_data) find_numbers(file, frames, new_number);
    // The table reads the sidecars that are about to be changed.
    std::vector<ChunkRow> chunks;
    frames.visit_chunks([&](const ChunkRow& chunk) {
        // Nothing changes behind the zero.
        if (chunk.first_index < result.zero_index) chunks.push_back(chunk);
        return true;
    });
    if (index) {
        Transaction transaction(index->database());
        index->renumber_before(result.zero_index);
        transaction.commit();
    }
    for (ExtraDataToRenumber& file : extra_data) write_renumbered(file);
    int64_t done = 0;
    for (const ChunkRow& chunk : chunks) {
        if (progress) progress(done++, static_cast<int64_t>(chunks.size()));
        ChunkSidecar sidecar = *read_chunk_sidecar(layout, chunk.chunk);
        std::vector<int64_t> renumbered = sidecar.numbers;
        for (int64_t position = 0; position < chunk.frame_count; ++position) {
            const int64_t place = chunk.first_index + position;
            if (place < result.zero_index) renumbered[static_cast<size_t>(position)] = place - result.zero_index;
        }
        if (renumbered != sidecar.numbers) {
            if (sidecar.numbers_before_renumbering.empty()) sidecar.numbers_before_renumbering = sidecar.numbers;
            sidecar.numbers = std::move(renumbered);
            write_renumbered_sidecar(layout, chunk.chunk, sidecar);
        }
        if (!index) continue;
        Transaction transaction(index->database());
        record_complete_chunk(*index, layout, chunk.chunk);
        transaction.commit();
    }
    if (progress) progress(done, done);
    return result;
}

}  // namespace reelstore
