#pragma once

#include <cstdint>
#include <vector>

#include "codecs/packet_table.h"

namespace reelstore {

/// Where decoding has to begin to get at the frames of a table. Places count packets in decode order, positions frames
/// in order of display.
class EntryPoints {
public:
    EntryPoints() = default;
    /// The table must outlive this object.
    explicit EntryPoints(const PacketTable& table);

    /// Position of the frame in packet `place`; -1 for packets that are not shown.
    int64_t position_of(int64_t place) const { return position_of_[static_cast<size_t>(place)]; }
    /// The same for all packets, by place.
    const std::vector<int64_t>& positions() const { return position_of_; }
    /// Places of the key packets, ascending. The first packet of the table is among them, because there is no other
    /// way in.
    const std::vector<int64_t>& key_places() const { return key_places_; }
    /// The last of those at or before `place` such that the frame there does not need what lies before it.
    int64_t entry_of(int64_t place) const;

private:
    const PacketTable* table_ = nullptr;
    std::vector<int64_t> key_places_;
    std::vector<int64_t> position_of_;
};

}  // namespace reelstore
