#include "codecs/video/packet_cutter.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"

namespace reelstore {

namespace {

/// Where the cut-out frames lie in time; hidden packets have to lie outside.
struct TimeSpan {
    int64_t first = 0;
    int64_t last = 0;
};

/// Ticks of the time base between two frames.
int64_t nominal_step(const VideoStream& stream) {
    const double rate = stream.frame_rate > 0 ? stream.frame_rate : 25;
    const double ticks = static_cast<double>(stream.time_base_den) / (static_cast<double>(stream.time_base_num) * rate);
    return std::max<int64_t>(1, std::llround(ticks));
}

std::vector<int64_t> find_clean_cuts(const PacketTable& table, const EntryPoints& entry_points) {
    std::vector<int64_t> cuts = {0};
    int64_t shown_before = 0;  // packets before the key packet that are shown
    int64_t farthest = -1;     // place among the frames before it in order of display
    int64_t position = 0;
    int64_t place = 0;
    for (const int64_t key : entry_points.key_places()) {
        for (; place < key; ++place) shown_before += entry_points.position_of(place) >= 0;
        const int64_t key_position = entry_points.position_of(key);
        for (; position < key_position; ++position)
            farthest = std::max<int64_t>(farthest, table.display_order[static_cast<size_t>(position)]);
        if (key_position > cuts.back() && position == key_position && shown_before == key_position && farthest < key)
            cuts.push_back(key_position);
    }
    if (table.frame_count() > 0) cuts.push_back(table.frame_count());
    return cuts;
}

}  // namespace

PacketCutter::PacketCutter(std::shared_ptr<const PacketTable> table)
    : table_(std::move(table)), entry_points_(*table_), clean_cuts_(find_clean_cuts(*table_, entry_points_)) {}

std::optional<int64_t> PacketCutter::next_clean_cut(int64_t position) const {
    const auto found = std::lower_bound(clean_cuts_.begin(), clean_cuts_.end(), position);
    return found == clean_cuts_.end() ? std::nullopt : std::optional(*found);
}

int64_t PacketCutter::entry_of_range(int64_t first, int64_t last) const {
    int64_t entry = table_->display_order[static_cast<size_t>(first)];
    for (int64_t position = first; position < last; ++position) {
        entry = std::min(entry, entry_points_.entry_of(table_->display_order[static_cast<size_t>(position)]));
    }
    return entry;
}

std::shared_ptr<const PacketTable> PacketCutter::cut(int64_t first, int64_t last) const {
    const PacketTable& whole = *table_;
    if (first < 0 || first >= last || last > whole.frame_count()) {
        throw Error(ErrorCode::invalid_argument, "frames " + std::to_string(first) + ":" + std::to_string(last) +
                                                     " cannot be cut out of a video of " +
                                                     std::to_string(whole.frame_count()) + " frames");
    }
    const auto shown_begin = whole.display_order.begin() + first;
    const auto shown_end = whole.display_order.begin() + last;
    const int64_t begin = entry_of_range(first, last);
    const int64_t first_shown = *std::min_element(shown_begin, shown_end);
    const int64_t end = int64_t{*std::max_element(shown_begin, shown_end)} + 1;
    const auto packet_at = [&](int64_t place) -> const Packet& { return whole.packets[static_cast<size_t>(place)]; };

    const bool demuxed = !whole.contiguous && !whole.in_cells;
    const bool timed = std::all_of(whole.packets.begin() + begin, whole.packets.begin() + end,
                                   [](const Packet& packet) { return packet.pts != Packet::kNoPts; });
    const int64_t step = nominal_step(whole.stream);
    const TimeSpan span = timed ? TimeSpan{whole.packet_of(first).pts, whole.packet_of(last - 1).pts}
                                : TimeSpan{first * step, (last - 1) * step};

    // Of HEVC pictures that lead a key picture only others like them may need one.
    const bool may_be_led = whole.stream.codec == "hevc" && packet_at(begin).key;
    const auto leads_entry = [&](int64_t position) {
        return may_be_led && position >= 0 && position < entry_points_.position_of(begin);
    };

    auto part = std::make_shared<PacketTable>();
    part->stream = whole.stream;
    part->container = whole.container;
    part->contiguous = whole.contiguous;
    part->in_cells = whole.in_cells;
    part->display_order.resize(static_cast<size_t>(last - first));
    int64_t time = span.first - 1;
    for (int64_t place = begin; place < end; ++place) {
        const int64_t position = entry_points_.position_of(place);
        const bool shown = position >= first && position < last;
        Packet packet = packet_at(place);
        if (!shown && (packet.disposable || leads_entry(position))) continue;
        if (!timed) packet.pts = position >= 0 ? position * step : time;
        time = packet.pts;
        if (shown) {
            part->display_order[static_cast<size_t>(position - first)] = static_cast<uint32_t>(part->packets.size());
        } else {
            packet.hidden = true;
            const bool inside = packet.pts >= span.first && packet.pts <= span.last;
            // What is not shown in the table either has only its time to tell, and a demuxer bends that of packets that
            // an edit list cuts away.
            const bool before = position >= 0 ? position < first : inside && place < first_shown;
            if (before) packet.pts = std::min(packet.pts, span.first - 1);
            if (position >= last) packet.pts = std::max(packet.pts, span.last + 1);
        }
        part->packets.push_back(packet);
        if (demuxed) {
            part->file_places.push_back(whole.file_places.empty() ? static_cast<uint32_t>(place)
                                                                  : whole.file_places[static_cast<size_t>(place)]);
        }
    }
    return part;
}

}  // namespace reelstore
