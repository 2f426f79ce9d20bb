#include "store/encoded_video.h"

#include <algorithm>
#include <vector>

#include "codecs/media_file.h"

namespace reelstore {

namespace {

template <typename Outside>
bool has_hidden(const PacketTable& table, Outside outside) {
    return std::any_of(table.packets.begin(), table.packets.end(),
                       [&](const Packet& packet) { return packet.hidden && outside(packet.pts); });
}

}  // namespace

bool begins_hidden(const PacketTable& table) {
    const int64_t first = table.packet_of(0).pts;
    return has_hidden(table, [&](int64_t pts) { return pts < first; });
}

bool ends_hidden(const PacketTable& table) {
    const int64_t last = table.packet_of(table.frame_count() - 1).pts;
    return has_hidden(table, [&](int64_t pts) { return pts > last; });
}

std::shared_ptr<const PacketTable> write_video(std::span<const VideoPart> parts, const std::filesystem::path& media,
                                               const std::string& extension) {
    std::vector<RemuxPart> to_remux;
    for (const VideoPart& part : parts) to_remux.push_back({&part.video->file, part.packets});
    return std::make_shared<const PacketTable>(join_media(to_remux, media, extension).table);
}

}  // namespace reelstore
