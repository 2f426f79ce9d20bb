#include "codecs/video/remux.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

extern "C" {
#include <libavutil/mem.h>
}

#include "base/error.h"
#include "codecs/checksum.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/libav.h"
#include "codecs/video/mp4_edit_list.h"
#include "codecs/video/nal_units.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

/// Largest numerator and denominator of a frame rate.
constexpr int kRatePrecision = 1001000;
/// A box, list or element more than this is no container of ours.
constexpr int kMostParts = 100'000;

uint64_t big_endian(const uint8_t* bytes, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8 | bytes[i];
    return value;
}

uint64_t little_endian32(const uint8_t* bytes) {
    return uint64_t{bytes[0]} | uint64_t{bytes[1]} << 8 | uint64_t{bytes[2]} << 16 | uint64_t{bytes[3]} << 24;
}

bool has_name(const uint8_t* bytes, const char* name) {
    return std::memcmp(bytes, name, 4) == 0;
}

bool mp4_complete(File& file, uint64_t size) {
    uint64_t offset = 0;
    for (int part = 0; part < kMostParts && offset + 8 <= size; ++part) {
        std::array<uint8_t, 16> head{};
        const size_t got = file.read_at(head.data(), head.size(), offset);
        uint64_t length = big_endian(head.data(), 4);
        if (length == 1 && got == head.size()) length = big_endian(head.data() + 8, 8);
        if (length < 8 || length > size - offset) return false;
        if (has_name(head.data() + 4, "moov")) return true;
        offset += length;
    }
    return false;
}

bool avi_complete(File& file, uint64_t size) {
    uint64_t offset = 0;
    // Files beyond 1 GB have a list of this kind for every GB.
    for (int part = 0; part < kMostParts && offset + 12 <= size; ++part) {
        std::array<uint8_t, 12> head{};
        if (file.read_at(head.data(), head.size(), offset) != head.size()) return false;
        const uint64_t length = little_endian32(head.data() + 4);
        if (!has_name(head.data(), "RIFF") || length < 4 || length > size - offset - 8) return false;
        offset += 8 + length + length % 2;
    }
    return offset > 0 && offset + 12 > size;
}

/// Length in bytes and value of an EBML number; with `marker` the leading bit stays, as in identifiers.
std::optional<std::pair<int, uint64_t>> ebml_number(const uint8_t* bytes, size_t known, bool marker) {
    if (known == 0 || bytes[0] == 0) return std::nullopt;
    int length = 1;
    while (!(bytes[0] & (0x80 >> (length - 1)))) ++length;
    if (static_cast<size_t>(length) > known) return std::nullopt;
    uint64_t value = big_endian(bytes, static_cast<size_t>(length));
    if (!marker) value &= (uint64_t{1} << (7 * length)) - 1;
    return std::pair(length, value);
}

bool mkv_complete(File& file, uint64_t size) {
    constexpr uint64_t kSegment = 0x18538067;
    uint64_t offset = 0;
    for (int part = 0; part < 16 && offset < size; ++part) {
        std::array<uint8_t, 16> head{};
        const size_t got = file.read_at(head.data(), head.size(), offset);
        const auto id = ebml_number(head.data(), got, true);
        if (!id) return false;
        const auto length = ebml_number(head.data() + id->first, got - static_cast<size_t>(id->first), false);
        if (!length) return false;
        const uint64_t unknown = (uint64_t{1} << (7 * length->first)) - 1;
        const uint64_t begin = offset + static_cast<uint64_t>(id->first + length->first);
        if (begin > size || length->second == unknown || length->second > size - begin) return false;
        if (id->second == kSegment) return true;
        offset = begin + length->second;
    }
    return false;
}

AVRational time_base_of(const VideoStream& stream) {
    return {static_cast<int>(stream.time_base_num), static_cast<int>(stream.time_base_den)};
}

AVRational frame_rate_of(const VideoStream& stream) {
    const AVRational rate = av_d2q(stream.frame_rate, kRatePrecision);
    return rate.num > 0 && rate.den > 0 ? rate : AVRational{25, 1};
}

