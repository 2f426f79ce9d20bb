#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "filters/sliding_window.h"
#include "filters/temporal.h"
#include "filters/typed_pixels.h"

namespace reelstore {

namespace {

constexpr int64_t kLongestWindow = 32767;  // sums of 16 bits stay within 32
constexpr int kMostPixels = 32767;

int border_of(EdgeMode edge) {
    switch (edge) {
        case EdgeMode::reflect:
            return cv::BORDER_REFLECT_101;
        case EdgeMode::symmetric:
            return cv::BORDER_REFLECT;
        case EdgeMode::edge:
            break;
    }
    return cv::BORDER_REPLICATE;
}

/// The weights of a Gaussian from its middle on, both sides of which sum up to 1.
std::vector<double> half_of_gaussian(double sigma, double truncate) {
    const auto radius = static_cast<size_t>(truncate * sigma + 0.5);
    std::vector<double> weights(radius + 1, 1);
    double sum = 1;
    for (size_t i = 1; i <= radius; ++i) {
        const double distance = static_cast<double>(i) / sigma;
        weights[i] = std::exp(-0.5 * distance * distance);
        sum += 2 * weights[i];
    }
    for (double& weight : weights) weight /= sum;
    return weights;
}

/// Where weights are 0, as a mask of one channel, which the functions of OpenCV take.
cv::Mat missing_in(const cv::Mat& weights) {
    return weights.reshape(1) == 0;
}

class SpatioTemporalFilter : public SlidingWindowFilter {
public:
    SpatioTemporalFilter(const SpatioTemporalOptions& options, std::vector<double> in_time,
                         std::vector<double> in_space)
        : SlidingWindowFilter("smooth", static_cast<int64_t>(in_time.size()) - 1,
                              static_cast<int64_t>(in_time.size()) - 1),
          options_(options),
          in_time_(std::move(in_time)),
          in_space_(std::move(in_space)) {}

    std::unique_ptr<Filter> fresh() const override {
        return std::make_unique<SpatioTemporalFilter>(options_, in_time_, in_space_);
    }

protected:
    cv::Mat taken(int64_t place, const cv::Mat& image) override {
        depth_ = options_.depth.value_or(image.depth());
        if (!all_finite(image)) {
            WeightedImage known = without_missing(image);
            Missing missing;
            if (options_.missing == MissingValues::keep) missing.where = missing_in(known.weights);
            missing.weights = smoothed_in_space(known.weights);
            missing_.emplace(place, std::move(missing));
            return smoothed_in_space(known.values);
        }
        cv::Mat values;
        image.convertTo(values, image.depth() == CV_64F ? CV_64F : CV_32F);
        return smoothed_in_space(values);
    }

    cv::Mat result(const Window& window) override {
        std::vector<cv::Mat> images;
        std::vector<cv::Mat> weights;
        for (int64_t place = window.center - before(); place <= window.center + after(); ++place) {
            const int64_t inside =
                window.first + cv::borderInterpolate(static_cast<int>(place - window.first),
                                                     static_cast<int>(window.last - window.first + 1),
                                                     border_of(options_.edge));
            images.push_back(kept(inside));
            if (!missing_.empty()) weights.push_back(weights_of(inside));
        }
        cv::Mat means = smoothed_in_time(images);
        if (!weights.empty()) means = weighted_means(means, smoothed_in_time(weights));
        if (const auto missing = missing_.find(window.center); missing != missing_.end()) {
            if (!missing->second.where.empty()) {
                cv::Mat(means.reshape(1)).setTo(std::numeric_limits<double>::quiet_NaN(), missing->second.where);
            }
        }
        return in_depth(means, depth_);
    }

    void dropped(int64_t place) override { missing_.erase(place); }

private:
    /// Of a frame that lacks values.
    struct Missing {
        cv::Mat weights;
        cv::Mat where;  ///< uint8; empty if it does not matter
    };

