// Motion, correlation and exposure against what was done to the images, and against direct sums.
#include "filters/measurements.h"

#include <doctest/doctest.h>

#include <cmath>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/filter.h"
#include "filters/geometry.h"
#include "filters/image_motion.h"
#include "tests/sanitized.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Spots of many sizes, as float32 about 100, brightness as of `seed`.
cv::Mat texture(const cv::Size& size, uint64_t seed = 7) {
    cv::RNG random(seed);
    cv::Mat image(size, CV_32F, cv::Scalar(100));
    for (const double sigma : {1.5, 4.0, 12.0}) {
        cv::Mat noise(size, CV_32F);
        random.fill(noise, cv::RNG::NORMAL, 0, 1);
        cv::GaussianBlur(noise, noise, {}, sigma, sigma, cv::BORDER_REFLECT);
        image += noise * (20 * sigma);
    }
    return image;
}

/// What the filter makes of it.
cv::Mat moved(const cv::Mat& image, double dx, double dy, double degrees) {
    Frame frame;
    frame.image = image;
    cv::Mat result;
    move(dx, dy, degrees, 1, Interpolation::cubic, 100)->push(frame, [&](Frame made) { result = made.image; });
    return result;
}

void check_motion(const std::optional<ImageMotion>& found, double dx, double dy, double degrees, double pixels = 0.05,
                  double turn = 0.02) {
    CAPTURE(dx);
    CAPTURE(dy);
    CAPTURE(degrees);
    REQUIRE(found);
    CHECK(std::abs(found->dx - dx) < pixels);
    CHECK(std::abs(found->dy - dy) < pixels);
    CHECK(std::abs(std::remainder(found->degrees - degrees, 360)) < turn);
}

}  // namespace

TEST_CASE("measurements: motion is what the filter move did") {
    const cv::Mat image = texture({240, 180});
    const MotionImage first(image);
    check_motion(first.motion_to(first), 0, 0, 0, 1e-3, 1e-3);
    CHECK(first.motion_to(first)->correlation == doctest::Approx(1));
    check_motion(first.motion_to(MotionImage(moved(image, 3.25, -1.6, 0))), 3.25, -1.6, 0);
    check_motion(first.motion_to(MotionImage(moved(image, 40, 25.5, 0))), 40, 25.5, 0);
    check_motion(first.motion_to(MotionImage(moved(image, 0, 0, 5))), 0, 0, 5);
    check_motion(first.motion_to(MotionImage(moved(image, -12.5, 8, 33))), -12.5, 8, 33);
    check_motion(first.motion_to(MotionImage(moved(image, 2, 3, 180))), 2, 3, 180);
    check_motion(first.motion_to(MotionImage(moved(image, 7, -3, -120))), 7, -3, -120);
}

TEST_CASE("measurements: motion in images of every type, large and small, noisy and dim") {
    const cv::Mat image = texture({200, 150}, 3);
    const cv::Mat other = moved(image, 4.5, 2.25, -3);
    const auto as = [&](const cv::Mat& values, int depth, double scale, double shift = 0) {
        cv::Mat result;
        values.convertTo(result, depth, scale, shift);
        return result;
    };
    for (const auto& [depth, scale] : {std::pair(CV_8U, 1.0), std::pair(CV_16U, 200.0), std::pair(CV_16S, 100.0),
                                       std::pair(CV_32F, 1e-3), std::pair(CV_64F, 1e5)}) {
        check_motion(image_motion(as(image, depth, scale), as(other, depth, scale)), 4.5, 2.25, -3);
    }
    for (const int channels : {3, 4}) {
        const std::vector<cv::Mat> one(static_cast<size_t>(channels), as(image, CV_8U, 1));
        const std::vector<cv::Mat> two(static_cast<size_t>(channels), as(other, CV_8U, 1));
        cv::Mat color;
        cv::Mat other_color;
        cv::merge(one, color);
        cv::merge(two, other_color);
        check_motion(image_motion(color, other_color), 4.5, 2.25, -3);
    }
    // Brightness and contrast do not matter.
    check_motion(image_motion(image, as(other, CV_32F, 0.3, 55)), 4.5, 2.25, -3);

    cv::RNG random(4);
    cv::Mat noise(image.size(), CV_32F);
    random.fill(noise, cv::RNG::NORMAL, 0, 5);
    cv::Mat other_noise(image.size(), CV_32F);
    random.fill(other_noise, cv::RNG::NORMAL, 0, 5);
    check_motion(image_motion(image + noise, other + other_noise), 4.5, 2.25, -3, 0.1, 0.05);

    // Some of it moves by itself, and some is unknown.
    cv::Mat part = other.clone();
    cv::Mat(texture({60, 50}, 9)).copyTo(part(cv::Rect(90, 60, 60, 50)));
    part(cv::Rect(20, 10, 30, 20)) = std::numeric_limits<float>::quiet_NaN();
    check_motion(image_motion(image, part), 4.5, 2.25, -3);

    // What lies outside of a spot is masked, in both at the same place.
    cv::Mat spot(image.size(), CV_8U, cv::Scalar(255));
    cv::ellipse(spot, {105, 75}, {70, 50}, 20, 0, 360, cv::Scalar(0), -1);
    cv::Mat masked = image.clone();
    cv::Mat other_masked = other.clone();
    masked.setTo(kNaN, spot);
    other_masked.setTo(kNaN, spot);
    check_motion(image_motion(masked, other_masked), 4.5, 2.25, -3, 0.1, 0.05);

    if (kSanitized) return;
    const cv::Mat large = texture({1500, 1000}, 5);
    check_motion(image_motion(large, moved(large, -31.5, 60.25, 1.5)), -31.5, 60.25, 1.5);
    const cv::Mat small = texture({48, 40}, 5);
    check_motion(image_motion(small, moved(small, 2.5, -1, 2)), 2.5, -1, 2, 0.1, 0.1);
}

