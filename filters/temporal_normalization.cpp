#include <cmath>
#include <limits>
#include <type_traits>

#include <opencv2/core.hpp>

#include "base/error.h"
#include "filters/sliding_window.h"
#include "filters/temporal.h"
#include "filters/typed_pixels.h"

namespace reelstore {

namespace {

constexpr int kLongestWindow = 1000000;

/// The smallest and the largest finite values: above and below all where there are none.
void set_ends(SlidingFold::State& ends, const cv::Mat& image) {
    ends.resize(2);
    image.copyTo(ends[0]);
    image.copyTo(ends[1]);
    if (all_finite(image)) return;
    const cv::Mat missing = missing_in(without_missing(image).weights);
    // Views of one channel, which masks of cv::Mat::setTo() have.
    cv::Mat(ends[0].reshape(1)).setTo(std::numeric_limits<double>::infinity(), missing);
    cv::Mat(ends[1].reshape(1)).setTo(-std::numeric_limits<double>::infinity(), missing);
}

void widen_ends(SlidingFold::State& ends, const cv::Mat& image) {
    SlidingFold::State other{image, image};
    if (!all_finite(image)) {
        other = {};
        set_ends(other, image);
    }
    cv::min(ends[0], other[0], ends[0]);
    cv::max(ends[1], other[1], ends[1]);
}

SlidingFold::Operation ends_of_values() {
    SlidingFold::Operation operation;
    operation.set = set_ends;
    operation.add = widen_ends;
    operation.join = [](SlidingFold::State& ends, const SlidingFold::State& one, const SlidingFold::State& other) {
        ends.resize(2);
        cv::min(one[0], other[0], ends[0]);
        cv::max(one[1], other[1], ends[1]);
    };
    return operation;
}

/// What is compared: integers as such, floats by halves, whose differences are never infinite.
template <typename Value>
auto comparable(Value value) {
    if constexpr (std::is_floating_point_v<Value>) {
        return value / 2;
    } else {
        return static_cast<int>(value);
    }
}

template <typename Value, typename Result>
cv::Mat spread(const cv::Mat& image, const SlidingFold::State& ends, const PixelwiseRange& range) {
    const auto to_low = static_cast<Result>(range.to_low);
    const auto extent = static_cast<Result>(range.to_high - range.to_low);
    cv::Mat result(image.size(), CV_MAKETYPE(cv::DataType<Result>::depth, image.channels()));
    for (int row = 0; row < image.rows; ++row) {
        const auto* __restrict const values = image.ptr<Value>(row);
        const auto* __restrict const lows = ends[0].ptr<Value>(row);
        const auto* __restrict const highs = ends[1].ptr<Value>(row);
        auto* __restrict const results = result.ptr<Result>(row);
        for_each_value(values_in_row(image), [=](int i) {
            const auto low = comparable(lows[i]);
            const auto high = comparable(highs[i]);
            // Comparisons leave NaN as it is.
            auto value = comparable(values[i]);
            value = value > high ? high : value;
            value = value < low ? low : value;
            // Pixels that do not change lie 0 above their lowest value.
            auto span = high - low;
            span = span > 0 ? span : 1;
            results[i] = static_cast<Result>(value - low) / static_cast<Result>(span) * extent + to_low;
        });
    }
    return result;
}

cv::Mat spread(const cv::Mat& image, const SlidingFold::State& ends, const PixelwiseRange& range) {
    return with_pixel_type(image.depth(), [&](auto value) {
        using Value = decltype(value);
        if constexpr (std::is_same_v<Value, double>) return spread<double, double>(image, ends, range);
        return spread<Value, float>(image, ends, range);
    });
}

/// What a first pass learned, shared by all that use it.
struct LearnedEnds {
    LearnedEnds() : images("normalize-pixelwise") {}
    OneImageType images;
    SlidingFold::State ends;
};

class PixelwiseNormalization : public Filter {
public:
    PixelwiseNormalization(const PixelwiseRange& range, std::shared_ptr<LearnedEnds> learned)
        : range_(range), learned_(std::move(learned)) {}

    bool needs_first_pass() const override { return true; }
    bool each_by_itself() const override { return true; }
    std::unique_ptr<Filter> fresh() const override {
        return std::make_unique<PixelwiseNormalization>(range_, learned_);
    }

    void begin(SourceInfo& info) override {
        const ImageType type = info.image_type;
        Filter::begin(info);
        if (!type.empty())
            info.image_type = {type.height, type.width, type.channels, type.depth == CV_64F ? CV_64F : CV_32F};
    }

    void first_pass(const Frame& frame) override {
        learned_->images.check(frame);
        if (learned_->ends.empty()) {
            set_ends(learned_->ends, frame.image);
        } else {
            widen_ends(learned_->ends, frame.image);
        }
    }

    void push(Frame frame, const Receiver& receiver) override {
        const SlidingFold::State& ends = learned_->ends;
        if (ends.empty()) {
            throw Error(ErrorCode::invalid_argument, {{}, {}, frame.index},
                        "the filter normalize-pixelwise has to see all frames first");
        }
        // Other threads look at the learned type.
        OneImageType(learned_->images).check(frame);
        receiver(
            with_changed_image(std::move(frame), [&](const cv::Mat& image) { return spread(image, ends, range_); }));
    }

private:
    PixelwiseRange range_;
    std::shared_ptr<LearnedEnds> learned_;
};

class SlidingNormalization : public SlidingWindowFilter {
public:
    SlidingNormalization(int half, const PixelwiseRange& range)
        : SlidingWindowFilter("normalize-sliding", half, half), range_(range), fold_(2 * half + 1, ends_of_values()) {}

    std::unique_ptr<Filter> fresh() const override {
        return std::make_unique<SlidingNormalization>(static_cast<int>(before()), range_);
    }

protected:
    cv::Mat taken(int64_t place, const cv::Mat& image) override {
        fold_.add(place, image);
        return image;
    }
    cv::Mat result(const Window& window) override {
        return spread(
            kept(window.center),
            fold_.from(window.first, window.ended, [this](int64_t place) -> const cv::Mat& { return kept(place); }),
            range_);
    }

private:
    PixelwiseRange range_;
    SlidingFold fold_;
};

void check_range(const char* filter, const PixelwiseRange& range) {
    if (std::isfinite(range.to_low) && std::isfinite(range.to_high)) return;
    throw Error(ErrorCode::invalid_argument, std::string(filter) + ": to_low and to_high must be numbers");
}

}  // namespace

std::unique_ptr<Filter> normalize_pixelwise(const PixelwiseRange& range) {
    check_range("normalize-pixelwise", range);
    return std::make_unique<PixelwiseNormalization>(range, std::make_shared<LearnedEnds>());
}

std::unique_ptr<Filter> normalize_pixelwise_sliding(int window, const PixelwiseRange& range) {
    check_range("normalize-sliding", range);
    if (window < 1 || window > kLongestWindow)
        throw Error(ErrorCode::invalid_argument, "normalize-sliding: window must be from 1 to 1000000");
    return std::make_unique<SlidingNormalization>(window / 2, range);
}

}  // namespace reelstore
