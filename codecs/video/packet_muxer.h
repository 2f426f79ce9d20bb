#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "codecs/packet_table.h"
#include "codecs/video/libav.h"
#include "codecs/video/remux_plan.h"

namespace reelstore {

/// Writes packets into a new container one by one, byte by byte, and learns where each came to lie. An mp4 or mov gets
/// an edit list that hides packets at its beginning and end. Used by one thread at a time.
class PacketMuxer {
public:
    /// Whether the container can keep packets that are not to be shown.
    static bool hides_packets(const std::string& muxer);
    /// Unit in which the times of packets are given, for a video whose first packets belong to this stream.
    static AVRational time_base_for(const std::string& muxer, const VideoStream& stream);

    /// `file` is empty and outlives this object; `muxer` is FFmpeg's name. Throws Error(unsupported) when the container
    /// cannot hold the codec or say how the picture is to be turned.
    PacketMuxer(File& file, const VideoStream& described, const std::string& muxer);

    struct Written {
        uint64_t offset = 0;
        uint32_t size = 0;  ///< of what the file holds of the payload; the beginning may be left out
        int64_t pts = 0;    ///< in units of time_base()
    };

    /// Appends a packet, of which only payload and side data count. `shown` and `decoded` are in units of
    /// time_base_for(); those of decoding rise.
    Written write(AVPacket& packet, int64_t shown, int64_t decoded, PacketRole role, bool key);
    /// Completes the file; not synced.
    void finish();

    /// Unit of the times in the file.
    AVRational time_base() const { return format_->streams[0]->time_base; }
    uint64_t bytes_written() const { return output_.bytes_written(); }

private:
    void fail_on(int code, const char* action);

    File& file_;
    FileOutput output_;
    UniqueOutputFormat format_;
    std::string codec_;
    bool edit_list_;
    AVRational base_;  ///< of the times given
    int64_t duration_ = 1;
    int64_t early_ = 0;  ///< by how much all times are put earlier
    int64_t first_decoded_ = 0;
    std::optional<int64_t> last_;  ///< time of decoding of the packet before
    int64_t shown_begin_ = INT64_MAX;
    int64_t shown_end_ = INT64_MIN;
    int64_t led_out_begin_ = INT64_MAX;
};

}  // namespace reelstore
