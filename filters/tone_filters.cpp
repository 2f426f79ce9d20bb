#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <functional>
#include <mutex>
#include <sstream>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "base/pixel_type.h"
#include "filters/adaptive_equalization.h"
#include "filters/filter_table.h"
#include "filters/image_values.h"
#include "filters/normalization.h"
#include "filters/tone.h"
#include "filters/value_table.h"

namespace reelstore {

namespace {

/// A filter that moves no pixel.
std::unique_ptr<Filter> tone_filter(std::function<cv::Mat(const cv::Mat&)> change) {
    return pure_image_filter(std::move(change), true);
}

constexpr int kMostChannels = 4;

void check_tone(const cv::Mat& image, const char* filter) {
    const int depth = image.depth();
    if ((depth == CV_8U || depth == CV_16U || depth == CV_32F) && image.channels() <= kMostChannels) return;
    throw wrong_type(image, filter, "uint8, uint16 and float32 of up to 4 channels (normalize makes them)");
}

/// A change of single values, by table where there are few enough. `change` gets a value and what is white; `of_floats`
/// changes images of float32, of which white is 1.
class ValueChange {
public:
    using Change = std::function<double(double value, double white)>;

    ValueChange(const char* filter, Change change, std::function<cv::Mat(const cv::Mat&)> of_floats)
        : filter_(filter), change_(std::move(change)), of_floats_(std::move(of_floats)) {}

    cv::Mat operator()(const cv::Mat& image) {
        check_tone(image, filter_);
        if (image.depth() == CV_32F) return of_floats_(image);
        const bool bytes = image.depth() == CV_8U;
        std::call_once(bytes ? made_8_ : made_16_, [&] {
            if (bytes) {
                fill<uint8_t>(table_8_, 256);
            } else {
                fill<uint16_t>(table_16_, 65536);
            }
        });
        return looked_up(image, bytes ? table_8_ : table_16_);
    }

private:
    template <typename Value>
    void fill(cv::Mat& table, int size) const {
        const double white = size - 1;
        table.create(1, size, cv::DataType<Value>::depth);
        for (int value = 0; value < size; ++value)
            table.at<Value>(value) = cv::saturate_cast<Value>(std::clamp(change_(value, white), 0.0, white));
    }

