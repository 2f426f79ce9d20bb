// The packets of chunks and what else is recorded of their media.

#include <algorithm>
#include <limits>

#include "store/frame_index_parts.h"

namespace reelstore {

namespace {

/// Frames looked at to find where a run begins or ends; beyond, the whole chunk is as cheap.
constexpr int64_t kLongestSearch = 1024;
/// Frames in a run at least, so that the next request often finds its packets there.
constexpr int64_t kLeastRun = 128;

}  // namespace

std::optional<VideoStream> FrameIndex::stream(int64_t chunk) const {
    Statement select = database_->prepare("SELECT stream FROM chunks WHERE chunk = ?1");
    select.bind(1, chunk);
    if (!select.step() || select.is_null(0)) return std::nullopt;
    try {
        return parse_stream(select.column_text(0));
    } catch (const std::exception& error) {
        throw Error(ErrorCode::corrupt, {database_->path(), chunk, {}},
                    fmt::format("damaged stream parameters: {}", error.what()));
    }
}

int64_t FrameIndex::hidden_count(int64_t chunk) const {
    if (!statements_->hidden_count && !has_table("hidden_packets")) return 0;
    Statement& select =
        prepared(statements_->hidden_count, *database_, "SELECT COUNT(*) FROM hidden_packets WHERE chunk = ?1");
    const AtRest at_rest(select);
    select.bind(1, chunk);
    return select.step() ? select.column_int64(0) : 0;
}

std::optional<std::pair<int64_t, int64_t>> FrameIndex::independent_run(const ChunkRow& chunk, int64_t position) const {
    // A key frame that has the same place in decode order as in display order: nothing before it is needed behind it.
    const auto statement = [&](std::optional<Statement>& kept, const char* direction) -> Statement& {
        if (!kept) {
            kept = database_->prepare(fmt::format(
                "SELECT frame_index FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 AND "
                "(packet_flags & 1) = 1 AND (decode_position IS NULL OR decode_position = frame_index - ?3) "
                "ORDER BY frame_index {} LIMIT 1",
                direction));
        }
        kept->reset();
        return *kept;
    };
    const int64_t index = chunk.first_index + base_ + position;
    const int64_t begin = chunk.first_index + base_;
    const int64_t end = begin + chunk.frame_count;
    Statement& before = statement(statements_->key_before, "DESC");
    before.bind(1, std::max(begin, index - kLongestSearch)).bind(2, index + 1).bind(3, begin);
    if (!before.step()) return std::nullopt;
    const int64_t first = before.column_int64(0);
    before.reset();
    const int64_t earliest_end = std::min(end, std::max(index + 1, first + kLeastRun));
    Statement& after = statement(statements_->key_after, "ASC");
    after.bind(1, earliest_end).bind(2, std::min(end, earliest_end + kLongestSearch)).bind(3, begin);
    std::optional<int64_t> last;
    if (after.step()) last = after.column_int64(0);
    after.reset();
    if (!last && end > earliest_end + kLongestSearch) return std::nullopt;
    return std::pair(first - base_, last.value_or(end) - base_);
}

std::shared_ptr<const PacketTable> FrameIndex::packet_table(int64_t chunk_number,
                                                            std::optional<int64_t> position) const {
    const std::optional<ChunkRow> chunk = find_chunk(chunk_number);
    if (!chunk || !chunk->has_stream || chunk->frame_count == 0) return nullptr;
    if (position && (*position < 0 || *position >= chunk->frame_count)) return nullptr;
    const ReadTransaction reading(*database_);
    const int64_t hidden = hidden_count(chunk_number);
    std::pair<int64_t, int64_t> range(chunk->first_index, chunk->end_index());
    if (position && hidden == 0) {
        const auto run = independent_run(*chunk, *position);
        if (!run) return nullptr;
        range = *run;
    } else {
        // A hostile file may claim any number of frames: no memory for what is not there.
        Statement count =
            database_->prepare("SELECT COUNT(*) FROM frames WHERE frame_index >= ?1 AND frame_index < ?2");
        count.bind(1, range.first + base_).bind(2, range.second + base_);
        if (!count.step() || count.column_int64(0) != chunk->frame_count) return nullptr;
    }
    auto table = std::make_shared<PacketTable>();
    table->stream = *stream(chunk_number);
    table->first_position = range.first - chunk->first_index;
    const auto frames = static_cast<size_t>(range.second - range.first);
    const size_t all = frames + static_cast<size_t>(hidden);
    table->packets.resize(all);
    table->display_order.assign(frames, std::numeric_limits<uint32_t>::max());
    std::vector<bool> taken(all, false);
    const int64_t ticks = ticks_per_frame(table->stream);
    // Columns from `column` on: byte_offset, byte_size, packet_flags, packet_pts, checksum.
    const auto take = [&](const Statement& select, int column, int64_t place) {
        // Frames still in the encoder leave a gap in decode order while recording: then the table is not complete.
        if (select.is_null(column) || select.is_null(column + 1) || select.column_int64(column) < 0 ||
            select.column_int64(column + 1) < 0 || place < 0 || place >= static_cast<int64_t>(all) ||
            taken[static_cast<size_t>(place)])
            return false;
        taken[static_cast<size_t>(place)] = true;
        Packet& packet = table->packets[static_cast<size_t>(place)];
        packet.offset = static_cast<uint64_t>(select.column_int64(column));
        packet.size = static_cast<uint32_t>(
            std::min<int64_t>(select.column_int64(column + 1), std::numeric_limits<int32_t>::max()));
        packet.key = (select.column_int64(column + 2) & kKeyFlag) != 0;
        packet.disposable = (select.column_int64(column + 2) & (kDisposableFlag | kNeededFlag)) == kDisposableFlag;
        packet.pts = select.column_int64(column + 3);
        if (!select.is_null(column + 4)) packet.checksum = static_cast<uint32_t>(select.column_int64(column + 4));
        return true;
    };
    if (hidden > 0) {
        Statement& select = prepared(statements_->hidden_packets, *database_,
                                     "SELECT decode_position, byte_offset, byte_size, packet_flags, packet_pts, "
                                     "checksum FROM hidden_packets WHERE "
                                     "chunk = ?1 ORDER BY decode_position");
        const AtRest at_rest(select);
        select.bind(1, chunk_number);
        while (select.step()) {
            const int64_t place = select.column_int64(0);
            if (!take(select, 1, place)) return nullptr;
            table->packets[static_cast<size_t>(place)].hidden = true;
        }
    }
    Statement& select = prepared(statements_->packets, *database_,
                                 "SELECT frame_index, decode_position, byte_offset, byte_size, packet_flags, "
                                 "packet_pts, checksum FROM frames WHERE "
                                 "frame_index >= ?1 AND frame_index < ?2 ORDER BY frame_index");
    const AtRest at_rest(select);
    select.bind(1, range.first + base_).bind(2, range.second + base_);
    size_t rows = 0;
    while (select.step()) {
        const int64_t shown = select.column_int64(0) - base_ - range.first;
        const int64_t place = select.is_null(1) ? shown : select.column_int64(1) - table->first_position;
        if (!take(select, 2, place)) return nullptr;
        if (select.is_null(5)) table->packets[static_cast<size_t>(place)].pts = (table->first_position + shown) * ticks;
        table->display_order[static_cast<size_t>(shown)] = static_cast<uint32_t>(place);
        ++rows;
    }
    return rows == frames ? table : nullptr;
}

std::optional<uint32_t> FrameIndex::checksum(int64_t index) const {
    if (index == statements_->last_row) return statements_->last_checksum;
    Statement& select =
        prepared(statements_->checksum, *database_, "SELECT checksum FROM frames WHERE frame_index = ?1");
    const AtRest at_rest(select);
    select.bind(1, index + base_);
    if (!select.step() || select.is_null(0)) return std::nullopt;
    return static_cast<uint32_t>(select.column_int64(0));
}

std::optional<uint64_t> FrameIndex::byte_size(int64_t index) const {
    Statement& select = prepared(statements_->size, *database_, "SELECT byte_size FROM frames WHERE frame_index = ?1");
    const AtRest at_rest(select);
    select.bind(1, index + base_);
    if (!select.step() || select.is_null(0) || select.column_int64(0) < 0) return std::nullopt;
    return static_cast<uint64_t>(select.column_int64(0));
}

std::optional<uint64_t> FrameIndex::recorded_media_bytes() const {
    Statement select = database_->prepare(
        "SELECT SUM(media_bytes), SUM(media_bytes <= 0 AND frame_count > 0) FROM chunks WHERE chunk <= ?1");
    select.bind(1, tail_ ? tail_->chunk : -1);
    if (!select.step() || select.column_int64(1) > 0 || select.column_int64(0) < 0) return std::nullopt;
    return static_cast<uint64_t>(select.column_int64(0));
}

std::vector<int64_t> FrameIndex::open_chunks() const {
    std::vector<int64_t> open;
    Statement select = database_->prepare("SELECT chunk FROM chunks WHERE state <> 'closed' ORDER BY chunk");
    while (select.step()) open.push_back(select.column_int64(0));
    return open;
}

std::optional<SidecarMark> FrameIndex::sidecar_mark(int64_t chunk) const {
    if (!statements_->sidecar && !has_table("sidecars")) return std::nullopt;
    Statement& select =
        prepared(statements_->sidecar, *database_, "SELECT bytes, checksum FROM sidecars WHERE chunk = ?1");
    const AtRest at_rest(select);
    select.bind(1, chunk);
    if (!select.step()) return std::nullopt;
    return SidecarMark{static_cast<uint64_t>(select.column_int64(0)), static_cast<uint32_t>(select.column_int64(1))};
}

}  // namespace reelstore
