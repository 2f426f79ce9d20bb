#pragma once

#include <cstddef>
#include <cstdint>

#include <opencv2/core/mat.hpp>

#include "codecs/packed/pixel_filter.h"

// Which filter to use, by samples of an image.

namespace reelstore {

/// The filter whose residuals promise the fewest bits; not grouped.
PixelFilter choose_filter(const cv::Mat& image);

/// Bits that an entropy coder needs for one of these bytes, about.
double sampled_entropy(const uint8_t* bytes, size_t count);

}  // namespace reelstore
