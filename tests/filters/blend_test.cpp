#include "filters/blend.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

using Formula = std::function<double(double, double)>;

double cut_off(double value) {
    return std::clamp(value, 0.0, 1.0);
}

/// In the order of BlendMode.
const std::vector<Formula> kFormulas = {
    [](double, double t) { return t; },
    [](double b, double t) { return (1 - b) * (b * t) + b * (1 - (1 - b) * (1 - t)); },
    [](double b, double t) { return std::max(b, t); },
    [](double b, double t) { return 1 - (1 - b) * (1 - t); },
    [](double b, double t) { return b == 0 ? 0 : std::min(b / (1 - t), 1.0); },
    [](double b, double t) { return b + t; },
    [](double b, double t) { return std::min(b, t); },
    [](double b, double t) { return b * t; },
    [](double b, double t) { return t > 0.5 ? 1 - (1 - b) * (1 - (t - 0.5) * 2) : 2 * b * t; },
    [](double b, double t) { return std::abs(b - t); },
    [](double b, double t) { return b - t; },
    [](double b, double t) { return cut_off(b - t + 0.5); },
    [](double b, double t) { return cut_off(b + t - 0.5); },
    [](double b, double t) { return std::min(256.0 / 255 * b / (1.0 / 255 + t), 1.0); },
    [](double b, double t) { return b < 0.5 ? 2 * b * t : 1 - 2 * (1 - b) * (1 - t); },
};

double white_of(int depth) {
    return depth == CV_8U ? 255 : depth == CV_16U ? 65535 : 1;
}

cv::Mat random_image(int depth, int channels, int seed, cv::Size size = {37, 11}) {
    cv::RNG random(static_cast<uint64_t>(seed));
    cv::Mat image(size, CV_MAKETYPE(depth, channels));
    random.fill(image, cv::RNG::UNIFORM, 0, depth == CV_32F ? 1 : white_of(depth) + 1);
    // Both ends of the range.
    image.row(0).setTo(cv::Scalar::all(0));
    image.col(1).setTo(cv::Scalar::all(white_of(depth)));
    image.row(2).colRange(3, 30).setTo(cv::Scalar::all(seed % 2 == 0 ? 0 : white_of(depth)));
    return image;
}

/// What the package blend-modes makes of one value (its mode subtract takes the base for 255 times as bright by
/// mistake).
double expected_value(BlendMode mode, double b, double t, double weight) {
    return cut_off(kFormulas[static_cast<size_t>(mode)](b, t) * weight + b * (1 - weight));
}

void check_near(double found, double expected, int depth) {
    const double tolerance = depth == CV_8U ? 0.501 / 255 : depth == CV_16U ? 0.52 / 65535 : 2e-6;
    if (std::abs(found - expected) <= tolerance) return;  // as doctest's own comparison takes its time
    CHECK(found == doctest::Approx(expected));
}

std::vector<BlendMode> all_modes() {
    std::vector<BlendMode> modes;
    for (const std::string& name : blend_mode_names()) modes.push_back(blend_mode_of(name));
    return modes;
}

/// The planes of an image as doubles from 0 to 1.
std::vector<cv::Mat1d> planes_of(const cv::Mat& image) {
    std::vector<cv::Mat> planes;
    cv::split(image, planes);
    std::vector<cv::Mat1d> result(planes.size());
    for (size_t i = 0; i < planes.size(); ++i) planes[i].convertTo(result[i], CV_64F, 1 / white_of(image.depth()));
    return result;
}

}  // namespace