    const char* filter_;
    Change change_;
    std::function<cv::Mat(const cv::Mat&)> of_floats_;
    std::once_flag made_8_;
    std::once_flag made_16_;
    cv::Mat table_8_;
    cv::Mat table_16_;
};

std::unique_ptr<Filter> value_filter(const char* filter, ValueChange::Change change,
                                     std::function<cv::Mat(const cv::Mat&)> of_floats) {
    const auto shared = std::make_shared<ValueChange>(filter, std::move(change), std::move(of_floats));
    return tone_filter([shared](const cv::Mat& image) { return (*shared)(image); });
}

/// Of floats, one by one in float64.
template <typename Change>
cv::Mat each_float(const cv::Mat& image, Change change) {
    cv::Mat result(image.size(), image.type());
    for (int row = 0; row < image.rows; ++row) {
        const auto* from = image.ptr<float>(row);
        auto* to = result.ptr<float>(row);
        for (int i = 0; i < image.cols * image.channels(); ++i)
            to[i] = static_cast<float>(change(static_cast<double>(from[i])));
    }
    return result;
}

/// Whether cv::Mat::convertTo() can do it: OpenCV takes values beyond 32 bits for 0 where it makes integers, and
/// computes in float32.
bool converts(int depth, double brightness, double contrast) {
    const double most = depth == CV_32F ? 1e30 : 1 << 20;
    return std::abs(contrast) * white_of(depth) + std::abs(brightness) < most;
}

/// As many rows as stay in the processor's cache while several things are done with them.
int rows_in_cache(const cv::Mat& image) {
    constexpr size_t kBytes = 128 * 1024;
    const size_t row = static_cast<size_t>(image.cols) * static_cast<size_t>(image.channels()) * sizeof(float);
    return static_cast<int>(std::max<size_t>(1, kBytes / row));
}

/// Positive values of normal size, which are those whose power OpenCV knows.
bool powers_are_known(const float* values, int count) {
    const cv::v_int32x4 smallest = cv::v_setall_s32(std::bit_cast<int32_t>(FLT_MIN));
    const cv::v_int32x4 largest = cv::v_setall_s32(std::bit_cast<int32_t>(FLT_MAX));
    cv::v_int32x4 unknown = cv::v_setzero_s32();
    int i = 0;
    for (; i + 4 <= count; i += 4) {
        // The bits of floats are in the order of the floats; those of negative ones are negative, too.
        const cv::v_int32x4 bits = cv::v_reinterpret_as_s32(cv::v_load(values + i));
        unknown = unknown | (bits < smallest) | (bits > largest);
    }
    if (cv::v_check_any(unknown)) return false;
    return std::all_of(values + i, values + count, [](float value) { return std::isnormal(value) && value > 0; });
}

/// value ^ power; 0 of what is below 0.
cv::Mat powered(const cv::Mat& image, double power) {
    cv::Mat result(image.size(), image.type());
    const int step = rows_in_cache(image);
    for (int first = 0; first < image.rows; first += step) {
        const cv::Range rows(first, std::min(first + step, image.rows));
        cv::Mat part = result.rowRange(rows);
        cv::pow(image.rowRange(rows), power, part);
        for (int row = rows.start; row < rows.end; ++row) {
            const auto* from = image.ptr<float>(row);
            auto* to = result.ptr<float>(row);
            const int count = image.cols * image.channels();
            if (powers_are_known(from, count)) continue;
            for (int i = 0; i < count; ++i) {
                if (std::isnormal(from[i]) && from[i] > 0) continue;
                // NaN stays.
                to[i] = from[i] <= 0 ? 0 : std::pow(from[i], static_cast<float>(power));
            }
        }
    }
    return result;
}

/// Objects that are used again, by one thread at a time: their buffers are large.
class ClahePool {
public:
    explicit ClahePool(const ClaheOptions& options) : options_(options) {}

    cv::Mat equalized(const cv::Mat& plane) {
        if (suits_adaptive_equalization(plane, options_)) return equalized_adaptively(plane, options_);
        cv::Ptr<cv::CLAHE> clahe = taken();
        if (!clahe) clahe = cv::createCLAHE(options_.clip, cv::Size(options_.tiles_x, options_.tiles_y));
        // OpenCV takes no notice of what lies around an image in memory only where it does not know of it.
        const cv::Mat alone(plane.rows, plane.cols, plane.type(), plane.data, plane.step);
        cv::Mat result;
        clahe->apply(alone, result);
        const std::lock_guard lock(mutex_);
        free_.push_back(clahe);
        return result;
    }

private:
    /// Null when none is free.
    cv::Ptr<cv::CLAHE> taken() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) return {};
        cv::Ptr<cv::CLAHE> clahe = free_.back();
        free_.pop_back();
        return clahe;
    }

    ClaheOptions options_;
    std::mutex mutex_;
    std::vector<cv::Ptr<cv::CLAHE>> free_;
};

