#include "filters/smoothing.h"

#include <cmath>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "filters/filter_table.h"
#include "filters/image_values.h"
#include "filters/median.h"

namespace reelstore {

namespace {

constexpr int kMostChannels = 4;
constexpr double kLargestSigma = 1000;
constexpr int kLargestBox = 10001;
constexpr int kLargestMedian = 255;
constexpr double kLargestAmount = 1000;

void check_smoothed(const cv::Mat& image, const char* filter) {
    const int depth = image.depth();
    const bool taken = depth == CV_8U || depth == CV_16U || depth == CV_16S || depth == CV_32F || depth == CV_64F;
    if (taken && image.channels() <= kMostChannels) return;
    throw wrong_type(image, filter, "uint8, uint16, int16, float32 and float64 of up to 4 channels");
}

/// Whether `smoothed`, in which what is missing has spread by `reach` rows, comes of finite values alone.
bool nothing_missing(const cv::Mat& smoothed, int reach) {
    if (smoothed.depth() != CV_32F && smoothed.depth() != CV_64F) return true;
    for (int row = 0; row < smoothed.rows; row += reach + 1) {
        if (!all_finite(smoothed.row(row))) return false;
    }
    return all_finite(smoothed.row(smoothed.rows - 1));
}

/// `smooth` of the finite values alone; `reach`: rows up or down by which a value spreads then, the fewer of the two.
template <typename Smooth>
cv::Mat smoothed(const cv::Mat& image, MissingValues missing, int reach, Smooth smooth) {
    cv::Mat result = smooth(image);
    if (nothing_missing(result, reach)) return result;
    const WeightedImage known = without_missing(image);
    if (known.weights.empty()) return result;
    result = weighted_means(smooth(known.values), smooth(known.weights));
    if (missing == MissingValues::keep) put_back_missing(image, result);
    return result;
}

cv::Mat sharpened(const cv::Mat& image, const SharpenOptions& options) {
    const int reach = gaussian_reach(options.radius, image.depth());
    const auto blur = [&](const cv::Mat& values) {
        return gaussian_blurred(values, options.radius, options.radius, options.edge);
    };
    const auto sharpen = [&](cv::Mat blurred) {
        // Where nothing was blurred it is the image itself.
        if (blurred.data == image.data) return image;
        cv::addWeighted(image, 1 + options.amount, blurred, -options.amount, 0, blurred);
        return blurred;
    };
    const cv::Mat blurred = blur(image);
    if (nothing_missing(blurred, reach)) return sharpen(blurred);
    cv::Mat result = sharpen(smoothed(image, MissingValues::keep, reach, blur));
    // Infinite less infinite is none.
    if (result.data != image.data) put_back_missing(image, result);
    return result;
}

const FilterArgumentInfo kMissingArgument = {"missing", "keep",
                                             "keep or fill: what becomes of NaN, which never spreads"};

FilterArgumentInfo edge_argument(const char* fallback) {
    return {"edge", fallback, "reflect (dcb|abcd), symmetric (cba|abcd) or edge (aaa|abcd)"};
}

EdgeMode edge_of(const FilterArguments& arguments, const char* fallback) {
    const std::string name = arguments.choice("edge", fallback, {"reflect", "symmetric", "edge"});
    return name == "reflect" ? EdgeMode::reflect : name == "symmetric" ? EdgeMode::symmetric : EdgeMode::edge;
}

MissingValues missing_of(const FilterArguments& arguments) {
    return arguments.choice("missing", "keep", {"keep", "fill"}) == "keep" ? MissingValues::keep : MissingValues::fill;
}

std::unique_ptr<Filter> make_gaussian(const FilterArguments& arguments) {
    const double sigma = arguments.number("sigma", 1, 0, kLargestSigma);
    return gaussian({.sigma_x = arguments.number("sigma_x", sigma, 0, kLargestSigma),
                     .sigma_y = arguments.number("sigma_y", sigma, 0, kLargestSigma),
                     .edge = edge_of(arguments, "reflect"),
                     .missing = missing_of(arguments)});
}

std::unique_ptr<Filter> make_box(const FilterArguments& arguments) {
    const int size = arguments.integer("size", 3, 1, kLargestBox);
    return box({.width = arguments.integer("width", size, 1, kLargestBox),
                .height = arguments.integer("height", size, 1, kLargestBox),
                .edge = edge_of(arguments, "reflect"),
                .missing = missing_of(arguments)});
}

std::unique_ptr<Filter> make_median(const FilterArguments& arguments) {
    const int size = arguments.integer("size", 3, 1, kLargestMedian);
    if (size % 2 == 0) arguments.refuse("size", "must be odd");
    return median({.size = size, .edge = edge_of(arguments, "edge"), .missing = missing_of(arguments)});
}

std::unique_ptr<Filter> make_sharpen(const FilterArguments& arguments) {
    return sharpen({.amount = arguments.number("amount", 0.7, 0, kLargestAmount),
                    .radius = arguments.number("radius", 1, 1e-3, kLargestSigma),
                    .edge = edge_of(arguments, "reflect")});
}

}  // namespace

std::unique_ptr<Filter> gaussian(const GaussianOptions& options) {
    const auto valid = [](double sigma) { return sigma >= 0 && sigma <= kLargestSigma; };
    if (!valid(options.sigma_x) || !valid(options.sigma_y)) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("a Gaussian has standard deviations of 0 to {} pixels", kLargestSigma));
    }
    return pure_image_filter([options](const cv::Mat& image) {
        check_smoothed(image, "gaussian");
        const int reach = gaussian_reach(options.sigma_y, image.depth());
        return smoothed(image, options.missing, reach, [&](const cv::Mat& values) {
            return gaussian_blurred(values, options.sigma_x, options.sigma_y, options.edge);
        });
    });
}

