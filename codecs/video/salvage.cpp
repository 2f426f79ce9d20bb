#include "codecs/video/salvage.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

extern "C" {
#include <libavutil/mem.h>
}

#include "base/error.h"
#include "codecs/checksum.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/display_order.h"
#include "codecs/video/libav.h"
#include "codecs/video/nal_units.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/remux.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

/// No recording has more frames in one file; a file that seems to is made up.
constexpr size_t kMostFrames = 10'000'000;
constexpr int kMostUnits = 4096;  ///< in a picture
constexpr int kMostBoxes = 100'000;

/// Bytes of a file, read in blocks.
class Window {
public:
    explicit Window(File& file) : file_(file) {}

    /// `count` bytes from `offset` on; null when the file ends before.
    const uint8_t* at(uint64_t offset, size_t count) {
        if (offset < begin_ || offset + count > begin_ + bytes_.size()) {
            bytes_.resize(kBytes);
            begin_ = offset;
            bytes_.resize(file_.read_at(bytes_.data(), kBytes, offset));
            if (count > bytes_.size()) return nullptr;
        }
        return bytes_.data() + (offset - begin_);
    }

private:
    // Most units are larger than that and are skipped: more would be read in vain.
    static constexpr size_t kBytes = 4096;

    File& file_;
    uint64_t begin_ = 0;
    std::vector<uint8_t> bytes_;
};

/// What the first bytes of a NAL unit tell.
struct UnitNature {
    bool plausible = false;
    bool slice = false;
    bool first_slice = false;    ///< of a picture
    bool before_slices = false;  ///< behind slices it begins the next picture
};

UnitNature h264_unit(const uint8_t* head) {
    const int type = head[0] & 31;
    const bool referenced = (head[0] & 0x60) != 0;
    UnitNature nature;
    if (head[0] & 0x80) return nature;
    switch (type) {
        case 1:
        case 5:
            nature.plausible = type == 1 || referenced;
            nature.slice = true;
            nature.first_slice = (head[1] & 0x80) != 0;
            break;
        case 7:
        case 8:
            nature.plausible = referenced;
            nature.before_slices = true;
            break;
        case 6:
        case 9:
            nature.plausible = !referenced;
            nature.before_slices = true;
            break;
        case 10:
        case 11:
        case 12:
            nature.plausible = !referenced;
            break;
        default:
            break;
    }
    return nature;
}

UnitNature hevc_unit(const uint8_t* head) {
    const int type = head[0] >> 1;
    UnitNature nature;
    const bool base_layer = (head[0] & 0x81) == 0 && (head[1] & 0xf8) == 0 && (head[1] & 7) != 0;
    if (!base_layer) return nature;
    nature.slice = type <= 9 || (type >= 16 && type <= 21);
    nature.plausible = nature.slice || (type >= 32 && type <= 40);
    nature.first_slice = nature.slice && (head[2] & 0x80) != 0;
    nature.before_slices = (type >= 32 && type <= 35) || type == 39;
    return nature;
}

/// Bytes of the size in front of each unit. Throws for streams whose units cannot be walked.
int length_bytes_of(const VideoStream& stream) {
    const std::vector<uint8_t>& extradata = stream.extradata;
    if (stream.codec == "h264" && extradata.size() >= 7 && extradata[0] == 1) return (extradata[4] & 3) + 1;
    if (stream.codec == "hevc" && extradata.size() >= 23 && extradata[0] == 1) return (extradata[21] & 3) + 1;
    throw Error(ErrorCode::unsupported, "frames of " + (stream.codec.empty() ? "this codec" : stream.codec) +
                                            " cannot be found without the container's index");
}

/// No encoder makes a picture larger than this.
uint64_t most_picture_bytes(const VideoStream& stream) {
    const uint64_t pixels = static_cast<uint64_t>(stream.width) * static_cast<uint64_t>(stream.height);
    return std::min<uint64_t>(INT32_MAX, (uint64_t{1} << 20) + 12 * pixels);
}

UniquePacket read_unit(File& file, const AccessUnit& unit) {
    UniquePacket packet = make_packet();
    if (av_new_packet(packet.get(), static_cast<int>(unit.size)) < 0) {
        throw Error(ErrorCode::internal, "out of memory for a video packet");
    }
    if (file.read_at(packet->data, unit.size, unit.offset) != unit.size) {
        throw Error(ErrorCode::corrupt, "has become shorter while it was read");
    }
    return packet;
}

