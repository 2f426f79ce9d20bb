#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/frame_source.h"
#include "store/frame_table.h"
#include "store/layout.h"

namespace reelstore {

/// The extra data of a store without an index, from the files beside its chunks, read chunk by chunk. Whose file a
/// record stands in does not matter, so all are looked through once; what is kept of that is which of them hold records
/// for other chunks' frames, and of the records those of one chunk. Used by one thread at a time.
class FiledExtraData {
public:
    explicit FiledExtraData(StoreLayout layout) : layout_(std::move(layout)) {}

    /// The records of a chunk's frames in order of frame, then as they stand in the files in order of chunk. `table` is
    /// always the same. The first call adds to `warnings` what is damaged and how many records belong to no frame.
    std::shared_ptr<const std::vector<ExtraRecord>> of_chunk(const FrameTable& table, const ChunkRow& chunk,
                                                             std::vector<std::string>& warnings);

private:
    void look_through(const FrameTable& table, std::vector<std::string>& warnings);
    void add_records(const FrameTable& table, int64_t file_chunk, const ChunkRow& chunk,
                     std::vector<ExtraRecord>& records);

    StoreLayout layout_;
    bool looked_through_ = false;
    int64_t removed_frames_ = 0;                        ///< that the files' frame_index counts too
    std::set<std::filesystem::path> unreadable_;        ///< files that were said to be so
    std::map<int64_t, std::set<int64_t>> other_files_;  ///< by chunk of the frames: chunks with files, besides its own
    std::optional<int64_t> kept_chunk_;
    std::shared_ptr<const std::vector<ExtraRecord>> kept_;
};

}  // namespace reelstore
