#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include <opencv2/core.hpp>

#include "base/error.h"
#include "filters/sliding_window.h"
#include "filters/temporal.h"
#include "filters/typed_pixels.h"

namespace reelstore {

namespace {

constexpr int kLongestWindow = 1000000;

class TemporalDifference : public SlidingWindowFilter {
public:
    explicit TemporalDifference(const TemporalDifferenceOptions& options)
        : SlidingWindowFilter("difference", options.center ? options.n - options.n / 2 : options.n,
                              options.center ? options.n / 2 : 0),
          options_(options) {}

    std::unique_ptr<Filter> fresh() const override { return std::make_unique<TemporalDifference>(options_); }

protected:
    cv::Mat result(const Window& window) override {
        const cv::Mat& image = kept(window.center);
        const int depth = options_.depth.value_or(signed_depth(image.depth()));
        const int64_t earlier = window.center - before();
        const int64_t later = window.center + after();
        if (earlier < window.first || later > window.last) {
            const cv::Mat fill = in_depth(cv::Mat(1, 1, CV_64F, cv::Scalar(options_.fill)), depth);
            cv::Mat filled(image.size(), CV_MAKETYPE(depth, image.channels()));
            // A scalar has four channels at most.
            cv::Mat(filled.reshape(1)).setTo(fill);
            return filled;
        }
        cv::Mat difference;
        if (is_float(image.depth()) && !is_float(depth)) {
            return in_depth(kept(later) - kept(earlier), depth);
        }
        cv::subtract(kept(later), kept(earlier), difference, cv::noArray(), depth);
        return difference;
    }

private:
    TemporalDifferenceOptions options_;
};

class EvolveJitter : public SlidingWindowFilter {
public:
    EvolveJitter(const EvolveJitterOptions& options, double frame_rate, double median_of_means)
        : SlidingWindowFilter("evolve-jitter", 1, 1),
          options_(options),
          frame_rate_(frame_rate),
          median_of_means_(median_of_means) {}

    void begin(SourceInfo& info) override {
        const ImageType type = info.image_type;
        Filter::begin(info);
        info.image_type = type;
        if (!options_.frame_rate && info.frame_rate) frame_rate_ = *info.frame_rate;
    }
    std::unique_ptr<Filter> fresh() const override {
        return std::make_unique<EvolveJitter>(options_, frame_rate_, median_of_means_);
    }

    bool needs_first_pass() const override { return options_.reference == JitterReference::median; }
    void first_pass(const Frame& frame) override {
        const double mean = mean_of(frame.image);
        if (std::isfinite(mean)) all_means_.push_back(mean);
    }
    void end_first_pass() override {
        if (all_means_.empty()) return;
        const auto middle = all_means_.begin() + static_cast<std::ptrdiff_t>(all_means_.size() / 2);
        std::nth_element(all_means_.begin(), middle, all_means_.end());
        median_of_means_ = *middle;
        if (all_means_.size() % 2 == 0) {
            const double lower = *std::max_element(all_means_.begin(), middle);
            median_of_means_ = lower + (median_of_means_ - lower) / 2;
        }
        all_means_ = {};
    }

protected:
    cv::Mat taken(int64_t place, const cv::Mat& image) override {
        means_[place] = mean_of(image);
        return image;
    }
    cv::Mat result(const Window& window) override {
        const cv::Mat& image = kept(window.center);
        if (window.first == window.center || window.last == window.center) return image;
        const double before = means_[window.center - 1];
        const double mean = means_[window.center];
        const double reference = options_.reference == JitterReference::median ? median_of_means_ : before;
        const bool drops = (mean - before) / reference < -options_.threshold;
        const bool rises = (means_[window.center + 1] - mean) / reference > options_.threshold;
        if (!drops || !rises) return image;
        constexpr double kCorrection = 14e-6;  // of brightness for each frame per second
        cv::Mat corrected;
        image.convertTo(corrected, image.depth(), 1 + kCorrection * frame_rate_);
        return corrected;
    }
    void dropped(int64_t place) override { means_.erase(place); }

private:
    static double mean_of(const cv::Mat& image) { return cv::mean(image.reshape(1))[0]; }

    EvolveJitterOptions options_;
    double frame_rate_;
    double median_of_means_;
    std::vector<double> all_means_;
    std::map<int64_t, double> means_;  // of the frames held
};

}  // namespace

std::unique_ptr<Filter> temporal_difference(const TemporalDifferenceOptions& options) {
    if (options.n < 1 || options.n > kLongestWindow)
        throw Error(ErrorCode::invalid_argument, "difference: n must be from 1 to 1000000");
    return std::make_unique<TemporalDifference>(options);
}

std::unique_ptr<Filter> evolve_jitter(const EvolveJitterOptions& options) {
    constexpr double kUsualFrameRate = 500;
    const double frame_rate = options.frame_rate.value_or(kUsualFrameRate);
    if (!(frame_rate > 0 && std::isfinite(frame_rate)) || !(options.threshold >= 0))
        throw Error(ErrorCode::invalid_argument,
                    "evolve-jitter: the frame rate must be above 0 and the threshold 0 or more");
    return std::make_unique<EvolveJitter>(options, frame_rate, std::numeric_limits<double>::quiet_NaN());
}

}  // namespace reelstore
