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

}  // namespace reelstore
