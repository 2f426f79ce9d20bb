#include "codecs/media_file.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/checksum.h"
#include "codecs/packed/packed_container.h"
#include "codecs/video/demuxer.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

/// Packets that follow each other are copied together up to this size.
constexpr uint64_t kMostBytesAtOnce = uint64_t{8} << 20;

bool same_images(const VideoStream& a, const VideoStream& b) {
    return a.codec == b.codec && a.width == b.width && a.height == b.height && a.pixel_format == b.pixel_format;
}

void check_packed_parts(std::span<const RemuxPart> parts, const PackedContainer& container) {
    const VideoStream& first = parts[0].table->stream;
    for (const RemuxPart& part : parts) {
        const VideoStream& stream = part.table->stream;
        if (stream.codec != container.name() || !same_images(stream, first)) {
            throw Error(ErrorCode::invalid_argument, {part.file->path().string(), {}, {}},
                        fmt::format("{}x{} \"{}\" in {} cannot follow {}x{} \"{}\" in a {} file", stream.height,
                                    stream.width, stream.pixel_format, stream.codec, first.height, first.width,
                                    first.pixel_format, container.name()));
        }
    }
}

/// Appends the packets of parts to a file and keeps the table of what is there.
class PackedJoiner {
public:
    PackedJoiner(const PackedContainer& container, const VideoStream& stream, File& output)
        : container_(container), type_(packed_type(stream)), output_(output) {
        table_.stream = packed_stream(container, type_);
        table_.stream.frame_rate = stream.frame_rate;
        table_.stream.time_base_num = stream.time_base_num;
        table_.stream.time_base_den = stream.time_base_den;
        table_.container = container.name();
        end_ = container.begin(type_, 0).size();
    }

    void append(const RemuxPart& part) {
        const fs::path& path = part.file->path();
        try {
            const std::unique_ptr<File> input = file_system().open(path, OpenMode::read);
            const std::vector<Packet>& packets = part.table->packets;
            for (size_t first = 0; first < packets.size();) first = copy_run(*input, packets, first);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }

    RemuxResult finish() {
        const std::vector<uint8_t> tail = container_.end(type_, entries_);
        if (!tail.empty()) output_.write_at(tail.data(), tail.size(), end_);
        const std::vector<uint8_t> header = container_.begin(type_, static_cast<int64_t>(table_.packets.size()));
        output_.write_at(header.data(), header.size(), 0);
        table_.sort_display_order();
        return {.table = std::move(table_), .bytes = end_ + tail.size()};
    }

private:
    /// Copies packets that follow each other in the input; gives the place of the next one.
    size_t copy_run(File& input, const std::vector<Packet>& packets, size_t first) {
        const uint64_t begin = packets[first].offset;
        uint64_t end = begin;
        size_t next = first;
        for (; next < packets.size() && packets[next].offset == end; ++next) {
            const Packet& packet = packets[next];
            if (next > first && end + packet.size - begin > kMostBytesAtOnce) break;
            check(packet);
            end += packet.size;
        }
        bytes_.resize(end - begin);
        const uint64_t size = input.size();
        if (begin > size || bytes_.size() > size - begin ||
            input.read_at(bytes_.data(), bytes_.size(), begin) != bytes_.size()) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("ends at byte {}, before the end of its frames at {}", size, end));
        }
        output_.write_at(bytes_.data(), bytes_.size(), end_);
        for (size_t place = first; place < next; ++place) {
            const Packet& from = packets[place];
            Packet packet = packed_packet(static_cast<int64_t>(table_.packets.size()), end_, from.size);
            packet.checksum = from.checksum;
            if (!packet.checksum) {
                packet.checksum = frame_checksum(std::span(bytes_).subspan(from.offset - begin, from.size));
            }
            entries_.push_back(container_.entry_of(input, from, type_));
            end_ += packet.size;
            table_.packets.push_back(packet);
        }
        return next;
    }

    void check(const Packet& packet) const {
        if (packet.size > 0 && packet.size <= container_.most_bytes(type_) && !packet.hidden) return;
        throw Error(ErrorCode::corrupt, fmt::format("no frame of {} has the {} bytes of the one at byte {}",
                                                    type_.text(), packet.size, packet.offset));
    }

    const PackedContainer& container_;
    ImageType type_;
    File& output_;
    PacketTable table_;
    std::vector<SeekEntry> entries_;
    uint64_t end_ = 0;
    std::vector<uint8_t> bytes_;
};

