#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// Packets of the first audio stream of a file, a sound file or a video, in file order.
///
/// FFmpeg reads the file through our own File and can open nothing else, as in Demuxer. Time stamps are those of the
/// container, completed where it leaves some out; they and the durations are in units of time_base(). Used by one
/// thread at a time.
class AudioFile {
public:
    /// Throws Error(unsupported) when the file is of no known kind or holds no sound.
    explicit AudioFile(const std::filesystem::path& path);
    AudioFile(const AudioFile&) = delete;
    AudioFile& operator=(const AudioFile&) = delete;

    /// Reads the next packet that is not empty. False at the end, or where the rest cannot be parsed. Throws Error when
    /// the file cannot be read.
    bool next(AVPacket& packet);
    /// Goes to a place before `seconds` of the container's clock, near to it where the container can tell places
    /// exactly; where it cannot, nothing happens. Only before the first next().
    void approach(double seconds);

    const AVCodecParameters& parameters() const { return *stream().codecpar; }
    AVRational time_base() const { return stream().time_base; }
    /// FFmpeg's name of the codec ("aac", "pcm_s16le").
    std::string codec() const { return avcodec_get_name(parameters().codec_id); }
    /// When players begin to play the file, in seconds of the container's clock; that of the sound, and of the pictures
    /// where there are some.
    double first_second() const;
    /// When the sound ends, in seconds of the container's clock; nothing where that is not known for sure.
    std::optional<double> last_second() const;
    const std::string& path() const { return path_; }

private:
    void open();
    const AVStream& stream() const { return *format_->streams[stream_index_]; }
    double seconds(const AVPacket& packet) const;

    std::string path_;
    std::unique_ptr<File> file_;
    std::unique_ptr<FileInput> input_;
    UniqueInputFormat format_;
    int stream_index_ = -1;
    UniquePacket first_;  ///< read already by approach(); null otherwise
};

}  // namespace reelstore
