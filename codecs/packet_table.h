#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace reelstore {

/// Where the encoded bytes of one frame are in a video file, and how they depend on others.
struct Packet {
    uint64_t offset = 0;      ///< of the first payload byte in the file
    uint32_t size = 0;        ///< payload bytes
    int64_t pts = 0;          ///< presentation time stamp in units of VideoStream::time_base
    bool key = false;         ///< a decoder can start here (H.264: IDR only)
    bool disposable = false;  ///< no other frame needs it to be decoded: it may be left out
    bool hidden = false;  ///< never shown, only decoded for others (cut away by an edit list, an alternative reference)

    /// Value of pts when the container gives none.
    static constexpr int64_t kNoPts = INT64_MIN;

    /// frame_checksum() of the payload, where its writer recorded one; a reader then refuses changed bytes.
    std::optional<uint32_t> checksum = {};

    /// Whether both describe the same bytes; the checksum is left out, as a scan of a file does not give one.
    bool operator==(const Packet& other) const;
};

/// What a decoder must know of a video stream before its first packet; kept in the index so that no demuxer
/// has to look at the file again.
struct VideoStream {
    std::string codec;  ///< FFmpeg's name of the codec ("h264", "mjpeg")
    int width = 0;
    int height = 0;
    std::string pixel_format;   ///< FFmpeg's name ("yuv420p"; never a yuvj name: see color_range)
    std::string color_range;    ///< "tv", "pc" or "unknown"
    std::string color_space;    ///< FFmpeg's matrix name ("smpte170m", "bt709", "unknown")
    int64_t time_base_num = 1;  ///< unit of Packet::pts in seconds, as a fraction
    int64_t time_base_den = 25;
    double frame_rate = 0;           ///< nominal, 0 when unknown
    int64_t codec_tag = 0;           ///< FourCC of the container, first character lowest; 0 when it does not matter
    int bits_per_sample = 0;         ///< of a coded pixel as the container says; 0 when it does not matter
    std::vector<uint8_t> extradata;  ///< codec configuration (avcC for H.264)
    std::vector<uint8_t> palette;    ///< colours of indexed pixels as FFmpeg's side data has them; mostly empty
    int rotation = 0;                ///< degrees clockwise by which players turn the picture: 0, 90, 180, 270
    bool mirrored = false;           ///< players mirror the picture left to right before they turn it
    bool slice_checksums = false;    ///< every frame of FFV1 carries checksums
    bool lenient = false;            ///< what FFmpeg calls minor errors stands in sound packets too and is overlooked

    bool operator==(const VideoStream&) const = default;
    Json to_json() const;
    /// Throws Error(corrupt) when a member is missing or of the wrong kind.
    static VideoStream from_json(const Json& json);
};

/// All packets of a video file: the own seek table that makes every frame reachable exactly.
struct PacketTable {
    VideoStream stream;
    std::vector<Packet> packets;          ///< in decode order
    std::vector<uint32_t> display_order;  ///< display_order[position of frame] = place in `packets`
    /// FFmpeg's name of the demuxer ("mov", "matroska"); empty when no demuxer has seen the file.
    std::string container;
    /// False when the container scatters or alters payloads, so that they cannot be read from the file as they are:
    /// Packet::offset then means nothing, and packets must be taken from the demuxer.
    bool contiguous = true;
    /// Where not contiguous: Packet::offset is that of the first payload byte in an MPEG transport stream, whose cells
    /// hold the rest, and no demuxer is needed.
    bool in_cells = false;
    /// Where only a part of a file's packets was loaded: the position of its first frame in the file, which is also the
    /// place of its first packet. Positions and places in a table count from there.
    int64_t first_position = 0;
    /// Where packets must be taken from the demuxer and only some of the file's are here: which of those that the
    /// demuxer gives, counted from 0, each one is. Empty: they are the first ones.
    std::vector<uint32_t> file_places = {};

    int64_t frame_count() const { return static_cast<int64_t>(display_order.size()); }
    const Packet& packet_of(int64_t position) const { return packets[display_order[static_cast<size_t>(position)]]; }
    /// Fills display_order from the packets' pts. Packets with equal pts, or with none, follow the one before them in
    /// decode order; hidden ones are left out.
    void sort_display_order();
};

}  // namespace reelstore
