#pragma once

#include <cstdint>
#include <optional>

#include "store/frame_index.h"

namespace reelstore {

/// A column of the frame table that frames can be looked up by: how to read one value, a chunk's range, and how to search a
/// chunk whose values do not ascend.
class NumberColumn {
public:
    using Value = int64_t;

    explicit NumberColumn(const FrameIndex& index) : index_(index) {}
    const FrameIndex& index() const { return index_; }
    static std::optional<std::pair<int64_t, int64_t>> range(const ChunkRow& chunk) {
        if (chunk.frame_count == 0) return std::nullopt;
        return std::pair(chunk.number_min, chunk.number_max);
    }
    static bool ascending(const ChunkRow& chunk) { return chunk.numbers_ascending; }
    int64_t value(int64_t frame_index) const;
    /// First frame of the chunk with this value; by scanning the chunk.
    std::optional<int64_t> scan_for(const ChunkRow& chunk, int64_t value) const;
    /// Largest value of the chunk that is <= limit, or smallest that is >= limit; by scanning the chunk.
    std::optional<int64_t> scan_below(const ChunkRow& chunk, int64_t limit) const;
    std::optional<int64_t> scan_above(const ChunkRow& chunk, int64_t limit) const;
    /// True when `a` is strictly nearer to `target` than `b`, without overflow.
    static bool nearer(int64_t a, int64_t b, int64_t target);

private:
    const FrameIndex& index_;
};

class TimeColumn {
public:
    using Value = double;

    explicit TimeColumn(const FrameIndex& index) : index_(index) {}
    const FrameIndex& index() const { return index_; }
    static std::optional<std::pair<double, double>> range(const ChunkRow& chunk) {
        if (!chunk.time_min || !chunk.time_max) return std::nullopt;
        return std::pair(*chunk.time_min, *chunk.time_max);
    }
    static bool ascending(const ChunkRow& chunk) { return chunk.times_ascending; }
    double value(int64_t frame_index) const;
    std::optional<int64_t> scan_for(const ChunkRow& chunk, double value) const;
    std::optional<double> scan_below(const ChunkRow& chunk, double limit) const;
    std::optional<double> scan_above(const ChunkRow& chunk, double limit) const;
    static bool nearer(double a, double b, double target);

private:
    const FrameIndex& index_;
};

/// frame_index of the frame that matches `target`; of several with the same value the first. Costs a pass over the chunk
/// summaries and a binary search (or, where values do not ascend, a scan) in the one or two chunks that hold the answer.
std::optional<int64_t> search_frames(const NumberColumn& column, int64_t target, Match match);
std::optional<int64_t> search_frames(const TimeColumn& column, double target, Match match);

}  // namespace reelstore
