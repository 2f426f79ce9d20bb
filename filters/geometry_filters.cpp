#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/crop.h"
#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/filter_table.h"
#include "filters/geometry.h"

namespace reelstore {

namespace {

/// OpenCV fills at most four channels with a value, and interpolates at most four in some functions.
constexpr int kMostChannels = 4;

void check_interpolated(const cv::Mat& image, const char* action) {
    const int depth = image.depth();
    const bool taken = depth == CV_8U || depth == CV_16U || depth == CV_16S || depth == CV_32F || depth == CV_64F;
    if (taken && image.channels() <= kMostChannels) return;
    throw Error(ErrorCode::wrong_type,
                fmt::format("{} cannot be {}: uint8, uint16, int16, float32 and float64 of up to 4 channels can",
                            ImageType::of(image).text(), action));
}

/// Throws unless an image of this size is one that can be kept.
void check_size(double width, double height, const cv::Mat& image) {
    if (width >= 1 && height >= 1 && width <= kMaxImageSide && height <= kMaxImageSide &&
        width * height * static_cast<double>(image.elemSize()) <= static_cast<double>(kMaxImageBytes))
        return;
    throw Error(ErrorCode::invalid_argument, fmt::format("an image of {:.0f}x{:.0f} pixels cannot be made of {}", width,
                                                         height, ImageType::of(image).text()));
}

int warp_flags(Interpolation interpolation) {
    switch (interpolation) {
        case Interpolation::nearest:
            return cv::INTER_NEAREST;
        case Interpolation::cubic:
            return cv::INTER_CUBIC;
        case Interpolation::lanczos:
            return cv::INTER_LANCZOS4;
        case Interpolation::linear:
        case Interpolation::area:
        case Interpolation::automatic:
            break;
    }
    return cv::INTER_LINEAR;
}

cv::Mat resized(const cv::Mat& image, double width, double height, Interpolation interpolation) {
    check_interpolated(image, "resized");
    const double whole_width = std::max(1.0, std::round(width));
    const double whole_height = std::max(1.0, std::round(height));
    check_size(whole_width, whole_height, image);
    const cv::Size size(static_cast<int>(whole_width), static_cast<int>(whole_height));
    if (size == image.size()) return image;
    cv::Mat result;
    cv::resize(image, result, size, 0, 0, resize_flags(interpolation, image.size(), size));
    return result;
}

cv::Mat warped(const cv::Mat& image, const cv::Mat& matrix, const cv::Size& size, Interpolation interpolation,
               double value) {
    check_interpolated(image, "turned or moved");
    cv::Mat result;
    cv::warpAffine(image, result, matrix, size, warp_flags(interpolation), cv::BORDER_CONSTANT, cv::Scalar::all(value));
    return result;
}

/// Counterclockwise about the image's middle, which lies between pixels where a side is even.
cv::Mat rotation_about_middle(const cv::Mat& image, double degrees, double scale) {
    return cv::getRotationMatrix2D(
        cv::Point2f(static_cast<float>(image.cols - 1) / 2, static_cast<float>(image.rows - 1) / 2), degrees, scale);
}

/// Counterclockwise; `turns` is 1, 2 or 3.
cv::Mat quarter_turned(const cv::Mat& image, int turns) {
    const int code = turns == 1   ? cv::ROTATE_90_COUNTERCLOCKWISE
                     : turns == 2 ? cv::ROTATE_180
                                  : cv::ROTATE_90_CLOCKWISE;
    cv::Mat result;
    // cv::transpose(), of which quarter turns are made, knows pixels of these sizes only.
    const std::array<size_t, 10> known = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32};
    if (turns == 2 || std::find(known.begin(), known.end(), image.elemSize()) != known.end()) {
        cv::rotate(image, result, code);
        return result;
    }
    std::vector<cv::Mat> planes;
    cv::split(image, planes);
    for (cv::Mat& plane : planes) {
        cv::Mat turned;
        cv::rotate(plane, turned, code);
        plane = turned;
    }
    cv::merge(planes, result);
    return result;
}

cv::Mat rotated(const cv::Mat& image, const RotateOptions& options) {
    const double quarters = options.degrees / 90;
    if (quarters == std::floor(quarters)) {
        const int turns = static_cast<int>(std::fmod(std::fmod(quarters, 4) + 4, 4));
        return turns == 0 ? image : quarter_turned(image, turns);
    }
    cv::Mat matrix = rotation_about_middle(image, options.degrees, 1);
    cv::Size size = image.size();
    if (options.expand) {
        const double angle = options.degrees * std::numbers::pi / 180;
        const double cosine = std::abs(std::cos(angle));
        const double sine = std::abs(std::sin(angle));
        const double width = std::ceil(image.cols * cosine + image.rows * sine - 1e-9);
        const double height = std::ceil(image.cols * sine + image.rows * cosine - 1e-9);
        check_size(width, height, image);
        size = cv::Size(static_cast<int>(width), static_cast<int>(height));
        matrix.at<double>(0, 2) += (width - image.cols) / 2;
        matrix.at<double>(1, 2) += (height - image.rows) / 2;
    }
    return warped(image, matrix, size, options.interpolation, options.value);
}

int border_type(PadMode mode) {
    switch (mode) {
        case PadMode::edge:
            return cv::BORDER_REPLICATE;
        case PadMode::reflect:
            return cv::BORDER_REFLECT_101;
        case PadMode::symmetric:
            return cv::BORDER_REFLECT;
        case PadMode::wrap:
            return cv::BORDER_WRAP;
        case PadMode::constant:
            break;
    }
    return cv::BORDER_CONSTANT;
}

cv::Mat padded(const cv::Mat& image, const Sides& sides, PadMode mode, double value) {
    if (mode == PadMode::constant && image.channels() > kMostChannels) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("{} has more than 4 channels to fill with a value", ImageType::of(image).text()));
    }
    const double width = double(image.cols) + sides.left + sides.right;
    const double height = double(image.rows) + sides.top + sides.bottom;
    check_size(width, height, image);
    cv::Mat result;
    // A cropped image knows of the pixels around it; they are not to come back.
    cv::copyMakeBorder(image, result, sides.top, sides.bottom, sides.left, sides.right,
                       border_type(mode) | cv::BORDER_ISOLATED, cv::Scalar::all(value));
    return result;
}