void fill_parameters(const VideoStream& stream, const AVOutputFormat& container, AVCodecParameters& parameters) {
    const AVCodecDescriptor* codec = avcodec_descriptor_get_by_name(stream.codec.c_str());
    if (!codec) throw Error(ErrorCode::unsupported, "the codec \"" + stream.codec + "\" is not known");
    parameters.codec_type = AVMEDIA_TYPE_VIDEO;
    parameters.codec_id = codec->id;
    parameters.width = stream.width;
    parameters.height = stream.height;
    parameters.format = av_get_pix_fmt(stream.pixel_format.c_str());
    parameters.bits_per_coded_sample = stream.bits_per_sample;
    const int range = av_color_range_from_name(stream.color_range.c_str());
    if (range >= 0) parameters.color_range = static_cast<AVColorRange>(range);
    const int matrix = av_color_space_from_name(stream.color_space.c_str());
    if (matrix >= 0) parameters.color_space = static_cast<AVColorSpace>(matrix);
    // The tag of another container may mean nothing in this one.
    const auto tag = static_cast<uint32_t>(stream.codec_tag);
    if (tag != 0 && container.codec_tag && av_codec_get_id(container.codec_tag, tag) == codec->id) {
        parameters.codec_tag = tag;
    }
    if (stream.extradata.empty()) return;
    const size_t size = stream.extradata.size();
    parameters.extradata = static_cast<uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!parameters.extradata) throw Error(ErrorCode::internal, "out of memory for a video stream");
    std::memcpy(parameters.extradata, stream.extradata.data(), size);
    parameters.extradata_size = static_cast<int>(size);
}

[[noreturn]] void fail_on_times() {
    throw Error(ErrorCode::corrupt, "the time stamps of the packets lie too far apart for any file");
}

int64_t difference(int64_t a, int64_t b) {
    int64_t result = 0;
    if (__builtin_sub_overflow(a, b, &result)) fail_on_times();
    return result;
}

int64_t sum(int64_t a, int64_t b) {
    int64_t result = 0;
    if (__builtin_add_overflow(a, b, &result)) fail_on_times();
    return result;
}

std::span<const uint8_t> payload_of(const AVPacket& packet) {
    return {packet.data, static_cast<size_t>(packet.size)};
}

bool writes_edit_lists(const std::string& muxer) {
    return muxer == "mp4" || muxer == "mov";
}

/// Whether the container keeps H.264 and its like in the form of PacketFile::stream().
bool wants_own_form(const std::string& muxer) {
    return muxer != "avi";
}

/// Players are told to turn the picture, in the form of ISO/IEC 14496-12.
void add_display_matrix(const VideoStream& described, AVStream& stream) {
    constexpr int32_t kOne = 1 << 16;
    constexpr int32_t kLast = 1 << 30;
    static constexpr std::array<std::array<int32_t, 4>, 4> kTurns = {
        {{kOne, 0, 0, kOne}, {0, kOne, -kOne, 0}, {-kOne, 0, 0, -kOne}, {0, -kOne, kOne, 0}}};
    const std::array<int32_t, 4>& turn = kTurns.at(static_cast<size_t>(described.rotation / 90));
    const int32_t sign = described.mirrored ? -1 : 1;
    const std::array<int32_t, 9> matrix = {sign * turn[0], sign * turn[1], 0, turn[2], turn[3], 0, 0, 0, kLast};
    uint8_t* data = av_stream_new_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, sizeof(matrix));
    if (!data) throw Error(ErrorCode::internal, "out of memory for a video stream");
    std::memcpy(data, matrix.data(), sizeof(matrix));
}

/// What a packet is in the new file.
enum class Role : uint8_t {
    shown,
    without_picture,  ///< hidden by its nature
    led_in,           ///< to be hidden, before the first shown one
    led_out,          ///< to be hidden, behind the last shown one
};

