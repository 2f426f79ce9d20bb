#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "filters/filter_table.h"
#include "filters/tone.h"
#include "filters/value_range.h"
#include "tests/image_equality.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

cv::Mat run(Filter& filter, const cv::Mat& image) {
    cv::Mat result;
    Frame frame;
    frame.image = image;
    filter.push(frame, [&](Frame changed) { result = changed.image; });
    return result;
}

cv::Mat run(const std::unique_ptr<Filter>& filter, const cv::Mat& image) {
    return run(*filter, image);
}

cv::Mat run(std::string_view list, const cv::Mat& image) {
    return run(*make_filters(list).at(0), image);
}

cv::Mat random_image(const ImageType& type) {
    cv::Mat image(type.height, type.width, type.cv_type());
    if (type.depth == CV_32F || type.depth == CV_64F) {
        cv::randn(image.reshape(1), 0.3, 0.6);
    } else {
        cv::randu(image.reshape(1), 0, type.depth == CV_8U ? 256 : 65536);
    }
    return image;
}

std::vector<float> values_of(const cv::Mat& image) {
    cv::Mat floats;
    image.clone().reshape(1, 1).convertTo(floats, CV_32F);
    return {floats.begin<float>(), floats.end<float>()};
}

cv::Mat row_of(const std::vector<float>& values) {
    return cv::Mat(values, true).reshape(1, 1);
}

/// As numpy's, of finite values.
double percentile(const cv::Mat& image, double percent) {
    std::vector<float> values = values_of(image);
    values.erase(std::remove_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); }),
                 values.end());
    std::sort(values.begin(), values.end());
    const double place = percent / 100 * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(place);
    const double low = values[below];
    const double high = values[std::min(below + 1, values.size() - 1)];
    return low + (high - low) * (place - std::floor(place));
}

}  // namespace

TEST_CASE("tone_filters: a threshold lies between values, below all or above all") {
    cv::Mat bytes(1, 256, CV_8UC1);
    for (int i = 0; i < 256; ++i) bytes.at<uint8_t>(i) = static_cast<uint8_t>(i);
    cv::Mat deep;
    bytes.convertTo(deep, CV_16U, 257);
    for (const double limit : {-1e300, -0.5, 0.0, 0.5, 99.0, 99.999, 254.9, 255.0, 300.0, 65534.5, 65535.0, 1e300}) {
        CAPTURE(limit);
        const cv::Mat over = run(threshold(limit), bytes);
        const cv::Mat deep_over = run(threshold(limit), deep);
        for (int i = 0; i < 256; ++i) {
            REQUIRE(over.at<uint8_t>(i) == (i > limit ? 255 : 0));
            REQUIRE(deep_over.at<uint16_t>(i) == (i * 257 > limit ? 65535 : 0));
        }
    }
    // 0.1 lies between two floats.
    const float near = 0.1F;
    const std::vector<float> values = {
        std::nextafter(near, 0.0F), near, std::nextafter(near, 1.0F), kNan, kInfinity, -kInfinity, 0, FLT_MAX};
    for (const double limit : {0.1, double(near), -1e300, 1e300}) {
        CAPTURE(limit);
        const cv::Mat over = run(threshold(limit), row_of(values));
        for (int i = 0; i < over.cols; ++i)
            CHECK(over.at<float>(i) == (double(values[static_cast<size_t>(i)]) > limit ? 1 : 0));
    }
}

TEST_CASE("tone_filters: percentiles are those of all finite values in order") {
    for (const int depth : {CV_8U, CV_16U, CV_16S, CV_32F, CV_64F}) {
        for (const auto& [height, width, channels] : {std::tuple{31, 17, 1}, {7, 9, 3}, {1, 1, 1}, {1, 2, 1}}) {
            cv::Mat image = random_image({height, width, channels, depth == CV_16S ? CV_8U : depth});
            image.convertTo(image, depth);
            if (depth == CV_32F) {
                image -= cv::Scalar::all(0.5);
                if (image.total() > 10) image.at<float>(2) = kNan;
                if (image.total() > 10) image.at<float>(3) = -kInfinity;
            }
            CAPTURE(ImageType::of(image).text());
            for (const double percent : {0.0, 0.7, 2.0, 50.0, 87.5, 99.9, 100.0}) {
                CAPTURE(percent);
                const auto [low, high] = ends_of(image, {.low_percentile = percent, .high_percentile = 100});
                CHECK(low == doctest::Approx(percentile(image, percent)));
                CHECK(high == doctest::Approx(percentile(image, 100)));
                const auto whole = ends_of(image, {.low_percentile = 0, .high_percentile = percent});
                CHECK(whole.first == doctest::Approx(percentile(image, 0)));
                CHECK(whole.second == doctest::Approx(percentile(image, percent)));
            }
        }
    }
    // Values that begin alike, and two of which one is far off.
    const cv::Mat close = row_of({1.00001F, 1, 1.00002F, 1.00003F});
    CHECK(ends_of(close, {.low_percentile = 50}).first == doctest::Approx(1.000015).epsilon(1e-7));
    CHECK(ends_of(row_of({-3, 5e20F}), {.low_percentile = 50}).first == doctest::Approx(2.5e20));
    CHECK(ends_of(row_of({kNan, kInfinity}), {.low_percentile = 50}).first == 0);
    CHECK(ends_of(row_of({kNan, kInfinity}), {}) == std::pair(0.0, 0.0));
    CHECK(ends_of(cv::Mat(1, 1, CV_16SC1), {.of = ToneRangeOf::type}) == std::pair(-32768.0, 32767.0));
    CHECK(ends_of(cv::Mat(1, 1, CV_16UC1), {.low = 3, .of = ToneRangeOf::type}) == std::pair(3.0, 65535.0));
}

