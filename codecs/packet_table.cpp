#include "codecs/packet_table.h"

#include <algorithm>

#include "base/error.h"
#include "base/pixel_type.h"

namespace reelstore {

namespace {

std::string hex_text(const std::vector<uint8_t>& bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const uint8_t byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    throw Error(ErrorCode::corrupt, "video stream description: bytes are not hexadecimal");
}

std::vector<uint8_t> bytes_of_hex(const std::string& text) {
    if (text.size() % 2 != 0) {
        throw Error(ErrorCode::corrupt, "video stream description: bytes have an odd number of digits");
    }
    std::vector<uint8_t> bytes(text.size() / 2);
    for (size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<uint8_t>(hex_digit(text[2 * i]) * 16 + hex_digit(text[2 * i + 1]));
    }
    return bytes;
}

template <typename T>
T member(const Json& json, const char* name) {
    try {
        return json.at(name).get<T>();
    } catch (const Json::exception&) {
        throw Error(ErrorCode::corrupt,
                    std::string("video stream description: '") + name + "' is missing or of the wrong kind");
    }
}

int side(const Json& json, const char* name) {
    const auto value = member<int64_t>(json, name);
    if (value < 1 || value > kMaxImageSide) {
        throw Error(ErrorCode::corrupt,
                    std::string("video stream description: impossible ") + name + " " + std::to_string(value));
    }
    return static_cast<int>(value);
}

int quarter_turns(int degrees) {
    if (degrees % 90 != 0) {
        throw Error(ErrorCode::corrupt,
                    "video stream description: impossible rotation by " + std::to_string(degrees) + " degrees");
    }
    return (degrees % 360 + 360) % 360;
}

}  // namespace

Json VideoStream::to_json() const {
    Json json = {{"codec", codec},
                 {"width", width},
                 {"height", height},
                 {"pixel_format", pixel_format},
                 {"color_range", color_range},
                 {"color_space", color_space},
                 {"time_base", Json::array({time_base_num, time_base_den})},
                 {"frame_rate", frame_rate},
                 {"codec_tag", codec_tag},
                 {"bits_per_sample", bits_per_sample},
                 {"extradata", hex_text(extradata)}};
    if (!palette.empty()) json["palette"] = hex_text(palette);
    if (rotation != 0) json["rotation"] = rotation;
    if (mirrored) json["mirrored"] = true;
    if (slice_checksums) json["slice_checksums"] = true;
    if (lenient) json["lenient"] = true;
    return json;
}

VideoStream VideoStream::from_json(const Json& json) {
    VideoStream stream;
    stream.codec = member<std::string>(json, "codec");
    stream.width = side(json, "width");
    stream.height = side(json, "height");
    stream.pixel_format = member<std::string>(json, "pixel_format");
    stream.color_range = member<std::string>(json, "color_range");
    stream.color_space = member<std::string>(json, "color_space");
    const auto time_base = member<std::vector<int64_t>>(json, "time_base");
    if (time_base.size() != 2 || time_base[0] < 1 || time_base[1] < 1) {
        throw Error(ErrorCode::corrupt, "video stream description: time_base is not a fraction above 0");
    }
    stream.time_base_num = time_base[0];
    stream.time_base_den = time_base[1];
    stream.frame_rate = member<double>(json, "frame_rate");
    stream.codec_tag = member<int64_t>(json, "codec_tag");
    stream.bits_per_sample = member<int>(json, "bits_per_sample");
    stream.extradata = bytes_of_hex(member<std::string>(json, "extradata"));
    if (json.contains("palette")) stream.palette = bytes_of_hex(member<std::string>(json, "palette"));
    if (json.contains("rotation")) stream.rotation = quarter_turns(member<int>(json, "rotation"));
    if (json.contains("mirrored")) stream.mirrored = member<bool>(json, "mirrored");
    if (json.contains("slice_checksums")) stream.slice_checksums = member<bool>(json, "slice_checksums");
    if (json.contains("lenient")) stream.lenient = member<bool>(json, "lenient");
    return stream;
}

bool Packet::operator==(const Packet& other) const {
    return offset == other.offset && size == other.size && pts == other.pts && key == other.key &&
           disposable == other.disposable && hidden == other.hidden;
}

void PacketTable::sort_display_order() {
    std::vector<int64_t> keys(packets.size());
    int64_t previous = Packet::kNoPts;
    for (size_t place = 0; place < packets.size(); ++place) {
        if (packets[place].pts != Packet::kNoPts) previous = packets[place].pts;
        keys[place] = previous;
    }
    display_order.clear();
    display_order.reserve(packets.size());
    for (size_t place = 0; place < packets.size(); ++place) {
        if (!packets[place].hidden) display_order.push_back(static_cast<uint32_t>(place));
    }
    std::stable_sort(display_order.begin(), display_order.end(),
                     [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
}

}  // namespace reelstore