TEST_CASE("blend: every mode and type after its formula, for opaque images") {
    const std::vector<BlendMode> modes = all_modes();
    REQUIRE(modes.size() == kFormulas.size());
    for (const int depth : {CV_8U, CV_16U, CV_32F}) {
        for (const int channels : {1, 3}) {
            const cv::Mat base = random_image(depth, channels, 4);
            const cv::Mat top = random_image(depth, channels, 7);
            for (const BlendMode mode : modes) {
                for (const double opacity : {1.0, 0.3}) {
                    CAPTURE(blend_mode_names()[static_cast<size_t>(mode)]);
                    const cv::Mat result = blend(base, top, {mode, opacity});
                    REQUIRE(result.type() == base.type());
                    const auto b = planes_of(base);
                    const auto t = planes_of(top);
                    const auto r = planes_of(result);
                    for (size_t plane = 0; plane < r.size(); ++plane) {
                        for (int row = 0; row < base.rows; ++row) {
                            for (int column = 0; column < base.cols; ++column) {
                                const double expected =
                                    expected_value(mode, b[plane](row, column), t[plane](row, column), opacity);
                                check_near(r[plane](row, column), expected, depth);
                            }
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("blend: alpha of the top, of both, and of an image") {
    for (const int depth : {CV_8U, CV_32F}) {
        for (const int base_channels : {1, 3, 4}) {
            for (const int top_channels : {1, 3, 4}) {
                const cv::Mat base = random_image(depth, base_channels, 4);
                const cv::Mat top = random_image(depth, top_channels, 7);
                const cv::Mat mask = random_image(CV_32F, 1, 8);
                const double opacity = 0.8;
                for (const BlendMode mode : {BlendMode::normal, BlendMode::multiply, BlendMode::addition}) {
                    const cv::Mat result = blend(base, top, {mode, opacity}, mask);
                    const bool colored = base_channels > 1 || top_channels > 1;
                    REQUIRE(result.channels() == (base_channels == 4 ? 4 : colored ? 3 : 1));
                    const auto b = planes_of(base);
                    const auto t = planes_of(top);
                    const auto m = planes_of(mask);
                    const auto r = planes_of(result);
                    for (int row = 0; row < base.rows; ++row) {
                        for (int column = 0; column < base.cols; ++column) {
                            const double below = base_channels == 4 ? b[3](row, column) : 1;
                            const double own = (top_channels == 4 ? t[3](row, column) : 1) * m[0](row, column);
                            const bool normal = mode == BlendMode::normal;
                            const double layer = (normal ? own : std::min(below, own)) * opacity;
                            const double whole = below + (1 - below) * layer;
                            const double weight = whole == 0 ? 0 : layer / whole;
                            for (size_t color = 0; color < (colored ? 3 : 1); ++color) {
                                check_near(r[color](row, column),
                                           expected_value(mode, b[base_channels == 1 ? 0 : color](row, column),
                                                          t[top_channels == 1 ? 0 : color](row, column), weight),
                                           depth);
                            }
                            if (base_channels == 4) check_near(r[3](row, column), normal ? whole : below, depth);
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("blend: layers of different types, in the base's") {
    const cv::Mat white(3, 5, CV_16U, cv::Scalar(65535));
    const cv::Mat gray(3, 5, CV_8U, cv::Scalar(51));
    CHECK(cv::norm(blend(gray, white, {}), cv::Mat(3, 5, CV_8U, cv::Scalar(255)), cv::NORM_INF) == 0);
    CHECK(cv::norm(blend(white, gray, {}), cv::Mat(3, 5, CV_16U, cv::Scalar(13107)), cv::NORM_INF) == 0);
    const cv::Mat half = blend(gray, cv::Mat(3, 5, CV_32FC3, cv::Scalar(0, 1, 0.5)), {BlendMode::normal, 0.5});
    CHECK(cv::norm(half, cv::Mat(3, 5, CV_8UC3, cv::Scalar(26, 153, 89)), cv::NORM_INF) <= 1);
}

TEST_CASE("blend: NaN, infinity and values beyond white") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float infinite = std::numeric_limits<float>::infinity();
    const cv::Mat1f base = (cv::Mat1f(1, 6) << 0.25F, 0.25F, nan, 7, infinite, 0.25F);
    const cv::Mat1f top = (cv::Mat1f(1, 6) << nan, 0.75F, 0.75F, -3, 0.5F, infinite);
    cv::Mat1f result = blend(base, top, {BlendMode::normal, 0.5});
    CHECK(result(0) == 0.25F);
    CHECK(result(1) == 0.5F);
    CHECK(std::isnan(result(2)));
    CHECK(result(3) == 2);
    CHECK(result(4) == infinite);
    CHECK(result(5) == infinite);
    result = blend(base, top, {});
    CHECK(result(0) == 0.25F);
    CHECK(result(2) == 0.75F);
    CHECK(result(4) == 0.5F);
    CHECK(result(5) == infinite);
    CHECK(blend(base, top, {BlendMode::normal, 0}).at<float>(5) == 0.25F);
    for (const BlendMode mode : all_modes()) {
        if (mode == BlendMode::normal) continue;
        CAPTURE(blend_mode_names()[static_cast<size_t>(mode)]);
        result = blend(base, top, {mode, 0.7});
        CHECK(result(0) == 0.25F);
        CHECK(std::isnan(result(2)));
        for (const int other : {1, 3, 4, 5}) CHECK((result(other) >= 0 && result(other) <= 1));
        const cv::Mat1b whole = blend(cv::Mat1b(1, 6, uint8_t{64}), top, {mode, 1});
        CHECK(whole(0) == 64);
    }
    // One channel of a colour that is NaN hides the pixel; in integers too.
    const cv::Mat3f colors = (cv::Mat3f(1, 2) << cv::Vec3f(1, nan, 1), cv::Vec3f(infinite, -infinite, 1e30F));
    const cv::Mat3b shown = blend(cv::Mat3b(1, 2, cv::Vec3b(9, 8, 7)), colors, {});
    CHECK(shown(0) == cv::Vec3b(9, 8, 7));
    CHECK(shown(1) == cv::Vec3b(255, 0, 255));
    const cv::Mat1f mask = (cv::Mat1f(1, 2) << nan, 2);
    const cv::Mat1b masked = blend(cv::Mat1b(1, 2, uint8_t{9}), cv::Mat1b(1, 2, uint8_t{99}), {}, mask);
    CHECK(masked(0) == 9);
    CHECK(masked(1) == 99);
}

TEST_CASE("blend: parts of larger images, and single pixels") {
    const cv::Mat whole = random_image(CV_8U, 3, 3, {200, 40});
    const cv::Mat base = whole(cv::Rect(3, 2, 101, 7));
    const cv::Mat top = whole(cv::Rect(90, 20, 101, 7));
    for (const BlendMode mode : all_modes()) {
        const cv::Mat result = blend(base, top, {mode, 0.6});
        CHECK(cv::norm(result, blend(base.clone(), top.clone(), {mode, 0.6}), cv::NORM_INF) == 0);
        const cv::Rect pixel(57, 3, 1, 1);
        CHECK(cv::norm(result(pixel), blend(base(pixel), top(pixel), {mode, 0.6}), cv::NORM_INF) == 0);
    }
}

TEST_CASE("blend: names") {
    CHECK(blend_mode_of("soft_light") == BlendMode::soft_light);
    CHECK(blend_mode_of("overlay") == BlendMode::overlay);
    CHECK(blend_mode_names().size() == 15);
    const Error error = expected_error([] { blend_mode_of("multiplied"); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(std::string(error.what()).find("did you mean multiply?") != std::string::npos);
}

TEST_CASE("blend: what cannot be blended") {
    const cv::Mat image(4, 6, CV_8U, cv::Scalar(1));
    const auto code_of = [&](const cv::Mat& base, const cv::Mat& top, double opacity, const cv::Mat& alpha) {
        return expected_error([&] { blend(base, top, {BlendMode::screen, opacity}, alpha); }).code();
    };
    CHECK(code_of(image, cv::Mat(6, 4, CV_8U), 1, {}) == ErrorCode::wrong_type);
    CHECK(code_of(image, cv::Mat(4, 6, CV_64F), 1, {}) == ErrorCode::wrong_type);
    CHECK(code_of(cv::Mat(4, 6, CV_8UC2), image, 1, {}) == ErrorCode::wrong_type);
    CHECK(code_of(image, image, 1, image) == ErrorCode::wrong_type);
    CHECK(code_of(image, image, 1, cv::Mat(4, 5, CV_32F)) == ErrorCode::wrong_type);
    CHECK(code_of(image, image, 1.01, {}) == ErrorCode::invalid_argument);
    CHECK(code_of(image, image, std::numeric_limits<double>::quiet_NaN(), {}) == ErrorCode::invalid_argument);
}

}  // namespace reelstore
