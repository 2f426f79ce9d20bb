#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/pixel_type.h"
#include "filters/color.h"
#include "filters/colormap.h"
#include "filters/filter_table.h"
#include "filters/image_values.h"

namespace reelstore {

namespace {

Error wrong_channels(const cv::Mat& image, const char* wanted, const char* taken) {
    return Error(ErrorCode::wrong_type,
                 fmt::format("{} cannot be made {}: only {} can", ImageType::of(image).text(), wanted, taken));
}

cv::Mat color_image(const cv::Mat& image) {
    const int channels = image.channels();
    const int depth = image.depth();
    if (channels == 3) return image;
    if (channels != 1 && channels != 4) throw wrong_channels(image, "colour", "1 or 4 channels");
    if (depth != CV_8U && depth != CV_16U && depth != CV_32F)
        throw wrong_channels(image, "colour", "uint8, uint16 and float32");
    cv::Mat converted;
    cv::cvtColor(image, converted, channels == 1 ? cv::COLOR_GRAY2BGR : cv::COLOR_BGRA2BGR);
    return converted;
}

bool is_float(int depth) {
    return depth == CV_16F || depth == CV_32F || depth == CV_64F;
}

cv::Mat weighted(const cv::Mat& image, const GrayWeights& weights) {
    const int channels = image.channels();
    if (channels == 1) return image;
    if (channels != 3 && channels != 4) throw wrong_channels(image, "gray", "3 or 4 channels");
    if (image.depth() == CV_16F) throw wrong_channels(image, "gray by weights", "every type but float16");
    const double row[] = {weights.blue, weights.green, weights.red, 0};
    const cv::Mat matrix(1, channels, CV_64F, const_cast<double*>(row));
    cv::Mat gray;
    const int depth = image.depth();
    const double largest = std::abs(weights.red) + std::abs(weights.green) + std::abs(weights.blue);
    constexpr double kMost = 1 << 30;
    if (is_float(depth) || largest * white_of(depth) < kMost) {
        cv::transform(image, gray, matrix);
        return gray;
    }
    // Beyond 32 bits OpenCV does not cut off.
    cv::Mat sums;
    image.convertTo(sums, CV_64F);
    cv::transform(sums, sums, matrix);
    sums = cv::min(cv::max(sums, black_of(depth)), white_of(depth));
    sums.convertTo(gray, depth);
    return gray;
}

/// The same pixels, but float16 as uint16: OpenCV 4.6 crashes when it is to move channels of float16.
cv::Mat movable(const cv::Mat& image) {
    if (image.depth() != CV_16F) return image;
    return cv::Mat(image.rows, image.cols, CV_MAKETYPE(CV_16U, image.channels()), image.data, image.step);
}

cv::Mat one_channel(const cv::Mat& image, int number) {
    if (number >= image.channels()) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("{} has {} channel{}, no number {} (they count from 0)", ImageType::of(image).text(),
                                image.channels(), image.channels() == 1 ? "" : "s", number));
    }
    if (image.channels() == 1) return image;
    cv::Mat plane(image.size(), image.depth());
    cv::Mat values = movable(plane);
    cv::extractChannel(movable(image), values, number);
    return plane;
}

cv::Mat swapped(const cv::Mat& image) {
    const int channels = image.channels();
    if (channels == 1) return image;
    if (channels != 3 && channels != 4) throw wrong_type(image, "swap", "1, 3 or 4 channels");
    if (image.depth() == CV_8U || image.depth() == CV_16U || image.depth() == CV_32F) {
        cv::Mat result;
        cv::cvtColor(image, result, channels == 3 ? cv::COLOR_BGR2RGB : cv::COLOR_BGRA2RGBA);
        return result;
    }
    cv::Mat result(image.size(), image.type());
    const int pairs[] = {0, 2, 1, 1, 2, 0, 3, 3};
    const cv::Mat from = movable(image);
    cv::Mat to = movable(result);
    cv::mixChannels(&from, 1, &to, 1, pairs, static_cast<size_t>(channels));
    return result;
}

/// Throws where images of `depth` cannot hold the value.
void check_held(double value, int depth) {
    if (is_float(depth)) return;
    // NaN compares as false.
    if (value >= black_of(depth) && value <= white_of(depth) && value == std::floor(value)) return;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("filter mask: value={:g} is nothing that {} can hold", value, dtype_name(depth)));
}

