#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/json.h"

namespace reelstore {

/// One image of a recording with the three things that identify it.
///
/// Copying a Frame is cheap: the pixels are shared, as with cv::Mat. `image` may look into memory that OpenCV
/// does not own (a mapped file, a decoder's buffer); `owner` keeps that memory alive, so keep the Frame, or
/// clone() the image, for as long as the pixels are needed. Treat pixels of a frame you did not make as read only.
struct Frame {
    cv::Mat image = {};
    int64_t index = 0;   ///< 0..n-1, order of writing in its source
    int64_t number = 0;  ///< the camera's number: may repeat, go down, have holes
    /// Seconds, normally since the Unix epoch. NaN when the source has no times.
    double time = std::numeric_limits<double>::quiet_NaN();
    std::shared_ptr<const void> owner = {};  ///< keeps the memory behind `image` alive; empty when cv::Mat owns it
    /// Extra data tied to it, on its way from a source through filters to a sink; null: none. Frames that are read one
    /// by one come without: the source is asked for their extra data.
    std::shared_ptr<const std::vector<Json>> extra_data = {};
};

}  // namespace reelstore