/// All packets of the output, one part behind the other, in units of the output's time base.
struct Plan {
    std::vector<Role> roles;
    std::vector<int64_t> shown;    ///< time of display, 0 for the first frame shown
    std::vector<int64_t> decoded;  ///< rising and never behind the time of display
};

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

    Plan make(bool counted) {
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
            const int64_t since = av_rescale_q(difference(time, begin), base, base_);
            // What av_rescale_q() gives for a time that does not fit.
            if (since == AV_NOPTS_VALUE) fail_on_times();
            return sum(next_begin_, since);
        };
        for (size_t place = 0; place < times.size(); ++place) {
            Role role = Role::shown;
            if (table.packets[place].hidden)
                role = role_of_hidden(number, place, times[place]<begin, times[place]> end);
            plan_.roles.push_back(role);
            plan_.shown.push_back(moved(times[place]));
        }
        const AVRational step = av_inv_q(frame_rate_of(parts_[0].table->stream));
        next_begin_ = sum(moved(end), std::max<int64_t>(1, av_rescale_q(1, step, base_)));
    }

    Role role_of_hidden(size_t number, size_t place, bool before, bool behind) {
        if (can_hide_packets(extension_)) {
            if (before && number == 0) return Role::led_in;
            if (behind && number + 1 == parts_.size()) return Role::led_out;
        }
        const PacketTable& table = *parts_[number].table;
        const auto packet_place = static_cast<int64_t>(place);
        parts_[number].file->open(parts_[number].table).fetch(packet_place, packet_place, *packet_);
        const PacketNature nature =
            PacketInspector(table.stream.codec, table.stream.extradata).inspect(payload_of(*packet_), {});
        const auto is_key = [](const Packet& packet) { return packet.key; };
        const bool in_first_group =
            number == 0 && std::none_of(table.packets.begin() + 1, table.packets.begin() + packet_place + 1, is_key);
        if (nature.hidden || (nature.leading && in_first_group)) return Role::without_picture;
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
            delay = std::max(delay, difference(plan_.decoded[i], plan_.shown[i]));
        for (int64_t& time : plan_.decoded) time = difference(time, delay);
    }

    std::span<const RemuxPart> parts_;
    const std::string& extension_;
    AVRational base_;
    int64_t next_begin_ = 0;
    UniquePacket packet_ = make_packet();
    Plan plan_;
};

/// Unit of time of the output for parts of which the first has this one.
AVRational output_time_base(const std::string& muxer, const VideoStream& first) {
    // An avi counts frames of its rate.
    if (muxer == "avi") return av_inv_q(frame_rate_of(first));
    AVRational base = time_base_of(first);
    if (!writes_edit_lists(muxer)) return base;
    // Movie and track have to count in the same unit, which FFmpeg refines for a track below this.
    constexpr int kLeastUnits = 10'000;
    while (base.den < kLeastUnits) base.den *= 2;
    return {1, base.den};
}

/// Writes packets one by one and learns where each came to lie.
class Remuxer {
public:
    Remuxer(File& file, const VideoStream& described, const std::string& muxer, AVRational base)
        : file_(file), output_(file), codec_(described.codec), edit_list_(writes_edit_lists(muxer)), base_(base) {
        capture_libav_log();
        clear_libav_message();
        AVFormatContext* context = nullptr;
        fail_on(avformat_alloc_output_context2(&context, nullptr, muxer.c_str(), nullptr), "write this kind of file");
        format_.reset(context);
        format_->pb = output_.io();
        // Payloads have to be stored byte for byte, so no filter of FFmpeg's own choice.
        format_->flags = (format_->flags | AVFMT_FLAG_CUSTOM_IO) & ~AVFMT_FLAG_AUTO_BSF;
        format_->avoid_negative_ts = 0;  // the times of display are not to be moved because decoding begins before 0
        AVStream* stream = avformat_new_stream(format_.get(), nullptr);
        if (!stream) throw Error(ErrorCode::internal, "out of memory for a video stream");
        fill_parameters(described, *format_->oformat, *stream->codecpar);
        if (avformat_query_codec(format_->oformat, stream->codecpar->codec_id, FF_COMPLIANCE_NORMAL) == 0) {
            throw Error(ErrorCode::unsupported, muxer + " files cannot hold " + codec_ + " video");
        }
        OptionDictionary options;
        if (edit_list_) {
            options.set("use_editlist", "1");
            options.set("movie_timescale", std::to_string(base.den));
            if (described.rotation != 0 || described.mirrored) add_display_matrix(described, *stream);
        } else if (described.rotation != 0 || described.mirrored) {
            throw Error(ErrorCode::unsupported,
                        "its picture is to be turned, which " + muxer + " files cannot say; mp4 can");
        }
        stream->time_base = base;
        stream->avg_frame_rate = frame_rate_of(described);
        stream->r_frame_rate = stream->avg_frame_rate;
        duration_ = std::max<int64_t>(1, av_rescale_q(1, av_inv_q(frame_rate_of(described)), base));
        fail_on(avformat_write_header(format_.get(), options.get()), "begin the file");
    }

