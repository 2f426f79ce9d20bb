#pragma once

#include <cstdint>
#include <span>

namespace reelstore {

/// Spreads numbers of `bits` bits (1 to 16) that follow each other without gaps, the most significant bit first, over
/// the elements of `target`; for as many as there are elements. `packed` holds all their bits.
inline void unpack_bits(std::span<const uint8_t> packed, int bits, std::span<uint16_t> target) {
    const uint32_t mask = (uint32_t{1} << bits) - 1;
    uint32_t window = 0;
    int in_window = 0;
    size_t next = 0;
    for (uint16_t& element : target) {
        while (in_window < bits) {
            window = window << 8 | packed[next++];
            in_window += 8;
        }
        in_window -= bits;
        element = static_cast<uint16_t>(window >> in_window & mask);
    }
}

}  // namespace reelstore
