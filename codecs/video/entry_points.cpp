#include "codecs/video/entry_points.h"

#include <algorithm>

namespace reelstore {

EntryPoints::EntryPoints(const PacketTable& table) : table_(&table) {
    position_of_.assign(table.packets.size(), -1);
    for (size_t position = 0; position < table.display_order.size(); ++position) {
        position_of_.at(table.display_order[position]) = static_cast<int64_t>(position);
    }
    for (size_t place = 0; place < table.packets.size(); ++place) {
        if (table.packets[place].key || place == 0) key_places_.push_back(static_cast<int64_t>(place));
    }
}

int64_t EntryPoints::entry_of(int64_t place) const {
    const auto time_of = [this](int64_t of) { return table_->packets[static_cast<size_t>(of)].pts; };
    const int64_t shown = position_of(place);
    auto key = std::upper_bound(key_places_.begin(), key_places_.end(), place);
    while (key != key_places_.begin()) {
        --key;
        if (table_->stream.codec == "h264") return *key;  // nothing behind an IDR picture refers to what is before it
        const int64_t key_shown = position_of(*key);
        const bool leads = shown >= 0 && key_shown >= 0 ? shown < key_shown : time_of(place) < time_of(*key);
        if (!leads) return *key;
    }
    return 0;
}

}  // namespace reelstore
