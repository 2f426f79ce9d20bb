#include "store/frame_index.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "store/extra_data_file.h"
#include "store/frame_index_parts.h"

namespace reelstore {

namespace {

/// A row of the table of frames takes more in the file.
constexpr int64_t kLeastRowBytes = 8;
/// Of pages: enough for those above the rows of 1e8 frames, so that a lookup reads little but what it looks at.
constexpr int kCacheKilobytes = 16384;
/// Chunks whose summary is kept.
constexpr size_t kKnownChunks = 32;
/// Chunks read at once.
constexpr int64_t kChunksTogether = 256;
/// Records of extra data read at once, and bytes of them.
constexpr int64_t kRecordsTogether = 1024;
constexpr size_t kRecordBytesTogether = size_t{8} << 20;

}  // namespace

FrameIndex::FrameIndex(std::unique_ptr<Database> database)
    : database_(std::move(database)),
      statements_(std::make_unique<Statements>(*database_)),
      tail_groups_(std::make_unique<TailGroups>()),
      numbers_(std::make_unique<Column<int64_t>>(*this)),
      times_(std::make_unique<Column<double>>(*this)) {
    data_version_ = database_->query_int64("PRAGMA data_version").value_or(0);
    temporary_groups_ = !has_table("chunk_groups");
    if (temporary_groups_) database_->execute("PRAGMA temp_store = MEMORY");
    {
        const ReadTransaction reading(*database_);
        base_ = database_->query_int64("SELECT first_index FROM chunks ORDER BY first_index LIMIT 1").value_or(0);
        if (base_ < 0 || base_ > kLongestTable) contradiction(std::nullopt);
        load();
        if (temporary_groups_) make_groups(true);
    }
}

FrameIndex::~FrameIndex() = default;

std::unique_ptr<FrameIndex> FrameIndex::create(const std::filesystem::path& path, const std::string& uuid) {
    auto database = std::make_unique<Database>(path, Database::Mode::create);
    // Nobody has use for the file before it is whole, so there is nothing to roll back to.
    database->execute("PRAGMA journal_mode = MEMORY");
    make_index_tables(*database, uuid);
    return std::unique_ptr<FrameIndex>(new FrameIndex(std::move(database)));
}

std::unique_ptr<FrameIndex> FrameIndex::open(const std::filesystem::path& path, const std::string& uuid,
                                             Database::Mode mode) {
    auto database = std::make_unique<Database>(path, mode);
    check_index_tables(*database, uuid, mode == Database::Mode::read_write);
    database->execute(fmt::format("PRAGMA cache_size = -{}", kCacheKilobytes));
    if (mode != Database::Mode::read_write) return std::unique_ptr<FrameIndex>(new FrameIndex(std::move(database)));
    // A commit counts only when the journal's end is durable too.
    database->execute("PRAGMA synchronous = EXTRA");
    const auto opened = [&] { return std::unique_ptr<FrameIndex>(new FrameIndex(std::move(database))); };
    const auto missing = [&](const char* table) {
        return !database->query_int64(
            fmt::format("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{}'", table));
    };
    if (std::none_of(kLaterTables.begin(), kLaterTables.end(), missing)) return opened();
    // What early indexes lack; the table of groups together with what is in it.
    {
        Transaction transaction(*database);
        for (const char* table : kLaterTables) {
            if (table != kGroupTable && missing(table)) database->execute(schema_of(table));
        }
        transaction.commit();
    }
    auto index = opened();
    if (index->temporary_groups_) index->keep_groups();
    return index;
}

/// Makes lasting groups of the temporary ones.
void FrameIndex::keep_groups() {
    Transaction transaction(*database_);
    reload();
    database_->execute("DROP TABLE temp.chunk_groups");
    database_->execute(schema_of(kGroupTable));
    temporary_groups_ = false;
    make_groups(false);
    keep_tail_groups();
    transaction.commit();
}

bool FrameIndex::has_table(const char* name) const {
    return database_->query_int64(fmt::format("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{}'", name))
        .has_value();
}

void FrameIndex::load() {
    forget();
    const auto asked = [&](const char* sql) { return database_->query_int64(sql); };
    tail_.reset();
    end_ = base_;
    {
        Statement last =
            database_->prepare(fmt::format("SELECT {} FROM chunks ORDER BY first_index DESC LIMIT 1", kChunkColumns));
        if (last.step()) {
            ++counters_.summaries_read;
            read_chunk(last, tail_.emplace());
            if (tail_->first_index < 0) contradiction(tail_->chunk);
            end_ = base_ + tail_->end_index();
        }
    }
    keep_tail_groups();
    closed_ = database_->query_text("SELECT value FROM store WHERE key = 'state'") == "closed";
    // Counts that a hostile file claims are believed only as far as there are rows, and room for them.
    const int64_t room =
        asked("PRAGMA page_count").value_or(0) * asked("PRAGMA page_size").value_or(0) / kLeastRowBytes;
    const int64_t first_index = asked("SELECT first_index FROM chunks ORDER BY first_index LIMIT 1").value_or(base_);
    if (end_ < base_ || first_index > end_ || end_ - std::max(base_, first_index) > room) contradiction(std::nullopt);
    // Whoever trims or adds does it to both in one transaction. In between, each chunk looked at is checked.
    if (asked("SELECT frame_index FROM frames ORDER BY frame_index DESC LIMIT 1").value_or(end_ - 1) != end_ - 1)
        contradiction(std::nullopt);
    if (end_ > first_index) {
        const auto first_row = asked("SELECT frame_index FROM frames ORDER BY frame_index LIMIT 1");
        if (first_row.value_or(end_) > first_index) missing_row(first_index - base_);
        if (first_row != first_index) contradiction(std::nullopt);
    }
    if (!tail_) return;
    // In order of number as of index; and none of those that were removed.
    const auto first = asked("SELECT chunk FROM chunks ORDER BY chunk LIMIT 1");
    if (asked("SELECT chunk FROM chunks ORDER BY chunk DESC LIMIT 1") != tail_->chunk || first < first_kept_chunk() ||
        first != asked("SELECT chunk FROM chunks ORDER BY first_index LIMIT 1"))
        contradiction(tail_->chunk);
}

void FrameIndex::forget() {
    statements_->last_row = -1;
    known_.clear();
    checked_groups_.clear();
    numbers_->forget();
    times_->forget();
}

/// Others may add to the groups that hold the last chunk; lookups go on with those of now until the next refresh.
void FrameIndex::keep_tail_groups() {
    tail_groups_->clear();
    groups_begin_ = first_index();
    if (!tail_ || temporary_groups_) return;
    Statement select =
        database_->prepare(fmt::format("SELECT {} FROM chunk_groups WHERE level = ?1 AND place = ?2", kGroupColumns));
    for (int level = 1; level <= kTopLevel; ++level) {
        const int64_t place = tail_->chunk >> (kGroupBits * level);
        select.bind(1, level).bind(2, place);
        std::optional<Group> group;
        if (select.step()) {
            group = Group::of(select, level);
            if (!group) contradiction(std::nullopt);
        } else if (tail_->frame_count > 0) {
            contradiction(std::nullopt);
        }
        tail_groups_->emplace(std::pair(level, place), group);
        select.reset();
    }
}

/// Where chunks have been removed since the opening, what was kept of the groups speaks of them still.
void FrameIndex::follow_removals() const {
    if (groups_begin_ == first_index()) return;
    const ReadTransaction reading(*database_);
    groups_begin_ = first_index();
    known_.clear();
    checked_groups_.clear();
    numbers_->forget();
    times_->forget();
    if (!tail_ || tail_groups_->empty()) return;
    tail_groups_->clear();
    for (int level = 1; level <= kTopLevel; ++level) {
        const int64_t place = tail_->chunk >> (kGroupBits * level);
        tail_groups_->emplace(std::pair(level, place), summarize_group(level, place));
    }
}

void FrameIndex::reload() {
    const ReadTransaction reading(*database_);
    load();
}

bool FrameIndex::refresh() {
    const int64_t version = database_->query_int64("PRAGMA data_version").value_or(0);
    if (version == data_version_) return false;
    const auto tail = tail_;
    const auto groups = *tail_groups_;
    const bool closed = closed_;
    try {
        const ReadTransaction reading(*database_);
        load();
        if (temporary_groups_) make_groups(true);
    } catch (const Error&) {
        tail_ = tail;
        end_ = tail ? base_ + tail->end_index() : base_;
        *tail_groups_ = groups;
        closed_ = closed;
        throw;
    }
    data_version_ = version;
    return true;
}

void FrameIndex::missing_row(int64_t index) const {
    if (index < first_index()) {
        throw Error(ErrorCode::not_found, {database_->path(), {}, index},
                    "the frame has been removed from the store since it was opened (`store trim`); open it again");
    }
    throw Error(ErrorCode::corrupt, {database_->path(), {}, index},
                "the frame's row is missing; run `store index` to rebuild the index");
}

void FrameIndex::contradiction(std::optional<int64_t> chunk) const {
    throw Error(ErrorCode::corrupt, {database_->path(), chunk, {}},
                "the index contradicts itself; run `store index` to rebuild it");
}

// ---- chunks

/// Nothing for a chunk that was added after the last refresh.
std::optional<ChunkRow> FrameIndex::chunk_row(const Statement& select) const {
    ++counters_.summaries_read;
    ChunkRow chunk;
    chunk.chunk = select.column_int64(0);
    if (!tail_ || chunk.chunk > tail_->chunk) return std::nullopt;
    if (chunk.chunk == tail_->chunk) return tail_;
    read_chunk(select, chunk);
    if (chunk.first_index > tail_->first_index || chunk.frame_count > tail_->first_index - chunk.first_index)
        contradiction(chunk.chunk);
    return chunk;
}

/// A row of groups, from kGroupColumns, as it was at the last refresh; nothing for one that was added since.
std::optional<FrameIndex::Group> FrameIndex::group_row(const Statement& select, int level) const {
    ++counters_.summaries_read;
    const int64_t place = select.column_int64(0);
    if (place < 0) contradiction(std::nullopt);
    if (!tail_ || place > tail_->chunk >> (kGroupBits * level)) return std::nullopt;
    if (const auto kept = tail_groups_->find({level, place}); kept != tail_groups_->end()) return kept->second;
    std::optional<Group> group = Group::of(select, level);
    if (!group) contradiction(std::nullopt);
    return group;
}

void FrameIndex::read_chunk(const Statement& select, ChunkRow& chunk) const {
    chunk.chunk = select.column_int64(0);
    const int64_t first_index = select.column_int64(1);
    chunk.frame_count = select.column_int64(2);
    if (chunk.chunk < 0 || chunk.chunk > kHighestChunk || first_index < 0 || first_index > kLongestTable ||
        chunk.frame_count < 0 || chunk.frame_count > kLongestTable)
        contradiction(chunk.chunk);
    if (!sound_extremes(select, 3, chunk.frame_count > 0)) contradiction(chunk.chunk);
    chunk.first_index = first_index - base_;
    read_extremes(select, 3, chunk);
    chunk.closed = select.column_text(9) == "closed";
    chunk.media_bytes = static_cast<uint64_t>(select.column_int64(10));
    chunk.has_stream = select.column_int64(11) != 0;
}

std::optional<ChunkRow> FrameIndex::one_chunk(Statement& select) const {
    const AtRest at_rest(select);
    return select.step() ? chunk_row(select) : std::nullopt;
}

int64_t FrameIndex::chunk_count() const {
    if (!tail_) return 0;
    Statement select = database_->prepare("SELECT COUNT(*) FROM chunks WHERE chunk <= ?1");
    select.bind(1, tail_->chunk);
    return select.step() ? select.column_int64(0) : 0;
}

int64_t FrameIndex::first_index() const {
    Statement& select =
        prepared(statements_->first, *database_, "SELECT first_index FROM chunks ORDER BY first_index LIMIT 1");
    const AtRest at_rest(select);
    return select.step() ? select.column_int64(0) - base_ : 0;
}

int64_t FrameIndex::first_kept_chunk() const {
    return database_->query_int64("SELECT CAST(value AS INTEGER) FROM store WHERE key = 'first_chunk'").value_or(0);
}

std::optional<ChunkRow> FrameIndex::find_chunk(int64_t chunk) const {
    Statement& select = prepared(statements_->find_chunk, *database_,
                                 [&] { return fmt::format("SELECT {} FROM chunks WHERE chunk = ?1", kChunkColumns); });
    select.bind(1, chunk);
    return one_chunk(select);
}

ChunkRow FrameIndex::existing_chunk(int64_t chunk) const {
    const std::optional<ChunkRow> row = find_chunk(chunk);
    if (!row) throw Error(ErrorCode::not_found, {database_->path(), chunk, {}}, "the index has no such chunk");
    return *row;
}

std::optional<ChunkRow> FrameIndex::last_chunk() const {
    return tail_;
}

std::optional<ChunkRow> FrameIndex::chunk_at(int64_t index) const {
    if (index < 0 || index >= frame_count()) return std::nullopt;
    return known_chunk(index);
}

void FrameIndex::visit_chunks(const std::function<bool(const ChunkRow&)>& visit) const {
    Statement select = database_->prepare(
        fmt::format("SELECT {} FROM chunks WHERE chunk > ?1 ORDER BY chunk LIMIT {}", kChunkColumns, kChunksTogether));
    int64_t last = -1;
    std::optional<int64_t> expected;
    for (;;) {
        std::vector<ChunkRow> chunks;
        select.bind(1, last);
        while (select.step()) {
            const std::optional<ChunkRow> chunk = chunk_row(select);
            if (!chunk) break;
            if (chunk->chunk <= (chunks.empty() ? last : chunks.back().chunk)) contradiction(chunk->chunk);
            chunks.push_back(*chunk);
            if (chunks.back().first_index != expected.value_or(chunks.back().first_index))
                contradiction(chunks.back().chunk);
            expected = chunks.back().end_index();
        }
        select.reset();
        if (chunks.empty()) return;
        last = chunks.back().chunk;
        for (const ChunkRow& chunk : chunks) {
            if (!visit(chunk)) return;
        }
    }
}

const ChunkRow& FrameIndex::known_chunk(int64_t index) const {
    const auto found = std::find_if(known_.begin(), known_.end(), [&](const ChunkRow& chunk) {
        return index >= chunk.first_index && index < chunk.end_index();
    });
    if (found != known_.end()) {
        std::rotate(known_.begin(), found, found + 1);
        return known_.front();
    }
    const ReadTransaction reading(*database_);
    // Of chunks that begin at the same frame, all but the last have none.
    Statement& select = prepared(statements_->chunk_at, *database_, [&] {
        return fmt::format("SELECT {} FROM chunks WHERE first_index <= ?1 ORDER BY first_index DESC LIMIT 1",
                           kChunkColumns);
    });
    select.bind(1, index + base_);
    const std::optional<ChunkRow> chunk = one_chunk(select);
    if (!chunk) missing_row(index);
    if (index >= chunk->end_index()) contradiction(chunk->chunk);
    check_ends(*chunk);
    if (known_.size() >= kKnownChunks) known_.pop_back();
    known_.insert(known_.begin(), *chunk);
    return known_.front();
}

/// The rows say to which chunk they belong: where its summary is wrong about that, every frame behind would be taken
/// for another.
void FrameIndex::check_ends(const ChunkRow& chunk) const {
    const RowValues first = row_values(chunk.first_index);
    const RowValues last = row_values(chunk.end_index() - 1);
    bool right = first.chunk == chunk.chunk && last.chunk == chunk.chunk;
    if (chunk.numbers_ascending) right = right && first.number == chunk.number_min && last.number == chunk.number_max;
    if (chunk.times_ascending) right = right && first.time == chunk.time_min && last.time == chunk.time_max;
    if (right && chunk.first_index > first_index()) right = row_values(chunk.first_index - 1).chunk < chunk.chunk;
    if (right && chunk.end_index() < frame_count()) right = row_values(chunk.end_index()).chunk > chunk.chunk;
    if (!right) contradiction(chunk.chunk);
}

// ---- rows

FrameIndex::RowValues FrameIndex::row_values(int64_t index) const {
    Statement& select = statements_->row;
    select.reset();
    const AtRest at_rest(select);
    select.bind(1, index + base_);
    if (!select.step()) missing_row(index);
    if (!select.is_integer(0) || !(select.is_number(1) || select.is_null(1))) contradiction(std::nullopt);
    ++counters_.rows_read;
    statements_->last_row = index;
    statements_->last_checksum.reset();
    if (!select.is_null(2)) statements_->last_checksum = static_cast<uint32_t>(select.column_int64(2));
    return {select.column_int64(0), select.column_double(1), select.column_int64(3)};
}

std::optional<FrameRow> FrameIndex::row(int64_t index) const {
    if (index < 0 || index >= frame_count()) return std::nullopt;
    const ReadTransaction reading(*database_);
    const ChunkRow& chunk = known_chunk(index);
    const RowValues values = row_values(index);
    if (values.chunk != chunk.chunk) contradiction(chunk.chunk);
    return FrameRow{index, values.number, values.time, chunk.chunk, index - chunk.first_index};
}

std::optional<FrameRow> FrameIndex::find_number(int64_t number, Match match) const {
    const ReadTransaction reading(*database_);
    return FrameTable::find_number(number, match);
}

std::optional<FrameRow> FrameIndex::find_time(double time, Match match) const {
    const ReadTransaction reading(*database_);
    return FrameTable::find_time(time, match);
}

std::vector<IndexRun> FrameIndex::runs_of_numbers(int64_t low, int64_t high) const {
    const ReadTransaction reading(*database_);
    return FrameTable::runs_of_numbers(low, high);
}

std::vector<IndexRun> FrameIndex::runs_of_times(double low, double high) const {
    const ReadTransaction reading(*database_);
    return FrameTable::runs_of_times(low, high);
}

const LookupColumn<int64_t>& FrameIndex::numbers() const {
    follow_removals();
    return *numbers_;
}

const LookupColumn<double>& FrameIndex::times() const {
    follow_removals();
    return *times_;
}

void FrameIndex::visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const {
    first = std::max<int64_t>(first, 0);
    last = std::min(last, frame_count());
    while (first < last) {
        const ChunkRow chunk = known_chunk(first);
        const int64_t end = std::min(last, chunk.end_index());
        Statement select = database_->prepare(
            "SELECT frame_index, frame_number, frame_time, chunk FROM frames WHERE frame_index >= ?1 AND frame_index < "
            "?2 "
            "ORDER BY frame_index");
        select.bind(1, first + base_).bind(2, end + base_);
        for (; first < end; ++first) {
            if (!select.step() || select.column_int64(0) != first + base_) missing_row(first);
            if (select.column_int64(3) != chunk.chunk || !select.is_integer(1) ||
                !(select.is_number(2) || select.is_null(2)))
                contradiction(chunk.chunk);
            ++counters_.rows_read;
            if (!visit(
                    {first, select.column_int64(1), select.column_double(2), chunk.chunk, first - chunk.first_index}))
                return;
        }
    }
}

// ---- extra data and events

bool FrameIndex::has_extra_data() const {
    return database_->query_int64("SELECT 1 FROM extra_data LIMIT 1").has_value();
}

std::vector<ExtraDataRow> FrameIndex::extra_data_page(int64_t first, int64_t last,
                                                      std::optional<ExtraDataPlace>& after) const {
    std::vector<ExtraDataRow> records;
    size_t bytes = 0;
    const ReadTransaction reading(*database_);
    const auto take = [&](Statement& select) {
        while (static_cast<int64_t>(records.size()) < kRecordsTogether && bytes < kRecordBytesTogether &&
               select.step()) {
            const ExtraDataPlace place{select.column_int64(0) - base_, select.column_int64(1)};
            if (after &&
                std::pair(place.frame_index, place.record_id) <= std::pair(after->frame_index, after->record_id))
                contradiction(std::nullopt);
            records.push_back({place.frame_index, select.column_text(2)});
            ++counters_.records_read;
            bytes += records.back().data.size();
            after = place;
        }
    };
    int64_t from = first;
    if (after) {
        Statement& rest = prepared(statements_->extra_of_frame, *database_,
                                   "SELECT frame_index, record_id, data FROM extra_data WHERE frame_index = ?1 AND "
                                   "record_id > ?2 ORDER BY record_id");
        const AtRest at_rest(rest);
        from = after->frame_index + 1;
        rest.bind(1, after->frame_index + base_).bind(2, after->record_id);
        take(rest);
    }
    Statement& behind = prepared(statements_->extra_behind, *database_,
                                 "SELECT frame_index, record_id, data FROM extra_data WHERE frame_index >= ?1 AND "
                                 "frame_index < ?2 ORDER BY frame_index, record_id");
    const AtRest at_rest(behind);
    behind.bind(1, from + base_).bind(2, last + base_);
    take(behind);
    return records;
}

void FrameIndex::visit_extra_data(int64_t first, int64_t last,
                                  const std::function<bool(const ExtraDataRow&)>& visit) const {
    std::optional<ExtraDataPlace> place;
    for (;;) {
        const std::vector<ExtraDataRow> page = extra_data_page(first, last, place);
        if (page.empty()) return;
        for (const ExtraDataRow& record : page) {
            if (!visit(record)) return;
        }
    }
}

void FrameIndex::visit_events(const std::function<bool(const EventRow&)>& visit) const {
    if (!has_table("events")) return;
    Statement select =
        database_->prepare("SELECT time, kind, frame_index, data, event_id FROM events ORDER BY event_id");
    std::optional<int64_t> last;
    while (select.step()) {
        if (last && select.column_int64(4) <= *last) contradiction(std::nullopt);
        last = select.column_int64(4);
        EventRow event{select.column_double(0), select.column_text(1), std::nullopt, select.column_text(3)};
        // What happened before frames that have been removed belongs to none that is there.
        if (!select.is_null(2) && select.column_int64(2) >= base_) event.frame_index = select.column_int64(2) - base_;
        if (refuses_extra_data(event.data)) contradiction(std::nullopt);
        if (!visit(event)) return;
    }
}

int64_t FrameIndex::event_count() const {
    // COUNT(*) alone goes over all pages as one instruction, which nothing can end.
    return has_table("events") ? database_->query_int64("SELECT SUM(1) FROM events").value_or(0) : 0;
}

}  // namespace reelstore
