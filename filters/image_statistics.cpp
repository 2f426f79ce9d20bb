#include "filters/image_statistics.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>

#include "base/error.h"

namespace reelstore {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Sums of integers -----------------------------------------------------------------------------------------------

/// Pixels after which the partial sums in vectors are emptied, before the smallest of them can overflow.
constexpr int kBlockPixels = 2048;

struct IntegerSums {
    int64_t sum = 0;
    ValueStatistics::Exact squares = 0;
    int64_t least = std::numeric_limits<int64_t>::max();
    int64_t most = std::numeric_limits<int64_t>::min();
};

template <int kChannels, typename Value, typename Vector>
void load_channels(const Value* values, Vector (&vectors)[kChannels]) {
    if constexpr (kChannels == 1) {
        vectors[0] = cv::v_load(values);
    } else if constexpr (kChannels == 2) {
        cv::v_load_deinterleave(values, vectors[0], vectors[1]);
    } else if constexpr (kChannels == 3) {
        cv::v_load_deinterleave(values, vectors[0], vectors[1], vectors[2]);
    } else {
        cv::v_load_deinterleave(values, vectors[0], vectors[1], vectors[2], vectors[3]);
    }
}

/// Partial sums of one channel of uint8.
class Lanes8 {
public:
    using Value = uint8_t;
    using Vector = cv::v_uint8x16;
    static constexpr int kPixels = Vector::nlanes;

    void add(const Vector& values) {
        cv::v_uint16x8 low;
        cv::v_uint16x8 high;
        cv::v_expand(values, low, high);
        sums_ += low + high;
        squares_ += cv::v_dotprod_expand(values, values);
        least_ = cv::v_min(least_, values);
        most_ = cv::v_max(most_, values);
    }
    void empty_into(IntegerSums& sums) const {
        cv::v_uint32x4 low;
        cv::v_uint32x4 high;
        cv::v_expand(sums_, low, high);
        sums.sum += cv::v_reduce_sum(low + high);
        cv::v_uint64x2 low_squares;
        cv::v_uint64x2 high_squares;
        cv::v_expand(squares_, low_squares, high_squares);
        sums.squares += static_cast<ValueStatistics::Exact>(cv::v_reduce_sum(low_squares + high_squares));
        sums.least = std::min<int64_t>(sums.least, cv::v_reduce_min(least_));
        sums.most = std::max<int64_t>(sums.most, cv::v_reduce_max(most_));
    }

private:
    cv::v_uint16x8 sums_ = cv::v_setzero_u16();
    cv::v_uint32x4 squares_ = cv::v_setzero_u32();
    Vector least_ = cv::v_setall_u8(255);
    Vector most_ = cv::v_setzero_u8();
};

/// The same for uint16.
class Lanes16 {
public:
    using Value = uint16_t;
    using Vector = cv::v_uint16x8;
    static constexpr int kPixels = Vector::nlanes;