TEST_CASE("measurements: no motion where none can be told") {
    const cv::Mat image = texture({120, 100});
    CHECK(!image_motion(cv::Mat(100, 120, CV_8U, cv::Scalar(9)), cv::Mat(100, 120, CV_8U, cv::Scalar(9))));
    CHECK(!image_motion(image, cv::Mat(100, 120, CV_32F, cv::Scalar(9))));
    CHECK(!image_motion(image, cv::Mat(100, 120, CV_32F, cv::Scalar(kNaN))));
    CHECK(!image_motion(cv::Mat::eye(4, 4, CV_8U), cv::Mat::eye(4, 4, CV_8U)));
    // Stripes could have moved any way along themselves.
    cv::Mat stripes(100, 120, CV_32F);
    for (int x = 0; x < 120; ++x) stripes.col(x) = 100 + 50 * std::sin(x / 2.0);
    CHECK(!image_motion(stripes, stripes));
    // Images that have nothing in common.
    cv::RNG random(8);
    for (int i = 0; i < 5; ++i) {
        cv::Mat one(100, 120, CV_8U);
        cv::Mat two(100, 120, CV_8U);
        random.fill(one, cv::RNG::UNIFORM, 0, 256);
        random.fill(two, cv::RNG::UNIFORM, 0, 256);
        CHECK(!image_motion(one, two));
        CHECK(!image_motion(texture({120, 100}, 100 + uint64_t(i)), texture({120, 100}, 200 + uint64_t(i))));
    }
    CHECK(error_of([&] { image_motion(image, texture({100, 120})); }) == ErrorCode::wrong_type);
    CHECK(error_of([&] { MotionImage(cv::Mat::ones(40, 40, CV_8UC2)); }) == ErrorCode::wrong_type);
}

TEST_CASE("measurements: a round spot has moved, not turned") {
    cv::Mat spot = cv::Mat::zeros(120, 160, CV_32F);
    cv::circle(spot, {60, 70}, 14, cv::Scalar(200), -1);
    cv::GaussianBlur(spot, spot, {}, 3);
    Frame frame;
    frame.image = spot;
    cv::Mat other;
    move(3.5, -2.25, 0, 1, Interpolation::cubic)->push(frame, [&](Frame made) { other = made.image; });
    check_motion(image_motion(spot, other), 3.5, -2.25, 0, 0.1, 0.01);
}

TEST_CASE("measurements: correlation") {
    cv::RNG random(2);
    for (const int type : {CV_8UC1, CV_16UC3, CV_32FC1, CV_64FC2}) {
        cv::Mat a(23, 31, type);
        cv::Mat b(23, 31, type);
        random.fill(a, cv::RNG::UNIFORM, 0, 200);
        random.fill(b, cv::RNG::UNIFORM, 0, 200);
        b = b + a;
        cv::Mat x;
        cv::Mat y;
        a.reshape(1).convertTo(x, CV_64F);
        b.reshape(1).convertTo(y, CV_64F);
        const double n = static_cast<double>(x.total());
        const double mean_x = cv::sum(x)[0] / n;
        const double mean_y = cv::sum(y)[0] / n;
        double xx = 0, yy = 0, xy = 0;
        for (int i = 0; i < x.rows * x.cols; ++i) {
            const double p = x.ptr<double>(i / x.cols)[i % x.cols] - mean_x;
            const double q = y.ptr<double>(i / x.cols)[i % x.cols] - mean_y;
            xx += p * p;
            yy += q * q;
            xy += p * q;
        }
        REQUIRE(correlation(a, b));
        CHECK(*correlation(a, b) == doctest::Approx(xy / std::sqrt(xx * yy)).epsilon(1e-12));
        CHECK(*correlation(a, a) == doctest::Approx(1).epsilon(1e-12));
    }
    const cv::Mat a = (cv::Mat_<float>(1, 5) << 1, 2, kNaN, 4, std::numeric_limits<float>::infinity());
    const cv::Mat b = (cv::Mat_<float>(1, 5) << -1, -2, 7, -4, 3);
    CHECK(*correlation(a, b) == doctest::Approx(-1).epsilon(1e-12));
    CHECK(!correlation(a, cv::Mat::ones(1, 5, CV_32F)));
    CHECK(!correlation(a, cv::Mat(1, 5, CV_32F, cv::Scalar(kNaN))));
    CHECK(error_of([&] { correlation(a, cv::Mat::ones(1, 4, CV_32F)); }) == ErrorCode::wrong_type);
}

