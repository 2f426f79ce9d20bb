#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace reelstore {

/// How closely a store is looked at. Every level includes the first two.
enum class VerifyLevel {
    presence,  ///< the files of every chunk are there, and index and sidecars agree on how many frames they have; the
               ///< index was made from these chunks
    size,    ///< files are as large as the index says; sidecars and extra data files agree with it in every value, and
             ///< its summaries of chunks with its own rows
    frames,  ///< every frame decodes
    hash,    ///< every frame's encoded bytes fit the checksum recorded when they were written; nothing is decoded
};

/// "presence", "size"...
const char* to_string(VerifyLevel level);
/// Nothing for a text that names no level.
std::optional<VerifyLevel> verify_level_of(std::string_view name);

enum class Severity {
    note,     ///< good to know; nothing is wrong
    warning,  ///< nothing is lost, but something should be done, or other programs will not read all of it
    error,    ///< data are lost or wrong
};

const char* to_string(Severity severity);

/// Something that was found out about a store.
struct Finding {
    std::string code = {};  ///< stable, for programs: "media_missing"
    Severity severity = Severity::note;
    std::filesystem::path path = {};
    std::optional<int64_t> chunk = {};
    std::optional<int64_t> frame_index = {};  ///< of the first frame concerned
    int64_t count = 0;                        ///< frames, records, files or events concerned
    std::string message = {};                 ///< without path and chunk
    std::string remedy = {};                  ///< what to do; empty: nothing
};

struct VerifyOptions {
    /// Told the frames (level `frames`) or bytes (level `hash`) done, of all; for other levels the chunks, which level
    /// `size` looks at twice.
    std::function<void(int64_t done, int64_t all)> progress = {};
    std::stop_token cancel = {};
    int threads = 0;  ///< that decode at once; 0: one per core
};

struct VerifyReport {
    std::vector<Finding> findings;  ///< by chunk; of every kind at most one a chunk
    int64_t frame_count = 0;
    int64_t chunk_count = 0;
    /// True when there are findings above notes.
    bool damaged() const;
};

/// What a level costs.
struct VerifyPrice {
    uint64_t bytes = 0;  ///< of media to be read
    int64_t frames_decoded = 0;
};

/// From the index and the sizes of files; nothing is read for it.
VerifyPrice verify_price(const std::filesystem::path& store, VerifyLevel level);

/// Looks at a store without changing anything; it may be written meanwhile, and what is committed is looked at. Memory
/// is bounded by the largest chunk's tables and some bytes a chunk. Throws Error(not_found or not_a_store) when there
/// is no store, and Error(cancelled) when stopped.
VerifyReport verify(const std::filesystem::path& store, VerifyLevel level, const VerifyOptions& options = {});

}  // namespace reelstore
