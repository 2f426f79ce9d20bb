#include "codecs/video/video_chunk_format.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "codecs/video/decoder.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/encoder.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/pixel_convert.h"
#include "codecs/video/video_writer.h"

namespace reelstore {

namespace {

class VideoChunkReader : public ChunkReader {
public:
    VideoChunkReader(const std::filesystem::path& path, const ImageType& type, const ChunkReadOptions& options)
        : path_(path), type_(type), demuxer_(demuxer_of_extension(path)), options_(options) {
        if (demuxer_.empty()) {
            throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                        "video chunks are .mp4 .mov .m4v .mkv .webm .avi files");
        }
    }

    cv::Mat read(int64_t position) override {
        try {
            return read_from_table(position);
        } catch (const Error& error) {
            const bool may_be_stale = error.code() == ErrorCode::corrupt || error.code() == ErrorCode::not_found;
            if (scanned_ || !may_be_stale || !replace_table()) throw;
        }
        return read_from_table(position);
    }

    int64_t entry_position(int64_t position) override {
        const int64_t first = table_with(position).first_position;
        return first + decoder().entry_position(position - first);
    }

    void will_read(std::span<const int64_t> positions) override {
        if (positions.empty()) return;
        table_with(positions.front());
        table_with(positions.back());
        std::vector<int64_t> own(positions.begin(), positions.end());
        for (int64_t& position : own) position -= table_->first_position;
        decoder().will_read(own);
    }

    void set_last_position(int64_t position) override {
        last_position_ = position;
        if (decoder_) decoder_->set_last_position(position - table_->first_position);
    }

    void drop_cache() override {
        if (decoder_) decoder_->drop_cache();
    }

    std::optional<int64_t> frame_count() override { return whole_table().frame_count(); }

    const PacketTable* packet_table() override { return &whole_table(); }

    DecodeCounters counters() const override {
        DecodeCounters counters = earlier_;
        if (decoder_) counters += decoder_->counters();
        return counters;
    }

private:
    std::shared_ptr<const PacketTable> known(std::optional<int64_t> position) const {
        return options_.packets && !scanned_ ? options_.packets(position) : nullptr;
    }

    void use(std::shared_ptr<const PacketTable> table, bool whole) {
        earlier_ = counters();
        decoder_.reset();
        table_ = std::move(table);
        is_whole_ = whole;
    }

    void use_whole_table() {
        std::shared_ptr<const PacketTable> table = known(std::nullopt);
        if (!table) {
            table = scan();
            if (options_.scanned) options_.scanned(table, false);
        }
        use(std::move(table), true);
    }

    const PacketTable& whole_table() {
        if (!table_ || !is_whole_) use_whole_table();
        return *table_;
    }

    bool holds(int64_t position) const {
        return table_ && position >= table_->first_position &&
               position < table_->first_position + table_->frame_count();
    }

    /// The whole table costs time in proportion to the chunk, so a first jump into it makes do with a part.
    const PacketTable& table_with(int64_t position) {
        if (!table_ && position >= 0) {
            if (std::shared_ptr<const PacketTable> part = known(position)) use(std::move(part), false);
        }
        if (!holds(position) && !is_whole_) use_whole_table();
        if (!holds(position)) {
            const int64_t count = table_->frame_count();
            throw Error(position < 0 ? ErrorCode::invalid_argument : ErrorCode::not_found, {path_.string(), {}, {}},
                        "has no frame at position " + std::to_string(position) + "; it holds " + std::to_string(count) +
                            (count == 1 ? " frame" : " frames"));
        }
        return *table_;
    }

    VideoDecoder& decoder() {
        if (!decoder_) {
            decoder_ = std::make_unique<VideoDecoder>(
                path_, table_, VideoDecoderOptions{.cache_bytes = options_.cache_bytes, .pool = options_.decoders});
            decoder_->set_last_position(last_position_ - table_->first_position);
        }
        return *decoder_;
    }

    std::shared_ptr<const PacketTable> scan() {
        scanned_ = true;
        ++earlier_.demux_scans;
        VideoScan scan = scan_packets(path_, demuxer_);
        earlier_.bytes_read += scan.bytes_read;
        return std::make_shared<const PacketTable>(std::move(scan.table));
    }

