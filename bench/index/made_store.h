#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "bench/index/frame_plan.h"

namespace reelstore::bench {

/// uuid of every store made here.
inline constexpr char kUuid[] = "5d1f4c0e9a7b4e3c8f2a6b1d0c9e8f7a";

/// A store with a frame table and no pictures: metadata.yaml, index.sqlite with the rows that a writer of H.264 video
/// adds, and for every chunk its .npz and an empty media file.
struct MadeStore {
    FramePlan plan;
    std::filesystem::path folder;
    Json making;  ///< what it took: rows_per_second, sidecars_per_second, index_bytes, ...

    std::filesystem::path index() const;
};

/// Makes the store in a folder of `parent`, or takes the one that an earlier run has left there.
MadeStore make_store(const FramePlan& plan, const std::filesystem::path& parent);

/// Reads a file once, so that it is in the system's cache.
void warm_up(const std::filesystem::path& path);

}  // namespace reelstore::bench
