#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "store/maintenance.h"

namespace reelstore {

/// Which chunks of a store are no longer kept: exactly one criterion.
struct TrimOptions {
    /// Those whose frames are all more than so many days (of 86400 s) older than the frame recorded last.
    std::optional<double> keep_days = {};
    /// As many as it takes until all chunks together (media, sidecars and extra data) have no more bytes than this.
    std::optional<uint64_t> keep_bytes = {};
    /// Those whose frames are all from before this time, in seconds since the Unix epoch.
    std::optional<double> before = {};
    /// Also where more than half of the frames go, or where the times leap (see plan_trim()).
    bool force = false;
    ChunkProgress progress = {};  ///< chunks removed, of all that are to be
    std::stop_token cancel = {};  ///< looked at between chunks
};

/// What a trim removes: the first chunks, whole.
struct TrimmedChunks {
    int64_t chunks = 0;
    int64_t frames = 0;
    uint64_t bytes = 0;  ///< of their files
    // Of the first and last of them, and of their first and last frame; only where there are any.
    int64_t first_chunk = 0;
    int64_t last_chunk = 0;
    int64_t first_number = 0;
    int64_t last_number = 0;
    double first_time = 0;  ///< NaN where a foreign store gives none
    double last_time = 0;
};

struct TrimPlan {
    TrimmedChunks removed;
    int64_t chunks_kept = 0;
    int64_t frames_kept = 0;
    uint64_t bytes_kept = 0;
    /// Chunks removed earlier of which files are left, because that run was ended.
    int64_t leftovers = 0;
    std::string refusal = {};        ///< why apply_trim() does it only with `force`; empty: it does it
    std::vector<std::string> notes;  ///< what a user should know, one sentence each
};

struct TrimResult {
    TrimmedChunks removed;
    int64_t leftovers = 0;  ///< chunks removed earlier whose last files went
    std::vector<std::string> notes;
};

/// What apply_trim() would do; reads only.
///
/// Chunks go from the front, never the last one nor one that is open, and the first that does not qualify keeps
/// everything behind it. A chunk qualifies by time only if each of its frames has a time that is before the limit. The
/// limit of keep_days is taken from the frame recorded last, so a clock that was wrong for a while does not move it;
/// and if frames are that old only because the times leap somewhere behind them by more than keep_days, in one step,
/// that is a clock that was set or a pause, which nobody here can tell apart: a refusal. Another refusal is more than
/// half of the frames.
///
/// Throws Error(invalid_argument) unless there is exactly one criterion that makes sense, and Error(corrupt) when the
/// index is damaged or does not fit the chunks.
TrimPlan plan_trim(const std::filesystem::path& store, const TrimOptions& options);

/// Does what plan_trim() says, also while a writer records: it and readers go on undisturbed. Each chunk leaves the
/// index first, in a transaction with an event `trimmed`, and the disk then; a run that was ended anywhere is completed
/// by the next (spec/durability.md). A store without an index gets one first. Throws Error(invalid_argument) with the
/// refusal, Error(locked) while another program removes chunks, repairs or rebuilds the index, and Error(cancelled)
/// when stopped.
TrimResult apply_trim(const std::filesystem::path& store, const TrimOptions& options);

}  // namespace reelstore
