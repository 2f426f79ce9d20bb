#include "codecs/packed/packed_container.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/error.h"
#include "base/npy.h"
#include "codecs/checksum.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kNominalRate = 25;
constexpr size_t kFrameEnding = 4;

const std::array<const PackedContainer*, 3>& packed_containers() {
    static const std::array<const PackedContainer*, 3> containers = {&zstd_npy_container(), &npy_container(),
                                                                     &predicted_container()};
    return containers;
}

void check_plain(const PackedHeader& header) {
    if (header.plain) return;
    throw Error(ErrorCode::unsupported,
                "its array is in Fortran order, big endian or of bools; such frames can be read but not copied as they "
                "are: convert it (store convert)");
}

/// Throws when the packets do not follow each other from the first frame's place on.
void check_contiguous(const PacketTable& table, uint64_t first_byte) {
    uint64_t next = first_byte;
    for (size_t place = 0; place < table.packets.size(); ++place) {
        const Packet& packet = table.packets[place];
        if (packet.offset != next) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("the frame at position {} is at byte {} by the index, the one before it ends at {}",
                                    place, packet.offset, next));
        }
        next += packet.size;
    }
}

}  // namespace

SeekEntry PackedContainer::entry_of(File& file, const Packet& packet, const ImageType& type) const {
    std::array<uint8_t, kFrameEnding> ending{};
    const size_t count = std::min<size_t>(ending.size(), packet.size);
    if (count == 0 || packet.size > most_bytes(type) ||
        file.read_at(ending.data(), count, packet.offset + packet.size - count) != count) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("does not hold a frame of {} bytes at byte {}", packet.size, packet.offset));
    }
    return entry_of(packet.size, std::span<const uint8_t>(ending).first(count), type);
}

void PackedContainer::complete_in_place(const fs::path& path, const PacketTable& table) const {
    try {
        const ImageType type = packed_type(table.stream);
        const auto frames = static_cast<int64_t>(table.packets.size());
        const std::vector<uint8_t> header = begin(type, frames);
        check_contiguous(table, header.size());
        const uint64_t end_of_frames =
            frames == 0 ? header.size() : table.packets.back().offset + table.packets.back().size;
        const std::unique_ptr<File> file = file_system().open(path, OpenMode::read_write);
        if (file->size() < end_of_frames) {
            throw Error(ErrorCode::corrupt, fmt::format("ends at byte {}, before the end of its {} frames at {}",
                                                        file->size(), frames, end_of_frames));
        }
        std::vector<SeekEntry> entries;
        entries.reserve(table.packets.size());
        for (const Packet& packet : table.packets) entries.push_back(entry_of(*file, packet, type));
        const std::vector<uint8_t> tail = end(type, entries);
        // None of this touches a frame, so whatever ends it, it can be done again.
        file->truncate(end_of_frames);
        if (!tail.empty()) file->write_at(tail.data(), tail.size(), end_of_frames);
        file->write_at(header.data(), header.size(), 0);
        file->sync();
        file->close();
    } catch (const Error& error) {
        throw error.at({path.string(), {}, {}});
    }
}

SalvagedVideo PackedContainer::find_frames(const fs::path& path,
                                           const std::function<void(int64_t, int64_t)>& progress) const {
    try {
        const std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
        check_plain(read_header(*file));
        PackedFrames found = frames(*file);
        SalvagedVideo video;
        video.table = std::move(found.table);
        video.complete = found.complete;
        video.stopped_by = std::move(found.stopped_by);
        const uint64_t size = file->size();
        std::vector<uint8_t> bytes;
        uint64_t end_of_frames = found.end;
        for (size_t place = 0; place < video.table.packets.size(); ++place) {
            Packet& packet = video.table.packets[place];
            bytes.resize(packet.size);
            if (file->read_at(bytes.data(), bytes.size(), packet.offset) != bytes.size()) {
                // It has been cut off meanwhile.
                end_of_frames = packet.offset;
                video.complete = false;
                video.stopped_by = "a frame that is cut off";
                video.table.packets.resize(place);
                video.table.display_order.resize(place);
                break;
            }
            packet.checksum = frame_checksum(bytes);
            if (progress) progress(static_cast<int64_t>(packet.offset + packet.size), static_cast<int64_t>(size));
        }
        video.bytes_left = video.complete || size < end_of_frames ? 0 : size - end_of_frames;
        return video;
    } catch (const Error& error) {
        throw error.at({path.string(), {}, {}});
    }
}

VideoStream packed_stream(const PackedContainer& container, const ImageType& type) {
    VideoStream stream;
    stream.codec = container.name();
    stream.width = type.width;
    stream.height = type.height;
    stream.pixel_format = npy_descr(type.depth);
    if (type.channels > 1) stream.pixel_format += fmt::format("x{}", type.channels);
    stream.color_range = "unknown";
    stream.color_space = "unknown";
    stream.time_base_num = 1;
    stream.time_base_den = kNominalRate;
    stream.frame_rate = static_cast<double>(kNominalRate);
    return stream;
}

ImageType packed_type(const VideoStream& stream) {
    const std::string& text = stream.pixel_format;
    const size_t cross = std::min(text.find('x'), text.size());
    ImageType type{.height = stream.height, .width = stream.width};
    NpyHeader header;
    header.descr = text.substr(0, cross);
    const std::optional<int> depth = header.cv_depth();
    bool sound = depth && npy_descr(*depth) == header.descr;
    if (cross < text.size()) {
        const auto [end, error] = std::from_chars(text.data() + cross + 1, text.data() + text.size(), type.channels);
        sound = sound && error == std::errc() && end == text.data() + text.size() && type.channels > 1;
    }
    if (sound) type.depth = *depth;
    if (!sound || !plausible(type)) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("a stream of {}x{} \"{}\" is no packed array", stream.height, stream.width, text));
    }
    return type;
}

Packet packed_packet(int64_t position, uint64_t offset, uint64_t size) {
    Packet packet;
    packet.offset = offset;
    packet.size = static_cast<uint32_t>(size);
    packet.pts = position;
    packet.key = true;
    packet.disposable = true;
    return packet;
}

const PackedContainer* find_packed_container(std::string_view name) {
    for (const PackedContainer* container : packed_containers()) {
        if (container->name() == name) return container;
    }
    return nullptr;
}

const PackedContainer* packed_container_of(const fs::path& path) {
    const std::string name = path.filename().string();
    for (const PackedContainer* container : packed_containers()) {
        const std::string& extension = container->extension();
        if (name.size() > extension.size() && name.ends_with(extension)) return container;
    }
    return nullptr;
}

}  // namespace reelstore
