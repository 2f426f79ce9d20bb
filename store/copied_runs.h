#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "store/copy_records.h"

namespace reelstore {

/// Frames of a source that follow each other in a chunk of a new store too.
struct CopiedRun {
    size_t source = 0;
    int64_t index = 0;  ///< in the source
    int64_t count = 0;
    int64_t position = 0;  ///< in the chunk of the new store
};

/// The extra data and events that go with the frames of sources into a new store. Used by one thread at a time, the one
/// that uses the stores.
class CopiedRecords {
public:
    /// The stores must outlive it.
    explicit CopiedRecords(std::vector<CopySource> sources);

    /// What was noted so far belongs to an earlier new store.
    void begin_store();
    /// Whether numbers and times of a chunk of a source are guesses of a repair.
    bool is_synthetic(size_t source, int64_t chunk);
    /// Hands over the records of the frames, as EncodedChunk::extra_data wants them.
    void visit_extra_data(std::span<const CopiedRun> runs,
                          const std::function<void(int64_t position, const std::string& record)>& add_record) const;
    /// The events of the frames, with positions in chunk number `chunk` as frame_index.
    std::vector<EventRow> events_of(std::span<const CopiedRun> runs, int64_t chunk);
    /// The frames are in the new store, in a chunk whose first frame has this index.
    void note_copied(std::span<const CopiedRun> runs, int64_t first_index);
    /// One event for every source that frames were taken from: which ones and where they begin.
    /// `filters`, if any, are what changed their pixels.
    void add_copied_events(StoreWriter& writer, const std::string& filters = {}) const;

private:
    /// What the frames of one source became.
    struct Copied {
        FrameRow first;
        FrameRow last;
        int64_t frames = 0;
        int64_t first_index = 0;  ///< in the new store
    };

    const StoreReader& store(size_t source) const { return *sources_[source].store; }
    void load_events(size_t source);

    std::vector<CopySource> sources_;
    std::vector<std::optional<std::vector<EventRow>>> events_;
    std::vector<std::set<int64_t>> synthetic_;
    std::vector<std::optional<Copied>> copied_;
};

}  // namespace reelstore
