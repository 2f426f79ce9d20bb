#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <mutex>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "base/pixel_type.h"
#include "filters/filter_table.h"
#include "filters/tone.h"

namespace reelstore {

namespace {

constexpr int kMostChannels = 4;

double white_of(int depth) {
    return depth == CV_8U ? 255 : depth == CV_16U ? 65535 : 1;
}

/// The float64 `values`, which are changed, as a type. OpenCV takes values beyond 32 bits for 0 where it makes
/// integers.
cv::Mat in_depth(cv::Mat values, int depth) {
    if (depth == CV_64F) return values;
    if (depth == CV_8U || depth == CV_16U) {
        cv::min(values, white_of(depth), values);
        cv::max(values, 0.0, values);
    }
    cv::Mat result;
    values.convertTo(result, depth);
    return result;
}

Error wrong_type(const cv::Mat& image, const char* filter, const char* taken) {
    return Error(ErrorCode::wrong_type, fmt::format("{} is nothing for the filter {}, which takes {}",
                                                    ImageType::of(image).text(), filter, taken));
}

void check_tone(const cv::Mat& image, const char* filter) {
    const int depth = image.depth();
    if ((depth == CV_8U || depth == CV_16U || depth == CV_32F) && image.channels() <= kMostChannels) return;
    throw wrong_type(image, filter, "uint8, uint16 and float32 of up to 4 channels (normalize makes them)");
}

/// A change of single values, by table where there are few enough.
class ValueChange {
public:
    /// `change` gets a value and what is white.
    ValueChange(const char* filter, std::function<double(double, double)> change)
        : filter_(filter), change_(std::move(change)) {}

    cv::Mat operator()(const cv::Mat& image) {
        check_tone(image, filter_);
        cv::Mat result(image.size(), image.type());
        switch (image.depth()) {
            case CV_8U:
                std::call_once(made_8_, [this] { fill(table_8_, 256); });
                map(image, result, table_8_.data());
                break;
            case CV_16U:
                std::call_once(made_16_, [this] { fill(table_16_, 65536); });
                map(image, result, table_16_.data());
                break;
            default:
                for (int row = 0; row < image.rows; ++row) {
                    const auto* from = image.ptr<float>(row);
                    auto* to = result.ptr<float>(row);
                    for (int i = 0; i < image.cols * image.channels(); ++i)
                        to[i] = static_cast<float>(change_(static_cast<double>(from[i]), 1));
                }
        }
        return result;
    }

private:
    template <typename Value>
    void fill(std::vector<Value>& table, size_t size) const {
        const auto white = static_cast<double>(size - 1);
        table.resize(size);
        for (size_t value = 0; value < size; ++value)
            table[value] = cv::saturate_cast<Value>(std::clamp(change_(static_cast<double>(value), white), 0.0, white));
    }

    template <typename Value>
    static void map(const cv::Mat& image, cv::Mat& result, const Value* table) {
        for (int row = 0; row < image.rows; ++row) {
            const auto* from = image.ptr<Value>(row);
            auto* to = result.ptr<Value>(row);
            for (int i = 0; i < image.cols * image.channels(); ++i) to[i] = table[from[i]];
        }
    }

