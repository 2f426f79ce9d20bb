#include "codecs/video/nal_units.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace reelstore {

namespace {

using Bytes = std::span<const uint8_t>;

int length_bytes_of(const std::string& codec, Bytes extradata) {
    if (starts_with_start_code(extradata)) return 0;
    if (codec == "h264" && extradata.size() >= 7 && extradata[0] == 1) return (extradata[4] & 3) + 1;
    if (codec == "hevc" && extradata.size() >= 23) return (extradata[21] & 3) + 1;
    return 0;
}

std::vector<Bytes> split_length_prefixed(Bytes packet, int length_bytes) {
    std::vector<Bytes> units;
    while (packet.size() > static_cast<size_t>(length_bytes)) {
        size_t size = 0;
        for (int i = 0; i < length_bytes; ++i) size = size << 8 | packet[static_cast<size_t>(i)];
        packet = packet.subspan(static_cast<size_t>(length_bytes));
        if (size > packet.size()) break;
        if (size > 0) units.push_back(packet.first(size));
        packet = packet.subspan(size);
    }
    return units;
}

void append_length(std::vector<uint8_t>& out, size_t size, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(size >> shift));
}

/// The bytes behind the first start code 00 00 01 `code`; empty when there is none.
Bytes after_start_code(Bytes packet, uint8_t code) {
    for (size_t i = 0; i + 3 < packet.size(); ++i) {
        if (packet[i] == 0 && packet[i + 1] == 0 && packet[i + 2] == 1 && packet[i + 3] == code) {
            return packet.subspan(i + 4);
        }
    }
    return {};
}

PacketNature inspect_mpeg4(Bytes packet) {
    const Bytes picture = after_start_code(packet, 0xb6);
    if (picture.empty()) return {};
    const int coding_type = picture[0] >> 6;
    return {.key = coding_type == 0, .disposable = coding_type == 2};
}

PacketNature inspect_mpeg2(Bytes packet, bool has_headers) {
    const Bytes picture = after_start_code(packet, 0x00);
    if (picture.size() < 2) return {};
    const int coding_type = picture[1] >> 3 & 7;
    const bool decodable = has_headers || !after_start_code(packet, 0xb3).empty();
    return {.key = coding_type == 1 && decodable, .disposable = coding_type == 3};
}

PacketNature inspect_vp8(Bytes packet) {
    if (packet.size() < 3) return {};
    const bool key = (packet[0] & 1) == 0;
    const size_t header_bytes = key ? 10 : 3;
    const size_t first_part = (size_t{packet[0]} | size_t{packet[1]} << 8 | size_t{packet[2]} << 16) >> 5;
    const bool sound = packet.size() >= header_bytes + first_part &&
                       (!key || (packet[3] == 0x9d && packet[4] == 0x01 && packet[5] == 0x2a));
    // What is damaged is not to vanish.
    return {.key = key && sound, .hidden = sound && (packet[0] & 0x10) == 0};
}

/// One frame of VP9, not a superframe.
PacketNature inspect_vp9_frame(Bytes frame) {
    if (frame.empty()) return {.hidden = true};
    if (frame[0] >> 6 != 2) return {};  // damaged
    int bit = 5;
    const auto next = [&] { return frame[0] >> bit-- & 1; };
    const int profile = next() + next() * 2;
    if (profile == 3) next();
    const bool shows_earlier = next() != 0;
    if (shows_earlier) return {};
    const bool key = next() == 0;
    return {.key = key, .hidden = next() == 0};
}

PacketNature inspect_vp9(Bytes packet) {
    if (packet.empty()) return {};
    const uint8_t marker = packet.back();
    const size_t frames = (marker & 7u) + 1;
    const size_t size_bytes = (marker >> 3 & 3u) + 1;
    const size_t index_bytes = 2 + frames * size_bytes;
    const bool superframe =
        (marker & 0xe0) == 0xc0 && packet.size() >= index_bytes && packet[packet.size() - index_bytes] == marker;
    if (!superframe) return inspect_vp9_frame(packet);
    const Bytes sizes = packet.subspan(packet.size() - index_bytes + 1);
    packet = packet.first(packet.size() - index_bytes);
    PacketNature nature = {.hidden = true};
    for (size_t frame = 0; frame < frames; ++frame) {
        size_t size = 0;
        for (size_t byte = 0; byte < size_bytes; ++byte) size |= size_t{sizes[frame * size_bytes + byte]} << 8 * byte;
        if (size > packet.size()) break;
        const PacketNature one = inspect_vp9_frame(packet.first(size));
        if (frame == 0) nature.key = one.key;
        nature.hidden = nature.hidden && one.hidden;
        packet = packet.subspan(size);
    }
    return nature;
}

