#include "filters/temporal_background.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include <opencv2/core.hpp>

#include "base/error.h"
#include "filters/sliding_window.h"
#include "filters/typed_pixels.h"

namespace reelstore {

namespace {

class RunningBackground : public Filter {
public:
    RunningBackground(const BackgroundOptions& options, std::optional<double> frame_rate)
        : options_(options), frame_rate_(frame_rate), images_("background") {}

    void begin(SourceInfo& info) override {
        Filter::begin(info);
        frame_rate_ = info.frame_rate;
        if (!options_.seconds || info.has_times || frame_rate_) return;
        throw Error(ErrorCode::invalid_argument,
                    "background: seconds need frames with times or a frame rate, which this recording does not have "
                    "(give rate instead)");
    }
    std::optional<FilterReach> reach() const override { return FilterReach{FilterReach::kAll, 0}; }
    std::unique_ptr<Filter> fresh() const override {
        return std::make_unique<RunningBackground>(options_, frame_rate_);
    }

    void push(Frame frame, const Receiver& receiver) override {
        images_.check(frame);
        const double rate = options_.seconds ? rate_since(frame) : options_.rate;
        last_time_ = frame.time;
        receiver(with_changed_image(std::move(frame), [&](const cv::Mat& image) {
            return image.depth() == CV_64F ? changed<double>(image, rate) : changed<float>(image, rate);
        }));
    }

private:
    double rate_since(const Frame& frame) const {
        double passed = frame.time - last_time_;
        if (!(passed > 0) || !std::isfinite(passed)) {
            if (background_.empty()) return 0;
            if (!frame_rate_) {
                // Times that stand still or go back are a clock's fault, at which the background stays.
                if (std::isfinite(frame.time)) return 0;
                throw Error(ErrorCode::invalid_argument, {{}, {}, frame.index},
                            "background: the frame has no time, which seconds need (give rate instead)");
            }
            passed = 1 / *frame_rate_;
        }
        return -std::expm1(-passed / *options_.seconds);
    }

    template <typename Value>
    cv::Mat changed(const cv::Mat& image, double rate) {
        cv::Mat values;
        image.convertTo(values, cv::DataType<Value>::depth);
        if (background_.empty()) background_ = values.clone();
        cv::Mat result(values.size(), values.type());
        const bool finite = all_finite(values);
        const auto share = static_cast<Value>(rate);
        for (int row = 0; row < values.rows; ++row) {
            const auto* __restrict const value = values.ptr<Value>(row);
            auto* __restrict const known = background_.ptr<Value>(row);
            auto* __restrict const given = result.ptr<Value>(row);
            const int count = values_in_row(values);
            if (!finite || has_missing_) {
                follow_known(value, known, given, count, share);
            } else if (options_.result == BackgroundResult::background) {
                std::copy_n(known, count, given);
                for_each_value(count, [=](int i) { known[i] += share * (value[i] - known[i]); });
            } else {
                for_each_value(count, [=](int i) {
                    const Value difference = value[i] - known[i];
                    given[i] = difference;
                    known[i] += share * difference;
                });
            }
            if (options_.result == BackgroundResult::absolute)
                for_each_value(count, [=](int i) { given[i] = std::abs(given[i]); });
        }
        if (!finite) has_missing_ = true;
        const bool is_signed = options_.result == BackgroundResult::difference;
        return in_depth(result, options_.depth.value_or(is_signed ? signed_depth(image.depth()) : image.depth()));
    }

    /// The same where values are or were missing.
    template <typename Value>
    void follow_known(const Value* value, Value* known, Value* given, int count, Value share) const {
        const bool gives_background = options_.result == BackgroundResult::background;
        for (int i = 0; i < count; ++i) {
            const bool missing = !std::isfinite(value[i]);
            if (!missing && !std::isfinite(known[i])) known[i] = value[i];
            const Value difference = missing ? std::numeric_limits<Value>::quiet_NaN() : value[i] - known[i];
            given[i] = gives_background ? known[i] : difference;
            if (!missing) known[i] += share * difference;
        }
    }

    BackgroundOptions options_;
    std::optional<double> frame_rate_;
    OneImageType images_;
    cv::Mat background_;  // float32, or float64 of float64
    bool has_missing_ = false;
    double last_time_ = std::numeric_limits<double>::quiet_NaN();
};

/// Frames spread evenly over a recording whose length is not known: so many to twice as many, or all.
class EvenSample {
public:
    explicit EvenSample(int count) : most_(2 * static_cast<size_t>(count)) {}

