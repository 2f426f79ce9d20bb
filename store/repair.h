#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "store/finish_chunk.h"
#include "store/maintenance.h"

namespace reelstore {

/// What can be done to a store.
enum class RepairKind {
    finish,      ///< complete what a writer left open, or media that were cut off, from the index
    sidecar,     ///< write a lost or damaged sidecar anew, from the index
    extra_data,  ///< complete an extra data file
    salvage,     ///< find the frames of a chunk of which nothing but the media is left
    index,       ///< build the index anew
};

/// "finish", "sidecar"...
const char* to_string(RepairKind kind);
/// Nothing for a text that names no kind.
std::optional<RepairKind> repair_kind_of(std::string_view name);

/// One step of a repair.
struct RepairAction {
    RepairKind kind = RepairKind::finish;
    std::optional<int64_t> chunk = {};
    std::filesystem::path path = {};  ///< the file or folder concerned
    std::string what = {};            ///< "complete the chunk"
    std::string why = {};             ///< "its writer was ended before it could"
    std::string keeps = {};           ///< "120 frames"
    std::string loses = {};           ///< empty: nothing
};

struct RepairOptions {
    std::set<RepairKind> only = {};     ///< empty: all kinds
    std::optional<int64_t> chunk = {};  ///< this chunk alone
    /// A video made with the same settings, for the parameters of a codec that nothing in the store tells.
    std::optional<std::filesystem::path> like = {};
    ChunkProgress progress = {};  ///< actions done, of all
    std::stop_token cancel = {};  ///< looked at between actions
};

struct RepairPlan {
    std::vector<RepairAction> actions;  ///< in the order in which they are done
    std::vector<std::string> problems;  ///< what no action mends, one sentence each
};

struct RepairResult {
    std::vector<RepairAction> done;     ///< with what they have really kept and lost
    std::vector<std::string> notes;     ///< what a user should know, one sentence each
    std::vector<std::string> problems;  ///< what was not mended
    /// True when frames, numbers, times or extra data are lost.
    bool data_lost() const;
};

/// What apply_repair() would do; reads only. Chunks to be salvaged are read through for that. Throws Error(locked)
/// while a writer has the store, and Error(unsupported) when a newer version wrote the index.
RepairPlan plan_repair(const std::filesystem::path& store, const RepairOptions& options = {});

/// Does what plan_repair() says. Nothing is deleted that is not elsewhere, files are replaced only by ones that are
/// verified and on the disk, and what they replace is kept beside them (spec/format.md). Run again after it was ended
/// anywhere, it goes on; run again after it was done, it finds nothing to do. Throws Error(locked) while a writer has
/// the store and Error(cancelled) when stopped.
RepairResult apply_repair(const std::filesystem::path& store, const RepairOptions& options = {});

}  // namespace reelstore
