#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "codecs/packet_table.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// Packets of the first real video stream of a file, in file order.
///
/// The file may come from anywhere. FFmpeg reads it through our own File and can open nothing else: no protocol is
/// allowed, every request for another file is refused, and only demuxers of real containers are used, never playlists
/// or scripts. Time stamps are those of the container; where it has none they are missing, not guessed. Used by one
/// thread at a time.
class Demuxer {
public:
    /// `forced` names the demuxer ("mov", "matroska", "avi"); what does not fit it is Error(corrupt). Empty: the
    /// content decides, and Error(unsupported) names what it looks like when that is no video container.
    explicit Demuxer(const std::filesystem::path& path, const std::string& forced = {});
    Demuxer(const Demuxer&) = delete;
    Demuxer& operator=(const Demuxer&) = delete;

    /// Reads the next packet that is not empty. False at the end of the file, or where its rest cannot be parsed.
    /// Throws Error when the file cannot be read.
    bool next(AVPacket& packet);

    /// From the container's headers; pixel_format may be empty and sizes 0 where they do not tell.
    const VideoStream& stream() const { return stream_; }
    /// FFmpeg's form of the same.
    const AVCodecParameters& parameters() const;
    /// FFmpeg's first name of the container ("mov", "matroska").
    const std::string& container() const { return container_; }
    /// Seconds since the Unix epoch, when the container says.
    std::optional<double> creation_time() const;
    /// Video streams of the file that are not pictures attached to it; the first one is read.
    int video_streams() const { return video_streams_; }
    File& file() { return *file_; }
    int64_t bytes_read() const { return input_.bytes_read(); }

private:
    void open(const AVInputFormat* input_format, bool forced);
    /// Also counts the video streams.
    int choose_stream();
    void unpack_pictures();

    std::string path_;
    std::unique_ptr<File> file_;
    FileInput input_;
    UniqueInputFormat format_;
    UniqueFilter filter_;  ///< null for most streams
    std::string container_;
    int stream_index_ = -1;
    int video_streams_ = 0;
    VideoStream stream_;
};

/// The demuxer for the video containers of stores by extension (".mp4" -> "mov"); empty for others.
std::string demuxer_of_extension(const std::filesystem::path& path);

/// FFmpeg's name of the video container that `head`, the first bytes of a file, look like. Empty when they look like
/// nothing known, or like something that is not read as video; then `*other` (may be null) names it.
std::string probe_container(std::span<const uint8_t> head, std::string* other = nullptr);

/// The frame rate, matrix, range and sizes that FFmpeg's parameters tell, in our words.
VideoStream describe_stream(const AVStream& stream, const AVCodecParameters& parameters);

}  // namespace reelstore
