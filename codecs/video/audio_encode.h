#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "codecs/video/audio_packets.h"
#include "codecs/video/audio_samples.h"

namespace reelstore {

/// The sound of a file in another codec, or in the same one where it is PCM, whose samples are kept bit for bit and cut
/// to the sample at both ends.
class EncodedAudio : public AudioPackets {
public:
    /// `encoder`: FFmpeg's name ("aac", "libopus", "pcm_s16le"). `start`: the second of the file's clock that sounds
    /// together with the first frame. `global_header`: the container keeps the codec's configuration apart. `file` must
    /// outlive this. Throws Error(unsupported) when the sound cannot be decoded or encoded.
    EncodedAudio(AudioFile& file, double start, SoundPlace place, const std::string& encoder, bool global_header);

    void fill(AVStream& stream) const override;
    void take_before(double seconds, std::vector<UniquePacket>& packets) override;
    bool ended() const override { return flushed_ && ready_.empty(); }
    double end() const override { return static_cast<double>(end_) / context_->sample_rate; }
    int64_t damaged() const override { return samples_.damaged(); }
    const AVCodecContext& encoder() const { return *context_; }

private:
    void open_encoder(const std::string& name, bool global_header);
    /// Encodes what begins before `limit`, in samples, as far as the file goes.
    void encode_before(int64_t limit);
    void encode(const AVFrame* frame);

    std::string path_;
    AudioSamples samples_;
    UniqueCodecContext context_;
    int64_t earliest_ = 0;             ///< no packet may begin before, in samples
    std::optional<int64_t> position_;  ///< of the next sample to be encoded
    int64_t end_ = 0;
    bool flushed_ = false;
    std::deque<UniquePacket> ready_;
};

}  // namespace reelstore
