#pragma once

#include <memory>
#include <optional>

#include <opencv2/core/mat.hpp>

#include "base/filter.h"
#include "base/frame_source.h"
#include "filters/blend.h"
#include "filters/synchronized_frames.h"

namespace reelstore {

/// 0 up to `low`, 1 from `high` on, and between them the polynomial of degree 2 * order + 1 whose first `order`
/// derivatives are 0 at both ends (generalised smoothstep); order 0 is a straight line. `low` may lie above `high`:
/// then it falls. NaN gives 0. The order goes from 0 to kMostSmoothOrder.
double smoothstep(double value, double low, double high, int order = 2);
inline constexpr int kMostSmoothOrder = 8;

/// How opaque a value is: smoothstep(value, low, high, order).
struct AlphaRamp {
    double low = 0;
    double high = 1;
    int order = 2;  ///< 0: linear
};
/// Gives images an alpha channel (BGRA) that says how opaque each value is, for overlay(): where the value is NaN 0,
/// else what `ramp` gives, else 1. What is seen of them is what `shown_as` makes of them, a filter that changes each
/// image by itself and keeps its size, such as a colormap; null: the images. Alpha is taken of the values before it, so
/// that
///
///     open_source("voltage.npy") | with_alpha(AlphaRamp{0.1, 0.8}, colormap(purples))
///
/// is purple where the voltage is high and shows what lies below elsewhere. Takes every type with one channel, or with
/// 3 or 4 (uint8, uint16 and float32), of which the gray values count; an alpha channel they have already stays a
/// factor. Throws Error(invalid_argument) for low equal to high and a filter that does not change each image by itself;
/// Error(wrong_type) at frames it cannot take.
std::unique_ptr<Filter> with_alpha(const std::optional<AlphaRamp>& ramp, std::unique_ptr<Filter> shown_as = nullptr);

struct OverlayOptions {
    BlendMode mode = BlendMode::normal;
    double opacity = 1;  ///< 0 to 1: factor of the alpha everywhere
    /// Alpha of each pixel of the top, in every frame: an image of the top's size or of the size that it gets, uint8,
    /// uint16 or float32; white is opaque, of colour the gray value counts. Empty: opaque.
    cv::Mat mask = {};
    bool fit = false;  ///< the top is made as large as the base
    double scale = 1;  ///< without `fit`: the top is made so many times larger
    /// Where the upper left corner of the top lies in the base; what lies outside of it is cut off. None: at 0, 0, and
    /// the top must be as large as the base.
    std::optional<cv::Point> position = {};
};

/// One recording laid over another, as one source: blend() of their frames that belong together (`sync`), the base's
/// frames leading. The top's alpha is opacity * mask * its fourth channel * what `alpha` shows, a third recording with
/// images like those of `mask`; of the top, NaN are transparent. Where top or `alpha` is missing (MissingFrame::blank)
/// the base is shown as it is. The result is of the base's depth, and colour where base or top are (without a frame of
/// the top, if its info() knows).
///
/// Throws Error(invalid_argument) for options that make no sense and what composed_source() refuses; Error(wrong_type)
/// where sizes or types do not fit: at once if they are known (info().image_type), else at the frame.
std::unique_ptr<FrameSource> overlay(ComposedSource base, ComposedSource top, const OverlayOptions& options,
                                     const SyncOptions& sync = {}, std::optional<ComposedSource> alpha = {});

}  // namespace reelstore
