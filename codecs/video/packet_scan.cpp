#include "codecs/video/packet_scan.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "codecs/checksum.h"
#include "codecs/video/decoder.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/display_order.h"
#include "codecs/video/ffv1_checksum.h"
#include "codecs/video/nal_units.h"
#include "codecs/video/packet_source.h"
#include "codecs/video/pixel_convert.h"
#include "codecs/video/transport_stream.h"

namespace reelstore {

namespace {

/// Finds payloads in the file, because the position that demuxers give may be that of a header before them.
class PayloadLocator {
public:
    explicit PayloadLocator(File& file) : file_(file) {}

    std::optional<uint64_t> locate(int64_t near, std::span<const uint8_t> payload) {
        if (near < 0) return std::nullopt;
        const int64_t begin = std::max<int64_t>(0, near - kBefore);
        window_.resize(static_cast<size_t>(near - begin + kAfter) + payload.size());
        const size_t known = file_.read_at(window_.data(), window_.size(), static_cast<uint64_t>(begin));
        const auto matches = [&](int64_t shift) {
            const int64_t at = near + shift - begin;
            return at >= 0 && static_cast<size_t>(at) + payload.size() <= known &&
                   std::memcmp(window_.data() + at, payload.data(), payload.size()) == 0;
        };
        if (matches(usual_shift_)) return static_cast<uint64_t>(near + usual_shift_);
        for (int64_t shift = -kBefore; shift <= kAfter; ++shift) {
            if (!matches(shift)) continue;
            usual_shift_ = shift;
            return static_cast<uint64_t>(near + shift);
        }
        return std::nullopt;
    }

private:
    static constexpr int64_t kBefore = 16;
    static constexpr int64_t kAfter = 64;

    File& file_;
    int64_t usual_shift_ = 0;
    std::vector<uint8_t> window_;
};

/// Finds payloads in the cells of a transport stream, where each begins behind the one before it.
class CellLocator {
public:
    explicit CellLocator(File& file) : reader_(file) {}

    bool usable() const { return reader_.usable(); }

    std::optional<uint64_t> locate(int64_t near, std::span<const uint8_t> payload) {
        if (behind_ > 0) {
            if (const auto found = at(behind_, payload)) return found;
        }
        if (near < 0) return std::nullopt;
        const auto stream = reader_.stream_at(static_cast<uint64_t>(near));
        if (!stream) return std::nullopt;
        stream_ = *stream;
        const auto from = static_cast<uint64_t>(near);
        // Near the end of the file there is less than that.
        if (!reader_.read(stream_, from, payload.size() + kReach, bytes_) &&
            !reader_.read(stream_, from, payload.size(), bytes_)) {
            return std::nullopt;
        }
        const auto found = std::search(bytes_.begin(), bytes_.end(), payload.begin(), payload.end());
        if (found == bytes_.end()) return std::nullopt;
        const auto before = static_cast<size_t>(found - bytes_.begin());
        const auto skipped = reader_.read(stream_, from, before, bytes_);
        return at(skipped && before > 0 ? skipped->behind : from, payload);
    }

private:
    /// How far behind the place that the demuxer gives a payload may begin.
    static constexpr size_t kReach = 4096;

    std::optional<uint64_t> at(uint64_t offset, std::span<const uint8_t> payload) {
        const auto place = reader_.read(stream_, offset, payload.size(), bytes_);
        if (!place || !std::equal(payload.begin(), payload.end(), bytes_.begin(), bytes_.end())) return std::nullopt;
        behind_ = place->behind;
        return place->first;
    }