using UniqueParameters = std::unique_ptr<AVCodecParameters, void (*)(AVCodecParameters*)>;

UniqueParameters parameters_of(const VideoStream& stream) {
    UniqueParameters parameters(avcodec_parameters_alloc(),
                                [](AVCodecParameters* owned) { avcodec_parameters_free(&owned); });
    const AVCodecDescriptor* codec = avcodec_descriptor_get_by_name(stream.codec.c_str());
    const size_t size = stream.extradata.size();
    if (parameters && codec) {
        parameters->codec_type = AVMEDIA_TYPE_VIDEO;
        parameters->codec_id = codec->id;
        parameters->extradata = static_cast<uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
    }
    if (!parameters || !parameters->extradata) throw Error(ErrorCode::internal, "out of memory for a video stream");
    std::memcpy(parameters->extradata, stream.extradata.data(), size);
    parameters->extradata_size = static_cast<int>(size);
    return parameters;
}

/// Packets of these units, with what their bytes tell of their nature, and times of the nominal rate in order of
/// display.
PacketTable table_of_units(File& file, const VideoStream& stream, const std::vector<AccessUnit>& units) {
    PacketTable table;
    table.stream = stream;
    table.container = "mov";
    const PacketInspector inspector(stream.codec, stream.extradata);
    const UniqueParameters parameters = parameters_of(stream);
    OrderReader order_reader(*parameters);
    std::vector<OrderHint> hints;
    for (const AccessUnit& unit : units) {
        const UniquePacket packet = read_unit(file, unit);
        const std::span<const uint8_t> payload(packet->data, unit.size);
        const PacketNature nature = inspector.inspect(payload, {});
        if (table.packets.empty() && !nature.key) continue;
        table.packets.push_back({.offset = unit.offset,
                                 .size = unit.size,
                                 .pts = 0,
                                 .key = nature.key,
                                 .disposable = nature.disposable,
                                 .checksum = frame_checksum(payload)});
        if (order_reader.knows()) hints.push_back(order_reader.read(*packet, nature.closed || nature.after_gap));
    }
    std::vector<size_t> order(table.packets.size());
    std::iota(order.begin(), order.end(), size_t{0});
    if (!hints.empty()) order = order_by_hints(stream.codec, hints);
    const double rate = stream.frame_rate > 0 ? stream.frame_rate : 25.0;
    const double ticks = static_cast<double>(stream.time_base_den) / (static_cast<double>(stream.time_base_num) * rate);
    const int64_t step = std::max<int64_t>(1, std::llround(std::min(ticks, 1e9)));
    for (size_t shown = 0; shown < order.size(); ++shown)
        table.packets[order[shown]].pts = static_cast<int64_t>(shown) * step;
    table.sort_display_order();
    return table;
}

/// One behind the last byte of any packet.
uint64_t end_of(const PacketTable& table) {
    uint64_t end = 0;
    for (const Packet& packet : table.packets) end = std::max(end, packet.offset + packet.size);
    return end;
}

}  // namespace

AccessUnitRun find_access_units(File& file, const VideoStream& stream, uint64_t begin, uint64_t end) {
    const int length_bytes = length_bytes_of(stream);
    const bool hevc = stream.codec == "hevc";
    constexpr size_t kHeadBytes = 3;
    const auto prefix = static_cast<size_t>(length_bytes);
    const uint64_t most_bytes = most_picture_bytes(stream);
    Window window(file);
    AccessUnitRun run;
    run.end = begin;
    uint64_t picture = begin;  // where the picture at hand begins
    int slices = 0;
    int units = 0;
    int usual_slices = 0;
    const auto complete_picture = [&](uint64_t at) {
        run.units.push_back({picture, static_cast<uint32_t>(at - picture)});
        usual_slices = slices;
        run.end = at;
        picture = at;
        slices = 0;
        units = 0;
        if (run.units.size() > kMostFrames) throw Error(ErrorCode::corrupt, "holds more frames than any recording");
    };
    uint64_t offset = begin;
    while (offset < end) {
        const uint8_t* bytes = end - offset >= prefix + kHeadBytes ? window.at(offset, prefix + kHeadBytes) : nullptr;
        uint64_t size = 0;
        for (size_t i = 0; bytes && i < prefix; ++i) size = size << 8 | bytes[i];
        const UnitNature nature =
            !bytes || size < 2 ? UnitNature{} : (hevc ? hevc_unit(bytes + prefix) : h264_unit(bytes + prefix));
        if (!nature.plausible) {
            run.stopped_by = "something that is no video";
            break;
        }
        if (slices > 0 && (nature.first_slice || nature.before_slices)) complete_picture(offset);
        if (offset + prefix + size - picture > most_bytes || units >= kMostUnits) {
            run.stopped_by = "something that is no video";
            break;
        }
        if (size > end - offset - prefix) {
            run.stopped_by = "a frame that is cut off";
            break;
        }
        if (nature.slice && slices == 0 && !nature.first_slice) {
            run.stopped_by = "a part of a frame";
            break;
        }
        slices += nature.slice;
        ++units;
        offset += prefix + size;
    }
    // Nothing follows that would say so, but a picture with all its slices is whole.
    const bool whole = slices > 0 && slices >= usual_slices && offset > picture;
    if (whole && (run.stopped_by.empty() || run.stopped_by == "something that is no video")) {
        complete_picture(offset);
    } else if (offset > picture && run.stopped_by.empty()) {
        run.stopped_by = "a frame that is cut off";
    }
    return run;
}

