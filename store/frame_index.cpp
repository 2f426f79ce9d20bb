#include "store/frame_index.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/checksum.h"
#include "store/extra_data_file.h"
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
/// How long a writer waits for another connection's transaction.
constexpr int kWriterPatienceMilliseconds = 60000;
/// Frames looked at to find where a run begins or ends; beyond, the whole chunk is as cheap.
constexpr int64_t kLongestSearch = 1024;
/// Frames in a run at least, so that the next request often finds its packets there.
constexpr int64_t kLeastRun = 128;
/// Of pages: enough for those above the rows of 1e8 frames, so that a lookup reads little but what it looks at.
constexpr int kCacheKilobytes = 16384;
/// Chunks whose summary is kept.
constexpr size_t kKnownChunks = 32;
/// Chunks read at once.
constexpr int64_t kChunksTogether = 256;
/// Records of extra data read at once, and bytes of them.
constexpr int64_t kRecordsTogether = 1024;
constexpr size_t kRecordBytesTogether = size_t{8} << 20;

/// Parts in a group: 2 to the power of this.
constexpr int kGroupBits = 5;
/// Level of the largest groups; the whole table is one level above.
constexpr int kTopLevel = 3;
/// More frames than any index holds, and few enough to add up.
constexpr int64_t kLongestTable = int64_t{1} << 60;
/// The largest number that fits in the name of a chunk's file.
constexpr int64_t kHighestChunk = 999'999'999'999'999;
/// Groups whose parts have been looked at and are not looked at again.
constexpr size_t kCheckedGroups = 4096;

constexpr const char* kGroupColumns =
    "place, number_min, number_max, numbers_ascending, time_min, time_max, times_ascending, parts, checksum";
constexpr const char* kChunkColumns =
    "chunk, first_index, frame_count, number_min, number_max, numbers_ascending, time_min, time_max, times_ascending, "
    "state, media_bytes, stream IS NOT NULL";

void write_header(const Database& database, const std::string& uuid) {
    Transaction transaction(database);
    database.execute(kIndexSchema);
    Statement insert = database.prepare("INSERT INTO store (key, value) VALUES (?1, ?2)");
    insert.bind(1, "uuid").bind(2, uuid).run();
    insert.bind(1, "writer").bind(2, "reelstore").run();
    insert.bind(1, "state").bind(2, "open").run();
    transaction.commit();
}

/// Units of time from one frame to the next at the nominal rate, if that is a whole number; else 0. The time stamps of
/// most videos are multiples of it, and then not kept.
int64_t ticks_per_frame(const VideoStream& stream) {
    if (!(stream.frame_rate > 0) || stream.time_base_num <= 0) return 0;
    const double ticks =
        static_cast<double>(stream.time_base_den) / (static_cast<double>(stream.time_base_num) * stream.frame_rate);
    return ticks >= 1 && ticks < 1e9 && ticks == std::floor(ticks) ? static_cast<int64_t>(ticks) : 0;
}

int64_t flags_of(const Packet& packet) {
    return (packet.key ? kKeyFlag : 0) | (packet.disposable ? kDisposableFlag : kNeededFlag);
}

/// As a signed number, which takes four bytes in SQLite's records where an unsigned one may take six.
int64_t kept_checksum(uint32_t checksum) {
    return static_cast<int32_t>(checksum);
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
    // It is written again below, level by level on the stack.
    constexpr int kMostLevels = 8;
    Json json = Json::parse(text, [](int depth, Json::parse_event_t /*event*/, const Json& /*parsed*/) {
        if (depth > kMostLevels) throw Error(ErrorCode::corrupt, "they are nested too deeply");
        return true;
    });
    if (const auto recorded = json.find("checksum"); recorded != json.end()) {
        const auto checksum = recorded->get<uint32_t>();
        json.erase("checksum");
        if (text_checksum(json.dump()) != checksum) throw Error(ErrorCode::corrupt, "they do not fit their checksum");
    }
    return VideoStream::from_json(json);
}

