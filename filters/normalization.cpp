#include "filters/normalization.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/image_values.h"
#include "filters/value_range.h"
#include "filters/value_table.h"

namespace reelstore {

namespace {

/// What happens to a value: to_low + (value - low) * factor, cut off at least and most.
struct Spread {
    double low = 0;
    double high = 0;
    double factor = 0;
    double to_low = 0;
    double least = 0;
    double most = 0;
    bool cut_off = true;
    double nan = 0;
    int depth = CV_8U;

    bool to_integers() const { return depth == CV_8U || depth == CV_16U; }

    double operator()(double value) const {
        if (std::isnan(value)) return to_integers() ? nan : value;
        // An infinite value times 0 would be none.
        const double moved = factor == 0 ? to_low : to_low + (value - low) * factor;
        return cut_off ? std::clamp(moved, least, most) : moved;
    }
};

template <typename Value>
Value rounded(double value) {
    return cv::saturate_cast<Value>(std::clamp<double>(value, 0, std::numeric_limits<Value>::max()));
}
template <>
float rounded(double value) {
    return static_cast<float>(value);
}
template <>
double rounded(double value) {
    return value;
}

/// The table of all values that integers of `size` values become.
template <typename Value>
cv::Mat table_of(const Spread& spread, int size) {
    cv::Mat table(1, size, cv::DataType<Value>::depth);
    auto* const to = table.ptr<Value>();
    for (int value = 0; value < size; ++value) to[value] = rounded<Value>(spread(value));
    return table;
}

cv::Mat table_of(const Spread& spread, int size) {
    switch (spread.depth) {
        case CV_8U:
            return table_of<uint8_t>(spread, size);
        case CV_16U:
            return table_of<uint16_t>(spread, size);
        case CV_32F:
            return table_of<float>(spread, size);
        default:
            return table_of<double>(spread, size);
    }
}

/// Whether integers can be spread in float32: within the range, terms so small that the rounding of their sum stays
/// below 1/8, and nothing beyond 32 bits, which OpenCV takes for 0.
bool fits_float32(const Spread& spread, double white) {
    constexpr double kMostWithin = 1 << 20;
    constexpr double kMost = 1 << 30;
    const double moved = std::abs(spread.to_low - spread.low * spread.factor);
    const double factor = std::abs(spread.factor);
    return factor * std::max(std::abs(spread.low), std::abs(spread.high)) + moved < kMostWithin &&
           factor * white + moved < kMost;
}

cv::Mat of_integers(const cv::Mat& image, const Spread& spread) {
    const double white = white_of(image.depth());
    if (spread.to_integers() && fits_float32(spread, white)) {
        cv::Mat result;
        image.convertTo(result, spread.depth, spread.factor, spread.to_low - spread.low * spread.factor);
        // OpenCV compares at most four channels with a number.
        cv::Mat values = result.reshape(1);
        if (spread.least > 0) cv::max(values, std::rint(spread.least), values);
        if (spread.most < white_of(spread.depth)) cv::min(values, std::rint(spread.most), values);
        return result;
    }
    return looked_up(image, table_of(spread, static_cast<int>(white) + 1));
}

/// Four values at a time. `low` is kept as two floats, so that taking it off loses nothing.
class FloatSpread {
public:
    explicit FloatSpread(const Spread& spread)
        : spread_(spread),
          low_(cv::v_setall_f32(static_cast<float>(spread.low))),
          low_rest_(cv::v_setall_f32(static_cast<float>(spread.low - static_cast<float>(spread.low)))),
          factor_(cv::v_setall_f32(static_cast<float>(spread.factor))),
          to_low_(cv::v_setall_f32(static_cast<float>(spread.to_low))),
          least_(
              cv::v_setall_f32(static_cast<float>(spread.to_integers() ? std::max(spread.least, 0.0) : spread.least))),
          most_(cv::v_setall_f32(
              static_cast<float>(spread.to_integers() ? std::min(spread.most, white_of(spread.depth)) : spread.most))),
          nan_(cv::v_setall_f32(
              static_cast<float>(spread.to_integers() ? std::clamp(spread.nan, 0.0, white_of(spread.depth)) : 0))) {}

    cv::v_float32x4 operator()(const cv::v_float32x4& value) const {
        cv::v_float32x4 moved = (value - low_ - low_rest_) * factor_ + to_low_;
        if (spread_.cut_off) moved = cv::v_min(cv::v_max(moved, least_), most_);
        return cv::v_select(value == value, moved, spread_.to_integers() ? nan_ : value);
    }

private:
    const Spread& spread_;
    cv::v_float32x4 low_;
    cv::v_float32x4 low_rest_;
    cv::v_float32x4 factor_;
    cv::v_float32x4 to_low_;
    cv::v_float32x4 least_;
    cv::v_float32x4 most_;
    cv::v_float32x4 nan_;
};

/// The same where only uint8 are made, none of them above most or below 0, and NaN becomes 0: what conversion makes of
/// NaN and of values below all integers.
class ByteSpread {
public:
    explicit ByteSpread(const Spread& spread)
        : factor_(cv::v_setall_f32(static_cast<float>(spread.factor))),
          moved_(cv::v_setall_f32(static_cast<float>(spread.to_low - spread.low * spread.factor))),
          most_(cv::v_setall_f32(static_cast<float>(std::min(spread.most, white_of(CV_8U))))) {}