    AVRational time_base() const { return format_->streams[0]->time_base; }

    struct Written {
        uint64_t offset = 0;
        uint32_t size = 0;  ///< of what the file holds of the payload
        int64_t pts = 0;
    };

    Written write(AVPacket& packet, int64_t shown, int64_t decoded, Role role, bool key) {
        const AVRational base = time_base();
        packet.stream_index = 0;
        packet.pts = av_rescale_q(shown, base_, base);
        packet.dts = av_rescale_q(decoded, base_, base);
        packet.duration = std::max<int64_t>(1, av_rescale_q(duration_, base_, base));
        if (packet.pts == AV_NOPTS_VALUE || packet.dts == AV_NOPTS_VALUE) fail_on_times();
        // FFmpeg takes a first packet behind 0 for a delay of the whole track.
        if (!last_ && edit_list_) early_ = std::max<int64_t>(0, packet.pts);
        packet.pts = difference(packet.pts, early_);
        packet.dts = difference(packet.dts, early_);
        if (last_ && packet.dts <= *last_) packet.dts = difference(*last_, -1);
        packet.pts = std::max(packet.pts, packet.dts);
        if (!last_) first_decoded_ = packet.dts;
        last_ = packet.dts;
        if (role == Role::shown) {
            shown_begin_ = std::min(shown_begin_, packet.pts);
            shown_end_ = std::max(shown_end_, packet.pts + packet.duration);
        } else if (role == Role::led_out) {
            led_out_begin_ = std::min(led_out_begin_, packet.pts);
        }
        const int64_t pts = packet.pts + early_;
        packet.flags = key ? AV_PKT_FLAG_KEY : 0;
        output_.mark();
        fail_on(av_write_frame(format_.get(), &packet), "write a packet");
        fail_on(av_write_frame(format_.get(), nullptr), "write a packet");
        avio_flush(format_->pb);
        fail_on(format_->pb->error, "write a packet");
        std::span<const uint8_t> stored = payload_of(packet);
        auto offset = output_.find(stored);
        if (const size_t made_up = prepended_bytes(codec_, stored); !offset && made_up > 0) {
            stored = stored.subspan(made_up);
            offset = output_.find(stored);
        }
        if (!offset) throw Error(ErrorCode::unsupported, "this container alters the packets of the stream");
        output_.mark();
        return {*offset, static_cast<uint32_t>(stored.size()), pts};
    }

    void finish() {
        fail_on(av_write_trailer(format_.get()), "finish the file");
        avio_flush(format_->pb);
        fail_on(format_->pb->error, "finish the file");
        if (!edit_list_ || shown_end_ <= shown_begin_) return;
        set_edit_list(file_, difference(shown_begin_, first_decoded_),
                      difference(std::min(shown_end_, led_out_begin_), shown_begin_));
    }

    uint64_t bytes_written() const { return output_.bytes_written(); }

private:
    void fail_on(int code, const char* action) {
        output_.rethrow();
        if (code < 0) throw libav_error(code, {}, action);
    }

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

/// Copies the packets of parts one by one.
class PartCopier {
public:
    PartCopier(Remuxer& remuxer, const Plan& plan, bool own_form, RemuxResult& result, std::vector<uint32_t>& written)
        : remuxer_(remuxer), plan_(plan), own_form_(own_form), result_(result), written_(written) {}

