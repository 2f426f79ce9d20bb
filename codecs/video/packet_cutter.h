#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "codecs/packet_table.h"
#include "codecs/video/entry_points.h"

namespace reelstore {

/// Cuts ranges of frames out of a packet table, to be copied by remux() without decoding. Positions count the frames of
/// the table in order of display. May be used by several threads at once.
class PacketCutter {
public:
    /// Looks at every packet of the table once.
    explicit PacketCutter(std::shared_ptr<const PacketTable> table);

    /// Exactly the packets that are needed to show the frames at first..last-1, in decode order: from the last key
    /// packet that suffices for all of them on, up to the last of them. Packets that only lead to these frames are
    /// there with Packet::hidden set, without those that are known not to be needed; their pts lie before that of the
    /// first frame or behind that of the last, as the frames themselves do. Offsets, checksums and the pts of shown
    /// frames are those of the table; display_order covers the frames of the range alone.
    ///
    /// A range between two places of next_clean_cut() has no hidden packets, but for those that show no picture by
    /// their nature. Takes time in proportion to the packets returned. Throws Error(invalid_argument) for an empty
    /// range and for one that leaves the table.
    std::shared_ptr<const PacketTable> cut(int64_t first, int64_t last) const;

    /// The nearest position at or after `position` where the video can be cut in two at no cost: the frames from there
    /// on need nothing that comes before and the frames before need nothing that comes behind. Beginning and end of the
    /// table (0 and frame_count()) always are such places. Nothing when `position` lies behind the end.
    std::optional<int64_t> next_clean_cut(int64_t position) const;

    const PacketTable& table() const { return *table_; }

private:
    int64_t entry_of_range(int64_t first, int64_t last) const;

    std::shared_ptr<const PacketTable> table_;
    EntryPoints entry_points_;
    std::vector<int64_t> clean_cuts_;  ///< ascending
};

}  // namespace reelstore
