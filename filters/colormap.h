#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/filter.h"
#include "filters/color_text.h"

namespace reelstore {

/// The colours of values from the low end of a range to its high end.
using Colormap = std::array<Color, 256>;

/// What find_colormap() knows. Those of OpenCV have the colours of cv::applyColorMap; the others are those that users
/// of matplotlib know: gray, the schemes of ColorBrewer (Cynthia Brewer, colorbrewer.org), coolwarm (Moreland 2009),
/// cubehelix (Green 2011), bwr and seismic.
const std::vector<std::string>& colormap_names();
/// The colormap of that name, in any case; with "_r" behind the name in reverse. Throws Error(invalid_argument) that
/// suggests the nearest one and names all.
Colormap find_colormap(std::string_view name);

/// Where the ends of a colormap lie that are not given.
enum class ColormapRange {
    automatic,  ///< `type` for uint8, `recording` for others
    type,       ///< black and white of the type: 0 and 255, 0 and 65535, 0 and 1; all values of signed integers
    recording,  ///< the smallest and the largest finite value of all frames, which are read twice for that
    frame,      ///< of each frame
};

struct ColormapOptions {
    Colormap map = find_colormap("gray");
    bool reverse = false;
    std::optional<double> low = {};   ///< the value of the first colour
    std::optional<double> high = {};  ///< the value of the last one
    ColormapRange range = ColormapRange::automatic;
    Color nan = {};                   ///< of NaN
    std::optional<Color> below = {};  ///< of values below `low`; none: the first colour
    std::optional<Color> above = {};  ///< of values above `high`; none: the last colour
    cv::Mat mask = {};                ///< empty, or an image of the size of the frames: pixels that are 0 in it...
    Color mask_color = {};            ///< ...get this colour, and do not count for the range
};
/// Values as colours: uint8 BGR images. Of the 256 colours a value gets number floor((value - low) / (high - low) *
/// 256), the value `high` the last one: as cv::applyColorMap with uint8, and as matplotlib. Takes images of every type
/// with one channel; colour images (3 or 4 channels) are made gray first. float32 and smaller types are computed in
/// float32, int32 and float64 in float64. Where low equals high, that value gets the first colour. Infinite values lie
/// below or above; frames without any finite value have the range 0 to 1. Throws Error(invalid_argument) where low lies
/// above high, and for a mask without pixels to show; at frames, Error(wrong_type) where the mask has another size.
std::unique_ptr<Filter> colormap(const ColormapOptions& options);

}  // namespace reelstore
