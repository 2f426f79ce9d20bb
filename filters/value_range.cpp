#include "filters/value_range.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>

#include "filters/image_values.h"

namespace reelstore {

namespace {

/// Finite values in ascending order, as far as they are asked for.
class OrderedValues {
public:
    virtual ~OrderedValues() = default;
    virtual size_t count() const = 0;
    /// The value at `place` and the one behind it, which is 0 where there is none; 0 <= place < count().
    virtual std::pair<double, double> at(size_t place) = 0;

    /// As numpy's percentile with linear interpolation.
    double percentile(double percent) {
        const double place = percent / 100 * static_cast<double>(count() - 1);
        const double below = std::floor(place);
        const auto [low, high] = at(static_cast<size_t>(below));
        return place == below ? low : low + (high - low) * (place - below);
    }
};

template <typename Value, typename Take>
void for_each_value(const cv::Mat& image, Take take) {
    for (int row = 0; row < image.rows; ++row) {
        const auto* values = image.ptr<Value>(row);
        const int count = image.cols * image.channels();
        for (int i = 0; i < count; ++i) take(values[i]);
    }
}

/// Of uint8 and uint16: counts of each value.
template <typename Value>
class CountedValues : public OrderedValues {
public:
    explicit CountedValues(const cv::Mat& image)
        : count_(image.total() * static_cast<size_t>(image.channels())), counts_(size_t{1} << (8 * sizeof(Value)), 0) {
        // Neighbours are often equal, and a count that was just written is slow to read: two rows of counts in turn.
        std::vector<uint32_t> others(counts_.size(), 0);
        for (int row = 0; row < image.rows; ++row) {
            const auto* values = image.ptr<Value>(row);
            const int count = image.cols * image.channels();
            for (int i = 0; i + 1 < count; i += 2) {
                ++counts_[values[i]];
                ++others[values[i + 1]];
            }
            if (count % 2 == 1) ++counts_[values[count - 1]];
        }
        for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += others[i];
    }

    size_t count() const override { return count_; }

    std::pair<double, double> at(size_t place) override {
        const auto value_at = [&](size_t wanted) {
            size_t seen = 0;
            size_t value = 0;
            while (seen + counts_[value] <= wanted) seen += counts_[value++];
            return static_cast<double>(value);
        };
        return {value_at(place), place + 1 < count_ ? value_at(place + 1) : 0};
    }

private:
    size_t count_;
    std::vector<uint32_t> counts_;
};

/// Of float32: counts of what values begin with, then the few that begin alike are looked at.
class BucketedValues : public OrderedValues {
public:
    explicit BucketedValues(const cv::Mat& image) : image_(image), counts_(size_t{1} << 16, 0) {
        for_each_value<float>(image, [&](float value) {
            const bool finite = std::isfinite(value);
            counts_[bucket_of(value)] += finite ? 1 : 0;
            count_ += finite ? 1 : 0;
        });
    }

    size_t count() const override { return count_; }

    std::pair<double, double> at(size_t place) override {
        size_t seen = 0;
        size_t bucket = 0;
        while (seen + counts_[bucket] <= place) seen += counts_[bucket++];
        std::vector<float> values = in_bucket(bucket);
        const auto middle = values.begin() + static_cast<std::ptrdiff_t>(place - seen);
        std::nth_element(values.begin(), middle, values.end());
        const double low = *middle;
        if (place + 1 == count_) return {low, 0};
        if (middle + 1 == values.end()) {
            do ++bucket;
            while (counts_[bucket] == 0);
            const std::vector<float> next = in_bucket(bucket);
            return {low, *std::min_element(next.begin(), next.end())};
        }
        return {low, *std::min_element(middle + 1, values.end())};
    }

private:
    /// In the order of the values: their bits, those of negative ones turned over.
    static size_t bucket_of(float value) {
        const auto bits = std::bit_cast<uint32_t>(value);
        const uint32_t turned = bits >> 31 ? ~bits : bits | 0x80000000U;
        return turned >> 16;
    }

    std::vector<float> in_bucket(size_t bucket) const {
        std::vector<float> values;
        values.reserve(counts_[bucket]);
        for_each_value<float>(image_, [&](float value) {
            if (bucket_of(value) == bucket && std::isfinite(value)) values.push_back(value);
        });
        return values;
    }