TEST_CASE("measurements: cross-correlation by its definition") {
    cv::RNG random(6);
    cv::Mat a(7, 9, CV_8U);
    cv::Mat b(7, 9, CV_16U);
    random.fill(a, cv::RNG::UNIFORM, 0, 256);
    random.fill(b, cv::RNG::UNIFORM, 0, 60000);
    const std::optional<CrossCorrelation> found = cross_correlation(a, b);
    REQUIRE(found);
    REQUIRE(found->values.size() == cv::Size(17, 13));
    CHECK(found->zero == cv::Point(8, 6));
    cv::Mat x;
    cv::Mat y;
    a.convertTo(x, CV_64F);
    b.convertTo(y, CV_64F);
    x -= cv::mean(x);
    y -= cv::mean(y);
    const double norm = cv::norm(x) * cv::norm(y);
    double largest = 0;
    for (int dy = -6; dy <= 6; ++dy) {
        for (int dx = -8; dx <= 8; ++dx) {
            double sum = 0;
            for (int row = 0; row < 7; ++row) {
                for (int column = 0; column < 9; ++column) {
                    if (row + dy < 0 || row + dy >= 7 || column + dx < 0 || column + dx >= 9) continue;
                    sum += x.at<double>(row, column) * y.at<double>(row + dy, column + dx);
                }
            }
            largest = std::max(largest, std::abs(sum / norm - found->values.at<double>(6 + dy, 8 + dx)));
        }
    }
    CHECK(largest < 1e-6);
}

TEST_CASE("measurements: peak of the cross-correlation") {
    const cv::Mat image = texture({160, 120});
    const std::optional<CrossCorrelation> same = cross_correlation(image, image);
    REQUIRE(same);
    CHECK(same->peak == doctest::Approx(1).epsilon(1e-6));
    CHECK(std::abs(same->dx) < 1e-6);
    CHECK(std::abs(same->dy) < 1e-6);
    const std::optional<CrossCorrelation> other = cross_correlation(image, moved(image, 6, -9, 0));
    REQUIRE(other);
    CHECK(std::abs(other->dx - 6) < 0.5);
    CHECK(std::abs(other->dy + 9) < 0.5);
    CHECK(!cross_correlation(image, cv::Mat(120, 160, CV_8U, cv::Scalar(3))));
    CHECK(error_of([&] { cross_correlation(image, texture({120, 160})); }) == ErrorCode::wrong_type);
    CHECK(error_of([&] { cross_correlation(cv::Mat::ones(4, 4, CV_8UC3), cv::Mat::ones(4, 4, CV_8UC3)); }) ==
          ErrorCode::wrong_type);
}

TEST_CASE("measurements: exposure") {
    cv::Mat values(1, 101, CV_16U);
    for (int i = 0; i <= 100; ++i) values.at<uint16_t>(0, i) = static_cast<uint16_t>(1000 - 10 * i);
    CHECK(best_exposure(values) == std::pair(20.0, 980.0));
    CHECK(best_exposure(values, 0, 100) == std::pair(0.0, 1000.0));
    CHECK(best_exposure(values, 12.5, 12.5) == std::pair(125.0, 125.0));
    cv::Mat real;
    values.convertTo(real, CV_32F);
    real.at<float>(0, 100) = std::numeric_limits<float>::quiet_NaN();
    CHECK(best_exposure(real, 0, 100) == std::pair(10.0, 1000.0));
    CHECK(!best_exposure(cv::Mat(3, 3, CV_64F, cv::Scalar(kNaN))));
    CHECK(best_exposure(cv::Mat(3, 3, CV_8U, cv::Scalar(4))) == std::pair(4.0, 4.0));
    CHECK(error_of([&] { best_exposure(values, 50, 40); }) == ErrorCode::invalid_argument);
}
