#include "store/copy_video.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/chunk_format.h"
#include "codecs/video/pixel_convert.h"
#include "store/encoded_video.h"

namespace reelstore {

namespace {

/// The format that is one codec in one container; empty for codecs that no format holds.
std::string usual_format(const std::string& codec) {
    if (codec == "h264") return "avc1/mp4";
    if (codec == "hevc") return "hevc/mp4";
    if (codec == "av1") return "av1/mkv";
    if (codec == "ffv1") return "ffv1/mkv";
    if (codec == "mjpeg") return "mjpeg/avi";
    return {};
}

bool holds(const std::string& format, const std::string& codec) {
    return format == usual_format(codec) || (format == "h264/mkv" && codec == "h264");
}

}  // namespace

ImageType image_type_of(const VideoStream& stream) {
    const bool gray = is_gray_format(stream.pixel_format);
    const bool keeps_bits = gray || stream.pixel_format.starts_with("gbr");
    const bool deep = keeps_bits && is_deep_format(stream.pixel_format);
    return {stream.height, stream.width, gray ? 1 : 3, deep ? CV_16U : CV_8U};
}

std::string format_for_packets(const std::filesystem::path& path, const PacketTable& table, const std::string& wanted) {
    const VideoStream& stream = table.stream;
    const auto refuse = [&](const std::string& reason) {
        throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                    reason + "; without --copy it is decoded and encoded anew");
    };
    if (table.frame_count() == 0) refuse("holds no frame that could be copied");
    if (stream.rotation != 0 || stream.mirrored)
        refuse("asks players to turn or mirror its frames, which frames of a store are not");
    const ChunkFormat* format = find_chunk_format(wanted.empty() ? usual_format(stream.codec) : wanted);
    if (wanted.empty() && !format)
        refuse(fmt::format("is {} video; the formats of stores hold h264, hevc, av1, ffv1 and mjpeg", stream.codec));
    if (!format) throw Error(ErrorCode::invalid_argument, fmt::format("unknown format \"{}\"", wanted));
    if (!holds(format->info().name, stream.codec))
        refuse(fmt::format("is {} video, which {} does not hold", stream.codec, format->info().name));
    return format->info().name;
}

int64_t copy_video(const std::filesystem::path& path, std::shared_ptr<const PacketTable> table, StoreWriter& writer,
                   const VideoCopyOptions& options) {
    const int64_t count = table->frame_count();
    const int64_t begin = std::min(options.first, count);
    const int64_t end = begin + std::min(options.frames.value_or(count), count - begin);
    const auto video = std::make_shared<VideoToCut>(path, table);
    const std::string extension = writer.metadata().extension;
    int64_t at = begin;
    while (at < end && !options.stop.stop_requested()) {
        int64_t next = end;
        if (end - at > options.chunk_frames)
            next = std::min(end, video->cutter.next_clean_cut(at + options.chunk_frames).value_or(end));
        const VideoPart part{video, video->cutter.cut(at, next)};
        EncodedChunk chunk;
        chunk.type = image_type_of(table->stream);
        // Nothing is padded, whatever the encoders of stores do.
        chunk.recorded_type = chunk.type;
        chunk.write = [&](const std::filesystem::path& media) {
            WrittenFrames written;
            for (int64_t frame = at; frame < next; ++frame) {
                const FrameStamp stamp = options.stamp(frame);
                written.numbers.push_back(stamp.number);
                written.times.push_back(stamp.time);
            }
            written.packets = write_video({&part, 1}, media, extension);
            return written;
        };
        writer.add_chunk(chunk);
        at = next;
        if (options.progress) options.progress(at - begin);
    }
    return at - begin;
}

}  // namespace reelstore
