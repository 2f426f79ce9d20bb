#pragma once

#include <memory>
#include <set>
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

/// Whether the index can hold a packet table for a chunk of so many frames: every frame has its packet, whose bytes lie
/// in one piece.
bool recordable(const PacketTable& table, size_t frames);
/// Records the decoder parameters and hidden packets of the last chunk of an index, where `table` is given and
/// recordable.
void record_stream(FrameIndex& index, const PacketTable* table, size_t frames);
/// Rows for the frames of a chunk, with their packets where `table` is given and recordable.
std::vector<NewFrame> new_frames(const ChunkSidecar& sidecar, const PacketTable* table);

/// Numbers and times of the frames of a chunk as the index has them. Throws Error(not_found) when it has no such chunk.
ChunkSidecar sidecar_of(const FrameTable& index, int64_t chunk);
/// Marks a chunk as closed, and notes what its sidecar is now.
void record_complete_chunk(FrameIndex& index, const StoreLayout& layout, int64_t chunk);
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

/// The frames of a store without an index, or of one whose index has fallen behind: from the sidecars, which are read
/// in parallel to learn what is in each, and again when their rows are wanted. Chunks of `earlier` that are in
/// `trusted` are not read but taken from there, and so are chunks without a readable sidecar that it knows.
struct OpenedSidecars {
    std::unique_ptr<FrameTable> table;
    FillResult result;
};
OpenedSidecars open_sidecars(const StoreLayout& layout, std::vector<std::string>& warnings,
                             std::shared_ptr<const FrameIndex> earlier = nullptr,
                             const std::set<int64_t>& trusted = {});

/// What has become of the chunks of a closed store since its index was made.
struct ChunkChanges {
    std::vector<int64_t> added;
    std::vector<int64_t> changed;  ///< whose sidecar is another
    std::vector<int64_t> missing;  ///< of which nothing is there any more; the index still knows their frames
    std::set<int64_t> unchanged;   ///< missing ones too

    /// Whether the index is not the authority any more.
    bool stale() const { return !added.empty() || !changed.empty(); }
};
/// Compares an index with the chunks that are there. Costs the same however large the store is, unless the time of the
/// store's folder, a few chunks looked at or the next chunk number say that something has changed; then the folder is
/// listed and every sidecar's mark compared. Nothing when nothing was found.
std::optional<ChunkChanges> find_changes(const FrameIndex& index, const StoreLayout& layout);

/// Whether a store that was not closed has complete chunks, among those `on_disk`, of which the index has no rows or
/// too few: then its write-ahead log was damaged or left behind, and everything must be read from the chunks. Chunks
/// that became complete after the index was opened count too, so look before opening it to be certain.
bool lacks_complete_chunks(const FrameIndex& index, const StoreLayout& layout,
                           const std::vector<StoreLayout::Chunk>& on_disk);

/// The frame that a record says it belongs to: the one with its frame_index if that has its frame_number (and
/// frame_time, if it says one), else the first with its frame_time if that has its frame_number, else the first with
/// its frame_number.
/// A record's frame_index counts since the recording began: `removed_frames` is by how much that is more than the
/// table's; to begin with table.removed_frames(), and set to what a record found by its time tells.
std::optional<int64_t> frame_of_record(const FrameTable& index, const Json& record, int64_t& removed_frames);

/// Hands the extra data of a store over from its files, chunk by chunk. Records that belong to no frame are passed over
/// and said in `warnings`.
void visit_extra_data_files(const FrameTable& index, const StoreLayout& layout, std::vector<std::string>& warnings,
                            const std::function<void(ExtraRecord)>& visit);

/// Events of an earlier index, with frame_index as `index` numbers it, where it still has that frame's chunk.
std::vector<EventRow> events_of(const FrameIndex& earlier, const FrameTable& index);

/// Hands over extra data that an earlier index has of chunks without any extra data file, with frame_index as `index`
/// numbers it.
void visit_extra_data_only_in(const FrameIndex& earlier, const FrameTable& index, const StoreLayout& layout,
                              const std::function<void(ExtraRecord)>& visit);

}  // namespace reelstore