constexpr const char* kGroupTable = "chunk_groups";
constexpr std::array<const char*, 4> kLaterTables = {"events", kGroupTable, "sidecars", "hidden_packets"};

/// Of each table its columns with type, place in the key and whether they are computed, which could take any time.
/// Views and virtual tables are no tables.
std::map<std::string, std::set<std::string>> columns_of(const Database& database) {
    std::map<std::string, std::set<std::string>> tables;
    Statement select = database.prepare(
        "SELECT tables.name, columns.name || ' ' || columns.type || ' ' || columns.pk || ' ' || columns.hidden FROM "
        "pragma_table_list AS tables JOIN pragma_table_xinfo(tables.name, 'main') AS columns WHERE tables.schema = "
        "'main' AND tables.type = 'table'");
    while (select.step()) tables[select.column_text(0)].insert(select.column_text(1));
    return tables;
}

/// A statement of the schema without comments and blanks.
std::string bare(const std::string& sql) {
    std::string text;
    for (size_t i = 0; i < sql.size(); ++i) {
        if (sql.compare(i, 2, "--") == 0) {
            i = std::min(sql.find('\n', i), sql.size());
        } else if (!std::isspace(static_cast<unsigned char>(sql[i]))) {
            text += sql[i];
        }
    }
    return text;
}

/// Of each table the statement that made it.
std::map<std::string, std::string> statements_of(const Database& database) {
    std::map<std::string, std::string> tables;
    Statement select = database.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table'");
    while (select.step()) tables[select.column_text(0)] = select.column_text(1);
    return tables;
}

/// What the schema says, as SQLite understands it.
struct Schema {
    std::map<std::string, std::set<std::string>> columns;
    std::map<std::string, std::string> statements;
};

const Schema& schema() {
    static const Schema kSchema = [] {
        const Database database("the schema", Database::Mode::memory);
        database.execute(kIndexSchema);
        return Schema{columns_of(database), statements_of(database)};
    }();
    return kSchema;
}

/// The statement of the schema that makes a table.
const std::string& schema_of(const std::string& table) {
    return schema().statements.at(table);
}

/// Whether the tables are those of the schema. They may have further columns and indexes, but where it is to be
/// written, none of them may compute anything, which could take any time.
void check_tables(const Database& database, bool to_write) {
    const auto& expected = schema().columns;
    const auto found = columns_of(database);
    const auto refuse = [&](const std::string& table) {
        throw Error(ErrorCode::corrupt, {database.path(), {}, {}},
                    fmt::format("the table `{}` is not that of an index; run `store index` to rebuild it", table));
    };
    for (const auto& [table, columns] : expected) {
        const auto own = found.find(table);
        const bool later = std::find(kLaterTables.begin(), kLaterTables.end(), table) != kLaterTables.end();
        if (own == found.end() && later &&
            !database.query_int64(fmt::format("SELECT 1 FROM sqlite_master WHERE lower(name) = '{}'", table)))
            continue;
        if (own == found.end() ||
            !std::includes(own->second.begin(), own->second.end(), columns.begin(), columns.end()))
            refuse(table);
        for (const std::string& column : own->second) {
            if (!column.ends_with(" 0")) refuse(table);
        }
    }
    if (!to_write) return;
    for (const auto& [table, sql] : statements_of(database)) {
        if (expected.contains(table) && bare(sql) != bare(schema_of(table))) refuse(table);
    }
    Statement select = database.prepare("SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''");
    while (select.step()) {
        const std::string sql = bare(select.column_text(1));
        const bool plain = std::count(sql.begin(), sql.end(), '(') == 1 && sql.ends_with(')');
        if (!plain && expected.contains(select.column_text(0))) refuse(select.column_text(0));
    }
}

void check_header(const Database& database, const std::string& uuid, bool to_write) {
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
    check_tables(database, to_write);
    const std::string own = database.query_text("SELECT value FROM store WHERE key = 'uuid'").value_or("");
    if (own != uuid)
        throw Error(ErrorCode::corrupt, place,
                    "the index belongs to another store (its uuid differs from metadata.yaml)");
}

