#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/filter.h"

namespace reelstore {

// Filters that change the values of pixels. All change each frame by itself and take uint8, uint16 and float32, gray
// and colour (up to 4 channels, a fourth one being alpha is changed like the others unless said otherwise). White is
// 255, 65535 or 1.0; results that the type cannot hold are cut off at its limits, floats only where said. They throw
// Error(wrong_type) for images they cannot take, naming the frame.

/// value * contrast + brightness; brightness in the units of the pixels. NaN stays.
std::unique_ptr<Filter> brightness_contrast(double brightness, double contrast);
/// white * (value / white) ^ (1 / gamma): above 1 dark values become brighter. Floats below 0 become 0.
std::unique_ptr<Filter> gamma_correction(double gamma);
/// An S-shaped curve after the error function: values about `inflexion` (0 to 1 of white) are spread by `slope`, the
/// ends flattened; black stays black and white white. Floats are cut off at 0 and 1.
std::unique_ptr<Filter> curve(double slope, double inflexion);
/// white - value.
std::unique_ptr<Filter> invert();
/// Every value of a uint8 image replaced by the entry of `table` (256 values) at its place.
std::unique_ptr<Filter> lookup_table(const std::vector<uint8_t>& table);
/// The same of uint16, by 65536 values.
std::unique_ptr<Filter> lookup_table(const std::vector<uint16_t>& table);

struct ClaheOptions {
    double clip = 8;  ///< limit of contrast, as OpenCV counts it
    int tiles_x = 5;
    int tiles_y = 5;
};
/// Contrast limited adaptive histogram equalisation (Zuiderveld 1994) of uint8 and uint16; of colour, the lightness L
/// of CIE L*a*b*.
std::unique_ptr<Filter> clahe(const ClaheOptions& options);

/// Where the ends of a range come from that are not given.
enum class ToneRangeOf {
    frame,      ///< percentiles of each frame's own finite values
    recording,  ///< the smallest and the largest finite value of all frames, which are read twice for that
    type,       ///< the smallest and the largest value of the type; of floats 0 and 1
};
struct ToneRange {
    std::optional<double> low = {};
    std::optional<double> high = {};
    ToneRangeOf of = ToneRangeOf::frame;
    double low_percentile = 0;     ///< 0: the smallest value
    double high_percentile = 100;  ///< 100: the largest; both of a frame only
};
struct NormalizeOptions {
    ToneRange range;
    double to_low = 0;                   ///< what the range's low end becomes
    std::optional<double> to_high = {};  ///< and its high end; none: white of the resulting type
    std::optional<int> depth = {};       ///< CV_8U, CV_16U, CV_32F or CV_64F of the result; none: the image's
    bool clip = true;                    ///< floats are cut off at to_low and to_high; integers always are
    double nan = 0;                      ///< what NaN becomes in integers; floats keep NaN
};
/// Spreads a range of values over another, in another type if wanted. Takes every type. Where the range is empty (all
/// values equal), everything becomes to_low. Throws Error(invalid_argument) for percentiles of something else than a
/// frame.
std::unique_ptr<Filter> normalize(const NormalizeOptions& options);

/// White where value > threshold, else 0; NaN gives 0.
std::unique_ptr<Filter> threshold(double threshold);

/// (value - dark) / (flat - dark) * mean(flat - dark), each channel by itself, the mean of finite values; without
/// `dark` 0 is taken. Pixels where flat is not above dark become 0. `flat` and `dark` have the type of the frames.
std::unique_ptr<Filter> flat_field(const cv::Mat& flat, const cv::Mat& dark = {});
/// value - dark.
std::unique_ptr<Filter> subtract_dark(const cv::Mat& dark);

}  // namespace reelstore
