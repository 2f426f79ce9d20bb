#include "codecs/packed/packed_reader.h"

#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/checksum.h"

namespace reelstore {

std::optional<PackedHeader> recorded_header(const PackedContainer& container, const ImageType& type,
                                            const ChunkReadOptions& options) {
    const std::shared_ptr<const PacketTable> table = options.packets ? options.packets(0) : nullptr;
    if (!table || table->packets.empty() || table->first_position != 0 || table->stream.codec != container.name())
        return std::nullopt;
    try {
        if (packed_type(table->stream) != type) return std::nullopt;
    } catch (const Error&) {
        return std::nullopt;
    }
    return PackedHeader{.type = type, .first_byte = table->packets.front().offset};
}

PackedReader::PackedReader(const std::filesystem::path& path, const PackedContainer& container, const ImageType& type,
                           std::unique_ptr<PackedDecoder> decoder, const ChunkReadOptions& options)
    : path_(path),
      container_(container),
      type_(type),
      decoder_(std::move(decoder)),
      options_(options),
      file_(file_system().open(path, OpenMode::read)) {
    try {
        const PackedHeader header = container.read_header(*file_);
        if (!header.plain) {
            throw Error(ErrorCode::unsupported,
                        "its array is in Fortran order, big endian or of bools; unpack it and read it as raw/npy");
        }
        if (header.type != type) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("holds images of {}, the store says {}", header.type.text(), type.text()));
        }
    } catch (const Error& error) {
        if (error.code() == ErrorCode::io || !recorded_header(container, type, options))
            throw error.at({path.string(), {}, {}});
    }
}

bool PackedReader::holds(int64_t position) const {
    return table_ && position >= table_->first_position && position < table_->first_position + table_->frame_count();
}

void PackedReader::use(std::shared_ptr<const PacketTable> table, Extent extent) {
    table_ = std::move(table);
    extent_ = extent;
}

void PackedReader::look_into_file() {
    ++counters_.demux_scans;
    size_seen_ = file_->size();
    auto table = std::make_shared<PacketTable>(container_.frames(*file_).table);
    from_file_ = true;
    use(table, Extent::whole);
    if (options_.scanned) options_.scanned(table, false);
}

void PackedReader::load_whole() {
    std::shared_ptr<const PacketTable> table = options_.packets && !from_file_ ? options_.packets({}) : nullptr;
    if (table) {
        use(std::move(table), Extent::whole);
    } else if (!table_ || !from_file_ || file_->size() != size_seen_) {
        look_into_file();
    }
}

/// The whole table costs time in proportion to the chunk, so a first jump into it, and each step behind the end of a
/// chunk that is being written, make do with a part.
void PackedReader::load(int64_t position) {
    const bool may_have_grown = table_ && position >= table_->first_position + table_->frame_count();
    if (options_.packets && !from_file_ && position >= 0 && (!table_ || (may_have_grown && extent_ != Extent::part))) {
        std::shared_ptr<const PacketTable> part = options_.packets(position);
        if (part && position >= part->first_position && position < part->first_position + part->frame_count()) {
            use(std::move(part), may_have_grown ? Extent::tail : Extent::part);
            return;
        }
    }
    load_whole();
}

const Packet& PackedReader::packet_of(int64_t position) {
    if (!holds(position)) load(position);
    if (!holds(position)) {
        const int64_t count = table_->first_position + table_->frame_count();
        throw Error(
            position < 0 ? ErrorCode::invalid_argument : ErrorCode::not_found,
            fmt::format("has no frame at position {}; it holds {} frame{}", position, count, count == 1 ? "" : "s"));
    }
    return table_->packet_of(position - table_->first_position);
}

cv::Mat PackedReader::read(int64_t position) {
    try {
        const Packet& packet = packet_of(position);
        const uint64_t size = file_->size();
        if (packet.size > container_.most_bytes(type_)) {
            throw Error(ErrorCode::corrupt, fmt::format("the frame at position {} is said to have {} bytes, more than "
                                                        "any of {}",
                                                        position, packet.size, type_.text()));
        }
        const auto cut_off = [&](uint64_t end) {
            return Error(ErrorCode::corrupt,
                         fmt::format("ends at byte {}, before the end of the frame at position {} ({} bytes at {})",
                                     end, position, packet.size, packet.offset));
        };
        if (packet.offset > size || packet.size > size - packet.offset) throw cut_off(size);
        bytes_.resize(packet.size);
        const size_t got = file_->read_at(bytes_.data(), bytes_.size(), packet.offset);
        counters_.bytes_read += static_cast<int64_t>(got);
        if (got != bytes_.size()) throw cut_off(packet.offset + got);
        if (packet.checksum && *packet.checksum != frame_checksum(bytes_)) {
            throw Error(ErrorCode::corrupt, fmt::format("the {} bytes at {} of the frame at position {} have changed "
                                                        "since they were recorded",
                                                        packet.size, packet.offset, position));
        }
        cv::Mat image(type_.height, type_.width, type_.cv_type());
        try {
            decoder_->decode(bytes_, image, packet.checksum.has_value());
        } catch (const Error& error) {
            throw Error(error.code(), error.place(),
                        fmt::format("the frame at position {}: {}", position, error.message()));
        }
        ++counters_.frames_decoded;
        return image;
    } catch (const Error& error) {
        throw error.at({path_.string(), {}, {}});
    }
}

std::optional<int64_t> PackedReader::frame_count() {
    return packet_table()->frame_count();
}

const PacketTable* PackedReader::packet_table() {
    try {
        if (!table_ || extent_ != Extent::whole || from_file_) load_whole();
        return table_.get();
    } catch (const Error& error) {
        throw error.at({path_.string(), {}, {}});
    }
}

}  // namespace reelstore
