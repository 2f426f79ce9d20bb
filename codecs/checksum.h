#pragma once

#include <cstdint>
#include <span>

namespace reelstore {

/// Checksum of a frame's encoded bytes as the index keeps it: the lower 32 bits of XXH3-64 with seed 0
/// (https://github.com/Cyan4973/xxHash).
uint32_t frame_checksum(std::span<const uint8_t> bytes);

}  // namespace reelstore
