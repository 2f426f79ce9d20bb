#include "store/store_contents.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

/// The chunk's sidecar; nothing, with the reason in `problem`, when there is none that can be read.
std::optional<ChunkSidecar> readable_sidecar(const StoreLayout& layout, int64_t chunk, std::string& problem) {
    try {
        std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(layout, chunk);
        if (sidecar) return sidecar;
        problem = fmt::format("{}: chunk {}: there is no {} with its numbers and times", layout.media(chunk).string(),
                              chunk, layout.sidecar(chunk).filename().string());
    } catch (const Error& error) {
        problem = error.what();
    }
    return std::nullopt;
}

/// Appends a chunk as another index has it.
void copy_chunk(const FrameIndex& from, const ChunkRow& chunk, FrameIndex& to) {
    ChunkSidecar rows;
    from.visit_rows(chunk.first_index, chunk.first_index + chunk.frame_count, [&](const FrameRow& row) {
        rows.numbers.push_back(row.number);
        rows.times.push_back(row.time);
        return true;
    });
    const std::shared_ptr<const PacketTable> table = from.packet_table(chunk.chunk);
    to.add_chunk(chunk.chunk, chunk.closed);
    if (table) to.set_stream(table->stream);
    to.add_frames(new_frames(rows, table.get()));
}

}  // namespace

bool recordable(const PacketTable& table, size_t frames) {
    return table.contiguous && table.packets.size() == frames && table.display_order.size() == frames;
}

std::vector<NewFrame> new_frames(const ChunkSidecar& sidecar, const PacketTable* table) {
    std::vector<NewFrame> frames(sidecar.numbers.size());
    const bool with_packets = table && recordable(*table, frames.size());
    for (size_t i = 0; i < frames.size(); ++i) {
        const auto position = static_cast<int64_t>(i);
        frames[i].number = sidecar.numbers[i];
        frames[i].time = sidecar.times[i];
        frames[i].stored.position = position;
        frames[i].stored.decode_position = position;
        if (with_packets) {
            frames[i].stored.packet = table->packet_of(position);
            frames[i].stored.bytes = table->packet_of(position).size;
            frames[i].stored.decode_position = table->display_order[i];
        }
    }
    return frames;
}

FillResult fill_index(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                      std::vector<std::string>& warnings, const FillOptions& options) {
    FillResult result;
    const ChunkProgress& progress = options.progress;
    const std::vector<StoreLayout::Chunk> chunks = layout.chunks();
    const ChunkFormat* format = reading_format(metadata);
    int64_t done = 0;
    for (const StoreLayout::Chunk& chunk : chunks) {
        if (progress) progress(done++, static_cast<int64_t>(chunks.size()));
        std::string problem;
        const std::optional<ChunkSidecar> sidecar = readable_sidecar(layout, chunk.number, problem);
        if (!sidecar) {
            const ChunkRow* known = options.earlier ? options.earlier->find_chunk(chunk.number) : nullptr;
            if (known && known->frame_count > 0) {
                copy_chunk(*options.earlier, *known, index);
                ++result.chunks_unfinished;
                warnings.push_back(
                    fmt::format("{}; its {} frames are taken from the earlier index", problem, known->frame_count));
            } else {
                ++result.chunks_left_out;
                warnings.push_back(fmt::format("{}; its frames are left out", problem));
            }
            continue;
        }
        if (sidecar->numbers.empty()) continue;
        std::unique_ptr<ChunkReader> reader;
        std::shared_ptr<const PacketTable> known;
        const PacketTable* table = nullptr;
        if (!chunk.has_media) {
            ++result.chunks_without_media;
            warnings.push_back(fmt::format("{}: chunk {}: the file is missing; its {} frames cannot be read",
                                           layout.media(chunk.number).string(), chunk.number, sidecar->numbers.size()));
        } else if (options.scan_media && format && format->info().video) {
            reader = format->open(layout.media(chunk.number), metadata.stored_type);
            table = scan(*reader, layout.media(chunk.number), warnings);
            if (!table) ++result.chunks_without_media;
            // Recorded at writing, checksums tell damage; those of a scan would take it for the recording.
            if (options.earlier) known = options.earlier->packet_table(chunk.number);
            if (table && known && known->packets == table->packets) table = known.get();
        }
        index.add_chunk(chunk.number, true);
        if (table && recordable(*table, sidecar->numbers.size())) index.set_stream(table->stream);
        index.add_frames(new_frames(*sidecar, table));
    }
    if (progress) progress(static_cast<int64_t>(chunks.size()), static_cast<int64_t>(chunks.size()));
    return result;
}

