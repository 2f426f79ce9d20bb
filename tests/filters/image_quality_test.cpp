// Loss of images: PSNR and SSIM against values worked out by hand, and against the definition, window by window.
#include <doctest/doctest.h>

#include <cmath>

#include <opencv2/core.hpp>

#include "base/numbered_frames.h"
#include "base/pixel_type.h"
#include "filters/image_quality.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

cv::Mat noise(const cv::Mat& image, double sigma) {
    cv::RNG random(7);
    cv::Mat wide;
    image.convertTo(wide, CV_64F);
    cv::Mat added(wide.size(), wide.type());
    random.fill(added, cv::RNG::NORMAL, 0, sigma);
    cv::Mat result;
    cv::Mat(wide + added).convertTo(result, image.depth());
    return result;
}

/// SSIM of one channel by the formulas of the paper, in loops.
double ssim_by_definition(const cv::Mat& a, const cv::Mat& b, double peak) {
    double weights[11][11];
    double sum = 0;
    for (int y = 0; y < 11; ++y) {
        for (int x = 0; x < 11; ++x) {
            weights[y][x] = std::exp(-((x - 5) * (x - 5) + (y - 5) * (y - 5)) / (2 * 1.5 * 1.5));
            sum += weights[y][x];
        }
    }
    double total = 0;
    int windows = 0;
    for (int top = 0; top + 11 <= a.rows; ++top) {
        for (int left = 0; left + 11 <= a.cols; ++left) {
            double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
            for (int y = 0; y < 11; ++y) {
                for (int x = 0; x < 11; ++x) {
                    const double w = weights[y][x] / sum;
                    const double p = a.at<double>(top + y, left + x);
                    const double q = b.at<double>(top + y, left + x);
                    ma += w * p;
                    mb += w * q;
                    aa += w * p * p;
                    bb += w * q * q;
                    ab += w * p * q;
                }
            }
            const double c1 = 0.0001 * peak * peak, c2 = 0.0009 * peak * peak;
            total += (2 * ma * mb + c1) * (2 * (ab - ma * mb) + c2) /
                     ((ma * ma + mb * mb + c1) * (aa - ma * ma + bb - mb * mb + c2));
            ++windows;
        }
    }
    return total / windows;
}

}  // namespace

TEST_CASE("the error of two images is the mean of the squares, over all channels") {
    cv::Mat a(4, 5, CV_8UC3, cv::Scalar(10, 20, 30));
    cv::Mat b(4, 5, CV_8UC3, cv::Scalar(13, 20, 30));
    CHECK(mean_squared_error(a, b) == doctest::Approx(3.0));
    CHECK(mean_squared_error(a, a) == 0);
    CHECK(psnr(3.0, 255) == doctest::Approx(43.3597).epsilon(1e-5));
    CHECK(std::isinf(psnr(0, 255)));
    const cv::Mat deep(3, 3, CV_16UC1, cv::Scalar(0));
    const cv::Mat white(3, 3, CV_16UC1, cv::Scalar(65535));
    CHECK(psnr(mean_squared_error(deep, white), 65535) == doctest::Approx(0));
}

TEST_CASE("SSIM is that of the definition, for every depth") {
    for (const int depth : {CV_8U, CV_16U}) {
        CAPTURE(depth);
        const double peak = depth == CV_8U ? 255 : 65535;
        const cv::Mat image = make_numbered_image({37, 53, 1, depth}, 4711);
        const cv::Mat worse = noise(image, peak / 20);
        cv::Mat a;
        cv::Mat b;
        image.convertTo(a, CV_64F);
        worse.convertTo(b, CV_64F);
        const double expected = ssim_by_definition(a, b, peak);
        CHECK(structural_similarity(image, worse, peak).value() == doctest::Approx(expected).epsilon(1e-9));
        CHECK(expected < 0.95);
        CHECK(structural_similarity(image, image, peak).value() == doctest::Approx(1));
    }
}

TEST_CASE("SSIM of colour is the mean of the channels") {
    const cv::Mat image = make_numbered_image({40, 64, 3, CV_8U}, 99);
    const cv::Mat worse = noise(image, 12);
    double sum = 0;
    for (int channel = 0; channel < 3; ++channel) {
        cv::Mat a;
        cv::Mat b;
        cv::extractChannel(image, a, channel);
        cv::extractChannel(worse, b, channel);
        sum += structural_similarity(a, b, 255).value();
    }
    CHECK(structural_similarity(image, worse, 255).value() == doctest::Approx(sum / 3));
}

TEST_CASE("images that cannot be compared") {
    const cv::Mat small = make_numbered_image({10, 64, 1, CV_8U}, 1);
    CHECK(!structural_similarity(small, small, 255));
    const cv::Mat other = make_numbered_image({10, 32, 1, CV_8U}, 1);
    CHECK_THROWS_AS(mean_squared_error(small, other), Error);
    CHECK_THROWS_AS(structural_similarity(small, other, 255), Error);
}
