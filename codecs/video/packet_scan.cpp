#include "codecs/video/packet_scan.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "codecs/video/decoder.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/nal_units.h"
#include "codecs/video/pixel_convert.h"

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

/// What the bitstream itself says about the order of display, for containers that do not.
struct OrderHint {
    bool new_sequence = false;  ///< picture counts begin again
    int picture_count = 0;
    bool b_picture = false;
};

class OrderReader {
public:
    explicit OrderReader(const AVCodecParameters& parameters) {
        const AVCodecDescriptor* descriptor = avcodec_descriptor_get(parameters.codec_id);
        if (!descriptor || !(descriptor->props & AV_CODEC_PROP_REORDER)) return;
        parser_.reset(av_parser_init(parameters.codec_id));
        context_.reset(avcodec_alloc_context3(nullptr));
        if (!parser_ || !context_ || avcodec_parameters_to_context(context_.get(), &parameters) < 0) {
            parser_.reset();
            return;
        }
        parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
    }

    bool knows() const { return parser_ != nullptr; }

    OrderHint read(const AVPacket& packet, bool key) {
        uint8_t* out = nullptr;
        int out_size = 0;
        av_parser_parse2(parser_.get(), context_.get(), &out, &out_size, packet.data, packet.size, AV_NOPTS_VALUE,
                         AV_NOPTS_VALUE, -1);
        return {.new_sequence = key && parser_->output_picture_number == 0,
                .picture_count = parser_->output_picture_number,
                .b_picture = parser_->pict_type == AV_PICTURE_TYPE_B};
    }

private:
    UniqueParser parser_;
    UniqueCodecContext context_;
};

/// Places in order of display by picture counts (H.264, HEVC).
std::vector<size_t> order_by_count(const std::vector<OrderHint>& hints) {
    std::vector<std::pair<int64_t, int>> keys(hints.size());
    int64_t sequence = 0;
    for (size_t place = 0; place < hints.size(); ++place) {
        if (hints[place].new_sequence) ++sequence;
        keys[place] = {sequence, hints[place].picture_count};
    }
    std::vector<size_t> order(hints.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
    return order;
}

/// Places in order of display by the rule of MPEG-1, 2 and 4: B pictures are shown at once, others after the B pictures
/// that follow them.
std::vector<size_t> order_by_type(const std::vector<OrderHint>& hints) {
    std::vector<size_t> order;
    std::optional<size_t> held;
    for (size_t place = 0; place < hints.size(); ++place) {
        if (hints[place].b_picture) {
            order.push_back(place);
            continue;
        }
        if (held) order.push_back(*held);
        held = place;
    }
    if (held) order.push_back(*held);
    return order;
}

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

/// Gives every packet a time stamp where the container has left some out.
void complete_times(PacketTable& table, const std::vector<ContainerTime>& given, const std::vector<OrderHint>& hints) {
    std::vector<Packet>& packets = table.packets;
    const auto has_pts = [](const Packet& packet) { return packet.pts != Packet::kNoPts; };
    if (std::all_of(packets.begin(), packets.end(), has_pts)) return;
    std::vector<size_t> order(packets.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const bool reordered = !hints.empty();
    if (reordered) {
        const bool counts = table.stream.codec == "h264" || table.stream.codec == "hevc";
        order = counts ? order_by_count(hints) : order_by_type(hints);
    }
    std::vector<int64_t> times;
    for (const ContainerTime& time : given) {
        if (time.decode_time != AV_NOPTS_VALUE) times.push_back(time.decode_time);
    }
    if (times.size() == packets.size()) {
        std::sort(times.begin(), times.end());
        for (size_t shown = 0; shown < order.size(); ++shown) packets[order[shown]].pts = times[shown];
        return;
    }
    const int64_t step = ticks_per_frame(table.stream);
    int64_t next = 0;
    for (const size_t place : order) {
        // A time stamp that would turn the order round is one that belongs to a neighbour.
        if (!has_pts(packets[place]) || packets[place].pts < next) packets[place].pts = next;
        next = packets[place].pts + (given[place].duration > 0 ? given[place].duration : step);
    }
}

bool carries_side_data(const AVPacket& packet) {
    for (const AVPacketSideDataType type : {AV_PKT_DATA_PALETTE, AV_PKT_DATA_NEW_EXTRADATA, AV_PKT_DATA_PARAM_CHANGE}) {
        if (av_packet_get_side_data(&packet, type, nullptr)) return true;
    }
    return false;
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
    head->packets.assign(table.packets.begin(), table.packets.begin() + std::min(kPackets, table.packets.size()));
    head->sort_display_order();
    try {
        VideoDecoder decoder(path, head, {.any_size = true});
        for (int64_t position = 0; position < std::min(head->frame_count(), kAttempts); ++position) {
            try {
                describe_picture(decoder.read(position), table.stream);
                return;
            } catch (const Error&) {
                continue;
            }
        }
    } catch (const Error&) {
        return;
    }
}

}  // namespace

VideoScan scan_packets(const std::filesystem::path& path, const std::string& forced) {
    Demuxer demuxer(path, forced);
    VideoScan scan;
    PacketTable& table = scan.table;
    table.stream = demuxer.stream();
    table.container = demuxer.container();
    const PacketInspector inspector(table.stream.codec, table.stream.extradata);
    PayloadLocator locator(demuxer.file());
    OrderReader order_reader(demuxer.parameters());
    std::vector<ContainerTime> times;
    std::vector<OrderHint> hints;
    std::vector<bool> cut_off;
    const UniquePacket packet = make_packet();
    while (demuxer.next(*packet)) {
        const std::span<const uint8_t> payload(packet->data, static_cast<size_t>(packet->size));
        const PacketNature nature =
            inspector.inspect(payload, {.key = (packet->flags & AV_PKT_FLAG_KEY) != 0,
                                        .disposable = (packet->flags & AV_PKT_FLAG_DISPOSABLE) != 0,
                                        .hidden = (packet->flags & AV_PKT_FLAG_DISCARD) != 0});
        Packet entry{.offset = static_cast<uint64_t>(std::max<int64_t>(0, packet->pos)),
                     .size = static_cast<uint32_t>(packet->size),
                     .pts = packet->pts,
                     .key = nature.key,
                     .disposable = nature.disposable,
                     .hidden = nature.hidden};
        cut_off.push_back((packet->flags & AV_PKT_FLAG_CORRUPT) != 0);
        if (carries_side_data(*packet)) table.contiguous = false;
        if (table.contiguous) {
            const std::optional<uint64_t> offset = locator.locate(packet->pos, payload);
            if (offset) entry.offset = *offset;
            // Bytes that the file does not have (the demuxer may have made up the rest) are no reason to distrust
            // others.
            else if (!cut_off.back())
                table.contiguous = false;
        }
        if (order_reader.knows()) hints.push_back(order_reader.read(*packet, nature.key));
        times.push_back({packet->dts, packet->duration});
        table.packets.push_back(entry);
    }
    while (!cut_off.empty() && cut_off.back()) {
        cut_off.pop_back();
        table.packets.pop_back();
        times.pop_back();
        if (!hints.empty()) hints.pop_back();
    }
    if (!table.packets.empty()) table.packets.front().key = true;
    complete_times(table, times, hints);
    table.sort_display_order();
    learn_picture(path, table);
    scan.creation_time = demuxer.creation_time();
    scan.bytes_read = demuxer.bytes_read();
    return scan;
}

}  // namespace reelstore
