#include "store/store_contents.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <thread>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "store/extra_data_file.h"
#include "store/loaded_table.h"

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
    record_stream(to, table.get(), rows.numbers.size());
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
    return table.contiguous && table.display_order.size() == frames;
}

void record_stream(FrameIndex& index, const PacketTable* table, size_t frames) {
    if (!table || !recordable(*table, frames)) return;
    index.set_stream(table->stream);
    index.add_hidden_packets(*table);
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

ChunkSidecar sidecar_of(const FrameTable& index, int64_t chunk) {
    const std::optional<ChunkRow> row = index.find_chunk(chunk);
    if (!row) throw Error(ErrorCode::not_found, {{}, chunk, {}}, "the index has no such chunk");
    ChunkSidecar sidecar;
    index.visit_rows(row->first_index, row->first_index + row->frame_count, [&](const FrameRow& frame) {
        sidecar.numbers.push_back(frame.number);
        sidecar.times.push_back(frame.time);
        return true;
    });
    return sidecar;
}

void record_complete_chunk(FrameIndex& index, const StoreLayout& layout, int64_t chunk) {
    if (const std::optional<SidecarMark> mark = read_sidecar_mark(layout, chunk)) index.set_sidecar_mark(chunk, *mark);
    index.close_chunk(chunk);
}

void write_extra_data_file(const FrameIndex& index, const StoreLayout& layout, int64_t chunk) {
    const ChunkSidecar frames = sidecar_of(index, chunk);
    const int64_t first = index.find_chunk(chunk)->first_index;
    ExtraDataText text;
    index.visit_extra_data(first, first + static_cast<int64_t>(frames.numbers.size()), [&](const ExtraDataRow& row) {
        const auto position = static_cast<size_t>(row.frame_index - first);
        const std::optional<Json> data = parse_extra_data(row.data);
        // What a damaged index holds for a record is nobody's data.
        if (!data) return true;
        text.add(*data, frames.times[position], frames.numbers[position], row.frame_index + index.removed_frames());
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
    const int64_t first_kept = options.earlier ? options.earlier->first_kept_chunk() : 0;
    if (options.earlier) index.begin_behind(options.earlier->removed_frames(), first_kept);
    int64_t done = 0;
    for (const StoreLayout::Chunk& chunk : chunks) {
        if (progress) progress(done++, static_cast<int64_t>(chunks.size()));
        if (chunk.number < first_kept) continue;
        std::string problem;
        const std::optional<ChunkSidecar> sidecar = readable_sidecar(layout, chunk.number, problem);
        if (!sidecar) {
            const std::optional<ChunkRow> known =
                options.earlier ? options.earlier->find_chunk(chunk.number) : std::nullopt;
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
        } else if (options.scan_media && format && layout.kind() == ChunkKind::file) {
            reader = format->open(layout.media(chunk.number), metadata.stored_type);
            table = scan(*reader, layout.media(chunk.number), warnings);
            if (!table) ++result.chunks_without_media;
            if (options.earlier) known = options.earlier->packet_table(chunk.number);
            if (table && known) known = at_new_places(*known, *table);
            if (table && known) table = known.get();
        }
        index.add_chunk(chunk.number, true);
        record_stream(index, table, sidecar->numbers.size());
        std::vector<NewFrame> frames = new_frames(*sidecar, table);
        const std::optional<ChunkRow> earlier =
            options.earlier ? options.earlier->find_chunk(chunk.number) : std::nullopt;
        if (earlier && layout.kind() == ChunkKind::folder) take_over_files(*options.earlier, *earlier, frames);
        index.add_frames(frames);
        if (const std::optional<SidecarMark> mark = read_sidecar_mark(layout, chunk.number))
            index.set_sidecar_mark(chunk.number, *mark);
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
    index.visit_chunks([&](const ChunkRow& row) {
        if (row.closed) {
            complete.insert(row.chunk);
        } else {
            unfinished[row.chunk] = row.frame_count;
        }
        return true;
    });
    const int64_t first_kept = index.first_kept_chunk();
    return std::any_of(on_disk.begin(), on_disk.end(), [&](const StoreLayout::Chunk& chunk) {
        if (chunk.number < first_kept || !chunk.has_sidecar || complete.contains(chunk.number)) return false;
        std::string problem;
        const std::optional<ChunkSidecar> sidecar = readable_sidecar(layout, chunk.number, problem);
        return sidecar && static_cast<int64_t>(sidecar->numbers.size()) > unfinished[chunk.number];
    });
}

std::optional<int64_t> frame_of_record(const FrameTable& index, const Json& record, int64_t& removed_frames) {
    const std::optional<int64_t> number = whole_number(record, "frame_number");
    const auto recorded_time = record.find("frame_time");
    const double time = recorded_time != record.end() && recorded_time->is_number()
                            ? recorded_time->get<double>()
                            : std::numeric_limits<double>::quiet_NaN();
    const bool has_time = std::isfinite(time);
    std::optional<int64_t> own_index = whole_number(record, "frame_index");
    // What lies beyond is no index, and could not be subtracted from.
    constexpr int64_t kHighestIndex = int64_t{1} << 60;
    if (own_index && (*own_index < 0 || *own_index > kHighestIndex)) own_index.reset();
    if (own_index) {
        const std::optional<FrameRow> row = index.row(*own_index - removed_frames);
        if (row && (!number || (row->number == *number && (!has_time || row->time == time)))) return row->index;
    }
    // Older writers gave no index, and one is off where a chunk is missing: then the number decides, and where numbers
    // repeat, the time.
    if (!number) return std::nullopt;
    if (has_time) {
        const std::optional<FrameRow> row = index.find_time(time, Match::exact);
        if (row && row->number == *number) {
            // Of several alike nobody can say which it was.
            const std::optional<FrameRow> next = own_index ? index.row(row->index + 1) : std::nullopt;
            if (own_index && !(next && next->number == *number && next->time == time))
                removed_frames = *own_index - row->index;
            return row->index;
        }
    }
    const std::optional<FrameRow> row = index.find_number(*number, Match::exact);
    return row ? std::optional(row->index) : std::nullopt;
}

void visit_extra_data_files(const FrameTable& index, const StoreLayout& layout, std::vector<std::string>& warnings,
                            const std::function<void(ExtraRecord)>& visit) {
    int64_t removed_frames = index.removed_frames();
    index.visit_chunks([&](const ChunkRow& chunk) {
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
                const std::optional<int64_t> frame = frame_of_record(index, data, removed_frames);
                if (!frame) {
                    ++homeless;
                    continue;
                }
                for (const char* key : {"frame_index", "frame_number", "frame_time"}) data.erase(key);
                visit({*frame, std::move(data)});
            }
            if (homeless > 0) {
                warnings.push_back(
                    fmt::format("{}: chunk {}: {} records belong to no frame of the store and are left out",
                                path.string(), chunk.chunk, homeless));
            }
        }
        return true;
    });
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

std::vector<EventRow> events_of(const FrameIndex& earlier, const FrameTable& index) {
    std::vector<EventRow> events;
    earlier.visit_events([&](EventRow event) {
        if (event.frame_index) {
            // It may stand behind the last frame of all, where no row is.
            const int64_t before = std::max<int64_t>(0, *event.frame_index - 1);
            const std::optional<FrameRow> row = earlier.row(before);
            const std::optional<ChunkRow> chunk = row ? index.find_chunk(row->chunk) : std::nullopt;
            event.frame_index =
                chunk ? std::optional(chunk->first_index + row->position + *event.frame_index - before) : std::nullopt;
        }
        events.push_back(std::move(event));
        return true;
    });
    return events;
}

void visit_extra_data_only_in(const FrameIndex& earlier, const FrameTable& index, const StoreLayout& layout,
                              const std::function<void(ExtraRecord)>& visit) {
    index.visit_chunks([&](const ChunkRow& chunk) {
        const std::optional<ChunkRow> known = earlier.find_chunk(chunk.chunk);
        if (!known || !layout.extra_data_files(chunk.chunk).empty()) return true;
        earlier.visit_extra_data(known->first_index, known->first_index + known->frame_count,
                                 [&](const ExtraDataRow& row) {
                                     std::optional<Json> data = parse_extra_data(row.data);
                                     const int64_t position = row.frame_index - known->first_index;
                                     if (data && position < chunk.frame_count)
                                         visit({chunk.first_index + position, std::move(*data)});
                                     return true;
                                 });
        return true;
    });
}

namespace {

/// A table from sidecars, some of whose chunks are those of an index.
class SidecarTable : public LoadedTable {
public:
    SidecarTable(const StoreLayout& layout, std::vector<ChunkRow> chunks, std::shared_ptr<const FrameIndex> earlier,
                 std::set<int64_t> from_index)
        : LoadedTable(layout.folder().string(), std::move(chunks),
                      [layout, earlier, from_index](const ChunkRow& chunk) {
                          if (from_index.contains(chunk.chunk)) return sidecar_of(*earlier, chunk.chunk);
                          std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(layout, chunk.chunk);
                          return sidecar ? std::move(*sidecar) : ChunkSidecar();
                      }),
          earlier_(std::move(earlier)),
          from_index_(std::move(from_index)) {}

    std::shared_ptr<const PacketTable> packet_table(int64_t chunk, std::optional<int64_t> position) const override {
        return from_index_.contains(chunk) ? earlier_->packet_table(chunk, position) : nullptr;
    }

    std::optional<uint32_t> checksum(int64_t index) const override {
        const std::optional<ChunkRow> chunk = chunk_at(index);
        if (!chunk || !from_index_.contains(chunk->chunk)) return std::nullopt;
        return earlier_->checksum(earlier_->find_chunk(chunk->chunk).value().first_index + index - chunk->first_index);
    }

    void visit_events(const std::function<bool(const EventRow&)>& visit) const override {
        if (!earlier_) return;
        for (const EventRow& event : events_of(*earlier_, *this)) {
            if (!visit(event)) return;
        }
    }
    int64_t event_count() const override { return earlier_ ? earlier_->event_count() : 0; }
    int64_t removed_frames() const override { return earlier_ ? earlier_->removed_frames() : 0; }

private:
    std::shared_ptr<const FrameIndex> earlier_;
    std::set<int64_t> from_index_;
};

/// What a sidecar says of its chunk; nothing, with the reason, when it cannot be read.
struct ReadSidecar {
    std::optional<ChunkRow> summary;
    bool synthetic = false;
    std::string problem;
};

/// Those of many chunks, on all cores.
std::vector<ReadSidecar> read_summaries(const StoreLayout& layout, const std::vector<int64_t>& chunks) {
    constexpr unsigned kMostThreads = 8;
    std::vector<ReadSidecar> found(chunks.size());
    std::atomic<size_t> next = 0;
    const auto work = [&] {
        for (size_t place = next++; place < chunks.size(); place = next++) {
            const auto sidecar = readable_sidecar(layout, chunks[place], found[place].problem);
            if (!sidecar) continue;
            found[place].summary = summary_of(chunks[place], *sidecar);
            found[place].synthetic = sidecar->synthetic;
        }
    };
    std::vector<std::jthread> threads;
    const size_t wanted = std::min<size_t>({chunks.size(), std::thread::hardware_concurrency(), kMostThreads});
    while (threads.size() + 1 < wanted) threads.emplace_back(work);
    work();
    return found;
}

/// How much later than the index its folder may have been changed by the writer that closed it, in seconds.
constexpr double kClosingSeconds = 2;
/// Chunks whose sidecars are looked at before all are.
constexpr int64_t kSampledChunks = 8;

bool sidecar_has_changed(const FrameIndex& index, const StoreLayout& layout, int64_t chunk) {
    const std::optional<SidecarMark> mark = index.sidecar_mark(chunk);
    if (!mark) return false;
    const std::optional<SidecarMark> now = read_sidecar_mark(layout, chunk);
    // A sidecar that is lost takes nothing from the index.
    return now && now != mark;
}

bool is_gone(const StoreLayout& layout, int64_t chunk) {
    return file_system().status(layout.media(chunk)).kind == FileKind::missing && !read_sidecar_mark(layout, chunk);
}

/// A look that costs the same however large the store is.
bool looks_changed(const FrameIndex& index, const StoreLayout& layout) {
    const std::filesystem::path path = StoreLayout::index(layout.folder());
    if (file_system().status(layout.folder()).modified > file_system().status(path).modified + kClosingSeconds)
        return true;
    const int64_t frames = index.frame_count();
    for (int64_t sample = 0; sample < kSampledChunks && frames > 0; ++sample) {
        const int64_t place = sample * (frames - 1) / (kSampledChunks - 1);
        const int64_t chunk = index.chunk_at(place).value().chunk;
        if (sidecar_has_changed(index, layout, chunk) || is_gone(layout, chunk)) return true;
    }
    const std::optional<ChunkRow> last = index.last_chunk();
    return read_sidecar_mark(layout, last ? last->chunk + 1 : 0).has_value();
}

}  // namespace

OpenedSidecars open_sidecars(const StoreLayout& layout, std::vector<std::string>& warnings,
                             std::shared_ptr<const FrameIndex> earlier, const std::set<int64_t>& trusted) {
    FillResult result;
    std::vector<StoreLayout::Chunk> on_disk = layout.chunks();
    std::set<int64_t> missing = trusted;
    for (const StoreLayout::Chunk& chunk : on_disk) missing.erase(chunk.number);
    for (const int64_t chunk : missing) on_disk.push_back({chunk, false, false});
    std::sort(on_disk.begin(), on_disk.end(),
              [](const StoreLayout::Chunk& a, const StoreLayout::Chunk& b) { return a.number < b.number; });
    const int64_t first_kept = earlier ? earlier->first_kept_chunk() : 0;
    std::vector<int64_t> to_read;
    for (const StoreLayout::Chunk& chunk : on_disk) {
        if (chunk.number >= first_kept && !trusted.contains(chunk.number)) to_read.push_back(chunk.number);
    }
    const std::vector<ReadSidecar> read = read_summaries(layout, to_read);
    std::vector<ChunkRow> chunks;
    std::set<int64_t> from_index;
    size_t next = 0;
    for (const StoreLayout::Chunk& chunk : on_disk) {
        if (chunk.number < first_kept) continue;
        const bool is_trusted = trusted.contains(chunk.number);
        const ReadSidecar* sidecar = is_trusted ? nullptr : &read[next++];
        std::optional<ChunkRow> row = sidecar ? sidecar->summary : std::nullopt;
        if (!row && earlier) {
            row = earlier->find_chunk(chunk.number);
            if (row && row->frame_count == 0) row.reset();
            if (row) from_index.insert(chunk.number);
            if (row && sidecar) {
                ++result.chunks_unfinished;
                warnings.push_back(fmt::format("{}; its {} frames are taken from the earlier index", sidecar->problem,
                                               row->frame_count));
            }
        }
        if (!row) {
            ++result.chunks_left_out;
            if (sidecar) warnings.push_back(fmt::format("{}; its frames are left out", sidecar->problem));
            continue;
        }
        if (row->frame_count == 0) continue;
        if (!chunk.has_media) {
            ++result.chunks_without_media;
            warnings.push_back(fmt::format("{}: chunk {}: the file is missing; its {} frames cannot be read",
                                           layout.media(chunk.number).string(), chunk.number, row->frame_count));
        }
        if (sidecar && sidecar->synthetic) result.synthetic.push_back(chunk.number);
        chunks.push_back(*row);
    }
    auto table = std::make_unique<SidecarTable>(layout, std::move(chunks), std::move(earlier), std::move(from_index));
    return {std::move(table), std::move(result)};
}

std::optional<ChunkChanges> find_changes(const FrameIndex& index, const StoreLayout& layout) {
    if (!looks_changed(index, layout)) return std::nullopt;
    const std::vector<StoreLayout::Chunk> on_disk = layout.chunks();
    std::map<int64_t, const StoreLayout::Chunk*> by_number;
    const int64_t first_kept = index.first_kept_chunk();
    for (const StoreLayout::Chunk& chunk : on_disk) {
        if (chunk.number >= first_kept) by_number.emplace(chunk.number, &chunk);
    }
    ChunkChanges found;
    index.visit_chunks([&](const ChunkRow& chunk) {
        if (by_number.erase(chunk.chunk) == 0 && chunk.frame_count > 0) found.missing.push_back(chunk.chunk);
        if (sidecar_has_changed(index, layout, chunk.chunk)) {
            found.changed.push_back(chunk.chunk);
        } else {
            found.unchanged.insert(chunk.chunk);
        }
        return true;
    });
    for (const auto& [number, chunk] : by_number) {
        // imgstore keeps a first chunk even in a store without frames.
        std::string problem;
        const auto sidecar = chunk->has_sidecar ? readable_sidecar(layout, number, problem) : std::nullopt;
        if (sidecar && !sidecar->numbers.empty()) found.added.push_back(number);
    }
    if (!found.stale() && found.missing.empty()) return std::nullopt;
    return found;
}

}  // namespace reelstore
