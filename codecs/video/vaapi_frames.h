#pragma once

#include <memory>

extern "C" {
#include <libavutil/buffer.h>
}

#include "codecs/video/libav.h"

namespace reelstore {

struct BufferDeleter {
    void operator()(AVBufferRef* buffer) const { av_buffer_unref(&buffer); }
};
using UniqueBuffer = std::unique_ptr<AVBufferRef, BufferDeleter>;

/// Frames in the memory of a graphics device, for encoders that take them from there. Used by one thread at a time.
class VaapiFrames {
public:
    /// Opens the machine's first such device. Throws Error(unsupported) saying why there is none.
    VaapiFrames(AVPixelFormat format, int width, int height);

    /// A new reference for AVCodecContext::hw_frames_ctx.
    AVBufferRef* reference() const;
    /// The frame copied to the device.
    UniqueFrame upload(const AVFrame& frame) const;

private:
    UniqueBuffer device_;
    UniqueBuffer frames_;
};

}  // namespace reelstore
