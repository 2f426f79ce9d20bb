#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <opencv2/core/mat.hpp>

namespace reelstore {

enum class GifDither { none, floyd_steinberg, bayer };

/// Up to 256 colours for an 8-bit BGR image, and the index of the best one for every pixel. Used by one thread at a
/// time.
class GifPalette {
public:
    /// The image's own colours where there are no more than 256, else as many that suit them.
    explicit GifPalette(const cv::Mat& image);

    const std::vector<cv::Vec3b>& colors() const { return colors_; }
    /// An index a pixel, row by row. Pixels whose colour is in the palette keep it, unless dithering shifts them; an
    /// image whose colours are all in it is not dithered.
    std::vector<uint8_t> indices_of(const cv::Mat& image, GifDither dither) const;

private:
    bool take_all_colors(const cv::Mat& image);
    void choose_colors(const cv::Mat& image);
    bool exact_indices(const cv::Mat& image, std::vector<uint8_t>& indices) const;
    uint8_t nearest(int blue, int green, int red) const;

    std::vector<cv::Vec3b> colors_;
    mutable std::vector<int16_t> nearest_;  ///< by the upper 6 bits of a colour; -1: not looked for yet
};

}  // namespace reelstore
