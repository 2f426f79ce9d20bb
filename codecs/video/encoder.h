#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"
#include "codecs/packet_table.h"
#include "codecs/video/encoder_availability.h"
#include "codecs/video/encoder_options.h"
#include "codecs/video/libav.h"
#include "codecs/video/pixel_convert.h"
#include "codecs/video/vaapi_frames.h"

namespace reelstore {

/// One encoded frame, in the form a container stores.
struct EncodedPacket {
    UniquePacket packet;      ///< payload, pts and dts in frames (pts = position), key flag
    bool key = false;         ///< a decoder can start here
    bool disposable = false;  ///< no other frame needs it
};

/// Encodes images of one type to packets in the form that containers keep byte for byte: H.264 and HEVC length-prefixed
/// (ISO/IEC 14496-15) and AV1 without temporal delimiters, each with its configuration record apart.
///
/// Encoders hold frames back: libx264 and libx265 their lookahead (the preset's, never more than `gop`), one per
/// further thread, and `bframes`; libsvtav1 about four (some 50 with tune none); FFV1 and MJPEG none. Used by one
/// thread at a time.
class Encoder {
public:
    /// Throws Error(invalid_argument) when the encoder rejects the settings, Error(wrong_type) for images it cannot
    /// hold, Error(unsupported) when this FFmpeg lacks the encoder or this machine its device.
    Encoder(const EncoderSettings& settings, const ImageType& type);
    ~Encoder();
    Encoder(const Encoder&) = delete;
    Encoder& operator=(const Encoder&) = delete;

    /// Encodes the next image and gives the packets that are ready, in decode order. Throws Error(wrong_type) for an
    /// image of another type and for values that do not fit in option `bits`.
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
    void bring_to_stored_form(AVPacket& packet) const;
    bool hangs_without_frames() const;
    std::vector<EncodedPacket> send(const AVFrame* frame);

    ImageType type_;
    ImageToFrame converter_;
    std::optional<VaapiFrames> device_frames_;
    UniqueCodecContext context_;
    VideoStream stream_;
    int64_t position_ = 0;
};

}  // namespace reelstore