cv::Mat with_clahe(const cv::Mat& image, ClahePool& pool) {
    const bool taken = (image.depth() == CV_8U || image.depth() == CV_16U) && image.channels() != 2 &&
                       image.channels() <= kMostChannels;
    if (!taken) throw wrong_type(image, "clahe", "uint8 and uint16, gray and colour (normalize makes them)");
    if (image.channels() == 1) return pool.equalized(image);
    cv::Mat colour;
    cv::Mat lab;
    cv::Mat lightness;
    if (image.depth() == CV_8U) {
        cv::cvtColor(image, lab, cv::COLOR_BGR2Lab);
        cv::extractChannel(lab, lightness, 0);
        cv::insertChannel(pool.equalized(lightness), lab, 0);
        cv::cvtColor(lab, colour, cv::COLOR_Lab2BGR);
    } else {
        // L*a*b* of 16 bits only goes by way of floats, L from 0 to 100.
        constexpr double kMostLightness = 100;
        image.convertTo(colour, CV_32F, 1.0 / white_of(CV_16U));
        cv::cvtColor(colour, lab, cv::COLOR_BGR2Lab);
        cv::extractChannel(lab, lightness, 0);
        lightness.convertTo(lightness, CV_16U, white_of(CV_16U) / kMostLightness);
        pool.equalized(lightness).convertTo(lightness, CV_32F, kMostLightness / white_of(CV_16U));
        cv::insertChannel(lightness, lab, 0);
        cv::cvtColor(lab, colour, cv::COLOR_Lab2BGR);
        colour.convertTo(colour, CV_16U, white_of(CV_16U));
    }
    if (image.channels() == 3) return colour;
    cv::Mat result(image.size(), image.type());
    const std::array<cv::Mat, 2> from = {colour, image};
    const std::array<int, 8> places = {0, 0, 1, 1, 2, 2, 6, 3};
    cv::mixChannels(from.data(), from.size(), &result, 1, places.data(), places.size() / 2);
    return result;
}

cv::Mat over_threshold(const cv::Mat& image, double limit) {
    check_tone(image, "threshold");
    // What OpenCV compares with has the type of the values.
    auto limit_of_floats = static_cast<float>(std::clamp<double>(limit, -FLT_MAX, FLT_MAX));
    if (limit_of_floats > limit) limit_of_floats = std::nextafter(limit_of_floats, -FLT_MAX);
    const double white = white_of(image.depth());
    cv::Mat result;
    cv::threshold(image, result,
                  image.depth() == CV_32F ? double(limit_of_floats) : std::floor(std::clamp(limit, -1.0, white)), white,
                  cv::THRESH_BINARY);
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
    cv::Mat dark;            // of the type
    cv::Mat factors;         // float32
    bool overflows = false;  // integers of 32 bits, beyond which OpenCV takes values for 0
};

/// Of each channel of a float64 image.
cv::Scalar mean_of_finite(const cv::Mat& image) {
    cv::Scalar sums;
    cv::Scalar counts;
    for (int row = 0; row < image.rows; ++row) {
        const auto* values = image.ptr<double>(row);
        for (int i = 0; i < image.cols * image.channels(); ++i) {
            if (!std::isfinite(values[i])) continue;
            sums[i % image.channels()] += values[i];
            ++counts[i % image.channels()];
        }
    }
    for (int channel = 0; channel < image.channels(); ++channel) sums[channel] /= std::max(counts[channel], 1.0);
    return sums;
}

FlatField prepare_flat_field(const cv::Mat& flat, const cv::Mat& dark) {
    check_tone(flat, "flat-field");
    if (!dark.empty()) check_reference(dark, ImageType::of(flat), "flat-field");
    FlatField field;
    field.type = ImageType::of(flat);
    field.dark = dark.empty() ? cv::Mat::zeros(flat.size(), flat.type()) : dark.clone();
    cv::Mat light;
    cv::subtract(flat, field.dark, light, cv::noArray(), CV_64F);
    const cv::Scalar means = mean_of_finite(light);
    field.factors.create(light.size(), CV_MAKETYPE(CV_32F, light.channels()));
    for (int row = 0; row < light.rows; ++row) {
        const auto* from = light.ptr<double>(row);
        auto* to = field.factors.ptr<float>(row);
        for (int i = 0; i < light.cols * light.channels(); ++i)
            to[i] = from[i] > 0 ? static_cast<float>(means[i % light.channels()] / from[i]) : 0;
    }
    double largest = 0;
    cv::minMaxIdx(field.factors.reshape(1), nullptr, &largest);
    field.overflows = flat.depth() != CV_32F && largest * white_of(flat.depth()) > (1 << 30);
    return field;
}

