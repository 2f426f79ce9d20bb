#include "filters/overlay.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/image_values.h"

namespace reelstore {

namespace {

/// A smoothstep with its coefficients worked out.
class Ramp {
public:
    Ramp(double low, double high, int order) : low_(low), factor_(1 / (high - low)) {
        if (!std::isfinite(low) || !std::isfinite(high) || low == high)
            throw Error(ErrorCode::invalid_argument, "alpha needs two different values, from which on it is 0 and 1");
        if (order < 0 || order > kMostSmoothOrder) {
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("the order of smoothstep goes from 0 to {}, not {}", kMostSmoothOrder, order));
        }
        // x^(N+1) * sum over n of C(N+n, n) * C(2N+1, N-n) * (-x)^n.
        for (int n = 0; n <= order; ++n) {
            const double sign = n % 2 == 0 ? 1 : -1;
            coefficients_.push_back(sign * binomial(order + n, n) * binomial(2 * order + 1, order - n));
        }
    }

    double operator()(double value) const {
        const double x = (value - low_) * factor_;
        // Written so that NaN fails.
        if (!(x > 0)) return 0;
        if (x >= 1) return 1;
        double sum = 0;
        for (size_t n = coefficients_.size(); n-- > 0;) sum = sum * x + coefficients_[n];
        for (size_t n = 0; n < coefficients_.size(); ++n) sum *= x;
        return std::clamp(sum, 0.0, 1.0);
    }

private:
    static double binomial(int n, int k) {
        double result = 1;
        for (int i = 1; i <= k; ++i) result = result * (n - k + i) / i;
        return result;
    }

    double low_;
    double factor_;
    std::vector<double> coefficients_;
};

/// Alpha from 0 to 1 (float32) of gray values.
cv::Mat alpha_of(const cv::Mat& values, const std::optional<Ramp>& ramp) {
    cv::Mat alpha(values.size(), CV_32F, cv::Scalar(1));
    const bool floats = values.depth() == CV_32F || values.depth() == CV_64F || values.depth() == CV_16F;
    if (!ramp && !floats) return alpha;
    const auto one = [&ramp](double value) -> float {
        if (std::isnan(value)) return 0;
        return ramp ? static_cast<float>((*ramp)(value)) : 1;
    };
    if (values.depth() == CV_8U) {
        cv::Mat table(1, 256, CV_32F);
        for (int value = 0; value < 256; ++value) table.at<float>(value) = one(value);
        cv::LUT(values, table, alpha);
        return alpha;
    }
    cv::Mat line;
    for (int row = 0; row < values.rows; ++row) {
        values.row(row).convertTo(line, CV_64F);
        const auto* from = line.ptr<double>();
        auto* to = alpha.ptr<float>(row);
        for (int column = 0; column < values.cols; ++column) to[column] = one(from[column]);
    }
    return alpha;
}

/// uint8, uint16 or float32 with 3 or 4 channels, to which an alpha channel can be given.
cv::Mat color_of(const cv::Mat& image) {
    const int depth = image.depth();
    const bool known = depth == CV_8U || depth == CV_16U || depth == CV_32F;
    if (!known || (image.channels() != 1 && image.channels() != 3 && image.channels() != 4)) {
        throw Error(ErrorCode::wrong_type, fmt::format("{} cannot get an alpha channel: only uint8, uint16 and float32 "
                                                       "with 1, 3 or 4 channels can (a colormap makes them)",
                                                       ImageType::of(image).text()));
    }
    if (image.channels() != 1) return image;
    cv::Mat color;
    cv::cvtColor(image, color, cv::COLOR_GRAY2BGR);
    return color;
}

/// BGRA of a colour image; an alpha channel it has is multiplied.
cv::Mat with_channel(const cv::Mat& image, cv::Mat alpha) {
    const cv::Mat color = color_of(image);
    const double white = white_of(color.depth());
    cv::Mat own;
    if (color.channels() == 4) {
        cv::extractChannel(color, own, 3);
        own.convertTo(own, CV_32F, 1 / white);
        cv::multiply(alpha, own, alpha);
    }
    cv::Mat channel;
    alpha.convertTo(channel, color.depth(), white);
    cv::Mat result(color.size(), CV_MAKETYPE(color.depth(), 4));
    const std::vector<cv::Mat> parts = {color, channel};
    const int from_to[] = {0, 0, 1, 1, 2, 2, color.channels(), 3};
    cv::mixChannels(parts.data(), parts.size(), &result, 1, from_to, 4);
    return result;
}

class AlphaFilter : public Filter {
public:
    AlphaFilter(std::optional<Ramp> ramp, std::unique_ptr<Filter> shown_as)
        : ramp_(std::move(ramp)), shown_as_(std::move(shown_as)) {}