    cv::Mat weights_of(int64_t place) const {
        if (const auto missing = missing_.find(place); missing != missing_.end()) return missing->second.weights;
        cv::Mat ones(kept(place).size(), kept(place).type());
        cv::Mat(ones.reshape(1)).setTo(1);
        return ones;
    }

    cv::Mat smoothed_in_space(const cv::Mat& image) const {
        if (in_space_.size() == 1) return image;
        std::vector<double> kernel(in_space_.rbegin(), in_space_.rend());
        kernel.insert(kernel.end(), in_space_.begin() + 1, in_space_.end());
        cv::Mat result;
        cv::sepFilter2D(image, result, image.depth(), kernel, kernel, cv::Point(-1, -1), 0,
                        border_of(options_.edge) | cv::BORDER_ISOLATED);
        return result;
    }

    cv::Mat smoothed_in_time(const std::vector<cv::Mat>& images) const {
        if (images.size() == 1) return images[0];
        return images[0].depth() == CV_64F ? convolved<double>(images) : convolved<float>(images);
    }

    template <typename Value>
    cv::Mat convolved(const std::vector<cv::Mat>& images) const {
        const size_t middle = images.size() / 2;
        cv::Mat result(images[0].size(), images[0].type());
        for (int row = 0; row < result.rows; ++row) {
            Value* __restrict const sum = result.ptr<Value>(row);
            const auto* __restrict const center = images[middle].ptr<Value>(row);
            const auto weight = static_cast<Value>(in_time_[0]);
            for_each_value(values_in_row(result), [=](int i) { sum[i] = weight * center[i]; });
            for (size_t k = 1; k <= middle; ++k) {
                const auto* __restrict const one = images[middle - k].ptr<Value>(row);
                const auto* __restrict const other = images[middle + k].ptr<Value>(row);
                const auto factor = static_cast<Value>(in_time_[k]);
                for_each_value(values_in_row(result), [=](int i) { sum[i] += factor * (one[i] + other[i]); });
            }
        }
        return result;
    }

    SpatioTemporalOptions options_;
    std::vector<double> in_time_;   // from the middle on
    std::vector<double> in_space_;  // likewise
    std::map<int64_t, Missing> missing_;
    int depth_ = CV_8U;
};

/// Adds `times` images to a sum of the type float64.
void add_times(cv::Mat& sum, const cv::Mat& image, int64_t times) {
    if (times == 0) return;
    cv::Mat values;
    image.convertTo(values, CV_64F);
    cv::scaleAdd(values, static_cast<double>(times), sum, sum);
}

/// 1 where a value is missing, else 0: int32.
cv::Mat count_of_missing(const cv::Mat& weights) {
    cv::Mat count;
    missing_in(weights).convertTo(count, CV_32S, 1.0 / 255);
    return count.reshape(weights.channels());
}

void add_counts(cv::Mat& missing, const cv::Mat& more) {
    if (more.empty()) return;
    if (missing.empty()) {
        more.copyTo(missing);
    } else {
        missing += more;
    }
}

/// Sums of floats in float64, and, once a value was missing, how many were.
SlidingFold::Operation sum_of_floats() {
    SlidingFold::Operation operation;
    operation.set = [](SlidingFold::State& state, const cv::Mat& image) {
        state.resize(2);
        state[1].release();
        if (all_finite(image)) {
            image.convertTo(state[0], CV_64F);
            return;
        }
        const WeightedImage known = without_missing(image);
        known.values.convertTo(state[0], CV_64F);
        state[1] = count_of_missing(known.weights);
    };
    operation.add = [](SlidingFold::State& state, const cv::Mat& image) {
        if (all_finite(image)) {
            cv::accumulate(image, state[0]);
            return;
        }
        const WeightedImage known = without_missing(image);
        cv::accumulate(known.values, state[0]);
        add_counts(state[1], count_of_missing(known.weights));
    };
    operation.join = [](SlidingFold::State& state, const SlidingFold::State& one, const SlidingFold::State& other) {
        state.resize(2);
        cv::add(one[0], other[0], state[0]);
        one[1].copyTo(state[1]);
        add_counts(state[1], other[1]);
    };
    return operation;
}

/// sums / count, rounded once. Sums of integers are int32 or float64, those of floats float64.
template <typename Sum>
cv::Mat divided(const cv::Mat& sums, double count, int depth) {
    cv::Mat result(sums.size(), CV_MAKETYPE(depth, sums.channels()));
    cv::Mat quotients(1, values_in_row(sums), CV_64F);
    auto* __restrict const quotient = quotients.ptr<double>();
    for (int row = 0; row < sums.rows; ++row) {
        const auto* __restrict const sum = sums.ptr<Sum>(row);
        // True divisions: halves are rounded as halves.
        for_each_value(quotients.cols, [=](int i) { quotient[i] = sum[i] / count; });
        in_depth(quotients, depth).reshape(sums.channels()).copyTo(result.row(row));
    }
    return result;
}

struct SlidingMeanOptions {
    MeanFilterOptions mean;
    std::optional<BackgroundResult> background = {};  ///< none: the mean itself
};

class SlidingMean : public SlidingWindowFilter {
public:
    SlidingMean(const char* name, const SlidingMeanOptions& options)
        : SlidingWindowFilter(name, options.mean.size_temporal / 2,
                              options.mean.size_temporal - 1 - options.mean.size_temporal / 2),
          options_(options),
          floats_(options.mean.size_temporal, sum_of_floats()) {}

