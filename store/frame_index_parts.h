#pragma once

// What the files frame_index*.cpp share; not for others.

#include <limits>
#include <map>

#include <fmt/format.h>

#include "base/error.h"
#include "store/frame_index.h"
#include "store/index_schema.h"
#include "store/packet_row.h"

namespace reelstore {

/// Parts in a group: 2 to the power of this.
inline constexpr int kGroupBits = 5;
/// Level of the largest groups; the whole table is one level above.
inline constexpr int kTopLevel = 3;
/// More frames than any index holds, and few enough to add up.
inline constexpr int64_t kLongestTable = int64_t{1} << 60;
/// The largest number that fits in the name of a chunk's file.
inline constexpr int64_t kHighestChunk = 999'999'999'999'999;
/// Groups whose parts have been looked at and are not looked at again.
inline constexpr size_t kCheckedGroups = 4096;
inline constexpr const char* kGroupColumns =
    "place, number_min, number_max, numbers_ascending, time_min, time_max, times_ascending, parts, checksum";
inline constexpr const char* kChunkColumns =
    "chunk, first_index, frame_count, number_min, number_max, numbers_ascending, time_min, time_max, times_ascending, "
    "state, media_bytes, stream IS NOT NULL";

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

/// The columns number_min to times_ascending of a row of chunks or groups, from `column` on, for a ChunkRow or a Group.
template <typename Summary>
void read_extremes(const Statement& select, int column, Summary& summary) {
    summary.number_min = select.column_int64(column);
    summary.number_max = select.column_int64(column + 1);
    summary.numbers_ascending = select.column_int64(column + 2) != 0;
    if (!select.is_null(column + 3)) summary.time_min = select.column_double(column + 3);
    if (!select.is_null(column + 4)) summary.time_max = select.column_double(column + 4);
    summary.times_ascending = select.column_int64(column + 5) != 0;
}

/// Whether they are what they should be. SQL finds no NULL where it would find the 0 that it is taken for here.
inline bool sound_extremes(const Statement& select, int column, bool has_frames) {
    const auto is_time = [&](int time) { return select.is_number(time) || select.is_null(time); };
    return (!has_frames || (select.is_integer(column) && select.is_integer(column + 1))) && is_time(column + 3) &&
           is_time(column + 4);
}

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
    std::optional<Statement> sidecar;
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
        if (!sound_extremes(select, 1, true)) return std::nullopt;
        Group group;
        read_extremes(select, 1, group);
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

}  // namespace reelstore
