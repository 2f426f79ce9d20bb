#include "codecs/video/remux.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

extern "C" {
#include <libavutil/mem.h>
}

#include "base/error.h"
#include "codecs/checksum.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/libav.h"

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

/// Time stamps for muxing, by place: of display as the table has them or, where it has none, of the nominal rate; and
/// of decoding, rising and never behind those of display.
struct PacketTimes {
    std::vector<int64_t> shown;
    std::vector<int64_t> decoded;
};

PacketTimes packet_times(const PacketTable& table) {
    const std::vector<Packet>& packets = table.packets;
    const AVRational base{static_cast<int>(table.stream.time_base_num), static_cast<int>(table.stream.time_base_den)};
    const bool known =
        std::none_of(packets.begin(), packets.end(), [](const Packet& packet) { return packet.pts == Packet::kNoPts; });
    PacketTimes times;
    times.shown.resize(packets.size());
    if (known) {
        for (size_t i = 0; i < packets.size(); ++i) times.shown[i] = packets[i].pts;
    } else {
        const AVRational step = av_inv_q(frame_rate_of(table.stream));
        for (size_t shown = 0; shown < table.display_order.size(); ++shown)
            times.shown[table.display_order[shown]] = av_rescale_q(static_cast<int64_t>(shown), step, base);
    }
    times.decoded = times.shown;
    std::sort(times.decoded.begin(), times.decoded.end());
    int64_t delay = 0;
    for (size_t i = 0; i < packets.size(); ++i) delay = std::max(delay, difference(times.decoded[i], times.shown[i]));
    for (int64_t& time : times.decoded) time = difference(time, delay);
    return times;
}

void read_packet(File& media, const Packet& packet, AVPacket& into) {
    av_packet_unref(&into);
    if (packet.size > static_cast<uint32_t>(INT32_MAX) || av_new_packet(&into, static_cast<int>(packet.size)) < 0) {
        throw Error(ErrorCode::corrupt, "a packet of " + std::to_string(packet.size) + " bytes is too large");
    }
    if (media.read_at(into.data, packet.size, packet.offset) != packet.size) {
        throw Error(ErrorCode::corrupt, "the file ends before byte " + std::to_string(packet.offset + packet.size) +
                                            ", where a packet of the index ends");
    }
}

std::span<const uint8_t> payload_of(const AVPacket& packet) {
    return {packet.data, static_cast<size_t>(packet.size)};
}

/// Writes packets one by one and learns where each came to lie.
class Remuxer {
public:
    Remuxer(File& file, const PacketTable& table, const std::string& muxer) : output_(file) {
        capture_libav_log();
        clear_libav_message();
        AVFormatContext* context = nullptr;
        fail_on(avformat_alloc_output_context2(&context, nullptr, muxer.c_str(), nullptr), "write this kind of file");
        format_.reset(context);
        format_->pb = output_.io();
        // Payloads have to be stored byte for byte, so no filter of FFmpeg's own choice.
        format_->flags = (format_->flags | AVFMT_FLAG_CUSTOM_IO) & ~AVFMT_FLAG_AUTO_BSF;
        AVStream* stream = avformat_new_stream(format_.get(), nullptr);
        if (!stream) throw Error(ErrorCode::internal, "out of memory for a video stream");
        fill_parameters(table.stream, *format_->oformat, *stream->codecpar);
        base_ = {static_cast<int>(table.stream.time_base_num), static_cast<int>(table.stream.time_base_den)};
        // An avi counts frames of its rate; the others take over the unit of the times.
        const AVRational step = av_inv_q(frame_rate_of(table.stream));
        stream->time_base = muxer == "avi" ? step : base_;
        stream->avg_frame_rate = frame_rate_of(table.stream);
        stream->r_frame_rate = stream->avg_frame_rate;
        duration_ = std::max<int64_t>(1, av_rescale_q(1, step, base_));
        fail_on(avformat_write_header(format_.get(), nullptr), "begin the file");
    }

    AVRational time_base() const { return format_->streams[0]->time_base; }