void check_sides(const Sides& sides) {
    if (std::min({sides.left, sides.top, sides.right, sides.bottom}) >= 0) return;
    throw Error(ErrorCode::invalid_argument, "the pixels at a side cannot be fewer than none");
}

const std::vector<FilterArgumentInfo> kSideArguments = {{"each", "0", "pixels at each side not given by itself"},
                                                        {"left", "", "pixels at the left side"},
                                                        {"top", "", "at the top"},
                                                        {"right", "", "at the right side"},
                                                        {"bottom", "", "at the bottom"}};
const FilterArgumentInfo kValueArgument = {"value", "0", "of pixels that lay outside the image"};

Sides sides_of(const FilterArguments& arguments) {
    const int each = arguments.integer("each", 0, 0, kMaxImageSide);
    const auto side = [&](const char* name) { return arguments.integer(name, each, 0, kMaxImageSide); };
    return {side("left"), side("top"), side("right"), side("bottom")};
}

double value_of(const FilterArguments& arguments) {
    return arguments.number("value", 0, -1e300, 1e300);
}

template <typename Value>
Value chosen(const FilterArguments& arguments, const std::string& name, const std::string& fallback,
             const std::vector<std::pair<std::string, Value>>& values) {
    std::vector<std::string> names;
    for (const auto& value : values) names.push_back(value.first);
    const std::string wanted = arguments.choice(name, fallback, names);
    return std::find_if(values.begin(), values.end(), [&](const auto& value) { return value.first == wanted; })->second;
}

const std::vector<std::pair<std::string, Interpolation>> kInterpolations = {
    {"nearest", Interpolation::nearest}, {"linear", Interpolation::linear},   {"cubic", Interpolation::cubic},
    {"area", Interpolation::area},       {"lanczos", Interpolation::lanczos}, {"auto", Interpolation::automatic}};

FilterArgumentInfo interpolation_argument(const char* fallback) {
    return {"interpolation", fallback, "nearest, linear, cubic, area, lanczos or auto"};
}

std::unique_ptr<Filter> make_crop(const FilterArguments& arguments) {
    const bool by_sides = arguments.has("each") || arguments.has("left") || arguments.has("top") ||
                          arguments.has("right") || arguments.has("bottom");
    const bool by_part = arguments.has("x") || arguments.has("y") || arguments.has("width") || arguments.has("height");
    if (by_sides && by_part) arguments.refuse("give the part that stays, or what is cut off at the sides");
    if (by_sides) return crop(sides_of(arguments));
    if (!arguments.has("width") || !arguments.has("height"))
        arguments.refuse("needs X:Y:WIDTH:HEIGHT, or what is cut off (each=10, left=...)");
    return crop(cv::Rect(arguments.integer("x", 0, 0, kMaxImageSide), arguments.integer("y", 0, 0, kMaxImageSide),
                         arguments.integer("width", 0, 1, kMaxImageSide),
                         arguments.integer("height", 0, 1, kMaxImageSide)));
}

