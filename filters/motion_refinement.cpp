#include "filters/motion_refinement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <opencv2/core/hal/intrin.hpp>
#include <opencv2/imgproc.hpp>

namespace reelstore {

namespace {

/// Below this ratio of the smaller to the larger eigenvalue, the texture has one direction only.
constexpr double kLeastTexture = 1e-3;

/// The motion behind the inverse of `step`, as the inverse compositional algorithm has it.
RigidMotion composed(const RigidMotion& motion, const RigidMotion& step) {
    const double angle = motion.angle - step.angle;
    const double c = std::cos(angle);
    const double s = std::sin(angle);
    return {motion.dx - (c * step.dx + s * step.dy), motion.dy - (-s * step.dx + c * step.dy), angle};
}

/// Weights of four neighbours in a row by Keys' cubic convolution (a = -0.5), for places between the two in the middle.
/// Finer than OpenCV's, which know 32 places: those would be seen in the result.
class CubicWeights {
public:
    CubicWeights() {
        for (int i = 0; i <= kPlaces; ++i) {
            const double t = static_cast<double>(i) / kPlaces;
            const std::array<double, 4> weights = {((-0.5 * t + 1) * t - 0.5) * t, (1.5 * t - 2.5) * t * t + 1,
                                                   ((-1.5 * t + 2) * t + 0.5) * t, (0.5 * t - 0.5) * t * t};
            for (size_t k = 0; k < weights.size(); ++k)
                table_[static_cast<size_t>(i)][k] = static_cast<float>(weights[k]);
        }
    }
    /// `part`: 0 to 1.
    const float* at(double part) const { return table_[static_cast<size_t>(part * kPlaces + 0.5)].data(); }

private:
    static constexpr int kPlaces = 2048;
    std::array<std::array<float, 4>, kPlaces + 1> table_ = {};
};

/// The value of a float32 image between pixels, of which two lie on each side.
float value_between(const cv::Mat& image, double x, double y, const CubicWeights& weights) {
    const int left = static_cast<int>(x);
    const int top = static_cast<int>(y);
    const cv::v_float32x4 across = cv::v_load(weights.at(x - left));
    const float* const down = weights.at(y - top);
    const auto row = [&](int i) { return cv::v_load(image.ptr<float>(top + i) + left - 1); };
    const cv::v_float32x4 column = row(-1) * cv::v_setall_f32(down[0]) + row(0) * cv::v_setall_f32(down[1]) +
                                   row(1) * cv::v_setall_f32(down[2]) + row(2) * cv::v_setall_f32(down[3]);
    return cv::v_reduce_sum(column * across);
}

/// What one step of least squares adds up: motion, contrast and brightness.
constexpr size_t kUnknowns = 5;
struct Normal {
    std::array<double, kUnknowns* kUnknowns> matrix = {};
    std::array<double, kUnknowns> right = {};
    int64_t pixels = 0;
};

class Refinement {
public:
    Refinement(const MotionLevel& a, const MotionLevel& b) : a_(a), b_(b), size_(a.image.size()) {}

    /// Goes on from `motion`; nothing where there is too little to go by.
    std::optional<RigidMotion> operator()(RigidMotion motion, int most_steps) {
        constexpr double kSmallStep = 2e-3;  // pixels
        const double radius = std::hypot(size_.width, size_.height) / 4;
        scale_ = 0;
        for (int step = 0; step < most_steps; ++step) {
            const std::optional<RigidMotion> change = next(motion);
            if (!change) return std::nullopt;
            motion = composed(motion, *change);
            if (std::max({std::abs(change->dx), std::abs(change->dy), std::abs(change->angle) * radius}) < kSmallStep)
                break;
        }
        return motion;
    }

    /// Correlation where both are known.
    double correlation(const RigidMotion& motion) {
        take_back(motion);
        double n = 0, sum_a = 0, sum_b = 0, aa = 0, bb = 0, ab = 0;
        each_row(motion, [&](int y, int begin, int end) {
            const auto* const pa = a_.image.ptr<float>(y);
            const auto* const pb = moved_.ptr<float>(y);
            for (int x = begin; x < end; ++x) {
                const auto va = static_cast<double>(pa[x]);
                const auto vb = static_cast<double>(pb[x]);
                n += 1;
                sum_a += va;
                sum_b += vb;
                aa += va * va;
                bb += vb * vb;
                ab += va * vb;
            }
        });
        const double spread = (aa - sum_a * sum_a / n) * (bb - sum_b * sum_b / n);
        return n > 1 && spread > 0 ? (ab - sum_a * sum_b / n) / std::sqrt(spread) : 0;
    }