    void add(const Vector& values) {
        cv::v_uint32x4 low;
        cv::v_uint32x4 high;
        cv::v_expand(values, low, high);
        sums_ += low + high;
        squares_ += cv::v_dotprod_expand(values, values);
        least_ = cv::v_min(least_, values);
        most_ = cv::v_max(most_, values);
    }
    void empty_into(IntegerSums& sums) const {
        sums.sum += cv::v_reduce_sum(sums_);
        sums.squares += static_cast<ValueStatistics::Exact>(cv::v_reduce_sum(squares_));
        sums.least = std::min<int64_t>(sums.least, cv::v_reduce_min(least_));
        sums.most = std::max<int64_t>(sums.most, cv::v_reduce_max(most_));
    }

private:
    cv::v_uint32x4 sums_ = cv::v_setzero_u32();
    cv::v_uint64x2 squares_ = cv::v_setzero_u64();
    Vector least_ = cv::v_setall_u16(65535);
    Vector most_ = cv::v_setzero_u16();
};

template <typename Value>
void add_one_by_one(const Value* values, int pixels, int channels, IntegerSums* sums) {
    for (int channel = 0; channel < channels; ++channel) {
        IntegerSums part = sums[channel];
        const Value* value = values + channel;
        for (int i = 0; i < pixels; ++i, value += channels) {
            const int64_t wide = *value;
            part.sum += wide;
            part.squares += wide * wide;
            part.least = std::min(part.least, wide);
            part.most = std::max(part.most, wide);
        }
        sums[channel] = part;
    }
}

template <typename Lanes, int kChannels>
void add_block(const typename Lanes::Value* values, int pixels, IntegerSums* sums) {
    Lanes lanes[kChannels];
    int i = 0;
    for (; i + Lanes::kPixels <= pixels; i += Lanes::kPixels) {
        typename Lanes::Vector vectors[kChannels];
        load_channels(values + static_cast<ptrdiff_t>(i) * kChannels, vectors);
        for (int channel = 0; channel < kChannels; ++channel) lanes[channel].add(vectors[channel]);
    }
    if (i > 0) {
        for (int channel = 0; channel < kChannels; ++channel) lanes[channel].empty_into(sums[channel]);
    }
    add_one_by_one(values + static_cast<ptrdiff_t>(i) * kChannels, pixels - i, kChannels, sums);
}

template <typename Lanes>
void add_vectors(const typename Lanes::Value* values, int pixels, int channels, IntegerSums* sums) {
    for (int i = 0; i < pixels; i += kBlockPixels) {
        const auto* const block = values + static_cast<ptrdiff_t>(i) * channels;
        const int size = std::min(kBlockPixels, pixels - i);
        switch (channels) {
            case 1:
                add_block<Lanes, 1>(block, size, sums);
                break;
            case 2:
                add_block<Lanes, 2>(block, size, sums);
                break;
            case 3:
                add_block<Lanes, 3>(block, size, sums);
                break;
            case 4:
                add_block<Lanes, 4>(block, size, sums);
                break;
            default:
                add_one_by_one(block, size, channels, sums);
        }
    }
}

template <typename Value>
void add_integers(const Value* values, int pixels, int channels, IntegerSums* sums) {
    if constexpr (std::is_same_v<Value, uint8_t>) {
        add_vectors<Lanes8>(values, pixels, channels, sums);
    } else if constexpr (std::is_same_v<Value, uint16_t>) {
        add_vectors<Lanes16>(values, pixels, channels, sums);
    } else {
        add_one_by_one(values, pixels, channels, sums);
    }
}

// Sums of floats -------------------------------------------------------------------------------------------------

/// Sums of the differences from one of the values themselves. That keeps what cancels out small: its square is at most
/// the number of values times their variance.
struct RealSums {
    double origin = 0;
    int64_t number = 0;
    double sum = 0;
    double squares = 0;
    double least = std::numeric_limits<double>::infinity();
    double most = -std::numeric_limits<double>::infinity();
    int64_t nan = 0;
    int64_t infinite = 0;

    void add(double value) {
        if (std::isnan(value)) {
            ++nan;
            return;
        }
        if (std::isinf(value)) {
            ++infinite;
            return;
        }
        if (number++ == 0) origin = value;
        const double difference = value - origin;
        sum += difference;
        squares += difference * difference;
        least = std::min(least, value);
        most = std::max(most, value);
    }
};

/// Partial sums of one channel of float32.
class RealLanes {
public:
    using Vector = cv::v_float32x4;
    static constexpr int kPixels = Vector::nlanes;

