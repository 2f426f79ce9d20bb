#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/filter.h"
#include "filters/color_text.h"
#include "filters/text_drawing.h"

namespace reelstore {

// Filters that write into images. They take gray and colour (3 channels, 4 with alpha) of every type but float16, whose
// white is 255, 65535, 1.0 (or the largest value of other integers), and throw Error(wrong_type) for others. What does
// not fit into an image is cut off.

/// How letters look and where they stand.
struct TextPlacement {
    TextStyle style = {};
    bool fitted = true;  ///< style.size is not used: the text's size is a 30th of the image's height, at least 10
    Anchor position = Anchor::top_left;
    /// How far from the sides that `position` names (from the middle: right and down), in pixels; none: half of the
    /// text's size.
    std::optional<int> x = {};
    std::optional<int> y = {};
};

struct TextAnnotation {
    std::string text;  ///< with fields: filters/text_fields.h
    TextPlacement placement = {};
    std::string zone = {};             ///< IANA name of the zone for times; empty: that of the source, else UTC
    std::string missing = "-";         ///< stands for extra data and times that a frame does not have
    std::optional<double> start = {};  ///< what {seconds} counts from; none: the time of the first frame
    /// For so many frames behind one with extra data, its values are shown; FilterReach::kAll: until others come.
    int64_t hold = 0;
};
/// Text with values of each frame. Frames are changed each by itself unless values are held, or {seconds} is shown
/// without `start`: a frame then depends on those before it (all of them, or `hold`). Throws Error(invalid_argument)
/// for fields and zones that there are not, and, in begin(), for dates of a source that has none.
std::unique_ptr<Filter> draw_text(const TextAnnotation& annotation);

struct ScaleBar {
    double pixels_per_unit = 1;
    std::string unit = "µm";
    std::optional<double> length = {};  ///< in units; none: the longest 1, 2 or 5 times a power of ten within a quarter
                                        ///< of the image's width
    std::optional<std::string> label = {};  ///< none: length and unit; empty: without
    std::optional<int> thickness = {};      ///< of the bar, in pixels; none: a quarter of the text's size
    TextPlacement placement = {.position = Anchor::bottom_right};
};
/// A bar of known length, in the colour of the text, with its label above.
std::unique_ptr<Filter> draw_scale_bar(const ScaleBar& bar);

struct ValuePlot {
    /// What is plotted: keys of extra data (find_extra_value()), numbers and yes or no; "mean": the mean of the image's
    /// values without alpha, "extra.mean": extra data of that name.
    std::vector<std::string> keys;
    int64_t frames = 250;  ///< width of the plot: this many frames, the last one being the one it is under
    std::optional<double> seconds = {};  ///< the same in seconds, for sources whose frame rate is known
    std::optional<int> height = {};      ///< pixels; none: a quarter of the image's, at least 40
    std::optional<double> low = {};      ///< value at the lower end; none: the smallest in the window
    std::optional<double> high = {};     ///< value at the upper end; none: the largest in the window
    std::vector<Color> colors = {};      ///< of the keys in their order, from the first again where there are more keys
    Color background = {16, 16, 16};
    bool labels = true;                    ///< keys with their latest values, and the ends of the axis
    std::optional<double> text_size = {};  ///< pixels; none: a seventh of the height, 9 to 40
    std::string font = "sans";
};
/// A strip under the image with the values of the last frames; the latest is marked at its right end. Values that are
/// missing are passed over by the line, NaN and infinity interrupt it.
std::unique_ptr<Filter> plot_values(const ValuePlot& plot);

}  // namespace reelstore