std::unique_ptr<Filter> make_pad(const FilterArguments& arguments) {
    const auto mode = chosen<PadMode>(arguments, "mode", "constant",
                                      {{"constant", PadMode::constant},
                                       {"edge", PadMode::edge},
                                       {"reflect", PadMode::reflect},
                                       {"symmetric", PadMode::symmetric},
                                       {"wrap", PadMode::wrap}});
    return pad(sides_of(arguments), mode, value_of(arguments));
}

std::unique_ptr<Filter> make_resize(const FilterArguments& arguments) {
    const auto interpolation = chosen<Interpolation>(arguments, "interpolation", "auto", kInterpolations);
    const std::optional<double> scale = arguments.number("scale", 1e-6, 1e6);
    const int width = arguments.integer("width", 0, 0, kMaxImageSide);
    const int height = arguments.integer("height", 0, 0, kMaxImageSide);
    if (scale.has_value() == (width > 0 || height > 0))
        arguments.refuse("needs WIDTH:HEIGHT (one of them may be 0: it follows from the other), or scale=FACTOR");
    return scale ? resize(*scale, interpolation) : resize(cv::Size(width, height), interpolation);
}

std::unique_ptr<Filter> make_rotate(const FilterArguments& arguments) {
    if (!arguments.has("degrees")) arguments.refuse("needs the angle in degrees, counterclockwise");
    return rotate({.degrees = arguments.number("degrees", 0, -1e6, 1e6),
                   .expand = arguments.flag("expand", false),
                   .interpolation = chosen<Interpolation>(arguments, "interpolation", "linear", kInterpolations),
                   .value = value_of(arguments)});
}

std::unique_ptr<Filter> make_move(const FilterArguments& arguments) {
    constexpr double kFarthest = 1e6;
    return move(arguments.number("dx", 0, -kFarthest, kFarthest), arguments.number("dy", 0, -kFarthest, kFarthest),
                arguments.number("degrees", 0, -kFarthest, kFarthest), arguments.number("scale", 1, 1e-6, 1e6),
                chosen<Interpolation>(arguments, "interpolation", "linear", kInterpolations), value_of(arguments));
}

std::unique_ptr<Filter> make_affine(const FilterArguments& arguments) {
    AffineOptions options;
    const std::array<const char*, 6> names = {"xx", "xy", "dx", "yx", "yy", "dy"};
    for (size_t i = 0; i < names.size(); ++i)
        options.matrix[i] = arguments.number(names[i], options.matrix[i], -1e6, 1e6);
    options.interpolation = chosen<Interpolation>(arguments, "interpolation", "linear", kInterpolations);
    options.value = value_of(arguments);
    return affine(options);
}

}  // namespace

std::unique_ptr<Filter> crop(const cv::Rect& part) {
    return pure_image_filter([part](const cv::Mat& image) { return cropped(image, part); });
}

std::unique_ptr<Filter> crop(const Sides& sides) {
    check_sides(sides);
    return pure_image_filter([sides](const cv::Mat& image) {
        return cropped(image, cv::Rect(sides.left, sides.top, image.cols - sides.left - sides.right,
                                       image.rows - sides.top - sides.bottom));
    });
}

std::unique_ptr<Filter> pad(const Sides& sides, PadMode mode, double value) {
    check_sides(sides);
    return pure_image_filter([=](const cv::Mat& image) { return padded(image, sides, mode, value); });
}

int resize_flags(Interpolation interpolation, const cv::Size& from, const cv::Size& to) {
    switch (interpolation) {
        case Interpolation::nearest:
            return cv::INTER_NEAREST_EXACT;
        case Interpolation::area:
            return cv::INTER_AREA;
        case Interpolation::automatic:
            return to.width < from.width || to.height < from.height ? cv::INTER_AREA : cv::INTER_CUBIC;
        default:
            return warp_flags(interpolation);
    }
}

std::unique_ptr<Filter> resize(const cv::Size& size, Interpolation interpolation) {
    if (size.width < 0 || size.height < 0 || (size.width == 0 && size.height == 0))
        throw Error(ErrorCode::invalid_argument, "a size needs a width or a height above 0");
    return pure_image_filter([=](const cv::Mat& image) {
        const double width = size.width > 0 ? size.width : double(image.cols) * size.height / image.rows;
        const double height = size.height > 0 ? size.height : double(image.rows) * size.width / image.cols;
        return resized(image, width, height, interpolation);
    });
}

std::unique_ptr<Filter> resize(double scale, Interpolation interpolation) {
    if (!(scale > 0) || !std::isfinite(scale))
        throw Error(ErrorCode::invalid_argument, "a scale must be a number above 0");
    return pure_image_filter(
        [=](const cv::Mat& image) { return resized(image, image.cols * scale, image.rows * scale, interpolation); });
}