std::optional<std::pair<uint64_t, uint64_t>> media_data(File& file) {
    const uint64_t size = file.size();
    uint64_t offset = 0;
    for (int box = 0; box < kMostBoxes && offset + 8 <= size; ++box) {
        std::array<uint8_t, 16> head{};
        const size_t got = file.read_at(head.data(), head.size(), offset);
        const auto number = [&](size_t from, size_t count) {
            uint64_t value = 0;
            for (size_t i = from; i < from + count; ++i) value = value << 8 | head[i];
            return value;
        };
        uint64_t length = number(0, 4);
        uint64_t header = 8;
        if (length == 1 && got == head.size()) {
            length = number(8, 8);
            header = 16;
        }
        if (std::memcmp(head.data() + 4, "mdat", 4) == 0) {
            const bool filled_in = length >= header && length <= size - offset;
            return std::pair(offset + header, filled_in ? offset + length : size);
        }
        if (length < header || length > size - offset) return std::nullopt;
        offset += length;
    }
    return std::nullopt;
}

SalvagedVideo salvage_video(const fs::path& path, const std::string& container,
                            const std::optional<VideoStream>& like) {
    const std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
    try {
        SalvagedVideo salvaged;
        salvaged.complete = container_complete(*file, container);
        if (container != "mov" || salvaged.complete) {
            salvaged.table = scan_packets(path, container).table;
            const uint64_t end = end_of(salvaged.table);
            salvaged.bytes_left = salvaged.complete || file->size() < end ? 0 : file->size() - end;
            if (salvaged.bytes_left > 0) salvaged.stopped_by = "a frame that is cut off";
            return salvaged;
        }
        const auto data = media_data(*file);
        if (!data) throw Error(ErrorCode::corrupt, "holds no media data");
        if (!like) {
            throw Error(ErrorCode::not_found,
                        "its writer did not complete it, and there is no other file that says how it was encoded; give "
                        "one that was made with the same settings (--like FILE)");
        }
        const AccessUnitRun run = find_access_units(*file, *like, data->first, data->second);
        salvaged.table = table_of_units(*file, *like, run.units);
        salvaged.bytes_left = file->size() - run.end;
        salvaged.stopped_by = run.stopped_by;
        return salvaged;
    } catch (const Error& error) {
        throw error.at({path.string(), {}, {}});
    }
}

std::optional<int64_t> frames_behind(const fs::path& path, const std::string& container, const PacketTable& table) {
    try {
        const std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
        if (container == "mov" && !container_complete(*file, container)) {
            const auto data = media_data(*file);
            if (!data) return std::nullopt;
            const uint64_t begin = std::max(end_of(table), data->first);
            if (begin >= data->second) return 0;
            return static_cast<int64_t>(find_access_units(*file, table.stream, begin, data->second).units.size());
        }
        Demuxer demuxer(path, container);
        const UniquePacket packet = make_packet();
        int64_t count = 0;
        while (demuxer.next(*packet)) count += (packet->flags & AV_PKT_FLAG_CORRUPT) == 0;
        return std::max<int64_t>(0, count - static_cast<int64_t>(table.packets.size()));
    } catch (const Error& error) {
        if (error.code() == ErrorCode::io) throw;
        return std::nullopt;
    }
}

}  // namespace reelstore