    std::unique_ptr<Filter> fresh() const override { return std::make_unique<SlidingMean>(name(), options_); }

protected:
    cv::Mat taken(int64_t place, const cv::Mat& image) override {
        if (is_float(image.depth())) {
            floats_.add(place, image);
        } else {
            if (integers_.empty()) integers_ = cv::Mat::zeros(image.size(), CV_MAKETYPE(CV_32S, image.channels()));
            count_in(image, 1);
        }
        return image;
    }

    cv::Mat result(const Window& window) override {
        const cv::Mat& center = kept(window.center);
        const MeanFilterOptions& options = options_.mean;
        const auto [total, missing] = sums_of(window);
        const double count = 1.0 * options.size_temporal * options.size_spatial * options.size_spatial;
        const bool only_means = !options_.background || *options_.background == BackgroundResult::background;
        const int depth = options.depth.value_or(center.depth());
        if (missing.empty()) {
            const int mean_depth = only_means ? depth : CV_64F;
            const cv::Mat means = total.depth() == CV_32S ? divided<int32_t>(total, count, mean_depth)
                                                          : divided<double>(total, count, mean_depth);
            return only_means ? means : compared(center, means);
        }
        cv::Mat known;
        missing.convertTo(known, CV_64F, -1, count);
        cv::Mat means = weighted_means(total, known);
        if (options.missing == MissingValues::keep && !all_finite(center)) {
            cv::Mat values;
            center.convertTo(values, CV_64F);
            put_back_missing(values, means);
        }
        return only_means ? in_depth(means, depth) : compared(center, means);
    }

    void dropped(int64_t place) override {
        if (!is_float(kept(place).depth())) count_in(kept(place), -1);
    }

private:
    /// Over a window.
    struct Sums {
        cv::Mat total;    ///< of the values: float64, or int32 of integers
        cv::Mat missing;  ///< how many there were of those: int32 or float64; empty if none
    };

    Sums sums_of(const Window& window) {
        const int64_t lacking_before = std::max<int64_t>(0, before() - (window.center - window.first));
        const int64_t lacking_after = std::max<int64_t>(0, after() - (window.last - window.center));
        Sums sums{integers_, {}};
        if (is_float(kept(window.center).depth())) {
            const SlidingFold::State& state = floats_.from(
                window.first, window.ended, [this](int64_t place) -> const cv::Mat& { return kept(place); });
            sums = {state[0], state[1]};
        }
        const int side = options_.mean.size_spatial;
        if (side == 1 && lacking_before == 0 && lacking_after == 0) return sums;
        // What the window goes on from is not written to.
        sums.total.convertTo(total_, CV_64F);
        sums.total = total_;
        if (!sums.missing.empty()) {
            sums.missing.convertTo(missing_, CV_64F);
            sums.missing = missing_;
        }
        add_repeated(sums, kept(window.first), lacking_before);
        add_repeated(sums, kept(window.last), lacking_after);
        if (side == 1) return sums;
        for (cv::Mat* const sum : {&sums.total, &sums.missing}) {
            if (sum->empty()) continue;
            cv::boxFilter(*sum, *sum, CV_64F, cv::Size(side, side), cv::Point(-1, -1), false, cv::BORDER_REPLICATE);
        }
        return sums;
    }