std::unique_ptr<Filter> box(const BoxOptions& options) {
    const auto valid = [](int size) { return size >= 1 && size <= kLargestBox; };
    if (!valid(options.width) || !valid(options.height)) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("the window of a mean is 1 to {} pixels wide and high", kLargestBox));
    }
    return pure_image_filter([options](const cv::Mat& image) {
        check_smoothed(image, "box");
        return smoothed(image, options.missing, (options.height - 1) / 2, [&](const cv::Mat& values) {
            return box_blurred(values, cv::Size(options.width, options.height), options.edge);
        });
    });
}

std::unique_ptr<Filter> median(const MedianOptions& options) {
    if (options.size < 1 || options.size > kLargestMedian || options.size % 2 == 0) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("the window of a median has an odd size from 1 to {}", kLargestMedian));
    }
    return pure_image_filter([options](const cv::Mat& image) {
        const int depth = image.depth();
        if ((depth != CV_8U && depth != CV_16U && depth != CV_32F) || image.channels() > kMostChannels)
            throw wrong_type(image, "median", "uint8, uint16 and float32 of up to 4 channels");
        return median_blurred(image, options);
    });
}

std::unique_ptr<Filter> sharpen(const SharpenOptions& options) {
    if (!(options.amount >= 0 && options.amount <= kLargestAmount) ||
        !(options.radius > 0 && options.radius <= kLargestSigma)) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("sharpening needs an amount of 0 to {} and a radius above 0, at most {}",
                                kLargestAmount, kLargestSigma));
    }
    return pure_image_filter([options](const cv::Mat& image) {
        check_smoothed(image, "sharpen");
        return sharpened(image, options);
    });
}

void add_filters_smoothing(FilterTable& table) {
    table.push_back({"gaussian",
                     "smoothed by a Gaussian",
                     {{"sigma", "1", "standard deviation in pixels"},
                      {"sigma_x", "", "another one across"},
                      {"sigma_y", "", "another one down"},
                      edge_argument("reflect"),
                      kMissingArgument},
                     make_gaussian});
    table.push_back({"box",
                     "means over a window",
                     {{"size", "3", "sides of the window in pixels; even: one more to the left and top"},
                      {"width", "", "another one across"},
                      {"height", "", "another one down"},
                      edge_argument("reflect"),
                      kMissingArgument},
                     make_box});
    table.push_back({"median",
                     "medians over a window",
                     {{"size", "3", "sides of the window in pixels, odd"}, edge_argument("edge"), kMissingArgument},
                     make_median});
    table.push_back({"sharpen",
                     "unsharp mask: value + amount * (value - smoothed)",
                     {{"amount", "0.7", "0: nothing"},
                      {"radius", "1", "standard deviation of the Gaussian in pixels"},
                      edge_argument("reflect")},
                     make_sharpen});
}

}  // namespace reelstore
