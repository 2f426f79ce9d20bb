#include "store/stored_packets.h"

namespace reelstore {

std::shared_ptr<const PacketTable> packets_of(std::span<const StoredFrame> stored,
                                              const std::optional<VideoStream>& stream) {
    if (!stream || stored.empty()) return nullptr;
    auto table = std::make_shared<PacketTable>();
    table->stream = *stream;
    table->packets.resize(stored.size());
    table->display_order.resize(stored.size());
    for (size_t i = 0; i < stored.size(); ++i) {
        const auto place = static_cast<size_t>(stored[i].decode_position);
        if (!stored[i].packet || place >= stored.size()) return nullptr;
        table->packets[place] = *stored[i].packet;
        table->display_order[i] = static_cast<uint32_t>(place);
    }
    return table;
}

}  // namespace reelstore