    void begin(float first) {
        first_ = static_cast<double>(first);
        origin_ = cv::v_setall_f64(first_);
        least_ = most_ = cv::v_setall_f32(first);
    }
    void add(const Vector& values) {
        const cv::v_float64x2 low = cv::v_cvt_f64(values) - origin_;
        const cv::v_float64x2 high = cv::v_cvt_f64_high(values) - origin_;
        sums_ += low + high;
        squares_ += low * low + high * high;
        least_ = cv::v_min(least_, values);
        most_ = cv::v_max(most_, values);
    }
    RealSums sums(int number) const {
        RealSums sums;
        sums.origin = first_;
        sums.number = number;
        double parts[2];
        cv::v_store(parts, sums_);
        sums.sum = parts[0] + parts[1];
        cv::v_store(parts, squares_);
        sums.squares = parts[0] + parts[1];
        sums.least = static_cast<double>(cv::v_reduce_min(least_));
        sums.most = static_cast<double>(cv::v_reduce_max(most_));
        return sums;
    }

private:
    double first_ = 0;
    cv::v_float64x2 origin_;
    cv::v_float64x2 sums_ = cv::v_setzero_f64();
    cv::v_float64x2 squares_ = cv::v_setzero_f64();
    Vector least_;
    Vector most_;
};

template <typename Value>
RealSums sums_one_by_one(const Value* values, int pixels, int channels) {
    RealSums sums;
    for (int i = 0; i < pixels; ++i) sums.add(static_cast<double>(values[static_cast<ptrdiff_t>(i) * channels]));
    return sums;
}

template <int kChannels>
void add_reals(const float* values, int pixels, RealSums* sums) {
    RealLanes lanes[kChannels];
    for (int channel = 0; channel < kChannels; ++channel) lanes[channel].begin(values[channel]);
    int i = 0;
    for (; i + RealLanes::kPixels <= pixels; i += RealLanes::kPixels) {
        RealLanes::Vector vectors[kChannels];
        load_channels(values + static_cast<ptrdiff_t>(i) * kChannels, vectors);
        for (int channel = 0; channel < kChannels; ++channel) lanes[channel].add(vectors[channel]);
    }
    for (int channel = 0; channel < kChannels; ++channel) {
        sums[channel] = lanes[channel].sums(i);
        for (int rest = i; rest < pixels; ++rest)
            sums[channel].add(static_cast<double>(values[static_cast<ptrdiff_t>(rest) * kChannels + channel]));
        // Something was not finite: NaN and infinite values have to be told apart, and left out.
        if (!std::isfinite(sums[channel].squares) || sums[channel].number != pixels)
            sums[channel] = sums_one_by_one(values + channel, pixels, kChannels);
    }
}

template <typename Value>
void add_reals(const Value* values, int pixels, int channels, RealSums* sums) {
    if constexpr (std::is_same_v<Value, float>) {
        switch (pixels < RealLanes::kPixels ? 0 : channels) {
            case 1:
                return add_reals<1>(values, pixels, sums);
            case 2:
                return add_reals<2>(values, pixels, sums);
            case 3:
                return add_reals<3>(values, pixels, sums);
            case 4:
                return add_reals<4>(values, pixels, sums);
            default:
                break;
        }
    }
    for (int channel = 0; channel < channels; ++channel)
        sums[channel] = sums_one_by_one(values + channel, pixels, channels);
}

// Bins -----------------------------------------------------------------------------------------------------------

/// What finding the bin of many values takes.
class Bins {
public:
    explicit Bins(const Histogram& histogram)
        : low_(histogram.low),
          high_(histogram.high),
          bins_(static_cast<int>(histogram.counts.size())),
          width_((high_ - low_) / bins_),
          factor_(bins_ / (high_ - low_)) {}

    double edge(int bin) const { return bin == bins_ ? high_ : bin * width_ + low_; }
    int of(double value) const {
        if (value < low_) return -1;
        if (value > high_) return bins_;
        const int bin = std::min(static_cast<int>((value - low_) * factor_), bins_ - 1);
        // The product may be rounded over an edge.
        if (value < edge(bin)) return bin - 1;
        return bin + 1 < bins_ && value >= edge(bin + 1) ? bin + 1 : bin;
    }

private:
    double low_;
    double high_;
    int bins_;
    double width_;
    double factor_;
};

void add_to_bin(Histogram& histogram, int bin, int64_t times) {
    if (bin < 0) {
        histogram.below += times;
    } else if (static_cast<size_t>(bin) == histogram.counts.size()) {
        histogram.above += times;
    } else {
        histogram.counts[static_cast<size_t>(bin)] += times;
    }
}

// One image ------------------------------------------------------------------------------------------------------

template <typename Value>
int64_t count_from(const Value* values, int pixels, int channels, double limit) {
    int64_t number = 0;
    for (int i = 0; i < pixels; ++i) {
        const auto value = static_cast<double>(values[static_cast<ptrdiff_t>(i) * channels]);
        number += std::isfinite(value) && value >= limit ? 1 : 0;
    }
    return number;
}

template <typename Value>
class Measurement {
public:
    Measurement(const cv::Mat& image, const std::vector<Region::Run>& runs, const StatisticsOptions& options)
        : image_(image), runs_(runs), channels_(image.channels()) {
        result_.channels.resize(static_cast<size_t>(channels_));
        limit_ = options.saturation.value_or(kIntegers ? kGreatest : std::numeric_limits<double>::infinity());
        if (options.bins == 0) return;
        Histogram histogram;
        histogram.low = options.low.value_or(kIntegers ? static_cast<double>(Limits::min()) : 0);
        histogram.high = options.high.value_or(kIntegers ? kGreatest + 1 : 1);
        // The width of the bins and its inverse have to be numbers, too.
        const double bins_in_one = options.bins / (histogram.high - histogram.low);
        if (!(histogram.low < histogram.high) || !std::isnormal(bins_in_one))
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("a histogram from {} to {} has no range", histogram.low, histogram.high));
        histogram.counts.resize(static_cast<size_t>(options.bins));
        result_.histograms.resize(static_cast<size_t>(channels_), histogram);
    }

