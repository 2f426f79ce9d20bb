#include "bench/video_access/picture.h"

namespace reelstore::bench {

cv::Mat PictureDelivery::deliver(const AVFrame& picture) {
    const cv::Mat luma(type_.height, type_.width, CV_8U, picture.data[0], static_cast<size_t>(picture.linesize[0]));
    if (delivery_ == Delivery::none) return luma;
    if (type_.gray()) return luma.clone();
    if (!scaler_) {
        scaler_.reset(sws_getContext(picture.width, picture.height, static_cast<AVPixelFormat>(picture.format),
                                     type_.width, type_.height, AV_PIX_FMT_BGR24, SWS_BICUBIC, nullptr, nullptr,
                                     nullptr));
        if (!scaler_) throw Error(ErrorCode::unsupported, "swscale cannot make BGR of these pictures");
    }
    cv::Mat image(type_.height, type_.width, CV_8UC3);
    uint8_t* const planes[] = {image.data, nullptr, nullptr, nullptr};
    const int strides[] = {static_cast<int>(image.step[0]), 0, 0, 0};
    sws_scale(scaler_.get(), picture.data, picture.linesize, 0, picture.height, planes, strides);
    return image;
}

}  // namespace reelstore::bench