/// A statement prepared at its first use, at rest and without bindings. `sql` is its text or makes it.
template <typename Sql>
Statement& prepared(std::optional<Statement>& kept, const Database& database, const Sql& sql) {
    if (kept) {
        kept->reset();
    } else if constexpr (std::is_invocable_v<Sql>) {
        kept = database.prepare(sql());
    } else {
        kept = database.prepare(sql);
    }
    return *kept;
}

/// Puts a statement at rest when done with, also by an error: one in the midst of its rows keeps the transaction open.
class AtRest {
public:
    explicit AtRest(Statement& statement) : statement_(statement) {}
    ~AtRest() { statement_.reset(); }
    AtRest(const AtRest&) = delete;
    AtRest& operator=(const AtRest&) = delete;

private:
    Statement& statement_;
};

}  // namespace

/// Prepared once: preparing costs more than a lookup.
struct FrameIndex::Statements {
    explicit Statements(const Database& database)
        : row(database.prepare("SELECT frame_number, frame_time, checksum, chunk FROM frames WHERE frame_index = ?1")) {
    }
    Statement row;
    // Of the row that was looked up last: who reads a frame asks for both.
    int64_t last_row = -1;
    std::optional<uint32_t> last_checksum;
    std::optional<Statement> first;
    std::optional<Statement> chunk_at;
    std::optional<Statement> find_chunk;
    std::optional<Statement> insert;
    std::optional<Statement> extra;
    std::optional<Statement> checksum;
    std::optional<Statement> size;
    std::optional<Statement> event;
    std::optional<Statement> packets;
    std::optional<Statement> hidden_packets;
    std::optional<Statement> hidden_count;
    std::optional<Statement> key_before;
    std::optional<Statement> key_after;
    std::optional<Statement> extra_of_frame;
    std::optional<Statement> extra_behind;
    std::optional<Statement> summary;
    std::optional<Statement> group_of_chunks;
    std::optional<Statement> group_of_groups;
    std::optional<Statement> one_group;
    std::optional<Statement> save_group;
};

/// A row of the table of frames.
struct FrameIndex::RowValues {
    int64_t number = 0;
    double time = 0;
    int64_t chunk = 0;
};

/// A row of the table of groups.
struct FrameIndex::Group {
    int64_t number_min = 0;
    int64_t number_max = 0;
    bool numbers_ascending = true;
    std::optional<double> time_min = {};
    std::optional<double> time_max = {};
    bool times_ascending = true;
    uint32_t parts = 0;  ///< checksum of what it sums up
    uint32_t sum = 0;    ///< checksum of all that, its level and its place

    /// Takes over what comes behind.
    void append(const Group& next) {
        numbers_ascending = numbers_ascending && next.numbers_ascending && number_max <= next.number_min;
        times_ascending =
            times_ascending && next.times_ascending && time_max && next.time_min && *time_max <= *next.time_min;
        number_min = std::min(number_min, next.number_min);
        number_max = std::max(number_max, next.number_max);
        if (next.time_min) time_min = std::min(time_min.value_or(*next.time_min), *next.time_min);
        if (next.time_max) time_max = std::max(time_max.value_or(*next.time_max), *next.time_max);
    }

    std::string text() const {
        const double none = std::numeric_limits<double>::quiet_NaN();
        return fmt::format("{} {} {:d} {:a} {:a} {:d}", number_min, number_max, numbers_ascending,
                           time_min.value_or(none), time_max.value_or(none), times_ascending);
    }

    /// So that no changed bit makes a lookup miss what is there.
    uint32_t checksum(int level, int64_t place) const {
        return text_checksum(fmt::format("{} {} {} {}", level, place, text(), parts));
    }