TEST_CASE("tone_filters: NaN and infinite values among all ways to normalise") {
    std::vector<float> values = {kNan, kInfinity, -kInfinity, 0, 10, 5, -1e30F, 1e30F, 20, -10};
    // Enough for whole vectors and what is left over.
    for (int i = 0; i < 13; ++i) values.push_back(static_cast<float>(i));
    const cv::Mat image = row_of(values);
    const auto expected = [](float value, double low, double high, double white, double nan) {
        if (std::isnan(value)) return nan;
        return std::clamp((double(value) - low) / (high - low), 0.0, 1.0) * white;
    };
    for (const char* nan : {"0", "9"}) {
        for (const auto& [type, white] : {std::pair{"uint8", 255.0}, {"uint16", 65535.0}, {"float32", 1.0}}) {
            const cv::Mat result = run(fmt::format("normalize=0:10:type={}:nan={}", type, nan), image);
            const std::vector<float> seen = values_of(result);
            for (size_t i = 0; i < seen.size(); ++i) {
                CAPTURE(i);
                const double wanted = expected(values[i], 0, 10, white, white == 1 ? NAN : std::atof(nan));
                if (std::isnan(wanted)) {
                    CHECK(std::isnan(seen[i]));
                } else {
                    CHECK(std::abs(seen[i] - wanted) <= (white == 1 ? 1e-6 : 0.5));
                }
            }
        }
    }
    const std::vector<float> open = values_of(run("normalize=0:10:clip=no", image));
    CHECK(open[1] == kInfinity);
    CHECK(open[2] == -kInfinity);
    CHECK(open[8] == doctest::Approx(2));
    CHECK(open[9] == doctest::Approx(-1));
    CHECK(std::isnan(open[0]));
    // Upside down, and beyond float32.
    CHECK(values_of(run("normalize=0:10:to_low=100:to_high=50", image))[5] == doctest::Approx(75));
    CHECK(values_of(run("normalize=0:10:to_low=-1e200:to_high=1e200:type=float64", image))[5] == doctest::Approx(0));
    CHECK(values_of(run("8bit=0:10", row_of({3, 4}))) == std::vector<float>{76, 102});
    for (const char* list : {"8bit", "normalize", "levels"}) {
        const cv::Mat constant = run(list, cv::Mat(5, 9, CV_32FC1, cv::Scalar(7)));
        CHECK(cv::countNonZero(constant) == 0);
        const cv::Mat none = run(list, cv::Mat(5, 9, CV_32FC1, cv::Scalar(kNan)));
        if (none.depth() == CV_8U) {
            CHECK(cv::countNonZero(none) == 0);
        } else {
            CHECK(std::isnan(none.at<float>(4, 8)));
        }
    }
}

TEST_CASE("tone_filters: integers are spread exactly, by table or not") {
    for (const int depth : {CV_8U, CV_16U}) {
        const cv::Mat image = random_image({11, 23, 3, depth});
        const std::vector<float> values = values_of(image);
        const double white = depth == CV_8U ? 255 : 65535;
        for (const auto& [low, high, to_low, to_high] : {std::tuple{0.0, white, 0.0, 255.0},
                                                         {20.0, 200.0, 0.0, white},
                                                         {30.5, 32.25, 0.0, white},
                                                         {0.0, 4095.0, 10.0, 200.0},
                                                         {-100.0, 1e6, 3.0, 250.5},
                                                         {10.0, 20.0, 240.0, 5.0}}) {
            for (const char* type : {"uint8", "uint16", "float32", "float64"}) {
                const std::string list =
                    fmt::format("normalize={}:{}:to_low={}:to_high={}:type={}", low, high, to_low, to_high, type);
                CAPTURE(list);
                const std::vector<float> seen = values_of(run(list, image));
                const double most = std::string_view(type) == "uint8" ? 255 : 65535;
                const bool integers = type[0] == 'u';
                double worst = 0;
                for (size_t i = 0; i < seen.size(); ++i) {
                    double wanted = to_low + (values[i] - low) / (high - low) * (to_high - to_low);
                    wanted = std::clamp(wanted, std::min(to_low, to_high), std::max(to_low, to_high));
                    if (integers) wanted = std::clamp(wanted, 0.0, most);
                    worst = std::max(worst, std::abs(seen[i] - wanted));
                }
                CHECK(worst <= (integers ? 0.63 : 0.005));
            }
        }
    }
}

