#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "codecs/video/libav.h"

namespace reelstore {

/// What the bitstream itself says about the order of display, for containers that do not.
struct OrderHint {
    bool new_sequence = false;  ///< picture counts begin again
    int picture_count = 0;
    bool b_picture = false;
};

/// Reads the hints of a stream's packets, given in decode order.
class OrderReader {
public:
    explicit OrderReader(const AVCodecParameters& parameters);
    /// False for codecs whose frames are shown in the order of decoding.
    bool knows() const { return parser_ != nullptr; }
    OrderHint read(const AVPacket& packet, bool new_sequence);

private:
    UniqueParser parser_;
    UniqueCodecContext context_;
};

/// Places in the order of display that the bitstream tells. `codec` is FFmpeg's name.
std::vector<size_t> order_by_hints(const std::string& codec, const std::vector<OrderHint>& hints);

}  // namespace reelstore
