#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <opencv2/core/types.hpp>

#include "base/frame_source.h"
#include "filters/color_text.h"
#include "filters/geometry.h"
#include "filters/synchronized_frames.h"
#include "filters/text_drawing.h"

namespace reelstore {

/// How the images of a mosaic are laid out, in the order of the items.
enum class MosaicLayout {
    grid,    ///< cells of one size, row by row
    row,     ///< side by side, all as high as one of them
    column,  ///< one below the other, all as wide as one of them
};

/// One recording of a mosaic. Filters of its own (a colormap, a crop) go before it: `open_source(path) | viridis`.
struct MosaicItem {
    ComposedSource source;
    std::string title = {};  ///< stands above it, on one line or several
};

struct MosaicOptions {
    MosaicLayout layout = MosaicLayout::grid;
    /// Of a grid: cells across at most, and rows. With one of them the other follows from the number of items; with
    /// both, cells may stay empty; with neither, the whole comes as near to the shape `aspect` as it can.
    std::optional<int> columns = {};
    std::optional<int> rows = {};
    double aspect = 16.0 / 9;  ///< width / height of the whole
    /// Width and height of a grid's cells. 0: the largest of the items', so that none becomes smaller; where one is
    /// given alone, the other keeps the shape.
    cv::Size cell = {};
    size_t fit_to = 0;  ///< in a row or column: the item whose height or width the others get
    int padding = 0;    ///< pixels between images
    int border = 0;     ///< pixels around the whole
    Color background = {0, 0, 0};
    /// Width and height of the whole, at most: images become smaller, all alike, until it fits. 0: no limit.
    cv::Size max_size = {};
    Interpolation interpolation = Interpolation::automatic;
    /// Of titles, whose lines make a band of the background's colour above each image.
    TextStyle title_style = {.shadow = std::nullopt};
};

/// Several recordings side by side, as one source; `sync` says which of their frames belong together, and the first
/// item leads (composed_source()).
///
/// Images keep their shape: each is made as large as its place allows, up or down, and lies in the middle of it; so
/// does one whose size changes on the way. What no image covers is background; so is a place without a frame. The
/// result is gray when all images, the background and the titles are, and colour (BGR) otherwise; alpha is left out. It
/// has the type of the images (uint8, uint16, float32 or float64), and where these differ that of the largest range,
/// white being kept: 255 of uint8 becomes 65535 of uint16 and 1.0 of floats. NaN stays, and spreads as far as
/// interpolation reaches.
///
/// Sizes and types are those of info().image_type; of a source that does not know its own yet, a first frame is read.
/// Throws Error(invalid_argument) for no items, options that make no sense, images that do not fit into max_size and
/// those of composed_source(); Error(wrong_type) for images of other types, then or at the frame.
std::unique_ptr<FrameSource> mosaic(std::vector<MosaicItem> items, const MosaicOptions& options,
                                    const SyncOptions& sync = {});

}  // namespace reelstore