    const char* filter_;
    std::function<double(double, double)> change_;
    std::once_flag made_8_;
    std::once_flag made_16_;
    std::vector<uint8_t> table_8_;
    std::vector<uint16_t> table_16_;
};

std::unique_ptr<Filter> value_filter(const char* filter, std::function<double(double, double)> change) {
    const auto shared = std::make_shared<ValueChange>(filter, std::move(change));
    return image_filter([shared](const cv::Mat& image) { return (*shared)(image); });
}

cv::Mat equalized(const cv::Mat& plane, const ClaheOptions& options) {
    cv::Mat result;
    cv::createCLAHE(options.clip, cv::Size(options.tiles_x, options.tiles_y))->apply(plane, result);
    return result;
}

cv::Mat with_clahe(const cv::Mat& image, const ClaheOptions& options) {
    const bool taken = (image.depth() == CV_8U || image.depth() == CV_16U) && image.channels() != 2 &&
                       image.channels() <= kMostChannels;
    if (!taken) throw wrong_type(image, "clahe", "uint8 and uint16, gray and colour (normalize makes them)");
    if (image.channels() == 1) return equalized(image, options);
    std::vector<cv::Mat> planes;
    cv::split(image, planes);
    const cv::Mat alpha = planes.size() == 4 ? planes[3] : cv::Mat();
    cv::Mat colour;
    cv::merge(planes.data(), 3, colour);
    cv::Mat lab;
    std::vector<cv::Mat> lab_planes;
    if (image.depth() == CV_8U) {
        cv::cvtColor(colour, lab, cv::COLOR_BGR2Lab);
        cv::split(lab, lab_planes);
        lab_planes[0] = equalized(lab_planes[0], options);
        cv::merge(lab_planes, lab);
        cv::cvtColor(lab, colour, cv::COLOR_Lab2BGR);
    } else {
        // L*a*b* of 16 bits only goes by way of floats, L from 0 to 100.
        constexpr double kMostLightness = 100;
        colour.convertTo(colour, CV_32F, 1.0 / white_of(CV_16U));
        cv::cvtColor(colour, lab, cv::COLOR_BGR2Lab);
        cv::split(lab, lab_planes);
        cv::Mat lightness;
        lab_planes[0].convertTo(lightness, CV_16U, white_of(CV_16U) / kMostLightness);
        equalized(lightness, options).convertTo(lab_planes[0], CV_32F, kMostLightness / white_of(CV_16U));
        cv::merge(lab_planes, lab);
        cv::cvtColor(lab, colour, cv::COLOR_Lab2BGR);
        colour.convertTo(colour, CV_16U, white_of(CV_16U));
    }
    if (alpha.empty()) return colour;
    cv::split(colour, planes);
    planes.push_back(alpha);
    cv::Mat result;
    cv::merge(planes, result);
    return result;
}

/// All finite values, in no order.
std::vector<double> finite_values(const cv::Mat& image) {
    std::vector<double> values;
    values.reserve(image.total() * static_cast<size_t>(image.channels()));
    cv::Mat row_values;
    for (int row = 0; row < image.rows; ++row) {
        image.row(row).reshape(1).convertTo(row_values, CV_64F);
        for (int i = 0; i < row_values.cols; ++i) {
            const double value = row_values.at<double>(i);
            if (std::isfinite(value)) values.push_back(value);
        }
    }
    return values;
}

/// As numpy's percentile with linear interpolation. Changes the order of the values, of which there must be some.
double percentile(std::vector<double>& values, double percent) {
    const double place = percent / 100 * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::ptrdiff_t>(std::floor(place));
    std::nth_element(values.begin(), values.begin() + below, values.end());
    const double low = values[static_cast<size_t>(below)];
    const double part = place - static_cast<double>(below);
    if (part == 0) return low;
    const double high = *std::min_element(values.begin() + below + 1, values.end());
    return low + (high - low) * part;
}

std::pair<double, double> ends_of(const cv::Mat& image, const ToneRange& range) {
    if (range.low && range.high) return {*range.low, *range.high};
    std::vector<double> values = finite_values(image);
    if (values.empty()) return {range.low.value_or(0), range.high.value_or(0)};
    const double low = range.low ? *range.low : percentile(values, range.low_percentile);
    const double high = range.high ? *range.high : percentile(values, range.high_percentile);
    return {low, high};
}

cv::Mat normalized(const cv::Mat& image, const NormalizeOptions& options) {
    const int depth = options.depth.value_or(image.depth());
    if (depth != CV_8U && depth != CV_16U && depth != CV_32F && depth != CV_64F) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("normalize gives uint8, uint16, float32 or float64, not {}; say which (type=...)",
                                dtype_name(depth)));
    }
    const auto [low, high] = ends_of(image, options.range);
    const double to_low = options.to_low;
    const double to_high = options.to_high.value_or(white_of(depth));
    const double factor = high > low ? (to_high - to_low) / (high - low) : 0;
    const bool to_integers = depth == CV_8U || depth == CV_16U;
    const double least = std::min(to_low, to_high);
    const double most = std::max(to_low, to_high);
    cv::Mat result(image.size(), CV_MAKETYPE(CV_64F, image.channels()));
    image.convertTo(result, CV_64F);
    for (int row = 0; row < result.rows; ++row) {
        auto* values = result.ptr<double>(row);
        for (int i = 0; i < result.cols * result.channels(); ++i) {
            double& value = values[i];
            if (std::isnan(value)) {
                if (to_integers) value = options.nan;
                continue;
            }
            // An infinite value times 0 would be none.
            value = factor == 0 ? to_low : to_low + (value - low) * factor;
            if (options.clip || to_integers) value = std::clamp(value, least, most);
        }
    }
    return in_depth(result, depth);
}

