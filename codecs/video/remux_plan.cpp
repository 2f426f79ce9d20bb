#include "codecs/video/remux_plan.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "codecs/video/nal_units.h"

namespace reelstore {

namespace {

/// Largest numerator and denominator of a frame rate.
constexpr int kRatePrecision = 1001000;

[[noreturn]] void fail_on_times() {
    throw Error(ErrorCode::corrupt, "the time stamps of the packets lie too far apart for any file");
}

int64_t sum(int64_t a, int64_t b) {
    int64_t result = 0;
    if (__builtin_add_overflow(a, b, &result)) fail_on_times();
    return result;
}

/// Time of display by place in units of the table: its own, or of the nominal rate where it lacks any.
std::vector<int64_t> times_of(const PacketTable& table) {
    const std::vector<Packet>& packets = table.packets;
    std::vector<int64_t> times(packets.size());
    const auto has_pts = [](const Packet& packet) { return packet.pts != Packet::kNoPts; };
    if (std::all_of(packets.begin(), packets.end(), has_pts)) {
        for (size_t place = 0; place < packets.size(); ++place) times[place] = packets[place].pts;
        return times;
    }
    const AVRational base = time_base_of(table.stream);
    const AVRational step = av_inv_q(frame_rate_of(table.stream));
    for (size_t position = 0; position < table.display_order.size(); ++position)
        times[table.display_order[position]] = av_rescale_q(static_cast<int64_t>(position), step, base);
    int64_t before = -1;
    for (size_t place = 0; place < packets.size(); ++place) {
        if (packets[place].hidden) times[place] = before;
        before = times[place];
    }
    return times;
}

/// Works out roles and times of the packets.
class Planner {
public:
    Planner(std::span<const RemuxPart> parts, const std::string& extension, AVRational base)
        : parts_(parts), extension_(extension), base_(base) {}

    RemuxPlan make(bool counted) {
        for (size_t part = 0; part < parts_.size(); ++part) add(part);
        if (counted) {
            count_frames();
        } else {
            order_decoding();
        }
        return std::move(plan_);
    }

private:
    void add(size_t number) {
        const PacketTable& table = *parts_[number].table;
        const std::vector<int64_t> times = times_of(table);
        const auto [first, last] = std::minmax_element(table.display_order.begin(), table.display_order.end(),
                                                       [&](uint32_t a, uint32_t b) { return times[a] < times[b]; });
        const int64_t begin = times[*first];
        const int64_t end = times[*last];
        const AVRational base = time_base_of(table.stream);
        const auto moved = [&](int64_t time) {
            return sum(next_begin_, rescale_time(time_difference(time, begin), base, base_));
        };
        for (size_t place = 0; place < times.size(); ++place) {
            PacketRole role = PacketRole::shown;
            if (table.packets[place].hidden)
                role = role_of_hidden(number, place, times[place]<begin, times[place]> end);
            plan_.roles.push_back(role);
            plan_.shown.push_back(moved(times[place]));
        }
        const AVRational step = av_inv_q(frame_rate_of(parts_[0].table->stream));
        next_begin_ = sum(moved(end), std::max<int64_t>(1, av_rescale_q(1, step, base_)));
    }

    PacketRole role_of_hidden(size_t number, size_t place, bool before, bool behind) {
        if (can_hide_packets(extension_)) {
            if (before && number == 0) return PacketRole::led_in;
            if (behind && number + 1 == parts_.size()) return PacketRole::led_out;
        }
        const PacketTable& table = *parts_[number].table;
        const auto packet_place = static_cast<int64_t>(place);
        parts_[number].file->open(parts_[number].table).fetch(packet_place, packet_place, *packet_);
        const PacketNature nature = PacketInspector(table.stream.codec, table.stream.extradata)
                                        .inspect({packet_->data, static_cast<size_t>(packet_->size)}, {});
        const auto is_key = [](const Packet& packet) { return packet.key; };
        const bool in_first_group =
            number == 0 && std::none_of(table.packets.begin() + 1, table.packets.begin() + packet_place + 1, is_key);
        if (nature.hidden || (nature.leading && in_first_group)) return PacketRole::without_picture;
        if (can_hide_packets(extension_)) {
            throw Error(
                ErrorCode::invalid_argument,
                "packet " + std::to_string(place) + " of part " + std::to_string(number) +
                    " is not to be shown, but only packets at the very beginning and end of a file can be hidden");
        }
        throw Error(ErrorCode::unsupported,
                    "a range that does not begin and end between groups of pictures needs packets that are not to be "
                    "shown, and " +
                        extension_ + " files cannot hide any; mp4 can");
    }

    /// For containers that count the frames of a constant rate.
    void count_frames() {
        std::vector<size_t> order;
        for (size_t place = 0; place < plan_.shown.size(); ++place) order.push_back(place);
        std::stable_sort(order.begin(), order.end(),
                         [&](size_t a, size_t b) { return plan_.shown[a] < plan_.shown[b]; });
        plan_.decoded.resize(order.size());
        for (size_t i = 0; i < order.size(); ++i) {
            plan_.shown[order[i]] = static_cast<int64_t>(i);
            plan_.decoded[i] = static_cast<int64_t>(i);
        }
    }

    void order_decoding() {
        plan_.decoded = plan_.shown;
        std::sort(plan_.decoded.begin(), plan_.decoded.end());
        int64_t delay = 0;
        for (size_t i = 0; i < plan_.decoded.size(); ++i)
            delay = std::max(delay, time_difference(plan_.decoded[i], plan_.shown[i]));
        for (int64_t& time : plan_.decoded) time = time_difference(time, delay);
    }

    std::span<const RemuxPart> parts_;
    const std::string& extension_;
    AVRational base_;
    int64_t next_begin_ = 0;
    UniquePacket packet_ = make_packet();
    RemuxPlan plan_;
};

}  // namespace

RemuxPlan plan_remux(std::span<const RemuxPart> parts, const std::string& extension, AVRational base) {
    return Planner(parts, extension, base).make(muxer_of_extension(extension) == "avi");
}

AVRational time_base_of(const VideoStream& stream) {
    return {static_cast<int>(stream.time_base_num), static_cast<int>(stream.time_base_den)};
}

AVRational frame_rate_of(const VideoStream& stream) {
    const AVRational rate = av_d2q(stream.frame_rate, kRatePrecision);
    return rate.num > 0 && rate.den > 0 ? rate : AVRational{25, 1};
}

int64_t time_difference(int64_t a, int64_t b) {
    int64_t result = 0;
    if (__builtin_sub_overflow(a, b, &result)) fail_on_times();
    return result;
}

int64_t rescale_time(int64_t a, AVRational from, AVRational to) {
    const int64_t result = av_rescale_q(a, from, to);
    // What av_rescale_q() gives for a time that does not fit.
    if (result == AV_NOPTS_VALUE) fail_on_times();
    return result;
}

}  // namespace reelstore
