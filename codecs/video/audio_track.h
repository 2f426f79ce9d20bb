#pragma once

#include <string>
#include <vector>

#include "codecs/video/libav.h"

namespace reelstore {

/// Sound that goes into a video file beside its frames. Used by one thread at a time.
class AudioTrack {
public:
    virtual ~AudioTrack() = default;
    /// Adds its stream to the file before the header is written; throws Error(unsupported) when this muxer cannot hold
    /// it. `muxer` is FFmpeg's name ("mp4", "mov", "matroska", "webm", "avi").
    virtual void add_to(AVFormatContext& format, const std::string& muxer) = 0;
    /// The packets that begin before `seconds` of the video's own clock (0 at its first frame) and were not taken yet,
    /// stream_index and times set in the stream's time base.
    virtual std::vector<UniquePacket> take_before(double seconds) = 0;
};

}  // namespace reelstore