    static void add_repeated(Sums& sums, const cv::Mat& image, int64_t times) {
        if (times == 0) return;
        if (sums.missing.empty() || all_finite(image)) {
            add_times(sums.total, image, times);
            return;
        }
        const WeightedImage known = without_missing(image);
        add_times(sums.total, known.values, times);
        add_times(sums.missing, count_of_missing(known.weights), times);
    }

    cv::Mat compared(const cv::Mat& image, const cv::Mat& means) const {
        const std::optional<int>& depth = options_.mean.depth;
        cv::Mat values;
        image.convertTo(values, CV_64F);
        values -= means;
        if (*options_.background == BackgroundResult::difference)
            return in_depth(values, depth.value_or(image.depth() == CV_64F ? CV_64F : CV_32F));
        const cv::Mat distances = cv::Mat(cv::abs(values.reshape(1))).reshape(values.channels());
        return in_depth(distances, depth.value_or(image.depth()));
    }

    /// Sums of integers are exact, so they may run.
    void count_in(const cv::Mat& image, int sign) {
        with_pixel_type(image.depth(), [&](auto value) {
            using Value = decltype(value);
            for (int row = 0; row < image.rows; ++row) {
                const auto* __restrict const values = image.ptr<Value>(row);
                auto* __restrict const sums = integers_.ptr<int32_t>(row);
                for_each_value(values_in_row(image), [=](int i) { sums[i] += sign * static_cast<int32_t>(values[i]); });
            }
        });
    }

    SlidingMeanOptions options_;
    SlidingFold floats_;
    cv::Mat integers_;  // int32: sum of the frames held
    cv::Mat total_;     // memory used again
    cv::Mat missing_;   // likewise
};

void check_window(const char* filter, const char* what, int64_t size, int64_t most) {
    if (size >= 1 && size <= most) return;
    throw Error(ErrorCode::invalid_argument, fmt::format("{}: {} must be from 1 to {}", filter, what, most));
}

}  // namespace

std::unique_ptr<Filter> smooth_spatiotemporal(const SpatioTemporalOptions& options) {
    constexpr double kLongestReach = 10000;
    for (const double sigma : {options.sigma_temporal, options.sigma_spatial}) {
        if (sigma >= 0 && options.truncate > 0 && sigma * options.truncate <= kLongestReach) continue;
        throw Error(
            ErrorCode::invalid_argument,
            fmt::format("smooth: both sigmas must be 0 or more, truncate above 0, and sigma * truncate {} at most",
                        kLongestReach));
    }
    return std::make_unique<SpatioTemporalFilter>(options, half_of_gaussian(options.sigma_temporal, options.truncate),
                                                  half_of_gaussian(options.sigma_spatial, options.truncate));
}

std::unique_ptr<Filter> mean_filter(const MeanFilterOptions& options) {
    check_window("mean", "size_temporal", options.size_temporal, kLongestWindow);
    check_window("mean", "size_spatial", options.size_spatial, kMostPixels);
    return std::make_unique<SlidingMean>("mean", SlidingMeanOptions{options});
}

std::unique_ptr<Filter> subtract_mean_background(const MeanBackgroundOptions& options) {
    check_window("background-mean", "window", options.window, kLongestWindow);
    SlidingMeanOptions mean;
    mean.mean.size_temporal = options.window;
    mean.mean.depth = options.depth;
    mean.background = options.result;
    return std::make_unique<SlidingMean>("background-mean", mean);
}

}  // namespace reelstore