    void copy(const RemuxPart& part) {
        PacketTable& output = result_.table;
        const PacketTable& table = *part.table;
        const auto first_place = static_cast<uint32_t>(output.packets.size());
        PacketSource& source = part.file->open(part.table);
        const auto count = static_cast<int64_t>(table.packets.size());
        const PacketInspector inspector(table.stream.codec, table.stream.extradata);
        for (int64_t place = 0; place < count; ++place) {
            source.fetch(place, std::min(place + kReadAheadPackets, count - 1), *packet_);
            if (place == 0 && first_place > 0) check_beginning(inspector);
            check_side_data(table.stream);
            if (first_place + place == 0) add_palette(*packet_, table.stream.palette);
            write(part, table.packets[static_cast<size_t>(place)]);
        }
        for (const uint32_t place : table.display_order) output.display_order.push_back(first_place + place);
        part.file->close();
    }

private:
    static constexpr int64_t kReadAheadPackets = 32;

    /// Whatever a decoder still holds of the part before must not get between the pictures of this one.
    void check_beginning(const PacketInspector& inspector) const {
        const std::string& codec = result_.table.stream.codec;
        if (codec != "h264" && codec != "hevc") return;
        const PacketNature nature = inspector.inspect(payload_of(*packet_), {});
        if (nature.closed || nature.after_gap) return;
        throw Error(ErrorCode::unsupported,
                    "a part that is to follow another begins with an open group of pictures; convert it instead");
    }

    void check_side_data(const VideoStream& stream) const {
        size_t size = 0;
        const uint8_t* palette = av_packet_get_side_data(packet_.get(), AV_PKT_DATA_PALETTE, &size);
        const bool other_palette =
            palette && !std::equal(palette, palette + size, stream.palette.begin(), stream.palette.end());
        if (!other_palette && !av_packet_get_side_data(packet_.get(), AV_PKT_DATA_NEW_EXTRADATA, nullptr) &&
            !av_packet_get_side_data(packet_.get(), AV_PKT_DATA_PARAM_CHANGE, nullptr)) {
            return;
        }
        throw Error(ErrorCode::unsupported,
                    "its stream changes its parameters or colours on the way; convert it instead");
    }

    void write(const RemuxPart& part, const Packet& original) {
        const size_t place = result_.table.packets.size();
        const bool reshaped = own_form_ && reshape(part, original);
        // The file itself has to begin with a key packet, or FFmpeg finds no way in.
        const bool key = original.key || place == 0;
        const Remuxer::Written at =
            remuxer_.write(*packet_, plan_.shown[place], plan_.decoded[place], plan_.roles[place], key);
        const std::span<const uint8_t> payload = payload_of(*packet_);
        written_.push_back(frame_checksum(payload));
        Packet packet = original;
        packet.offset = at.offset;
        packet.pts = at.pts;
        // What the container leaves out of a payload was not in the old file either, or is not any more.
        const bool same = !reshaped && at.size == original.size;
        packet.size = at.size;
        if (!same || !packet.checksum) packet.checksum = frame_checksum(payload.last(at.size));
        result_.table.packets.push_back(packet);
    }

    /// What the checksum of the packet was taken of.
    std::span<const uint8_t> original_bytes(const RemuxPart& part, const Packet& original) const {
        const std::span<const uint8_t> payload = payload_of(*packet_);
        return part.table->contiguous && original.size < payload.size() ? payload.last(original.size) : payload;
    }