cv::Mat corrected(const cv::Mat& image, const FlatField& field) {
    check_reference(image, field.type, "flat-field");
    cv::Mat result(image.size(), image.type());
    const int step = rows_in_cache(image);
    cv::Mat light;
    for (int first = 0; first < image.rows; first += step) {
        const cv::Range rows(first, std::min(first + step, image.rows));
        cv::Mat part = result.rowRange(rows);
        cv::subtract(image.rowRange(rows), field.dark.rowRange(rows), light, cv::noArray(), CV_32F);
        if (!field.overflows) {
            cv::multiply(light, field.factors.rowRange(rows), part, 1, image.depth());
            continue;
        }
        cv::multiply(light, field.factors.rowRange(rows), light);
        cv::Mat values = light.reshape(1);
        cv::min(values, white_of(image.depth()), values);
        light.convertTo(part, image.depth());
    }
    return result;
}

ToneRange range_of(const FilterArguments& arguments, double low_percentile, double high_percentile) {
    constexpr double kFarthest = 1e300;
    ToneRange range;
    range.low = arguments.number("low", -kFarthest, kFarthest);
    range.high = arguments.number("high", -kFarthest, kFarthest);
    range.low_percentile = arguments.number("low_percentile", low_percentile, 0, 100);
    range.high_percentile = arguments.number("high_percentile", high_percentile, 0, 100);
    const std::string of = arguments.choice("range", "frame", {"frame", "recording", "type"});
    if (of == "recording") range.of = ToneRangeOf::recording;
    if (of == "type") range.of = ToneRangeOf::type;
    if (range.low && range.high && *range.low > *range.high) arguments.refuse("low lies above high");
    if (range.low_percentile > range.high_percentile) arguments.refuse("low_percentile lies above high_percentile");
    if (range.of != ToneRangeOf::frame && (arguments.has("low_percentile") || arguments.has("high_percentile")))
        arguments.refuse("range", "takes the place of percentiles");
    return range;
}

std::vector<FilterArgumentInfo> range_arguments(const char* low_percentile, const char* high_percentile) {
    return {{"low", "", "the value that becomes black (without it, a percentile of each frame)"},
            {"high", "", "the value that becomes white (likewise)"},
            {"low_percentile", low_percentile, "where low is not given"},
            {"high_percentile", high_percentile, "where high is not given"}};
}

const FilterArgumentInfo kRangeArgument = {"range", "frame",
                                           "where low or high is not given: frame (percentiles of each), recording "
                                           "(smallest and largest value of all frames, which "
                                           "are read twice), type (0 to 255, 65535 or 1)"};

/// normalize() where the ends come from all frames.
class RecordingNormalization : public Filter {
public:
    explicit RecordingNormalization(const NormalizeOptions& options) : options_(options) {}

    void begin(SourceInfo& info) override {
        tone_filter([this](const cv::Mat& image) { return changed(image); })->begin(info);
    }
    bool each_by_itself() const override { return true; }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<RecordingNormalization>(*this); }
    bool needs_first_pass() const override { return !options_.range.low || !options_.range.high; }

    void first_pass(const Frame& frame) override {
        const std::optional<ValueRange> range = finite_range(frame.image.reshape(1));
        if (!range) return;
        if (!found_) found_ = *range;
        found_->low = std::min(found_->low, range->low);
        found_->high = std::max(found_->high, range->high);
    }

    void push(Frame frame, const Receiver& receiver) override {
        receiver(with_changed_image(std::move(frame), [this](const cv::Mat& image) { return changed(image); }));
    }

private:
    cv::Mat changed(const cv::Mat& image) const {
        NormalizeOptions options = options_;
        const ValueRange found = found_.value_or(ValueRange{});
        options.range.low = options_.range.low.value_or(found.low);
        options.range.high = options_.range.high.value_or(found.high);
        return normalized(image, options);
    }

    NormalizeOptions options_;
    std::optional<ValueRange> found_;  ///< nothing where no value is finite
};

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

std::unique_ptr<Filter> make_levels(const FilterArguments& arguments) {
    const std::optional<double> clip = arguments.number("clip", 0, 100);
    if (clip && (arguments.has("low_percentile") || arguments.has("high_percentile")))
        arguments.refuse("clip", "takes the place of percentiles");
    return normalize({.range = range_of(arguments, clip ? *clip / 2 : 2, clip ? 100 - *clip / 2 : 98)});
}

