#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// Height, width, channels and element type of an image; the type every frame of a store shares.
///
/// `depth` is OpenCV's (CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F). Shapes are given in
/// numpy order everywhere: (height, width) for one channel, (height, width, channels) otherwise.
struct ImageType {
    int height = 0;
    int width = 0;
    int channels = 1;
    int depth = CV_8U;

    bool operator==(const ImageType&) const = default;

    bool gray() const { return channels == 1; }
    bool empty() const { return height == 0 || width == 0; }
    /// OpenCV's combined type (CV_8UC3).
    int cv_type() const { return CV_MAKETYPE(depth, channels); }
    /// Size of one image, without padding between rows.
    size_t bytes() const;
    /// {h, w} or {h, w, c}.
    std::vector<int64_t> shape() const;
    /// "48x64 uint8 gray", "48x64x3 uint8": height first, for messages.
    std::string text() const;

    static ImageType of(const cv::Mat& image);
};

/// Largest height or width accepted anywhere; larger values in a file are taken for damage or malice.
inline constexpr int kMaxImageSide = 65535;
/// Largest image accepted anywhere, in bytes, for the same reason.
inline constexpr size_t kMaxImageBytes = size_t{2} << 30;

/// True when the sizes are positive and within the limits above.
bool plausible(const ImageType& type);

/// Numpy's name of an OpenCV depth ("uint8", "float16"); throws Error(invalid_argument) on an unknown depth.
std::string dtype_name(int depth);
/// OpenCV's depth for a numpy name ("uint16"); empty when a cv::Mat cannot hold that type.
std::optional<int> depth_of_dtype(std::string_view name);

}  // namespace reelstore
