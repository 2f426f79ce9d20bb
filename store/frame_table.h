#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "codecs/packet_table.h"
#include "store/frame_row.h"
#include "store/frame_search.h"

namespace reelstore {

/// Summary of one chunk; what lookups decide by before they look at frames.
struct ChunkRow {
    int64_t chunk = 0;
    int64_t first_index = 0;
    int64_t frame_count = 0;
    int64_t number_min = 0;
    int64_t number_max = 0;
    bool numbers_ascending = true;
    std::optional<double> time_min = {};
    std::optional<double> time_max = {};
    bool times_ascending = true;
    bool closed = true;
    uint64_t media_bytes = 0;
    bool has_stream = false;  ///< what a decoder needs is recorded; FrameIndex::stream() has it

    int64_t end_index() const { return first_index + frame_count; }
};

/// Keeps the summary of a chunk to which frames are added in order. `last` is the frame before, if the chunk has one.
class ChunkSummary {
public:
    explicit ChunkSummary(ChunkRow& chunk, const std::optional<FrameRow>& last = {});
    /// A NaN for a frame without a time.
    void add(int64_t number, double time);

private:
    ChunkRow& chunk_;
    int64_t last_number_;
    double last_time_;
};

/// A record of extra data tied to a frame.
struct ExtraDataRow {
    int64_t frame_index = 0;
    std::string data = {};  ///< JSON object with the user's keys
};

/// Something that happened to the recording (spec/format.md lists the kinds).
struct EventRow {
    double time = 0;                          ///< when, seconds since the Unix epoch
    std::string kind = {};                    ///< "dropped", "fault", "clock_step"...
    std::optional<int64_t> frame_index = {};  ///< of the first frame written after it; none: concerns no frame
    std::string data = "{}";                  ///< JSON object
};

/// The frames of a recording with their numbers, times and chunks, for reading. Indices count from 0 at the first frame
/// that was there at the opening.
///
/// Used by one thread at a time, const members too. Where numbers repeat, the frame with the lowest index counts;
/// frames without a time are never found by time. Everything throws Error(corrupt) where the table contradicts itself,
/// and Error(not_found) for frames that have been removed since.
class FrameTable {
public:
    virtual ~FrameTable() = default;

    virtual int64_t frame_count() const = 0;
    virtual int64_t chunk_count() const = 0;
    /// Nothing when there is no such chunk.
    virtual std::optional<ChunkRow> find_chunk(int64_t chunk) const = 0;
    /// The chunk that holds a frame; nothing outside 0..frame_count()-1.
    virtual std::optional<ChunkRow> chunk_at(int64_t index) const = 0;
    virtual std::optional<ChunkRow> last_chunk() const = 0;
    /// In order, chunks without frames too; stops when `visit` returns false, which may ask the table meanwhile.
    virtual void visit_chunks(const std::function<bool(const ChunkRow&)>& visit) const = 0;

    /// Nothing outside 0..frame_count()-1.
    virtual std::optional<FrameRow> row(int64_t index) const = 0;
    /// Calls `visit` for the rows first..last-1 in order; stops when it returns false.
    virtual void visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const = 0;
    virtual std::optional<FrameRow> find_number(int64_t number, Match match) const;
    virtual std::optional<FrameRow> find_time(double time, Match match) const;
    /// Smallest and largest number and time; nothing in an empty store (or one without times).
    virtual std::optional<std::pair<int64_t, int64_t>> number_range() const;
    virtual std::optional<std::pair<double, double>> time_range() const;
    /// Whether no number is smaller than the one before it; for times also whether every frame has one.
    virtual bool numbers_ascend() const;
    virtual bool times_ascend() const;
    /// Runs of frames, in order, outside which no number n has low <= n <= high (times likewise). Where numbers ascend
    /// these are exactly the frames that have one.
    virtual std::vector<IndexRun> runs_of_numbers(int64_t low, int64_t high) const;
    virtual std::vector<IndexRun> runs_of_times(double low, double high) const;

    /// The packets of a video chunk, as recorded when it was written; null when they were not. With a position at least
    /// those that it takes to decode the frame there: some groups of pictures that need no others.
    virtual std::shared_ptr<const PacketTable> packet_table(int64_t /*chunk*/,
                                                            std::optional<int64_t> /*position*/ = {}) const {
        return nullptr;
    }
    /// Frames of the recording that came before index 0 and have been removed, as far as that is known.
    virtual int64_t removed_frames() const { return 0; }
    /// The checksum recorded for the bytes of a frame; nothing when there is none.
    virtual std::optional<uint32_t> checksum(int64_t /*index*/) const { return std::nullopt; }
    /// False until the writer has closed the store.
    virtual bool closed() const { return true; }
    /// In order of happening.
    virtual void visit_events(const std::function<bool(const EventRow&)>& /*visit*/) const {}
    virtual int64_t event_count() const { return 0; }
    /// Bytes of all chunks' media as recorded; nothing when they were not recorded for each.
    virtual std::optional<uint64_t> recorded_media_bytes() const { return std::nullopt; }

    LookupCounters counters() const { return counters_; }

protected:
    virtual const LookupColumn<int64_t>& numbers() const = 0;
    virtual const LookupColumn<double>& times() const = 0;

    mutable LookupCounters counters_;
};

}  // namespace reelstore