cv::Mat over_threshold(const cv::Mat& image, double limit) {
    check_tone(image, "threshold");
    cv::Mat values;
    image.convertTo(values, CV_64F);
    cv::Mat result(image.size(), image.type());
    for (int row = 0; row < image.rows; ++row) {
        auto* value = values.ptr<double>(row);
        for (int i = 0; i < image.cols * image.channels(); ++i)
            value[i] = value[i] > limit ? white_of(image.depth()) : 0;
    }
    values.convertTo(result, image.depth());
    return result;
}

void check_reference(const cv::Mat& image, const ImageType& reference, const char* filter) {
    if (ImageType::of(image) == reference) return;
    throw Error(ErrorCode::wrong_type, fmt::format("filter {}: the reference image is {}, the frames are {}", filter,
                                                   reference.text(), ImageType::of(image).text()));
}

/// One factor for each value, and what is taken off before.
struct FlatField {
    ImageType type;
    cv::Mat dark;     // float64
    cv::Mat factors;  // float64
};

FlatField prepare_flat_field(const cv::Mat& flat, const cv::Mat& dark) {
    check_tone(flat, "flat-field");
    if (!dark.empty()) check_reference(dark, ImageType::of(flat), "flat-field");
    FlatField field;
    field.type = ImageType::of(flat);
    cv::Mat light;
    flat.convertTo(light, CV_64F);
    field.dark = cv::Mat::zeros(light.size(), light.type());
    if (!dark.empty()) dark.convertTo(field.dark, CV_64F);
    light -= field.dark;
    const cv::Scalar means = cv::mean(light);
    field.factors.create(light.size(), light.type());
    for (int row = 0; row < light.rows; ++row) {
        const auto* from = light.ptr<double>(row);
        auto* to = field.factors.ptr<double>(row);
        for (int i = 0; i < light.cols * light.channels(); ++i)
            to[i] = from[i] > 0 ? means[i % light.channels()] / from[i] : 0;
    }
    return field;
}

cv::Mat corrected(const cv::Mat& image, const FlatField& field) {
    check_reference(image, field.type, "flat-field");
    cv::Mat values;
    image.convertTo(values, CV_64F);
    values = (values - field.dark).mul(field.factors);
    return in_depth(values, image.depth());
}

cv::Mat read_reference(const FilterArguments& arguments, const std::string& name) {
    const std::string path = arguments.text(name, "");
    constexpr uint64_t kMostBytes = kMaxImageBytes;
    const std::vector<uint8_t> bytes = read_file(path, kMostBytes);
    cv::Mat image;
    try {
        image = cv::imdecode(bytes, cv::IMREAD_UNCHANGED);
    } catch (const cv::Exception&) {
        image.release();
    }
    if (image.empty()) arguments.refuse(name, "is no image (PNG or TIFF)");
    return image;
}

ToneRange range_of(const FilterArguments& arguments, double low_percentile, double high_percentile) {
    constexpr double kFarthest = 1e300;
    ToneRange range;
    range.low = arguments.number("low", -kFarthest, kFarthest);
    range.high = arguments.number("high", -kFarthest, kFarthest);
    range.low_percentile = arguments.number("low_percentile", low_percentile, 0, 100);
    range.high_percentile = arguments.number("high_percentile", high_percentile, 0, 100);
    if (range.low && range.high && *range.low > *range.high) arguments.refuse("low lies above high");
    if (range.low_percentile > range.high_percentile) arguments.refuse("low_percentile lies above high_percentile");
    return range;
}

std::vector<FilterArgumentInfo> range_arguments(const char* low_percentile, const char* high_percentile) {
    return {{"low", "", "the value that becomes black (without it, a percentile of each frame)"},
            {"high", "", "the value that becomes white (likewise)"},
            {"low_percentile", low_percentile, "where low is not given"},
            {"high_percentile", high_percentile, "where high is not given"}};
}

