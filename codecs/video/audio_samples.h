#pragma once

#include <cstdint>
#include <memory>
#include <optional>

extern "C" {
#include <libavutil/audio_fifo.h>
#include <libswresample/swresample.h>
}

#include "codecs/video/audio_file.h"

namespace reelstore {

struct AudioDeleter {
    void operator()(SwrContext* resampler) const { swr_free(&resampler); }
    void operator()(AVAudioFifo* samples) const { av_audio_fifo_free(samples); }
};
using UniqueResampler = std::unique_ptr<SwrContext, AudioDeleter>;
using UniqueSampleQueue = std::unique_ptr<AVAudioFifo, AudioDeleter>;

/// How samples are laid out. The channel layout is one of FFmpeg's native orders, or without an order.
struct SampleLayout {
    AVSampleFormat format = AV_SAMPLE_FMT_NONE;
    int rate = 0;
    int channels = 0;
};

/// The decoded samples of a sound file without gaps on the clock of a video, 0 at its first frame: what lies before is
/// cut off to the sample, and where the file has holes there is silence. Used by one thread at a time.
class AudioSamples {
public:
    /// `start`: the second of the file's clock that sounds together with the first frame. With `from_zero` there is
    /// silence up to where the sound begins; else the samples begin there. `file` must outlive this. Throws
    /// Error(unsupported) when this FFmpeg cannot decode it.
    AudioSamples(AudioFile& file, double start, bool from_zero);

    /// How the decoder gives samples, as far as the file tells before the first is decoded.
    SampleLayout decoded() const;
    /// Must be called once, before the first read().
    void convert_to(const SampleLayout& layout);

    /// Decodes until at least `wanted` samples wait, or the file ends.
    void ensure(int wanted);
    int waiting() const { return av_audio_fifo_size(queue_.get()); }
    /// Takes the next `count` samples, which must be waiting, in the layout of convert_to().
    UniqueFrame take(int count);
    bool ended() const { return ended_; }
    /// Where the first sample lies, in samples of the layout's rate; known as soon as one waits.
    int64_t begin() const { return begin_; }
    /// Packets that could not be decoded, and holes.
    int64_t damaged() const { return damaged_; }

private:
    void open_decoder();
    bool decode();
    void add_frame();
    /// Hands samples of the decoder's layout to the resampler; null `data`: what it still holds.
    void resample(const uint8_t** data, int count);
    void add_silence();

    AudioFile& file_;
    double start_;
    bool from_zero_;
    UniqueCodecContext decoder_;
    UniquePacket packet_;
    UniqueFrame frame_;
    SampleLayout layout_;
    UniqueResampler resampler_;
    UniqueSampleQueue queue_;
    UniqueFrame silence_;
    SampleLayout input_;               ///< of the frames decoded so far; rate 0: none yet
    std::optional<int64_t> position_;  ///< of the next decoded sample that fits, at the file's rate
    int64_t silent_ = 0;               ///< samples of silence that come before frame_
    int cut_ = 0;                      ///< samples of frame_ that are left out
    bool frame_waits_ = false;         ///< frame_ is to be added behind the silence
    int64_t begin_ = 0;
    int64_t damaged_ = 0;
    bool draining_ = false;
    bool ended_ = false;
};

}  // namespace reelstore