    static Group of(const ChunkRow& chunk) {
        Group group;
        group.number_min = chunk.number_min;
        group.number_max = chunk.number_max;
        group.numbers_ascending = chunk.numbers_ascending;
        group.time_min = chunk.time_min;
        group.time_max = chunk.time_max;
        group.times_ascending = chunk.times_ascending;
        return group;
    }

    /// From kGroupColumns; nothing when they do not fit their checksum.
    static std::optional<Group> of(const Statement& select, int level) {
        const auto is_time = [&](int column) { return select.is_number(column) || select.is_null(column); };
        if (!select.is_integer(1) || !select.is_integer(2) || !is_time(4) || !is_time(5)) return std::nullopt;
        Group group;
        group.number_min = select.column_int64(1);
        group.number_max = select.column_int64(2);
        group.numbers_ascending = select.column_int64(3) != 0;
        if (!select.is_null(4)) group.time_min = select.column_double(4);
        if (!select.is_null(5)) group.time_max = select.column_double(5);
        group.times_ascending = select.column_int64(6) != 0;
        group.parts = static_cast<uint32_t>(select.column_int64(7));
        group.sum = group.checksum(level, select.column_int64(0));
        return group.sum == select.column_int64(8) ? std::optional(group) : std::nullopt;
    }
};

/// By level and place; nothing where there is none yet.
struct FrameIndex::TailGroups : std::map<std::pair<int, int64_t>, std::optional<Group>> {};

/// Sums up chunks, or groups, in order.
struct FrameIndex::GroupSum {
    std::optional<Group> sum = {};
    std::string parts = {};

    void add(const Group& group) {
        if (sum) {
            sum->append(group);
        } else {
            sum = group;
        }
    }
    /// `first_index` as in the database.
    void add(const ChunkRow& chunk, int64_t first_index) {
        const Group group = Group::of(chunk);
        parts += fmt::format("{} {} {} {}\n", chunk.chunk, first_index, chunk.frame_count, group.text());
        add(group);
    }
    void add(int64_t place, const Group& group) {
        parts += fmt::format("{} {}\n", place, group.sum);
        add(group);
    }
    std::optional<Group> finish(int level, int64_t place) {
        if (!sum) return std::nullopt;
        sum->parts = text_checksum(parts);
        sum->sum = sum->checksum(level, place);
        return sum;
    }
};

/// One of the two columns that frames are looked up by.
template <typename Value>
class FrameIndex::Column : public LookupColumn<Value> {
public:
    using Part = TablePart<Value>;
    static constexpr bool kIsTime = std::is_same_v<Value, double>;

    explicit Column(const FrameIndex& index) : index_(index) {}

    int64_t frame_count() const override { return index_.frame_count(); }
    int64_t first_index() const override { return index_.first_index(); }

    std::optional<Part> whole() const override {
        if (whole_) return whole_;
        std::optional<Group> sum;
        std::vector<int64_t> places;
        Statement select = index_.database().prepare(
            fmt::format("SELECT {} FROM chunk_groups WHERE level = ?1 ORDER BY place", kGroupColumns));
        select.bind(1, kTopLevel);
        while (select.step()) {
            const std::optional<Group> group = index_.group_row(select, kTopLevel);
            if (group) places.push_back(select.column_int64(0));
            if (sum && group) {
                sum->append(*group);
            } else if (group) {
                sum = group;
            }
        }
        if (!sum && frame_count() > 0) contradiction(-1);
        for (const int64_t place : places) index_.check_group(kTopLevel, place);
        if (sum) whole_ = part_of(*sum, kTopLevel + 1, 0);
        return whole_;
    }

    std::vector<Part> parts(const Part& part, Value low, Value high, int64_t limit) const override {
        const int64_t first = part.level > kTopLevel ? 0 : part.place << kGroupBits;
        const int64_t last = part.level > kTopLevel ? kHighestChunk : first + (int64_t{1} << kGroupBits);
        // One part is the way to a frame that its neighbours prove; who asks for all relies on what they say.
        if (limit > 1 && part.level <= kTopLevel) index_.check_group(part.level, part.place);
        return part.level > 1 ? groups(part.level - 1, first, last, low, high, limit)
                              : chunks(first, last, low, high, limit);
    }