std::unique_ptr<Filter> rotate(const RotateOptions& options) {
    if (!std::isfinite(options.degrees)) throw Error(ErrorCode::invalid_argument, "an angle must be a number");
    return pure_image_filter([options](const cv::Mat& image) { return rotated(image, options); });
}

std::unique_ptr<Filter> flip(Flip direction) {
    return pure_image_filter([direction](const cv::Mat& image) {
        cv::Mat result;
        cv::flip(image, result, direction == Flip::horizontal ? 1 : direction == Flip::vertical ? 0 : -1);
        return result;
    });
}

std::unique_ptr<Filter> affine(const AffineOptions& options) {
    const std::array<double, 6>& m = options.matrix;
    const bool finite = std::all_of(m.begin(), m.end(), [](double value) { return std::isfinite(value); });
    if (!finite || m[0] * m[4] - m[1] * m[3] == 0)
        throw Error(ErrorCode::invalid_argument, "the matrix has no inverse, so it shows no image");
    return pure_image_filter([options](const cv::Mat& image) {
        const cv::Mat matrix(2, 3, CV_64F, const_cast<double*>(options.matrix.data()));
        return warped(image, matrix, image.size(), options.interpolation, options.value);
    });
}

std::unique_ptr<Filter> move(double dx, double dy, double degrees, double scale, Interpolation interpolation,
                             double value) {
    if (!std::isfinite(dx + dy + degrees) || !(scale > 0) || !std::isfinite(scale))
        throw Error(ErrorCode::invalid_argument, "an image is moved and turned by numbers, and scaled by one above 0");
    return pure_image_filter([=](const cv::Mat& image) {
        cv::Mat matrix = rotation_about_middle(image, degrees, scale);
        matrix.at<double>(0, 2) += dx;
        matrix.at<double>(1, 2) += dy;
        return warped(image, matrix, image.size(), interpolation, value);
    });
}

void add_filters_geometry(FilterTable& table) {
    std::vector<FilterArgumentInfo> part = {{"x", "0", "left edge of the part"},
                                            {"y", "0", "its upper edge"},
                                            {"width", "", "its width"},
                                            {"height", "", "its height"}};
    part.insert(part.end(), kSideArguments.begin(), kSideArguments.end());
    table.push_back(
        {"crop", "the part X:Y:WIDTH:HEIGHT, or what is left without some pixels at the sides", part, make_crop});
    std::vector<FilterArgumentInfo> padding = kSideArguments;
    padding.push_back({"mode", "constant", "constant, edge, reflect, symmetric or wrap (numpy's names)"});
    padding.push_back(kValueArgument);
    table.push_back({"pad", "more pixels at the sides", padding, make_pad});
    table.push_back({"resize",
                     "another size, as WIDTH:HEIGHT or scale=FACTOR",
                     {{"width", "0", "0: follows from the height"},
                      {"height", "0", "0: follows from the width"},
                      {"scale", "", "both sides by this factor"},
                      interpolation_argument("auto")},
                     make_resize});
    table.push_back({"rotate",
                     "turned counterclockwise; multiples of 90 degrees exactly",
                     {{"degrees", "", "counterclockwise"},
                      {"expand", "no", "yes: large enough to show all of the image, also at other angles"},
                      interpolation_argument("linear"),
                      kValueArgument},
                     make_rotate});
    table.push_back({"flip",
                     "mirrored",
                     {{"direction", "horizontal", "horizontal (left becomes right), vertical or both"}},
                     [](const FilterArguments& arguments) {
                         return flip(chosen<Flip>(
                             arguments, "direction", "horizontal",
                             {{"horizontal", Flip::horizontal}, {"vertical", Flip::vertical}, {"both", Flip::both}}));
                     }});
    table.push_back({"move",
                     "turned and scaled about the middle, then moved, within its size",
                     {{"dx", "0", "pixels to the right"},
                      {"dy", "0", "pixels down"},
                      {"degrees", "0", "counterclockwise"},
                      {"scale", "1", "factor"},
                      interpolation_argument("linear"),
                      kValueArgument},
                     make_move});
    table.push_back({"affine",
                     "each pixel (x, y) goes to (xx x + xy y + dx, yx x + yy y + dy), within the image's size",
                     {{"xx", "1", ""},
                      {"xy", "0", ""},
                      {"dx", "0", "pixels to the right"},
                      {"yx", "0", ""},
                      {"yy", "1", ""},
                      {"dy", "0", "pixels down"},
                      interpolation_argument("linear"),
                      kValueArgument},
                     make_affine});
}

}  // namespace reelstore
