#include "filters/colormap.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/image_values.h"

namespace reelstore {

namespace {

constexpr int kColors = std::tuple_size_v<Colormap>;
// Places in a ColorTable.
constexpr int kBelow = 0;
constexpr int kFirst = 1;
constexpr int kAbove = kFirst + kColors;
constexpr int kNan = kAbove + 1;

/// The colours of everything that a value can be, each as the bytes B, G, R and one that does not count.
using ColorTable = std::array<uint32_t, kNan + 1>;

uint32_t packed(const Color& color) {
    const uint8_t bytes[4] = {color.blue, color.green, color.red, 0};
    uint32_t pixel = 0;
    std::memcpy(&pixel, bytes, sizeof pixel);
    return pixel;
}

ColorTable table_of(const ColormapOptions& options) {
    Colormap map = options.map;
    if (options.reverse) std::reverse(map.begin(), map.end());
    ColorTable table;
    std::transform(map.begin(), map.end(), table.begin() + kFirst, packed);
    table[kBelow] = packed(options.below.value_or(map.front()));
    table[kAbove] = packed(options.above.value_or(map.back()));
    table[kNan] = packed(options.nan);
    return table;
}

/// Where values lie in a ColorTable, computed as `Real`.
template <typename Real>
class Scale {
public:
    /// `low` must not lie above `high`.
    explicit Scale(const ValueRange& range) : low_(static_cast<Real>(range.low)), high_(static_cast<Real>(range.high)) {
        const Real span = high_ * kPart - low_ * kPart;
        if (span > 0) span_ = span;
    }

    int32_t place(Real value) const {
        constexpr Real kLast = kColors - 1;
        const Real color = (value * kPart - low_ * kPart) / span_ * kColors;
        // NaN compares as false throughout.
        const Real within = color < kLast ? (color > 0 ? color : 0) : kLast;
        int32_t result = kFirst + static_cast<int32_t>(within);
        result = value < low_ ? kBelow : result;
        result = value > high_ ? kAbove : result;
        return value == value ? result : kNan;
    }

    /// The same for several values of float32.
    cv::v_int32x4 places(const cv::v_float32x4& values) const {
        const cv::v_float32x4 low = cv::v_setall_f32(low_);
        const cv::v_float32x4 high = cv::v_setall_f32(high_);
        const cv::v_float32x4 color = (values - low) / cv::v_setall_f32(span_) * cv::v_setall_f32(kColors);
        const cv::v_float32x4 within = cv::v_min(cv::v_max(color, cv::v_setzero_f32()), cv::v_setall_f32(kColors - 1));
        cv::v_int32x4 result = cv::v_trunc(within) + cv::v_setall_s32(kFirst);
        const auto where = [&](const cv::v_float32x4& condition, int32_t place) {
            result = cv::v_select(cv::v_reinterpret_as_s32(condition), cv::v_setall_s32(place), result);
        };
        where(values < low, kBelow);
        where(values > high, kAbove);
        where(values != values, kNan);
        return result;
    }

private:
    /// The difference of the largest numbers is infinite, that of their halves is not.
    static constexpr Real kPart = std::is_same_v<Real, double> ? Real(0.5) : Real(1);

