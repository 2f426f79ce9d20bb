#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace reelstore {

/// What a packet of an inter-frame codec means for random access.
struct PacketNature {
    bool key = false;            ///< a decoder can start here
    bool disposable = false;     ///< no other frame refers to it (of its own temporal layer, see `layer`)
    bool hidden = false;         ///< gives no picture of its own
    bool closed = false;         ///< key, and no packet behind it refers to one before it or is shown before it
    bool after_gap = false;      ///< key, and pictures that refer to what lies before it are not to be shown (HEVC BLA)
    bool ends_sequence = false;  ///< the next key packet is one after a gap
    bool leading = false;        ///< refers to what lies before the last key packet (HEVC RASL)
    int layer = 0;               ///< temporal layer; pictures of higher ones may refer to disposable ones of lower ones
};

/// Looks into packets of one stream, because the flags that containers give are often wrong.
class PacketInspector {
public:
    /// `codec` is FFmpeg's name; `extradata` the container's configuration record, or the parameter sets in Annex B
    /// form.
    PacketInspector(std::string codec, std::span<const uint8_t> extradata);

    /// `flagged` is what the container says; its key flag is trusted for codecs that are not looked into, its
    /// disposable flag never. Never throws: what cannot be parsed is no key packet and not disposable.
    PacketNature inspect(std::span<const uint8_t> packet, PacketNature flagged) const;

private:
    PacketNature inspect_h264(std::span<const uint8_t> packet) const;
    PacketNature inspect_hevc(std::span<const uint8_t> packet) const;
    std::vector<std::span<const uint8_t>> units(std::span<const uint8_t> packet) const;

    std::string codec_;
    bool has_headers_ = false;  ///< extradata holds what MPEG-2 key pictures need besides themselves
    int length_bytes_ = 0;      ///< of the size in front of each NAL unit; 0 for Annex B
};

/// Whether bytes begin as an Annex B byte stream does.
bool starts_with_start_code(std::span<const uint8_t> bytes);
/// The NAL units of an Annex B byte stream (start codes 00 00 01), without start codes and trailing zeros.
std::vector<std::span<const uint8_t>> split_annex_b(std::span<const uint8_t> stream);
/// The same units, each behind its size in four bytes, as ISO/IEC 14496-15 stores a sample.
std::vector<uint8_t> length_prefixed(std::span<const uint8_t> annex_b);
/// The AVCDecoderConfigurationRecord ("avcC", ISO/IEC 14496-15) of H.264 parameter sets in Annex B form, for video with
/// the given chroma_format_idc (0 gray, 1 4:2:0, 2 4:2:2, 3 4:4:4) and bits a sample. Throws Error(internal) when a set
/// is missing.
std::vector<uint8_t> make_avc_configuration(std::span<const uint8_t> annex_b, int chroma_format, int bits);

}  // namespace reelstore
