#include "codecs/video/packet_source.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codecs/checksum.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/transport_stream.h"

namespace reelstore {

namespace {

/// Most bytes read at once; longer runs of packets are read in pieces.
constexpr uint64_t kMaxReadBytes = uint64_t{8} << 20;
/// Foreign bytes (sound, container headers) between two packets that are read rather than skipped.
constexpr uint64_t kMaxGapBytes = uint64_t{64} << 10;

void fill(AVPacket& packet, std::span<const uint8_t> payload) {
    const size_t size = payload.size();
    av_packet_unref(&packet);
    if (size > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE || av_new_packet(&packet, static_cast<int>(size)) < 0) {
        throw Error(ErrorCode::internal, "out of memory for a video packet of " + std::to_string(size) + " bytes");
    }
    std::memcpy(packet.data, payload.data(), size);
}

void check(const Packet& packet, std::span<const uint8_t> payload, const std::string& path, int64_t place) {
    if (!packet.checksum || frame_checksum(payload) == *packet.checksum) return;
    throw Error(ErrorCode::corrupt, {path, {}, {}},
                "the " + std::to_string(packet.size) + " bytes at " + std::to_string(packet.offset) + " (packet " +
                    std::to_string(place) + ") have changed since they were recorded");
}

/// A ProRes frame begins with its size in four bytes and these four; Matroska leaves them out.
constexpr std::string_view kProres = "prores";
constexpr std::string_view kProresMark = "icpf";
constexpr size_t kProresHeaderBytes = 8;

bool has_prores_header(std::span<const uint8_t> payload) {
    return payload.size() > kProresHeaderBytes &&
           std::memcmp(payload.data() + 4, kProresMark.data(), kProresMark.size()) == 0;
}

std::vector<uint8_t> with_prores_header(std::span<const uint8_t> payload) {
    std::vector<uint8_t> frame;
    const size_t size = payload.size() + kProresHeaderBytes;
    frame.reserve(size);
    for (int shift = 24; shift >= 0; shift -= 8) frame.push_back(static_cast<uint8_t>(size >> shift));
    frame.insert(frame.end(), kProresMark.begin(), kProresMark.end());
    frame.insert(frame.end(), payload.begin(), payload.end());
    return frame;
}

class FilePacketSource : public PacketSource {
public:
    FilePacketSource(const std::filesystem::path& path, std::shared_ptr<const PacketTable> table, bool check_bytes)
        : path_(path.string()),
          table_(std::move(table)),
          check_bytes_(check_bytes),
          file_(file_system().open(path, OpenMode::read)),
          prores_(table_->stream.codec == kProres) {}

    void fetch(int64_t place, int64_t through, AVPacket& packet) override {
        const Packet& wanted = at(place);
        if (!holds(wanted)) load(place, through);
        const std::span<const uint8_t> payload(buffer_.data() + (wanted.offset - buffer_offset_), wanted.size);
        if (check_bytes_) check(wanted, payload, path_, table_->first_position + place);
        if (prores_ && !has_prores_header(payload)) {
            fill(packet, with_prores_header(payload));
        } else {
            fill(packet, payload);
        }
    }

    void use_table(std::shared_ptr<const PacketTable> table) override { table_ = std::move(table); }
    int64_t bytes_read() const override { return bytes_read_; }

private:
    const Packet& at(int64_t place) const { return table_->packets[static_cast<size_t>(place)]; }

    bool holds(const Packet& packet) const {
        return packet.size > 0 && packet.offset >= buffer_offset_ && packet.offset - buffer_offset_ <= buffer_.size() &&
               packet.size <= buffer_.size() - (packet.offset - buffer_offset_);
    }

    void load(int64_t place, int64_t through) {
        const Packet& first = at(place);
        const uint64_t file_size = file_->size();
        if (first.size == 0 || first.offset > file_size || first.size > file_size - first.offset)
            too_short(place, file_size);
        uint64_t end = first.offset + first.size;
        for (int64_t next = place + 1; next <= through; ++next) {
            const Packet& packet = at(next);
            if (packet.offset < end || packet.offset - end > kMaxGapBytes || packet.offset > file_size) break;
            const uint64_t packet_end = packet.offset + packet.size;
            if (packet_end > file_size || packet_end - first.offset > kMaxReadBytes) break;
            end = packet_end;
        }
        buffer_.clear();  // whatever happens below, no stale bytes stay
        buffer_offset_ = first.offset;
        buffer_.resize(end - first.offset);
        const size_t got = file_->read_at(buffer_.data(), buffer_.size(), buffer_offset_);
        bytes_read_ += static_cast<int64_t>(got);
        buffer_.resize(got);
        if (!holds(first)) too_short(place, first.offset + got);
    }

    [[noreturn]] void too_short(int64_t place, uint64_t file_size) const {
        throw Error(ErrorCode::corrupt, {path_, {}, {}},
                    "ends at byte " + std::to_string(file_size) + ", before packet " + std::to_string(place) + " (" +
                        std::to_string(at(place).size) + " bytes at " + std::to_string(at(place).offset) + ")");
    }

    std::string path_;
    std::shared_ptr<const PacketTable> table_;
    bool check_bytes_;
    std::unique_ptr<File> file_;
    bool prores_;
    std::vector<uint8_t> buffer_;
    uint64_t buffer_offset_ = 0;
    int64_t bytes_read_ = 0;
};

/// Gathers payloads from the cells of a transport stream.
class TransportPacketSource : public PacketSource {
public:
    TransportPacketSource(const std::filesystem::path& path, std::shared_ptr<const PacketTable> table, bool check_bytes)
        : path_(path.string()),
          table_(std::move(table)),
          check_bytes_(check_bytes),
          file_(file_system().open(path, OpenMode::read)),
          reader_(*file_) {}