    /// Part of the image that is known in both.
    double overlap(const RigidMotion& motion) const {
        double pixels = 0;
        each_row(motion, [&](int, int begin, int end) { pixels += end - begin; });
        return pixels / static_cast<double>(size_.area());
    }

private:
    static constexpr size_t kSums = kUnknowns * (kUnknowns + 1) / 2 + kUnknowns;
    static constexpr int kMargin = 3;  ///< pixels at the sides that smoothing and interpolation reach over

    /// The pixels of each row that lie within the other image too.
    template <typename Visit>
    void each_row(const RigidMotion& motion, Visit visit) const {
        const cv::Matx23d m = matrix_of(motion, size_);
        for (int y = kMargin; y < size_.height - kMargin; ++y) {
            double begin = kMargin;
            double end = size_.width - 1 - kMargin;
            cut(m(0, 0), m(0, 1) * y + m(0, 2), size_.width, begin, end);
            cut(m(1, 0), m(1, 1) * y + m(1, 2), size_.height, begin, end);
            const int first = static_cast<int>(std::ceil(begin));
            const int last = static_cast<int>(std::floor(end));
            if (first <= last) visit(y, first, last + 1);
        }
    }

    /// The x for which slope x + offset lies within a side, less the margin.
    static void cut(double slope, double offset, int side, double& begin, double& end) {
        const double low = kMargin - offset;
        const double high = side - 1 - kMargin - offset;
        if (std::abs(slope) < 1e-12) {
            if (low > 0 || high < 0) end = begin - 1;
            return;
        }
        begin = std::max(begin, std::min(low / slope, high / slope));
        end = std::min(end, std::max(low / slope, high / slope));
    }

    std::optional<RigidMotion> next(const RigidMotion& motion) {
        take_back(motion);
        Normal normal = sums(motion);
        constexpr int64_t kFewestPixels = 30;
        if (normal.pixels < kFewestPixels || !has_texture(normal)) return std::nullopt;
        if (!turning_shows(normal)) leave_angle(normal);
        cv::Mat matrix(int{kUnknowns}, int{kUnknowns}, CV_64F, normal.matrix.data());
        cv::Mat right(int{kUnknowns}, 1, CV_64F, normal.right.data());
        cv::Mat solution;
        if (!cv::solve(matrix, right, solution, cv::DECOMP_CHOLESKY)) return std::nullopt;
        gain_ = solution.at<double>(3);
        offset_ = solution.at<double>(4);
        scale_ = residual_scale(motion, solution);
        return RigidMotion{solution.at<double>(0), solution.at<double>(1), solution.at<double>(2)};
    }

    /// The other image where this one's pixels are in it.
    void take_back(const RigidMotion& motion) {
        static const CubicWeights kWeights;
        const cv::Matx23d m = matrix_of(motion, size_);
        moved_.create(size_, CV_32F);
        each_row(motion, [&](int y, int begin, int end) {
            auto* const to = moved_.ptr<float>(y);
            for (int x = begin; x < end; ++x) {
                to[x] = value_between(b_.image, m(0, 0) * x + m(0, 1) * y + m(0, 2),
                                      m(1, 0) * x + m(1, 1) * y + m(1, 2), kWeights);
            }
        });
    }

    /// Whether a turn could not be taken for a shift: a single round spot looks the same turned.
    bool turning_shows(const Normal& normal) const {
        constexpr double kLeast = 1e-4;
        const auto at = [&](size_t i, size_t j) { return normal.matrix[i * kUnknowns + j]; };
        const double determinant = at(0, 0) * at(1, 1) - at(0, 1) * at(0, 1);
        const double explained =
            (at(0, 2) * at(0, 2) * at(1, 1) - 2 * at(0, 2) * at(1, 2) * at(0, 1) + at(1, 2) * at(1, 2) * at(0, 0)) /
            determinant;
        const double radius =
            (static_cast<double>(size_.width) * size_.width + static_cast<double>(size_.height) * size_.height) / 12;
        return at(2, 2) - explained > kLeast * radius * (at(0, 0) + at(1, 1)) / 2;
    }
    static void leave_angle(Normal& normal) {
        constexpr size_t kAngle = 2;
        for (size_t i = 0; i < kUnknowns; ++i)
            normal.matrix[i * kUnknowns + kAngle] = normal.matrix[kAngle * kUnknowns + i] = 0;
        normal.matrix[kAngle * kUnknowns + kAngle] = 1;
        normal.right[kAngle] = 0;
    }

