#pragma once

#include <memory>
#include <optional>

#include <opencv2/core/mat.hpp>

#include "base/encoding.h"
#include "base/filter.h"
#include "filters/color_text.h"

namespace reelstore {

// Filters that change what the channels of an image are (filters/colormap.h makes colours of values). All change each
// frame by itself and throw Error(wrong_type) for images they cannot take, naming the frame.

/// One channel: luma by the weights of ITU-R BT.601, as cv::cvtColor; uint8, uint16 and float32 with 3 or 4 channels.
/// Gray frames pass as they are.
std::unique_ptr<Filter> gray();
struct GrayWeights {
    double red = 0;
    double green = 0;
    double blue = 0;
};
/// One channel: red * weights.red + green * weights.green + blue * weights.blue, rounded and cut off at the limits of
/// the type. Takes every type but float16 with 3 or 4 channels; gray frames pass as they are.
std::unique_ptr<Filter> gray(const GrayWeights& weights);
/// Three channels (BGR), of gray or of colour with alpha; uint8, uint16 and float32. Frames with three pass as they
/// are.
std::unique_ptr<Filter> color();
/// The channel of that number, 0 being the first: blue, green, red, alpha. Takes every type.
std::unique_ptr<Filter> channel(int number);
/// The first and the third channel exchanged: RGB to BGR and back. Takes every type with 3 or 4 channels; gray frames
/// pass as they are.
std::unique_ptr<Filter> swap_red_blue();

struct MaskOptions {
    bool invert = false;              ///< pixels where the mask is not 0 are those that are replaced
    double value = 0;                 ///< what they become, in all channels; NaN only for floats
    std::optional<Color> color = {};  ///< what they become instead, for gray, BGR and BGRA
};
/// Pixels where all colour channels of `mask` (of any type; a fourth channel does not count) are 0 are replaced. Takes
/// every type. Throws Error(invalid_argument) for an empty mask; at frames, Error(wrong_type) where the mask has
/// another size, and Error(invalid_argument) for a value that their type cannot hold.
std::unique_ptr<Filter> mask(const cv::Mat& mask, const MaskOptions& options = {});

/// Raw frames of a camera's layout decoded to BGR, which are taken by the type and size that decode()
/// (base/encoding.h) takes. Recordings that know their encoding are decoded when they are read; this is for those that
/// do not.
std::unique_ptr<Filter> decode_raw(const Encoding& encoding, Demosaic method = Demosaic::bilinear);

}  // namespace reelstore
