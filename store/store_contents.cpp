#include "store/store_contents.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "store/extra_data_file.h"

namespace reelstore {

namespace {

/// The packets of a video chunk as its file holds them; null, with a warning, when they cannot be read.
const PacketTable* scan(ChunkReader& reader, const std::filesystem::path& media, std::vector<std::string>& warnings) {
    try {
        return reader.packet_table();
    } catch (const Error& error) {
        warnings.push_back(fmt::format("{}; its frames cannot be read", error.at({media.string(), {}, {}}).what()));
        return nullptr;
    }
}

}  // namespace

bool recordable(const PacketTable& table) {
    return table.contiguous && table.packets.size() == table.display_order.size();
}

std::vector<NewFrame> new_frames(const ChunkSidecar& sidecar, const PacketTable* table) {
    std::vector<NewFrame> frames(sidecar.numbers.size());
    for (size_t i = 0; i < frames.size(); ++i) {
        const auto position = static_cast<int64_t>(i);
        frames[i].number = sidecar.numbers[i];
        frames[i].time = sidecar.times[i];
        frames[i].stored.position = position;
        frames[i].stored.decode_position = position;
        if (table && recordable(*table) && position < table->frame_count()) {
            frames[i].stored.packet = table->packet_of(position);
            frames[i].stored.bytes = table->packet_of(position).size;
            frames[i].stored.decode_position = table->display_order[i];
        }
    }
    return frames;
}

void fill_index(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata, bool scan_media,
                std::vector<std::string>& warnings, const ChunkProgress& progress) {
    const std::vector<StoreLayout::Chunk> chunks = layout.chunks();
    const ChunkFormat* format = reading_format(metadata);
    int64_t done = 0;
    for (const StoreLayout::Chunk& chunk : chunks) {
        if (progress) progress(done++, static_cast<int64_t>(chunks.size()));
        std::optional<ChunkSidecar> sidecar;
        try {
            sidecar = read_chunk_sidecar(layout, chunk.number);
        } catch (const Error& error) {
            warnings.push_back(fmt::format("{}; the chunk's frames are left out", error.what()));
            continue;
        }
        if (!sidecar) {
            warnings.push_back(fmt::format("{}: chunk {}: there is no {} with its numbers and times; its frames are left out",
                                           layout.media(chunk.number).string(), chunk.number, layout.sidecar(chunk.number).filename().string()));
            continue;
        }
        if (sidecar->numbers.empty()) continue;
        std::unique_ptr<ChunkReader> reader;
        const PacketTable* table = nullptr;
        if (!chunk.has_media) {
            warnings.push_back(fmt::format("{}: chunk {}: the file is missing; its {} frames cannot be read",
                                           layout.media(chunk.number).string(), chunk.number, sidecar->numbers.size()));
        } else if (scan_media && format && format->info().video) {
            reader = format->open(layout.media(chunk.number), metadata.stored_type, nullptr);
            table = scan(*reader, layout.media(chunk.number), warnings);
        }
        index.add_chunk(chunk.number, true);
        if (table && recordable(*table)) index.set_stream(table->stream);
        index.add_frames(new_frames(*sidecar, table));
    }
    if (progress) progress(static_cast<int64_t>(chunks.size()), static_cast<int64_t>(chunks.size()));
}

namespace {

/// The frame that a record says it belongs to.
std::optional<int64_t> frame_of(const FrameIndex& index, const Json& record) {
    const auto own_index = record.find("frame_index");
    const auto own_number = record.find("frame_number");
    std::optional<int64_t> number;
    if (own_number != record.end() && own_number->is_number()) number = own_number->get<int64_t>();
    if (own_index != record.end() && own_index->is_number()) {
        const std::optional<FrameRow> row = index.row(own_index->get<int64_t>());
        if (row && (!number || row->number == *number)) return row->index;
    }
    // Older writers gave no index, and one is off where a chunk is missing: then the number decides.
    if (!number) return std::nullopt;
    const std::optional<FrameRow> row = index.find_number(*number, Match::exact);
    return row ? std::optional(row->index) : std::nullopt;
}

}  // namespace

std::vector<ExtraRecord> read_extra_data_files(const FrameIndex& index, const StoreLayout& layout,
                                               std::vector<std::string>& warnings) {
    std::vector<ExtraRecord> records;
    for (const ChunkRow& chunk : index.chunks()) {
        for (const std::filesystem::path& path : layout.extra_data_files(chunk.chunk)) {
            ExtraDataFile file;
            try {
                file = read_extra_data_file(path);
            } catch (const Error& error) {
                warnings.push_back(fmt::format("{}; these extra data are left out", error.at({path.string(), chunk.chunk, {}}).what()));
                continue;
            }
            for (std::string& warning : file.warnings) warnings.push_back(std::move(warning));
            int64_t homeless = 0;
            for (Json& data : file.records) {
                const std::optional<int64_t> frame = frame_of(index, data);
                if (!frame) {
                    ++homeless;
                    continue;
                }
                for (const char* key : {"frame_index", "frame_number", "frame_time"}) data.erase(key);
                records.push_back({*frame, std::move(data)});
            }
            if (homeless > 0) {
                warnings.push_back(fmt::format("{}: chunk {}: {} records belong to no frame of the store and are left out", path.string(), chunk.chunk, homeless));
            }
        }
    }
    std::stable_sort(records.begin(), records.end(), [](const ExtraRecord& a, const ExtraRecord& b) { return a.frame_index < b.frame_index; });
    return records;
}

}  // namespace reelstore
