#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <opencv2/core/types.hpp>

#include "base/pixel_type.h"
#include "filters/filter_arguments.h"

namespace reelstore {

/// An opaque colour of 8 bits a channel (sRGB), as users write it.
struct Color {
    uint8_t red = 0;
    uint8_t green = 0;
    uint8_t blue = 0;

    bool operator==(const Color&) const = default;
};

/// The colour of a text: a name of CSS ("white", "orange", "lightgray"; matplotlib has the same) in any case,
/// matplotlib's letters k w r g b c m y, "#rrggbb", "#rgb", "red:green:blue" (0 to 255 each; commas are taken too), or
/// one number from 0 to 255 for a gray. Throws Error(invalid_argument) for any other, suggesting the nearest name.
Color parse_color(std::string_view text);

/// A filter's argument as a colour; nothing when it was not given. Throws Error(invalid_argument) naming filter and
/// argument. Colons must be quoted within a list of filters: background='255:0:0'.
std::optional<Color> color_argument(const FilterArguments& arguments, const std::string& name);
Color color_argument(const FilterArguments& arguments, const std::string& name, const Color& fallback);

/// The values of a pixel of that colour in images of `type`, in the order of their channels: BGR, BGR and an opaque
/// alpha, or gray by the luma of ITU-R BT.601 (as the filter `gray`). White is 255, 65535 or 1.0. Throws
/// Error(wrong_type) for other numbers of channels.
cv::Scalar pixel_of(const Color& color, const ImageType& type);

}  // namespace reelstore
