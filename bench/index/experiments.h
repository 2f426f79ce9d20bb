#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "bench/index/made_store.h"

namespace reelstore::bench {

/// How much of everything is measured.
struct Scale {
    int64_t lookups = 10000;      ///< of each kind
    int64_t openings = 21;        ///< median of so many
    int64_t first_lookups = 101;  ///< openings for the first lookup after it
    int64_t brute_frames = 20000;
    int64_t brute_lookups = 2000;  ///< of each course
    int64_t course_frames = 1000000;
    int64_t peer_frames = 1000000;
    int64_t peer_openings = 5;
    int64_t peer_lookups = 101;  ///< of imgstore's scheme, each of which takes a scan
};

// Each returns what it measured, as it stands in index.json.

/// Opening, every kind of lookup, walking through rows, memory; and the limit: SQLite's bare row.
Json measure_store(const MadeStore& store, const Scale& scale);
/// The same for a store without index.sqlite, before and after build_index(). Makes a copy of the store in `parent`.
Json measure_sidecars(const MadeStore& store, const std::filesystem::path& parent, const Scale& scale);
/// Numbers that wrap, clocks that step, ...: against a look at every frame, and how long lookups take.
Json measure_courses(const std::filesystem::path& parent, const Scale& scale);
/// imgstore's scheme and ours in one run.
Json measure_peer(const std::filesystem::path& parent, const Scale& scale);
/// The frame table as it is, and with secondary indexes on number and time.
Json measure_schema(const std::filesystem::path& parent, const Scale& scale);

}  // namespace reelstore::bench
