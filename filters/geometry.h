#pragma once

#include <array>
#include <memory>

#include <opencv2/core/types.hpp>

#include "base/filter.h"

namespace reelstore {

// Filters that move pixels. All change each frame by itself. Those that interpolate take uint8, uint16, int16, float32
// and float64 of up to 4 channels; the others take every type, pad() with a value also of up to 4 channels. A NaN
// spreads as far as the interpolation reaches. They throw Error(wrong_type) for images they cannot take, naming the
// frame.

/// The sides of an image, in pixels.
struct Sides {
    int left = 0;
    int top = 0;
    int right = 0;
    int bottom = 0;
};

/// The part of the image; it shares the image's memory. Throws Error(invalid_argument) at a frame that it does not lie
/// within.
std::unique_ptr<Filter> crop(const cv::Rect& part);
/// The image without so many pixels at each side, one at least must be left.
std::unique_ptr<Filter> crop(const Sides& sides);

/// Where new pixels at the edge come from, by numpy's names.
enum class PadMode {
    constant,   ///< one value
    edge,       ///< the nearest pixel of the image: aaa|abcd|ddd
    reflect,    ///< the image mirrored at its last pixel: dcb|abcd|cba
    symmetric,  ///< the image mirrored at its edge: cba|abcd|dcb
    wrap,       ///< the image repeated: bcd|abcd|abc
};
/// The image with so many more pixels at each side; `value` fills all channels where the mode is constant.
std::unique_ptr<Filter> pad(const Sides& sides, PadMode mode = PadMode::constant, double value = 0);

enum class Interpolation {
    nearest,  ///< OpenCV's INTER_NEAREST_EXACT where sizes change
    linear,
    cubic,
    area,  ///< means of the pixels covered; linear where the image grows
    lanczos,
    automatic,  ///< area where the image becomes smaller, cubic where it grows
};
/// OpenCV's flag for making an image of one size into one of another.
int resize_flags(Interpolation interpolation, const cv::Size& from, const cv::Size& to);
/// The image in another size. One side may be 0: it follows from the other, so that the image keeps its shape.
std::unique_ptr<Filter> resize(const cv::Size& size, Interpolation interpolation = Interpolation::automatic);
/// The image larger or smaller by a factor; sides are rounded, 1 pixel at least.
std::unique_ptr<Filter> resize(double scale, Interpolation interpolation = Interpolation::automatic);

struct RotateOptions {
    double degrees = 0;   ///< counterclockwise, as the image is seen; multiples of 90 are exact and turn its shape
    bool expand = false;  ///< other angles: the result is as large as it takes to show all of the image
    Interpolation interpolation = Interpolation::linear;  ///< of other angles
    double value = 0;                                     ///< of what lay outside the image
};
std::unique_ptr<Filter> rotate(const RotateOptions& options);

enum class Flip { horizontal, vertical, both };  ///< left becomes right, top becomes bottom
std::unique_ptr<Filter> flip(Flip direction);

struct AffineOptions {
    /// x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5]: where each pixel goes.
    std::array<double, 6> matrix = {1, 0, 0, 0, 1, 0};
    Interpolation interpolation = Interpolation::linear;
    double value = 0;  ///< of what lay outside the image
};
/// The image moved, turned, scaled or sheared within its size. Throws Error(invalid_argument) for a matrix that has no
/// inverse.
std::unique_ptr<Filter> affine(const AffineOptions& options);
/// Turned by `degrees` (counterclockwise) and scaled about the image's middle, then moved right by `dx` and down by
/// `dy`.
std::unique_ptr<Filter> move(double dx, double dy, double degrees = 0, double scale = 1,
                             Interpolation interpolation = Interpolation::linear, double value = 0);

}  // namespace reelstore
