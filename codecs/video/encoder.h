#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"
#include "codecs/packet_table.h"
#include "codecs/video/encoder_options.h"
#include "codecs/video/libav.h"
#include "codecs/video/pixel_convert.h"

namespace reelstore {

/// One encoded frame, in the form a container stores.
struct EncodedPacket {
    UniquePacket packet;      ///< payload, pts and dts in frames (pts = position), key flag
    bool key = false;         ///< a decoder can start here
    bool disposable = false;  ///< no other frame needs it
};

/// Encodes images of one type to packets; H.264 comes length-prefixed with its avcC record apart (ISO/IEC 14496-15),
/// which containers keep byte for byte.
///
/// libx264 holds frames back: its lookahead (the preset's, never more than `gop`), one per further thread, and
/// `bframes`. Used by one thread at a time.
class Encoder {
public:
    /// Throws Error(invalid_argument) when the encoder rejects the settings, Error(wrong_type) for images it cannot
    /// hold, Error(unsupported) when this FFmpeg lacks the encoder.
    Encoder(const EncoderSettings& settings, const ImageType& type);

    /// Encodes the next image and gives the packets that are ready, in decode order.
    std::vector<EncodedPacket> encode(const cv::Mat& image);
    /// Gives what was held back; nothing can be encoded afterwards.
    std::vector<EncodedPacket> flush();

    /// Size, format, extradata; time base is one frame.
    const VideoStream& stream() const { return stream_; }
    /// For the muxer, with extradata as in stream().
    void fill(AVCodecParameters& parameters) const;
    AVRational frame_duration() const { return context_->time_base; }

private:
    void open(const EncoderSettings& settings);
    void describe();
    std::vector<EncodedPacket> send(const AVFrame* frame);

    ImageType type_;
    ImageToFrame converter_;
    UniqueCodecContext context_;
    VideoStream stream_;
    int64_t position_ = 0;
};

/// Why this FFmpeg cannot encode with "libx264" or "mjpeg"; empty when it can.
std::string encoder_unavailable(const std::string& encoder);

}  // namespace reelstore
