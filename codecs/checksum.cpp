#include "codecs/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace reelstore {

uint32_t frame_checksum(std::span<const uint8_t> bytes) {
    return static_cast<uint32_t>(XXH3_64bits(bytes.data(), bytes.size()));
}

}  // namespace reelstore
