#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/frame_source.h"
#include "store/frame_row.h"
#include "store/frame_search.h"

namespace reelstore {

/// Frames that can be looked up: a store, or any file or folder that can be read in any order. Read in order by next()
/// or by index, number or time, whatever was read before; see open_recording().
///
/// Lookups have the same meaning for all kinds (spec/format.md): of frames with the same number or time the first
/// counts, and frames without a time are never found by time. Used by one thread at a time, const members too;
/// recordings are independent of each other.
class Recording : public FrameSource, public RandomAccess {
public:
    // Frames. Every call throws Error naming the file and frame when the frame is listed but cannot be read; all other
    // frames stay readable.
    std::optional<Frame> at_number(int64_t number, Match match = Match::exact);
    /// Throws Error(invalid_argument) when `time` is not finite.
    std::optional<Frame> at_time(double time, Match match = Match::nearest);
    /// The frames at these indices, in this order, all in memory; an index may occur several times, and its frames then
    /// share their pixels.
    virtual std::vector<Frame> at_indices(std::span<const int64_t> indices) = 0;

    // The frame table
    virtual std::optional<FrameRow> row(int64_t index) const = 0;
    virtual std::optional<FrameRow> find_number(int64_t number, Match match = Match::exact) const = 0;
    /// Throws Error(invalid_argument) when `time` is not finite.
    virtual std::optional<FrameRow> find_time(double time, Match match = Match::nearest) const = 0;
    /// Rows first..last-1 in order; stops when `visit` returns false. `last` is cut to frame_count().
    virtual void visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const = 0;
    /// The whole table.
    std::vector<FrameRow> rows() const;
    /// Smallest and largest number; nothing without frames.
    virtual std::optional<std::pair<int64_t, int64_t>> number_range() const = 0;
    /// Earliest and latest time; nothing when no frame has one.
    virtual std::optional<std::pair<double, double>> time_range() const = 0;
    /// Whether no number is smaller than the one before it, over the whole recording.
    virtual bool numbers_ascend() const = 0;
    /// Runs of frames, in order, outside which no number n has low <= n <= high; times likewise. Where numbers (times)
    /// ascend these are exactly the frames that have one, and nothing else is read to find them.
    virtual std::vector<IndexRun> runs_of_numbers(int64_t low, int64_t high) const = 0;
    virtual std::vector<IndexRun> runs_of_times(double low, double high) const = 0;
    /// Number and time from row(); Throws Error(invalid_argument) when there is no such frame.
    FrameStamp stamp(int64_t index) override;

    // Extra data
    virtual bool has_extra_data() const = 0;
    /// Records of the frames first..last-1 in order of frame; stops when `visit` returns false. Damaged records are
    /// passed over and counted in warnings().
    virtual void visit_extra_data(int64_t first, int64_t last,
                                  const std::function<bool(const ExtraRecord&)>& visit) const = 0;
    std::vector<ExtraRecord> all_extra_data() const;
    std::vector<Json> extra_data_of(int64_t index) override;

    // Facts
    /// The file, or the folder of a store or of images.
    virtual const std::filesystem::path& path() const = 0;
    /// Latest minus earliest time, in seconds; 0 without frames or times.
    double duration() const;
    /// False while a writer has the recording open, or when one was killed.
    virtual bool closed() const = 0;
    /// Bytes of the frames' media on disk.
    virtual uint64_t media_bytes() const = 0;
    /// True when something of the recording was left out so far; warnings() says what.
    virtual bool incomplete() const = 0;

    RandomAccess* random_access() override { return this; }
};

}  // namespace reelstore