cv::Mat masked(const cv::Mat& image, const cv::Mat& shown, const MaskOptions& options) {
    if (shown.size() != image.size()) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("filter mask: the mask is {}x{}, the frames are {}x{} (height x width)", shown.rows,
                                shown.cols, image.rows, image.cols));
    }
    cv::Mat result(image.size(), image.type());
    if (options.color) {
        result.setTo(pixel_of(*options.color, ImageType::of(image)));
    } else {
        check_held(options.value, image.depth());
        result.reshape(1).setTo(cv::Scalar(options.value));
    }
    image.copyTo(result, shown);
    return result;
}

const std::vector<std::string> kChannelNames{"blue", "green", "red", "alpha"};

std::unique_ptr<Filter> make_gray(const FilterArguments& arguments) {
    if (!arguments.has("red") && !arguments.has("green") && !arguments.has("blue")) return gray();
    constexpr double kLargest = 1e6;
    const auto weight = [&](const char* name) { return arguments.number(name, 0, -kLargest, kLargest); };
    return gray({weight("red"), weight("green"), weight("blue")});
}

std::unique_ptr<Filter> make_channel(const FilterArguments& arguments) {
    const std::optional<std::string> text = arguments.text("number");
    if (!text) arguments.refuse("needs the channel: 0, 1, ... or blue, green, red, alpha");
    const auto named = std::find(kChannelNames.begin(), kChannelNames.end(), *text);
    if (named != kChannelNames.end()) return channel(static_cast<int>(named - kChannelNames.begin()));
    return channel(*arguments.integer("number", 0, CV_CN_MAX - 1));
}

std::unique_ptr<Filter> make_mask(const FilterArguments& arguments) {
    if (!arguments.has("file")) arguments.refuse("needs file=IMAGE, in which pixels to be replaced are 0");
    if (arguments.has("value") && arguments.has("color")) arguments.refuse("takes a value or a colour, not both");
    MaskOptions options;
    options.invert = arguments.flag("invert", false);
    constexpr double kFarthest = 1e300;
    if (arguments.text("value") == "nan") {
        options.value = std::numeric_limits<double>::quiet_NaN();
    } else {
        options.value = arguments.number("value", 0, -kFarthest, kFarthest);
    }
    options.color = color_argument(arguments, "color");
    return mask(image_argument(arguments, "file"), options);
}

const Encoding& encoding_argument(const FilterArguments& arguments) {
    const std::optional<std::string> name = arguments.text("encoding");
    if (!name) arguments.refuse("needs the layout: cv_bayerbg..., or a camera's BayerRG8...");
    if (const Encoding* known = find_encoding(*name)) return *known;
    std::vector<std::string> names;
    for (const Encoding& encoding : encodings()) names.push_back(encoding.name);
    const std::string nearest = nearest_name(*name, names);
    try {
        if (const Encoding* known = encoding_of_genicam(*name)) return *known;
    } catch (const Error& error) {
        if (nearest.empty()) arguments.refuse("encoding", "is unknown: " + error.message());
    }
    arguments.refuse("encoding", fmt::format("is none of {}{}", fmt::join(names, ", "),
                                             nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest)));
}

std::unique_ptr<Filter> make_decode(const FilterArguments& arguments) {
    const Encoding& encoding = encoding_argument(arguments);
    const std::string bilinear = to_string(Demosaic::bilinear);
    const std::string method =
        arguments.choice("method", bilinear, {bilinear, to_string(Demosaic::vng), to_string(Demosaic::edge_aware)});
    if (arguments.has("method") && !is_bayer(encoding))
        arguments.refuse("method", fmt::format("is for Bayer mosaics; {} is none", encoding.name));
    return decode_raw(encoding, demosaic_of(method));
}

std::unique_ptr<Filter> make_colormap(const FilterArguments& arguments) {
    constexpr double kFarthest = 1e300;
    ColormapOptions options;
    if (const std::optional<std::string> name = arguments.text("name")) {
        try {
            options.map = find_colormap(*name);
        } catch (const Error& error) {
            arguments.refuse(error.message());
        }
    }
    options.reverse = arguments.flag("reverse", false);
    options.low = arguments.number("low", -kFarthest, kFarthest);
    options.high = arguments.number("high", -kFarthest, kFarthest);
    const std::vector<std::pair<std::string, ColormapRange>> ranges = {{"auto", ColormapRange::automatic},
                                                                       {"type", ColormapRange::type},
                                                                       {"recording", ColormapRange::recording},
                                                                       {"frame", ColormapRange::frame}};
    std::vector<std::string> names;
    for (const auto& range : ranges) names.push_back(range.first);
    const std::string wanted = arguments.choice("range", "auto", names);
    options.range =
        std::find_if(ranges.begin(), ranges.end(), [&](const auto& range) { return range.first == wanted; })->second;
    options.nan = color_argument(arguments, "nan", {});
    options.below = color_argument(arguments, "below");
    options.above = color_argument(arguments, "above");
    if (arguments.has("mask")) options.mask = image_argument(arguments, "mask");
    if (arguments.has("mask_color") && !arguments.has("mask")) arguments.refuse("mask_color", "needs mask=FILE");
    options.mask_color = color_argument(arguments, "mask_color", {});
    return colormap(options);
}

}  // namespace