    Value value(int64_t index) const override {
        const RowValues row = index_.row_values(index);
        if constexpr (kIsTime) {
            return row.time;
        } else {
            return row.number;
        }
    }

    std::optional<int64_t> scan_for(const Part& chunk, Value value) const override {
        const auto key =
            first_value<int64_t>(scan_for_, "SELECT frame_index", chunk, "=", value, "ORDER BY frame_index LIMIT 1");
        return key ? std::optional(*key - index_.base_) : std::nullopt;
    }
    std::optional<Value> scan_below(const Part& chunk, Value limit) const override {
        return first_value<Value>(scan_below_, fmt::format("SELECT MAX({})", kName), chunk, "<=", limit, "");
    }
    std::optional<Value> scan_above(const Part& chunk, Value limit) const override {
        return first_value<Value>(scan_above_, fmt::format("SELECT MIN({})", kName), chunk, ">=", limit, "");
    }

    [[noreturn]] void contradiction(int64_t chunk) const override {
        index_.contradiction(chunk < 0 ? std::nullopt : std::optional(chunk));
    }

    void forget() { whole_.reset(); }

private:
    static constexpr const char* kName = kIsTime ? "frame_time" : "frame_number";
    static constexpr const char* kMin = kIsTime ? "time_min" : "number_min";
    static constexpr const char* kMax = kIsTime ? "time_max" : "number_max";

    static std::optional<Part> part_of(const Group& group, int level, int64_t place) {
        Part part;
        part.level = level;
        part.place = place;
        if constexpr (kIsTime) {
            if (!group.time_min || !group.time_max) return std::nullopt;
            part.minimum = *group.time_min;
            part.maximum = *group.time_max;
            part.ascending = group.times_ascending;
        } else {
            part.minimum = group.number_min;
            part.maximum = group.number_max;
            part.ascending = group.numbers_ascending;
        }
        return part;
    }

    std::vector<Part> groups(int level, int64_t first, int64_t last, Value low, Value high, int64_t limit) const {
        std::vector<Part> found;
        Statement& select = prepared(groups_, index_.database(), [&] {
            return fmt::format(
                "SELECT {} FROM chunk_groups WHERE level = ?1 AND place >= ?2 AND place < ?3 AND {} >= ?4 AND {} "
                "<= ?5 ORDER BY place LIMIT ?6",
                kGroupColumns, kMax, kMin);
        });
        const AtRest at_rest(select);
        select.bind(1, level).bind(2, first).bind(3, last).bind(4, low).bind(5, high).bind(6, limit);
        while (select.step()) {
            const int64_t place = select.column_int64(0);
            if (!found.empty() && place <= found.back().place) contradiction(-1);
            const std::optional<Group> group = index_.group_row(select, level);
            const auto part = group ? part_of(*group, level, place) : std::nullopt;
            if (part && part->maximum >= low && part->minimum <= high) found.push_back(*part);
        }
        return found;
    }

    std::vector<Part> chunks(int64_t first, int64_t last, Value low, Value high, int64_t limit) const {
        std::vector<Part> found;
        {
            Statement& select = prepared(chunks_, index_.database(), [&] {
                return fmt::format(
                    "SELECT {} FROM chunks WHERE chunk >= ?1 AND chunk < ?2 AND {} >= ?3 AND {} <= ?4 ORDER BY "
                    "chunk LIMIT ?5",
                    kChunkColumns, kMax, kMin);
            });
            const AtRest at_rest(select);
            select.bind(1, first).bind(2, last).bind(3, low).bind(4, high).bind(5, limit);
            while (select.step()) {
                const std::optional<ChunkRow> chunk = index_.chunk_row(select);
                if (!chunk || chunk->frame_count == 0) continue;
                std::optional<Part> part = part_of(Group::of(*chunk), 0, chunk->chunk);
                if (!part || part->maximum < low || part->minimum > high) continue;
                part->first_index = chunk->first_index;
                part->frame_count = chunk->frame_count;
                found.push_back(*part);
            }
        }
        // Whether they are where they say.
        for (const Part& part : found) {
            const ChunkRow& known = index_.known_chunk(part.first_index);
            if (known.chunk != part.place || known.first_index != part.first_index ||
                known.frame_count != part.frame_count)
                index_.contradiction(part.place);
        }
        return found;
    }

