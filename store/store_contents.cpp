#include "store/store_contents.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/clock.h"
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

/// What an earlier index says of the packets that a scan has found again, with the places where they are now; null when
/// the scan found others. Recorded at writing, checksums tell damage; those of a scan, and what it reads from the
/// bytes of a frame, would take damage for the recording.
std::shared_ptr<const PacketTable> at_new_places(const PacketTable& recorded, const PacketTable& found) {
    if (!found.contiguous || found.packets.size() != recorded.packets.size()) return nullptr;
    auto moved = std::make_shared<PacketTable>(recorded);
    for (size_t place = 0; place < found.packets.size(); ++place) {
        if (found.packets[place].size != moved->packets[place].size) return nullptr;
        moved->packets[place].offset = found.packets[place].offset;
    }
    return moved;
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

/// Sizes and checksums of image files as an earlier index has them.
void take_over_files(const FrameIndex& earlier, const ChunkRow& chunk, std::vector<NewFrame>& frames) {
    const size_t count = std::min(frames.size(), static_cast<size_t>(chunk.frame_count));
    for (size_t i = 0; i < count; ++i) {
        const int64_t index = chunk.first_index + static_cast<int64_t>(i);
        frames[i].stored.checksum = earlier.checksum(index);
        frames[i].stored.bytes = earlier.byte_size(index).value_or(0);
    }
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
    std::vector<NewFrame> frames = new_frames(rows, table.get());
    if (!table) take_over_files(from, chunk, frames);
    to.add_frames(frames);
}

}  // namespace

std::unique_ptr<FrameIndex> open_index_to_read(const std::filesystem::path& folder, const StoreMetadata& metadata) {
    const std::filesystem::path path = StoreLayout::index(folder);
    try {
        return FrameIndex::open(path, metadata.uuid);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::io) throw;
        std::filesystem::path log = path;
        log += "-wal";
        const bool has_log = file_system().status(log).size > 0;
        return FrameIndex::open(path, metadata.uuid, has_log ? Database::Mode::unlocked : Database::Mode::immutable);
    }
}

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

ChunkSidecar sidecar_of(const FrameIndex& index, int64_t chunk) {
    const ChunkRow* row = index.find_chunk(chunk);
    if (!row) throw Error(ErrorCode::not_found, {index.database().path(), chunk, {}}, "the index has no such chunk");
    ChunkSidecar sidecar;
    index.visit_rows(row->first_index, row->first_index + row->frame_count, [&](const FrameRow& frame) {
        sidecar.numbers.push_back(frame.number);
        sidecar.times.push_back(frame.time);
        return true;
    });
    return sidecar;
}

std::string extra_data_text(const ChunkSidecar& frames, int64_t first_index, std::span<const ExtraDataRow> records) {
    ExtraDataText text;
    for (const ExtraDataRow& record : records) {
        const auto position = static_cast<size_t>(record.frame_index - first_index);
        Json data = Json::parse(record.data, nullptr, false);
        // What a damaged index holds for a record is nobody's data.
        if (!data.is_object() || position >= frames.numbers.size()) continue;
        text.add(data, frames.times[position], frames.numbers[position], record.frame_index);
    }
    return text.empty() ? std::string() : text.finish();
}

void write_extra_data_file(const FrameIndex& index, const StoreLayout& layout, int64_t chunk) {
    const ChunkSidecar frames = sidecar_of(index, chunk);
    const int64_t first = index.find_chunk(chunk)->first_index;
    ExtraDataText text;
    index.visit_extra_data(first, first + static_cast<int64_t>(frames.numbers.size()), [&](const ExtraDataRow& row) {
        const auto position = static_cast<size_t>(row.frame_index - first);
        const Json data = Json::parse(row.data, nullptr, false);
        // What a damaged index holds for a record is nobody's data.
        if (data.is_object()) text.add(data, frames.times[position], frames.numbers[position], row.frame_index);
        return true;
    });
    if (!text.empty()) write_file_atomically(layout.extra_data(chunk), text.finish());
}

void complete_chunk_files(const FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                          int64_t chunk) {
    write_extra_data_file(index, layout, chunk);
    write_chunk_sidecar(layout, chunk, metadata, sidecar_of(index, chunk));
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
            if (options.earlier) known = options.earlier->packet_table(chunk.number);
            if (table && known) known = at_new_places(*known, *table);
            if (table && known) table = known.get();
        }
        index.add_chunk(chunk.number, true);
        if (table && recordable(*table, sidecar->numbers.size())) index.set_stream(table->stream);
        std::vector<NewFrame> frames = new_frames(*sidecar, table);
        const ChunkRow* earlier = options.earlier ? options.earlier->find_chunk(chunk.number) : nullptr;
        if (earlier && layout.kind() == ChunkKind::folder) take_over_files(*options.earlier, *earlier, frames);
        index.add_frames(frames);
        if (sidecar->synthetic) result.synthetic.push_back(chunk.number);
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

bool lacks_complete_chunks(const FrameIndex& index, const StoreLayout& layout,
                           const std::vector<StoreLayout::Chunk>& on_disk) {
    if (index.closed()) return false;
    std::map<int64_t, int64_t> unfinished;
    std::set<int64_t> complete;
    for (const ChunkRow& row : index.chunks()) {
        if (row.closed) {
            complete.insert(row.chunk);
        } else {
            unfinished[row.chunk] = row.frame_count;
        }
    }
    return std::any_of(on_disk.begin(), on_disk.end(), [&](const StoreLayout::Chunk& chunk) {
        if (!chunk.has_sidecar || complete.contains(chunk.number)) return false;
        std::string problem;
        const std::optional<ChunkSidecar> sidecar = readable_sidecar(layout, chunk.number, problem);
        return sidecar && static_cast<int64_t>(sidecar->numbers.size()) > unfinished[chunk.number];
    });
}

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

EventRow synthetic_event(int64_t chunk, int64_t frames, int64_t next_index) {
    const Json data = {{"action", "salvage"}, {"chunk", chunk}, {"frames", frames}, {"times", "synthetic"}};
    return {now_utc(), "repaired", next_index, data.dump()};
}

std::optional<int64_t> synthetic_chunk_of(const EventRow& event) {
    if (event.kind != "repaired") return std::nullopt;
    const Json data = Json::parse(event.data, nullptr, false);
    if (!data.is_object() || data.value("times", Json()) != "synthetic") return std::nullopt;
    return whole_number(data, "chunk");
}

std::vector<EventRow> events_of(const FrameIndex& earlier, const FrameIndex& index) {
    std::vector<EventRow> events;
    earlier.visit_events([&](EventRow event) {
        if (event.frame_index) {
            // It may stand behind the last frame of all, where no row is.
            const int64_t before = std::max<int64_t>(0, *event.frame_index - 1);
            const std::optional<FrameRow> row = earlier.row(before);
            const ChunkRow* chunk = row ? index.find_chunk(row->chunk) : nullptr;
            event.frame_index =
                chunk ? std::optional(chunk->first_index + row->position + *event.frame_index - before) : std::nullopt;
        }
        events.push_back(std::move(event));
        return true;
    });
    return events;
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