    RegionStatistics operator()() {
        if constexpr (kIntegers) {
            measure_integers();
        } else {
            measure_reals();
        }
        if (!result_.histograms.empty()) count_values();
        return std::move(result_);
    }

private:
    using Limits = std::numeric_limits<Value>;
    static constexpr bool kIntegers = Limits::is_integer;
    static constexpr double kGreatest = static_cast<double>(Limits::max());
    /// With so few values each is counted by itself.
    static constexpr bool kTable = kIntegers && sizeof(Value) <= 2;

    const Value* values_of(const Region::Run& run) const {
        return image_.ptr<Value>(run.row) + static_cast<ptrdiff_t>(run.begin) * channels_;
    }

    void measure_integers() {
        const auto channels = static_cast<size_t>(channels_);
        std::vector<IntegerSums> sums(channels);
        for (const Region::Run& run : runs_) {
            const int pixels = run.end - run.begin;
            const Value* const values = values_of(run);
            std::fill(sums.begin(), sums.end(), IntegerSums());
            add_integers(values, pixels, channels_, sums.data());
            for (size_t channel = 0; channel < channels; ++channel) {
                const IntegerSums& part = sums[channel];
                ValueStatistics& all = result_.channels[channel];
                const auto most = static_cast<double>(part.most);
                all.add_integers(pixels, part.sum, part.squares, static_cast<double>(part.least), most);
                if (most >= limit_) all.saturated_count += count_from(values + channel, pixels, channels_, limit_);
            }
        }
    }

    void measure_reals() {
        const auto channels = static_cast<size_t>(channels_);
        std::vector<RealSums> sums(channels);
        for (const Region::Run& run : runs_) {
            const int pixels = run.end - run.begin;
            const Value* const values = values_of(run);
            add_reals(values, pixels, channels_, sums.data());
            for (size_t channel = 0; channel < channels; ++channel) {
                const RealSums& part = sums[channel];
                ValueStatistics& all = result_.channels[channel];
                all.nan_count += part.nan;
                all.infinite_count += part.infinite;
                if (part.number == 0) continue;
                const auto number = static_cast<double>(part.number);
                all.add_reals(part.number, part.origin + part.sum / number,
                              std::max(0.0, part.squares - part.sum * part.sum / number), part.least, part.most);
                if (part.most >= limit_) all.saturated_count += count_from(values + channel, pixels, channels_, limit_);
            }
        }
    }

    void count_values() {
        for (int channel = 0; channel < channels_; ++channel) {
            Histogram& histogram = result_.histograms[static_cast<size_t>(channel)];
            if constexpr (kTable) {
                count_by_table(channel, histogram);
            } else {
                const Bins bins(histogram);
                for (const Region::Run& run : runs_) {
                    const Value* const values = values_of(run) + channel;
                    for (int i = 0; i < run.end - run.begin; ++i) {
                        const auto value = static_cast<double>(values[static_cast<ptrdiff_t>(i) * channels_]);
                        if (std::isfinite(value)) add_to_bin(histogram, bins.of(value), 1);
                    }
                }
            }
        }
    }

    void count_by_table(int channel, Histogram& histogram) const {
        constexpr int kValues = int{1} << (8 * sizeof(Value));
        constexpr int kTables = sizeof(Value) == 1 ? 4 : 1;  // neighbours are often equal and would wait for each other
        std::vector<uint32_t> counts(static_cast<size_t>(kValues) * kTables);
        for (const Region::Run& run : runs_) {
            const Value* const values = values_of(run) + channel;
            for (int i = 0; i < run.end - run.begin; ++i) {
                const int place = static_cast<int>(values[static_cast<ptrdiff_t>(i) * channels_]) - int{Limits::min()};
                ++counts[static_cast<size_t>(i % kTables * kValues + place)];
            }
        }
        for (int place = 0; place < kValues; ++place) {
            int64_t number = 0;
            for (int table = 0; table < kTables; ++table)
                number += counts[static_cast<size_t>(table * kValues + place)];
            if (number > 0) histogram.add(place + int{Limits::min()}, number);
        }
    }

    const cv::Mat& image_;
    const std::vector<Region::Run>& runs_;
    int channels_;
    double limit_ = 0;
    RegionStatistics result_;
};