    template <typename Result>
    std::optional<Result> first_value(std::optional<Statement>& kept, const std::string& select_text, const Part& chunk,
                                      const char* comparison, Value bound, const char* order) const {
        Statement& select = prepared(kept, index_.database(), [&] {
            // Not by an index that somebody has made, which may say anything.
            return fmt::format(
                "{} FROM frames NOT INDEXED WHERE frame_index >= ?1 AND frame_index < ?2 AND {} {} ?3 {}", select_text,
                kName, comparison, order);
        });
        const AtRest at_rest(select);
        index_.counters_.rows_read += chunk.frame_count;
        const int64_t first = chunk.first_index + index_.base_;
        select.bind(1, first).bind(2, first + chunk.frame_count).bind(3, bound);
        if (!select.step() || select.is_null(0)) return std::nullopt;
        if constexpr (std::is_same_v<Result, double>) {
            return select.column_double(0);
        } else {
            return select.column_int64(0);
        }
    }

    const FrameIndex& index_;
    mutable std::optional<Part> whole_;
    mutable std::optional<Statement> groups_;
    mutable std::optional<Statement> chunks_;
    mutable std::optional<Statement> scan_for_;
    mutable std::optional<Statement> scan_below_;
    mutable std::optional<Statement> scan_above_;
};

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
    write_header(*database, uuid);
    return std::unique_ptr<FrameIndex>(new FrameIndex(std::move(database)));
}