std::unique_ptr<Filter> make_normalize(const FilterArguments& arguments) {
    NormalizeOptions options;
    options.range = range_of(arguments, 0, 100);
    options.to_low = arguments.number("to_low", 0, -1e300, 1e300);
    options.to_high = arguments.number("to_high", -1e300, 1e300);
    if (const auto type = arguments.text("type")) {
        options.depth = depth_of_dtype(arguments.choice("type", "", {"uint8", "uint16", "float32", "float64"}));
    }
    options.clip = arguments.flag("clip", true);
    options.nan = arguments.number("nan", 0, -1e300, 1e300);
    return normalize(options);
}

std::unique_ptr<Filter> make_8bit(const FilterArguments& arguments) {
    NormalizeOptions options;
    options.range = range_of(arguments, 0, 100);
    options.depth = CV_8U;
    options.nan = arguments.number("nan", 0, 0, 255);
    return normalize(options);
}

void check_finite(const char* what, double value) {
    if (!std::isfinite(value)) throw Error(ErrorCode::invalid_argument, fmt::format("{} must be a number", what));
}

}  // namespace

std::unique_ptr<Filter> brightness_contrast(double brightness, double contrast) {
    check_finite("brightness", brightness);
    check_finite("contrast", contrast);
    return value_filter("brightness", [=](double value, double) { return value * contrast + brightness; });
}

std::unique_ptr<Filter> gamma(double gamma) {
    if (!(gamma > 0) || !std::isfinite(gamma))
        throw Error(ErrorCode::invalid_argument, "gamma must be a number above 0");
    return value_filter("gamma", [=](double value, double white) {
        // NaN stays.
        const double positive = value < 0 ? 0 : value;
        return white * std::pow(positive / white, 1 / gamma);
    });
}

std::unique_ptr<Filter> curve(double slope, double inflexion) {
    if (!(slope > 0) || !std::isfinite(slope) || !(inflexion >= 0 && inflexion <= 1))
        throw Error(ErrorCode::invalid_argument, "a curve needs a slope above 0 and an inflexion from 0 to 1");
    const double black = std::erf(slope * (0 - inflexion));
    const double span = std::erf(slope * (1 - inflexion)) - black;
    return value_filter("curve", [=](double value, double white) {
        if (std::isnan(value)) return value;
        return white * (std::erf(slope * (std::clamp(value / white, 0.0, 1.0) - inflexion)) - black) / span;
    });
}

std::unique_ptr<Filter> invert() {
    return value_filter("invert", [](double value, double white) { return white - value; });
}

std::unique_ptr<Filter> lookup_table(const std::vector<uint8_t>& table) {
    if (table.size() != 256) throw Error(ErrorCode::invalid_argument, "a lookup table has 256 values");
    return image_filter([table](const cv::Mat& image) {
        if (image.depth() != CV_8U) throw wrong_type(image, "lookup-table", "uint8");
        cv::Mat result;
        cv::LUT(image, table, result);
        return result;
    });
}

std::unique_ptr<Filter> clahe(const ClaheOptions& options) {
    if (!(options.clip > 0) || !std::isfinite(options.clip) || options.tiles_x < 1 || options.tiles_y < 1)
        throw Error(ErrorCode::invalid_argument, "clahe needs a clip limit above 0 and at least one tile");
    return image_filter([options](const cv::Mat& image) { return with_clahe(image, options); });
}

std::unique_ptr<Filter> normalize(const NormalizeOptions& options) {
    return image_filter([options](const cv::Mat& image) { return normalized(image, options); });
}

std::unique_ptr<Filter> threshold(double limit) {
    check_finite("a threshold", limit);
    return image_filter([limit](const cv::Mat& image) { return over_threshold(image, limit); });
}

std::unique_ptr<Filter> flat_field(const cv::Mat& flat, const cv::Mat& dark) {
    const auto field = std::make_shared<const FlatField>(prepare_flat_field(flat, dark));
    return image_filter([field](const cv::Mat& image) { return corrected(image, *field); });
}

std::unique_ptr<Filter> subtract_dark(const cv::Mat& dark) {
    check_tone(dark, "dark-frame");
    return image_filter([dark = dark.clone()](const cv::Mat& image) {
        check_reference(image, ImageType::of(dark), "dark-frame");
        cv::Mat result;
        cv::subtract(image, dark, result);
        return result;
    });
}