    void begin(SourceInfo& info) override {
        if (shown_as_) shown_as_->begin(info);
        if (!info.image_type.empty()) info.image_type.channels = 4;
        info.encoding.clear();
    }
    void push(Frame frame, const Receiver& receiver) override {
        const cv::Mat values = frame.image;
        const std::shared_ptr<const void> owner = frame.owner;  // of the values
        if (!shown_as_) return receiver(changed(std::move(frame), values));
        shown_as_->push(std::move(frame), [&](Frame shown) { receiver(changed(std::move(shown), values)); });
    }
    bool each_by_itself() const override { return true; }
    std::unique_ptr<Filter> fresh() const override {
        std::unique_ptr<Filter> inner = shown_as_ ? shown_as_->fresh() : nullptr;
        if (shown_as_ && !inner) return nullptr;
        return std::make_unique<AlphaFilter>(ramp_, std::move(inner));
    }
    bool needs_first_pass() const override { return shown_as_ && shown_as_->needs_first_pass(); }
    void first_pass(const Frame& frame) override {
        if (shown_as_) shown_as_->first_pass(frame);
    }
    void end_first_pass() override {
        if (shown_as_) shown_as_->end_first_pass();
    }

private:
    Frame changed(Frame shown, const cv::Mat& values) const {
        return with_changed_image(std::move(shown), [&](const cv::Mat& image) {
            if (image.size() != values.size()) {
                throw Error(ErrorCode::wrong_type,
                            fmt::format("alpha of {} does not fit {}, which is shown for it",
                                        ImageType::of(values).text(), ImageType::of(image).text()));
            }
            return with_channel(image, alpha_of(in_gray(values), ramp_));
        });
    }

    std::optional<Ramp> ramp_;
    std::unique_ptr<Filter> shown_as_;
};

cv::Mat resized(const cv::Mat& image, cv::Size size) {
    if (image.size() == size) return image;
    // Nothing that overshoots, which alpha could not take.
    const bool smaller = size.width <= image.cols && size.height <= image.rows;
    cv::Mat result;
    cv::resize(image, result, size, 0, 0, smaller ? cv::INTER_AREA : cv::INTER_LINEAR);
    return result;
}

/// One float32 a pixel, 0 to 1; NaN stays, for blend().
cv::Mat mask_values(const cv::Mat& image) {
    const int depth = image.depth();
    if (depth != CV_8U && depth != CV_16U && depth != CV_32F) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("{} is no alpha: only uint8, uint16 and float32 are (the filter normalize makes them)",
                                ImageType::of(image).text()));
    }
    cv::Mat values;
    in_gray(image).convertTo(values, CV_32F, 1 / white_of(depth));
    return values;
}

/// Lays frames over each other.
class Overlaying {
public:
    Overlaying(const OverlayOptions& options, bool in_color)
        : options_(options), blending_{options.mode, options.opacity}, in_color_(in_color) {
        if (!(options.opacity >= 0 && options.opacity <= 1))
            throw Error(ErrorCode::invalid_argument, "the opacity of an overlay lies from 0 to 1");
        constexpr double kLargestScale = 1000;
        if (!(options.scale >= 1 / kLargestScale && options.scale <= kLargestScale))
            throw Error(ErrorCode::invalid_argument, "the scale of an overlay lies from 0.001 to 1000");
        if (options.fit && (options.scale != 1 || options.position)) {
            throw Error(ErrorCode::invalid_argument,
                        "an overlay is either made as large as the image below, or has a scale and a position");
        }
        if (!options.mask.empty()) mask_ = mask_values(options.mask);
    }

    cv::Mat operator()(std::span<const std::optional<Frame>> frames) const {
        const cv::Mat& base = frames[0]->image;
        const bool missing = std::any_of(frames.begin(), frames.end(), [](const auto& frame) { return !frame; });
        if (missing) return in_color_ && base.channels() == 1 ? in_color(base) : base;
        const cv::Mat& top = frames[1]->image;
        const cv::Size size = placed_size(base, top);
        cv::Mat alpha = scaled(mask_, top.size(), size);
        if (frames.size() > 2) {
            const cv::Mat shown = scaled(mask_values(frames[2]->image), top.size(), size);
            alpha = alpha.empty() ? shown : cv::Mat(alpha.mul(shown));
        }
        return laid_over(base, resized(top, size), alpha);
    }

private:
    static cv::Mat in_color(const cv::Mat& gray) {
        cv::Mat color;
        cv::cvtColor(gray, color, cv::COLOR_GRAY2BGR);
        return color;
    }

