#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "store/frame_row.h"

namespace reelstore {

/// Work that lookups have cost.
struct LookupCounters {
    int64_t rows_read = 0;       ///< rows of frames
    int64_t summaries_read = 0;  ///< rows of chunks and of groups of chunks
    int64_t records_read = 0;    ///< of extra data
};

/// Frames first..last-1.
struct IndexRun {
    int64_t first = 0;
    int64_t last = 0;
    bool operator==(const IndexRun&) const = default;
};

/// A part of a frame table and what is known of the values of one column in it: a chunk (level 0), a group of chunks or
/// the whole table.
template <typename Value>
struct TablePart {
    int level = 0;
    int64_t place = 0;  ///< number of the chunk; for higher levels of the group
    Value minimum = {};
    Value maximum = {};
    bool ascending = true;    ///< every frame has a value and none is below the one before it
    int64_t first_index = 0;  ///< chunks only
    int64_t frame_count = 0;  ///< chunks only

    int64_t end_index() const { return first_index + frame_count; }
};

/// A column of a frame table by which frames are looked up: numbers (int64_t) or times (double). Parts without any
/// value are left out everywhere.
template <typename Value>
class LookupColumn {
public:
    using Part = TablePart<Value>;
    static constexpr Value kLowest = std::numeric_limits<Value>::lowest();
    static constexpr Value kHighest = std::numeric_limits<Value>::max();

    virtual ~LookupColumn() = default;
    virtual int64_t frame_count() const = 0;
    /// Above 0 where the first frames have been removed since the table was opened.
    virtual int64_t first_index() const { return 0; }
    /// Nothing when no frame has a value.
    virtual std::optional<Part> whole() const = 0;
    /// The parts that `part`, which is no chunk, consists of, in order of index: the first `limit` of those that hold a
    /// value from `low` to `high` by their minimum and maximum.
    virtual std::vector<Part> parts(const Part& part, Value low, Value high, int64_t limit) const = 0;
    /// The value of a frame; NaN where it has none.
    virtual Value value(int64_t index) const = 0;
    /// First frame of a chunk with this value, by looking at all.
    virtual std::optional<int64_t> scan_for(const Part& chunk, Value value) const = 0;
    /// Largest value of a chunk that is not above `limit`, by looking at all.
    virtual std::optional<Value> scan_below(const Part& chunk, Value limit) const = 0;
    /// Smallest value of a chunk that is not below `limit`, by looking at all.
    virtual std::optional<Value> scan_above(const Part& chunk, Value limit) const = 0;
    /// Throws Error(corrupt): the parts do not say what the frames say.
    [[noreturn]] virtual void contradiction(int64_t chunk) const = 0;
};

/// The frame whose value matches `target`; of several with the same value the first. Where values ascend throughout,
/// one way down through the parts and a search in one chunk, guided by the values: its rows read are at most log2 of
/// the chunk's frames and a few; the answer is checked against its neighbours, so that no part can lie. Elsewhere every
/// part is looked into whose minimum and maximum leave the answer open, and in a chunk whose values do not ascend,
/// every row. Throws Error(corrupt) when the table contradicts itself.
std::optional<int64_t> search_frames(const LookupColumn<int64_t>& column, int64_t target, Match match);
std::optional<int64_t> search_frames(const LookupColumn<double>& column, double target, Match match);

/// Runs of frames, in order and apart from each other, outside which no value v has low <= v <= high; within parts that
/// ascend exactly the frames that have one.
std::vector<IndexRun> search_runs(const LookupColumn<int64_t>& column, int64_t low, int64_t high);
std::vector<IndexRun> search_runs(const LookupColumn<double>& column, double low, double high);

}  // namespace reelstore
