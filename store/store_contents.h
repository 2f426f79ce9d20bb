#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/frame_source.h"
#include "store/chunk_sidecar.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/maintenance.h"
#include "store/metadata.h"

namespace reelstore {

/// The index of a store for reading, also where nothing may be written beside it. Throws what FrameIndex::open()
/// throws.
std::unique_ptr<FrameIndex> open_index_to_read(const std::filesystem::path& folder, const StoreMetadata& metadata);

/// Whether the index can hold a packet table for a chunk of so many frames: every packet is one of them, and its bytes
/// lie in one piece.
bool recordable(const PacketTable& table, size_t frames);
/// Rows for the frames of a chunk, with their packets where `table` is given and recordable.
std::vector<NewFrame> new_frames(const ChunkSidecar& sidecar, const PacketTable* table);

/// Numbers and times of the frames of a chunk as the index has them. Throws Error(not_found) when it has no such chunk.
ChunkSidecar sidecar_of(const FrameIndex& index, int64_t chunk);
/// Writes the extra data file of a chunk from its records in the index, atomically and durably; nothing without any.
void write_extra_data_file(const FrameIndex& index, const StoreLayout& layout, int64_t chunk);
/// Writes the files that belong beside the media of a finished chunk, from its rows in the index: the extra data file
/// where there are records, then the sidecar; each atomically and durably. May be called again.
void complete_chunk_files(const FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                          int64_t chunk);

struct FillOptions {
    bool scan_media = false;              ///< read the packet tables of video chunks from the media and record them
    const FrameIndex* earlier = nullptr;  ///< where the frames of chunks without a readable sidecar may be found
    ChunkProgress progress = {};
};

/// The event that says that numbers and times of a chunk are guesses; `next_index` is the index behind its last frame.
EventRow synthetic_event(int64_t chunk, int64_t frames, int64_t next_index);
/// Whether an event is that of synthetic_event(), and for which chunk.
std::optional<int64_t> synthetic_chunk_of(const EventRow& event);

struct FillResult {
    int64_t chunks_without_media = 0;  ///< whose frames are listed but cannot be read
    int64_t chunks_left_out = 0;       ///< without a readable sidecar and unknown to the earlier index
    int64_t chunks_unfinished = 0;     ///< taken from the earlier index
    std::vector<int64_t> synthetic;    ///< chunks whose sidecars hold guesses
};

/// Fills an empty index with what the files of a store say: the frames of every chunk that has a sidecar, in order of
/// chunk number. Chunks without one, or with a damaged one, are passed over and said in `warnings`. Call inside a
/// transaction.
FillResult fill_index(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                      std::vector<std::string>& warnings, const FillOptions& options = {});

/// Whether a store that was not closed has complete chunks, among those `on_disk`, of which the index has no rows or
/// too few: then its write-ahead log was damaged or left behind, and everything must be read from the chunks. Chunks
/// that became complete after the index was opened count too, so look before opening it to be certain.
bool lacks_complete_chunks(const FrameIndex& index, const StoreLayout& layout,
                           const std::vector<StoreLayout::Chunk>& on_disk);

/// The frame that a record says it belongs to: the one with its frame_index if that has its frame_number, else the
/// first with its frame_number.
std::optional<int64_t> frame_of_record(const FrameIndex& index, const Json& record);

/// All extra data of a store from its files, in order of frame. Records of older stores are placed by their
/// frame_number. Records that belong to no frame are passed over and said in `warnings`.
std::vector<ExtraRecord> read_extra_data_files(const FrameIndex& index, const StoreLayout& layout,
                                               std::vector<std::string>& warnings);

/// Events of an earlier index, with frame_index as `index` numbers it, where it still has that frame's chunk.
std::vector<EventRow> events_of(const FrameIndex& earlier, const FrameIndex& index);

/// Extra data that an earlier index has of chunks without any extra data file, with frame_index as `index` numbers it.
std::vector<ExtraRecord> extra_data_only_in(const FrameIndex& earlier, const FrameIndex& index,
                                            const StoreLayout& layout);

}  // namespace reelstore