    static bool has_texture(const Normal& normal) {
        const double xx = normal.matrix[0];
        const double xy = normal.matrix[1];
        const double yy = normal.matrix[kUnknowns + 1];
        const double half = (xx + yy) / 2;
        const double root = std::sqrt((xx - yy) * (xx - yy) / 4 + xy * xy);
        return half > 0 && half - root > kLeastTexture * (half + root);
    }

    /// moved - a = slopes * step + gain a + offset, each pixel with the weight its last difference gives it.
    Normal sums(const RigidMotion& motion) const {
        Normal normal;
        std::array<double, kSums> totals = {};
        each_row(motion, [&](int y, int begin, int end) {
            normal.pixels += end - begin;
            add_row(y, begin, end, totals);
        });
        size_t place = 0;
        for (size_t i = 0; i < kUnknowns; ++i) {
            for (size_t j = i; j < kUnknowns; ++j)
                normal.matrix[i * kUnknowns + j] = normal.matrix[j * kUnknowns + i] = totals[place++];
            normal.right[i] = totals[place++];
        }
        return normal;
    }

    /// Four pixels at a time, in single precision within a row; those that are too many weigh nothing.
    void add_row(int y, int begin, int end, std::array<double, kSums>& totals) const {
        constexpr int kLanes = cv::v_float32x4::nlanes;
        const auto all = [](double value) { return cv::v_setall_f32(static_cast<float>(value)); };
        const cv::v_float32x4 below = all(y - (size_.height - 1) / 2.0);
        const cv::v_float32x4 one = all(1);
        const cv::v_float32x4 gain = all(gain_);
        const cv::v_float32x4 offset = all(offset_);
        const cv::v_float32x4 sharpness = all(scale_ > 0 ? 1 / (kLimit * scale_) : 0);
        const cv::v_float32x4 lanes(0, 1, 2, 3);
        const float* const a = a_.image.ptr<float>(y);
        const float* const b = moved_.ptr<float>(y);
        const float* const slope_x = a_.slope_x.ptr<float>(y);
        const float* const slope_y = a_.slope_y.ptr<float>(y);
        const float* const known = a_.known.empty() ? nullptr : a_.known.ptr<float>(y);
        std::array<cv::v_float32x4, kSums> sums;
        sums.fill(cv::v_setzero_f32());
        // The last pixels of a row are taken together with some before them, so that nothing behind the row is read.
        for (int x = begin; x < end; x += kLanes) {
            const int from = std::max(0, std::min(x, end - kLanes));
            const cv::v_float32x4 places = all(from) + lanes;
            const cv::v_float32x4 inside = (places >= all(x)) & (places < all(end));
            const cv::v_float32x4 value = cv::v_load(a + from);
            // What was not taken back is not known, and may be NaN.
            const cv::v_float32x4 difference = (cv::v_load(b + from) - value) & inside;
            const cv::v_float32x4 rest = (difference - gain * value - offset) * sharpness;
            cv::v_float32x4 weight = (one / (one + rest * rest)) & inside;
            if (known) weight = weight * cv::v_load(known + from);
            const cv::v_float32x4 gx = cv::v_load(slope_x + from);
            const cv::v_float32x4 gy = cv::v_load(slope_y + from);
            const cv::v_float32x4 turn = gx * below - gy * (places - all((size_.width - 1) / 2.0));
            const std::array<cv::v_float32x4, kUnknowns> row = {gx, gy, turn, value, one};
            size_t place = 0;
            for (size_t i = 0; i < kUnknowns; ++i) {
                const cv::v_float32x4 weighted = weight * row[i];
                for (size_t j = i; j < kUnknowns; ++j) sums[place++] += weighted * row[j];
                sums[place++] += weighted * difference;
            }
        }
        for (size_t i = 0; i < kSums; ++i) totals[i] += static_cast<double>(cv::v_reduce_sum(sums[i]));
    }

