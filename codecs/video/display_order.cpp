#include "codecs/video/display_order.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>

namespace reelstore {

namespace {

/// Places in order of display by picture counts (H.264, HEVC).
std::vector<size_t> order_by_count(const std::vector<OrderHint>& hints) {
    std::vector<std::pair<int64_t, int>> keys(hints.size());
    int64_t sequence = 0;
    for (size_t place = 0; place < hints.size(); ++place) {
        if (hints[place].new_sequence) ++sequence;
        keys[place] = {sequence, hints[place].picture_count};
    }
    std::vector<size_t> order(hints.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
    return order;
}

/// Places in order of display by the rule of MPEG-1, 2 and 4: B pictures are shown at once, others after the B pictures
/// that follow them.
std::vector<size_t> order_by_type(const std::vector<OrderHint>& hints) {
    std::vector<size_t> order;
    std::optional<size_t> held;
    for (size_t place = 0; place < hints.size(); ++place) {
        if (hints[place].b_picture) {
            order.push_back(place);
            continue;
        }
        if (held) order.push_back(*held);
        held = place;
    }
    if (held) order.push_back(*held);
    return order;
}

}  // namespace

OrderReader::OrderReader(const AVCodecParameters& parameters) {
    const AVCodecDescriptor* descriptor = avcodec_descriptor_get(parameters.codec_id);
    if (!descriptor || !(descriptor->props & AV_CODEC_PROP_REORDER)) return;
    parser_.reset(av_parser_init(parameters.codec_id));
    context_.reset(avcodec_alloc_context3(nullptr));
    if (!parser_ || !context_ || avcodec_parameters_to_context(context_.get(), &parameters) < 0) {
        parser_.reset();
        return;
    }
    parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
}

OrderHint OrderReader::read(const AVPacket& packet, bool new_sequence) {
    uint8_t* out = nullptr;
    int out_size = 0;
    av_parser_parse2(parser_.get(), context_.get(), &out, &out_size, packet.data, packet.size, AV_NOPTS_VALUE,
                     AV_NOPTS_VALUE, -1);
    return {.new_sequence = new_sequence,
            .picture_count = parser_->output_picture_number,
            .b_picture = parser_->pict_type == AV_PICTURE_TYPE_B};
}

std::vector<size_t> order_by_hints(const std::string& codec, const std::vector<OrderHint>& hints) {
    const bool counts = codec == "h264" || codec == "hevc";
    return counts ? order_by_count(hints) : order_by_type(hints);
}

}  // namespace reelstore
