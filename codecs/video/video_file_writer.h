#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/file_system.h"
#include "base/pixel_type.h"
#include "codecs/video/audio_track.h"
#include "codecs/video/encoder.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// How the packets of a VideoFileWriter are kept.
struct VideoFileLayout {
    std::string muxer = {};    ///< FFmpeg's name ("mp4", "mov", "matroska", "webm", "avi")
    bool true_times = false;   ///< each frame at its own time; otherwise one after the other at the settings' rate
    bool can_seek = true;      ///< false: the file can only be appended to; an mp4 or mov then is fragmented
    bool fragmented = false;   ///< mp4 and mov: parts that can be played before the file is complete
    bool index_first = false;  ///< mp4 and mov that are not fragmented: so that playing can begin before all is there
    std::shared_ptr<AudioTrack> audio = {};
};

/// Encodes frames into a video for players and other programs, with sound if there is some. Unlike VideoWriter it does
/// not tell where frames lie, does not write each at once, and writes to any file.
///
/// Errors name the file. Used by one thread at a time.
class VideoFileWriter {
public:
    /// Makes the encoder; the file is touched by begin(). `name` is the file's, for messages. Throws
    /// Error(unsupported) when the container cannot hold what is asked of it, and like Encoder.
    VideoFileWriter(std::string name, VideoFileLayout layout, const ImageType& type, const EncoderSettings& settings);

    /// Writes the header. `file` is empty and must outlive this object.
    void begin(File& file);
    /// Encodes the next frame. `time`, in seconds, counts with true_times: one that is not behind the time of the frame
    /// before is moved one tick of the container behind it. Throws Error(invalid_argument) for a time that is no
    /// number, and for a gap longer than the container can tell.
    void write(const cv::Mat& image, double time);
    /// Writes what was held back, the rest of the sound and the index. Nothing can be written afterwards.
    void finish();

    /// Frames whose times were moved because they did not rise.
    int64_t times_moved() const { return times_moved_; }

private:
    void add_video_stream();
    void set_times(double time);
    void store(const std::vector<EncodedPacket>& packets);
    void store_audio(double before);
    /// When the frame at a position begins, in the stream's time base; positions before 0 and behind the last frame are
    /// those of a constant rate.
    int64_t time_of(int64_t position) const;
    double seconds(int64_t time) const;
    int64_t frame_duration() const;
    void forget_times(int64_t position);
    void fail_on(int code, const char* action);

    std::string name_;
    VideoFileLayout layout_;
    Encoder encoder_;
    File* file_ = nullptr;
    std::unique_ptr<PlainOutput> output_;
    std::unique_ptr<FileInput> written_;  ///< for FFmpeg to move what it wrote
    UniqueOutputFormat format_;
    std::optional<double> first_time_;
    std::deque<int64_t> times_;  ///< of the frames from first_kept_ on
    int64_t first_kept_ = 0;
    int64_t frames_ = 0;
    int64_t times_moved_ = 0;
    double audio_taken_ = 0;  ///< seconds of the video whose sound is in the file
};

}  // namespace reelstore
