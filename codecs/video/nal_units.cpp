#include "codecs/video/nal_units.h"

#include <utility>

#include "base/error.h"

namespace reelstore {

namespace {

using Bytes = std::span<const uint8_t>;

bool starts_with_start_code(Bytes bytes) {
    return bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0 && (bytes[2] == 1 || (bytes[2] == 0 && bytes[3] == 1));
}

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

}  // namespace

PacketInspector::PacketInspector(std::string codec, Bytes extradata)
    : codec_(std::move(codec)), length_bytes_(length_bytes_of(codec_, extradata)) {}

PacketNature PacketInspector::inspect(Bytes packet, PacketNature flagged) const {
    PacketNature nature = flagged;
    if (codec_ == "h264" || codec_ == "hevc") {
        const PacketNature seen = codec_ == "h264" ? inspect_h264(packet) : inspect_hevc(packet);
        nature.key = seen.key;
        nature.disposable = seen.disposable || flagged.disposable;
    } else if (codec_ == "mpeg4") {
        nature.key = inspect_mpeg4(packet).key;
    } else if (codec_ == "vp8" && !packet.empty()) {
        nature.hidden = flagged.hidden || (packet[0] & 0x10) == 0;  // show_frame
    }
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
    nature.disposable = any_slice && !referenced;
    return nature;
}

PacketNature PacketInspector::inspect_hevc(Bytes packet) const {
    PacketNature nature;
    for (const Bytes unit : units(packet)) {
        const int type = unit[0] >> 1 & 63;
        if (type >= 32) continue;
        // A CRA picture among them may be followed by leading pictures that need earlier frames; those come before it
        // in display order, and whoever looks for an entry point compares that order.
        nature.key = nature.key || (type >= 16 && type <= 21);
    }
    return nature;
}

PacketNature PacketInspector::inspect_mpeg4(Bytes packet) const {
    for (size_t i = 0; i + 4 < packet.size(); ++i) {
        const bool picture = packet[i] == 0 && packet[i + 1] == 0 && packet[i + 2] == 1 && packet[i + 3] == 0xb6;
        if (picture) return {.key = packet[i + 4] >> 6 == 0};  // vop_coding_type I
    }
    return {};
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

std::vector<uint8_t> make_avc_configuration(Bytes annex_b, int chroma_format) {
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
        out.insert(out.end(), {0xf8, 0xf8, 0});  // 8 bits of luma and chroma, no sequence set extensions
    }
    return out;
}

}  // namespace reelstore
