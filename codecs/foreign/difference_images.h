#pragma once

#include <opencv2/core/mat.hpp>

#include "codecs/chunk_format.h"

namespace reelstore {

/// What of a recording that is kept as differences to a background is given.
enum class DifferenceImages {
    frames,      ///< background + difference, as the camera saw them
    background,  ///< the background alone, one frame
    differences  ///< the differences as they are kept
};

/// The choice in option `image`: frames (unless given), background or difference. Throws Error(invalid_argument) for
/// another word.
DifferenceImages difference_images_option(const CodecOptions& options);
/// That option for FileFormatInfo::source_options.
CodecOptionInfo difference_images_option_info();

/// background + difference modulo 65536. That is right also where the difference ran over the range of its 16 bits:
/// the sum runs over too, and back into the range of the camera. Both have one channel of 16 bits and equal sizes; the
/// result is uint16.
cv::Mat add_difference(const cv::Mat& background, const cv::Mat& difference);
/// image - background modulo 65536, as int16.
cv::Mat difference_to(const cv::Mat& background, const cv::Mat& image);

}  // namespace reelstore
