#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "filters/color_text.h"
#include "filters/text_drawing.h"

namespace reelstore {

/// One line of a plot.
struct PlottedLine {
    std::string name;
    Color color;
    /// One a place, the last at the right end. None: the line passes it over; NaN and infinity interrupt it.
    std::span<const std::optional<double>> values = {};
};

struct PlotLook {
    int64_t places = 2;              ///< from the left end to the right one; lines may have fewer values
    std::optional<double> low = {};  ///< value at the lower end; none: the smallest
    std::optional<double> high = {};
    Color background = {16, 16, 16};
};

/// Fills `strip`, of any type that can be drawn into, with the lines, their latest values marked. `labels`, where
/// given, writes their names with these values and the ends of the axis.
void draw_plot(cv::Mat& strip, std::span<const PlottedLine> lines, const PlotLook& look, const TextPainter* labels);

}  // namespace reelstore
