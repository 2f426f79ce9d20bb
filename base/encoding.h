#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

namespace reelstore {

/// A raw camera layout kept as it is and decoded to BGR when read: "cv_bayerbg", "cv_yuv_nv12", ...
///
/// The names are imgstore's: cv_ + OpenCV's COLOR_<name>2BGR in lower case without underscores, + _method for the
/// YUV layouts. OpenCV names a Bayer pattern by the second row's second and third pixel, so a camera's BayerRG is
/// cv_bayerbg.
struct Encoding {
    std::string name;
    int cv_code = 0;       ///< of cv::cvtColor
    std::string raw_type;  ///< what it decodes, in words, for error messages
};

/// How the two colours that a pixel of a Bayer mosaic lacks are made up from its neighbours.
enum class Demosaic {
    bilinear,    ///< their mean: what imgstore does
    vng,         ///< variable number of gradients: along the directions in which the image changes least; 8 bits only
    edge_aware,  ///< along edges, not across them
};

/// "bilinear", "vng", "edge-aware".
const char* to_string(Demosaic method);
/// The method of that name; throws Error(invalid_argument) naming those there are.
Demosaic demosaic_of(std::string_view name);

/// All known encodings, in order of name.
const std::vector<Encoding>& encodings();
/// Null when unknown.
const Encoding* find_encoding(std::string_view name);
/// The encoding for a GenICam (pylon) pixel format name: "BayerRG8" -> cv_bayerbg; "" and "None" -> nothing.
/// Throws Error(invalid_argument) for a name with no counterpart.
const Encoding* encoding_of_genicam(std::string_view pixel_format);

/// Type of the decoded image for raw images of type `raw`; empty when this encoding cannot decode that type.
std::optional<ImageType> decoded_type(const Encoding& encoding, const ImageType& raw);
/// Whether images of this encoding are Bayer mosaics, the only ones for which the method of demosaicing counts.
bool is_bayer(const Encoding& encoding);
/// Why images of type `raw` cannot be demosaiced with `method`, and which methods can; empty when they can.
std::optional<std::string> refuses_demosaic(const Encoding& encoding, const ImageType& raw, Demosaic method);
/// Why raw images of this encoding cannot be kept by a format that is not lossless; empty when they can.
std::optional<std::string> refuses_loss(const Encoding& encoding);
/// Decodes to BGR; throws Error(wrong_type) when the image does not fit the encoding, and Error(unsupported) when it
/// cannot be demosaiced with `method`.
cv::Mat decode(const Encoding& encoding, const cv::Mat& raw, Demosaic method = Demosaic::bilinear);

}  // namespace reelstore
