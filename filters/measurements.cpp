#include "filters/measurements.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/image_values.h"
#include "filters/value_range.h"

namespace reelstore {

namespace {

constexpr double kPi = 3.14159265358979323846;
/// Longest side of the images whose spectra are compared, and of those on which the motion is refined last.
constexpr int kSpectrumSide = 256;
constexpr int kFinestSide = 720;
/// Shortest side of images in which anything can be told.
constexpr int kLeastSide = 8;
/// A peak of phase correlation this many standard deviations high does not come by chance.
constexpr double kSurePeak = 7;
/// Half turns are divided into so many steps by the polar spectra.
constexpr int kAngles = 512;
constexpr int kAngleCandidates = 3;
/// Below this ratio of the smaller to the larger eigenvalue, the texture has one direction only.
constexpr double kLeastTexture = 1e-3;

template <typename Step>
auto with_opencv(Step step) {
    try {
        return step();
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal, "cannot compare images: " + error.err);
    }
}

void check_sizes(const cv::Mat& a, const cv::Mat& b) {
    if (a.size() == b.size()) return;
    throw Error(ErrorCode::wrong_type,
                "images of " + ImageType::of(a).text() + " and " + ImageType::of(b).text() + " cannot be compared");
}

/// float32 without NaN and infinite values, which become the mean of the others; that becomes 0 and the standard
/// deviation 1. Empty where all values are equal.
cv::Mat standardized(const cv::Mat& image) {
    cv::Mat values;
    image.convertTo(values, CV_64F);
    cv::Mat finite;
    cv::compare(cv::abs(values), std::numeric_limits<double>::max(), finite, cv::CMP_LE);
    if (cv::countNonZero(finite) == 0) return {};
    cv::Scalar mean;
    cv::Scalar deviation;
    cv::meanStdDev(values, mean, deviation, finite);
    // What rounding leaves of equal values is none.
    if (!(deviation[0] > 1e-12 * std::abs(mean[0]))) return {};
    values.setTo(mean, ~finite);
    cv::Mat result;
    values.convertTo(result, CV_32F, 1 / deviation[0], -mean[0] / deviation[0]);
    return result;
}

cv::Mat luma(const cv::Mat& image) {
    if (image.channels() == 1) return image;
    if (image.channels() != 3 && image.channels() != 4) throw wrong_type(image, "motion", "gray images and colour");
    cv::Mat values = image;
    if (image.depth() != CV_8U && image.depth() != CV_16U) image.convertTo(values, CV_32F);
    cv::Mat gray;
    cv::cvtColor(values, gray, image.channels() == 3 ? cv::COLOR_BGR2GRAY : cv::COLOR_BGRA2GRAY);
    return gray;
}

// Motions as matrices --------------------------------------------------------------------------------------------

/// A motion about the middle of images of some size.
struct Motion {
    double dx = 0;
    double dy = 0;
    double angle = 0;  // counterclockwise as seen, in radians
};

/// From places in the first image to those in the second.
cv::Matx23d matrix_of(const Motion& motion, const cv::Size& size) {
    const double x = (size.width - 1) / 2.0;
    const double y = (size.height - 1) / 2.0;
    const double c = std::cos(motion.angle);
    const double s = std::sin(motion.angle);
    return {c, s, x - c * x - s * y + motion.dx, -s, c, y + s * x - c * y + motion.dy};
}

/// `image` with the motion taken away; what is not known becomes 0, the mean.
cv::Mat taken_back(const cv::Mat& image, const Motion& motion, int interpolation) {
    cv::Mat result;
    cv::warpAffine(image, result, matrix_of(motion, image.size()), image.size(), interpolation | cv::WARP_INVERSE_MAP,
                   cv::BORDER_CONSTANT);
    return result;
}

/// The motion behind the inverse of `step`, as the inverse compositional algorithm has it.
Motion composed(const Motion& motion, const Motion& step) {
    const double angle = motion.angle - step.angle;
    const double c = std::cos(angle);
    const double s = std::sin(angle);
    return {motion.dx - (c * step.dx + s * step.dy), motion.dy - (-s * step.dx + c * step.dy), angle};
}

// Phase correlation ----------------------------------------------------------------------------------------------

struct Peak {
    double dx = 0;
    double dy = 0;
    double height = 0;  ///< in standard deviations
};

/// A spectrum of an image that fades out towards its sides.
cv::Mat spectrum_of(const cv::Mat& image, const cv::Mat& window, const cv::Size& size) {
    cv::Mat padded = cv::Mat::zeros(size, CV_32F);
    cv::Mat inner = padded(cv::Rect({}, image.size()));
    cv::multiply(image, window, inner);
    cv::Mat spectrum;
    cv::dft(padded, spectrum, cv::DFT_COMPLEX_OUTPUT, image.rows);
    return spectrum;
}

/// Takes the magnitudes out of conj(a) b, so that a shift is left as a peak. High frequencies count less: they hold
/// little but noise, and are the first to go when images are interpolated.
cv::Mat phases(const cv::Mat& a, const cv::Mat& b) {
    constexpr double kCutOff = 0.3;  // of the sampling rate
    cv::Mat product;
    cv::mulSpectrums(b, a, product, 0, true);
    std::vector<float> across(static_cast<size_t>(product.cols));
    const auto weight = [](int place, int size) {
        const double frequency = static_cast<double>(std::min(place, size - place)) / size;
        return static_cast<float>(std::exp(-(frequency * frequency) / (2 * kCutOff * kCutOff / 4)));
    };
    for (int x = 0; x < product.cols; ++x) across[static_cast<size_t>(x)] = weight(x, product.cols);
    for (int y = 0; y < product.rows; ++y) {
        const float down = weight(y, product.rows);
        auto* const values = product.ptr<cv::Vec2f>(y);
        for (int x = 0; x < product.cols; ++x) {
            const float magnitude = std::sqrt(values[x][0] * values[x][0] + values[x][1] * values[x][1]);
            values[x] *= magnitude > 0 ? down * across[static_cast<size_t>(x)] / magnitude : 0;
        }
    }
    return product;
}

/// The vertex of the parabola through three values, the highest in the middle.
double vertex(double before, double here, double after) {
    const double bend = before - 2 * here + after;
    return bend < 0 ? std::clamp((before - after) / (2 * bend), -0.5, 0.5) : 0;
}

Peak peak_of(const cv::Mat& a, const cv::Mat& b) {
    cv::Mat surface;
    cv::idft(phases(a, b), surface, cv::DFT_REAL_OUTPUT | cv::DFT_SCALE);
    cv::Scalar mean;
    cv::Scalar deviation;
    cv::meanStdDev(surface, mean, deviation);
    cv::Point at;
    double height = 0;
    cv::minMaxLoc(surface, nullptr, &height, nullptr, &at);
    const auto value = [&](int dx, int dy) {
        return static_cast<double>(
            surface.at<float>((at.y + dy + surface.rows) % surface.rows, (at.x + dx + surface.cols) % surface.cols));
    };
    Peak peak;
    peak.dx = at.x + vertex(value(-1, 0), height, value(1, 0));
    peak.dy = at.y + vertex(value(0, -1), height, value(0, 1));
    if (peak.dx > surface.cols / 2.0) peak.dx -= surface.cols;
    if (peak.dy > surface.rows / 2.0) peak.dy -= surface.rows;
    peak.height = deviation[0] > 0 ? (height - mean[0]) / deviation[0] : 0;
    return peak;
}

/// Magnitudes of a spectrum on half circles about frequency 0, a row each, and of each row the spectrum: how it changes
/// with the angle. A shift of the image does not change them.
cv::Mat polar_spectrum(const cv::Mat& spectrum) {
    const int rows = spectrum.rows;
    const int columns = spectrum.cols;
    cv::Mat magnitudes(rows, columns, CV_32F);
    for (int y = 0; y < rows; ++y) {
        const auto* const from = spectrum.ptr<cv::Vec2f>(y);
        auto* const to = magnitudes.ptr<float>((y + rows / 2) % rows);
        for (int x = 0; x < columns; ++x)
            to[(x + columns / 2) % columns] = std::log1p(std::hypot(from[x][0], from[x][1]));
    }
    // Frequencies in cycles a pixel, so that circles are circles whatever the shape.
    constexpr double kLeast = 0.03;
    constexpr double kMost = 0.35;
    const int circles = std::max(rows, columns) / 3;
    cv::Mat places_x(circles, kAngles, CV_32F);
    cv::Mat places_y(circles, kAngles, CV_32F);
    for (int circle = 0; circle < circles; ++circle) {
        const double frequency = kLeast + (kMost - kLeast) * circle / circles;
        for (int i = 0; i < kAngles; ++i) {
            const double angle = kPi * i / kAngles;
            places_x.at<float>(circle, i) = static_cast<float>(columns / 2 + columns * frequency * std::cos(angle));
            places_y.at<float>(circle, i) = static_cast<float>(rows / 2 - rows * frequency * std::sin(angle));
        }
    }
    cv::Mat polar;
    cv::remap(magnitudes, polar, places_x, places_y, cv::INTER_LINEAR);
    cv::Mat result;
    cv::dft(polar, result, cv::DFT_ROWS | cv::DFT_COMPLEX_OUTPUT);
    return result;
}

/// Angles by which `b` may be turned against `a`, in radians, the likeliest first; each stands for its half turn too.
std::vector<double> likely_angles(const cv::Mat& a, const cv::Mat& b) {
    cv::Mat product;
    cv::mulSpectrums(b, a, product, cv::DFT_ROWS, true);
    cv::Mat sum = cv::Mat::zeros(1, kAngles, CV_32FC2);
    constexpr int kMostWaves = kAngles / 4;  // finer ones are noise
    for (int circle = 0; circle < product.rows; ++circle) {
        const auto* const values = product.ptr<cv::Vec2f>(circle);
        for (int i = 1; i < kAngles; ++i) {
            const float magnitude = std::hypot(values[i][0], values[i][1]);
            if (magnitude > 0 && std::min(i, kAngles - i) <= kMostWaves)
                sum.at<cv::Vec2f>(0, i) += values[i] * (1 / magnitude);
        }
    }
    cv::Mat surface;
    cv::idft(sum, surface, cv::DFT_REAL_OUTPUT | cv::DFT_SCALE);
    std::vector<double> angles;
    constexpr int kApart = kAngles / 60;
    for (int found = 0; found < kAngleCandidates; ++found) {
        cv::Point at;
        double height = 0;
        cv::minMaxLoc(surface, nullptr, &height, nullptr, &at);
        const auto value = [&](int i) { return static_cast<double>(surface.at<float>((i + kAngles) % kAngles)); };
        angles.push_back(kPi * (at.x + vertex(value(at.x - 1), height, value(at.x + 1))) / kAngles);
        for (int i = at.x - kApart; i <= at.x + kApart; ++i)
            surface.at<float>((i + kAngles) % kAngles) = -std::numeric_limits<float>::max();
    }
    return angles;
}

// Least squares --------------------------------------------------------------------------------------------------

/// One size of an image, smoothed a little so that it can be interpolated and has slopes.
struct Level {
    cv::Mat image;
    cv::Mat slope_x;
    cv::Mat slope_y;
};

Level make_level(const cv::Mat& image) {
    constexpr double kSigma = 1;
    Level level;
    cv::GaussianBlur(image, level.image, {}, kSigma, kSigma, cv::BORDER_REFLECT);
    // Central differences of five points, exact for cubic curves.
    const cv::Mat kernel = (cv::Mat_<float>(1, 5) << 1.0 / 12, -8.0 / 12, 0, 8.0 / 12, -1.0 / 12);
    cv::filter2D(level.image, level.slope_x, CV_32F, kernel);
    cv::filter2D(level.image, level.slope_y, CV_32F, kernel.t());
    return level;
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
    Refinement(const Level& a, const Level& b) : a_(a), b_(b), size_(a.image.size()) {}

    /// Goes on from `motion`; nothing where there is too little to go by.
    std::optional<Motion> operator()(Motion motion, int most_steps) {
        constexpr double kSmallStep = 2e-3;  // pixels
        const double radius = std::hypot(size_.width, size_.height) / 4;
        scale_ = 0;
        for (int step = 0; step < most_steps; ++step) {
            const std::optional<Motion> change = next(motion);
            if (!change) return std::nullopt;
            motion = composed(motion, *change);
            if (std::max({std::abs(change->dx), std::abs(change->dy), std::abs(change->angle) * radius}) < kSmallStep)
                break;
        }
        return motion;
    }

    /// Correlation where both are known.
    double correlation(const Motion& motion) {
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
    double overlap(const Motion& motion) const {
        double pixels = 0;
        each_row(motion, [&](int, int begin, int end) { pixels += end - begin; });
        return pixels / static_cast<double>(size_.area());
    }

private:
    static constexpr size_t kSums = kUnknowns * (kUnknowns + 1) / 2 + kUnknowns;
    static constexpr int kMargin = 3;  ///< pixels at the sides that smoothing and interpolation reach over

    /// The pixels of each row that lie within the other image too.
    template <typename Visit>
    void each_row(const Motion& motion, Visit visit) const {
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

    std::optional<Motion> next(const Motion& motion) {
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
        return Motion{solution.at<double>(0), solution.at<double>(1), solution.at<double>(2)};
    }

    /// The other image where this one's pixels are in it.
    void take_back(const Motion& motion) {
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
    Normal sums(const Motion& motion) const {
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
            const cv::v_float32x4 weight = (one / (one + rest * rest)) & inside;
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
    double residual_scale(const Motion& motion, const cv::Mat& solution) const {
        const int apart = std::max(1, size_.area() / 20000);
        const double middle_x = (size_.width - 1) / 2.0;
        const double middle_y = (size_.height - 1) / 2.0;
        std::vector<float> differences;
        int passed = 0;
        each_row(motion, [&](int y, int begin, int end) {
            for (int x = begin; x < end; ++x) {
                if (++passed % apart != 0) continue;
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
        const auto middle = differences.begin() + static_cast<ptrdiff_t>(differences.size() / 2);
        std::nth_element(differences.begin(), middle, differences.end());
        constexpr double kOfNormal = 1.4826;
        constexpr double kLeastScale = 1e-4;  // of the image's standard deviation
        return std::max(kOfNormal * static_cast<double>(*middle), kLeastScale);
    }

    static constexpr double kLimit = 2.385;  ///< Cauchy's weights, 95 % efficient for normal noise

    const Level& a_;
    const Level& b_;
    cv::Size size_;
    cv::Mat moved_;
    double scale_ = 0;  ///< of the differences left; 0: not known yet
    double gain_ = 0;
    double offset_ = 0;
};

}  // namespace

struct MotionImage::Prepared {
    ImageType type;
    bool flat = true;
    std::vector<Level> levels;  ///< the finest one first
    double finest_scale = 1;    ///< pixels of the image in one of the finest level
    cv::Mat window;
    cv::Mat coarse;
    cv::Size spectrum_size;
    cv::Mat spectrum;
    cv::Mat polar;

    void prepare(cv::Mat image) {
        if (std::min(image.rows, image.cols) < kLeastSide) return;
        image = standardized(image);
        if (image.empty()) return;
        flat = false;
        const int side = std::max(image.rows, image.cols);
        if (side > kFinestSide) {
            finest_scale = static_cast<double>(side) / kFinestSide;
            // Sides of the right shape to the pixel: both directions shrink by the same factor.
            cv::Mat smaller;
            const cv::Size size(std::max(1, static_cast<int>(image.cols / finest_scale)),
                                std::max(1, static_cast<int>(image.rows / finest_scale)));
            shrink(image, smaller, finest_scale, size);
            image = smaller;
        }
        levels.push_back(make_level(image));
        constexpr int kHalf = 2;
        while (std::max(image.rows, image.cols) > kSpectrumSide && std::min(image.rows, image.cols) > 4 * kLeastSide) {
            cv::Mat smaller;
            shrink(image, smaller, kHalf, cv::Size(image.cols / kHalf, image.rows / kHalf));
            image = smaller;
            levels.push_back(make_level(image));
        }
        coarse = image;
        cv::createHanningWindow(window, image.size(), CV_32F);
        spectrum_size = {cv::getOptimalDFTSize(image.cols), cv::getOptimalDFTSize(image.rows)};
        spectrum = spectrum_of(coarse, window, spectrum_size);
        polar = polar_spectrum(spectrum);
    }

    /// By a factor about the middle, so that a motion's shift shrinks by just that.
    static void shrink(const cv::Mat& image, cv::Mat& smaller, double factor, const cv::Size& size) {
        cv::Mat smooth;
        cv::GaussianBlur(image, smooth, {}, 0.5 * factor, 0.5 * factor, cv::BORDER_REFLECT);
        const double x = (image.cols - 1) / 2.0 - factor * (size.width - 1) / 2.0;
        const double y = (image.rows - 1) / 2.0 - factor * (size.height - 1) / 2.0;
        cv::warpAffine(smooth, smaller, cv::Matx23d(factor, 0, x, 0, factor, y), size,
                       cv::INTER_CUBIC | cv::WARP_INVERSE_MAP, cv::BORDER_REFLECT);
    }

    Motion coarse_motion_to(const Prepared& other) const {
        Motion best;
        const Peak straight = peak_of(spectrum, other.spectrum);
        best.dx = straight.dx;
        best.dy = straight.dy;
        // What looks the same from every side is taken as not turned.
        constexpr double kClearly = 1.1;
        double height = straight.height * kClearly;
        // So high a peak leaves no doubt.
        constexpr double kNoDoubt = 25;
        if (straight.height > kNoDoubt) return best;
        for (const double angle : likely_angles(polar, other.polar)) {
            for (const double turned : {angle, angle - kPi}) {
                // The other image turned back, then moved: d = R(turned) (shift found).
                const cv::Mat back = taken_back(other.coarse, {0, 0, turned}, cv::INTER_LINEAR);
                const Peak peak = peak_of(spectrum, spectrum_of(back, window, spectrum_size));
                if (peak.height <= height) continue;
                height = peak.height;
                const double c = std::cos(turned);
                const double s = std::sin(turned);
                best = {c * peak.dx + s * peak.dy, -s * peak.dx + c * peak.dy, turned};
            }
        }
        return best;
    }

    /// Whether what is left of the motion is none, by a peak that does not come by chance.
    bool confirmed(const Prepared& other, const Motion& motion) const {
        constexpr double kNear = 1.5;
        const cv::Mat back = taken_back(other.coarse, motion, cv::INTER_LINEAR);
        const Peak peak = peak_of(spectrum, spectrum_of(back, window, spectrum_size));
        return peak.height >= kSurePeak && std::abs(peak.dx) <= kNear && std::abs(peak.dy) <= kNear;
    }
};

MotionImage::MotionImage(const cv::Mat& image) {
    auto prepared = std::make_shared<Prepared>();
    prepared->type = ImageType::of(image);
    with_opencv([&] { prepared->prepare(luma(image)); });
    prepared_ = std::move(prepared);
}

std::optional<ImageMotion> MotionImage::motion_to(const MotionImage& other) const {
    const Prepared& a = *prepared_;
    const Prepared& b = *other.prepared_;
    if (a.type.width != b.type.width || a.type.height != b.type.height)
        throw Error(ErrorCode::wrong_type,
                    "images of " + a.type.text() + " and " + b.type.text() + " cannot be compared");
    if (a.flat || b.flat) return std::nullopt;
    return with_opencv([&]() -> std::optional<ImageMotion> {
        constexpr int kMostStepsFirst = 40;
        constexpr int kMostSteps = 6;
        constexpr double kLeastOverlap = 0.1;
        Motion motion = a.coarse_motion_to(b);
        double correlation = 0;
        for (size_t level = a.levels.size(); level-- > 0;) {
            const bool coarsest = level + 1 == a.levels.size();
            if (!coarsest) {
                motion.dx *= 2;
                motion.dy *= 2;
            }
            Refinement refinement(a.levels[level], b.levels[level]);
            const std::optional<Motion> refined = refinement(motion, coarsest ? kMostStepsFirst : kMostSteps);
            if (!refined || refinement.overlap(*refined) < kLeastOverlap) return std::nullopt;
            motion = *refined;
            if (coarsest && !a.confirmed(b, motion)) return std::nullopt;
            if (level == 0) correlation = refinement.correlation(motion);
        }
        double degrees = motion.angle * 180 / kPi;
        degrees -= 360 * std::round(degrees / 360);
        return ImageMotion{motion.dx * a.finest_scale, motion.dy * a.finest_scale, degrees, correlation};
    });
}

std::optional<ImageMotion> image_motion(const cv::Mat& from, const cv::Mat& to) {
    return MotionImage(from).motion_to(MotionImage(to));
}

std::optional<double> correlation(const cv::Mat& a, const cv::Mat& b) {
    if (ImageType::of(a) != ImageType::of(b))
        throw Error(ErrorCode::wrong_type,
                    "images of " + ImageType::of(a).text() + " and " + ImageType::of(b).text() + " cannot be compared");
    return with_opencv([&]() -> std::optional<double> {
        cv::Mat x;
        cv::Mat y;
        a.reshape(1).convertTo(x, CV_64F);
        b.reshape(1).convertTo(y, CV_64F);
        const cv::Mat finite =
            (cv::abs(x) <= std::numeric_limits<double>::max()) & (cv::abs(y) <= std::numeric_limits<double>::max());
        cv::Scalar mean_x, mean_y, deviation_x, deviation_y;
        if (cv::countNonZero(finite) == 0) return std::nullopt;
        cv::meanStdDev(x, mean_x, deviation_x, finite);
        cv::meanStdDev(y, mean_y, deviation_y, finite);
        x.setTo(mean_x, ~finite);
        y.setTo(mean_y, ~finite);
        x -= mean_x;
        y -= mean_y;
        const double spread = cv::norm(x) * cv::norm(y);
        // What rounding leaves of equal values is none.
        constexpr double kRounding = 1e-12;
        if (!(deviation_x[0] > kRounding * std::abs(mean_x[0])) || !(deviation_y[0] > kRounding * std::abs(mean_y[0])))
            return std::nullopt;
        return std::clamp(x.dot(y) / spread, -1.0, 1.0);
    });
}

std::optional<CrossCorrelation> cross_correlation(const cv::Mat& a, const cv::Mat& b) {
    check_sizes(a, b);
    for (const cv::Mat* image : {&a, &b}) {
        if (image->channels() != 1 || image->empty())
            throw wrong_type(*image, "cross-correlation", "images with one channel");
    }
    return with_opencv([&]() -> std::optional<CrossCorrelation> {
        std::array<cv::Mat, 2> spectra;
        double spread = 1;
        const cv::Size size(2 * a.cols - 1, 2 * a.rows - 1);
        const cv::Size padded_size(cv::getOptimalDFTSize(size.width), cv::getOptimalDFTSize(size.height));
        for (size_t i = 0; i < 2; ++i) {
            const cv::Mat image = standardized(i == 0 ? a : b);
            if (image.empty()) return std::nullopt;
            cv::Mat padded = cv::Mat::zeros(padded_size, CV_64F);
            cv::Mat inner = padded(cv::Rect({}, image.size()));
            image.convertTo(inner, CV_64F);
            inner -= cv::mean(inner);
            spread *= cv::norm(inner);
            cv::dft(padded, spectra[i], 0, a.rows);
        }
        cv::Mat product;
        cv::mulSpectrums(spectra[1], spectra[0], product, 0, true);
        cv::Mat circular;
        cv::idft(product, circular, cv::DFT_SCALE);
        CrossCorrelation result;
        result.zero = {a.cols - 1, a.rows - 1};
        result.values.create(size, CV_64F);
        for (int y = 0; y < size.height; ++y) {
            const auto* const from =
                circular.ptr<double>((y - result.zero.y + padded_size.height) % padded_size.height);
            auto* const to = result.values.ptr<double>(y);
            for (int x = 0; x < size.width; ++x)
                to[x] = from[(x - result.zero.x + padded_size.width) % padded_size.width] / spread;
        }
        cv::Point at;
        cv::minMaxLoc(result.values, nullptr, &result.peak, nullptr, &at);
        const auto value = [&](int x, int y) {
            return cv::Rect({}, size).contains({x, y}) ? result.values.at<double>(y, x) : 0;
        };
        result.dx = at.x - result.zero.x + vertex(value(at.x - 1, at.y), result.peak, value(at.x + 1, at.y));
        result.dy = at.y - result.zero.y + vertex(value(at.x, at.y - 1), result.peak, value(at.x, at.y + 1));
        return result;
    });
}

std::optional<std::pair<double, double>> best_exposure(const cv::Mat& image, double low_percentile,
                                                       double high_percentile) {
    if (!(low_percentile >= 0 && low_percentile <= high_percentile && high_percentile <= 100))
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{} and {} are no percentiles in order", low_percentile, high_percentile));
    return with_opencv([&]() -> std::optional<std::pair<double, double>> {
        cv::Mat values;
        image.reshape(1).convertTo(values, image.depth() == CV_64F ? CV_64F : CV_32F);
        if (cv::countNonZero(cv::abs(values) <= std::numeric_limits<double>::max()) == 0) return std::nullopt;
        ToneRange range;
        range.low_percentile = low_percentile;
        range.high_percentile = high_percentile;
        return ends_of(image.depth() == CV_16F ? values : image, range);
    });
}

}  // namespace reelstore
