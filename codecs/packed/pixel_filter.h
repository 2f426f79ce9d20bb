#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

// Images <-> the bytes that zstd gets, as spec/format.md ("Predicted pixels") has it.

namespace reelstore {

/// What a pixel is expected to be, by its neighbours. The values are those of the format.
enum class Predictor : uint8_t {
    stored = 0,   ///< pixels are kept as they are
    zero = 1,     ///< nothing is expected; only the order of bytes changes
    left = 2,     ///< the one before it
    above = 3,    ///< the one above it
    average = 4,  ///< of the one before it and of the average of the ones above it and behind that
    median = 5,   ///< of the one before it, the one above it and the plane through its neighbours (LOCO-I)
};
inline constexpr int kPredictors = 6;

/// How one image was filtered.
struct PixelFilter {
    Predictor predictor = Predictor::stored;
    /// From a pixel to the neighbour it is compared with: 1, or 2 where colours of a mosaic take turns. 0 for `stored`.
    uint8_t step = 0;
    /// Whether the second of three channels was subtracted from the others.
    bool subtract_green = false;
    /// Whether residuals are grouped by the size of those above them (residual_groups.h).
    bool grouped = false;

    bool operator==(const PixelFilter&) const = default;
};

/// Whether the format has such a filter for images of the type.
bool filter_fits(const PixelFilter& filter, const ImageType& type);

/// Samples of an image that are filtered together: those of one channel in every `step`th row and column.
struct SamplePlane {
    int width, height;
    size_t first;  ///< its place among all samples

    size_t size() const { return static_cast<size_t>(width) * static_cast<size_t>(height); }
};

/// In the order in which they are kept. `step` is not 0.
std::vector<SamplePlane> sample_planes(const ImageType& type, int step);

/// Instructions to use; the bytes are the same.
enum class FilterInstructions {
    portable,
    best,  ///< that this machine has
};

/// Bytes that filtered pixels need before and behind them, of any value, so that vectors may reach over their ends.
inline constexpr size_t kFilterMargin = 256;

/// Memory that is kept from one image to the next.
using FilterMemory = std::vector<uint8_t>;

/// Writes type.bytes() bytes to `filtered`, not grouped yet. `filter` fits the image's type.
void filter_pixels(const cv::Mat& image, const PixelFilter& filter, uint8_t* filtered, FilterMemory& memory,
                   FilterInstructions instructions = FilterInstructions::best);

/// The reverse; `filtered` has the margins. `image` has the type already.
void restore_pixels(const uint8_t* filtered, const PixelFilter& filter, cv::Mat& image, FilterMemory& memory,
                    FilterInstructions instructions = FilterInstructions::best);

}  // namespace reelstore
