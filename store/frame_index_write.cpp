// What writers do.

#include <algorithm>

#include "store/frame_index_parts.h"

namespace reelstore {

namespace {

/// How long a writer waits for another connection's transaction.
constexpr int kWriterPatienceMilliseconds = 60000;

}  // namespace

void FrameIndex::save_summary(const ChunkRow& chunk) {
    Statement& update = prepared(
        statements_->summary, *database_,
        "UPDATE chunks SET frame_count = ?2, number_min = ?3, number_max = ?4, numbers_ascending = ?5, time_min = ?6, "
        "time_max = ?7, times_ascending = ?8, state = ?9, media_bytes = ?10 WHERE chunk = ?1");
    update.bind(1, chunk.chunk).bind(2, chunk.frame_count);
    if (chunk.frame_count > 0) update.bind(3, chunk.number_min).bind(4, chunk.number_max);
    update.bind(5, int64_t{chunk.numbers_ascending});
    if (chunk.time_min) update.bind(6, *chunk.time_min);
    if (chunk.time_max) update.bind(7, *chunk.time_max);
    update.bind(8, int64_t{chunk.times_ascending}).bind(9, chunk.closed ? "closed" : "open");
    update.bind(10, static_cast<int64_t>(chunk.media_bytes));
    update.run();
    if (tail_ && tail_->chunk == chunk.chunk) tail_ = chunk;
    known_.clear();
}

void FrameIndex::save_stream(int64_t chunk, const VideoStream& stream) {
    database_->prepare("UPDATE chunks SET stream = ?2 WHERE chunk = ?1")
        .bind(1, chunk)
        .bind(2, stream_text(stream))
        .run();
    if (tail_ && tail_->chunk == chunk) tail_->has_stream = true;
    known_.clear();
}

void FrameIndex::add_chunk(int64_t chunk, bool closed) {
    if (tail_ && tail_->frame_count == 0) {
        // Two chunks cannot begin at the same frame; an empty one is forgotten.
        database_->prepare("DELETE FROM chunks WHERE chunk = ?1").bind(1, tail_->chunk).run();
    }
    ChunkRow row;
    row.chunk = chunk;
    row.first_index = frame_count();
    row.closed = closed;
    Statement insert = database_->prepare(
        "INSERT INTO chunks (chunk, first_index, frame_count, numbers_ascending, times_ascending, state, media_bytes) "
        "VALUES (?1, ?2, 0, 1, 1, ?3, 0)");
    insert.bind(1, chunk).bind(2, row.first_index + base_).bind(3, closed ? "closed" : "open").run();
    tail_ = row;
    known_.clear();
    // What this connection writes it sees at once.
    tail_groups_->clear();
}

void FrameIndex::add_frames(std::span<const NewFrame> frames) {
    if (frames.empty()) return;
    ChunkRow chunk = *tail_;
    ChunkSummary summary(chunk, chunk.frame_count > 0 ? row(chunk.end_index() - 1) : std::nullopt);
    Statement& insert = prepared(
        statements_->insert, *database_,
        "INSERT INTO frames (frame_index, frame_number, frame_time, chunk, byte_offset, byte_size, packet_flags, "
        "packet_pts, decode_position, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    const std::optional<VideoStream> recorded =
        frames.front().stored.packet && chunk.has_stream ? stream(chunk.chunk) : std::nullopt;
    // Without the rate nobody could tell them again.
    const int64_t ticks = recorded ? ticks_per_frame(*recorded) : 0;
    for (const NewFrame& frame : frames) {
        insert.bind(1, chunk.end_index() + base_).bind(2, frame.number).bind(3, frame.time).bind(4, chunk.chunk);
        if (const std::optional<Packet>& packet = frame.stored.packet) {
            insert.bind(5, static_cast<int64_t>(packet->offset)).bind(6, int64_t{packet->size});
            insert.bind(7, flags_of(*packet));
            if (packet->pts != frame.stored.position * ticks) insert.bind(8, packet->pts);
            if (frame.stored.decode_position != frame.stored.position) insert.bind(9, frame.stored.decode_position);
            if (packet->checksum) insert.bind(10, kept_checksum(*packet->checksum));
        } else if (frame.stored.checksum) {
            insert.bind(6, static_cast<int64_t>(frame.stored.bytes)).bind(10, kept_checksum(*frame.stored.checksum));
        }
        insert.run();
        summary.add(frame.number, frame.time);
        chunk.media_bytes += frame.stored.bytes;
    }
    save_summary(chunk);
    end_ = base_ + chunk.end_index();
    update_groups(chunk.chunk);
}

void FrameIndex::set_stream(const VideoStream& fresh) {
    const ChunkRow& chunk = tail_.value();
    const std::optional<VideoStream> recorded = chunk.has_stream ? stream(chunk.chunk) : std::nullopt;
    if (chunk.frame_count > 0 && (recorded ? ticks_per_frame(*recorded) : 0) != ticks_per_frame(fresh)) {
        throw Error(ErrorCode::invalid_argument, {database_->path(), chunk.chunk, {}},
                    "the rate of a chunk cannot change once it has frames");
    }
    save_stream(chunk.chunk, fresh);
}

void FrameIndex::add_hidden_packets(const PacketTable& table) {
    save_hidden_packets(tail_.value().chunk, table);
}

void FrameIndex::save_hidden_packets(int64_t chunk, const PacketTable& table) {
    Statement insert = database_->prepare(
        "INSERT INTO hidden_packets (chunk, decode_position, byte_offset, byte_size, packet_flags, packet_pts, "
        "checksum) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    for (size_t place = 0; place < table.packets.size(); ++place) {
        const Packet& packet = table.packets[place];
        if (!packet.hidden) continue;
        insert.bind(1, chunk).bind(2, static_cast<int64_t>(place)).bind(3, static_cast<int64_t>(packet.offset));
        insert.bind(4, int64_t{packet.size}).bind(5, flags_of(packet)).bind(6, packet.pts);
        if (packet.checksum) insert.bind(7, kept_checksum(*packet.checksum));
        insert.run();
    }
}

void FrameIndex::set_chunk_state(int64_t number, bool closed) {
    std::optional<ChunkRow> chunk = find_chunk(number);
    if (!chunk) return;
    chunk->closed = closed;
    save_summary(*chunk);
}

void FrameIndex::close_chunk(int64_t number) {
    set_chunk_state(number, true);
}

void FrameIndex::reopen_chunk(int64_t number) {
    set_chunk_state(number, false);
}

void FrameIndex::replace_packets(int64_t number, const PacketTable& table) {
    std::optional<ChunkRow> chunk = find_chunk(number);
    const auto hidden = static_cast<size_t>(
        std::count_if(table.packets.begin(), table.packets.end(), [](const Packet& packet) { return packet.hidden; }));
    if (!chunk || chunk->frame_count != table.frame_count() ||
        table.packets.size() != table.display_order.size() + hidden) {
        throw Error(ErrorCode::invalid_argument, {database_->path(), number, {}},
                    "the packets are not those of the chunk");
    }
    Statement update = database_->prepare(
        "UPDATE frames SET byte_offset = ?2, byte_size = ?3, packet_flags = ?4, packet_pts = ?5, decode_position = ?6, "
        "checksum = COALESCE(checksum, ?7) WHERE frame_index = ?1");
    statements_->last_row = -1;
    chunk->media_bytes = 0;
    const int64_t ticks = ticks_per_frame(table.stream);
    for (int64_t position = 0; position < chunk->frame_count; ++position) {
        const Packet& packet = table.packet_of(position);
        const int64_t place = table.display_order[static_cast<size_t>(position)];
        update.bind(1, chunk->first_index + base_ + position);
        update.bind(2, static_cast<int64_t>(packet.offset)).bind(3, int64_t{packet.size});
        update.bind(4, flags_of(packet));
        if (packet.pts != position * ticks) update.bind(5, packet.pts);
        if (place != position) update.bind(6, place);
        if (packet.checksum) update.bind(7, kept_checksum(*packet.checksum));
        update.run();
        chunk->media_bytes += packet.size;
    }
    if (hidden > 0 || hidden_count(number) > 0) {
        database_->prepare("DELETE FROM hidden_packets WHERE chunk = ?1").bind(1, number).run();
        save_hidden_packets(number, table);
    }
    save_summary(*chunk);
    save_stream(number, table.stream);
}

void FrameIndex::set_sidecar_mark(int64_t chunk, const SidecarMark& mark) {
    Statement save = database_->prepare("INSERT OR REPLACE INTO sidecars (chunk, bytes, checksum) VALUES (?1, ?2, ?3)");
    save.bind(1, chunk).bind(2, static_cast<int64_t>(mark.bytes)).bind(3, int64_t{mark.checksum}).run();
}

void FrameIndex::set_closed(bool closed) {
    database_->prepare("UPDATE store SET value = ?1 WHERE key = 'state'").bind(1, closed ? "closed" : "open").run();
    closed_ = closed;
}

void FrameIndex::add_extra_data(int64_t frame_index, const std::string& data) {
    Statement& insert =
        prepared(statements_->extra, *database_, "INSERT INTO extra_data (frame_index, data) VALUES (?1, ?2)");
    insert.bind(1, frame_index + base_).bind(2, data).run();
}

int64_t FrameIndex::add_event(const EventRow& event) {
    Statement& insert = prepared(statements_->event, *database_,
                                 "INSERT INTO events (time, kind, frame_index, data) VALUES (?1, ?2, ?3, ?4)");
    insert.bind(1, event.time).bind(2, event.kind).bind(4, event.data);
    if (event.frame_index) insert.bind(3, *event.frame_index + base_);
    insert.run();
    return database_->query_int64("SELECT last_insert_rowid()").value();
}

void FrameIndex::set_event_data(int64_t event_id, const std::string& data) {
    database_->prepare("UPDATE events SET data = ?2 WHERE event_id = ?1").bind(1, event_id).bind(2, data).run();
}

void FrameIndex::renumber_before(int64_t zero_index) {
    database_->prepare("UPDATE frames SET frame_number = frame_index - ?1 WHERE frame_index < ?1")
        .bind(1, zero_index + base_)
        .run();
    std::vector<ChunkRow> changed;
    visit_chunks([&](const ChunkRow& chunk) {
        if (chunk.first_index >= zero_index) return false;
        changed.push_back(chunk);
        return true;
    });
    for (ChunkRow& chunk : changed) {
        ChunkRow fresh = chunk;
        fresh.frame_count = 0;
        fresh.numbers_ascending = fresh.times_ascending = true;
        ChunkSummary summary(fresh);
        Statement rows = database_->prepare(
            "SELECT frame_number, frame_time FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 ORDER BY "
            "frame_index");
        rows.bind(1, chunk.first_index + base_).bind(2, chunk.end_index() + base_);
        while (rows.step()) summary.add(rows.column_int64(0), rows.column_double(1));
        if (fresh.frame_count != chunk.frame_count) contradiction(chunk.chunk);
        save_summary(fresh);
        update_groups(fresh.chunk);
    }
    statements_->last_row = -1;
}

void FrameIndex::begin_behind(int64_t removed_frames, int64_t first_kept_chunk) {
    base_ = end_ = removed_frames;
    if (first_kept_chunk > 0) set_first_kept_chunk(first_kept_chunk);
}

void FrameIndex::set_first_kept_chunk(int64_t chunk) {
    database_->prepare("INSERT OR REPLACE INTO store (key, value) VALUES ('first_chunk', ?1)")
        .bind(1, std::to_string(chunk))
        .run();
}

void FrameIndex::remove_first_chunk() {
    Statement select = database_->prepare("SELECT chunk FROM chunks ORDER BY first_index LIMIT 2");
    if (!select.step()) contradiction(std::nullopt);
    const int64_t chunk = select.column_int64(0);
    if (!select.step())
        throw Error(ErrorCode::invalid_argument, {database_->path(), chunk, {}}, "the last chunk cannot be removed");
    const int64_t next = select.column_int64(0);
    select.reset();
    const int64_t first = existing_chunk(next).first_index + base_;
    for (const char* table : {"frames", "extra_data"}) {
        database_->prepare(fmt::format("DELETE FROM {} WHERE frame_index < ?1", table)).bind(1, first).run();
    }
    for (const char* table : {"chunks", "sidecars", "hidden_packets"}) {
        database_->prepare(fmt::format("DELETE FROM {} WHERE chunk = ?1", table)).bind(1, chunk).run();
    }
    set_first_kept_chunk(next);
    update_groups(chunk);
    forget();
}

void FrameIndex::use_write_ahead_log(bool on) {
    if (on) {
        // Whoever trims the store meanwhile takes its turns (store/trim.h); a recording does not end because the disk
        // made that one slow.
        database_->execute(fmt::format("PRAGMA busy_timeout = {}", kWriterPatienceMilliseconds));
        database_->execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = EXTRA;");
        return;
    }
    database_->execute("PRAGMA busy_timeout = 0");
    try {
        database_->execute("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE;");
    } catch (const Error& error) {
        // Somebody is reading: the log stays until the last of them has gone.
        if (error.code() != ErrorCode::locked) throw;
    }
}

}  // namespace reelstore
