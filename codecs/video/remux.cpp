#include "codecs/video/remux.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "codecs/checksum.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/libav.h"
#include "codecs/video/nal_units.h"
#include "codecs/video/packet_muxer.h"
#include "codecs/video/remux_plan.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

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

std::span<const uint8_t> payload_of(const AVPacket& packet) {
    return {packet.data, static_cast<size_t>(packet.size)};
}

/// Whether the container keeps H.264 and its like in the form of PacketFile::stream().
bool wants_own_form(const std::string& muxer) {
    return muxer != "avi";
}

/// Copies the packets of parts one by one.
class PartCopier {
public:
    PartCopier(PacketMuxer& muxer, const RemuxPlan& plan, bool own_form, RemuxResult& result,
               std::vector<uint32_t>& written)
        : muxer_(muxer), plan_(plan), own_form_(own_form), result_(result), written_(written) {}

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
        const PacketMuxer::Written at =
            muxer_.write(*packet_, plan_.shown[place], plan_.decoded[place], plan_.roles[place], key);
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

    PacketMuxer& muxer_;
    const RemuxPlan& plan_;
    bool own_form_;
    RemuxResult& result_;
    std::vector<uint32_t>& written_;
    UniquePacket packet_ = make_packet();
    std::vector<uint8_t> bytes_;
};

/// Throws unless a demuxer finds exactly packets with these checksums in the file, and those hidden that are to be.
void check_container(const fs::path& path, const std::string& extension, const std::vector<uint32_t>& checksums,
                     const std::vector<PacketRole>& roles) {
    Demuxer demuxer(path, demuxer_of_extension("x" + extension));
    const UniquePacket packet = make_packet();
    size_t place = 0;
    for (; demuxer.next(*packet); ++place) {
        if (place >= checksums.size() || frame_checksum(payload_of(*packet)) != checksums[place]) break;
        const bool hidden = (packet->flags & AV_PKT_FLAG_DISCARD) != 0;
        const bool to_be_hidden = roles[place] == PacketRole::led_in || roles[place] == PacketRole::led_out;
        if (hidden != to_be_hidden && roles[place] != PacketRole::without_picture) {
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
    static constexpr std::array<std::string_view, 6> kSelfContained = {"h264", "hevc", "av1", "vp8", "vp9", "ffv1"};
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
    return PacketMuxer::hides_packets(muxer_of_extension(extension));
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
        const RemuxPlan plan = plan_remux(parts, extension, PacketMuxer::time_base_for(muxer, table.stream));
        PacketMuxer packet_muxer(*file, table.stream, muxer);
        std::vector<uint32_t> written;
        table.packets.reserve(plan.roles.size());
        written.reserve(plan.roles.size());
        PartCopier copier(packet_muxer, plan, own_form, result, written);
        for (const RemuxPart& part : parts) copier.copy(part);
        packet_muxer.finish();
        table.stream.time_base_num = packet_muxer.time_base().num;
        table.stream.time_base_den = packet_muxer.time_base().den;
        result.bytes = packet_muxer.bytes_written();
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
