#include "codecs/video/vaapi_frames.h"

extern "C" {
#include <libavutil/hwcontext.h>
}

#include "base/error.h"

namespace reelstore {

namespace {

/// Frames that an encoder may have in work at once, with room to spare.
constexpr int kFramesOnDevice = 20;

}  // namespace

VaapiFrames::VaapiFrames(AVPixelFormat format, int width, int height) {
    clear_libav_message();
    AVBufferRef* device = nullptr;
    const int opened = av_hwdevice_ctx_create(&device, AV_HWDEVICE_TYPE_VAAPI, nullptr, nullptr, 0);
    device_.reset(device);
    if (opened < 0) {
        throw Error(ErrorCode::unsupported, "no device for VAAPI can be opened" +
                                                (libav_message().empty() ? "" : " (" + libav_message() + ")"));
    }
    frames_.reset(av_hwframe_ctx_alloc(device_.get()));
    if (!frames_) throw Error(ErrorCode::internal, "out of memory for video frames on a device");
    auto& settings = *reinterpret_cast<AVHWFramesContext*>(frames_->data);
    settings.format = AV_PIX_FMT_VAAPI;
    settings.sw_format = format;
    settings.width = width;
    settings.height = height;
    settings.initial_pool_size = kFramesOnDevice;
    const int made = av_hwframe_ctx_init(frames_.get());
    if (made < 0) throw libav_error(made, {}, "make video frames on the VAAPI device");
}

AVBufferRef* VaapiFrames::reference() const {
    AVBufferRef* reference = av_buffer_ref(frames_.get());
    if (!reference) throw Error(ErrorCode::internal, "out of memory for video frames on a device");
    return reference;
}

UniqueFrame VaapiFrames::upload(const AVFrame& frame) const {
    UniqueFrame uploaded = make_frame();
    int result = av_hwframe_get_buffer(frames_.get(), uploaded.get(), 0);
    if (result >= 0) result = av_hwframe_transfer_data(uploaded.get(), &frame, 0);
    if (result >= 0) result = av_frame_copy_props(uploaded.get(), &frame);
    if (result < 0) throw libav_error(result, {}, "copy a frame to the VAAPI device");
    return uploaded;
}

}  // namespace reelstore