    Real low_;
    Real high_;
    Real span_ = 1;
};

/// Whether float32 can hold what is computed on the way.
bool fits_float(const ValueRange& range) {
    constexpr double kSmallest = 1e-37;
    constexpr double kLargest = 1e37;
    const double span = range.high - range.low;
    return (span == 0 || span > kSmallest) && std::abs(range.low) < kLargest && std::abs(range.high) < kLargest;
}

constexpr int kBlock = 64;

template <typename Value>
void find_places(const Value* values, const Scale<double>& scale, int32_t* places) {
    for (int i = 0; i < kBlock; ++i) places[i] = scale.place(static_cast<double>(values[i]));
}

void find_places(const float* values, const Scale<float>& scale, int32_t* places) {
    for (int i = 0; i < kBlock; i += cv::v_float32x4::nlanes)
        cv::v_store(places + i, scale.places(cv::v_load(values + i)));
}

void find_places(const uint16_t* values, const Scale<float>& scale, int32_t* places) {
    for (int i = 0; i < kBlock; i += cv::v_uint32x4::nlanes) {
        const cv::v_int32x4 whole = cv::v_reinterpret_as_s32(cv::v_load_expand(values + i));
        cv::v_store(places + i, scale.places(cv::v_cvt_f32(whole)));
    }
}

void find_places(const int16_t* values, const Scale<float>& scale, int32_t* places) {
    for (int i = 0; i < kBlock; i += cv::v_int32x4::nlanes)
        cv::v_store(places + i, scale.places(cv::v_cvt_f32(cv::v_load_expand(values + i))));
}

/// Writes `count` pixels of 3 bytes; but for the last one, by 4 bytes each.
template <typename ColorAt>
void write_pixels(uint8_t* pixel, int count, ColorAt color_at) {
    for (int i = 0; i + 1 < count; ++i, pixel += 3) {
        const uint32_t color = color_at(i);
        std::memcpy(pixel, &color, sizeof color);
    }
    const uint32_t color = color_at(count - 1);
    std::memcpy(pixel, &color, 3);
}

template <typename Value, typename Real>
void map_values(const cv::Mat& image, cv::Mat& result, const Scale<Real>& scale, const ColorTable& table) {
    int32_t places[kBlock];
    Value rest[kBlock] = {};
    for (int row = 0; row < image.rows; ++row) {
        const auto* values = image.ptr<Value>(row);
        auto* pixels = result.ptr<uint8_t>(row);
        for (int i = 0; i < image.cols; i += kBlock) {
            const int count = std::min(kBlock, image.cols - i);
            if (count == kBlock) {
                find_places(values + i, scale, places);
            } else {
                std::copy_n(values + i, count, rest);
                find_places(rest, scale, places);
            }
            write_pixels(pixels + static_cast<ptrdiff_t>(3) * i, count,
                         [&](int pixel) { return table[static_cast<size_t>(places[pixel])]; });
        }
    }
}

template <typename Value>
void map_values(const cv::Mat& image, cv::Mat& result, const ValueRange& range, const ColorTable& table) {
    if (fits_float(range)) {
        map_values<Value>(image, result, Scale<float>(range), table);
    } else {
        map_values<Value>(image, result, Scale<double>(range), table);
    }
}

/// Every value of 8 bits has its colour computed once.
template <typename Value>
void map_bytes(const cv::Mat& image, cv::Mat& result, const ValueRange& range, const ColorTable& table) {
    const Scale<double> scale(range);
    std::array<uint32_t, 256> colors;
    for (size_t i = 0; i < colors.size(); ++i)
        colors[i] = table[static_cast<size_t>(scale.place(static_cast<double>(static_cast<Value>(i))))];
    for (int row = 0; row < image.rows; ++row) {
        const auto* values = image.ptr<uint8_t>(row);
        write_pixels(result.ptr<uint8_t>(row), image.cols, [&](int i) { return colors[values[i]]; });
    }
}

/// So has every value of 16 bits in images that have more pixels than there are values.
template <typename Value>
void map_words(const cv::Mat& image, cv::Mat& result, const ValueRange& range, const ColorTable& table) {
    constexpr size_t kValues = 65536;
    if (image.total() < kValues || !fits_float(range)) return map_values<Value>(image, result, range, table);
    const Scale<float> scale(range);
    std::vector<uint32_t> colors(kValues);
    for (size_t first = 0; first < kValues; first += kBlock) {
        Value values[kBlock];
        int32_t places[kBlock];
        for (size_t i = 0; i < kBlock; ++i) values[i] = static_cast<Value>(first + i);
        find_places(values, scale, places);
        for (size_t i = 0; i < kBlock; ++i) colors[first + i] = table[static_cast<size_t>(places[i])];
    }
    for (int row = 0; row < image.rows; ++row) {
        const auto* values = image.ptr<uint16_t>(row);
        write_pixels(result.ptr<uint8_t>(row), image.cols, [&](int i) { return colors[values[i]]; });
    }
}

/// `gray` has one channel.
cv::Mat mapped(const cv::Mat& gray, const ValueRange& range, const ColorTable& table) {
    cv::Mat result(gray.size(), CV_8UC3);
    switch (gray.depth()) {
        case CV_8U:
            map_bytes<uint8_t>(gray, result, range, table);
            break;
        case CV_8S:
            map_bytes<int8_t>(gray, result, range, table);
            break;
        case CV_16U:
            map_words<uint16_t>(gray, result, range, table);
            break;
        case CV_16S:
            map_words<int16_t>(gray, result, range, table);
            break;
        case CV_32S:
            map_values<int32_t>(gray, result, Scale<double>(range), table);
            break;
        case CV_32F:
            map_values<float>(gray, result, range, table);
            break;
        case CV_64F:
            map_values<double>(gray, result, Scale<double>(range), table);
            break;
        default: {
            cv::Mat values;
            gray.convertTo(values, CV_32F);
            return mapped(values, range, table);
        }
    }
    return result;
}

/// What does not change once a filter is made.
struct Settings {
    explicit Settings(const ColormapOptions& from) : options(from), table(table_of(from)) {
        if (!from.mask.empty()) mask = mask_of(from.mask);
    }