    void add(const cv::Mat& image) {
        if (seen_++ % spacing_ != 0) return;
        images_.push_back(image.clone());
        if (images_.size() <= most_) return;
        for (size_t i = 0; 2 * i < images_.size(); ++i) images_[i] = images_[2 * i];
        images_.resize((images_.size() + 1) / 2);
        spacing_ *= 2;
    }
    const std::vector<cv::Mat>& images() const { return images_; }
    void clear() { images_ = {}; }

private:
    size_t most_;
    int64_t seen_ = 0;
    int64_t spacing_ = 1;
    std::vector<cv::Mat> images_;
};

/// Of the finite values of each pixel; of an even number of them, the mean of both in the middle. NaN where there are
/// none. Float32, or float64 of float64.
template <typename Value, typename Result>
cv::Mat medians_of(const std::vector<cv::Mat>& images) {
    cv::Mat result(images[0].size(), CV_MAKETYPE(cv::DataType<Result>::depth, images[0].channels()));
    std::vector<const Value*> rows(images.size());
    std::vector<Value> values;
    for (int row = 0; row < result.rows; ++row) {
        for (size_t i = 0; i < images.size(); ++i) rows[i] = images[i].ptr<Value>(row);
        auto* const medians = result.ptr<Result>(row);
        for (int place = 0; place < values_in_row(result); ++place) {
            values.clear();
            for (const Value* const from : rows) {
                if (std::isfinite(static_cast<double>(from[place]))) values.push_back(from[place]);
            }
            if (values.empty()) {
                medians[place] = std::numeric_limits<Result>::quiet_NaN();
                continue;
            }
            const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
            std::nth_element(values.begin(), middle, values.end());
            medians[place] = static_cast<Result>(*middle);
            // By halves, whose sum is never infinite.
            if (values.size() % 2 == 0)
                medians[place] =
                    medians[place] / 2 + static_cast<Result>(*std::max_element(values.begin(), middle)) / 2;
        }
    }
    return result;
}

cv::Mat medians_of(const std::vector<cv::Mat>& images) {
    return with_pixel_type(images[0].depth(), [&](auto value) {
        using Value = decltype(value);
        if constexpr (std::is_same_v<Value, double>) {
            return medians_of<double, double>(images);
        } else {
            return medians_of<Value, float>(images);
        }
    });
}

/// What a first pass learned, shared by all that use it.
struct LearnedMedian {
    explicit LearnedMedian(int samples) : images("background-median"), sample(samples) {}
    OneImageType images;
    EvenSample sample;
    cv::Mat background;
};

class MedianBackground : public Filter {
public:
    MedianBackground(const MedianBackgroundOptions& options, std::shared_ptr<LearnedMedian> learned)
        : options_(options), learned_(std::move(learned)) {}

    bool needs_first_pass() const override { return true; }
    bool each_by_itself() const override { return true; }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<MedianBackground>(options_, learned_); }

    void first_pass(const Frame& frame) override {
        learned_->images.check(frame);
        learned_->sample.add(frame.image);
    }
    void end_first_pass() override {
        if (!learned_->sample.images().empty()) learned_->background = medians_of(learned_->sample.images());
        learned_->sample.clear();
    }

    void push(Frame frame, const Receiver& receiver) override {
        const cv::Mat& background = learned_->background;
        if (background.empty()) {
            throw Error(ErrorCode::invalid_argument, {{}, {}, frame.index},
                        "the filter background-median has to see all frames first");
        }
        // Other threads look at the learned type.
        OneImageType(learned_->images).check(frame);
        receiver(with_changed_image(std::move(frame), [&](const cv::Mat& image) {
            return compared_with_background(image, background, options_.result, options_.depth);
        }));
    }

private:
    MedianBackgroundOptions options_;
    std::shared_ptr<LearnedMedian> learned_;
};

}  // namespace

cv::Mat compared_with_background(const cv::Mat& image, const cv::Mat& background, BackgroundResult result,
                                 const std::optional<int>& depth) {
    if (result == BackgroundResult::background) return in_depth(background, depth.value_or(image.depth()));
    cv::Mat values;
    image.convertTo(values, background.depth());
    if (result == BackgroundResult::difference) {
        values -= background;
        return in_depth(values, depth.value_or(signed_depth(image.depth())));
    }
    cv::absdiff(values, background, values);
    return in_depth(values, depth.value_or(image.depth()));
}

std::unique_ptr<Filter> subtract_background(const BackgroundOptions& options) {
    if (!(options.rate > 0 && options.rate <= 1))
        throw Error(ErrorCode::invalid_argument, "background: the rate must be above 0 and at most 1");
    if (options.seconds && !(*options.seconds > 0 && std::isfinite(*options.seconds)))
        throw Error(ErrorCode::invalid_argument, "background: seconds must be above 0");
    return std::make_unique<RunningBackground>(options, std::nullopt);
}

std::unique_ptr<Filter> subtract_median_background(const MedianBackgroundOptions& options) {
    constexpr int kMostSamples = 100000;
    if (options.samples < 1 || options.samples > kMostSamples)
        throw Error(ErrorCode::invalid_argument, "background-median: samples must be from 1 to 100000");
    return std::make_unique<MedianBackground>(options, std::make_shared<LearnedMedian>(options.samples));
}

}  // namespace reelstore
