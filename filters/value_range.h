#pragma once

#include <utility>

#include <opencv2/core/mat.hpp>

#include "filters/tone.h"

namespace reelstore {

/// The ends that `range`, which is not that of a recording, gives for an image: values as they are, percentiles (as numpy's, linear between two values) of
/// its finite values, of all channels together. 0 where the image has no finite values. Takes every type but float16.
std::pair<double, double> ends_of(const cv::Mat& image, const ToneRange& range);

}  // namespace reelstore
