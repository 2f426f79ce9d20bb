// Statistics of pixels against the same worked out value by value, and of many images against one large one.
#include "filters/image_statistics.h"

#include <doctest/doctest.h>

#include <cmath>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

cv::Mat random_image(int type, int rows, int columns, uint64_t seed = 5) {
    cv::RNG random(seed);
    cv::Mat image(rows, columns, type);
    const bool real = image.depth() >= CV_32F;
    random.fill(image, cv::RNG::UNIFORM, real ? -3.0 : -40000.0, real ? 5.0 : 70000.0, true);
    return image;
}

struct Direct {
    std::vector<long double> values;
    int64_t nan = 0;
    int64_t infinite = 0;

    void add(double value) {
        if (std::isnan(value)) {
            ++nan;
        } else if (std::isinf(value)) {
            ++infinite;
        } else {
            values.push_back(static_cast<long double>(value));
        }
    }
    long double mean() const {
        long double sum = 0;
        for (const long double value : values) sum += value;
        return sum / static_cast<long double>(values.size());
    }
    long double deviation() const {
        const long double middle = mean();
        long double sum = 0;
        for (const long double value : values) sum += (value - middle) * (value - middle);
        return std::sqrt(sum / static_cast<long double>(values.size()));
    }
};

/// The values of a channel where `mask` is not 0.
Direct values_of(const cv::Mat& image, int channel, const cv::Mat& mask) {
    cv::Mat wide;
    image.convertTo(wide, CV_MAKETYPE(CV_64F, image.channels()));
    Direct direct;
    for (int y = 0; y < image.rows; ++y) {
        for (int x = 0; x < image.cols; ++x) {
            if (mask.at<uint8_t>(y, x) != 0) direct.add(wide.ptr<double>(y)[x * image.channels() + channel]);
        }
    }
    return direct;
}

void check(const ValueStatistics& found, const Direct& direct) {
    CHECK(found.count == static_cast<int64_t>(direct.values.size()));
    CHECK(found.nan_count == direct.nan);
    CHECK(found.infinite_count == direct.infinite);
    if (direct.values.empty()) {
        CHECK(std::isnan(found.mean()));
        CHECK(std::isnan(found.standard_deviation()));
        CHECK(std::isnan(found.min()));
        CHECK(std::isnan(found.max()));
        return;
    }
    CHECK(found.min() == static_cast<double>(*std::min_element(direct.values.begin(), direct.values.end())));
    CHECK(found.max() == static_cast<double>(*std::max_element(direct.values.begin(), direct.values.end())));
    CHECK(found.mean() == doctest::Approx(static_cast<double>(direct.mean())).epsilon(1e-12));
    CHECK(found.standard_deviation() == doctest::Approx(static_cast<double>(direct.deviation())).epsilon(1e-11));
}

void check_image(const cv::Mat& image, const Region& region, const cv::Mat& mask) {
    const RegionStatistics found = image_statistics(image, region);
    REQUIRE(found.channels.size() == static_cast<size_t>(image.channels()));
    CHECK(found.histograms.empty());
    for (int channel = 0; channel < image.channels(); ++channel) {
        CAPTURE(image.type());
        CAPTURE(channel);
        check(found.channels[static_cast<size_t>(channel)], values_of(image, channel, mask));
    }
}

}  // namespace

TEST_CASE("image_statistics: every type and number of channels, sizes on both sides of a block") {
    for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (const int channels : {1, 2, 3, 4, 5}) {
            for (const auto& [rows, columns] :
                 {std::pair(1, 1), std::pair(3, 7), std::pair(5, 67), std::pair(2, 2100)}) {
                cv::Mat image = random_image(CV_MAKETYPE(depth == CV_16F ? CV_32F : depth, channels), rows, columns);
                if (depth == CV_16F) image.convertTo(image, CV_16F);
                check_image(image, {}, cv::Mat::ones(rows, columns, CV_8U));
            }
        }
    }
}

