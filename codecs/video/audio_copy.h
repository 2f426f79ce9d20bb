#pragma once

#include <cstdint>
#include <deque>

#include "codecs/video/audio_file.h"
#include "codecs/video/audio_packets.h"

namespace reelstore {

/// The packets of a sound file as they are. The first is the one that sounds with the first frame, where the place
/// allows it with what decoders need before it; else the first that begins with the video or later.
class CopiedAudio : public AudioPackets {
public:
    /// `start`: the second of the file's clock that sounds together with the first frame. `file` must outlive this.
    CopiedAudio(AudioFile& file, double start, SoundPlace place);

    void fill(AVStream& stream) const override;
    void take_before(double seconds, std::vector<UniquePacket>& packets) override;
    bool ended() const override { return at_end_ && ready_.empty(); }
    double end() const override { return static_cast<double>(end_) / rate_; }
    int64_t damaged() const override { return damaged_; }

    /// When the first packet would begin, in seconds of the video's clock; nothing when there is none.
    std::optional<double> begin() const;

private:
    bool read(AVPacket& packet);
    void open_filter();
    /// Puts the next packet into ready_, or sets at_end_.
    void advance();
    int64_t duration_of(const AVPacket& packet) const;
    void place_in_time(AVPacket& packet);

    AudioFile& file_;
    double start_;
    int rate_;
    int64_t earliest_ = 0;   ///< no packet may begin before, in samples
    size_t lead_ = 0;        ///< packets that decoders need before the first one heard
    int64_t tolerance_ = 0;  ///< of the container's time stamps, in samples
    UniqueFilter filter_;    ///< null for most
    bool draining_ = false;
    bool begun_ = false;
    bool at_end_ = false;
    std::optional<int64_t> last_;  ///< where the packet before began
    std::optional<int64_t> next_;  ///< where the next packet should begin
    int64_t end_ = 0;
    int64_t damaged_ = 0;
    std::deque<UniquePacket> ready_;
    std::vector<uint8_t> extradata_;  ///< of the filter, where the file has none
};

}  // namespace reelstore
