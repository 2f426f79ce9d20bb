#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "filters/filter_table.h"
#include "filters/smoothing.h"
#include "tests/image_equality.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

cv::Mat run(const std::unique_ptr<Filter>& filter, const cv::Mat& image) {
    cv::Mat result;
    Frame frame;
    frame.image = image;
    frame.index = 7;
    filter->push(frame, [&](Frame changed) { result = changed.image; });
    REQUIRE(filter->each_by_itself());
    REQUIRE(result.type() == image.type());
    REQUIRE(result.size() == image.size());
    return result;
}

cv::Mat run(std::string_view list, const cv::Mat& image) {
    return run(make_filters(list).at(0), image);
}

cv::Mat random_image(const ImageType& type) {
    cv::Mat image(type.height, type.width, type.cv_type());
    cv::randu(image.reshape(1), 0, 250);
    return image;
}

int mirrored(int place, int size) {
    if (place < 0) place = -place;
    return place < size ? place : 2 * size - 2 - place;
}

/// The finite values of one channel in a window whose sides lie so far from its pixel, mirrored at the last pixel.
std::vector<double> window_values(const cv::Mat& image, int y, int x, int channel, int left, int right) {
    std::vector<double> values;
    for (int row = y - left; row <= y + right; ++row) {
        for (int column = x - left; column <= x + right; ++column) {
            const cv::Mat pixel =
                image(cv::Rect(mirrored(column, image.cols), mirrored(row, image.rows), 1, 1)).clone().reshape(1);
            cv::Mat value;
            pixel.col(channel).convertTo(value, CV_64F);
            if (std::isfinite(value.at<double>(0))) values.push_back(value.at<double>(0));
        }
    }
    return values;
}

double value_at(const cv::Mat& image, int y, int x, int channel) {
    cv::Mat value;
    image(cv::Rect(x, y, 1, 1)).clone().reshape(1).col(channel).convertTo(value, CV_64F);
    return value.at<double>(0);
}

double mean_of(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
}

double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t count = values.size();
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

}  // namespace

