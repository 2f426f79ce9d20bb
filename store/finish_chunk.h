#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "store/frame_index.h"
#include "store/layout.h"
#include "store/metadata.h"

namespace reelstore {

/// What became of a chunk that a writer had left open.
struct FinishedChunk {
    int64_t chunk = 0;
    int64_t frames_kept = 0;         ///< committed frames whose bytes are there
    int64_t frames_lost = 0;         ///< committed frames whose bytes are missing or damaged; they stay listed
    int64_t frames_uncommitted = 0;  ///< found behind the committed ones, without number and time; kept aside
    std::vector<std::string> notes;  ///< what a user should know, one sentence each
};

/// Completes a chunk that a writer left open: makes its media a proper container of exactly the committed frames
/// (packed arrays where they lie, video by writing it anew), writes extra data file and sidecar, and marks the chunk
/// closed, with an event `repaired` in the index.
///
/// `index` is open for writing (in write-ahead mode) and the caller holds the store's lock. Nothing is done to a chunk
/// that is closed. At every moment readers get the committed frames right, and a run that was ended anywhere is
/// completed by the next. What the media hold beyond the committed frames is kept beside them (spec/format.md, Files
/// kept aside). Throws Error naming file and chunk when the disk fails, and Error(corrupt) when there is a sidecar with
/// more frames than the index has, which must then be built anew (`store repair`); the chunk stays open.
FinishedChunk finish_open_chunk(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                                int64_t chunk);

/// The same for a chunk that counts as closed, whose media have been cut off or damaged since; they are kept as they
/// were in a copy, of packed arrays what is cut off.
FinishedChunk complete_chunk(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                             int64_t chunk);

/// Chunks behind all that the index knows, without a sidecar (readable or not): a writer had begun them and was ended
/// before it committed a frame of them.
std::vector<int64_t> uncommitted_chunks(const FrameIndex& index, const StoreLayout& layout);

/// Puts the media of such a chunk aside (spec/format.md, Files kept aside).
FinishedChunk set_chunk_aside(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                              int64_t chunk);

/// Finishes every open chunk of an index, in order, and puts uncommitted ones aside.
std::vector<FinishedChunk> finish_open_chunks(FrameIndex& index, const StoreLayout& layout,
                                              const StoreMetadata& metadata);

inline constexpr std::array<const char*, 1> kOneFile = {""};
/// `path` with this suffix, or with .2, .3 and so on behind it: the first where no file of the group is there that the
/// endings make.
std::filesystem::path free_name(const std::filesystem::path& path, const std::string& suffix,
                                std::span<const char* const> endings = kOneFile);

/// Renames a file to NAME.uncommitted, or NAME.uncommitted.2 and so on where that is taken; durable after syncing the
/// folder. Gives the new path.
std::filesystem::path set_aside(const std::filesystem::path& path);
/// Copies a file, or its bytes from `begin` on, to NAME.before_repair beside it, durably; does nothing when such a copy
/// is there already. Gives the copy's path.
std::filesystem::path keep_copy(const std::filesystem::path& path, uint64_t begin = 0);

/// Whether other programs cannot open a file of this container, or see less in it than it holds, unless its writer has
/// completed it.
bool needs_completion(const std::string& container);

}  // namespace reelstore
