#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "codecs/video/audio_file.h"
#include "codecs/video/audio_packets.h"
#include "codecs/video/audio_track.h"

namespace reelstore {

/// The first audio stream of a sound file or a video as the sound of another video.
///
/// Compressed sound is copied packet by packet where the container holds its codec, and else encoded: as AAC for mp4
/// and mov, Opus for webm, FLAC for mkv, 16-bit PCM for avi. PCM is kept bit for bit where the container holds it and
/// cut to the sample; mp4 and mov tell players to begin and webm and mkv begin with the packet (some 20 ms) that sounds
/// with the first frame. Memory does not grow with the length. Used by one thread at a time.
///
/// Damaged sound never ends a video: what can be read is there, holes are silent where the sound is encoded, and
/// warnings() tells.
class AudioFileTrack : public AudioTrack {
public:
    /// Which second is 0 of the clock by which `start` counts.
    enum class Clock {
        container,  ///< the file's time stamps, as those of a video's own frames
        playing,    ///< when players begin to play the file
    };
    /// `start`: the second of the sound that is heard together with the video's first frame; negative: the sound begins
    /// later. Throws Error(unsupported) when the file is of no known kind or holds no sound.
    AudioFileTrack(const std::filesystem::path& path, double start, Clock clock);
    ~AudioFileTrack() override;

    /// Throws Error(unsupported) also when this machine lacks the encoder that is needed.
    void add_to(AVFormatContext& format, const std::string& muxer) override;
    std::vector<UniquePacket> take_before(double seconds) override;

    /// When the sound ends on the video's clock; nothing where the file does not say for sure.
    std::optional<double> last_second() const;
    /// What was done, for people: "aac, copied", "pcm_s16le as aac". Empty before add_to().
    const std::string& description() const { return description_; }
    /// What was damaged or missing so far, one sentence each.
    std::vector<std::string> warnings() const;
    /// Whether sound was lost that the file should hold.
    bool incomplete() const;

private:
    std::unique_ptr<AudioPackets> copied(const AVFormatContext& format, const std::string& muxer, SoundPlace place);
    std::unique_ptr<AudioPackets> encoded(const AVFormatContext& format, const std::string& muxer, SoundPlace place);

    std::filesystem::path path_;
    double start_;
    std::unique_ptr<AudioFile> file_;
    std::unique_ptr<AudioPackets> packets_;
    const AVStream* stream_ = nullptr;  ///< the one made by add_to(); its time base is the muxer's choice
    int sample_rate_ = 0;
    int64_t shift_ = 0;  ///< of the times in the file against those of the video, in samples
    std::string description_;
    std::string failure_;
    bool taken_any_ = false;
    double asked_ = 0;  ///< the latest second of take_before()
};

}  // namespace reelstore