std::unique_ptr<Filter> gray() {
    return pure_image_filter(in_gray);
}

std::unique_ptr<Filter> gray(const GrayWeights& weights) {
    if (!std::isfinite(weights.red) || !std::isfinite(weights.green) || !std::isfinite(weights.blue))
        throw Error(ErrorCode::invalid_argument, "the weights of gray must be numbers");
    return pure_image_filter([weights](const cv::Mat& image) { return weighted(image, weights); });
}

std::unique_ptr<Filter> color() {
    return pure_image_filter(color_image);
}

std::unique_ptr<Filter> channel(int number) {
    if (number < 0) throw Error(ErrorCode::invalid_argument, "channels count from 0");
    return pure_image_filter([number](const cv::Mat& image) { return one_channel(image, number); });
}

std::unique_ptr<Filter> swap_red_blue() {
    return pure_image_filter(swapped);
}

std::unique_ptr<Filter> mask(const cv::Mat& mask, const MaskOptions& options) {
    if (mask.empty()) throw Error(ErrorCode::invalid_argument, "a mask has pixels");
    cv::Mat shown = mask_of(mask);
    if (options.invert) shown = shown == 0;
    return pure_image_filter([shown, options](const cv::Mat& image) { return masked(image, shown, options); });
}

std::unique_ptr<Filter> decode_raw(const Encoding& encoding, Demosaic method) {
    return pure_image_filter([encoding, method](const cv::Mat& image) { return decode(encoding, image, method); });
}

void add_filters_color(FilterTable& table) {
    table.push_back({"gray",
                     "one channel, of colour the luma or weighted; gray frames pass as they are",
                     {{"red", "", "weight of red (default, without any weight: luma, 0.299)"},
                      {"green", "", "of green (0.587); weights that are left out are 0 when there is another"},
                      {"blue", "", "of blue (0.114)"}},
                     make_gray});
    table.push_back({"color", "three channels (BGR); colour frames pass as they are", {}, [](const FilterArguments&) {
                         return color();
                     }});
    table.push_back({"channel",
                     "one channel of several",
                     {{"number", "", "0, 1, ...; or blue (0), green, red, alpha"}},
                     make_channel});
    table.push_back({"swap",
                     "red and blue exchanged, for RGB taken for BGR; gray frames pass as they are",
                     {},
                     [](const FilterArguments&) { return swap_red_blue(); }});
    table.push_back({"mask",
                     "pixels replaced where another image is 0",
                     {{"file", "", "that image, as large as the frames (PNG, TIFF, .npy)"},
                      {"value", "0", "what they become, in the units of the pixels; nan for floats"},
                      {"color", "", "what they become instead: a name, #rrggbb, 'red:green:blue'"},
                      {"invert", "no", "yes: replaced where that image is not 0"}},
                     make_mask});
    table.push_back({"decode",
                     "raw images of a camera decoded to colour, where the recording does not say that it is raw",
                     {{"encoding", "", "their layout, cv_bayerbg...; or as cameras call it, BayerRG8..."},
                      {"method", "bilinear", "of Bayer mosaics: bilinear, vng (8 bits) or edge-aware"}},
                     make_decode});
    table.push_back(
        {"colormap",
         "values as colours, uint8; of colour the gray values",
         {{"name", "gray", fmt::format("{}; any of them with _r: reversed", fmt::join(colormap_names(), ", "))},
          {"low", "", "the value of the first colour (vmin)"},
          {"high", "", "the value of the last one (vmax)"},
          {"range", "auto",
           "where low or high is not given: type (0 to 255, 65535 or 1), recording (smallest and largest "
           "value of all frames, which are read twice), frame (of each frame); auto: type for uint8, "
           "recording for others"},
          {"reverse", "no", "yes: the last colour becomes the first"},
          {"nan", "black", "colour of NaN: a name, #rrggbb, 'red:green:blue'"},
          {"below", "", "colour below low (default: the first one)"},
          {"above", "", "colour above high (default: the last one)"},
          {"mask", "", "an image as large as the frames: where it is 0..."},
          {"mask_color", "black", "...pixels get this colour and do not count for the range"}},
         make_colormap});
}

}  // namespace reelstore