    cv::Mat image_;
    size_t count_ = 0;
    std::vector<uint32_t> counts_;
};

/// Of any other type.
class ListedValues : public OrderedValues {
public:
    explicit ListedValues(const cv::Mat& image) {
        values_.reserve(image.total() * static_cast<size_t>(image.channels()));
        cv::Mat row_values;
        for (int row = 0; row < image.rows; ++row) {
            image.row(row).reshape(1).convertTo(row_values, CV_64F);
            for_each_value<double>(row_values, [&](double value) {
                if (std::isfinite(value)) values_.push_back(value);
            });
        }
    }

    size_t count() const override { return values_.size(); }

    std::pair<double, double> at(size_t place) override {
        const auto middle = values_.begin() + static_cast<std::ptrdiff_t>(place);
        std::nth_element(values_.begin(), middle, values_.end());
        return {*middle, place + 1 < values_.size() ? *std::min_element(middle + 1, values_.end()) : 0};
    }

private:
    std::vector<double> values_;
};

std::unique_ptr<OrderedValues> ordered(const cv::Mat& image) {
    switch (image.depth()) {
        case CV_8U:
            return std::make_unique<CountedValues<uint8_t>>(image);
        case CV_16U:
            return std::make_unique<CountedValues<uint16_t>>(image);
        case CV_32F:
            return std::make_unique<BucketedValues>(image);
        default:
            return std::make_unique<ListedValues>(image);
    }
}

/// The smallest and the largest finite float; the first one larger than the second: there is none.
class FiniteEnds {
public:
    void add(const float* values, int count) {
        using Vector = cv::v_float32x4;
        Vector low = cv::v_setall_f32(FLT_MAX);
        Vector high = cv::v_setall_f32(-FLT_MAX);
        int i = 0;
        for (; i + Vector::nlanes <= count; i += Vector::nlanes) {
            const Vector value = cv::v_load(values + i);
            // In this order SSE passes over NaN; others may keep it.
            low = cv::v_min(value, low);
            high = cv::v_max(value, high);
        }
        const float row_low = cv::v_reduce_min(low);
        const float row_high = cv::v_reduce_max(high);
        if (!std::isfinite(row_low) || !std::isfinite(row_high)) {
            i = 0;
        } else {
            low_ = std::min(low_, row_low);
            high_ = std::max(high_, row_high);
        }
        for (; i < count; ++i) {
            if (!std::isfinite(values[i])) continue;
            low_ = std::min(low_, values[i]);
            high_ = std::max(high_, values[i]);
        }
    }

    std::pair<double, double> ends() const { return {low_, high_}; }

private:
    float low_ = FLT_MAX;
    float high_ = -FLT_MAX;
};

/// The ends of all finite values; nothing is known of types for which there is no fast way.
std::optional<std::pair<double, double>> extremes(const cv::Mat& image) {
    if (image.depth() == CV_64F) return std::nullopt;
    if (image.depth() == CV_32F) {
        FiniteEnds finite;
        for (int row = 0; row < image.rows; ++row) finite.add(image.ptr<float>(row), image.cols * image.channels());
        const auto ends = finite.ends();
        if (ends.first > ends.second) return std::pair(0.0, 0.0);
        return ends;
    }
    std::pair<double, double> ends;
    cv::minMaxIdx(image.reshape(1), &ends.first, &ends.second);
    return ends;
}

}  // namespace

std::pair<double, double> ends_of(const cv::Mat& image, const ToneRange& range) {
    if (range.low && range.high) return {*range.low, *range.high};
    if (range.of == ToneRangeOf::type)
        return {range.low.value_or(black_of(image.depth())), range.high.value_or(white_of(image.depth()))};
    const bool whole_low = range.low || range.low_percentile == 0;
    const bool whole_high = range.high || range.high_percentile == 100;
    if (whole_low && whole_high) {
        if (const auto ends = extremes(image))
            return {range.low.value_or(ends->first), range.high.value_or(ends->second)};
    }
    const std::unique_ptr<OrderedValues> values = ordered(image);
    if (values->count() == 0) return {range.low.value_or(0), range.high.value_or(0)};
    return {range.low ? *range.low : values->percentile(range.low_percentile),
            range.high ? *range.high : values->percentile(range.high_percentile)};
}

}  // namespace reelstore
