#pragma once

#include <cstdint>
#include <vector>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// The pixels of an image that are looked at: all of them, or those of a rectangle, a polygon or a mask.
class Region {
public:
    /// Pixels begin..end-1 of one row.
    struct Run {
        int row = 0;
        int begin = 0;
        int end = 0;
    };

    /// The whole image, whatever its size.
    Region() = default;
    /// Throws Error(invalid_argument) for a rectangle without pixels or with a corner left of or above the image.
    static Region rectangle(const cv::Rect& rectangle);
    /// The pixels within a polygon of three corners at least, its outline included. Throws Error(invalid_argument) for
    /// fewer and for corners outside of every image.
    static Region polygon(const std::vector<cv::Point>& corners);
    /// The pixels where any colour channel of `mask` (of any type) is not 0; images then must have the mask's size.
    /// Throws Error(invalid_argument) when there is none.
    static Region mask(const cv::Mat& mask);

    bool whole() const { return whole_; }
    /// From top to bottom; empty where it is the whole image.
    const std::vector<Run>& runs() const { return runs_; }
    /// Smallest rectangle that holds it; that of the image where it is the whole.
    cv::Rect bounds_in(const cv::Size& image) const;
    int64_t pixels_in(const cv::Size& image) const;
    /// Throws Error(invalid_argument) when it does not lie within such an image.
    void check(const cv::Size& image) const;

private:
    bool whole_ = true;
    cv::Rect bounds_;
    cv::Size size_;  ///< that images must have; empty: any that holds it
    std::vector<Run> runs_;
};

}  // namespace reelstore
