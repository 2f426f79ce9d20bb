#include "filters/image_motion.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/comparable_images.h"
#include "filters/image_values.h"
#include "filters/motion_refinement.h"

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

cv::Mat luma(const cv::Mat& image) {
    if (image.channels() == 1) return image;
    if (image.channels() != 3 && image.channels() != 4) throw wrong_type(image, "motion", "gray images and colour");
    cv::Mat values = image;
    if (image.depth() != CV_8U && image.depth() != CV_16U) image.convertTo(values, CV_32F);
    cv::Mat gray;
    cv::cvtColor(values, gray, image.channels() == 3 ? cv::COLOR_BGR2GRAY : cv::COLOR_BGRA2GRAY);
    return gray;
}

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
    peak.dx = at.x + parabola_vertex(value(-1, 0), height, value(1, 0));
    peak.dy = at.y + parabola_vertex(value(0, -1), height, value(0, 1));
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
        angles.push_back(kPi * (at.x + parabola_vertex(value(at.x - 1), height, value(at.x + 1))) / kAngles);
        for (int i = at.x - kApart; i <= at.x + kApart; ++i)
            surface.at<float>((i + kAngles) % kAngles) = -std::numeric_limits<float>::max();
    }
    return angles;
}

}  // namespace

struct MotionImage::Prepared {
    ImageType type;
    bool flat = true;
    std::vector<MotionLevel> levels;  ///< the finest one first
    double finest_scale = 1;          ///< pixels of the image in one of the finest level
    cv::Mat window;
    cv::Mat coarse;
    cv::Size spectrum_size;
    cv::Mat spectrum;
    cv::Mat polar;

    void prepare(cv::Mat image) {
        if (std::min(image.rows, image.cols) < kLeastSide) return;
        cv::Mat known = finite_mask(image);
        image = standardized_image(image, known);
        if (image.empty()) return;
        flat = false;
        if (cv::countNonZero(known) == image.rows * image.cols) {
            known.release();
        } else {
            known.convertTo(known, CV_32F, 1.0 / 255);
        }
        const int side = std::max(image.rows, image.cols);
        if (side > kFinestSide) {
            finest_scale = static_cast<double>(side) / kFinestSide;
            shrink(image, known, finest_scale);
        }
        levels.push_back(make_motion_level(image, known));
        constexpr int kHalf = 2;
        while (std::max(image.rows, image.cols) > kSpectrumSide && std::min(image.rows, image.cols) > 4 * kLeastSide) {
            shrink(image, known, kHalf);
            levels.push_back(make_motion_level(image, known));
        }
        coarse = image;
        cv::createHanningWindow(window, image.size(), CV_32F);
        if (!known.empty()) {
            // Towards what is unknown it fades out too: its outline need not move with the rest.
            constexpr double kFade = 4;
            cv::Mat fading;
            cv::erode(known, fading, cv::Mat(), {-1, -1}, static_cast<int>(2 * kFade));
            cv::GaussianBlur(fading, fading, {}, kFade, kFade, cv::BORDER_REFLECT);
            window = window.mul(fading);
        }
        spectrum_size = {cv::getOptimalDFTSize(image.cols), cv::getOptimalDFTSize(image.rows)};
        spectrum = spectrum_of(coarse, window, spectrum_size);
        polar = polar_spectrum(spectrum);
    }

    static void shrink(cv::Mat& image, cv::Mat& known, double factor) {
        image = smaller(image, factor);
        if (!known.empty()) known = smaller(known, factor);
    }

    /// By a factor about the middle, so that a motion's shift shrinks by just that.
    static cv::Mat smaller(const cv::Mat& image, double factor) {
        const cv::Size size(std::max(1, static_cast<int>(image.cols / factor)),
                            std::max(1, static_cast<int>(image.rows / factor)));
        cv::Mat smooth;
        cv::GaussianBlur(image, smooth, {}, 0.5 * factor, 0.5 * factor, cv::BORDER_REFLECT);
        const double x = (image.cols - 1) / 2.0 - factor * (size.width - 1) / 2.0;
        const double y = (image.rows - 1) / 2.0 - factor * (size.height - 1) / 2.0;
        cv::Mat result;
        cv::warpAffine(smooth, result, cv::Matx23d(factor, 0, x, 0, factor, y), size,
                       cv::INTER_CUBIC | cv::WARP_INVERSE_MAP, cv::BORDER_REFLECT);
        return result;
    }

    RigidMotion coarse_motion_to(const Prepared& other) const {
        RigidMotion best;
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
                const cv::Mat back = taken_back(other.coarse, {0, 0, turned});
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
    bool confirmed(const Prepared& other, const RigidMotion& motion) const {
        constexpr double kNear = 1.5;
        const cv::Mat back = taken_back(other.coarse, motion);
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
        RigidMotion motion = a.coarse_motion_to(b);
        for (size_t level = a.levels.size(); level-- > 0;) {
            const bool coarsest = level + 1 == a.levels.size();
            if (!coarsest) {
                motion.dx *= 2;
                motion.dy *= 2;
            }
            const std::optional<RigidMotion> refined =
                refined_motion(a.levels[level], b.levels[level], motion, coarsest ? kMostStepsFirst : kMostSteps);
            if (!refined || overlap(a.levels[level], *refined) < kLeastOverlap) return std::nullopt;
            motion = *refined;
            if (coarsest && !a.confirmed(b, motion)) return std::nullopt;
        }
        double degrees = motion.angle * 180 / kPi;
        degrees -= 360 * std::round(degrees / 360);
        return ImageMotion{motion.dx * a.finest_scale, motion.dy * a.finest_scale, degrees,
                           correlation(a.levels[0], b.levels[0], motion)};
    });
}

std::optional<ImageMotion> image_motion(const cv::Mat& from, const cv::Mat& to) {
    return MotionImage(from).motion_to(MotionImage(to));
}

}  // namespace reelstore
