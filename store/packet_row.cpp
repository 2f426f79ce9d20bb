#include "store/packet_row.h"

#include <cmath>

#include "base/error.h"
#include "codecs/checksum.h"

namespace reelstore {

int64_t ticks_per_frame(const VideoStream& stream) {
    if (!(stream.frame_rate > 0) || stream.time_base_num <= 0) return 0;
    const double ticks =
        static_cast<double>(stream.time_base_den) / (static_cast<double>(stream.time_base_num) * stream.frame_rate);
    return ticks >= 1 && ticks < 1e9 && ticks == std::floor(ticks) ? static_cast<int64_t>(ticks) : 0;
}

int64_t flags_of(const Packet& packet) {
    return (packet.key ? kKeyFlag : 0) | (packet.disposable ? kDisposableFlag : kNeededFlag);
}

int64_t kept_checksum(uint32_t checksum) {
    return static_cast<int32_t>(checksum);
}

uint32_t text_checksum(const std::string& text) {
    return frame_checksum({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string stream_text(const VideoStream& stream) {
    Json json = stream.to_json();
    json["checksum"] = text_checksum(json.dump());
    return json.dump();
}

VideoStream parse_stream(const std::string& text) {
    // It is written again below, level by level on the stack.
    constexpr int kMostLevels = 8;
    Json json = Json::parse(text, [](int depth, Json::parse_event_t /*event*/, const Json& /*parsed*/) {
        if (depth > kMostLevels) throw Error(ErrorCode::corrupt, "they are nested too deeply");
        return true;
    });
    if (const auto recorded = json.find("checksum"); recorded != json.end()) {
        const auto checksum = recorded->get<uint32_t>();
        json.erase("checksum");
        if (text_checksum(json.dump()) != checksum) throw Error(ErrorCode::corrupt, "they do not fit their checksum");
    }
    return VideoStream::from_json(json);
}

}  // namespace reelstore
