#include "codecs/video/video_writer.h"

#include <algorithm>
#include <utility>

#include "base/retry_with_room.h"
#include "codecs/checksum.h"

namespace reelstore {

namespace {

/// Adds the path to errors of parts that do not know it.
template <typename Action>
auto naming(const std::filesystem::path& path, Action action) {
    try {
        return action();
    } catch (const Error& error) {
        throw error.at({path.string(), {}, {}});
    }
}

}  // namespace

VideoWriter::VideoWriter(const std::filesystem::path& path, const std::string& muxer, const ImageType& type,
                         const EncoderSettings& settings, const ChunkWriteOptions& options)
    : path_(path),
      encoder_(naming(path, [&] { return Encoder(settings, type); })),
      file_(retry_with_room(options.make_room, [&] { return file_system().open(path, OpenMode::create_exclusive); })),
      output_(*file_, options.make_room),
      stream_(encoder_.stream()) {
    try {
        begin_file(muxer);
    } catch (const Error&) {
        // A file that this call has made and that holds nothing; whoever made the call takes it for not begun.
        remove_file();
        throw;
    }
}

void VideoWriter::remove_file() {
    try {
        file_->close();
        file_system().remove(path_);
    } catch (const Error&) {
        // The error that led here says more.
        return;
    }
}

void VideoWriter::begin_file(const std::string& muxer) {
    AVFormatContext* context = nullptr;
    fail_on(avformat_alloc_output_context2(&context, nullptr, muxer.c_str(), nullptr), "write this kind of file");
    format_.reset(context);
    format_->pb = output_.io();
    // Payloads have to be stored byte for byte, so no filter of FFmpeg's own choice.
    format_->flags = (format_->flags | AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_FLUSH_PACKETS) & ~AVFMT_FLAG_AUTO_BSF;
    AVStream* stream = avformat_new_stream(format_.get(), nullptr);
    if (!stream) throw Error(ErrorCode::internal, {path_.string(), {}, {}}, "out of memory for a video stream");
    encoder_.fill(*stream->codecpar);
    // Parameter sets are in the header alone, which this tag promises; some players take no other.
    const bool hevc_in_mp4 = encoder_.stream().codec == "hevc" && (muxer == "mp4" || muxer == "mov");
    stream->codecpar->codec_tag = hevc_in_mp4 ? MKTAG('h', 'v', 'c', '1') : 0;
    stream_.codec_tag = stream->codecpar->codec_tag;
    stream->time_base = encoder_.frame_duration();
    stream->avg_frame_rate = av_inv_q(encoder_.frame_duration());
    stream->r_frame_rate = stream->avg_frame_rate;
    fail_on(avformat_write_header(format_.get(), nullptr), "begin the file");
    stream_.time_base_num = stream->time_base.num;
    stream_.time_base_den = stream->time_base.den;
}

void VideoWriter::fail_on(int code, const char* action) {
    output_.rethrow();
    if (code < 0) throw libav_error(code, path_.string(), action);
}

void VideoWriter::write(const cv::Mat& image) {
    if (finished_)
        throw Error(ErrorCode::invalid_argument, {path_.string(), {}, {}}, "is finished; no frame can be added");
    store_all(naming(path_, [&] { return encoder_.encode(image); }));
}

void VideoWriter::store_all(std::vector<EncodedPacket> packets) {
    for (EncodedPacket& encoded : packets) store(std::move(encoded));
}

void VideoWriter::store(EncodedPacket encoded) {
    AVPacket& packet = *encoded.packet;
    const AVStream& stream = *format_->streams[0];
    const int64_t position = packet.pts;
    packet.stream_index = 0;
    av_packet_rescale_ts(&packet, encoder_.frame_duration(), stream.time_base);
    StoredFrame stored{.position = position,
                       .bytes = static_cast<uint64_t>(packet.size),
                       .packet = Packet{.offset = 0,
                                        .size = static_cast<uint32_t>(packet.size),
                                        .pts = packet.pts,
                                        .key = encoded.key,
                                        .disposable = encoded.disposable,
                                        .checksum = frame_checksum({packet.data, static_cast<size_t>(packet.size)})},
                       .decode_position = decode_position_++};
    clear_libav_message();
    output_.mark();
    fail_on(av_write_frame(format_.get(), &packet), "write a frame");
    // Matroska gathers frames in memory until it is told to write them.
    fail_on(av_write_frame(format_.get(), nullptr), "write a frame");
    avio_flush(format_->pb);
    fail_on(format_->pb->error, "write a frame");
    const auto offset = output_.find({packet.data, static_cast<size_t>(packet.size)});
    if (!offset) {
        throw Error(ErrorCode::internal, {path_.string(), {}, {}},
                    "the bytes of frame " + std::to_string(position) + " are not where they were written");
    }
    stored.packet->offset = *offset;
    output_.mark();

    for (; next_position_ <= position; ++next_position_) missing_.insert(next_position_);
    missing_.erase(position);
    pending_.push_back(std::move(stored));
    if (!missing_.empty()) return;
    // Now the frames stored are a beginning of the video both in display and in decode order.
    std::sort(pending_.begin(), pending_.end(),
              [](const StoredFrame& a, const StoredFrame& b) { return a.position < b.position; });
    std::move(pending_.begin(), pending_.end(), std::back_inserter(ready_));
    pending_.clear();
}

std::vector<StoredFrame> VideoWriter::take_stored() {
    return std::exchange(ready_, {});
}

void VideoWriter::finish() {
    if (finished_) return;
    finished_ = true;
    store_all(naming(path_, [&] { return encoder_.flush(); }));
    clear_libav_message();
    fail_on(av_write_trailer(format_.get()), "finish the file");
    avio_flush(format_->pb);
    fail_on(format_->pb->error, "finish the file");
}

void VideoWriter::sync() {
    // A second sync of the same file would succeed without the bytes that the first has lost.
    if (sync_failure_) std::rethrow_exception(sync_failure_);
    try {
        file_->sync();
        if (std::exchange(file_is_new_, false)) file_system().sync_folder(path_.parent_path());
    } catch (...) {
        sync_failure_ = std::current_exception();
        throw;
    }
}

}  // namespace reelstore
