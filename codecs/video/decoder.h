#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "codecs/chunk_format.h"
#include "codecs/packet_table.h"
#include "codecs/video/decoder_pool.h"
#include "codecs/video/entry_points.h"
#include "codecs/video/libav.h"
#include "codecs/video/packet_source.h"

namespace reelstore {

struct VideoDecoderOptions {
    bool any_size = false;  ///< accept frames of another size than the table's stream has
    /// Decoded frames kept for later requests, in bytes of pixels.
    size_t cache_bytes = size_t{128} << 20;
    /// Where the decoder is taken from and given back to; null: one is opened for this object alone.
    std::shared_ptr<DecoderPool> pool = {};
};

/// Exact random access to the frames of one video file, from its packet table and without a demuxer.
///
/// Every packet goes to the decoder with its own place in the table as time stamp, so each picture that comes out says
/// which one it is; nothing is computed from times. A jump starts at the last key packet before the frame and ends
/// with draining the decoder; frames asked for in order are decoded once each. Used by one thread at a time.
class VideoDecoder {
public:
    /// Opens file and decoder. Throws Error when the file cannot be opened or the codec is not known to this FFmpeg.
    VideoDecoder(std::filesystem::path path, std::shared_ptr<const PacketTable> table,
                 const VideoDecoderOptions& options = {});
    ~VideoDecoder();
    VideoDecoder(const VideoDecoder&) = delete;
    VideoDecoder& operator=(const VideoDecoder&) = delete;

    /// The frame at `position` of the display order, valid until the next call. Throws Error(invalid_argument) outside
    /// of the table and Error(corrupt), naming file and position, when the frame or one that it depends on is damaged;
    /// other frames stay readable.
    const AVFrame& read(int64_t position);

    /// The frames at these positions (ascending, of one group of pictures) will be read next, in this order: packets
    /// that only other frames need are then left out, and the decoder is drained behind the last. Any other read() ends
    /// it.
    void will_read(std::span<const int64_t> positions);
    /// Says which frame was read last, by another decoder or before the first (-1); the next read() is then taken as a
    /// step on, a step back or a jump.
    void set_last_position(int64_t position);
    /// Frees the frames kept for later requests; that of the last read() stays valid.
    void drop_cache();
    /// Position of the frame where decoding begins to get at `position`.
    int64_t entry_position(int64_t position) const;

    /// Takes a table of the same file over that knows packets behind those of the present one, and perhaps lacks some
    /// of the first, without losing its place in the video. False, and nothing is changed, where that cannot be.
    bool continue_with(const std::shared_ptr<const PacketTable>& table);

    const PacketTable& table() const { return *table_; }
    DecodeCounters counters() const;

private:
    /// Whether the decoder may be fed beyond the wanted frame, because the next request will likely lie behind it;
    /// `planned` is for frames of will_read().
    enum class Access { jump, forward, backward, planned };

    DecoderPool::Request decoder_request() const { return {table_->stream, reorder_depth_}; }
    void take_decoder();
    void check_position(int64_t position) const;
    bool wanted_by(Access access, int64_t place, int64_t target) const;
    Access access_for(int64_t position, int64_t place) const;
    bool can_continue(int64_t place, int64_t entry, bool in_order) const;
    void restart(int64_t entry);
    void abandon_run();
    /// Forgets the kept frames for which `condition` holds.
    void drop_kept(const std::function<bool(int64_t position, int64_t place)>& condition);
    /// `known` is the frame itself where it has come already, and only what it depends on is to be waited for.
    UniqueFrame decode(int64_t position, int64_t place, int64_t entry, Access access, UniqueFrame known = {});
    bool awaits_reference(int64_t position, int64_t place, int64_t entry) const;
    void mark_damage(int64_t place);
    std::optional<int64_t> damage_before(int64_t place, int64_t entry) const;
    void send(int64_t place, int64_t through, int64_t target);
    void renew_parameter_sets();
    void drain();
    /// The picture of packet `place` if it has come; others are kept or dropped.
    UniqueFrame receive(int64_t place, int64_t position, Access access);
    void note_missing(int64_t position, int64_t place);
    void keep(int64_t position, UniqueFrame frame, int64_t wanted);
    bool right_size(const AVFrame& frame) const;
    void check(const AVFrame& frame, int64_t place) const;
    int64_t entry_of(int64_t place) const { return entry_points_.entry_of(place); }
    /// -1 for packets that are not shown.
    int64_t position_of(int64_t place) const { return entry_points_.position_of(place); }
    const Packet& packet(int64_t place) const { return table_->packets[static_cast<size_t>(place)]; }
    int64_t packet_count() const { return static_cast<int64_t>(table_->packets.size()); }
    [[noreturn]] void damaged(int64_t place, const std::string& reason) const;

    std::filesystem::path path_;
    std::shared_ptr<const PacketTable> table_;
    VideoDecoderOptions options_;
    std::unique_ptr<PacketSource> source_;
    UniqueCodecContext context_;
    UniquePacket packet_;
    EntryPoints entry_points_;
    int reorder_depth_ = 0;  ///< frames that may precede another in decode order and follow it in display

    int64_t run_entry_ = -1;  ///< where the current run of packets began; -1: the decoder is flushed
    int64_t next_place_ = 0;  ///< the packet to be sent next
    bool drained_ = false;
    bool has_failed_ = false;    ///< the decoder has met damage
    bool has_been_fed_ = false;  ///< the decoder has to be flushed before the next run
    bool first_of_run_ = false;  ///< no packet of the run has been sent yet
    std::set<int64_t> damages_;  ///< damaged packets of the run that others may depend on
    std::set<int64_t> sent_;     ///< places whose pictures have not come out
    int64_t last_position_ = -1;
    std::vector<int64_t> planned_;         ///< places, ascending, of the positions given to will_read()
    int64_t plan_end_ = -1;                ///< the last of those positions
    UniqueFrame current_;                  ///< the frame at last_position_
    std::map<int64_t, UniqueFrame> kept_;  ///< by position
    size_t kept_bytes_ = 0;
    DecodeCounters counters_;
};

}  // namespace reelstore