    cv::Size placed_size(const cv::Mat& base, const cv::Mat& top) const {
        if (options_.fit) return base.size();
        const auto side = [this](int pixels) { return std::max(1, cvRound(pixels * options_.scale)); };
        const cv::Size size(side(top.cols), side(top.rows));
        if (size.width > kMaxImageSide || size.height > kMaxImageSide) {
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("an overlay of {}x{} is too large", size.width, size.height));
        }
        if (!options_.position && size != base.size()) {
            throw Error(ErrorCode::wrong_type,
                        fmt::format("{} cannot be laid over {}: make it as large (fit), or say where it goes (x, y)",
                                    ImageType::of(top).text(), ImageType::of(base).text()));
        }
        return size;
    }

    /// A mask, which has the size of the top or the one that it gets, in the latter.
    static cv::Mat scaled(const cv::Mat& mask, cv::Size top, cv::Size placed) {
        if (mask.empty() || mask.size() == placed) return mask;
        if (mask.size() == top) return resized(mask, placed);
        throw Error(ErrorCode::wrong_type,
                    fmt::format("alpha of {}x{} pixels (width x height) does not fit an overlay of {}x{}", mask.cols,
                                mask.rows, top.width, top.height));
    }

    cv::Mat laid_over(const cv::Mat& base, const cv::Mat& top, const cv::Mat& alpha) const {
        const cv::Point at = options_.position.value_or(cv::Point());
        const cv::Rect whole(cv::Point(), base.size());
        const cv::Rect placed(at, top.size());
        const cv::Rect shown = placed & whole;
        if (shown == whole && placed == whole) return blend(base, top, blending_, alpha);
        const bool to_color = base.channels() == 1 && (in_color_ || top.channels() > 1);
        cv::Mat result = to_color ? in_color(base) : base.clone();
        if (shown.empty()) return result;
        const cv::Rect part(shown.tl() - at, shown.size());
        cv::Mat target = result(shown);
        blend(target, top(part), blending_, alpha.empty() ? cv::Mat() : alpha(part)).copyTo(target);
        return result;
    }

    OverlayOptions options_;
    BlendOptions blending_;
    bool in_color_;
    cv::Mat mask_;
};

/// Throws what every frame would, where types are known.
void check_fit(const Overlaying& overlaying, const std::vector<ComposedSource>& sources) {
    std::vector<std::optional<Frame>> frames;
    for (const ComposedSource& source : sources) {
        const ImageType& type = source.frames->info().image_type;
        if (type.empty()) return;
        frames.emplace_back(std::in_place);
        frames.back()->image = cv::Mat::zeros(type.height, type.width, type.cv_type());
    }
    overlaying(frames);
}

}  // namespace

double smoothstep(double value, double low, double high, int order) {
    return Ramp(low, high, order)(value);
}

std::unique_ptr<Filter> with_alpha(const std::optional<AlphaRamp>& ramp, std::unique_ptr<Filter> shown_as) {
    if (shown_as && !shown_as->each_by_itself()) {
        throw Error(ErrorCode::invalid_argument,
                    "what is shown for values with alpha must come of a filter that changes each image by itself");
    }
    std::optional<Ramp> steps;
    if (ramp) steps.emplace(ramp->low, ramp->high, ramp->order);
    return std::make_unique<AlphaFilter>(std::move(steps), std::move(shown_as));
}

std::unique_ptr<FrameSource> overlay(ComposedSource base, ComposedSource top, const OverlayOptions& options,
                                     const SyncOptions& sync, std::optional<ComposedSource> alpha) {
    std::vector<ComposedSource> sources;
    sources.push_back(std::move(base));
    sources.push_back(std::move(top));
    if (alpha) sources.push_back(std::move(*alpha));
    const ImageType& top_type = sources[1].frames->info().image_type;
    // So that a frame without the top is of the same type.
    Overlaying overlaying(options, !top_type.empty() && top_type.channels > 1);
    check_fit(overlaying, sources);
    return composed_source(std::move(sources), sync, std::move(overlaying));
}

}  // namespace reelstore
