#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reelstore {

/// GIF's form of LZW: codes of growing length, least significant bit first.

/// Undoes it: `codes` are the data without the lengths of their blocks, `minimum_bits` (1 to 8) the number that stands
/// before them. At most `most` indices come; fewer when the codes end or are damaged before.
std::vector<uint8_t> decode_gif_indices(std::span<const uint8_t> codes, int minimum_bits, size_t most);

/// Appends what an image block holds behind its descriptor and palette: `minimum_bits` (2 to 8), the codes in blocks
/// and their end. Every index is below 2 to the power of minimum_bits.
void append_gif_indices(std::vector<uint8_t>& bytes, std::span<const uint8_t> indices, int minimum_bits);

}  // namespace reelstore
