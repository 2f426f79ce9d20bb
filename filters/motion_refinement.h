#pragma once

#include <optional>

#include <opencv2/core.hpp>

namespace reelstore {

// Least squares on the pixels of two images, for filters/image_motion.h. All are float32 with one channel, mean 0 and
// standard deviation 1.

/// A motion about the middle of images of some size.
struct RigidMotion {
    double dx = 0;
    double dy = 0;
    double angle = 0;  ///< counterclockwise as seen, in radians
};

/// From places in the first image to those in the second, of that size.
cv::Matx23d matrix_of(const RigidMotion& motion, const cv::Size& size);
/// `image` with the motion taken away; what is not known becomes 0, the mean.
cv::Mat taken_back(const cv::Mat& image, const RigidMotion& motion);

/// One size of an image, smoothed a little so that it can be interpolated and has slopes.
struct MotionLevel {
    cv::Mat image;
    cv::Mat slope_x;
    cv::Mat slope_y;
    cv::Mat known;  ///< 1 where nothing unknown is near, else 0; empty where all is known
};

/// `known`: 1 or near to it where the image is known, float32; empty where all is.
MotionLevel make_motion_level(const cv::Mat& image, const cv::Mat& known);

/// The motion from `a` to `b` near `start`, after so many steps at most. Nothing where there is too little to go by.
std::optional<RigidMotion> refined_motion(const MotionLevel& a, const MotionLevel& b, const RigidMotion& start,
                                          int most_steps);
/// Part of `a`, 0 to 1, that lies within `b`.
double overlap(const MotionLevel& a, const RigidMotion& motion);
/// Pearson's correlation of `a` and `b` with the motion taken away, where both are known.
double correlation(const MotionLevel& a, const MotionLevel& b, const RigidMotion& motion);

}  // namespace reelstore
