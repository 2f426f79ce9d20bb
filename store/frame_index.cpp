#include "store/frame_index.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/checksum.h"
#include "store/frame_search.h"
#include "store/schema.h"

namespace reelstore {

namespace {

constexpr int64_t kKeyFlag = 1;
constexpr int64_t kDisposableFlag = 2;
/// Says the contrary of kDisposableFlag, so that no single changed bit makes a reader leave out what is needed.
constexpr int64_t kNeededFlag = 4;
/// A row of the table of frames takes more in the file.
constexpr int64_t kLeastRowBytes = 8;
/// Frames looked at to find where a run begins or ends; beyond, the whole chunk is as cheap.
constexpr int64_t kLongestSearch = 1024;
/// Frames in a run at least, so that the next request often finds its packets there.
constexpr int64_t kLeastRun = 128;

void write_header(const Database& database, const std::string& uuid) {
    Transaction transaction(database);
    database.execute(kIndexSchema);
    Statement insert = database.prepare("INSERT INTO store (key, value) VALUES (?1, ?2)");
    insert.bind(1, "uuid").bind(2, uuid).run();
    insert.bind(1, "writer").bind(2, "reelstore").run();
    insert.bind(1, "state").bind(2, "open").run();
    transaction.commit();
}

void check_header(const Database& database, const std::string& uuid) {
    const ErrorPlace place{database.path(), {}, {}};
    if (database.query_int64("PRAGMA application_id") != kIndexApplicationId) {
        throw Error(ErrorCode::corrupt, place, "not the index of a store");
    }
    const int64_t version = database.query_int64("PRAGMA user_version").value_or(0);
    if (version > kIndexVersion) {
        throw Error(
            ErrorCode::unsupported, place,
            fmt::format("the index has version {}; this version of reelstore reads up to {}", version, kIndexVersion));
    }
    const std::string own = database.query_text("SELECT value FROM store WHERE key = 'uuid'").value_or("");
    if (own != uuid)
        throw Error(ErrorCode::corrupt, place,
                    "the index belongs to another store (its uuid differs from metadata.yaml)");
}

int64_t flags_of(const Packet& packet) {
    return (packet.key ? kKeyFlag : 0) | (packet.disposable ? kDisposableFlag : kNeededFlag);
}

uint32_t text_checksum(const std::string& text) {
    return frame_checksum({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

/// With a checksum: a changed parameter can give other pixels without any error of the decoder.
std::string stream_text(const VideoStream& stream) {
    Json json = stream.to_json();
    json["checksum"] = text_checksum(json.dump());
    return json.dump();
}

VideoStream parse_stream(const std::string& text) {
    Json json = Json::parse(text);
    if (const auto recorded = json.find("checksum"); recorded != json.end()) {
        const auto checksum = recorded->get<uint32_t>();
        json.erase("checksum");
        if (text_checksum(json.dump()) != checksum) throw Error(ErrorCode::corrupt, "they do not fit their checksum");
    }
    return VideoStream::from_json(json);
}

bool has_events(const Database& database) {
    return database.query_int64("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'events'").has_value();
}

/// Adds what early indexes lack.
void complete_schema(const Database& database) {
    if (has_events(database)) return;
    const std::string_view schema = kIndexSchema;
    database.execute(std::string(schema.substr(schema.find("CREATE TABLE events"))));
}

/// What is read while it lives comes from one moment, whatever others commit.
class Snapshot {
public:
    explicit Snapshot(const Database& database) : database_(database) { database_.execute("BEGIN"); }
    ~Snapshot() {
        try {
            database_.execute("ROLLBACK");
        } catch (const Error&) {
            // SQLite has ended it by itself on the error that is on its way.
        }
    }
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;

private:
    const Database& database_;
};

}  // namespace

/// Prepared once: preparing costs more than a lookup.
struct FrameIndex::Statements {
    explicit Statements(const Database& database)
        : row(database.prepare("SELECT frame_number, frame_time, checksum FROM frames WHERE frame_index = ?1")) {}
    Statement row;
    // Of the row that was looked up last: who reads a frame asks for both.
    int64_t last_row = -1;
    std::optional<uint32_t> last_checksum;
    std::optional<Statement> insert;
    std::optional<Statement> extra;
    std::optional<Statement> checksum;
    std::optional<Statement> size;
    std::optional<Statement> event;
    std::optional<Statement> packets;
    std::optional<Statement> key_before;
    std::optional<Statement> key_after;
};

FrameIndex::FrameIndex(std::unique_ptr<Database> database)
    : database_(std::move(database)), statements_(std::make_unique<Statements>(*database_)) {
    data_version_ = database_->query_int64("PRAGMA data_version").value_or(0);
    const Snapshot snapshot(*database_);
    load_chunks();
}

FrameIndex::~FrameIndex() = default;

std::unique_ptr<FrameIndex> FrameIndex::create(const std::filesystem::path& path, const std::string& uuid) {
    auto database = std::make_unique<Database>(path, Database::Mode::create);
    // Nobody has use for the file before it is whole, so there is nothing to roll back to.
    database->execute("PRAGMA journal_mode = MEMORY");
    write_header(*database, uuid);
    return std::unique_ptr<FrameIndex>(new FrameIndex(std::move(database)));
}

std::unique_ptr<FrameIndex> FrameIndex::create_in_memory(const std::filesystem::path& store, const std::string& uuid) {
    auto database = std::make_unique<Database>(store, Database::Mode::memory);
    write_header(*database, uuid);
    return std::unique_ptr<FrameIndex>(new FrameIndex(std::move(database)));
}

std::unique_ptr<FrameIndex> FrameIndex::open(const std::filesystem::path& path, const std::string& uuid,
                                             Database::Mode mode) {
    auto database = std::make_unique<Database>(path, mode);
    check_header(*database, uuid);
    if (mode == Database::Mode::read_write) {
        // A commit counts only when the journal's end is durable too.
        database->execute("PRAGMA synchronous = EXTRA");
        complete_schema(*database);
    }
    return std::unique_ptr<FrameIndex>(new FrameIndex(std::move(database)));
}

void FrameIndex::load_chunks() {
    statements_->last_row = -1;
    Statement select = database_->prepare(
        "SELECT chunk, first_index, frame_count, number_min, number_max, numbers_ascending, time_min, time_max, "
        "times_ascending, state, media_bytes, stream FROM chunks WHERE first_index >= ?1 ORDER BY first_index");
    int64_t expected = frame_count();
    select.bind(1, expected);
    // Counts that a hostile file claims are believed only as far as there are rows, and room for them.
    const auto asked = [&](const char* sql) { return std::max<int64_t>(0, database_->query_int64(sql).value_or(0)); };
    const int64_t room = asked("PRAGMA page_count") * asked("PRAGMA page_size") / kLeastRowBytes;
    const int64_t rows = std::min(asked("SELECT MAX(frame_index) + 1 FROM frames"), room);
    while (select.step()) {
        ChunkRow chunk;
        chunk.chunk = select.column_int64(0);
        chunk.first_index = select.column_int64(1);
        chunk.frame_count = select.column_int64(2);
        const int64_t last_chunk = chunks_.empty() ? -1 : chunks_.back().chunk;
        if (chunk.chunk <= last_chunk || chunk.first_index != expected || chunk.frame_count < 0 ||
            chunk.frame_count > rows - expected) {
            throw Error(ErrorCode::corrupt, {database_->path(), chunk.chunk, {}},
                        "the index contradicts itself; run `store index` to rebuild it");
        }
        expected += chunk.frame_count;
        chunk.number_min = select.column_int64(3);
        chunk.number_max = select.column_int64(4);
        chunk.numbers_ascending = select.column_int64(5) != 0;
        if (!select.is_null(6)) chunk.time_min = select.column_double(6);
        if (!select.is_null(7)) chunk.time_max = select.column_double(7);
        chunk.times_ascending = select.column_int64(8) != 0;
        chunk.closed = select.column_text(9) == "closed";
        chunk.media_bytes = static_cast<uint64_t>(select.column_int64(10));
        if (!select.is_null(11)) {
            try {
                chunk.stream = parse_stream(select.column_text(11));
            } catch (const std::exception& error) {
                throw Error(ErrorCode::corrupt, {database_->path(), chunk.chunk, {}},
                            fmt::format("damaged stream parameters: {}", error.what()));
            }
        }
        chunks_.push_back(std::move(chunk));
    }
    closed_ = database_->query_text("SELECT value FROM store WHERE key = 'state'") == "closed";
}

void FrameIndex::reload() {
    chunks_.clear();
    load_chunks();
}

bool FrameIndex::refresh() {
    const int64_t version = database_->query_int64("PRAGMA data_version").value_or(0);
    if (version == data_version_) return false;
    // Only the last chunk grows; the one before it may be closed while that grows already.
    size_t kept = chunks_.size();
    do {
        if (kept > 0) --kept;
    } while (kept > 0 && !chunks_[kept - 1].closed);
    const auto first_loaded = chunks_.begin() + static_cast<std::ptrdiff_t>(kept);
    std::vector<ChunkRow> before(std::make_move_iterator(first_loaded), std::make_move_iterator(chunks_.end()));
    chunks_.resize(kept);
    try {
        const Snapshot snapshot(*database_);
        load_chunks();
    } catch (const Error&) {
        chunks_.resize(kept);
        std::move(before.begin(), before.end(), std::back_inserter(chunks_));
        throw;
    }
    data_version_ = version;
    return true;
}

int64_t FrameIndex::frame_count() const {
    return chunks_.empty() ? 0 : chunks_.back().first_index + chunks_.back().frame_count;
}

const ChunkRow* FrameIndex::find_chunk(int64_t chunk) const {
    const auto found =
        std::find_if(chunks_.begin(), chunks_.end(), [&](const ChunkRow& row) { return row.chunk == chunk; });
    return found == chunks_.end() ? nullptr : &*found;
}

void FrameIndex::missing_row(int64_t chunk, int64_t index) const {
    throw Error(ErrorCode::corrupt, {database_->path(), chunk, index},
                "the frame's row is missing; run `store index` to rebuild the index");
}

std::optional<FrameRow> FrameIndex::row(int64_t index) const {
    if (index < 0 || index >= frame_count()) return std::nullopt;
    const auto behind = std::upper_bound(chunks_.begin(), chunks_.end(), index,
                                         [](int64_t i, const ChunkRow& chunk) { return i < chunk.first_index; });
    const ChunkRow& chunk = *std::prev(behind);
    Statement& select = statements_->row;
    select.reset();
    select.bind(1, index);
    if (!select.step()) missing_row(chunk.chunk, index);
    FrameRow row{index, select.column_int64(0), select.column_double(1), chunk.chunk, index - chunk.first_index};
    statements_->last_row = index;
    statements_->last_checksum.reset();
    if (!select.is_null(2)) statements_->last_checksum = static_cast<uint32_t>(select.column_int64(2));
    select.reset();
    return row;
}

std::optional<FrameRow> FrameIndex::find_number(int64_t number, Match match) const {
    const std::optional<int64_t> index = search_frames(*this, number, match);
    return index ? row(*index) : std::nullopt;
}

std::optional<FrameRow> FrameIndex::find_time(double time, Match match) const {
    const std::optional<int64_t> index = search_frames(*this, time, match);
    return index ? row(*index) : std::nullopt;
}

void FrameIndex::visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const {
    last = std::min(last, frame_count());
    for (const ChunkRow& chunk : chunks_) {
        const int64_t from = std::max(first, chunk.first_index);
        const int64_t to = std::min(last, chunk.first_index + chunk.frame_count);
        if (from >= to) continue;
        Statement select = database_->prepare(
            "SELECT frame_index, frame_number, frame_time FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 "
            "ORDER BY frame_index");
        select.bind(1, from).bind(2, to);
        for (int64_t expected = from; expected < to; ++expected) {
            const int64_t index = select.step() ? select.column_int64(0) : -1;
            if (index != expected) missing_row(chunk.chunk, expected);
            if (!visit(
                    {index, select.column_int64(1), select.column_double(2), chunk.chunk, index - chunk.first_index}))
                return;
        }
    }
}

std::optional<std::pair<int64_t, int64_t>> FrameIndex::number_range() const {
    std::optional<std::pair<int64_t, int64_t>> range;
    for (const ChunkRow& chunk : chunks_) {
        if (chunk.frame_count == 0) continue;
        if (!range) range.emplace(chunk.number_min, chunk.number_max);
        range->first = std::min(range->first, chunk.number_min);
        range->second = std::max(range->second, chunk.number_max);
    }
    return range;
}

std::optional<std::pair<double, double>> FrameIndex::time_range() const {
    std::optional<std::pair<double, double>> range;
    for (const ChunkRow& chunk : chunks_) {
        if (!chunk.time_min || !chunk.time_max) continue;
        if (!range) range.emplace(*chunk.time_min, *chunk.time_max);
        range->first = std::min(range->first, *chunk.time_min);
        range->second = std::max(range->second, *chunk.time_max);
    }
    return range;
}

std::optional<std::pair<int64_t, int64_t>> FrameIndex::independent_run(const ChunkRow& chunk, int64_t position) const {
    // A key frame that has the same place in decode order as in display order: nothing before it is needed behind it.
    const auto statement = [&](std::optional<Statement>& kept, const char* direction) -> Statement& {
        if (!kept) {
            kept = database_->prepare(
                std::string(
                    "SELECT frame_index FROM frames WHERE frame_index >= ?1 AND frame_index < ?2 AND "
                    "(packet_flags & 1) = 1 AND (decode_position IS NULL OR decode_position = frame_index - ?3) "
                    "ORDER BY frame_index ") +
                direction + " LIMIT 1");
        }
        kept->reset();
        return *kept;
    };
    const int64_t index = chunk.first_index + position;
    const int64_t end = chunk.first_index + chunk.frame_count;
    Statement& before = statement(statements_->key_before, "DESC");
    before.bind(1, std::max(chunk.first_index, index - kLongestSearch)).bind(2, index + 1).bind(3, chunk.first_index);
    if (!before.step()) return std::nullopt;
    const int64_t first = before.column_int64(0);
    before.reset();
    const int64_t earliest_end = std::min(end, std::max(index + 1, first + kLeastRun));
    Statement& after = statement(statements_->key_after, "ASC");
    after.bind(1, earliest_end).bind(2, std::min(end, earliest_end + kLongestSearch)).bind(3, chunk.first_index);
    std::optional<int64_t> last;
    if (after.step()) last = after.column_int64(0);
    after.reset();
    if (!last && end > earliest_end + kLongestSearch) return std::nullopt;
    return std::pair(first, last.value_or(end));
}

std::shared_ptr<const PacketTable> FrameIndex::packet_table(int64_t chunk_number,
                                                            std::optional<int64_t> position) const {
    const ChunkRow* chunk = find_chunk(chunk_number);
    if (!chunk || !chunk->stream || chunk->frame_count == 0) return nullptr;
    std::pair<int64_t, int64_t> range(chunk->first_index, chunk->first_index + chunk->frame_count);
    if (position) {
        if (*position < 0 || *position >= chunk->frame_count) return nullptr;
        const auto run = independent_run(*chunk, *position);
        if (!run) return nullptr;
        range = *run;
    }
    if (!position) {
        // A hostile file may claim any number of frames: no memory for what is not there.
        Statement count =
            database_->prepare("SELECT COUNT(*) FROM frames WHERE frame_index >= ?1 AND frame_index < ?2");
        count.bind(1, range.first).bind(2, range.second);
        if (!count.step() || count.column_int64(0) != chunk->frame_count) return nullptr;
    }
    auto table = std::make_shared<PacketTable>();
    table->stream = *chunk->stream;
    table->first_position = range.first - chunk->first_index;
    const auto count = static_cast<size_t>(range.second - range.first);
    table->packets.resize(count);
    table->display_order.assign(count, std::numeric_limits<uint32_t>::max());
    std::vector<bool> taken(count, false);
    std::optional<Statement>& kept = statements_->packets;
    if (!kept) {
        kept = database_->prepare(
            "SELECT frame_index, byte_offset, byte_size, packet_flags, packet_pts, decode_position, checksum FROM "
            "frames WHERE frame_index >= ?1 AND frame_index < ?2 ORDER BY frame_index");
    }
    Statement& select = *kept;
    select.reset();
    select.bind(1, range.first).bind(2, range.second);
    size_t rows = 0;
    bool complete = true;
    while (complete && select.step()) {
        const int64_t shown = select.column_int64(0) - range.first;
        const int64_t place = select.is_null(5) ? shown : select.column_int64(5) - table->first_position;
        // Frames still in the encoder leave a gap in decode order while recording: then the table is not complete.
        complete = !select.is_null(1) && !select.is_null(2) && select.column_int64(1) >= 0 &&
                   select.column_int64(2) >= 0 && place >= 0 && place < static_cast<int64_t>(count) &&
                   !taken[static_cast<size_t>(place)];
        if (!complete) break;
        taken[static_cast<size_t>(place)] = true;
        Packet& packet = table->packets[static_cast<size_t>(place)];
        packet.offset = static_cast<uint64_t>(select.column_int64(1));
        packet.size =
            static_cast<uint32_t>(std::min<int64_t>(select.column_int64(2), std::numeric_limits<int32_t>::max()));
        packet.key = (select.column_int64(3) & kKeyFlag) != 0;
        packet.disposable = (select.column_int64(3) & (kDisposableFlag | kNeededFlag)) == kDisposableFlag;
        packet.pts = select.column_int64(4);
        if (!select.is_null(6)) packet.checksum = static_cast<uint32_t>(select.column_int64(6));
        table->display_order[static_cast<size_t>(shown)] = static_cast<uint32_t>(place);
        ++rows;
    }
    select.reset();
    return complete && rows == count ? table : nullptr;
}

bool FrameIndex::has_extra_data() const {
    return database_->query_int64("SELECT 1 FROM extra_data LIMIT 1").has_value();
}

void FrameIndex::visit_extra_data(int64_t first, int64_t last,
                                  const std::function<bool(const ExtraDataRow&)>& visit) const {
    Statement select = database_->prepare(
        "SELECT frame_index, data FROM extra_data WHERE frame_index >= ?1 AND frame_index < ?2 ORDER BY frame_index, "
        "record_id");
    select.bind(1, first).bind(2, last);
    while (select.step()) {
        if (!visit({select.column_int64(0), select.column_text(1)})) return;
    }
}

std::optional<uint32_t> FrameIndex::checksum(int64_t index) const {
    if (index == statements_->last_row) return statements_->last_checksum;
    std::optional<Statement>& select = statements_->checksum;
    if (!select) select = database_->prepare("SELECT checksum FROM frames WHERE frame_index = ?1");
    select->reset();
    select->bind(1, index);
    std::optional<uint32_t> checksum;
    if (select->step() && !select->is_null(0)) checksum = static_cast<uint32_t>(select->column_int64(0));
    select->reset();
    return checksum;
}

std::optional<uint64_t> FrameIndex::byte_size(int64_t index) const {
    std::optional<Statement>& select = statements_->size;
    if (!select) select = database_->prepare("SELECT byte_size FROM frames WHERE frame_index = ?1");
    select->reset();
    select->bind(1, index);
    std::optional<uint64_t> size;
    if (select->step() && !select->is_null(0) && select->column_int64(0) >= 0)
        size = static_cast<uint64_t>(select->column_int64(0));
    select->reset();
    return size;
}

void FrameIndex::visit_events(const std::function<bool(const EventRow&)>& visit) const {
    if (!has_events(*database_)) return;
    Statement select = database_->prepare("SELECT time, kind, frame_index, data FROM events ORDER BY event_id");
    while (select.step()) {
        EventRow event{select.column_double(0), select.column_text(1), std::nullopt, select.column_text(3)};
        if (!select.is_null(2)) event.frame_index = select.column_int64(2);
        if (!visit(event)) return;
    }
}

int64_t FrameIndex::event_count() const {
    return has_events(*database_) ? database_->query_int64("SELECT COUNT(*) FROM events").value_or(0) : 0;
}

void FrameIndex::save_summary(const ChunkRow& chunk) {
    Statement update = database_->prepare(
        "UPDATE chunks SET frame_count = ?2, number_min = ?3, number_max = ?4, numbers_ascending = ?5, time_min = ?6, "
        "time_max = ?7, times_ascending = ?8, state = ?9, media_bytes = ?10, stream = ?11 WHERE chunk = ?1");
    update.bind(1, chunk.chunk).bind(2, chunk.frame_count);
    if (chunk.frame_count > 0) update.bind(3, chunk.number_min).bind(4, chunk.number_max);
    update.bind(5, int64_t{chunk.numbers_ascending});
    if (chunk.time_min) update.bind(6, *chunk.time_min);
    if (chunk.time_max) update.bind(7, *chunk.time_max);
    update.bind(8, int64_t{chunk.times_ascending}).bind(9, chunk.closed ? "closed" : "open");
    update.bind(10, static_cast<int64_t>(chunk.media_bytes));
    if (chunk.stream) update.bind(11, stream_text(*chunk.stream));
    update.run();
}

void FrameIndex::add_chunk(int64_t chunk, bool closed) {
    ChunkRow row;
    row.chunk = chunk;
    row.first_index = frame_count();
    row.closed = closed;
    if (!chunks_.empty() && chunks_.back().frame_count == 0) {
        // Two chunks cannot begin at the same frame; an empty one is forgotten.
        database_->prepare("DELETE FROM chunks WHERE chunk = ?1").bind(1, chunks_.back().chunk).run();
        chunks_.pop_back();
    }
    Statement insert = database_->prepare(
        "INSERT INTO chunks (chunk, first_index, frame_count, numbers_ascending, times_ascending, state, media_bytes) "
        "VALUES (?1, ?2, 0, 1, 1, ?3, 0)");
    insert.bind(1, chunk).bind(2, row.first_index).bind(3, closed ? "closed" : "open").run();
    chunks_.push_back(std::move(row));
}

void FrameIndex::add_frames(std::span<const NewFrame> frames) {
    if (frames.empty()) return;
    ChunkRow& chunk = chunks_.back();
    if (!statements_->insert) {
        statements_->insert = database_->prepare(
            "INSERT INTO frames (frame_index, frame_number, frame_time, chunk, byte_offset, byte_size, packet_flags, "
            "packet_pts, "
            "decode_position, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    }
    double last_time = -std::numeric_limits<double>::infinity();
    int64_t last_number = std::numeric_limits<int64_t>::min();
    if (chunk.frame_count > 0) {
        const std::optional<FrameRow> last = row(chunk.first_index + chunk.frame_count - 1);
        last_time = last->time;
        last_number = last->number;
    }
    for (const NewFrame& frame : frames) {
        Statement& insert = *statements_->insert;
        insert.bind(1, chunk.first_index + chunk.frame_count)
            .bind(2, frame.number)
            .bind(3, frame.time)
            .bind(4, chunk.chunk);
        if (const std::optional<Packet>& packet = frame.stored.packet) {
            insert.bind(5, static_cast<int64_t>(packet->offset)).bind(6, int64_t{packet->size});
            insert.bind(7, flags_of(*packet)).bind(8, packet->pts);
            if (frame.stored.decode_position != frame.stored.position) insert.bind(9, frame.stored.decode_position);
            if (packet->checksum) insert.bind(10, int64_t{*packet->checksum});
        } else if (frame.stored.checksum) {
            insert.bind(6, static_cast<int64_t>(frame.stored.bytes)).bind(10, int64_t{*frame.stored.checksum});
        }
        insert.run();
        if (chunk.frame_count == 0) {
            chunk.number_min = chunk.number_max = frame.number;
        } else {
            chunk.number_min = std::min(chunk.number_min, frame.number);
            chunk.number_max = std::max(chunk.number_max, frame.number);
        }
        chunk.numbers_ascending &= frame.number >= last_number;
        last_number = frame.number;
        if (std::isnan(frame.time)) {
            chunk.times_ascending = false;
        } else {
            chunk.time_min = std::min(chunk.time_min.value_or(frame.time), frame.time);
            chunk.time_max = std::max(chunk.time_max.value_or(frame.time), frame.time);
            chunk.times_ascending &= frame.time >= last_time;
            last_time = frame.time;
        }
        ++chunk.frame_count;
        chunk.media_bytes += frame.stored.bytes;
    }
    save_summary(chunk);
}

void FrameIndex::set_stream(const VideoStream& stream) {
    chunks_.back().stream = stream;
    save_summary(chunks_.back());
}

void FrameIndex::set_chunk_state(int64_t number, bool closed) {
    const auto chunk =
        std::find_if(chunks_.begin(), chunks_.end(), [&](const ChunkRow& row) { return row.chunk == number; });
    if (chunk == chunks_.end()) return;
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
    const auto chunk =
        std::find_if(chunks_.begin(), chunks_.end(), [&](const ChunkRow& row) { return row.chunk == number; });
    if (chunk == chunks_.end() || chunk->frame_count != table.frame_count() ||
        table.packets.size() != table.display_order.size()) {
        throw Error(ErrorCode::invalid_argument, {database_->path(), number, {}},
                    "the packets are not those of the chunk");
    }
    Statement update = database_->prepare(
        "UPDATE frames SET byte_offset = ?2, byte_size = ?3, packet_flags = ?4, packet_pts = ?5, decode_position = ?6, "
        "checksum = COALESCE(checksum, ?7) WHERE frame_index = ?1");
    statements_->last_row = -1;
    chunk->media_bytes = 0;
    for (int64_t position = 0; position < chunk->frame_count; ++position) {
        const Packet& packet = table.packet_of(position);
        const int64_t place = table.display_order[static_cast<size_t>(position)];
        update.bind(1, chunk->first_index + position);
        update.bind(2, static_cast<int64_t>(packet.offset)).bind(3, int64_t{packet.size});
        update.bind(4, flags_of(packet)).bind(5, packet.pts);
        if (place != position) update.bind(6, place);
        if (packet.checksum) update.bind(7, int64_t{*packet.checksum});
        update.run();
        chunk->media_bytes += packet.size;
    }
    chunk->stream = table.stream;
    save_summary(*chunk);
}

void FrameIndex::set_closed(bool closed) {
    database_->prepare("UPDATE store SET value = ?1 WHERE key = 'state'").bind(1, closed ? "closed" : "open").run();
    closed_ = closed;
}

void FrameIndex::add_extra_data(int64_t frame_index, const std::string& data) {
    if (!statements_->extra)
        statements_->extra = database_->prepare("INSERT INTO extra_data (frame_index, data) VALUES (?1, ?2)");
    statements_->extra->bind(1, frame_index).bind(2, data).run();
}

void FrameIndex::add_event(const EventRow& event) {
    std::optional<Statement>& insert = statements_->event;
    if (!insert)
        insert = database_->prepare("INSERT INTO events (time, kind, frame_index, data) VALUES (?1, ?2, ?3, ?4)");
    insert->bind(1, event.time).bind(2, event.kind).bind(4, event.data);
    if (event.frame_index) insert->bind(3, *event.frame_index);
    insert->run();
}

void FrameIndex::renumber(std::span<const int64_t> numbers) {
    Statement update = database_->prepare("UPDATE frames SET frame_number = ?2 WHERE frame_index = ?1");
    for (size_t i = 0; i < numbers.size(); ++i) update.bind(1, static_cast<int64_t>(i)).bind(2, numbers[i]).run();
    for (ChunkRow& chunk : chunks_) {
        if (chunk.first_index >= static_cast<int64_t>(numbers.size())) break;
        chunk.numbers_ascending = true;
        std::optional<int64_t> previous;
        visit_rows(chunk.first_index, chunk.first_index + chunk.frame_count, [&](const FrameRow& row) {
            chunk.number_min = previous ? std::min(chunk.number_min, row.number) : row.number;
            chunk.number_max = previous ? std::max(chunk.number_max, row.number) : row.number;
            if (previous && row.number < *previous) chunk.numbers_ascending = false;
            previous = row.number;
            return true;
        });
        save_summary(chunk);
    }
}

void FrameIndex::use_write_ahead_log(bool on) {
    // The statements of this connection must be at rest for the switch back.
    statements_->row.reset();
    if (on) {
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
