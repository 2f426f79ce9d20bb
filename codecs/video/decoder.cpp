#include "codecs/video/decoder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/pixel_type.h"
#include "codecs/video/ffv1_checksum.h"

namespace reelstore {

namespace {

/// Steps back up to this far keep the pictures passed on the way, because more such steps will follow.
constexpr int64_t kBackwardReach = 8;
/// Packets fed behind the wanted one, beyond the decoder's delay, before it is drained.
constexpr int64_t kForwardReach = 32;
/// How far, in packets and bytes, a forward run reads ahead in the file.
constexpr int64_t kReadAheadPackets = 16;
constexpr uint64_t kReadAheadBytes = 512 << 10;
/// A decoder that fails this often without taking a packet has lost its mind.
constexpr int kMaxErrorsInARow = 64;
/// The most pictures that H.264 lets a decoder hold back.
constexpr int kMaxReorder = 16;

/// How many frames precede a shown one in decode order and follow it in display, at most. Of hidden ones only the times
/// tell.
int reorder_depth(const PacketTable& table, const std::vector<int64_t>& position_of) {
    int depth = 0;
    for (size_t place = 0; place < position_of.size(); ++place) {
        if (position_of[place] < 0) continue;
        int overtaken = 0;
        for (size_t back = 1; back <= 2 * kMaxReorder && back <= place; ++back) {
            const size_t other = place - back;
            if (position_of[other] >= 0 ? position_of[other] > position_of[place]
                                        : table.packets[other].pts > table.packets[place].pts)
                ++overtaken;
        }
        depth = std::max(depth, overtaken);
    }
    return std::min(depth, kMaxReorder);
}

size_t frame_bytes(const AVFrame& frame) {
    size_t bytes = 0;
    for (const AVBufferRef* buffer : frame.buf) bytes += buffer ? static_cast<size_t>(buffer->size) : 0;
    return bytes;
}

bool flagged_as_damaged(const AVFrame& frame) {
    return (frame.flags & AV_FRAME_FLAG_CORRUPT) != 0 || frame.decode_error_flags != 0;
}

}  // namespace

VideoDecoder::VideoDecoder(std::filesystem::path path, std::shared_ptr<const PacketTable> table,
                           const VideoDecoderOptions& options)
    : path_(std::move(path)), table_(std::move(table)), options_(options), packet_(make_packet()) {
    capture_libav_log();
    entry_points_ = EntryPoints(*table_);
    // A frame may have been left alone by the ones that it overtakes.
    const bool cut = table_->stream.codec == "h264" && table_->packets.size() != table_->display_order.size();
    if (cut || !std::is_sorted(table_->display_order.begin(), table_->display_order.end())) {
        reorder_depth_ = reorder_depth(*table_, entry_points_.positions());
    }
    source_ = make_packet_source(path_, table_);
    if (!options_.pool) options_.pool = std::make_shared<DecoderPool>();
    take_decoder();
}

bool VideoDecoder::continue_with(const std::shared_ptr<const PacketTable>& table) {
    const int64_t shift = table->first_position - table_->first_position;
    const int64_t common = packet_count() - shift;
    const auto in_order = [](const PacketTable& packets) {
        return std::is_sorted(packets.display_order.begin(), packets.display_order.end());
    };
    // Pictures on their way would come out under the numbers of the old table.
    const bool at_rest = run_entry_ >= 0 && !drained_ && !has_failed_ && sent_.empty() && damages_.empty();
    if (!at_rest || shift < 0 || next_place_ < shift || static_cast<int64_t>(table->packets.size()) < common ||
        !table->contiguous || !table_->contiguous || table->stream != table_->stream || !in_order(*table) ||
        !in_order(*table_) ||
        !std::equal(table_->packets.begin() + shift, table_->packets.end(), table->packets.begin()))
        return false;
    std::unique_ptr<PacketSource> source = make_packet_source(path_, table);
    counters_.bytes_read += source_->bytes_read();
    source_ = std::move(source);
    table_ = table;
    entry_points_ = EntryPoints(*table_);
    run_entry_ = std::max<int64_t>(0, run_entry_ - shift);
    next_place_ -= shift;
    last_position_ -= shift;
    planned_.clear();
    plan_end_ = -1;
    drop_cache();
    return true;
}

void VideoDecoder::take_decoder() {
    bool opened = false;
    context_ = options_.pool->take(decoder_request(), path_.string(), opened);
    has_failed_ = false;
    has_been_fed_ = false;
    if (opened) ++counters_.decoder_opens;
}

VideoDecoder::~VideoDecoder() {
    if (context_ && !has_failed_) options_.pool->give_back(decoder_request(), std::move(context_));
}

DecodeCounters VideoDecoder::counters() const {
    DecodeCounters counters = counters_;
    counters.bytes_read += source_->bytes_read();
    counters.demux_scans = source_->demux_scans();
    return counters;
}

int64_t VideoDecoder::entry_position(int64_t position) const {
    check_position(position);
    // A key packet that is not shown itself stands for the first shown one behind it.
    for (int64_t place = entry_of(table_->display_order[static_cast<size_t>(position)]); place < packet_count();
         ++place) {
        if (position_of(place) >= 0) return position_of(place);
    }
    return position;
}

void VideoDecoder::will_read(std::span<const int64_t> positions) {
    std::vector<int64_t> places;
    for (const int64_t position : positions) {
        check_position(position);
        places.push_back(table_->display_order[static_cast<size_t>(position)]);
    }
    std::sort(places.begin(), places.end());
    planned_ = std::move(places);
    plan_end_ = positions.empty() ? -1 : positions.back();
}

VideoDecoder::Access VideoDecoder::access_for(int64_t position, int64_t place) const {
    if (std::binary_search(planned_.begin(), planned_.end(), place)) return Access::planned;
    if (position == last_position_ + 1) return Access::forward;
    if (position < last_position_ && last_position_ - position <= kBackwardReach) return Access::backward;
    if (position > last_position_ && run_entry_ >= 0 && run_entry_ == entry_of(place)) return Access::forward;
    return Access::jump;
}

bool VideoDecoder::can_continue(int64_t place, int64_t entry, bool in_order) const {
    if (run_entry_ < 0 || run_entry_ > entry) return false;
    if (sent_.count(place) > 0) return true;
    if (drained_ || place < next_place_) return false;
    return in_order || entry <= next_place_;
}

void VideoDecoder::drop_kept(const std::function<bool(int64_t position, int64_t place)>& condition) {
    std::erase_if(kept_, [&](const auto& kept) {
        const bool dropped = condition(kept.first, table_->display_order[static_cast<size_t>(kept.first)]);
        if (dropped) kept_bytes_ -= frame_bytes(*kept.second);
        return dropped;
    });
}

void VideoDecoder::abandon_run() {
    // Kept frames that depend on one still on its way could never be told sound from damaged.
    drop_kept([this](int64_t position, int64_t own) { return awaits_reference(position, own, entry_of(own)); });
    sent_.clear();
    damages_.clear();
    run_entry_ = -1;
}

void VideoDecoder::restart(int64_t entry) {
    abandon_run();
    if (counters_.packets_sent > 0 || entry != 0) ++counters_.seeks;
    // What a failure leaves behind in a decoder outlives a flush and has been seen to spoil later pictures.
    if (has_failed_) {
        context_.reset();
        take_decoder();
    } else if (has_been_fed_) {
        avcodec_flush_buffers(context_.get());
    }
    has_been_fed_ = true;
    // Without an IDR picture H.264 is certain of its pictures only after a while; the table has those that it shows
    // when it decodes all, and a decoder that is drained early must give them too.
    const bool uncertain = context_->codec_id == AV_CODEC_ID_H264 && !packet(entry).key;
    context_->flags &= ~AV_CODEC_FLAG_OUTPUT_CORRUPT;
    if (uncertain) context_->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    run_entry_ = entry;
    next_place_ = entry;
    drained_ = false;
    first_of_run_ = true;
}

void VideoDecoder::set_last_position(int64_t position) {
    if (position == last_position_) return;
    last_position_ = position;
    current_.reset();
}

void VideoDecoder::drop_cache() {
    kept_.clear();
    kept_bytes_ = 0;
}

void VideoDecoder::check_position(int64_t position) const {
    if (position >= 0 && position < table_->frame_count()) return;
    throw Error(ErrorCode::invalid_argument, {path_.string(), {}, {}},
                "has no frame " + std::to_string(position) + "; it holds " + std::to_string(table_->frame_count()));
}

/// Whether a disposable packet is decoded on the way to `target`.
bool VideoDecoder::wanted_by(Access access, int64_t place, int64_t target) const {
    if (access == Access::planned) return std::binary_search(planned_.begin(), planned_.end(), place);
    return access != Access::jump || place == target;
}

const AVFrame& VideoDecoder::read(int64_t position) {
    check_position(position);
    if (position == last_position_ && current_) {
        ++counters_.cache_hits;
        return *current_;
    }
    const int64_t place = table_->display_order[static_cast<size_t>(position)];
    const int64_t entry = entry_of(place);
    const Access access = access_for(position, place);
    const bool in_order = position == last_position_ + 1;
    last_position_ = position;
    current_.reset();
    if (access != Access::planned || position == plan_end_) plan_end_ = -1;
    const auto forget_plan = [this] {
        if (plan_end_ < 0) planned_.clear();
    };
    if (access != Access::planned) forget_plan();
    UniqueFrame known;
    if (const auto kept = kept_.find(position); kept != kept_.end()) {
        known = std::move(kept->second);
        kept_bytes_ -= frame_bytes(*known);
        kept_.erase(kept);
        ++counters_.cache_hits;
    } else if (access == Access::jump || (access == Access::planned && !can_continue(place, entry, in_order))) {
        drop_cache();
    }
    const bool continued = known || can_continue(place, entry, in_order);
    try {
        if (!continued) restart(entry);
        current_ = decode(position, place, entry, access, std::move(known));
    } catch (const Error& error) {
        has_failed_ = true;
        abandon_run();
        if ((!continued && access == Access::jump) || error.code() != ErrorCode::corrupt) throw;
        // What went wrong may lie before this frame's own entry point, or behind the frame.
        try {
            restart(entry);
            current_ = decode(position, place, entry, Access::jump);
        } catch (const Error&) {
            has_failed_ = true;
            abandon_run();
            throw;
        }
    }
    forget_plan();
    return *current_;
}

UniqueFrame VideoDecoder::decode(int64_t position, int64_t place, int64_t entry, Access access, UniqueFrame known) {
    int64_t last = place;
    if (access == Access::forward) last = place + reorder_depth_ + kForwardReach;
    if (access == Access::planned) last = planned_.back();
    int64_t through = place;
    if (access == Access::forward || access == Access::planned) {
        uint64_t ahead = 0;
        const int64_t end = access == Access::planned ? last + 1 : packet_count();
        while (through + 1 < end && through - place < kReadAheadPackets && ahead < kReadAheadBytes) {
            ahead += packet(++through).size;
        }
    }
    for (;;) {
        if (run_entry_ >= 0) {
            if (UniqueFrame frame = receive(place, position, access)) known = std::move(frame);
        }
        if (known && (drained_ || !awaits_reference(position, place, entry))) {
            check(*known, place);
            if (drained_) note_missing(std::numeric_limits<int64_t>::max(), place);
            if (const auto damage = damage_before(place, entry)) {
                damaged(place, "the frame depends on a damaged one, packet " +
                                   std::to_string(table_->first_position + *damage));
            }
            return known;
        }
        if (drained_) damaged(place, "the decoder gives no picture for it");
        while (next_place_ < std::min(last, packet_count()) && packet(next_place_).disposable &&
               !wanted_by(access, next_place_, place))
            ++next_place_;
        if (next_place_ < packet_count() && next_place_ <= last) {
            send(next_place_, std::max(through, next_place_), place);
        } else {
            drain();
        }
    }
}

void VideoDecoder::send(int64_t place, int64_t through, int64_t target) {
    try {
        source_->fetch(place, through, *packet_);
    } catch (const Error&) {
        if (place <= target) throw;
        drain();  // the wanted frame may still come out; whoever asks for this packet will get the error
        return;
    }
    packet_->pts = place;
    packet_->dts = place;
    packet_->flags = packet(place).key ? AV_PKT_FLAG_KEY : 0;
    if (std::exchange(first_of_run_, false)) {
        renew_parameter_sets();
        add_palette(*packet_, table_->stream.palette);
    }
    clear_libav_message();
    const bool sound =
        !table_->stream.slice_checksums || ffv1_checksums_match({packet_->data, static_cast<size_t>(packet_->size)});
    const int result = sound ? avcodec_send_packet(context_.get(), packet_.get()) : AVERROR_INVALIDDATA;
    ++counters_.packets_sent;
    next_place_ = place + 1;
    if (result >= 0) {
        sent_.insert(place);
        return;
    }
    if (place == target) damaged(place, "its data cannot be decoded");
    mark_damage(place);
}

/// Whether a frame shown later, but decoded before, has yet to come out and to tell whether it is sound.
bool VideoDecoder::awaits_reference(int64_t position, int64_t place, int64_t entry) const {
    if (reorder_depth_ == 0) return false;
    for (auto sent = sent_.lower_bound(entry); sent != sent_.end() && *sent < place; ++sent) {
        if (!packet(*sent).disposable && position_of(*sent) > position) return true;
    }
    return false;
}

/// Even a packet that no other needs: a decoder that has failed at it gives wrong pictures for those behind it, too.
void VideoDecoder::mark_damage(int64_t place) {
    has_failed_ = true;
    if (!damages_.insert(place).second) return;
    drop_kept([this, place](int64_t, int64_t own) { return own > place && entry_of(own) <= place; });
}

std::optional<int64_t> VideoDecoder::damage_before(int64_t place, int64_t entry) const {
    const auto damage = damages_.lower_bound(entry);
    return damage != damages_.end() && *damage < place ? std::optional(*damage) : std::nullopt;
}

/// Parameter sets inside the packets sent before may have replaced those of the container, which count again here.
void VideoDecoder::renew_parameter_sets() {
    const std::vector<uint8_t>& extradata = table_->stream.extradata;
    const bool has_sets = context_->codec_id == AV_CODEC_ID_H264 || context_->codec_id == AV_CODEC_ID_HEVC;
    if (!has_sets || extradata.empty()) return;
    uint8_t* data = av_packet_new_side_data(packet_.get(), AV_PKT_DATA_NEW_EXTRADATA, extradata.size());
    if (!data) throw Error(ErrorCode::internal, "out of memory for a video packet");
    std::memcpy(data, extradata.data(), extradata.size());
}

void VideoDecoder::drain() {
    avcodec_send_packet(context_.get(), nullptr);
    drained_ = true;
}

UniqueFrame VideoDecoder::receive(int64_t place, int64_t position, Access access) {
    UniqueFrame wanted;
    int errors = 0;
    for (;;) {
        UniqueFrame frame = make_frame();
        const int result = avcodec_receive_frame(context_.get(), frame.get());
        if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return wanted;
        if (result < 0) {
            // All that could be had was taken before the last packet was sent, so it is that one.
            mark_damage(next_place_ - 1);
            if (++errors > kMaxErrorsInARow) damaged(place, "the decoder fails");
            continue;
        }
        ++counters_.frames_decoded;
        const int64_t of = frame->pts;
        if (sent_.erase(of) == 0) continue;
        note_missing(position_of(of), of);
        const bool damaged_frame = flagged_as_damaged(*frame);
        if (damaged_frame) mark_damage(of);
        if (of == place) {
            wanted = std::move(frame);
            continue;
        }
        if (damaged_frame) continue;
        const int64_t shown = position_of(of);
        const bool clean = !damage_before(of, entry_of(of));
        const bool useful = access == Access::planned ? wanted_by(access, of, place) && shown > position
                                                      : shown > position || (shown >= 0 && access == Access::backward);
        if (clean && useful) {
            keep(shown, std::move(frame), position);
        }
    }
}

/// FFmpeg passes over packets that hold no picture any more without a word. Pictures come out in the order of display,
/// so of the packets before `place` those shown before `position` that have not come yet will not come.
void VideoDecoder::note_missing(int64_t position, int64_t place) {
    if (run_entry_ < 0) return;
    const int64_t first = position_of(run_entry_);
    for (const int64_t sent : sent_) {
        if (sent >= place) break;
        const int64_t shown = position_of(sent);
        if (!packet(sent).disposable && shown >= first && shown >= 0 && shown < position) mark_damage(sent);
    }
}

void VideoDecoder::keep(int64_t position, UniqueFrame frame, int64_t wanted) {
    if (!right_size(*frame)) return;
    kept_bytes_ += frame_bytes(*frame);
    UniqueFrame& place = kept_[position];
    if (place) kept_bytes_ -= frame_bytes(*place);
    place = std::move(frame);
    while (kept_bytes_ > options_.cache_bytes) {
        const auto last = std::prev(kept_.end());
        const auto farthest = wanted - kept_.begin()->first > last->first - wanted ? kept_.begin() : last;
        kept_bytes_ -= frame_bytes(*farthest->second);
        kept_.erase(farthest);
    }
}

bool VideoDecoder::right_size(const AVFrame& frame) const {
    if (frame.width > kMaxImageSide || frame.height > kMaxImageSide) return false;
    return options_.any_size || (frame.width == table_->stream.width && frame.height == table_->stream.height);
}

void VideoDecoder::check(const AVFrame& frame, int64_t place) const {
    if (flagged_as_damaged(frame)) damaged(place, "the decoder had to guess parts of the picture");
    if (!right_size(frame)) {
        damaged(place, "the picture is " + std::to_string(frame.width) + "x" + std::to_string(frame.height) +
                           " where the stream has " + std::to_string(table_->stream.width) + "x" +
                           std::to_string(table_->stream.height));
    }
}

void VideoDecoder::damaged(int64_t place, const std::string& reason) const {
    std::string message =
        "frame " + std::to_string(table_->first_position + position_of(place)) + " is damaged: " + reason;
    if (!libav_message().empty()) message += " (" + libav_message() + ")";
    throw Error(ErrorCode::corrupt, {path_.string(), {}, {}}, message);
}

}  // namespace reelstore
