#pragma once

#include <cstdint>
#include <span>

namespace reelstore {

/// Whether every slice of an FFV1 frame (version 3 on) carries a checksum and is what that says. False for streams
/// without checksums; FFmpeg's decoder paints over slices whose checksum is wrong and says so only in its log.
bool ffv1_checksums_match(std::span<const uint8_t> frame);

}  // namespace reelstore
