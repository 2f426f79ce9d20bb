#pragma once

#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// How the values of a layer go together with those of the image below it. The formulas are those of GIMP's legacy
/// layer modes as the Python package blend-modes writes them, of base b and top t from 0 to 1:
enum class BlendMode {
    normal,         ///< t
    soft_light,     ///< (1 - b) * b * t + b * (1 - (1 - b) * (1 - t))
    lighten_only,   ///< max(b, t)
    screen,         ///< 1 - (1 - b) * (1 - t)
    dodge,          ///< b / (1 - t)
    addition,       ///< b + t
    darken_only,    ///< min(b, t)
    multiply,       ///< b * t
    hard_light,     ///< t > 0.5 ? 1 - (1 - b) * (1 - 2 * (t - 0.5)) : 2 * b * t
    difference,     ///< |b - t|
    subtract,       ///< b - t
    grain_extract,  ///< b - t + 0.5
    grain_merge,    ///< b + t - 0.5
    divide,         ///< 256 * b / (255 * t + 1)
    overlay,        ///< b < 0.5 ? 2 * b * t : 1 - 2 * (1 - b) * (1 - t)
};

/// "normal", "soft-light", ..., in the order of BlendMode.
const std::vector<std::string>& blend_mode_names();
/// The mode of a name; underscores are taken as hyphens. Throws Error(invalid_argument), suggesting the nearest name.
BlendMode blend_mode_of(const std::string& name);

struct BlendOptions {
    BlendMode mode = BlendMode::normal;
    double opacity = 1;  ///< 0 to 1: factor of the top's alpha everywhere
};

/// `top` laid upon `base`, an image of the same size: base * (1 - a) + blended * a, where a is opacity times the top's
/// fourth channel times `alpha` (float32, one channel, 0 to 1; empty: 1 everywhere). Takes uint8, uint16 and float32
/// with 1, 3 (BGR) or 4 channels (alpha), each image of its own type; white is 255, 65535 or 1.0. The result has the
/// base's depth, and colour where one of the two has; it may share the pixels of either.
///
/// Floats are cut off at 0 and 1 by all modes but `normal`. Where the top (or alpha) is NaN the base stays; where the
/// base is NaN the result is, unless `normal` covers it wholly. A base with an alpha channel of its own keeps it, and
/// the layer shows no more than what is below it; `normal` lays the layer over it instead (Porter and Duff 1984), so
/// that the result is opaque where either is.
///
/// May be called by several threads at once. Throws Error(wrong_type) for other images and for sizes that differ.
cv::Mat blend(const cv::Mat& base, const cv::Mat& top, const BlendOptions& options, const cv::Mat& alpha = {});

}  // namespace reelstore