TEST_CASE("image_statistics: largest sums") {
    // The partial sums of blocks are as large as they can be.
    for (const int type : {CV_8UC1, CV_8UC3, CV_16UC1, CV_16UC4}) {
        const cv::Mat white(2, 40000, type,
                            cv::Scalar::all(type < CV_16U || CV_MAT_DEPTH(type) == CV_8U ? 255 : 65535));
        for (const ValueStatistics& channel : image_statistics(white).channels) {
            CHECK(channel.mean() == (CV_MAT_DEPTH(type) == CV_8U ? 255 : 65535));
            CHECK(channel.standard_deviation() == 0);
            CHECK(channel.saturated_count == 80000);
        }
    }
    const cv::Mat low(3, 60000, CV_32SC1, cv::Scalar(-2147483648.0));
    ValueStatistics many;
    for (int i = 0; i < 1000; ++i) many.merge(image_statistics(low).channels[0]);
    CHECK(many.mean() == -2147483648.0);
    CHECK(many.standard_deviation() == 0);
}

TEST_CASE("image_statistics: a hair's breadth of spread on a high level, over many images") {
    // What naive sums in double precision lose: 65534 and 65535 in turn.
    cv::Mat image(64, 1000, CV_16UC1);
    for (int i = 0; i < 64000; ++i) image.at<uint16_t>(i / 1000, i % 1000) = static_cast<uint16_t>(65534 + i % 2);
    ValueStatistics all;
    const ValueStatistics one = image_statistics(image).channels[0];
    for (int i = 0; i < 100000; ++i) all.merge(one);
    CHECK(all.count == 6400000000);
    CHECK(all.mean() == 65534.5);
    CHECK(all.standard_deviation() == 0.5);
    CHECK(all.saturated_count == 3200000000);

    cv::Mat real(64, 1001, CV_64FC1);
    for (int i = 0; i < 64 * 1001; ++i) real.at<double>(i / 1001, i % 1001) = 1e9 + i % 2;
    ValueStatistics reals;
    for (int i = 0; i < 100; ++i) reals.merge(image_statistics(real).channels[0]);
    CHECK(reals.mean() == doctest::Approx(1e9 + 0.5).epsilon(1e-15));
    CHECK(reals.standard_deviation() == doctest::Approx(0.5).epsilon(1e-9));
}

TEST_CASE("image_statistics: NaN and infinite values are counted and left out") {
    for (const int type : {CV_32FC1, CV_32FC3, CV_64FC1}) {
        cv::Mat image = random_image(type, 20, 53);
        cv::Mat wide;
        for (int y = 0; y < 20; ++y) {
            for (int i = 0; i < 53 * image.channels(); ++i) {
                const double odd = i % 7 == 0 ? kNaN : i % 11 == 0 ? (y % 2 ? kInfinity : -kInfinity) : 0;
                // Whole rows of NaN, and of none.
                if (y % 4 == 0 || (y % 4 == 1 && odd == 0)) continue;
                const double value = y % 4 == 2 ? kNaN : odd;
                if (type == CV_64FC1) {
                    image.ptr<double>(y)[i] = value;
                } else {
                    image.ptr<float>(y)[i] = static_cast<float>(value);
                }
            }
        }
        check_image(image, {}, cv::Mat::ones(20, 53, CV_8U));
    }
    const cv::Mat none(4, 40, CV_32FC1, cv::Scalar(kNaN));
    check_image(none, {}, cv::Mat::ones(4, 40, CV_8U));
    ValueStatistics merged = image_statistics(none).channels[0];
    merged.merge(image_statistics(cv::Mat(1, 2, CV_32FC1, cv::Scalar(3))).channels[0]);
    CHECK(merged.mean() == 3);
    CHECK(merged.count == 2);
    CHECK(merged.nan_count == 160);
}

TEST_CASE("image_statistics: images put together are as one") {
    for (const int type : {CV_8UC3, CV_16UC1, CV_32FC1, CV_64FC2}) {
        const cv::Mat image = random_image(type, 40, 97);
        RegionStatistics merged;
        StatisticsOptions options;
        options.bins = 13;
        options.low = -2;
        options.high = 4.5;
        for (int y = 0; y < 40; y += 8) merged.merge(image_statistics(image.rowRange(y, y + 8), {}, options));
        const RegionStatistics whole = image_statistics(image, {}, options);
        for (size_t channel = 0; channel < whole.channels.size(); ++channel) {
            check(merged.channels[channel], values_of(image, static_cast<int>(channel), cv::Mat::ones(40, 97, CV_8U)));
            CHECK(merged.histograms[channel].counts == whole.histograms[channel].counts);
            CHECK(merged.histograms[channel].above == whole.histograms[channel].above);
        }
    }
    RegionStatistics gray = image_statistics(cv::Mat::zeros(2, 2, CV_8UC1));
    CHECK(error_of([&] { gray.merge(image_statistics(cv::Mat::zeros(2, 2, CV_8UC3))); }) == ErrorCode::wrong_type);
}