RemuxResult join_packed(std::span<const RemuxPart> parts, const fs::path& output, const PackedContainer& container) {
    if (parts.empty()) throw Error(ErrorCode::invalid_argument, {output.string(), {}, {}}, "nothing to write to it");
    check_packed_parts(parts, container);
    std::unique_ptr<File> file = file_system().open(output, OpenMode::create_exclusive);
    try {
        PackedJoiner joiner(container, parts[0].table->stream, *file);
        for (const RemuxPart& part : parts) joiner.append(part);
        RemuxResult result = joiner.finish();
        file->sync();
        file->close();
        return result;
    } catch (const Error& error) {
        file.reset();
        try {
            file_system().remove(output);
        } catch (const Error&) {
            // The error that led here says more than this one.
        }
        throw error.at({output.string(), {}, {}});
    }
}

}  // namespace

std::string container_of(const fs::path& path) {
    const PackedContainer* packed = packed_container_of(path);
    return packed ? packed->name() : demuxer_of_extension(path);
}

bool completes_in_place(const std::string& container) {
    return find_packed_container(container) != nullptr;
}

bool media_complete(File& file, const std::string& container) {
    const PackedContainer* packed = find_packed_container(container);
    return packed ? packed->complete(file) : container_complete(file, container);
}

void complete_media(const fs::path& path, const PacketTable& table) {
    const PackedContainer* packed = packed_container_of(path);
    if (!packed) {
        throw Error(ErrorCode::invalid_argument, {path.string(), {}, {}},
                    "files of this kind are not completed in place");
    }
    packed->complete_in_place(path, table);
}

VideoScan scan_media(const fs::path& path, const std::function<void(int64_t, int64_t)>& progress) {
    const PackedContainer* packed = packed_container_of(path);
    if (!packed) return scan_packets(path, demuxer_of_extension(path), progress);
    VideoScan scan;
    SalvagedVideo found = packed->find_frames(path, [&](int64_t done, int64_t all) {
        scan.bytes_read = done;
        if (progress) progress(done, all);
    });
    scan.table = std::move(found.table);
    if (!found.stopped_by.empty()) {
        scan.warnings.push_back(
            fmt::format("holds {} behind its {} frames", found.stopped_by, scan.table.packets.size()));
    }
    return scan;
}

SalvagedVideo salvage_media(const fs::path& path, const std::optional<VideoStream>& like) {
    const PackedContainer* packed = packed_container_of(path);
    return packed ? packed->find_frames(path) : salvage_video(path, demuxer_of_extension(path), like);
}

std::optional<int64_t> frames_behind_table(const fs::path& path, const PacketTable& table) {
    const PackedContainer* packed = packed_container_of(path);
    if (!packed) return frames_behind(path, demuxer_of_extension(path), table);
    const std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
    try {
        // A complete file may speak of frames whose bytes have never reached the disk: those cannot be walked over.
        if (packed->complete(*file))
            return std::max<int64_t>(0, packed->frames(*file).table.frame_count() - table.frame_count());
        uint64_t end = 0;
        for (const Packet& packet : table.packets) end = std::max(end, packet.offset + packet.size);
        const PackedFrames behind = packed->frames(*file, end);
        // Whole frames may lie behind one that has never reached the disk, but not behind one that the file ends in.
        if (behind.table.packets.empty() && !behind.stopped_by.empty() && !behind.stopped_by.ends_with("cut off"))
            return std::nullopt;
        return behind.table.frame_count();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) throw;
        return std::nullopt;
    }
}

RemuxResult join_media(std::span<const RemuxPart> parts, const fs::path& output, const std::string& extension) {
    const PackedContainer* packed = packed_container_of("x" + extension);
    return packed ? join_packed(parts, output, *packed) : remux(parts, output, extension);
}

}  // namespace reelstore
