#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>

#include <opencv2/core/mat.hpp>

#include "base/frame_source.h"
#include "base/pixel_type.h"

namespace reelstore::bench {

/// Rows at the top of every image that carry its number as a barcode (base/numbered_frames.h).
inline constexpr int kBarcodeRows = 32;

/// The real footage unless told otherwise: a sample of OpenCV's.
inline constexpr char kSampleVideo[] = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";

/// An endless row of images of one type.
class Footage {
public:
    virtual ~Footage() = default;
    virtual cv::Mat next() = 0;
};

/// A textured background that moves slowly, under the noise of a camera's sensor. The same images every time.
std::unique_ptr<Footage> synthetic_footage(const ImageType& type);
/// The frames of a video, scaled to the type and begun again at its end. Throws Error when it cannot be opened.
std::unique_ptr<Footage> real_footage(const ImageType& type, const std::filesystem::path& video);

/// Writes `number` over the top rows of `image`, which must own its pixels.
void draw_number(cv::Mat& image, int number);
/// Whether the image carries that number. Takes some microseconds, so that it can be done inside what is timed.
bool shows_number(const cv::Mat& image, int64_t number);

}  // namespace reelstore::bench