    TransportStreamReader reader_;
    int stream_ = 0;
    uint64_t behind_ = 0;  ///< the payload found last; 0: none
    std::vector<uint8_t> bytes_;
};

/// Ticks of the time base between two frames.
int64_t ticks_per_frame(const VideoStream& stream) {
    if (stream.frame_rate <= 0) return 1;
    const double ticks =
        static_cast<double>(stream.time_base_den) / (static_cast<double>(stream.time_base_num) * stream.frame_rate);
    return std::max<int64_t>(1, static_cast<int64_t>(ticks + 0.5));
}

/// What the container says about the time of a packet besides its pts, in units of the stream's time base.
struct ContainerTime {
    int64_t decode_time = 0;  ///< AV_NOPTS_VALUE when unknown
    int64_t duration = 0;     ///< 0 when unknown
};

/// Gives every packet a time stamp where the container has left some out. `order` are the places in order of display.
void complete_times(PacketTable& table, const std::vector<ContainerTime>& given, const std::vector<size_t>& order) {
    std::vector<Packet>& packets = table.packets;
    const auto has_pts = [&](size_t place) { return packets[place].pts != Packet::kNoPts; };
    if (std::all_of(order.begin(), order.end(), has_pts)) return;
    std::vector<int64_t> times;
    for (const ContainerTime& time : given) {
        if (time.decode_time != AV_NOPTS_VALUE) times.push_back(time.decode_time);
    }
    if (times.size() == packets.size()) {
        std::sort(times.begin(), times.end());
        for (size_t shown = 0; shown < order.size(); ++shown) packets[order[shown]].pts = times[shown];
        return;
    }
    const int64_t usual_step = ticks_per_frame(table.stream);
    const auto step = [&](size_t place) { return given[place].duration > 0 ? given[place].duration : usual_step; };
    int64_t next = 0;
    if (const auto known = std::find_if(order.begin(), order.end(), has_pts); known != order.end()) {
        next = packets[*known].pts;
        for (auto before = order.begin(); before != known; ++before) next -= step(*before);
    }
    int64_t previous = next;
    for (const size_t place : order) {
        // A time stamp that would turn the order round is one that belongs to a neighbour.
        if (!has_pts(place) || packets[place].pts < previous) packets[place].pts = next;
        previous = packets[place].pts;
        next = previous + step(place);
    }
}

/// Some writers put down the times of decoding for those of display: they only ever grow where the pictures themselves
/// say that they change places. Gives the pictures their own again.
void undo_decode_times(PacketTable& table, const std::vector<size_t>& order) {
    constexpr size_t kFarthestMove = 32;
    std::vector<Packet>& packets = table.packets;
    for (size_t place = 1; place < packets.size(); ++place) {
        if (packets[place].pts <= packets[place - 1].pts) return;
    }
    std::vector<size_t> rank(order.size());
    for (size_t shown = 0; shown < order.size(); ++shown) {
        const size_t place = order[shown];
        rank[place] = shown;
        if (std::max(place, shown) - std::min(place, shown) > kFarthestMove) return;
    }
    // One step back may come from a damaged packet.
    size_t steps_back = 0;
    for (size_t place = 1; place < rank.size(); ++place) steps_back += rank[place] < rank[place - 1];
    if (steps_back < std::max<size_t>(2, packets.size() / 16)) return;
    std::vector<int64_t> times;
    for (const Packet& packet : packets) times.push_back(packet.pts);
    for (size_t shown = 0; shown < order.size(); ++shown) packets[order[shown]].pts = times[shown];
}

/// Packets with the same time stamp follow each other as the bitstream says.
void order_equal_times(PacketTable& table, const std::vector<size_t>& order) {
    std::vector<size_t> rank(order.size());
    for (size_t shown = 0; shown < order.size(); ++shown) rank[order[shown]] = shown;
    auto& display = table.display_order;
    for (auto begin = display.begin(); begin != display.end();) {
        const int64_t pts = table.packets[*begin].pts;
        const auto end =
            std::find_if(begin, display.end(), [&](uint32_t place) { return table.packets[place].pts != pts; });
        std::sort(begin, end, [&](uint32_t a, uint32_t b) { return rank[a] < rank[b]; });
        begin = end;
    }
}

/// Hides pictures that no decoder shows because they refer to what lies before a gap in the stream, of which the
/// beginning of the file is one.
void hide_after_gaps(PacketTable& table, const std::vector<PacketNature>& natures) {
    bool gap = true;
    bool undecodable = false;
    for (size_t place = 0; place < natures.size(); ++place) {
        const PacketNature& nature = natures[place];
        if (nature.key) {
            undecodable = gap || nature.after_gap;
            gap = false;
        }
        if (nature.leading && undecodable) table.packets[place].hidden = true;
        gap = gap || nature.ends_sequence;
    }
}

/// A picture may be left out when no other of its layer refers to it and there is no layer above.
void confirm_disposable(PacketTable& table, const std::vector<PacketNature>& natures) {
    int top = 0;
    for (const PacketNature& nature : natures) top = std::max(top, nature.layer);
    for (size_t place = 0; place < natures.size(); ++place) {
        Packet& packet = table.packets[place];
        packet.disposable = packet.disposable && natures[place].layer == top;
    }
}

bool has_side_data(const AVPacket& packet, AVPacketSideDataType type) {
    return av_packet_get_side_data(&packet, type, nullptr) != nullptr;
}

/// The palette that comes with a packet; empty for nearly all.
std::vector<uint8_t> palette_of(const AVPacket& packet) {
    size_t size = 0;
    const uint8_t* data = av_packet_get_side_data(&packet, AV_PKT_DATA_PALETTE, &size);
    if (!data) return {};
    return {data, data + size};
}

/// Decodes one of the first frames, because many containers do not say what they look like. Of a stream that nobody can
/// decode only what the container says is known.
void learn_picture(const std::filesystem::path& path, PacketTable& table) {
    constexpr size_t kPackets = 64;
    constexpr int64_t kAttempts = 3;
    const auto head = std::make_shared<PacketTable>();
    head->stream = table.stream;
    head->container = table.container;
    head->contiguous = table.contiguous;
    head->in_cells = table.in_cells;
    head->packets.assign(table.packets.begin(), table.packets.begin() + std::min(kPackets, table.packets.size()));
    head->sort_display_order();
    const auto decodes_one = [&] {
        try {
            VideoDecoder decoder(path, head, {.any_size = true});
            for (int64_t position = 0; position < std::min(head->frame_count(), kAttempts); ++position) {
                try {
                    describe_picture(decoder.read(position), table.stream);
                    return true;
                } catch (const Error&) {
                    continue;
                }
            }
        } catch (const Error&) {
        }
        return false;
    };
    if (decodes_one()) return;
    // Some cameras and recorders put something into every packet that FFmpeg does not like.
    head->stream.lenient = true;
    if (decodes_one()) table.stream.lenient = true;
}

/// Feeds the first packets to a decoder and tells which of them gave a picture and which an error.
void decode_beginning(const std::filesystem::path& path, const std::shared_ptr<const PacketTable>& table, int64_t count,
                      std::vector<bool>& shown, std::vector<bool>& failed) {
    const auto source = make_packet_source(path, table);
    DecoderPool pool;
    bool opened = false;
    const UniqueCodecContext decoder = pool.take({.stream = table->stream}, path.string(), opened);
    const UniquePacket packet = make_packet();
    const auto take_pictures = [&] {
        for (;;) {
            const UniqueFrame frame = make_frame();
            if (avcodec_receive_frame(decoder.get(), frame.get()) < 0) return;
            if (frame->pts >= 0 && frame->pts < count) shown[static_cast<size_t>(frame->pts)] = true;
        }
    };
    for (int64_t place = 0; place < count; ++place) {
        source->fetch(place, count - 1, *packet);
        packet->pts = place;
        packet->dts = place;
        if (avcodec_send_packet(decoder.get(), packet.get()) < 0) failed[static_cast<size_t>(place)] = true;
        take_pictures();
    }
    avcodec_send_packet(decoder.get(), nullptr);
    take_pictures();
}

/// A stream that was cut out of another may begin with pictures whose references are missing: no decoder shows them,
/// and so they are no frames. Decodes the beginning to see which. `order` is the order of display that the bitstream
/// tells: the times of such pictures are often bent.
void hide_undecodable_beginning(const std::filesystem::path& path, PacketTable& table, bool begins_closed,
                                const std::vector<size_t>& order) {
    constexpr int64_t kMostPackets = 2000;
    if (begins_closed || (table.packets.front().key && order.front() == 0)) return;
    const auto shared = std::make_shared<const PacketTable>(table);
    const auto packets = static_cast<int64_t>(table.packets.size());
    for (int64_t count = std::min<int64_t>(64, packets);; count = std::min(count * 4, packets)) {
        std::vector<bool> shown(table.packets.size());
        std::vector<bool> failed(table.packets.size());
        try {
            decode_beginning(path, shared, count, shown, failed);
        } catch (const Error&) {
            return;
        }
        const auto first = std::find_if(order.begin(), order.end(), [&](size_t place) { return shown[place]; });
        if (first != order.end()) {
            std::for_each(order.begin(), first, [&](size_t place) {
                if (!failed[place]) table.packets[place].hidden = true;
            });
            std::erase_if(table.display_order, [&](uint32_t place) { return table.packets[place].hidden; });
            return;
        }
        if (count == packets || count > kMostPackets) return;
    }
}

}  // namespace

VideoScan scan_packets(const std::filesystem::path& path, const std::string& forced,
                       const std::function<void(int64_t, int64_t)>& progress) {
    Demuxer demuxer(path, forced);
    VideoScan scan;
    PacketTable& table = scan.table;
    table.stream = demuxer.stream();
    table.container = demuxer.container();
    const PacketInspector inspector(table.stream.codec, table.stream.extradata);
    PayloadLocator locator(demuxer.file());
    CellLocator cells(demuxer.file());
    OrderReader order_reader(demuxer.parameters());
    std::vector<ContainerTime> times;
    std::vector<OrderHint> hints;
    std::vector<PacketNature> natures;
    std::vector<bool> cut_off;
    bool palette_changes = false;
    bool some_made_up = false;
    if (table.container == "mpegts") {
        table.contiguous = false;
        table.in_cells = cells.usable();
    }
    const UniquePacket packet = make_packet();
    while (demuxer.next(*packet)) {
        const std::span<const uint8_t> payload(packet->data, static_cast<size_t>(packet->size));
        const PacketNature nature = inspector.inspect(payload, {.key = (packet->flags & AV_PKT_FLAG_KEY) != 0,
                                                                .hidden = (packet->flags & AV_PKT_FLAG_DISCARD) != 0});
        Packet entry{.offset = static_cast<uint64_t>(std::max<int64_t>(0, packet->pos)),
                     .size = static_cast<uint32_t>(packet->size),
                     .pts = packet->pts,
                     .key = nature.key,
                     .disposable = nature.disposable,
                     .hidden = nature.hidden};
        cut_off.push_back((packet->flags & AV_PKT_FLAG_CORRUPT) != 0);
        if (has_side_data(*packet, AV_PKT_DATA_NEW_EXTRADATA) || has_side_data(*packet, AV_PKT_DATA_PARAM_CHANGE)) {
            table.contiguous = false;
        }
        if (const auto palette = palette_of(*packet); !palette.empty()) {
            if (table.packets.empty()) table.stream.palette = palette;
            palette_changes = palette_changes || palette != table.stream.palette;
        }
        if (table.contiguous) {
            std::optional<uint64_t> offset = locator.locate(packet->pos, payload);
            const size_t made_up = offset ? 0 : prepended_bytes(table.stream.codec, payload);
            if (made_up > 0) offset = locator.locate(packet->pos, payload.subspan(made_up));
            if (offset) {
                entry.offset = *offset;
                entry.size -= static_cast<uint32_t>(made_up);
                entry.checksum = frame_checksum(payload.subspan(made_up));
                some_made_up = some_made_up || made_up > 0;
            } else if (!cut_off.back()) {
                // Bytes that the file does not have (the demuxer may have made up the rest) are no reason to distrust
                // others.
                table.contiguous = false;
            }
        }
        if (table.in_cells) {
            const std::optional<uint64_t> offset = cells.locate(packet->pos, payload);
            if (offset) entry.offset = *offset;
            table.in_cells = offset || cut_off.back();
        }
        if (order_reader.knows()) hints.push_back(order_reader.read(*packet, nature.closed || nature.after_gap));
        if (table.stream.codec == "ffv1" && !table.stream.slice_checksums) {
            table.stream.slice_checksums = ffv1_checksums_match(payload);
        }
        if (!entry.checksum) entry.checksum = frame_checksum(payload);
        times.push_back({packet->dts, packet->duration});
        natures.push_back(nature);
        table.packets.push_back(entry);
        if (progress) {
            const auto size = static_cast<int64_t>(demuxer.file().size());
            progress(std::min(demuxer.bytes_read(), size), size);  // an index at the end is read twice
        }
    }
    while (!cut_off.empty() && cut_off.back()) {
        cut_off.pop_back();
        table.packets.pop_back();
        times.pop_back();
        natures.pop_back();
        if (!hints.empty()) hints.pop_back();
    }
    if (palette_changes) {
        table.contiguous = false;
        table.stream.palette.clear();
    }
    // Then the demuxer hands out more than the bytes whose checksum was taken.
    if (some_made_up && !table.contiguous) {
        for (Packet& entry : table.packets) entry.checksum.reset();
    }
    scan.creation_time = demuxer.creation_time();
    scan.bytes_read = demuxer.bytes_read();
    if (demuxer.video_streams() > 1) {
        scan.warnings.push_back("holds " + std::to_string(demuxer.video_streams()) +
                                " video streams; only the first is read");
    }
    if (table.packets.empty()) return scan;
    confirm_disposable(table, natures);
    hide_after_gaps(table, natures);
    std::vector<size_t> order(table.packets.size());
    std::iota(order.begin(), order.end(), size_t{0});
    if (!hints.empty()) order = order_by_hints(table.stream.codec, hints);
    complete_times(table, times, order);
    undo_decode_times(table, order);
    table.sort_display_order();
    order_equal_times(table, order);
    learn_picture(path, table);
    if (!hints.empty()) hide_undecodable_beginning(path, table, natures.front().closed, order);
    return scan;
}

}  // namespace reelstore