/// The whole numbers of a text file, as many as a type has values.
std::unique_ptr<Filter> make_lut(const FilterArguments& arguments) {
    if (!arguments.has("file")) arguments.refuse("needs file=TABLE");
    constexpr uint64_t kMostBytes = 4 << 20;
    const std::vector<uint8_t> bytes = read_file(arguments.text("file", ""), kMostBytes);
    std::string text(bytes.begin(), bytes.end());
    std::replace(text.begin(), text.end(), ',', ' ');
    std::istringstream numbers(text);
    std::vector<uint16_t> values;
    int value = 0;
    while (numbers >> value) {
        if (value < 0 || value > 65535) arguments.refuse("file", fmt::format("holds {}, which is no uint16", value));
        values.push_back(static_cast<uint16_t>(value));
    }
    if (!numbers.eof() || (values.size() != 256 && values.size() != 65536))
        arguments.refuse("file", fmt::format("must hold 256 or 65536 whole numbers, not {}", values.size()));
    if (values.size() == 65536) return lookup_table(values);
    if (*std::max_element(values.begin(), values.end()) > 255) arguments.refuse("file", "holds more than 255");
    return lookup_table(std::vector<uint8_t>(values.begin(), values.end()));
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
    const auto change = [=](double value, double) { return value * contrast + brightness; };
    const auto by_table = std::make_shared<ValueChange>("brightness", change, [=](const cv::Mat& image) {
        return each_float(image, [=](double value) { return change(value, 1); });
    });
    return tone_filter([=](const cv::Mat& image) {
        check_tone(image, "brightness");
        if (!converts(image.depth(), brightness, contrast)) return (*by_table)(image);
        cv::Mat result;
        image.convertTo(result, -1, contrast, brightness);
        return result;
    });
}

std::unique_ptr<Filter> gamma_correction(double gamma) {
    if (!(gamma > 0) || !std::isfinite(gamma))
        throw Error(ErrorCode::invalid_argument, "gamma must be a number above 0");
    return value_filter(
        "gamma", [=](double value, double white) { return white * std::pow(value / white, 1 / gamma); },
        [=](const cv::Mat& image) { return powered(image, 1 / gamma); });
}

std::unique_ptr<Filter> curve(double slope, double inflexion) {
    if (!(slope > 0) || !std::isfinite(slope) || !(inflexion >= 0 && inflexion <= 1))
        throw Error(ErrorCode::invalid_argument, "a curve needs a slope above 0 and an inflexion from 0 to 1");
    const double black = std::erf(slope * (0 - inflexion));
    const double span = std::erf(slope * (1 - inflexion)) - black;
    const auto change = [=](double value, double white) {
        if (std::isnan(value)) return value;
        return white * (std::erf(slope * (std::clamp(value / white, 0.0, 1.0) - inflexion)) - black) / span;
    };
    return value_filter("curve", change, [=](const cv::Mat& image) {
        return each_float(image, [=](double value) { return change(value, 1); });
    });
}

std::unique_ptr<Filter> invert() {
    return tone_filter([](const cv::Mat& image) {
        check_tone(image, "invert");
        cv::Mat result;
        if (image.depth() == CV_32F) {
            cv::subtract(cv::Scalar::all(1), image, result);
        } else {
            cv::bitwise_not(image, result);
        }
        return result;
    });
}

std::unique_ptr<Filter> lookup_table(const std::vector<uint8_t>& table) {
    if (table.size() != 256) throw Error(ErrorCode::invalid_argument, "a lookup table for uint8 has 256 values");
    return tone_filter([values = cv::Mat(table, true).reshape(1, 1)](const cv::Mat& image) {
        if (image.depth() != CV_8U) throw wrong_type(image, "lut", "uint8, for a table of 256 values");
        return looked_up(image, values);
    });
}