    /// Offset of the payload in the file.
    uint64_t write(AVPacket& packet, int64_t shown, int64_t decoded, bool key) {
        const AVRational base = time_base();
        packet.stream_index = 0;
        packet.pts = av_rescale_q(shown, base_, base);
        packet.dts = av_rescale_q(decoded, base_, base);
        packet.duration = av_rescale_q(duration_, base_, base);
        // What av_rescale_q() gives for a time that does not fit.
        if (packet.pts == AV_NOPTS_VALUE || packet.dts == AV_NOPTS_VALUE) fail_on_times();
        if (last_ && packet.dts <= *last_) packet.dts = difference(*last_, -1);
        packet.pts = std::max(packet.pts, packet.dts);
        last_ = packet.dts;
        packet.flags = key ? AV_PKT_FLAG_KEY : 0;
        output_.mark();
        fail_on(av_write_frame(format_.get(), &packet), "write a packet");
        fail_on(av_write_frame(format_.get(), nullptr), "write a packet");
        avio_flush(format_->pb);
        fail_on(format_->pb->error, "write a packet");
        const auto offset = output_.find(payload_of(packet));
        if (!offset) throw Error(ErrorCode::unsupported, "this container alters the packets of the stream");
        output_.mark();
        return *offset;
    }

    void finish() {
        fail_on(av_write_trailer(format_.get()), "finish the file");
        avio_flush(format_->pb);
        fail_on(format_->pb->error, "finish the file");
    }

    uint64_t bytes_written() const { return output_.bytes_written(); }

private:
    void fail_on(int code, const char* action) {
        output_.rethrow();
        if (code < 0) throw libav_error(code, {}, action);
    }

    FileOutput output_;
    UniqueOutputFormat format_;
    AVRational base_ = {1, 25};  ///< of the times given
    int64_t duration_ = 1;
    std::optional<int64_t> last_;  ///< time of decoding of the packet before
};

/// Throws unless a demuxer finds exactly these packets in the file.
void check_container(const fs::path& path, const std::string& extension, const PacketTable& table) {
    Demuxer demuxer(path, demuxer_of_extension("x" + extension));
    const UniquePacket packet = make_packet();
    size_t place = 0;
    for (; demuxer.next(*packet); ++place) {
        const bool same = place < table.packets.size() && payload_of(*packet).size() == table.packets[place].size &&
                          frame_checksum(payload_of(*packet)) == *table.packets[place].checksum;
        if (!same) break;
    }
    if (place != table.packets.size()) {
        throw Error(ErrorCode::internal, "the new file does not give back packet " + std::to_string(place));
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

RemuxResult remux(File& media, const PacketTable& table, const fs::path& output, const std::string& extension) {
    RemuxResult result;
    result.table = table;
    std::unique_ptr<File> file = file_system().open(output, OpenMode::create_exclusive);
    try {
        const std::string muxer = muxer_of_extension(extension);
        if (muxer.empty()) throw Error(ErrorCode::unsupported, "there is no container for " + extension + " files");
        PacketTable written = table;  // with the checksums of what is really there
        Remuxer remuxer(*file, table, muxer);
        const PacketTimes times = packet_times(table);
        const UniquePacket packet = make_packet();
        for (size_t place = 0; place < table.packets.size(); ++place) {
            Packet& entry = result.table.packets[place];
            read_packet(media, entry, *packet);
            add_palette(*packet,
                        place == 0 ? std::span<const uint8_t>(table.stream.palette) : std::span<const uint8_t>());
            const uint32_t checksum = frame_checksum(payload_of(*packet));
            written.packets[place].checksum = checksum;
            if (!entry.checksum) entry.checksum = checksum;
            entry.offset = remuxer.write(*packet, times.shown[place], times.decoded[place], entry.key);
            entry.pts = packet->pts;
        }
        remuxer.finish();
        result.table.stream.time_base_num = remuxer.time_base().num;
        result.table.stream.time_base_den = remuxer.time_base().den;
        result.bytes = remuxer.bytes_written();
        file->sync();
        file->close();
        check_container(output, extension, written);
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

}  // namespace reelstore