    cv::Mat read_from_table(int64_t position) {
        const int64_t first = table_with(position).first_position;
        VideoDecoder& video = decoder();
        last_position_ = position;
        const AVFrame& frame = video.read(position - first);
        try {
            return converter_.convert(frame, type_);
        } catch (const Error& error) {
            throw error.at({path_.string(), {}, {}});
        }
    }

    /// True when a scan gives another table than the one in use, which it then replaces.
    bool replace_table() {
        std::shared_ptr<const PacketTable> fresh;
        try {
            whole_table();
            fresh = scan();
        } catch (const Error&) {
            return false;
        }
        const auto checked = [](const Packet& packet) { return packet.checksum.has_value(); };
        if (std::any_of(table_->packets.begin(), table_->packets.end(), checked)) fresh = moved_packets(*fresh);
        if (!fresh) return false;
        if (fresh->packets == table_->packets && fresh->stream.extradata == table_->stream.extradata) return false;
        if (options_.scanned) options_.scanned(fresh, true);
        use(std::move(fresh), true);
        return true;
    }

    /// The table in use with the places that a scan found, for a file that was written anew around the same packets.
    /// Where there are checksums, everything else that was recorded stays in force: what does not fit it is not the
    /// recording.
    std::shared_ptr<const PacketTable> moved_packets(const PacketTable& fresh) const {
        if (fresh.packets.size() != table_->packets.size()) return nullptr;
        auto moved = std::make_shared<PacketTable>(*table_);
        for (size_t i = 0; i < fresh.packets.size(); ++i) {
            if (fresh.packets[i].size != moved->packets[i].size) return nullptr;
            moved->packets[i].offset = fresh.packets[i].offset;
        }
        return moved;
    }

    std::filesystem::path path_;
    ImageType type_;
    std::string demuxer_;
    ChunkReadOptions options_;
    std::shared_ptr<const PacketTable> table_;
    bool is_whole_ = false;
    bool scanned_ = false;
    int64_t last_position_ = -1;
    std::unique_ptr<VideoDecoder> decoder_;
    FrameToImage converter_;
    DecodeCounters earlier_;  ///< of scans and of decoders already closed
};

}  // namespace

std::unique_ptr<ChunkReader> open_video_chunk(const std::filesystem::path& path, const ImageType& type,
                                              const ChunkReadOptions& options) {
    return std::make_unique<VideoChunkReader>(path, type, options);
}

std::function<std::shared_ptr<const PacketTable>(std::optional<int64_t>)> known_packets(
    std::shared_ptr<const PacketTable> table) {
    return [table = std::move(table)](std::optional<int64_t>) { return table; };
}

VideoChunkFormat::VideoChunkFormat(std::string name, std::vector<std::string> aliases, std::string extension,
                                   std::string encoder, std::string muxer)
    : encoders_({std::move(encoder)}), muxer_(std::move(muxer)) {
    info_.name = std::move(name);
    info_.aliases = std::move(aliases);
    info_.kind = ChunkKind::file;
    info_.extension = std::move(extension);
    info_.video = true;
    info_.types = "uint8 gray and BGR; odd sizes are padded to even ones";
    info_.unavailable = encoder_unavailable(encoders_.front());
    info_.options = encoder_option_list(encoders_);
}

std::optional<std::string> VideoChunkFormat::refuses(const ImageType& type) const {
    return refuses_pixels(type);
}

ImageType VideoChunkFormat::recorded_type(const ImageType& type) const {
    ImageType recorded = type;
    recorded.height += recorded.height % 2;
    recorded.width += recorded.width % 2;
    return recorded;
}

void VideoChunkFormat::check_options(const CodecOptions& options) const {
    parse_encoder_options(options, encoders_);
}

std::unique_ptr<ChunkWriter> VideoChunkFormat::create(const std::filesystem::path& path, const ImageType& type,
                                                      const CodecOptions& options) const {
    return std::make_unique<VideoWriter>(path, muxer_, type, parse_encoder_options(options, encoders_));
}

std::unique_ptr<ChunkReader> VideoChunkFormat::open(const std::filesystem::path& path, const ImageType& type,
                                                    const ChunkReadOptions& options) const {
    return open_video_chunk(path, type, options);
}

}  // namespace reelstore
