#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "codecs/video/packet_scan.h"

namespace reelstore {

/// Where the packet cache of a video file lies: beside it, its whole name with ".packets.npz" behind.
std::filesystem::path packet_cache_path(const std::filesystem::path& video);

/// What write_packet_cache() has done.
struct PacketCacheResult {
    std::filesystem::path path;
    int64_t frame_count = 0;
};

/// Scans a video file, reads every packet once more for its checksum, and puts what was learned into its packet cache
/// (spec/packet_cache.md), in place of an older one. `progress` is told bytes done and bytes in all. Throws what
/// scan_packets() throws, Error(unsupported) for a video without a frame that can be shown, and Error(io) when the file
/// grows or shrinks meanwhile.
PacketCacheResult write_packet_cache(const std::filesystem::path& video,
                                     const std::function<void(int64_t, int64_t)>& progress = {});

/// What scan_packets() would tell of a video, from its packet cache; bytes_read then counts what it cost. Nothing when
/// there is no cache. A cache that is damaged or no longer fits the file (its size and the checksums of some packets
/// over its whole length are compared) gives nothing either, and a sentence in `warnings`.
std::optional<VideoScan> load_packet_cache(const std::filesystem::path& video, std::vector<std::string>& warnings);

}  // namespace reelstore
