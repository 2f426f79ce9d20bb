#include <algorithm>
#include <cmath>
#include <cstring>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/numbered_frames.h"
#include "filters/filter_table.h"
#include "filters/geometry.h"
#include "tests/image_equality.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

Frame filtered(Filter& filter, const cv::Mat& image) {
    std::vector<Frame> results;
    Frame frame;
    frame.image = image;
    frame.index = 3;
    frame.number = -7;
    frame.time = 1.5;
    filter.push(frame, [&](Frame result) { results.push_back(std::move(result)); });
    filter.finish([&](Frame result) { results.push_back(std::move(result)); });
    REQUIRE(results.size() == 1);
    CHECK(results[0].index == 3);
    CHECK(results[0].number == -7);
    CHECK(results[0].time == 1.5);
    CHECK(filter.each_by_itself());
    return results[0];
}

cv::Mat run(std::unique_ptr<Filter> filter, const cv::Mat& image) {
    return filtered(*filter, image).image;
}

cv::Mat run(std::string_view list, const cv::Mat& image) {
    const auto made = make_filters(list);
    REQUIRE(made.size() == 1);
    return filtered(*made[0], image).image;
}

cv::Mat random_image(const ImageType& type) {
    cv::Mat image(type.height, type.width, type.cv_type());
    cv::randu(image.reshape(1), 0, 250);
    return image;
}

/// The image whose pixel (y, x) is that of `image` at `source(y, x)`, or zero where that is outside.
template <typename Source>
cv::Mat picked(const cv::Mat& image, int height, int width, Source source) {
    cv::Mat result = cv::Mat::zeros(height, width, image.type());
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            const auto [from_y, from_x] = source(y, x);
            if (from_y < 0 || from_x < 0 || from_y >= image.rows || from_x >= image.cols) continue;
            std::memcpy(result.ptr(y, x), image.ptr(from_y, from_x), image.elemSize());
        }
    }
    return result;
}

using Place = std::pair<int, int>;

int mirrored(int place, int size) {
    if (size == 1) return 0;
    const int period = 2 * (size - 1);
    const int within = ((place % period) + period) % period;
    return within < size ? within : period - within;
}

std::vector<ImageType> all_types(int height, int width) {
    std::vector<ImageType> types;
    for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F}) {
        for (const int channels : {1, 2, 3, 4}) types.push_back({height, width, channels, depth});
    }
    return types;
}

}  // namespace

TEST_CASE("geometry_filters: crop, flip, quarter turns and pad move whole pixels of every type") {
    for (const auto& [height, width] : {Place{13, 9}, Place{1, 5}, Place{4, 1}, Place{1, 1}}) {
        for (const ImageType& type : all_types(height, width)) {
            CAPTURE(type.text());
            const cv::Mat image = random_image(type);
            const int h = height;
            const int w = width;
            CHECK(equal_pixels(run("flip", image), picked(image, h, w, [=](int y, int x) {
                                   return Place{y, w - 1 - x};
                               })));
            CHECK(equal_pixels(run("flip=vertical", image), picked(image, h, w, [=](int y, int x) {
                                   return Place{h - 1 - y, x};
                               })));
            CHECK(equal_pixels(run("flip=both", image), picked(image, h, w, [=](int y, int x) {
                                   return Place{h - 1 - y, w - 1 - x};
                               })));
            const cv::Mat turned = picked(image, w, h, [=](int y, int x) { return Place{x, w - 1 - y}; });
            for (const char* angle : {"rotate=90", "rotate=-270", "rotate=450"})
                CHECK(equal_pixels(run(angle, image), turned));
            CHECK(equal_pixels(run("rotate=-90", image), picked(image, w, h, [=](int y, int x) {
                                   return Place{h - 1 - x, y};
                               })));
            CHECK(equal_pixels(run("rotate=180", image), run("flip=both", image)));
            CHECK(equal_pixels(run("rotate=0", image), image));
            CHECK(equal_pixels(run("pad=2:left=3:bottom=0", image), picked(image, h + 2, w + 5, [](int y, int x) {
                                   return Place{y - 2, x - 3};
                               })));
            CHECK(equal_pixels(run("pad=3:mode=edge", image), picked(image, h + 6, w + 6, [=](int y, int x) {
                                   return Place{std::clamp(y - 3, 0, h - 1), std::clamp(x - 3, 0, w - 1)};
                               })));
            CHECK(equal_pixels(run("pad=7:mode=reflect", image), picked(image, h + 14, w + 14, [=](int y, int x) {
                                   return Place{mirrored(y - 7, h), mirrored(x - 7, w)};
                               })));
            CHECK(equal_pixels(run("pad=4:mode=wrap", image), picked(image, h + 8, w + 8, [=](int y, int x) {
                                   return Place{(y - 4 + 8 * h) % h, (x - 4 + 8 * w) % w};
                               })));
        }
    }
    const cv::Mat image = random_image({13, 9, 3, CV_16U});
    CHECK(equal_pixels(run("crop=2:3:5:7", image), image(cv::Rect(2, 3, 5, 7))));
    CHECK(equal_pixels(run("crop=each=2:top=0", image), image(cv::Rect(2, 0, 5, 11))));
    CHECK(equal_pixels(run(crop(Sides{0, 0, 0, 0}), image), image));
    // What lay around a crop does not come back.
    const cv::Mat part = image(cv::Rect(2, 3, 5, 7));
    CHECK(equal_pixels(run("pad=1:mode=edge", part), run("pad=1:mode=edge", part.clone())));
    cv::Mat with_value = run("pad=1:value=77", random_image({2, 2, 3, CV_8U}));
    CHECK(with_value.at<cv::Vec3b>(0, 0) == cv::Vec3b(77, 77, 77));
}

