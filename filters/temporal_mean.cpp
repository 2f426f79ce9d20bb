#include <algorithm>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "filters/sliding_window.h"
#include "filters/temporal.h"
#include "filters/temporal_background.h"
#include "filters/typed_pixels.h"

namespace reelstore {

namespace {

constexpr int64_t kLongestWindow = 32767;  // sums of 16 bits stay within 32
constexpr int kMostPixels = 32767;

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
            const int mean_depth = only_means ? depth : signed_depth(center.depth());
            const cv::Mat means = total.depth() == CV_32S ? divided<int32_t>(total, count, mean_depth)
                                                          : divided<double>(total, count, mean_depth);
            return only_means ? means : compared_with_background(center, means, *options_.background, options.depth);
        }
        cv::Mat known;
        missing.convertTo(known, CV_64F, -1, count);
        cv::Mat means = weighted_means(total, known);
        if (options.missing == MissingValues::keep && !all_finite(center)) {
            cv::Mat values;
            center.convertTo(values, CV_64F);
            put_back_missing(values, means);
        }
        return only_means ? in_depth(means, depth)
                          : compared_with_background(center, means, *options_.background, options.depth);
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