TEST_CASE("smoothing_filters: means and medians are those of the windows") {
    for (const int depth : {CV_8U, CV_16U, CV_32F}) {
        for (const int channels : {1, 2, 3, 4}) {
            const cv::Mat image = random_image({9, 8, channels, depth});
            CAPTURE(ImageType::of(image).text());
            const cv::Mat means = run("box=4", image);
            for (const int size : {3, 5, 7}) {
                CAPTURE(size);
                const cv::Mat medians = run(fmt::format("median={}:edge=reflect", size), image);
                for (int y = 0; y < image.rows; ++y) {
                    for (int x = 0; x < image.cols; ++x) {
                        for (int channel = 0; channel < channels; ++channel) {
                            const auto window = window_values(image, y, x, channel, size / 2, size / 2);
                            REQUIRE(value_at(medians, y, x, channel) == doctest::Approx(median_of(window)));
                            // An even window reaches farther to the left and to the top.
                            const double mean = mean_of(window_values(image, y, x, channel, 2, 1));
                            REQUIRE(std::abs(value_at(means, y, x, channel) - mean) <= (depth == CV_8U    ? 1
                                                                                        : depth == CV_16U ? 0.5
                                                                                                          : 1e-4));
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("smoothing_filters: what is missing stays or is filled, and does not spread") {
    cv::Mat image = random_image({12, 14, 1, CV_32F});
    for (const auto& [y, x, value] : {std::tuple{0, 0, kNan}, {5, 6, kInfinity}, {5, 7, -kInfinity}, {11, 13, kNan}})
        image.at<float>(y, x) = value;
    image(cv::Rect(0, 6, 6, 6)) = kNan;
    for (const int size : {3, 5, 7}) {
        const std::string list = fmt::format("median={}:edge=reflect:missing=", size);
        const cv::Mat filled = run(list + "fill", image);
        const cv::Mat kept = run(list + "keep", image);
        for (int y = 0; y < image.rows; ++y) {
            for (int x = 0; x < image.cols; ++x) {
                const auto values = window_values(image, y, x, 0, size / 2, size / 2);
                const float result = filled.at<float>(y, x);
                CHECK(std::isnan(result) == values.empty());
                if (!values.empty()) CHECK(result == doctest::Approx(median_of(values)));
                const float own = image.at<float>(y, x);
                const float other = kept.at<float>(y, x);
                if (std::isfinite(own)) {
                    CHECK(other == result);
                } else {
                    CHECK((std::isnan(own) ? std::isnan(other) : other == own));
                }
            }
        }
    }
    for (const char* list : {"gaussian=1:missing=fill", "box=3:missing=fill", "gaussian=1", "box=3", "sharpen"}) {
        CAPTURE(list);
        const cv::Mat result = run(list, image);
        CHECK(std::isfinite(result.at<float>(5, 5)));
        CHECK(std::isfinite(result.at<float>(1, 1)));
        const bool fill = std::string_view(list).find("fill") != std::string_view::npos;
        CHECK(std::isfinite(result.at<float>(5, 6)) == fill);
        if (!fill) CHECK(result.at<float>(5, 7) == -kInfinity);
        // Far from all of it nothing changes.
        cv::Mat clean = image.clone();
        cv::patchNaNs(clean, 3);
        clean.at<float>(5, 6) = clean.at<float>(5, 7) = 3;
        CHECK(result.at<float>(0, 11) == doctest::Approx(run(list, clean).at<float>(0, 11)));
    }
    // A constant image stays as it is, whatever is missing.
    cv::Mat constant(12, 14, CV_32FC1, cv::Scalar(0.3));
    constant.at<float>(4, 4) = kNan;
    for (const char* list : {"gaussian=2:missing=fill", "box=5:missing=fill", "median=7:missing=fill"})
        CHECK(cv::norm(run(list, constant), cv::Mat(12, 14, CV_32FC1, cv::Scalar(0.3)), cv::NORM_INF) < 1e-6);
    const cv::Mat nothing(6, 5, CV_32FC3, cv::Scalar::all(kNan));
    for (const char* list : {"gaussian", "box=2:missing=fill", "median=3", "median=9:missing=fill", "sharpen"}) {
        const cv::Mat result = run(list, nothing);
        CHECK(std::all_of(result.begin<cv::Vec3f>(), result.end<cv::Vec3f>(),
                          [](const cv::Vec3f& pixel) { return std::isnan(pixel[0]) && std::isnan(pixel[2]); }));
    }
}

TEST_CASE("smoothing_filters: medians of images that are larger than what is looked at once") {
    for (const int size : {3, 5}) {
        for (const int channels : {1, 3}) {
            cv::Mat image = random_image({601, 700, channels, CV_32F});
            cv::Mat expected;
            cv::medianBlur(image, expected, size);
            CHECK(equal_pixels(run(fmt::format("median={}", size), image), expected));
            for (const int row : {0, 90, 91, 92, 93, 94, 300, 600}) {
                cv::Mat with_nan = image.clone();
                with_nan.ptr<float>(row)[50] = kNan;
                const cv::Mat result = run(fmt::format("median={}:missing=fill", size), with_nan);
                CHECK(all_finite(result));
            }
        }
    }
}

TEST_CASE("smoothing_filters: a missing value is found wherever it is") {
    // The results are looked at in some rows only.
    for (const char* list : {"gaussian=0.6", "gaussian=sigma_x=2:sigma_y=0", "gaussian=sigma_x=0:sigma_y=3", "box=3",
                             "box=width=5:height=1", "box=width=1:height=6", "sharpen=radius=2"}) {
        CAPTURE(list);
        for (int y = 0; y < 17; ++y) {
            for (const int x : {0, 4, 10}) {
                cv::Mat image = random_image({17, 11, 1, CV_32F});
                image.at<float>(y, x) = kNan;
                const cv::Mat result = run(list, image);
                CHECK(std::count_if(result.begin<float>(), result.end<float>(),
                                    [](float value) { return std::isnan(value); }) == 1);
            }
        }
    }
}

TEST_CASE("smoothing_filters: what they share for filters in time") {
    cv::Mat image = random_image({10, 11, 3, CV_32F});
    CHECK(all_finite(image));
    CHECK(without_missing(image).weights.empty());
    image.at<cv::Vec3f>(9, 10)[2] = -kInfinity;
    CHECK_FALSE(all_finite(image));
    const WeightedImage known = without_missing(image);
    CHECK(all_finite(known.values));
    CHECK(cv::sum(known.weights.reshape(1))[0] == 10 * 11 * 3 - 1);
    const cv::Mat means = weighted_means(known.values, known.weights);
    CHECK(std::isnan(means.at<cv::Vec3f>(9, 10)[2]));
    CHECK(means.at<cv::Vec3f>(9, 10)[1] == image.at<cv::Vec3f>(9, 10)[1]);
    // Exact sums, rounded once.
    cv::Mat deep(40, 40, CV_16UC1, cv::Scalar(65535));
    deep.at<uint16_t>(20, 20) = 65534;
    const cv::Mat mean = box_blurred(deep, {31, 31}, EdgeMode::edge, CV_64F);
    CHECK(mean.at<double>(20, 20) == doctest::Approx(65535 - 1.0 / (31 * 31)).epsilon(1e-12));
}

TEST_CASE("smoothing_filters: nothing to do, and what lies around a crop") {
    const cv::Mat whole = random_image({30, 40, 3, CV_16U});
    const cv::Mat image = whole(cv::Rect(7, 5, 20, 21));
    for (const char* list : {"gaussian=0", "box=1", "median=1", "sharpen=0"})
        CHECK(equal_pixels(run(list, image), image));
    for (const int depth : {CV_8U, CV_16U, CV_32F}) {
        cv::Mat typed;
        whole.convertTo(typed, depth);
        const cv::Mat part = typed(cv::Rect(7, 5, 20, 21));
        for (const char* list : {"gaussian=2", "box=5", "median", "median=7", "median=3:edge=symmetric", "sharpen"}) {
            CAPTURE(list);
            CHECK(equal_pixels(run(list, part), run(list, part.clone())));
        }
    }
    const cv::Mat pixel(1, 1, CV_32FC1, cv::Scalar(5));
    for (const char* list : {"gaussian=30", "box=50", "median=51", "sharpen=3:8"})
        CHECK(run(list, pixel).at<float>(0, 0) == doctest::Approx(5));
}

TEST_CASE("smoothing_filters: what makes no sense is refused") {
    for (const char* list : {"median=2", "median=0", "median=257", "box=0", "box=1:0", "gaussian=-1", "gaussian=nan",
                             "gaussian=edge=wrap", "sharpen=-1", "sharpen=1:0", "box=missing=drop"}) {
        CAPTURE(list);
        CHECK(error_of([&] { make_filters(list); }) == ErrorCode::invalid_argument);
    }
    CHECK(error_of([] { median({.size = 4}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { gaussian({.sigma_x = -1}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { box({.width = 0}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { sharpen({.radius = 0}); }) == ErrorCode::invalid_argument);
    for (const char* list : {"median", "gaussian", "box", "sharpen"}) {
        CAPTURE(list);
        for (const int type : {CV_8SC1, CV_32SC1, CV_16FC1, CV_8UC(5)}) {
            const auto made = make_filters(list);
            Frame frame;
            frame.image = cv::Mat::zeros(9, 9, type);
            frame.index = 4;
            const Error error = expected_error([&] { made[0]->push(frame, [](Frame) {}); });
            CHECK(error.code() == ErrorCode::wrong_type);
            CHECK(error.place().frame_index == 4);
        }
    }
}

}  // namespace reelstore