std::unique_ptr<Filter> lookup_table(const std::vector<uint16_t>& table) {
    if (table.size() != 65536) throw Error(ErrorCode::invalid_argument, "a lookup table for uint16 has 65536 values");
    return tone_filter([values = cv::Mat(table, true).reshape(1, 1)](const cv::Mat& image) {
        if (image.depth() != CV_16U) throw wrong_type(image, "lut", "uint16, for a table of 65536 values");
        return looked_up(image, values);
    });
}

std::unique_ptr<Filter> clahe(const ClaheOptions& options) {
    if (!(options.clip > 0) || !std::isfinite(options.clip) || options.tiles_x < 1 || options.tiles_y < 1)
        throw Error(ErrorCode::invalid_argument, "clahe needs a clip limit above 0 and at least one tile");
    const auto pool = std::make_shared<ClahePool>(options);
    return tone_filter([pool](const cv::Mat& image) { return with_clahe(image, *pool); });
}

std::unique_ptr<Filter> normalize(const NormalizeOptions& options) {
    const ToneRange& range = options.range;
    if (range.of != ToneRangeOf::frame && (range.low_percentile != 0 || range.high_percentile != 100))
        throw Error(ErrorCode::invalid_argument, "percentiles are those of a frame");
    if (range.of == ToneRangeOf::recording) return std::make_unique<RecordingNormalization>(options);
    return tone_filter([options](const cv::Mat& image) { return normalized(image, options); });
}

std::unique_ptr<Filter> threshold(double limit) {
    check_finite("a threshold", limit);
    return tone_filter([limit](const cv::Mat& image) { return over_threshold(image, limit); });
}

std::unique_ptr<Filter> flat_field(const cv::Mat& flat, const cv::Mat& dark) {
    const auto field = std::make_shared<const FlatField>(prepare_flat_field(flat, dark));
    return tone_filter([field](const cv::Mat& image) { return corrected(image, *field); });
}

std::unique_ptr<Filter> subtract_dark(const cv::Mat& dark) {
    check_tone(dark, "dark-frame");
    return tone_filter([dark = dark.clone()](const cv::Mat& image) {
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
                         return gamma_correction(arguments.number("gamma", 1, 1e-3, 1e3));
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
                                           {"nan", "0", "what NaN becomes in integers"},
                                           kRangeArgument});
    table.push_back(
        {"normalize", "a range of values spread over another, in another type if wanted", normalizing, make_normalize});
    std::vector<FilterArgumentInfo> to_8_bits = range_arguments("0", "100");
    to_8_bits.insert(to_8_bits.end(), {{"nan", "0", "what NaN becomes"}, kRangeArgument});
    table.push_back({"8bit", "uint8, from black to white over a range of values", to_8_bits, make_8bit});
    std::vector<FilterArgumentInfo> levels = range_arguments("2", "98");
    levels.push_back({"clip", "", "percent of the values cut off in all, half at each end, instead of percentiles"});
    table.push_back({"levels", "black and white at percentiles of each frame (automatic brightness and contrast)",
                     levels, make_levels});
    table.push_back({"lut",
                     "values replaced by the entries of a table",
                     {{"file", "", "256 (uint8) or 65536 (uint16) whole numbers, by blanks, commas or lines"}},
                     make_lut});
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
         {{"flat", "", "PNG, TIFF or .npy of the type of the frames"}, {"dark", "", "the same taken without light"}},
         [](const FilterArguments& arguments) {
             if (!arguments.has("flat")) arguments.refuse("needs flat=IMAGE");
             return flat_field(image_argument(arguments, "flat"),
                               arguments.has("dark") ? image_argument(arguments, "dark") : cv::Mat());
         }});
    table.push_back({"dark-frame",
                     "an image taken without light is taken off",
                     {{"dark", "", "PNG, TIFF or .npy of the type of the frames"}},
                     [](const FilterArguments& arguments) {
                         if (!arguments.has("dark")) arguments.refuse("needs dark=IMAGE");
                         return subtract_dark(image_argument(arguments, "dark"));
                     }});
}

}  // namespace reelstore