TEST_CASE("tone_filters: gamma of values whose power OpenCV does not know") {
    const std::vector<float> values = {0,          -0.0F,   1e-40F,  -1e-40F, -3,    kNan,  kInfinity,
                                       -kInfinity, FLT_MIN, FLT_MAX, 1,       0.25F, 1e-20F};
    for (const double value_of_gamma : {2.2, 1000.0, 0.5, 1.0}) {
        CAPTURE(value_of_gamma);
        const cv::Mat result = run(gamma_correction(value_of_gamma), row_of(values));
        for (size_t i = 0; i < values.size(); ++i) {
            CAPTURE(values[i]);
            const float seen = result.at<float>(static_cast<int>(i));
            if (std::isnan(values[i])) {
                CHECK(std::isnan(seen));
                continue;
            }
            const double wanted = std::pow(std::max(0.0, double(values[i])), 1 / value_of_gamma);
            if (wanted > FLT_MAX) {
                CHECK(seen == kInfinity);
            } else {
                CHECK(seen == doctest::Approx(wanted).epsilon(1e-4));
            }
        }
    }
}

TEST_CASE("tone_filters: an even field beyond 32 bits is white") {
    cv::Mat flat(4, 4, CV_16UC1, cv::Scalar(65535));
    flat.at<uint16_t>(1, 1) = 1;
    flat.at<uint16_t>(2, 2) = 0;
    const cv::Mat image(4, 4, CV_16UC1, cv::Scalar(50000));
    const cv::Mat result = run(flat_field(flat), image);
    CHECK(result.at<uint16_t>(1, 1) == 65535);
    CHECK(result.at<uint16_t>(2, 2) == 0);
    const double mean = (65535.0 * 14 + 1) / 16;
    CHECK(std::abs(result.at<uint16_t>(0, 0) - 50000.0 * mean / 65535) <= 0.6);
    // A dead pixel of a flat field in floats is black, and the others are not changed by it.
    cv::Mat dead(2, 3, CV_32FC3, cv::Scalar(2, 4, 8));
    dead.at<cv::Vec3f>(0, 0) = {kNan, kInfinity, 8};
    dead.at<cv::Vec3f>(1, 2) = {6, 4, 8};
    const cv::Mat lit = run(flat_field(dead), cv::Mat(2, 3, CV_32FC3, cv::Scalar(1, 1, 1)));
    CHECK(lit.at<cv::Vec3f>(0, 0) == cv::Vec3f(0, 0, 1));
    CHECK(lit.at<cv::Vec3f>(0, 1)[0] == doctest::Approx(2.8 / 2));
    CHECK(lit.at<cv::Vec3f>(1, 2)[0] == doctest::Approx(2.8 / 6));
    CHECK(lit.at<cv::Vec3f>(0, 1)[1] == 1);
    CHECK(run("brightness=0:1e12", image).at<uint16_t>(0, 0) == 65535);
    CHECK(run("brightness=0:-1e12", image).at<uint16_t>(0, 0) == 0);
    CHECK(run("brightness=1e40", cv::Mat(1, 1, CV_32FC1, cv::Scalar(0))).at<float>(0) == kInfinity);
}

TEST_CASE("tone_filters: float16 is normalized as float32 is") {
    cv::Mat values = random_image({9, 14, 3, CV_32F});
    values.at<cv::Vec3f>(2, 3)[1] = kNan;
    cv::Mat image;
    values.convertTo(image, CV_16F);
    image.convertTo(values, CV_32F);
    for (const char* filter : {"8bit", "normalize=type=uint16:low_percentile=5", "normalize=range=type:type=float32"}) {
        CAPTURE(filter);
        const cv::Mat result = run(filter, image);
        const cv::Mat expected = run(filter, values);
        REQUIRE(ImageType::of(result) == ImageType::of(expected));
        CHECK(std::memcmp(result.data, expected.data, ImageType::of(expected).bytes()) == 0);
    }
    CHECK(error_of([&] { run("normalize", image); }) == ErrorCode::wrong_type);
}