RegionStatistics measured(const cv::Mat& image, const std::vector<Region::Run>& runs,
                          const StatisticsOptions& options) {
    switch (image.depth()) {
        case CV_8U:
            return Measurement<uint8_t>(image, runs, options)();
        case CV_8S:
            return Measurement<int8_t>(image, runs, options)();
        case CV_16U:
            return Measurement<uint16_t>(image, runs, options)();
        case CV_16S:
            return Measurement<int16_t>(image, runs, options)();
        case CV_32S:
            return Measurement<int32_t>(image, runs, options)();
        case CV_32F:
            return Measurement<float>(image, runs, options)();
        case CV_64F:
            return Measurement<double>(image, runs, options)();
        default: {
            cv::Mat wide;
            image.convertTo(wide, CV_32F);
            return Measurement<float>(wide, runs, options)();
        }
    }
}

}  // namespace

// ValueStatistics ------------------------------------------------------------------------------------------------

double ValueStatistics::mean() const {
    if (count == 0) return kNaN;
    if (reals_ > 0) return mean_;
    return static_cast<double>(static_cast<long double>(sum_) / static_cast<long double>(count));
}

double ValueStatistics::standard_deviation() const {
    if (count == 0) return kNaN;
    if (reals_ > 0) return std::sqrt(deviations_ / static_cast<double>(reals_));
    // About a whole number next to the mean the sums are still exact, and little cancels out.
    const auto number = static_cast<Exact>(count);
    const Exact origin = sum_ / number;
    const Exact squares = squares_ - 2 * origin * sum_ + number * origin * origin;
    const Exact sum = sum_ - number * origin;
    const auto n = static_cast<long double>(count);
    const long double rest = static_cast<long double>(sum) / n;
    const long double variance = static_cast<long double>(squares) / n - rest * rest;
    return static_cast<double>(std::sqrt(std::max(variance, 0.0L)));
}

void ValueStatistics::add_limits(double least, double most) {
    min_ = std::min(min_, least);
    max_ = std::max(max_, most);
}

void ValueStatistics::add_integers(int64_t number, int64_t sum, Exact squares, double least, double most) {
    count += number;
    sum_ += sum;
    squares_ += squares;
    add_limits(least, most);
}

void ValueStatistics::add_reals(int64_t number, double mean, double deviations, double least, double most) {
    if (number == 0) return;
    const auto before = static_cast<double>(reals_);
    const auto added = static_cast<double>(number);
    const double all = before + added;
    const double step = mean - mean_;
    mean_ += step * (added / all);
    deviations_ += deviations + step * step * (before * added / all);
    reals_ += number;
    count += number;
    add_limits(least, most);
}

void ValueStatistics::merge(const ValueStatistics& other) {
    nan_count += other.nan_count;
    infinite_count += other.infinite_count;
    saturated_count += other.saturated_count;
    if (other.reals_ > 0) {
        add_reals(other.reals_, other.mean_, other.deviations_, other.min_, other.max_);
        return;
    }
    count += other.count;
    sum_ += other.sum_;
    squares_ += other.squares_;
    add_limits(other.min_, other.max_);
}

// Histogram ------------------------------------------------------------------------------------------------------

double Histogram::edge(size_t bin) const {
    return Bins(*this).edge(static_cast<int>(bin));
}

int Histogram::bin_of(double value) const {
    return Bins(*this).of(value);
}

void Histogram::add(double value, int64_t times) {
    add_to_bin(*this, bin_of(value), times);
}

void Histogram::merge(const Histogram& other) {
    for (size_t bin = 0; bin < counts.size(); ++bin) counts[bin] += other.counts[bin];
    below += other.below;
    above += other.above;
}

void RegionStatistics::merge(const RegionStatistics& other) {
    if (channels.empty()) {
        *this = other;
        return;
    }
    if (channels.size() != other.channels.size() || histograms.size() != other.histograms.size())
        throw Error(ErrorCode::wrong_type, "statistics of images with different channels cannot be put together");
    for (size_t channel = 0; channel < channels.size(); ++channel) {
        channels[channel].merge(other.channels[channel]);
        if (!histograms.empty()) histograms[channel].merge(other.histograms[channel]);
    }
}

RegionStatistics image_statistics(const cv::Mat& image, const Region& region, const StatisticsOptions& options) {
    region.check(image.size());
    std::vector<Region::Run> rows;
    if (region.whole()) {
        rows.reserve(static_cast<size_t>(image.rows));
        for (int row = 0; row < image.rows; ++row) rows.push_back({row, 0, image.cols});
    }
    try {
        return measured(image, region.whole() ? rows : region.runs(), options);
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal, "cannot measure an image: " + error.err);
    }
}

std::string channel_name(int channel, int channels) {
    static constexpr const char* kColors[] = {"blue", "green", "red", "alpha"};
    if (channels == 1) return "gray";
    if (channels == 3 || channels == 4) return kColors[channel];
    return fmt::format("channel {}", channel);
}

}  // namespace reelstore
