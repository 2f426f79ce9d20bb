#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

namespace reelstore::bench {

/// Images of one type in memory.
struct Clip {
    std::string name;  ///< "gray8, real"
    ImageType type;
    int bits = 8;  ///< that pixels use, from the lowest
    std::vector<cv::Mat> images;

    bool deep() const { return bits > 8; }
};

/// Synthetic and real footage, each with 8 bits and with 12 bits in 16. Those of 12 bits are those of 8 times 16 with
/// the noise of a sensor added. Throws Error when the video cannot be opened.
std::vector<Clip> make_clips(int width, int height, int images, const std::filesystem::path& video);

/// Whether type and all pixels are the same.
bool identical(const cv::Mat& image, const cv::Mat& other);

}  // namespace reelstore::bench