TEST_CASE("geometry_filters: pixels of any size are turned") {
    // OpenCV transposes pixels of some sizes only.
    for (const int depth : {CV_8U, CV_16U, CV_32F, CV_64F}) {
        for (const int channels : {5, 7, 9, 16}) {
            const cv::Mat image = random_image({13, 9, channels, depth});
            CAPTURE(ImageType::of(image).text());
            CHECK(equal_pixels(run("rotate=90", image), picked(image, 9, 13, [](int y, int x) {
                                   return Place{x, 8 - y};
                               })));
            CHECK(equal_pixels(run("rotate=-90", image), picked(image, 9, 13, [](int y, int x) {
                                   return Place{12 - x, y};
                               })));
            CHECK(equal_pixels(run("rotate=180", image), run("flip=both", image)));
            CHECK(equal_pixels(run("pad=2:mode=symmetric", image), picked(image, 17, 13, [](int y, int x) {
                                   const auto place = [](int at, int size) {
                                       return at < 0 ? -1 - at : at >= size ? 2 * size - 1 - at : at;
                                   };
                                   return Place{place(y - 2, 13), place(x - 2, 9)};
                               })));
            CHECK(error_of([&] { run("pad=2", image); }) == ErrorCode::wrong_type);
        }
    }
}

TEST_CASE("geometry_filters: a crop shares memory, other results have their own") {
    Frame frame;
    frame.image = make_numbered_image({20, 32, 1, CV_8U}, 5);
    frame.owner = std::make_shared<int>(1);
    const auto keeps_owner = [&](const char* list) {
        bool keeps = false;
        make_filters(list)[0]->push(frame, [&](Frame result) { keeps = result.owner != nullptr; });
        return keeps;
    };
    CHECK(keeps_owner("crop=0:0:5:5"));
    CHECK(keeps_owner("rotate=0"));
    CHECK_FALSE(keeps_owner("flip"));
    CHECK_FALSE(keeps_owner("pad=1"));
}