    void fetch(int64_t place, int64_t, AVPacket& packet) override {
        const Packet& wanted = table_->packets[static_cast<size_t>(place)];
        const std::optional<int> stream = reader_.stream_at(wanted.offset);
        const auto found = stream ? reader_.read(*stream, wanted.offset, wanted.size, payload_) : std::nullopt;
        if (!found || found->first != wanted.offset) {
            throw Error(ErrorCode::corrupt, {path_, {}, {}},
                        "does not hold packet " + std::to_string(place) + " (" + std::to_string(wanted.size) +
                            " bytes from " + std::to_string(wanted.offset) + " on) any more");
        }
        if (check_bytes_) check(wanted, payload_, path_, place);
        fill(packet, payload_);
    }

    void use_table(std::shared_ptr<const PacketTable> table) override { table_ = std::move(table); }
    int64_t bytes_read() const override { return reader_.bytes_read(); }

private:
    std::string path_;
    std::shared_ptr<const PacketTable> table_;
    bool check_bytes_;
    std::unique_ptr<File> file_;
    TransportStreamReader reader_;
    std::vector<uint8_t> payload_;
};

/// Counts packets from the beginning of the file, because that is the only position every demuxer reaches exactly.
/// Those of a small file stay in memory.
class DemuxPacketSource : public PacketSource {
public:
    DemuxPacketSource(const std::filesystem::path& path, std::shared_ptr<const PacketTable> table, bool check_bytes)
        : path_(path), table_(std::move(table)), check_bytes_(check_bytes) {}

    void fetch(int64_t place, int64_t, AVPacket& packet) override {
        const int64_t in_file = table_->file_places.empty() ? place : table_->file_places[static_cast<size_t>(place)];
        av_packet_unref(&packet);
        if (in_file >= static_cast<int64_t>(held_.size())) advance(in_file, packet);
        if (in_file < static_cast<int64_t>(held_.size())) {
            av_packet_unref(&packet);
            if (av_packet_ref(&packet, held_[static_cast<size_t>(in_file)].get()) < 0) out_of_memory();
        }
        const Packet& wanted = table_->packets[static_cast<size_t>(place)];
        if (check_bytes_) check(wanted, {packet.data, static_cast<size_t>(packet.size)}, path_.string(), in_file);
    }

    void use_table(std::shared_ptr<const PacketTable> table) override { table_ = std::move(table); }

    int64_t bytes_read() const override { return bytes_read_ + (demuxer_ ? demuxer_->bytes_read() : 0); }
    int64_t demux_scans() const override { return scans_; }

private:
    static constexpr size_t kHeldBytes = size_t{32} << 20;

    [[noreturn]] static void out_of_memory() { throw Error(ErrorCode::internal, "out of memory for a video packet"); }

    /// Demuxes up to packet `place`; leaves it in `packet` where it is not held.
    void advance(int64_t place, AVPacket& packet) {
        if (!demuxer_ || place < next_) {
            bytes_read_ = bytes_read();
            demuxer_.reset();
            demuxer_ = std::make_unique<Demuxer>(path_, table_->container);
            next_ = 0;
            palette_.clear();
            ++scans_;
        }
        while (next_ <= place) {
            if (!demuxer_->next(packet)) {
                throw Error(ErrorCode::corrupt, {path_.string(), {}, {}},
                            "ends after " + std::to_string(next_) + " packets, before packet " + std::to_string(place));
            }
            keep_palette(packet);
            hold(packet);
            ++next_;
        }
    }

    void hold(const AVPacket& packet) {
        if (next_ != static_cast<int64_t>(held_.size())) return;
        if (static_cast<size_t>(packet.size) > kHeldBytes - held_bytes_) return;
        UniquePacket held = make_packet();
        if (av_packet_ref(held.get(), &packet) < 0) out_of_memory();
        held_bytes_ += static_cast<size_t>(packet.size);
        held_.push_back(std::move(held));
    }

    /// A palette comes with the packet where it changes and counts for those behind it.
    void keep_palette(AVPacket& packet) {
        size_t size = 0;
        if (const uint8_t* data = av_packet_get_side_data(&packet, AV_PKT_DATA_PALETTE, &size)) {
            palette_.assign(data, data + size);
        } else {
            add_palette(packet, palette_);
        }
    }

    std::filesystem::path path_;
    std::shared_ptr<const PacketTable> table_;
    bool check_bytes_;
    std::unique_ptr<Demuxer> demuxer_;
    std::vector<UniquePacket> held_;  ///< the first packets of the file
    size_t held_bytes_ = 0;
    std::vector<uint8_t> palette_;
    int64_t next_ = 0;
    int64_t bytes_read_ = 0;
    int64_t scans_ = 0;
};

}  // namespace

size_t prepended_bytes(const std::string& codec, std::span<const uint8_t> payload) {
    return codec == kProres && has_prores_header(payload) ? kProresHeaderBytes : 0;
}

std::unique_ptr<PacketSource> make_packet_source(const std::filesystem::path& path,
                                                 std::shared_ptr<const PacketTable> table, bool check_bytes) {
    if (table->contiguous) return std::make_unique<FilePacketSource>(path, std::move(table), check_bytes);
    if (table->in_cells) return std::make_unique<TransportPacketSource>(path, std::move(table), check_bytes);
    return std::make_unique<DemuxPacketSource>(path, std::move(table), check_bytes);
}

}  // namespace reelstore
