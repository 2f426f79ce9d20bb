#pragma once

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

namespace reelstore {

/// That part of an image, in the same memory, and the type that such a part of images of a type has. Throw
/// Error(invalid_argument) when it does not lie within.
cv::Mat cropped(const cv::Mat& image, const cv::Rect& part);
ImageType cropped(const ImageType& type, const cv::Rect& part);

}  // namespace reelstore