TEST_CASE("tone_filters: a range of the recording is learned from all frames") {
    const Filters made = make_filters("8bit=range=recording");
    const std::unique_ptr<Filter>& filter = made.front();
    SourceInfo info;
    info.image_type = {2, 3, 1, CV_32F};
    info.encoding = "cv_bayerbg";
    filter->begin(info);
    CHECK(info.image_type == ImageType{2, 3, 1, CV_8U});
    CHECK(info.encoding == "cv_bayerbg");
    REQUIRE(filter->needs_first_pass());
    for (const double value : {-2.0, 8.0, double(kNan)}) {
        Frame frame;
        frame.image = cv::Mat(2, 3, CV_32FC1, cv::Scalar(value));
        filter->first_pass(frame);
    }
    filter->end_first_pass();
    const auto fresh = filter->fresh();
    for (const auto& [value, expected] : {std::pair{-2.0, 0}, {8.0, 255}, {3.0, 128}, {99.0, 255}}) {
        Frame frame;
        frame.image = cv::Mat(2, 3, CV_32FC1, cv::Scalar(value));
        fresh->push(frame, [&, expected = expected](const Frame& changed) {
            CHECK(changed.image.type() == CV_8U);
            CHECK(changed.image.at<uint8_t>(1, 2) == expected);
        });
    }
    CHECK(error_of([] { make_filters("8bit=range=recording:low_percentile=2"); }) == ErrorCode::invalid_argument);
    CHECK_FALSE(make_filters("normalize=1:5:range=recording").front()->needs_first_pass());
    // Nothing finite in the whole recording.
    const auto none = make_filters("normalize=range=recording:type=float32");
    none.front()->end_first_pass();
    Frame frame;
    frame.image = cv::Mat(1, 1, CV_32FC1, cv::Scalar(kNan));
    none.front()->push(frame, [](const Frame& changed) { CHECK(std::isnan(changed.image.at<float>(0, 0))); });
}

TEST_CASE("tone_filters: a part of an image is changed as the image is") {
    for (const int depth : {CV_8U, CV_16U, CV_32F}) {
        for (const int channels : {1, 3, 4}) {
            const cv::Mat whole = random_image({20, 30, channels, depth});
            const cv::Mat part = whole(cv::Rect(3, 4, 13, 11));
            for (const char* list : {"brightness=3:0.5", "gamma=2", "curve", "invert", "threshold=0.4", "normalize",
                                     "levels", "8bit=range=type", "clahe"}) {
                if (depth == CV_32F && std::string_view(list) == "clahe") continue;
                CAPTURE(std::string(list));
                CAPTURE(ImageType::of(part).text());
                CHECK(equal_pixels(run(list, part), run(list, part.clone())));
            }
        }
    }
}

TEST_CASE("tone_filters: clahe is OpenCV's, to the last bit") {
    for (const auto& [height, width] : {std::pair{64, 80}, {65, 83}, {200, 37}, {100, 101}, {30, 400}, {5, 3}}) {
        for (const auto& [clip, tiles] : {std::pair{8.0, 5}, {0.3, 1}, {2.0, 2}, {40.0, 3}, {1e6, 4}, {3.0, 8}}) {
            const std::string list = fmt::format("clahe={}:{}", clip, tiles);
            CAPTURE(list);
            cv::Mat image = random_image({height, width, 1, CV_8U});
            image(cv::Rect(0, 0, width, height / 2)) /= 5;
            cv::Mat expected;
            cv::createCLAHE(clip, cv::Size(tiles, tiles))->apply(image, expected);
            CHECK(equal_pixels(run(list, image), expected));
            image = cv::Scalar(77);
            cv::createCLAHE(clip, cv::Size(tiles, tiles))->apply(image, expected);
            CHECK(equal_pixels(run(list, image), expected));
        }
    }
}

TEST_CASE("tone_filters: tables need a value for each value") {
    CHECK(error_of([] { lookup_table(std::vector<uint8_t>(255)); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { lookup_table(std::vector<uint16_t>(256)); }) == ErrorCode::invalid_argument);
    std::vector<uint16_t> turned(65536);
    for (size_t i = 0; i < turned.size(); ++i) turned[i] = static_cast<uint16_t>(65535 - i);
    const cv::Mat image = random_image({7, 9, 3, CV_16U});
    CHECK(equal_pixels(run(lookup_table(turned), image), run("invert", image)));
    CHECK(error_of([&] { run(lookup_table(turned), random_image({2, 2, 1, CV_8U})); }) == ErrorCode::wrong_type);
    for (const char* list : {"lut", "levels=clip=101", "levels=clip=5:low_percentile=1",
                             "8bit=range=type:low_percentile=1", "normalize=5:4", "threshold"}) {
        CAPTURE(list);
        CHECK(error_of([&] { make_filters(list); }) == ErrorCode::invalid_argument);
    }
}

}  // namespace reelstore