    static bool suits(const Spread& spread) {
        // Such that the rounding of terms that cancel each other stays below 1/8.
        constexpr double kMostWithin = 1 << 20;
        const double farthest = std::max(std::abs(spread.low), std::abs(spread.high)) * std::abs(spread.factor);
        return spread.depth == CV_8U && spread.nan == 0 && spread.least <= 0 && farthest < kMostWithin;
    }

    // In this order a NaN stays one.
    cv::v_float32x4 operator()(const cv::v_float32x4& value) const {
        return cv::v_min(most_, value * factor_ + moved_);
    }

private:
    cv::v_float32x4 factor_;
    cv::v_float32x4 moved_;
    cv::v_float32x4 most_;
};

/// Changes as many of `count` values as there are whole vectors; gives how many.
template <typename Vectors>
int spread_vectors(const Vectors& spread, const float* from, float* to, int count) {
    int i = 0;
    for (; i + 4 <= count; i += 4) cv::v_store(to + i, spread(cv::v_load(from + i)));
    return i;
}

template <typename Vectors>
int spread_vectors(const Vectors& spread, const float* from, uint16_t* to, int count) {
    int i = 0;
    for (; i + 8 <= count; i += 8) {
        const cv::v_int32x4 first = cv::v_round(spread(cv::v_load(from + i)));
        const cv::v_int32x4 second = cv::v_round(spread(cv::v_load(from + i + 4)));
        cv::v_store(to + i, cv::v_pack_u(first, second));
    }
    return i;
}

template <typename Vectors>
int spread_vectors(const Vectors& spread, const float* from, uint8_t* to, int count) {
    int i = 0;
    for (; i + 8 <= count; i += 8) {
        const cv::v_int32x4 first = cv::v_round(spread(cv::v_load(from + i)));
        const cv::v_int32x4 second = cv::v_round(spread(cv::v_load(from + i + 4)));
        cv::v_pack_u_store(to + i, cv::v_pack(first, second));
    }
    return i;
}

template <typename Value, typename Vectors = FloatSpread>
cv::Mat of_floats(const cv::Mat& image, const Spread& spread) {
    const Vectors vectors(spread);
    cv::Mat result(image.size(), CV_MAKETYPE(spread.depth, image.channels()));
    for (int row = 0; row < image.rows; ++row) {
        const auto* from = image.ptr<float>(row);
        auto* to = result.ptr<Value>(row);
        const int count = image.cols * image.channels();
        for (int i = spread_vectors(vectors, from, to, count); i < count; ++i) to[i] = rounded<Value>(spread(from[i]));
    }
    return result;
}

/// Whether none of it overflows float32 or gets lost in it.
bool fits_float32(const Spread& spread) {
    constexpr double kMost = 1e30;
    const double factor = std::abs(spread.factor);
    return factor > 1 / kMost && factor < kMost && std::abs(spread.low) < kMost && std::abs(spread.to_low) < kMost &&
           std::abs(spread.least) < kMost && std::abs(spread.most) < kMost;
}

cv::Mat in_float64(const cv::Mat& image, const Spread& spread) {
    cv::Mat values;
    image.convertTo(values, CV_64F);
    for (int row = 0; row < values.rows; ++row) {
        auto* value = values.ptr<double>(row);
        for (int i = 0; i < values.cols * values.channels(); ++i) {
            value[i] = spread(value[i]);
            // OpenCV takes values beyond 32 bits for 0 where it makes integers.
            if (spread.to_integers()) value[i] = std::clamp(value[i], 0.0, white_of(spread.depth));
        }
    }
    if (spread.depth == CV_64F) return values;
    cv::Mat result;
    values.convertTo(result, spread.depth);
    return result;
}

}  // namespace

cv::Mat normalized(const cv::Mat& image, const NormalizeOptions& options) {
    Spread spread;
    spread.depth = options.depth.value_or(image.depth());
    if (!spread.to_integers() && spread.depth != CV_32F && spread.depth != CV_64F) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("normalize gives uint8, uint16, float32 or float64, not {}; say which (type=...)",
                                dtype_name(spread.depth)));
    }
    if (image.depth() == CV_16F) {
        cv::Mat values;
        image.convertTo(values, CV_32F);
        NormalizeOptions of_values = options;
        of_values.depth = spread.depth;
        return normalized(values, of_values);
    }
    const auto [low, high] = ends_of(image, options.range);
    const double to_high = options.to_high.value_or(white_of(spread.depth));
    spread.low = low;
    spread.high = high;
    spread.to_low = options.to_low;
    spread.factor = high > low ? (to_high - options.to_low) / (high - low) : 0;
    spread.least = std::min(options.to_low, to_high);
    spread.most = std::max(options.to_low, to_high);
    spread.cut_off = options.clip || spread.to_integers();
    spread.nan = options.nan;
    if (image.depth() == CV_8U || image.depth() == CV_16U) return of_integers(image, spread);
    if (image.depth() == CV_32F && fits_float32(spread)) {
        if (ByteSpread::suits(spread)) return of_floats<uint8_t, ByteSpread>(image, spread);
        if (spread.depth == CV_8U) return of_floats<uint8_t>(image, spread);
        if (spread.depth == CV_16U) return of_floats<uint16_t>(image, spread);
        if (spread.depth == CV_32F) return of_floats<float>(image, spread);
    }
    return in_float64(image, spread);
}

}  // namespace reelstore