    bool reshape(const RemuxPart& part, const Packet& original) {
        bytes_.assign(packet_->data, packet_->data + packet_->size);
        if (!part.file->reshape(bytes_)) return false;
        if (bytes_.empty() ||
            (original.checksum && *original.checksum != frame_checksum(original_bytes(part, original)))) {
            throw Error(ErrorCode::corrupt, {part.file->path().string(), {}, {}},
                        "the " + std::to_string(original.size) + " bytes at " + std::to_string(original.offset) +
                            " are damaged and cannot be brought into the form of the new file");
        }
        av_packet_unref(packet_.get());
        if (bytes_.size() > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE ||
            av_new_packet(packet_.get(), static_cast<int>(bytes_.size())) < 0) {
            throw Error(ErrorCode::internal, "out of memory for a video packet");
        }
        std::memcpy(packet_->data, bytes_.data(), bytes_.size());
        return true;
    }

    Remuxer& remuxer_;
    const Plan& plan_;
    bool own_form_;
    RemuxResult& result_;
    std::vector<uint32_t>& written_;
    UniquePacket packet_ = make_packet();
    std::vector<uint8_t> bytes_;
};

/// Throws unless a demuxer finds exactly packets with these checksums in the file, and those hidden that are to be.
void check_container(const fs::path& path, const std::string& extension, const std::vector<uint32_t>& checksums,
                     const std::vector<Role>& roles) {
    Demuxer demuxer(path, demuxer_of_extension("x" + extension));
    const UniquePacket packet = make_packet();
    size_t place = 0;
    for (; demuxer.next(*packet); ++place) {
        if (place >= checksums.size() || frame_checksum(payload_of(*packet)) != checksums[place]) break;
        const bool hidden = (packet->flags & AV_PKT_FLAG_DISCARD) != 0;
        const bool to_be_hidden = roles[place] == Role::led_in || roles[place] == Role::led_out;
        if (hidden != to_be_hidden && roles[place] != Role::without_picture) {
            throw Error(ErrorCode::internal, "the new file " + std::string(hidden ? "hides" : "shows") + " packet " +
                                                 std::to_string(place) + " against its purpose");
        }
    }
    if (place != checksums.size()) {
        throw Error(ErrorCode::internal, "the new file does not give back packet " + std::to_string(place));
    }
}

/// The first parameter in which two streams differ; null when packets of both fit together.
const char* first_difference(const VideoStream& a, const VideoStream& b) {
    if (a.codec != b.codec) return "codec";
    if (a.width != b.width || a.height != b.height) return "size";
    if (a.pixel_format != b.pixel_format) return "pixel format";
    if ((a.color_range == "pc") != (b.color_range == "pc")) return "colour range";
    if (a.color_space != b.color_space) return "colour matrix";
    if (a.extradata != b.extradata) return "codec configuration";
    if (a.palette != b.palette) return "palette";
    if (a.rotation != b.rotation || a.mirrored != b.mirrored) return "orientation";
    // The bitstream of these says all by itself, whatever containers make of it.
    static constexpr std::array<std::string_view, 5> kSelfContained = {"h264", "hevc", "av1", "vp8", "vp9"};
    if (std::find(kSelfContained.begin(), kSelfContained.end(), a.codec) == kSelfContained.end()) {
        if (a.codec_tag != b.codec_tag) return "codec tag";
        if (a.bits_per_sample != b.bits_per_sample) return "number of bits of a pixel";
    }
    if (a.slice_checksums != b.slice_checksums) return "checksums";
    if (a.lenient != b.lenient) return "tolerance of errors";
    return nullptr;
}

void check_parts(std::span<const RemuxPart> parts, bool own_form) {
    if (parts.empty()) throw Error(ErrorCode::invalid_argument, "there is nothing to be copied");
    const auto stream_of = [&](const RemuxPart& part) -> const VideoStream& {
        return own_form ? part.file->stream() : part.table->stream;
    };
    for (const RemuxPart& part : parts) {
        if (part.table->display_order.empty())
            throw Error(ErrorCode::invalid_argument, {part.file->path().string(), {}, {}}, "no frame of it is wanted");
        const char* other = first_difference(stream_of(parts[0]), stream_of(part));
        if (other) {
            throw Error(ErrorCode::invalid_argument, {part.file->path().string(), {}, {}},
                        "cannot follow " + parts[0].file->path().string() + " without being converted: its " + other +
                            " differs");
        }
        part.file->close();
    }
}

}  // namespace

