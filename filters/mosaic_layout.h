#pragma once

#include <vector>

#include <opencv2/core/types.hpp>

#include "filters/mosaic.h"

namespace reelstore {

/// Where the parts of a mosaic lie.
struct MosaicPlaces {
    cv::Size size;                ///< of the whole
    std::vector<cv::Rect> cells;  ///< for each item; those of a row or column have its image's shape
    std::vector<cv::Rect> bands;  ///< for each item, its title's place above; without titles they are empty

    /// The parts of the whole that no cell covers.
    std::vector<cv::Rect> uncovered() const;
};

/// `sizes` are those of the items' images, empty where they are not known; there is one at least that is. Titles are in
/// bands of the height `band`. Throws Error(invalid_argument) for options that make no sense and what does not fit.
MosaicPlaces lay_out(const std::vector<cv::Size>& sizes, const MosaicOptions& options, int band);

/// Where an image of the size `image` lies within `place`: as large as it can be in its shape, in the middle.
cv::Rect fitted(const cv::Size& image, const cv::Rect& place);

}  // namespace reelstore