TEST_CASE("image_statistics: regions") {
    const cv::Mat image = random_image(CV_8UC3, 31, 45);
    cv::Mat mask = cv::Mat::zeros(31, 45, CV_8U);

    mask(cv::Rect(4, 5, 20, 11)) = 1;
    check_image(image, Region::rectangle({4, 5, 20, 11}), mask);
    check_image(image(cv::Rect(2, 2, 40, 25)), Region::rectangle({4, 5, 20, 11}), mask(cv::Rect(0, 0, 40, 25)));

    const std::vector<cv::Point> corners = {{3, 2}, {40, 8}, {20, 30}, {18, 12}};
    mask = 0;
    cv::fillPoly(mask, std::vector<std::vector<cv::Point>>{corners}, cv::Scalar(1));
    check_image(image, Region::polygon(corners), mask);
    CHECK(Region::polygon(corners).pixels_in(image.size()) == cv::countNonZero(mask));

    cv::RNG(3).fill(mask, cv::RNG::UNIFORM, 0, 2);
    check_image(image, Region::mask(mask), mask);
    cv::Mat real;
    mask.convertTo(real, CV_32F, 0.25);
    check_image(image, Region::mask(real), mask);
    cv::Mat color;
    cv::merge(std::vector<cv::Mat>{cv::Mat::zeros(mask.size(), CV_8U), mask, cv::Mat::zeros(mask.size(), CV_8U)},
              color);
    check_image(image, Region::mask(color), mask);

    const Region whole;
    CHECK(whole.whole());
    CHECK(whole.pixels_in({45, 31}) == 45 * 31);
    CHECK(whole.bounds_in({45, 31}) == cv::Rect(0, 0, 45, 31));
}

TEST_CASE("image_statistics: regions that are none, or lie outside") {
    const auto code_of = [](auto step) { return error_of(step); };
    CHECK(code_of([] { Region::rectangle({0, 0, 0, 4}); }) == ErrorCode::invalid_argument);
    CHECK(code_of([] { Region::rectangle({-1, 0, 3, 4}); }) == ErrorCode::invalid_argument);
    CHECK(code_of([] { Region::polygon({{1, 1}, {2, 2}}); }) == ErrorCode::invalid_argument);
    CHECK(code_of([] { Region::polygon({{1, 1}, {2, 2}, {-1, 4}}); }) == ErrorCode::invalid_argument);
    CHECK(code_of([] { Region::mask(cv::Mat::zeros(4, 4, CV_8U)); }) == ErrorCode::invalid_argument);
    const cv::Mat image = cv::Mat::zeros(10, 12, CV_8U);
    CHECK_NOTHROW(image_statistics(image, Region::rectangle({11, 9, 1, 1})));
    CHECK(code_of([&] { image_statistics(image, Region::rectangle({11, 9, 2, 1})); }) == ErrorCode::invalid_argument);
    CHECK(code_of([&] {
              image_statistics(image, Region::rectangle({65535, 9, 65535, 1}));
          }) == ErrorCode::invalid_argument);
    CHECK(code_of([&] {
              image_statistics(image, Region::polygon({{1, 1}, {5, 1}, {2, 10}}));
          }) == ErrorCode::invalid_argument);
    CHECK(code_of([&] { image_statistics(image, Region::mask(cv::Mat::ones(10, 13, CV_8U))); }) ==
          ErrorCode::invalid_argument);
}