std::unique_ptr<FrameIndex> FrameIndex::open(const std::filesystem::path& path, const std::string& uuid,
                                             Database::Mode mode) {
    auto database = std::make_unique<Database>(path, mode);
    check_header(*database, uuid, mode == Database::Mode::read_write);
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
    // SQL finds no NULL where it would find the 0 that it is taken for here.
    const auto is_time = [&](int column) { return select.is_number(column) || select.is_null(column); };
    if ((chunk.frame_count > 0 && !(select.is_integer(3) && select.is_integer(4))) || !is_time(6) || !is_time(7))
        contradiction(chunk.chunk);
    chunk.first_index = first_index - base_;
    chunk.number_min = select.column_int64(3);
    chunk.number_max = select.column_int64(4);
    chunk.numbers_ascending = select.column_int64(5) != 0;
    if (!select.is_null(6)) chunk.time_min = select.column_double(6);
    if (!select.is_null(7)) chunk.time_max = select.column_double(7);
    chunk.times_ascending = select.column_int64(8) != 0;
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

// ---- packets

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
    if (!has_table("sidecars")) return std::nullopt;
    Statement select = database_->prepare("SELECT bytes, checksum FROM sidecars WHERE chunk = ?1");
    select.bind(1, chunk);
    if (!select.step()) return std::nullopt;
    return SidecarMark{static_cast<uint64_t>(select.column_int64(0)), static_cast<uint32_t>(select.column_int64(1))};
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

// ---- groups

std::optional<FrameIndex::Group> FrameIndex::summarize_group(int level, int64_t place) const {
    GroupSum sum;
    const int64_t first = place << kGroupBits;
    const int64_t last = first + (int64_t{1} << kGroupBits);
    Statement& select =
        level == 1
            ? prepared(statements_->group_of_chunks, *database_,
                       [&] {
                           return fmt::format("SELECT {} FROM chunks WHERE chunk >= ?1 AND chunk < ?2 ORDER BY chunk",
                                              kChunkColumns);
                       })
            : prepared(statements_->group_of_groups, *database_, [&] {
                  return fmt::format(
                      "SELECT {} FROM chunk_groups WHERE place >= ?1 AND place < ?2 AND level = ?3 ORDER BY "
                      "place",
                      kGroupColumns);
              });
    const AtRest at_rest(select);
    select.bind(1, first).bind(2, last);
    if (level > 1) select.bind(3, level - 1);
    while (select.step()) {
        if (level > 1) {
            if (const auto group = group_row(select, level - 1)) sum.add(select.column_int64(0), *group);
        } else if (const auto chunk = chunk_row(select); chunk && chunk->frame_count > 0) {
            sum.add(*chunk, chunk->first_index + base_);
        }
    }
    return sum.finish(level, place);
}

void FrameIndex::check_group(int level, int64_t place) const {
    if (checked_groups_.contains({level, place})) return;
    // Chunks that have been removed since are in the groups of the opening, but no longer in the table.
    if (first_index() > 0) return;
    std::optional<Group> said;
    if (const auto kept = tail_groups_->find({level, place}); kept != tail_groups_->end()) {
        said = kept->second;
    } else {
        Statement& select = prepared(statements_->one_group, *database_, [&] {
            return fmt::format("SELECT {} FROM chunk_groups WHERE level = ?1 AND place = ?2", kGroupColumns);
        });
        const AtRest at_rest(select);
        select.bind(1, level).bind(2, place);
        if (select.step()) said = group_row(select, level);
    }
    const std::optional<Group> found = summarize_group(level, place);
    if (!said || !found || said->sum != found->sum) contradiction(std::nullopt);
    if (checked_groups_.size() >= kCheckedGroups) checked_groups_.clear();
    checked_groups_.emplace(level, place);
}

void FrameIndex::update_groups(int64_t chunk) {
    for (int level = 1; level <= kTopLevel; ++level) {
        const int64_t place = chunk >> (kGroupBits * level);
        const std::optional<Group> group = summarize_group(level, place);
        if (!group) {
            database_->prepare("DELETE FROM chunk_groups WHERE level = ?1 AND place = ?2")
                .bind(1, level)
                .bind(2, place)
                .run();
            if (const auto kept = tail_groups_->find({level, place}); kept != tail_groups_->end()) kept->second.reset();
            continue;
        }
        Statement& save = prepared(
            statements_->save_group, *database_,
            "INSERT OR REPLACE INTO chunk_groups (level, place, number_min, number_max, numbers_ascending, time_min, "
            "time_max, times_ascending, parts, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
        save.bind(1, level).bind(2, place).bind(3, group->number_min).bind(4, group->number_max);
        save.bind(5, int64_t{group->numbers_ascending});
        if (group->time_min) save.bind(6, *group->time_min);
        if (group->time_max) save.bind(7, *group->time_max);
        save.bind(8, int64_t{group->times_ascending}).bind(9, int64_t{group->parts}).bind(10, int64_t{group->sum});
        save.run();
        if (const auto kept = tail_groups_->find({level, place}); kept != tail_groups_->end()) kept->second = *group;
    }
    checked_groups_.clear();
    numbers_->forget();
    times_->forget();
}

void FrameIndex::make_groups(bool temporary) {
    if (temporary) {
        database_->execute("DROP TABLE IF EXISTS temp.chunk_groups");
        const std::string create = "CREATE ";
        database_->execute(create + "TEMP " + schema_of("chunk_groups").substr(create.size()));
    }
    // Once for each group of chunks: of those that lie in it, the last has the final say over all levels.
    Statement select =
        database_->prepare(fmt::format("SELECT MAX(chunk) FROM chunks GROUP BY chunk >> {} ORDER BY 1", kGroupBits));
    std::vector<int64_t> chunks;
    while (select.step()) chunks.push_back(select.column_int64(0));
    select.reset();
    for (const int64_t chunk : chunks) update_groups(chunk);
    forget();
}

// ---- writing

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
