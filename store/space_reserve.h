#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>

namespace reelstore {

/// Disk space held back while a store is written, so that on a full disk the chunk can still be completed:
/// STORE/.reserve, removed when the room is needed and by the destructor. Any thread may call.
class SpaceReserve {
public:
    /// Throws Error(no_space) when the disk has not as much left. A file left by a killed writer is replaced.
    SpaceReserve(const std::filesystem::path& folder, uint64_t bytes);
    ~SpaceReserve();
    SpaceReserve(const SpaceReserve&) = delete;
    SpaceReserve& operator=(const SpaceReserve&) = delete;

    /// Gives the room free. True when there was any: whoever met the full disk may try once more. True also for those
    /// who ask while the first one is at it.
    bool release();
    /// Whether the room was needed.
    bool released() const { return released_; }

private:
    std::filesystem::path path_;
    std::atomic<bool> released_ = false;
};

}  // namespace reelstore