TEST_CASE("image_statistics: histograms") {
    const auto range = [](double low, double high, int bins) {
        StatisticsOptions options;
        options.low = low;
        options.high = high;
        options.bins = bins;
        return options;
    };
    for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F}) {
        CAPTURE(depth);
        const cv::Mat image = random_image(CV_MAKETYPE(depth, 2), 30, 31);
        const StatisticsOptions options = range(-1.3, 3.9, 17);
        const std::vector<Histogram> found = image_statistics(image, {}, options).histograms;
        REQUIRE(found.size() == 2);
        for (int channel = 0; channel < 2; ++channel) {
            const Histogram& histogram = found[static_cast<size_t>(channel)];
            std::vector<int64_t> counts(17);
            int64_t below = 0;
            int64_t above = 0;
            for (const long double value : values_of(image, channel, cv::Mat::ones(30, 31, CV_8U)).values) {
                below += value < -1.3L ? 1 : 0;
                above += value > 3.9L ? 1 : 0;
                for (size_t bin = 0; bin < 17; ++bin) {
                    const auto v = static_cast<double>(value);
                    if (v >= histogram.edge(bin) && v < histogram.edge(bin + 1)) ++counts[bin];
                }
            }
            CHECK(histogram.counts == counts);
            CHECK(histogram.below == below);
            CHECK(histogram.above == above);
        }
    }
    // Without a range: one bin a value, and 0 to 1 for floats.
    cv::Mat steps(1, 256, CV_8U);
    for (int i = 0; i < 256; ++i) steps.at<uint8_t>(0, i) = static_cast<uint8_t>(i);
    StatisticsOptions options;
    options.bins = 256;
    CHECK(image_statistics(steps, {}, options).histograms[0].counts == std::vector<int64_t>(256, 1));
    options.bins = 4;
    CHECK(image_statistics(steps, {}, options).histograms[0].counts == std::vector<int64_t>(4, 64));
    const cv::Mat few = (cv::Mat_<float>(1, 8) << 0, 0.25, 0.5, 1, -0.1, 1.1, kNaN, kInfinity);
    const Histogram of_few = image_statistics(few, {}, options).histograms[0];
    CHECK(of_few.counts == std::vector<int64_t>{1, 1, 1, 1});
    CHECK(of_few.below == 1);
    CHECK(of_few.above == 1);
    CHECK(error_of([&] { image_statistics(steps, {}, range(4, 4, 3)); }) == ErrorCode::invalid_argument);
    // Ranges so wide or narrow that bins have no width that is a number.
    CHECK(error_of([&] { image_statistics(steps, {}, range(-1.7e308, 1.7e308, 3)); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { image_statistics(steps, {}, range(0, 5e-324, 3)); }) == ErrorCode::invalid_argument);
}

TEST_CASE("image_statistics: a value on an edge lies above it, whatever divisions round to") {
    Histogram histogram;
    histogram.counts.resize(10);
    for (size_t bin = 0; bin < 10; ++bin) {
        CHECK(histogram.bin_of(histogram.edge(bin)) == static_cast<int>(bin));
        if (bin > 0) CHECK(histogram.bin_of(std::nextafter(histogram.edge(bin), 0)) == static_cast<int>(bin) - 1);
    }
    CHECK(histogram.bin_of(1) == 9);
    CHECK(histogram.bin_of(std::nextafter(1.0, 2.0)) == 10);
    CHECK(histogram.bin_of(-1e-300) == -1);
}

TEST_CASE("image_statistics: saturation") {
    cv::Mat image = cv::Mat::zeros(4, 4000, CV_16UC2);
    image.at<cv::Vec2w>(0, 0) = {65535, 4095};
    image.at<cv::Vec2w>(3, 3999) = {65535, 4094};
    CHECK(image_statistics(image).channels[0].saturated_count == 2);
    CHECK(image_statistics(image).channels[1].saturated_count == 0);
    StatisticsOptions options;
    options.saturation = 4095;
    CHECK(image_statistics(image, {}, options).channels[0].saturated_count == 2);
    CHECK(image_statistics(image, {}, options).channels[1].saturated_count == 1);
    const cv::Mat real = (cv::Mat_<float>(1, 4) << 0.5, 1, 2, kInfinity);
    CHECK(image_statistics(real).channels[0].saturated_count == 0);
    options.saturation = 1;
    CHECK(image_statistics(real, {}, options).channels[0].saturated_count == 2);
}

TEST_CASE("image_statistics: names of channels") {
    CHECK(channel_name(0, 1) == "gray");
    CHECK(channel_name(2, 3) == "red");
    CHECK(channel_name(3, 4) == "alpha");
    CHECK(channel_name(1, 2) == "channel 1");
}
