#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/frame_source.h"
#include "store/chunk_sidecar.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/maintenance.h"
#include "store/metadata.h"

namespace reelstore {

/// Whether the index can hold a packet table for a chunk of so many frames: every packet is one of them, and its bytes
/// lie in one piece.
bool recordable(const PacketTable& table, size_t frames);
/// Rows for the frames of a chunk, with their packets where `table` is given and recordable.
std::vector<NewFrame> new_frames(const ChunkSidecar& sidecar, const PacketTable* table);

struct FillOptions {
    bool scan_media = false;              ///< read the packet tables of video chunks from the media and record them
    const FrameIndex* earlier = nullptr;  ///< where the frames of chunks without a readable sidecar may be found
    ChunkProgress progress = {};
};

struct FillResult {
    int64_t chunks_without_media = 0;  ///< whose frames are listed but cannot be read
    int64_t chunks_left_out = 0;       ///< without a readable sidecar and unknown to the earlier index
    int64_t chunks_unfinished = 0;     ///< taken from the earlier index
};

/// Fills an empty index with what the files of a store say: the frames of every chunk that has a sidecar, in order of
/// chunk number. Chunks without one, or with a damaged one, are passed over and said in `warnings`. Call inside a
/// transaction.
FillResult fill_index(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                      std::vector<std::string>& warnings, const FillOptions& options = {});

/// The frame that a record says it belongs to: the one with its frame_index if that has its frame_number, else the
/// first with its frame_number.
std::optional<int64_t> frame_of_record(const FrameIndex& index, const Json& record);

/// All extra data of a store from its files, in order of frame. Records of older stores are placed by their
/// frame_number. Records that belong to no frame are passed over and said in `warnings`.
std::vector<ExtraRecord> read_extra_data_files(const FrameIndex& index, const StoreLayout& layout,
                                               std::vector<std::string>& warnings);

/// Extra data that an earlier index has of chunks without any extra data file, with frame_index as `index` numbers it.
std::vector<ExtraRecord> extra_data_only_in(const FrameIndex& earlier, const FrameIndex& index,
                                            const StoreLayout& layout);

}  // namespace reelstore