namespace {

/// The integer that a JSON value holds, also as a whole float; nothing for anything else.
std::optional<int64_t> whole_number(const Json& record, const char* key) {
    const auto value = record.find(key);
    if (value == record.end() || !value->is_number()) return std::nullopt;
    if (value->is_number_float()) {
        const double number = value->get<double>();
        if (!(std::abs(number) < 9e15) || number != std::floor(number)) return std::nullopt;
        return static_cast<int64_t>(number);
    }
    if (value->is_number_unsigned() &&
        value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        return std::nullopt;
    return value->get<int64_t>();
}

}  // namespace

std::optional<int64_t> frame_of_record(const FrameIndex& index, const Json& record) {
    const std::optional<int64_t> number = whole_number(record, "frame_number");
    if (const std::optional<int64_t> own_index = whole_number(record, "frame_index")) {
        const std::optional<FrameRow> row = index.row(*own_index);
        if (row && (!number || row->number == *number)) return row->index;
    }
    // Older writers gave no index, and one is off where a chunk is missing: then the number decides.
    if (!number) return std::nullopt;
    const std::optional<FrameRow> row = index.find_number(*number, Match::exact);
    return row ? std::optional(row->index) : std::nullopt;
}

std::vector<ExtraRecord> read_extra_data_files(const FrameIndex& index, const StoreLayout& layout,
                                               std::vector<std::string>& warnings) {
    std::vector<ExtraRecord> records;
    for (const ChunkRow& chunk : index.chunks()) {
        for (const std::filesystem::path& path : layout.extra_data_files(chunk.chunk)) {
            ExtraDataFile file;
            try {
                file = read_extra_data_file(path);
            } catch (const Error& error) {
                warnings.push_back(fmt::format("{}; these extra data are left out",
                                               error.at({path.string(), chunk.chunk, {}}).what()));
                continue;
            }
            for (std::string& warning : file.warnings) warnings.push_back(std::move(warning));
            int64_t homeless = 0;
            for (Json& data : file.records) {
                const std::optional<int64_t> frame = frame_of_record(index, data);
                if (!frame) {
                    ++homeless;
                    continue;
                }
                for (const char* key : {"frame_index", "frame_number", "frame_time"}) data.erase(key);
                records.push_back({*frame, std::move(data)});
            }
            if (homeless > 0) {
                warnings.push_back(
                    fmt::format("{}: chunk {}: {} records belong to no frame of the store and are left out",
                                path.string(), chunk.chunk, homeless));
            }
        }
    }
    std::stable_sort(records.begin(), records.end(),
                     [](const ExtraRecord& a, const ExtraRecord& b) { return a.frame_index < b.frame_index; });
    return records;
}

std::vector<ExtraRecord> extra_data_only_in(const FrameIndex& earlier, const FrameIndex& index,
                                            const StoreLayout& layout) {
    std::vector<ExtraRecord> records;
    for (const ChunkRow& chunk : index.chunks()) {
        const ChunkRow* known = earlier.find_chunk(chunk.chunk);
        if (!known || !layout.extra_data_files(chunk.chunk).empty()) continue;
        earlier.visit_extra_data(known->first_index, known->first_index + known->frame_count,
                                 [&](const ExtraDataRow& row) {
                                     Json data = Json::parse(row.data, nullptr, false);
                                     const int64_t position = row.frame_index - known->first_index;
                                     if (data.is_object() && position < chunk.frame_count)
                                         records.push_back({chunk.first_index + position, std::move(data)});
                                     return true;
                                 });
    }
    return records;
}

}  // namespace reelstore