std::string muxer_of_extension(const std::string& extension) {
    if (extension == ".mp4" || extension == ".m4v") return "mp4";
    if (extension == ".mov") return "mov";
    if (extension == ".mkv") return "matroska";
    if (extension == ".webm") return "webm";
    if (extension == ".avi") return "avi";
    return {};
}

bool container_complete(File& file, const std::string& container) {
    const uint64_t size = file.size();
    if (container == "mov") return mp4_complete(file, size);
    if (container == "avi") return avi_complete(file, size);
    return container == "matroska" && mkv_complete(file, size);
}

PacketCheck check_packets(File& file, const PacketTable& table, const std::function<bool(int64_t, int64_t)>& progress) {
    constexpr int64_t kStep = 256;
    const uint64_t size = file.size();
    const auto all = static_cast<int64_t>(table.packets.size());
    PacketCheck check;
    check.sound.assign(table.packets.size(), false);
    std::vector<uint8_t> bytes;
    for (size_t place = 0; place < table.packets.size(); ++place) {
        const auto done = static_cast<int64_t>(place);
        if (progress && done % kStep == 0 && !progress(done, all)) throw Error(ErrorCode::cancelled, "stopped");
        const Packet& packet = table.packets[place];
        if (packet.offset > size || packet.size > size - packet.offset) {
            ++check.missing;
            continue;
        }
        if (packet.checksum) {
            bytes.resize(packet.size);
            if (file.read_at(bytes.data(), bytes.size(), packet.offset) != bytes.size() ||
                frame_checksum(bytes) != *packet.checksum) {
                ++check.damaged;
                continue;
            }
        }
        check.sound[place] = true;
    }
    if (progress) progress(all, all);
    return check;
}

bool can_hide_packets(const std::string& extension) {
    return writes_edit_lists(muxer_of_extension(extension));
}

bool can_be_joined(const VideoStream& a, const VideoStream& b) {
    return first_difference(a, b) == nullptr;
}

RemuxResult remux(std::span<const RemuxPart> parts, const fs::path& output, const std::string& extension) {
    RemuxResult result;
    std::unique_ptr<File> file = file_system().open(output, OpenMode::create_exclusive);
    try {
        const std::string muxer = muxer_of_extension(extension);
        if (muxer.empty()) throw Error(ErrorCode::unsupported, "there is no container for " + extension + " files");
        const bool own_form = wants_own_form(muxer);
        check_parts(parts, own_form);
        PacketTable& table = result.table;
        table.stream = own_form ? parts[0].file->stream() : parts[0].table->stream;
        table.container = demuxer_of_extension("x" + extension);
        const AVRational base = output_time_base(muxer, table.stream);
        const Plan plan = Planner(parts, extension, base).make(muxer == "avi");
        Remuxer remuxer(*file, table.stream, muxer, base);
        std::vector<uint32_t> written;
        table.packets.reserve(plan.roles.size());
        written.reserve(plan.roles.size());
        PartCopier copier(remuxer, plan, own_form, result, written);
        for (const RemuxPart& part : parts) copier.copy(part);
        remuxer.finish();
        table.stream.time_base_num = remuxer.time_base().num;
        table.stream.time_base_den = remuxer.time_base().den;
        result.bytes = remuxer.bytes_written();
        file->sync();
        file->close();
        check_container(output, extension, written, plan.roles);
    } catch (const Error& error) {
        file.reset();
        try {
            file_system().remove(output);
        } catch (const Error&) {
            // The error that led here says more than this one.
        }
        throw error.at({output.string(), {}, {}});
    }
    return result;
}

RemuxResult remux(const fs::path& media, const PacketTable& table, const fs::path& output,
                  const std::string& extension) {
    const auto shared = std::make_shared<const PacketTable>(table);
    PacketFile file(media, shared);
    const std::array<RemuxPart, 1> parts = {RemuxPart{&file, shared}};
    return remux(parts, output, extension);
}

}  // namespace reelstore