    bool needs_range() const { return !options.low || !options.high; }
    void check_mask(const cv::Mat& image) const {
        if (mask.empty() || mask.size() == image.size()) return;
        throw Error(ErrorCode::wrong_type,
                    fmt::format("filter colormap: the mask is {}x{}, the frames are {}x{} (height x width)", mask.rows,
                                mask.cols, image.rows, image.cols));
    }

    ColormapOptions options;
    ColorTable table;
    cv::Mat mask;
};

class ColormapFilter : public Filter {
public:
    explicit ColormapFilter(std::shared_ptr<const Settings> settings) : settings_(std::move(settings)) {}

    void begin(SourceInfo& info) override {
        const bool knows = !info.image_type.empty();
        const ColormapRange wanted = settings_->options.range;
        looks_at_all_ = settings_->needs_range() &&
                        (wanted == ColormapRange::recording ||
                         (wanted == ColormapRange::automatic && !(knows && info.image_type.depth == CV_8U)));
        if (knows) info.image_type = {info.image_type.height, info.image_type.width, 3, CV_8U};
        // Colours are in no camera's raw layout.
        info.encoding.clear();
    }

    bool each_by_itself() const override { return true; }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<ColormapFilter>(*this); }
    bool needs_first_pass() const override { return looks_at_all_; }

    void first_pass(const Frame& frame) override {
        if (range_for(frame.image.depth()) != ColormapRange::recording) return;
        settings_->check_mask(frame.image);
        const std::optional<ValueRange> range = finite_range(in_gray(frame.image), settings_->mask);
        if (!range) return;
        if (!learned_) learned_ = *range;
        learned_->low = std::min(learned_->low, range->low);
        learned_->high = std::max(learned_->high, range->high);
    }

    void end_first_pass() override { has_looked_ = true; }

    void push(Frame frame, const Receiver& receiver) override {
        receiver(with_changed_image(std::move(frame), [this](const cv::Mat& image) { return colored(image); }));
    }

private:
    ColormapRange range_for(int depth) const {
        if (settings_->options.range != ColormapRange::automatic) return settings_->options.range;
        return depth == CV_8U ? ColormapRange::type : ColormapRange::recording;
    }

    /// The limits where none are given.
    ValueRange found_range(const cv::Mat& gray) const {
        std::optional<ValueRange> range;
        switch (range_for(gray.depth())) {
            case ColormapRange::type:
                return {black_of(gray.depth()), white_of(gray.depth())};
            case ColormapRange::frame:
                range = finite_range(gray, settings_->mask);
                break;
            default:
                if (!has_looked_) {
                    throw Error(ErrorCode::invalid_argument,
                                "filter colormap: the smallest and the largest value of the recording are not known; "
                                "give low and high, or range=type or frame");
                }
                range = learned_;
        }
        return range.value_or(ValueRange{0, 1});
    }

    cv::Mat colored(const cv::Mat& image) const {
        settings_->check_mask(image);
        const ColormapOptions& options = settings_->options;
        const cv::Mat gray = in_gray(image);
        ValueRange range;
        if (settings_->needs_range()) range = found_range(gray);
        // An end that is given holds; the other one then does not lie beyond it.
        if (options.low) range = {*options.low, std::max(range.high, *options.low)};
        if (options.high) range = {std::min(range.low, *options.high), *options.high};
        cv::Mat result = mapped(gray, range, settings_->table);
        if (!settings_->mask.empty())
            result.setTo(pixel_of(options.mask_color, ImageType::of(result)), settings_->mask == 0);
        return result;
    }

    std::shared_ptr<const Settings> settings_;
    bool looks_at_all_ = false;
    bool has_looked_ = false;
    std::optional<ValueRange> learned_;
};

void check_limit(const std::optional<double>& limit) {
    if (limit && !std::isfinite(*limit))
        throw Error(ErrorCode::invalid_argument, "filter colormap: low and high must be numbers");
}

}  // namespace

std::unique_ptr<Filter> colormap(const ColormapOptions& options) {
    check_limit(options.low);
    check_limit(options.high);
    if (options.low && options.high && *options.low > *options.high) {
        throw Error(ErrorCode::invalid_argument,
                    "filter colormap: low lies above high; reverse=yes turns the colours round");
    }
    const auto settings = std::make_shared<const Settings>(options);
    if (!settings->mask.empty() && cv::countNonZero(settings->mask) == 0)
        throw Error(ErrorCode::invalid_argument, "filter colormap: the mask shows no pixel");
    return std::make_unique<ColormapFilter>(settings);
}

}  // namespace reelstore
