#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

namespace reelstore::bench {

/// Images in memory, to be recorded again and again: what is measured must not wait for a camera.
struct Clip {
    std::string name;  ///< "gray 1280x1024, real"
    ImageType type;
    std::vector<cv::Mat> images;

    /// There and back and there again, so that no two that follow each other differ more than the camera moves.
    const cv::Mat& image(int64_t index) const;
};

Clip synthetic_clip(const ImageType& type, int images);
/// Throws Error when the video cannot be opened.
Clip real_clip(const ImageType& type, int images, const std::filesystem::path& video);

}  // namespace reelstore::bench
