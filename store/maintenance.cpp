#include "store/maintenance.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "store/chunk_sidecar.h"
#include "store/extra_data_file.h"
#include "store/store_contents.h"
#include "store/store_lock.h"

namespace reelstore {

namespace {

/// Removes a database and what SQLite may have left beside it.
void remove_database(const std::filesystem::path& path) {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
        std::filesystem::path file = path;
        file += suffix;
        if (file_system().status(file).kind == FileKind::file) file_system().remove(file);
    }
}

/// The index that is to be replaced, if it can be read.
std::unique_ptr<FrameIndex> readable_index(const std::filesystem::path& path, const StoreMetadata& metadata) {
    try {
        if (file_system().status(path).kind == FileKind::file) return FrameIndex::open(path, metadata.uuid);
    } catch (const Error&) {
        // Damaged, foreign or newer: the chunks are all there is.
    }
    return nullptr;
}

/// The store's index if it has one that opens.
std::unique_ptr<FrameIndex> open_existing_index(const std::filesystem::path& folder, const StoreMetadata& metadata) {
    const std::filesystem::path path = StoreLayout::index(folder);
    if (file_system().status(path).kind != FileKind::file) return nullptr;
    return FrameIndex::open(path, metadata.uuid, Database::Mode::read_write);
}

/// The records of the chunk's extra data files by file. Throws before anything is changed when they cannot be renumbered.
std::vector<std::pair<std::filesystem::path, std::vector<Json>>> renumberable_extra_data(const StoreLayout& layout, int64_t chunk) {
    std::vector<std::pair<std::filesystem::path, std::vector<Json>>> files;
    for (const std::filesystem::path& path : layout.extra_data_files(chunk)) {
        const ErrorPlace place{path.string(), chunk, {}};
        if (path.extension() != ".json") throw Error(ErrorCode::unsupported, place, "extra data in HDF5 cannot be renumbered; nothing was changed");
        ExtraDataFile file = read_extra_data_file(path);
        for (const Json& record : file.records) {
            const auto index = record.find("frame_index");
            if (index == record.end() || !index->is_number_integer() || index->get<int64_t>() < 0) {
                throw Error(ErrorCode::unsupported, place, "extra data without frame_index cannot be renumbered; nothing was changed");
            }
        }
        files.emplace_back(path, std::move(file.records));
    }
    return files;
}

void renumber_extra_data(const StoreLayout& layout, int64_t chunk, const std::vector<int64_t>& numbers) {
    for (auto& [path, records] : renumberable_extra_data(layout, chunk)) {
        for (Json& record : records) {
            const auto index = record["frame_index"].get<size_t>();
            if (index >= numbers.size()) continue;
            if (!record.contains("_frame_number_before_reindex")) record["_frame_number_before_reindex"] = record["frame_number"];
            record["frame_number"] = numbers[index];
        }
        write_file_atomically(path, Json(records).dump());
    }
}

}  // namespace

IndexResult build_index(const std::filesystem::path& store, const ChunkProgress& progress) {
    const std::filesystem::path folder = store_folder(store);
    const StoreMetadata metadata = read_metadata(folder);
    const StoreLayout layout(folder, metadata.kind, metadata.extension);
    const StoreLock lock(folder);
    const std::filesystem::path path = StoreLayout::index(folder);
    std::filesystem::path fresh = path;
    fresh += ".tmp";
    remove_database(fresh);

    IndexResult result;
    result.warnings = metadata.warnings;
    {
        const std::unique_ptr<FrameIndex> earlier = readable_index(path, metadata);
        const auto index = FrameIndex::create(fresh, metadata.uuid);
        Transaction transaction(index->database());
        const FillResult filled = fill_index(*index, layout, metadata, result.warnings, {true, earlier.get(), progress});
        std::vector<ExtraRecord> records = read_extra_data_files(*index, layout, result.warnings);
        if (earlier) {
            for (ExtraRecord& record : extra_data_only_in(*earlier, *index, layout)) records.push_back(std::move(record));
        }
        for (const ExtraRecord& record : records) index->add_extra_data(record.frame_index, record.data.dump());
        index->set_closed(filled.chunks_unfinished == 0);
        result.chunks_left_out = filled.chunks_left_out;
        transaction.commit();
        result.frame_count = index->frame_count();
        result.chunk_count = static_cast<int64_t>(index->chunks().size());
    }
    remove_database(path);
    file_system().rename(fresh, path);
    file_system().sync_folder(folder);
    return result;
}

RenumberResult renumber(const std::filesystem::path& store, const ChunkProgress& progress) {
    const std::filesystem::path folder = store_folder(store);
    const StoreMetadata metadata = read_metadata(folder);
    const StoreLayout layout(folder, metadata.kind, metadata.extension);
    const StoreLock lock(folder);
    const std::unique_ptr<FrameIndex> index = open_existing_index(folder, metadata);

    // All sidecars are read before the first is changed, so that a store that cannot be renumbered stays as it is.
    std::vector<std::pair<int64_t, ChunkSidecar>> chunks;
    std::vector<int64_t> numbers;
    for (const StoreLayout::Chunk& chunk : layout.chunks()) {
        std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(layout, chunk.number);
        if (!sidecar || sidecar->numbers.empty()) continue;
        renumberable_extra_data(layout, chunk.number);
        numbers.insert(numbers.end(), sidecar->numbers.begin(), sidecar->numbers.end());
        chunks.emplace_back(chunk.number, std::move(*sidecar));
    }
    if (index && index->frame_count() != static_cast<int64_t>(numbers.size())) {
        throw Error(ErrorCode::corrupt, {folder.string(), {}, {}},
                    fmt::format("the index has {} frames, the chunks {}; run `store index` first", index->frame_count(), numbers.size()));
    }
    RenumberResult result;
    const auto zeros = std::count(numbers.begin(), numbers.end(), 0);
    if (zeros != 1) {
        throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}}, fmt::format("{} frames have the number 0; there must be exactly one", zeros));
    }
    result.zero_index = std::find(numbers.begin(), numbers.end(), 0) - numbers.begin();
    for (int64_t i = 0; i < result.zero_index; ++i) {
        int64_t& number = numbers[static_cast<size_t>(i)];
        if (number != i - result.zero_index) ++result.frames_changed;
        number = i - result.zero_index;
    }
    if (index) {
        Transaction transaction(index->database());
        index->renumber(std::span(numbers).first(static_cast<size_t>(result.zero_index)));
        transaction.commit();
    }
    int64_t first = 0;
    int64_t done = 0;
    for (auto& [chunk, sidecar] : chunks) {
        if (progress) progress(done++, static_cast<int64_t>(chunks.size()));
        const auto begin = numbers.begin() + first;
        first += static_cast<int64_t>(sidecar.numbers.size());
        const std::vector<int64_t> renumbered(begin, numbers.begin() + first);
        renumber_extra_data(layout, chunk, numbers);
        if (renumbered == sidecar.numbers) continue;
        if (sidecar.numbers_before_renumbering.empty()) sidecar.numbers_before_renumbering = sidecar.numbers;
        sidecar.numbers = renumbered;
        write_renumbered_sidecar(layout, chunk, sidecar);
    }
    if (progress) progress(done, done);
    return result;
}

}  // namespace reelstore
