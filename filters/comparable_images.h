#pragma once

#include <opencv2/core.hpp>

#include "base/error.h"

namespace reelstore {

// What measurements that compare images (filters/measurements.h, filters/image_motion.h) have in common.

/// The result of `step`; exceptions of OpenCV become Error(internal).
template <typename Step>
auto with_opencv(Step step) {
    try {
        return step();
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal, "cannot compare images: " + error.err);
    }
}

/// 255 where a value is neither NaN nor infinite, else 0.
cv::Mat finite_mask(const cv::Mat& image);
/// float32 of an image with one channel, without the values where `finite` is 0, which become the mean of the others;
/// that becomes 0 and the standard deviation 1. Empty where all values are equal.
cv::Mat standardized_image(const cv::Mat& image, const cv::Mat& finite);
/// Where the parabola through the values at -1, 0 and 1 is highest, as far as that lies between -0.5 and 0.5; the one
/// at 0 is the highest of the three.
double parabola_vertex(double before, double here, double after);

}  // namespace reelstore