/// A temporal unit of AV1. One that begins with a shown key frame and brings the sequence header is a key packet
/// whatever the container says; without the header it needs the container's.
PacketNature inspect_av1(Bytes packet, bool flagged_key) {
    constexpr int kSequenceHeader = 1;
    constexpr int kFrameHeader = 3;
    constexpr int kFrame = 6;
    bool has_sequence = false;
    bool key = false;
    bool any_frame = false;
    bool shown = false;
    while (!packet.empty()) {
        const int type = packet[0] >> 3 & 15;
        const bool has_extension = (packet[0] & 4) != 0;
        const bool has_size = (packet[0] & 2) != 0;
        packet = packet.subspan(std::min<size_t>(packet.size(), has_extension ? 2 : 1));
        size_t size = has_size ? 0 : packet.size();
        for (int shift = 0; has_size && shift < 32; shift += 7) {
            if (packet.empty()) return {};
            const uint8_t byte = packet[0];
            packet = packet.subspan(1);
            size |= size_t{byte & 127u} << shift;
            if (byte < 128) break;
        }
        if (size > packet.size()) return {};
        if (type == kSequenceHeader && size > 0) {
            has_sequence = true;
            const bool reduced_headers = (packet[0] >> 3 & 1) != 0;  // a still picture
            if (reduced_headers) return {.key = true};
        }
        if ((type == kFrameHeader || type == kFrame) && size > 0) {
            const bool shows_earlier = (packet[0] >> 7 & 1) != 0;
            const bool key_frame = (packet[0] >> 5 & 3) == 0;
            const bool shows_itself = (packet[0] >> 4 & 1) != 0;
            if (!any_frame) key = !shows_earlier && key_frame && shows_itself;
            any_frame = true;
            shown = shown || shows_earlier || shows_itself;
        }
        packet = packet.subspan(size);
    }
    return {.key = key && (has_sequence || flagged_key), .hidden = any_frame && !shown};
}

}  // namespace

bool starts_with_start_code(Bytes bytes) {
    return bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0 && (bytes[2] == 1 || (bytes[2] == 0 && bytes[3] == 1));
}

PacketInspector::PacketInspector(std::string codec, Bytes extradata)
    : codec_(std::move(codec)), has_headers_(!extradata.empty()), length_bytes_(length_bytes_of(codec_, extradata)) {}

PacketNature PacketInspector::inspect(Bytes packet, PacketNature flagged) const {
    PacketNature nature;
    if (codec_ == "h264") {
        nature = inspect_h264(packet);
    } else if (codec_ == "hevc") {
        nature = inspect_hevc(packet);
    } else if (codec_ == "mpeg4") {
        nature = inspect_mpeg4(packet);
    } else if (codec_ == "mpeg1video" || codec_ == "mpeg2video") {
        nature = inspect_mpeg2(packet, has_headers_);
    } else if (codec_ == "vp8") {
        nature = inspect_vp8(packet);
    } else if (codec_ == "vp9") {
        nature = inspect_vp9(packet);
    } else if (codec_ == "av1") {
        nature = inspect_av1(packet, flagged.key);
    } else {
        nature.key = flagged.key;
    }
    nature.hidden = nature.hidden || flagged.hidden;
    return nature;
}

std::vector<Bytes> PacketInspector::units(Bytes packet) const {
    return length_bytes_ > 0 ? split_length_prefixed(packet, length_bytes_) : split_annex_b(packet);
}

PacketNature PacketInspector::inspect_h264(Bytes packet) const {
    PacketNature nature;
    bool any_slice = false;
    bool referenced = false;
    for (const Bytes unit : units(packet)) {
        const int type = unit[0] & 31;
        if (type < 1 || type > 5) continue;
        any_slice = true;
        referenced = referenced || (unit[0] >> 5 & 3) != 0;
        nature.key = nature.key || type == 5;
    }
    nature.closed = nature.key;
    nature.disposable = any_slice && !referenced;
    return nature;
}

