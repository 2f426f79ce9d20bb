#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace reelstore {

/// The number in the first `count` bytes (up to 8), the lowest byte first, as all numbers of packed files are kept.
inline uint64_t little_endian(const uint8_t* bytes, size_t count) {
    uint64_t value = 0;
    for (size_t i = count; i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

inline uint32_t little_endian_32(const uint8_t* bytes) {
    return static_cast<uint32_t>(little_endian(bytes, 4));
}

/// Appends the lowest `count` bytes of a number.
inline void append_little_endian(std::vector<uint8_t>& bytes, uint32_t value, int count = 4) {
    for (int i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

}  // namespace reelstore
