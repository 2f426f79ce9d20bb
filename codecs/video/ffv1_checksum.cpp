#include "codecs/video/ffv1_checksum.h"

#include <cstddef>

extern "C" {
#include <libavutil/crc.h>
}

namespace reelstore {

bool ffv1_checksums_match(std::span<const uint8_t> frame) {
    // A slice ends with its size in three bytes, one byte of status and the checksum (RFC 9043, section 4.8). The
    // slices are found from the last one on.
    constexpr size_t kFooterBytes = 8;
    const AVCRC* table = av_crc_get_table(AV_CRC_32_IEEE);
    if (frame.empty()) return false;
    while (!frame.empty()) {
        if (frame.size() < kFooterBytes) return false;
        const uint8_t* footer = frame.data() + frame.size() - kFooterBytes;
        const size_t size = (size_t{footer[0]} << 16 | size_t{footer[1]} << 8 | footer[2]) + kFooterBytes;
        const bool is_empty = size == kFooterBytes;  // nothing but zeros would have a good checksum
        if (is_empty || size > frame.size()) return false;
        // The checksum is such that the one over everything is zero.
        if (av_crc(table, 0, frame.data() + frame.size() - size, size) != 0) return false;
        frame = frame.first(frame.size() - size);
    }
    return true;
}

}  // namespace reelstore