PacketNature PacketInspector::inspect_hevc(Bytes packet) const {
    constexpr int kRaslN = 8;
    constexpr int kRaslR = 9;
    constexpr int kFirstRandomAccess = 16;  // BLA; the others follow
    constexpr int kFirstIdr = 19;
    constexpr int kLastIdr = 20;
    constexpr int kCra = 21;
    constexpr int kEndOfSequence = 36;
    constexpr int kEndOfStream = 37;
    PacketNature nature;
    bool any_slice = false;
    bool referenced = false;
    for (const Bytes unit : units(packet)) {
        const int type = unit[0] >> 1 & 63;
        nature.ends_sequence = nature.ends_sequence || type == kEndOfSequence || type == kEndOfStream;
        if (type >= 32 || unit.size() < 2) continue;
        any_slice = true;
        // A CRA picture among them may be followed by leading pictures that need earlier frames; those come before it
        // in display order, and whoever looks for an entry point compares that order.
        nature.key = nature.key || (type >= kFirstRandomAccess && type <= kCra);
        nature.closed = nature.closed || type == kFirstIdr || type == kLastIdr;
        nature.after_gap = nature.after_gap || (type >= kFirstRandomAccess && type < kCra);
        nature.leading = nature.leading || type == kRaslN || type == kRaslR;
        referenced = referenced || type >= kFirstRandomAccess || type % 2 != 0;
        nature.layer = std::max(nature.layer, (unit[1] & 7) - 1);
    }
    nature.disposable = any_slice && !referenced;
    return nature;
}

std::vector<Bytes> split_annex_b(Bytes stream) {
    std::vector<Bytes> units;
    size_t begin = stream.size();
    const auto add = [&](size_t end) {
        while (end > begin && stream[end - 1] == 0) --end;
        if (end > begin) units.push_back(stream.subspan(begin, end - begin));
    };
    for (size_t i = 0; i + 2 < stream.size();) {
        if (stream[i + 2] > 1) {
            i += 3;
        } else if (stream[i] == 0 && stream[i + 1] == 0 && stream[i + 2] == 1) {
            add(i);
            begin = i + 3;
            i += 3;
        } else {
            ++i;
        }
    }
    add(stream.size());
    return units;
}

std::vector<uint8_t> length_prefixed(Bytes annex_b) {
    std::vector<uint8_t> out;
    out.reserve(annex_b.size() + 16);
    for (const Bytes unit : split_annex_b(annex_b)) {
        append_length(out, unit.size(), 4);
        out.insert(out.end(), unit.begin(), unit.end());
    }
    return out;
}

std::vector<uint8_t> make_avc_configuration(Bytes annex_b, int chroma_format, int bits) {
    std::vector<Bytes> sequence_sets;
    std::vector<Bytes> picture_sets;
    for (const Bytes unit : split_annex_b(annex_b)) {
        if ((unit[0] & 31) == 7 && unit.size() >= 4) sequence_sets.push_back(unit);
        if ((unit[0] & 31) == 8) picture_sets.push_back(unit);
    }
    if (sequence_sets.empty() || picture_sets.empty() || sequence_sets.size() > 31) {
        throw Error(ErrorCode::internal, "the H.264 encoder gave no parameter sets");
    }
    const Bytes first = sequence_sets.front();
    std::vector<uint8_t> out = {1,        first[1], first[2],
                                first[3], 0xff,     static_cast<uint8_t>(0xe0 | sequence_sets.size())};
    for (const Bytes set : sequence_sets) {
        append_length(out, set.size(), 2);
        out.insert(out.end(), set.begin(), set.end());
    }
    out.push_back(static_cast<uint8_t>(picture_sets.size()));
    for (const Bytes set : picture_sets) {
        append_length(out, set.size(), 2);
        out.insert(out.end(), set.begin(), set.end());
    }
    const int profile = first[1];
    if (profile == 100 || profile == 110 || profile == 122 || profile == 244) {
        out.push_back(static_cast<uint8_t>(0xfc | chroma_format));
        const auto depth = static_cast<uint8_t>(0xf8 | (bits - 8));
        out.insert(out.end(), {depth, depth, 0});  // of luma and chroma; no sequence set extensions
    }
    return out;
}

}  // namespace reelstore
