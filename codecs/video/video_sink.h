#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/frame_source.h"
#include "codecs/file_format.h"

namespace reelstore {

/// A kind of video file that can be written.
struct VideoContainer {
    std::string extension;              ///< ".mp4"
    std::string muxer;                  ///< FFmpeg's name
    std::vector<std::string> encoders;  ///< that it can hold; the first one is the default
    bool streams = true;                ///< can be written without going back
    bool true_times = true;             ///< frames can be shown at times of their own
};

const std::vector<VideoContainer>& video_containers();
/// By extension in lower case; null when there is none.
const VideoContainer* video_container(std::string_view extension);

/// Where an encoded video goes.
struct VideoTarget {
    std::string name;  ///< for messages
    /// Gives the empty file when the first frame is there; it is kept until the sink is gone.
    std::function<std::shared_ptr<File>()> open;
    std::function<void()> discard = {};  ///< called when the file could not be begun or holds no frame
    bool can_seek = true;                ///< false: the file can only be appended to
    bool fragmented = false;             ///< an mp4 or mov in parts even if the file can seek
    bool index_first = false;            ///< an mp4 or mov that can be played while it is still coming in
};

/// A sink that encodes a video. Of `options`, path, stream and kind are not looked at. Without a frame, `open` is never
/// called. Throws Error(invalid_argument or unsupported) for options that do not fit.
std::unique_ptr<FrameSink> make_video_sink(const VideoContainer& container, VideoTarget target,
                                           const SinkOptions& options);

/// The target that is a new file at `path`. Throws Error(already_exists) when there is something.
VideoTarget new_video_file(const std::filesystem::path& path);
/// The target that takes bytes one after the other.
VideoTarget video_stream_to(ByteWriter writer, const std::string& name);

}  // namespace reelstore
