#pragma once

#include <opencv2/core/mat.hpp>

#include "bench/video_access/contenders.h"
#include "codecs/video/libav.h"

namespace reelstore::bench {

/// Makes of a decoded picture what is to be delivered.
class PictureDelivery {
public:
    PictureDelivery(const ImageType& type, Delivery delivery) : type_(type), delivery_(delivery) {}

    /// For Delivery::none a view of the luma plane, valid as long as the picture.
    cv::Mat deliver(const AVFrame& picture);

private:
    ImageType type_;
    Delivery delivery_;
    UniqueScaler scaler_;
};

}  // namespace reelstore::bench
