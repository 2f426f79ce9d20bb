#include "codecs/video/packet_source.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "codecs/checksum.h"
#include "codecs/video/demuxer.h"

namespace reelstore {

namespace {

/// Most bytes read at once; longer runs of packets are read in pieces.
constexpr uint64_t kMaxReadBytes = uint64_t{64} << 20;
/// Foreign bytes (sound, container headers) between two packets that are read rather than skipped.
constexpr uint64_t kMaxGapBytes = uint64_t{64} << 10;

void fill(AVPacket& packet, const uint8_t* data, size_t size) {
    av_packet_unref(&packet);
    if (size > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE || av_new_packet(&packet, static_cast<int>(size)) < 0) {
        throw Error(ErrorCode::internal, "out of memory for a video packet of " + std::to_string(size) + " bytes");
    }
    std::memcpy(packet.data, data, size);
}

class FilePacketSource : public PacketSource {
public:
    FilePacketSource(const std::filesystem::path& path, std::shared_ptr<const PacketTable> table)
        : path_(path.string()), table_(std::move(table)), file_(file_system().open(path, OpenMode::read)) {}

    void fetch(int64_t place, int64_t through, AVPacket& packet) override {
        const Packet& wanted = at(place);
        if (!holds(wanted)) load(place, through);
        const std::span<const uint8_t> payload(buffer_.data() + (wanted.offset - buffer_offset_), wanted.size);
        if (wanted.checksum && frame_checksum(payload) != *wanted.checksum) {
            throw Error(ErrorCode::corrupt, {path_, {}, {}},
                        "the " + std::to_string(wanted.size) + " bytes at " + std::to_string(wanted.offset) +
                            " (packet " + std::to_string(place) + ") have changed since they were written");
        }
        fill(packet, payload.data(), payload.size());
    }

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
    std::unique_ptr<File> file_;
    std::vector<uint8_t> buffer_;
    uint64_t buffer_offset_ = 0;
    int64_t bytes_read_ = 0;
};

/// Counts packets from the beginning of the file, because that is the only position every demuxer reaches exactly.
class DemuxPacketSource : public PacketSource {
public:
    DemuxPacketSource(const std::filesystem::path& path, std::shared_ptr<const PacketTable> table)
        : path_(path), table_(std::move(table)) {}

    void fetch(int64_t place, int64_t, AVPacket& packet) override {
        if (!demuxer_ || place < next_) {
            bytes_read_ = bytes_read();
            demuxer_.reset();
            demuxer_ = std::make_unique<Demuxer>(path_, table_->container);
            next_ = 0;
            ++scans_;
        }
        while (next_ <= place) {
            if (!demuxer_->next(packet)) {
                throw Error(ErrorCode::corrupt, {path_.string(), {}, {}},
                            "ends after " + std::to_string(next_) + " packets, before packet " + std::to_string(place));
            }
            ++next_;
        }
    }

    int64_t bytes_read() const override { return bytes_read_ + (demuxer_ ? demuxer_->bytes_read() : 0); }
    int64_t demux_scans() const override { return scans_; }

private:
    std::filesystem::path path_;
    std::shared_ptr<const PacketTable> table_;
    std::unique_ptr<Demuxer> demuxer_;
    int64_t next_ = 0;
    int64_t bytes_read_ = 0;
    int64_t scans_ = 0;
};

}  // namespace

std::unique_ptr<PacketSource> make_packet_source(const std::filesystem::path& path,
                                                 std::shared_ptr<const PacketTable> table) {
    if (table->contiguous) return std::make_unique<FilePacketSource>(path, std::move(table));
    return std::make_unique<DemuxPacketSource>(path, std::move(table));
}

}  // namespace reelstore