TEST_CASE("geometry_filters: resize, turn and move") {
    for (const int depth : {CV_8U, CV_16U, CV_16S, CV_32F, CV_64F}) {
        for (const int channels : {1, 3, 4}) {
            const cv::Mat image = random_image({24, 36, channels, depth});
            CAPTURE(ImageType::of(image).text());
            // Means of whole blocks.
            const cv::Mat half = run("resize=scale=0.5:interpolation=area", image);
            REQUIRE(half.size() == cv::Size(18, 12));
            for (int y = 0; y < 12; ++y) {
                for (int x = 0; x < 18; ++x) {
                    const cv::Scalar mean = cv::mean(image(cv::Rect(2 * x, 2 * y, 2, 2)));
                    const cv::Scalar value = cv::mean(half(cv::Rect(x, y, 1, 1)));
                    for (int channel = 0; channel < channels; ++channel)
                        CHECK(std::abs(mean[channel] - value[channel]) <= 0.5 + 1e-4);
                }
            }
            CHECK(
                equal_pixels(run("resize=72:48:interpolation=nearest", image), picked(image, 48, 72, [](int y, int x) {
                                 return Place{y / 2, x / 2};
                             })));
            CHECK(equal_pixels(run("resize=36:24:interpolation=lanczos", image), image));
            CHECK(run("resize=18", image).size() == cv::Size(18, 12));
            CHECK(run("resize=height=8", image).size() == cv::Size(12, 8));
            CHECK(run("resize=scale=0.0001", image).size() == cv::Size(1, 1));
            for (const char* name : {"nearest", "linear", "cubic", "area", "lanczos", "auto"}) {
                cv::Mat flat(24, 36, image.type(), cv::Scalar::all(100));
                const cv::Mat larger = run(fmt::format("resize=50:31:interpolation={}", name), flat);
                CHECK(cv::norm(larger, cv::Mat(31, 50, image.type(), cv::Scalar::all(100)), cv::NORM_INF) <=
                      1e-4 * 100);
                CHECK(equal_pixels(run(fmt::format("move=2:-3:interpolation={}", name), image),
                                   picked(image, 24, 36, [](int y, int x) {
                                       return Place{y + 3, x - 2};
                                   })));
            }
        }
    }
    const cv::Mat image = random_image({21, 21, 1, CV_8U});
    CHECK(run("rotate=45", image).size() == image.size());
    CHECK(run("rotate=45:expand=yes", image).size() == cv::Size(30, 30));
    const cv::Mat quarter = run("move=degrees=90:interpolation=nearest", image);
    CHECK(equal_pixels(quarter, run("rotate=90", image)));
    CHECK(run("move=500:value=9", image).at<uint8_t>(3, 3) == 9);
    CHECK(equal_pixels(run(affine({.matrix = {1, 0, 4, 0, 1, -2}}), image), run("move=4:-2", image)));
    CHECK(equal_pixels(run("affine=dx=4:dy=-2", image), run("move=4:-2", image)));
    // Mirrored along the diagonal.
    CHECK(equal_pixels(run("affine=0:1:0:1:0:0:nearest", image), image.t()));

    cv::Mat with_nan = random_image({20, 20, 1, CV_32F});
    with_nan.at<float>(10, 10) = std::nanf("");
    const cv::Mat small = run("resize=10:10:interpolation=area", with_nan);
    CHECK(std::isnan(small.at<float>(5, 5)));
    CHECK(std::count_if(small.begin<float>(), small.end<float>(), [](float value) { return std::isnan(value); }) == 1);
}

TEST_CASE("geometry_filters: what makes no sense is refused") {
    const cv::Mat image = random_image({20, 30, 1, CV_8U});
    for (const char* list : {"crop=0:0:31:5", "crop=29:0:2:1", "crop=each=10", "resize=scale=5000", "pad=65535"}) {
        CAPTURE(list);
        const auto made = make_filters(list);
        Frame frame;
        frame.image = image;
        frame.index = 4;
        CHECK(expected_error([&] { made[0]->push(frame, [](Frame) {}); }).place().frame_index == 4);
    }
    for (const char* list : {"crop", "crop=1:2", "crop=0:0:5:5:each=1", "resize", "resize=0:0", "resize=5:scale=2",
                             "resize=scale=0", "resize=70000:70000", "rotate", "rotate=nan", "flip=sideways", "pad=-1",
                             "move=scale=0", "affine=1:2:0:2:4"}) {
        CAPTURE(list);
        CHECK(error_of([&] { make_filters(list); }) == ErrorCode::invalid_argument);
    }
    CHECK(error_of([] { affine({.matrix = {1, 2, 0, 2, 4, 0}}); }) == ErrorCode::invalid_argument);
    for (const int depth : {CV_8S, CV_32S, CV_16F}) {
        for (const char* list : {"resize=5:5", "rotate=10", "move=1"}) {
            CHECK(error_of([&] { run(list, cv::Mat::zeros(9, 9, depth)); }) == ErrorCode::wrong_type);
        }
    }
    CHECK(error_of([&] { run("resize=5:5", cv::Mat::zeros(9, 9, CV_8UC(5))); }) == ErrorCode::wrong_type);
}

}  // namespace reelstore
