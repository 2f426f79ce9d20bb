#pragma once

#include <vector>

#include "codecs/video/libav.h"

namespace reelstore {

/// Where on the clock of a video, 0 at its first frame, a container can let sound begin.
struct SoundPlace {
    /// Sound before the first frame may be in the file; the container tells players to begin within it.
    bool before_first_frame = false;
    /// Sound may begin later than the video; else something must be in its place.
    bool later = false;
    /// Packets begin earlier by what a decoder of Opus leaves out at the beginning, and the container says by how much.
    bool moved_by_delay = false;
};

/// Packets of sound on the clock of a video, each once and in order. Used by one thread at a time.
class AudioPackets {
public:
    virtual ~AudioPackets() = default;
    /// Describes the stream, before the header is written. Sets its time base to one sample.
    virtual void fill(AVStream& stream) const = 0;
    /// Appends the packets that begin before `seconds`, with times in units of one sample of fill()'s sample rate.
    /// What was appended before an Error is valid.
    virtual void take_before(double seconds, std::vector<UniquePacket>& packets) = 0;
    /// Whether the last packet was taken.
    virtual bool ended() const = 0;
    /// Seconds of the video's clock up to which there was sound so far.
    virtual double end() const = 0;
    /// Packets that could not be decoded, and stretches that were missing.
    virtual int64_t damaged() const { return 0; }
};

}  // namespace reelstore