    /// Median absolute difference, of every few pixels.
    double residual_scale(const RigidMotion& motion, const cv::Mat& solution) const {
        const int apart = std::max(1, size_.area() / 20000);
        const double middle_x = (size_.width - 1) / 2.0;
        const double middle_y = (size_.height - 1) / 2.0;
        std::vector<float> differences;
        int passed = 0;
        each_row(motion, [&](int y, int begin, int end) {
            for (int x = begin; x < end; ++x) {
                if (++passed % apart != 0 || (!a_.known.empty() && a_.known.at<float>(y, x) == 0)) continue;
                const auto value = static_cast<double>(a_.image.at<float>(y, x));
                const auto gx = static_cast<double>(a_.slope_x.at<float>(y, x));
                const auto gy = static_cast<double>(a_.slope_y.at<float>(y, x));
                const double turn = gx * (y - middle_y) - gy * (x - middle_x);
                const double expected = gx * solution.at<double>(0) + gy * solution.at<double>(1) +
                                        turn * solution.at<double>(2) + gain_ * value + offset_;
                differences.push_back(
                    static_cast<float>(std::abs(static_cast<double>(moved_.at<float>(y, x)) - value - expected)));
            }
        });
        if (differences.empty()) return 0;
        const auto middle = differences.begin() + static_cast<ptrdiff_t>(differences.size() / 2);
        std::nth_element(differences.begin(), middle, differences.end());
        constexpr double kOfNormal = 1.4826;
        constexpr double kLeastScale = 1e-4;  // of the image's standard deviation
        return std::max(kOfNormal * static_cast<double>(*middle), kLeastScale);
    }

    static constexpr double kLimit = 2.385;  ///< Cauchy's weights, 95 % efficient for normal noise

    const MotionLevel& a_;
    const MotionLevel& b_;
    cv::Size size_;
    cv::Mat moved_;
    double scale_ = 0;  ///< of the differences left; 0: not known yet
    double gain_ = 0;
    double offset_ = 0;
};

}  // namespace

cv::Matx23d matrix_of(const RigidMotion& motion, const cv::Size& size) {
    const double x = (size.width - 1) / 2.0;
    const double y = (size.height - 1) / 2.0;
    const double c = std::cos(motion.angle);
    const double s = std::sin(motion.angle);
    return {c, s, x - c * x - s * y + motion.dx, -s, c, y + s * x - c * y + motion.dy};
}

cv::Mat taken_back(const cv::Mat& image, const RigidMotion& motion) {
    cv::Mat result;
    cv::warpAffine(image, result, matrix_of(motion, image.size()), image.size(),
                   cv::INTER_LINEAR | cv::WARP_INVERSE_MAP, cv::BORDER_CONSTANT);
    return result;
}

MotionLevel make_motion_level(const cv::Mat& image, const cv::Mat& known) {
    constexpr double kSigma = 1;
    MotionLevel level;
    if (!known.empty()) {
        constexpr int kNear = 9;
        cv::Mat inner;
        cv::erode(known > 0.99, inner, cv::Mat::ones(kNear, kNear, CV_8U));
        inner.convertTo(level.known, CV_32F, 1.0 / 255);
    }
    cv::GaussianBlur(image, level.image, {}, kSigma, kSigma, cv::BORDER_REFLECT);
    // Central differences of five points, exact for cubic curves.
    const cv::Mat kernel = (cv::Mat_<float>(1, 5) << 1.0 / 12, -8.0 / 12, 0, 8.0 / 12, -1.0 / 12);
    cv::filter2D(level.image, level.slope_x, CV_32F, kernel);
    cv::filter2D(level.image, level.slope_y, CV_32F, kernel.t());
    return level;
}

std::optional<RigidMotion> refined_motion(const MotionLevel& a, const MotionLevel& b, const RigidMotion& start,
                                          int most_steps) {
    return Refinement(a, b)(start, most_steps);
}

double overlap(const MotionLevel& a, const RigidMotion& motion) {
    return Refinement(a, a).overlap(motion);
}

double correlation(const MotionLevel& a, const MotionLevel& b, const RigidMotion& motion) {
    return Refinement(a, b).correlation(motion);
}

}  // namespace reelstore