void add_filters_tone(FilterTable& table) {
    constexpr double kFarthest = 1e300;
    table.push_back({"brightness",
                     "value * contrast + brightness",
                     {{"brightness", "0", "added, in the units of the pixels"}, {"contrast", "1", "factor"}},
                     [](const FilterArguments& arguments) {
                         return brightness_contrast(arguments.number("brightness", 0, -kFarthest, kFarthest),
                                                    arguments.number("contrast", 1, -kFarthest, kFarthest));
                     }});
    table.push_back({"gamma",
                     "white * (value / white) ^ (1 / gamma)",
                     {{"gamma", "", "above 1: dark values become brighter"}},
                     [](const FilterArguments& arguments) {
                         if (!arguments.has("gamma")) arguments.refuse("needs a value such as gamma=2.2");
                         return gamma(arguments.number("gamma", 1, 1e-3, 1e3));
                     }});
    table.push_back({"curve",
                     "S-shaped: more contrast about the inflexion, less at the ends",
                     {{"slope", "4", "above 0"}, {"inflexion", "0.5", "0 to 1 of white"}},
                     [](const FilterArguments& arguments) {
                         return curve(arguments.number("slope", 4, 1e-3, 1e3),
                                      arguments.number("inflexion", 0.5, 0, 1));
                     }});
    table.push_back({"invert", "white - value", {}, [](const FilterArguments&) { return invert(); }});
    table.push_back({"clahe",
                     "contrast limited adaptive histogram equalisation; of colour the lightness",
                     {{"clip", "8", "limit of contrast"}, {"tiles", "5", "tiles across and down"}},
                     [](const FilterArguments& arguments) {
                         const int tiles = arguments.integer("tiles", 5, 1, 1000);
                         return clahe({arguments.number("clip", 8, 1e-3, 1e6), tiles, tiles});
                     }});
    std::vector<FilterArgumentInfo> normalizing = range_arguments("0", "100");
    normalizing.insert(normalizing.end(), {{"to_low", "0", "what the low end becomes"},
                                           {"to_high", "", "what the high end becomes (default: white)"},
                                           {"type", "", "uint8, uint16, float32 or float64 (default: as it is)"},
                                           {"clip", "yes", "no: floats may go beyond both ends"},
                                           {"nan", "0", "what NaN becomes in integers"}});
    table.push_back(
        {"normalize", "a range of values spread over another, in another type if wanted", normalizing, make_normalize});
    std::vector<FilterArgumentInfo> to_8_bits = range_arguments("0", "100");
    to_8_bits.push_back({"nan", "0", "what NaN becomes"});
    table.push_back({"8bit", "uint8, from black to white over a range of values", to_8_bits, make_8bit});
    table.push_back({"levels", "black and white at percentiles of each frame (automatic brightness and contrast)",
                     range_arguments("2", "98"), [](const FilterArguments& arguments) {
                         return normalize({.range = range_of(arguments, 2, 98)});
                     }});
    table.push_back({"threshold",
                     "white where the value is larger, else black",
                     {{"value", "", "in the units of the pixels"}},
                     [](const FilterArguments& arguments) {
                         if (!arguments.has("value")) arguments.refuse("needs a value");
                         return threshold(arguments.number("value", 0, -kFarthest, kFarthest));
                     }});
    table.push_back(
        {"flat-field",
         "even light: divided by an image of an empty, bright field",
         {{"flat", "", "PNG or TIFF of the type of the frames"}, {"dark", "", "the same taken without light"}},
         [](const FilterArguments& arguments) {
             if (!arguments.has("flat")) arguments.refuse("needs flat=IMAGE");
             return flat_field(read_reference(arguments, "flat"),
                               arguments.has("dark") ? read_reference(arguments, "dark") : cv::Mat());
         }});
    table.push_back({"dark-frame",
                     "an image taken without light is taken off",
                     {{"dark", "", "PNG or TIFF of the type of the frames"}},
                     [](const FilterArguments& arguments) {
                         if (!arguments.has("dark")) arguments.refuse("needs dark=IMAGE");
                         return subtract_dark(read_reference(arguments, "dark"));
                     }});
}

}  // namespace reelstore
