#include "filters/blend.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/pixel_type.h"
#include "filters/image_values.h"

namespace reelstore {

namespace {

float cut_off(float value) {
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

using Values = cv::v_float32;

Values all(float value) {
    return cv::vx_setall_f32(value);
}
Values cut_off(const Values& values) {
    return cv::v_max(cv::v_min(values, all(1)), all(0));
}
Values negative(const Values& values) {
    return all(1) - values;
}

// What the modes make of base and top, both from 0 to 1.

struct SoftLight {
    static Values of(const Values& b, const Values& t) {
        return negative(b) * b * t + b * negative(negative(b) * negative(t));
    }
};
struct LightenOnly {
    static Values of(const Values& b, const Values& t) { return cv::v_max(b, t); }
};
struct Screen {
    static Values of(const Values& b, const Values& t) { return negative(negative(b) * negative(t)); }
};
struct Dodge {
    static Values of(const Values& b, const Values& t) {
        // Where the top is white, black stays black.
        return cut_off(b / cv::v_max(negative(t), all(1e-30F)));
    }
};
struct Addition {
    static Values of(const Values& b, const Values& t) { return b + t; }
};
struct DarkenOnly {
    static Values of(const Values& b, const Values& t) { return cv::v_min(b, t); }
};
struct Multiply {
    static Values of(const Values& b, const Values& t) { return b * t; }
};
struct HardLight {
    static Values of(const Values& b, const Values& t) {
        const Values light = negative(negative(b) * negative(all(2) * (t - all(0.5F))));
        return cv::v_select(t > all(0.5F), light, all(2) * b * t);
    }
};
struct Difference {
    static Values of(const Values& b, const Values& t) { return cv::v_absdiff(b, t); }
};
struct Subtract {
    static Values of(const Values& b, const Values& t) { return b - t; }
};
struct GrainExtract {
    static Values of(const Values& b, const Values& t) { return cut_off(b - t + all(0.5F)); }
};
struct GrainMerge {
    static Values of(const Values& b, const Values& t) { return cut_off(b + t - all(0.5F)); }
};
struct Divide {
    static Values of(const Values& b, const Values& t) { return cut_off(all(256) * b / (all(255) * t + all(1))); }
};
struct Overlay {
    static Values of(const Values& b, const Values& t) {
        const Values light = negative(all(2) * negative(b) * negative(t));
        return cv::v_select(b < all(0.5F), all(2) * b * t, light);
    }
};

struct Normal {};

template <typename Mode>
Values mixed(const Values& base, const Values& top, const Values& alpha) {
    const Values b = cut_off(base);
    const Values result = cut_off(b * negative(alpha) + Mode::of(b, cut_off(top)) * alpha);
    // Cutting off makes numbers of NaN.
    return cv::v_select(cv::v_not_nan(base), cv::v_select(alpha > all(0), result, b), base);
}

template <>
Values mixed<Normal>(const Values& base, const Values& top, const Values& alpha) {
    // Infinity times 0 would be none.
    const Values covered = cv::v_select(alpha < all(1), base * negative(alpha) + top * alpha, top);
    return cv::v_select(alpha > all(0), covered, base);
}

/// Values are worked on in runs of this length, which is a multiple of what fits into a register.
constexpr int kRun = 64;

template <typename Mode>
void mix_run(const float* base, const float* top, const float* alpha, float* result) {
    for (int i = 0; i < kRun; i += Values::nlanes)
        cv::v_store(result + i, mixed<Mode>(cv::vx_load(base + i), cv::vx_load(top + i), cv::vx_load(alpha + i)));
}

using MixRun = void (*)(const float*, const float*, const float*, float*);

MixRun mix_run_of(BlendMode mode) {
    // In the order of BlendMode.
    static constexpr std::array<MixRun, 15> runs = {
        mix_run<Normal>,   mix_run<SoftLight>,    mix_run<LightenOnly>, mix_run<Screen>,    mix_run<Dodge>,
        mix_run<Addition>, mix_run<DarkenOnly>,   mix_run<Multiply>,    mix_run<HardLight>, mix_run<Difference>,
        mix_run<Subtract>, mix_run<GrainExtract>, mix_run<GrainMerge>,  mix_run<Divide>,    mix_run<Overlay>,
    };
    return runs.at(static_cast<size_t>(mode));
}

/// One row of a layer as floats from 0 (black) to 1 (white), its colours apart from its alpha.
class LayerRow {
public:
    LayerRow(const cv::Mat& image, int colors) : image_(image), colors_(colors), scale_(1 / white_of(image.depth())) {
        const size_t runs = (image.cols * static_cast<size_t>(colors) + kRun - 1) / kRun;
        values_.resize(runs * kRun);
        if (image.channels() == 4) alpha_.resize(static_cast<size_t>(image.cols));
    }

    void read(int row) {
        const int channels = image_.channels();
        const cv::Mat line = image_.row(row).reshape(1);
        if (channels == colors_) {
            cv::Mat values(1, line.cols, CV_32F, values_.data());
            line.convertTo(values, CV_32F, scale_);
            return;
        }
        line.convertTo(interleaved_, CV_32F, scale_);
        const auto* from = interleaved_.ptr<float>();
        float* to = values_.data();
        for (int column = 0; column < image_.cols; ++column, from += channels, to += colors_) {
            for (int color = 0; color < colors_; ++color) to[color] = from[channels == 1 ? 0 : color];
            if (channels == 4) alpha_[static_cast<size_t>(column)] = from[3];
        }
    }

    float* values() { return values_.data(); }
    /// Null: opaque.
    const float* alpha() const { return alpha_.empty() ? nullptr : alpha_.data(); }

private:
    const cv::Mat& image_;
    int colors_;
    double scale_;
    cv::Mat interleaved_;
    std::vector<float> values_;
    std::vector<float> alpha_;
};

bool has_color(const cv::Mat& image) {
    return image.channels() > 1;
}

class Blending {
public:
    Blending(const cv::Mat& base, const cv::Mat& top, const BlendOptions& options, const cv::Mat& alpha)
        : options_(options),
          mask_(alpha),
          colors_(has_color(base) || has_color(top) ? 3 : 1),
          base_(base, colors_),
          top_(top, colors_),
          floats_(top.depth() == CV_32F),
          result_(base.size(), CV_MAKETYPE(base.depth(), base.channels() == 4 ? 4 : colors_)),
          line_(1, base.cols * result_.channels(), CV_32F),
          weights_(static_cast<size_t>(base.cols)),
          result_alpha_(static_cast<size_t>(base.cols)) {
        const size_t runs = (base.cols * static_cast<size_t>(colors_) + kRun - 1) / kRun;
        value_weights_.resize(runs * kRun);
        mixed_.resize(runs * kRun);
    }

    cv::Mat operator()() {
        const MixRun mix = mix_run_of(options_.mode);
        for (int row = 0; row < result_.rows; ++row) {
            base_.read(row);
            top_.read(row);
            weigh(row);
            for (size_t i = 0; i < mixed_.size(); i += kRun)
                mix(base_.values() + i, top_.values() + i, value_weights_.data() + i, mixed_.data() + i);
            write(row);
        }
        return result_;
    }

private:
    /// How much of the blended values there is in each pixel, and the alpha of the result.
    void weigh(int row) {
        const float* const mask = mask_.empty() ? nullptr : mask_.ptr<float>(row);
        const float* const base_alpha = base_.alpha();
        const auto opacity = static_cast<float>(options_.opacity);
        for (size_t pixel = 0; pixel < weights_.size(); ++pixel) {
            float alpha = top_.alpha() ? top_.alpha()[pixel] : 1;
            if (mask) alpha *= mask[pixel];
            // Written so that NaN fails.
            alpha = alpha > 0 ? std::min(alpha, 1.0F) : 0;
            if (floats_ && is_nan(pixel)) alpha = 0;
            float weight = alpha * opacity;
            if (base_alpha) {
                const float below = base_alpha[pixel] > 0 ? std::min(base_alpha[pixel], 1.0F) : 0;
                if (options_.mode != BlendMode::normal) weight = std::min(below, alpha) * opacity;
                const float whole = below + (1 - below) * weight;
                weight = whole > 0 ? weight / whole : 0;
                result_alpha_[pixel] = options_.mode == BlendMode::normal ? whole : base_alpha[pixel];
            }
            weights_[pixel] = weight;
        }
        for (size_t i = 0; i < weights_.size(); ++i) {
            for (int color = 0; color < colors_; ++color)
                value_weights_[i * static_cast<size_t>(colors_) + static_cast<size_t>(color)] = weights_[i];
        }
    }

    /// Whether the top shows nothing there; its NaN become 0.
    bool is_nan(size_t pixel) {
        float* const values = top_.values() + pixel * static_cast<size_t>(colors_);
        bool found = false;
        for (int color = 0; color < colors_; ++color) found = found || std::isnan(values[color]);
        if (found) std::fill_n(values, colors_, 0.0F);
        return found;
    }

    void write(int row) {
        const size_t colors = static_cast<size_t>(colors_);
        // OpenCV takes floats beyond 32 bits for 0 where it makes integers.
        if (floats_ && result_.depth() != CV_32F)
            std::transform(mixed_.begin(), mixed_.end(), mixed_.begin(), [](float value) { return cut_off(value); });
        cv::Mat line(1, line_.cols, CV_32F, mixed_.data());
        if (result_.channels() != colors_) {
            line = line_;
            auto* to = line.ptr<float>();
            for (size_t pixel = 0; pixel < weights_.size(); ++pixel, to += 4) {
                std::copy_n(&mixed_[pixel * colors], colors, to);
                to[3] = result_alpha_[pixel];
            }
        }
        cv::Mat target = result_.row(row).reshape(1);
        line.convertTo(target, result_.depth(), white_of(result_.depth()));
    }

    const BlendOptions options_;
    const cv::Mat& mask_;
    int colors_;  ///< channels without alpha
    LayerRow base_;
    LayerRow top_;
    bool floats_;
    cv::Mat result_;
    cv::Mat line_;
    std::vector<float> weights_;        ///< one a pixel
    std::vector<float> value_weights_;  ///< the same, one a value
    std::vector<float> result_alpha_;
    std::vector<float> mixed_;
};

void check_layer(const cv::Mat& image) {
    const int depth = image.depth();
    const int channels = image.channels();
    if ((depth == CV_8U || depth == CV_16U || depth == CV_32F) && (channels == 1 || channels == 3 || channels == 4))
        return;
    throw Error(ErrorCode::wrong_type,
                fmt::format("{} cannot be laid over another or under it: only uint8, uint16 and float32 can, with 1, 3 "
                            "or 4 channels (the filters normalize and color make them)",
                            ImageType::of(image).text()));
}

}  // namespace

const std::vector<std::string>& blend_mode_names() {
    static const std::vector<std::string> names = {"normal",      "soft-light", "lighten-only", "screen",
                                                   "dodge",       "addition",   "darken-only",  "multiply",
                                                   "hard-light",  "difference", "subtract",     "grain-extract",
                                                   "grain-merge", "divide",     "overlay"};
    return names;
}

BlendMode blend_mode_of(const std::string& name) {
    const std::vector<std::string>& names = blend_mode_names();
    std::string hyphened = name;
    std::replace(hyphened.begin(), hyphened.end(), '_', '-');
    const auto found = std::find(names.begin(), names.end(), hyphened);
    if (found != names.end()) return static_cast<BlendMode>(found - names.begin());
    const std::string nearest = nearest_name(hyphened, names);
    throw Error(ErrorCode::invalid_argument,
                fmt::format("there is no blend mode \"{}\"{}; there are {}", name,
                            nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest), fmt::join(names, ", ")));
}

cv::Mat blend(const cv::Mat& base, const cv::Mat& top, const BlendOptions& options, const cv::Mat& alpha) {
    if (!(options.opacity >= 0 && options.opacity <= 1))
        throw Error(ErrorCode::invalid_argument, "an opacity lies from 0 to 1");
    check_layer(base);
    check_layer(top);
    if (base.size() != top.size()) {
        throw Error(ErrorCode::wrong_type, fmt::format("images of different sizes cannot be blended: {} and {}",
                                                       ImageType::of(base).text(), ImageType::of(top).text()));
    }
    if (!alpha.empty() && (alpha.type() != CV_32FC1 || alpha.size() != base.size())) {
        throw Error(ErrorCode::wrong_type, fmt::format("{} is no alpha for {}: it has one float32 for each pixel",
                                                       ImageType::of(alpha).text(), ImageType::of(base).text()));
    }
    const bool plain = options.mode == BlendMode::normal && alpha.empty() && base.type() == top.type() &&
                       base.channels() != 4 && base.depth() != CV_32F;
    if (!plain) return Blending(base, top, options, alpha)();
    if (options.opacity == 1) return top;
    cv::Mat result;
    cv::addWeighted(base, 1 - options.opacity, top, options.opacity, 0, result);
    return result;
}

}  // namespace reelstore
