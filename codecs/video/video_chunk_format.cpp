#include "codecs/video/video_chunk_format.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "codecs/video/decoder.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/encoder_availability.h"
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
            if (scan_tried_ || !may_be_stale || !replace_table()) throw;
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
        if (!holds(positions.front())) use_whole_table();
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
        return options_.packets && !from_scan_ ? options_.packets(position) : nullptr;
    }

    enum class Extent {
        part,  ///< some packets from somewhere in the chunk
        tail,  ///< the last ones that were known
        whole,
    };

    void use(std::shared_ptr<const PacketTable> table, Extent extent) {
        table_ = std::move(table);
        extent_ = extent;
        if (decoder_ && decoder_->continue_with(table_)) return;
        earlier_ = counters();
        decoder_.reset();
    }

    void use_whole_table() {
        std::shared_ptr<const PacketTable> table = known(std::nullopt);
        if (!table) {
            table = scan();
            from_scan_ = true;
            if (options_.scanned) options_.scanned(table, false);
        }
        use(std::move(table), Extent::whole);
    }

    const PacketTable& whole_table() {
        if (!table_ || extent_ != Extent::whole) use_whole_table();
        return *table_;
    }

    static bool holds(const PacketTable& table, int64_t position) {
        return position >= table.first_position && position < table.first_position + table.frame_count();
    }
    bool holds(int64_t position) const { return table_ && holds(*table_, position); }

    /// The whole table costs time in proportion to the chunk, so a first jump into it, and each step behind the end of
    /// a chunk that is being written, make do with a part.
    void load(int64_t position) {
        const bool may_have_grown =
            table_ && extent_ != Extent::part && position >= table_->first_position + table_->frame_count();
        if (position >= 0 && (!table_ || may_have_grown)) {
            std::shared_ptr<const PacketTable> part = known(position);
            if (part && holds(*part, position)) {
                use(std::move(part), may_have_grown ? Extent::tail : Extent::part);
                return;
            }
        }
        if (may_have_grown) {
            // No part can do without the others, or there is no such frame.
            std::shared_ptr<const PacketTable> table = known(std::nullopt);
            if (table && holds(*table, position)) use(std::move(table), Extent::whole);
        } else {
            whole_table();
        }
    }

    const PacketTable& table_with(int64_t position) {
        if (!holds(position)) load(position);
        if (!holds(position)) {
            const int64_t count = table_->first_position + table_->frame_count();
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
        scan_tried_ = true;
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
        from_scan_ = true;
        use(std::move(fresh), Extent::whole);
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
    Extent extent_ = Extent::part;
    bool scan_tried_ = false;
    bool from_scan_ = false;  ///< the table in use; what was known of the packets is out of date then
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

VideoChunkFormat::VideoChunkFormat(VideoFormatSpec spec) : spec_(std::move(spec)) {
    info_.name = spec_.name;
    info_.aliases = spec_.aliases;
    info_.kind = ChunkKind::file;
    info_.extension = spec_.extension;
    info_.video = true;
    info_.lossless = spec_.lossless;
    info_.types = spec_.types;
    info_.unavailable = encoder_unavailable(spec_.encoders.front());
    info_.options = encoder_option_list(spec_.encoders, spec_.lossless);
}

EncoderSettings VideoChunkFormat::parse(const CodecOptions& codec) const {
    return parse_encoder_options(codec, spec_.encoders, spec_.lossless);
}

std::optional<std::string> VideoChunkFormat::refuses(const ImageType& type) const {
    return refuses_with({}, type);
}

std::optional<std::string> VideoChunkFormat::refuses_with(const CodecOptions& codec, const ImageType& type) const {
    return refuses_images(parse(codec), type);
}

ImageType VideoChunkFormat::recorded_type(const ImageType& type) const {
    ImageType recorded = type;
    if (spec_.lossless) return recorded;
    recorded.height += recorded.height % 2;
    recorded.width += recorded.width % 2;
    return recorded;
}

void VideoChunkFormat::check_options(const CodecOptions& options) const {
    const EncoderSettings settings = parse(options);
    if (const std::string reason = encoder_unavailable(settings.encoder); !reason.empty())
        throw Error(ErrorCode::unsupported, "the encoder " + settings.encoder + " cannot be used: " + reason);
}

std::unique_ptr<ChunkWriter> VideoChunkFormat::create(const std::filesystem::path& path, const ImageType& type,
                                                      const CodecOptions& codec,
                                                      const ChunkWriteOptions& options) const {
    return std::make_unique<VideoWriter>(path, spec_.muxer, type, parse(codec), options);
}

std::unique_ptr<ChunkReader> VideoChunkFormat::open(const std::filesystem::path& path, const ImageType& type,
                                                    const ChunkReadOptions& options) const {
    return open_video_chunk(path, type, options);
}

}  // namespace reelstore
