#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "filters/color.h"
#include "filters/filter_table.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

std::vector<Frame> run(std::string_view list, const cv::Mat& image) {
    std::vector<Frame> results;
    const auto made = make_filters(list);
    REQUIRE(made.size() == 1);
    const Filter::Receiver receiver = [&](Frame frame) { results.push_back(std::move(frame)); };
    Frame frame;
    frame.image = image;
    frame.index = 3;
    frame.number = -7;
    frame.time = 1.5;
    made[0]->push(frame, receiver);
    made[0]->finish(receiver);
    return results;
}

cv::Mat converted(const cv::Mat& image, int code) {
    cv::Mat result;
    cv::cvtColor(image, result, code);
    return result;
}

bool equal(const cv::Mat& left, const cv::Mat& right) {
    return left.type() == right.type() && left.size() == right.size() && cv::norm(left, right, cv::NORM_INF) == 0;
}

}  // namespace

TEST_CASE("color_filters: gray and color in every depth that OpenCV converts") {
    for (int depth : {CV_8U, CV_16U, CV_32F}) {
        cv::Mat color(12, 16, CV_MAKETYPE(depth, 3));
        cv::Mat alpha(12, 16, CV_MAKETYPE(depth, 4));
        cv::Mat gray(12, 16, depth);
        for (cv::Mat* image : {&color, &alpha, &gray}) cv::randu(*image, 0, 250);
        struct Case {
            const char* filter;
            const cv::Mat& image;
            cv::Mat expected;
        };
        const std::vector<Case> cases{{"gray", color, converted(color, cv::COLOR_BGR2GRAY)},
                                      {"gray", alpha, converted(alpha, cv::COLOR_BGRA2GRAY)},
                                      {"gray", gray, gray},
                                      {"color", gray, converted(gray, cv::COLOR_GRAY2BGR)},
                                      {"color", alpha, converted(alpha, cv::COLOR_BGRA2BGR)},
                                      {"color", color, color}};
        for (const Case& one : cases) {
            const std::vector<Frame> results = run(one.filter, one.image);
            REQUIRE(results.size() == 1);
            CHECK(equal(results[0].image, one.expected));
            CHECK(results[0].index == 3);
            CHECK(results[0].number == -7);
            CHECK(results[0].time == 1.5);
        }
    }
}

TEST_CASE("color_filters: other types") {
    for (const char* filter : {"gray", "color"}) {
        for (int type : {CV_8UC2, CV_64FC4, CV_16SC4, CV_8UC(5)}) {
            try {
                run(filter, cv::Mat::zeros(12, 16, type));
                FAIL("no error");
            } catch (const Error& error) {
                CHECK(error.code() == ErrorCode::wrong_type);
                CHECK(error.place().frame_index == 3);
            }
        }
        CHECK(run(filter, cv::Mat::zeros(12, 16, filter[0] == 'g' ? CV_64F : CV_64FC3)).size() == 1);
    }
}

TEST_CASE("color_filters: what is known of the results") {
    struct Case {
        const char* filter;
        ImageType before;
        ImageType after;
    };
    const ImageType bgr{6, 8, 3, CV_16U};
    const std::vector<Case> cases{{"gray", bgr, {6, 8, 1, CV_16U}},
                                  {"gray=red=1", bgr, {6, 8, 1, CV_16U}},
                                  {"color", {6, 8, 4, CV_8U}, {6, 8, 3, CV_8U}},
                                  {"channel=red", bgr, {6, 8, 1, CV_16U}},
                                  {"swap", bgr, bgr},
                                  {"decode=cv_yuv_nv12", {6, 8, 1, CV_8U}, {4, 8, 3, CV_8U}},
                                  {"colormap=jet", bgr, {6, 8, 3, CV_8U}}};
    for (const Case& one : cases) {
        CAPTURE(one.filter);
        const auto made = make_filters(one.filter);
        SourceInfo info;
        info.image_type = one.before;
        info.frame_count = 9;
        info.frame_rate = 25;
        info.encoding = "cv_bayerbg";
        made[0]->begin(info);
        CHECK(info.image_type == one.after);
        if (one.before.channels != one.after.channels || std::string_view(one.filter).starts_with("colormap"))
            CHECK(info.encoding.empty());
        CHECK(info.frame_count == 9);
        CHECK(info.frame_rate == 25);
        CHECK(made[0]->each_by_itself());
        REQUIRE(made[0]->fresh());
        if (std::string_view(one.filter).starts_with("colormap")) continue;  // has seen no frame yet
        const cv::Mat image = cv::Mat::zeros(one.before.height, one.before.width, one.before.cv_type());
        CHECK(ImageType::of(run(one.filter, image).at(0).image) == one.after);
        SourceInfo unknown;
        made[0]->begin(unknown);
        CHECK(unknown.image_type.empty());
    }
    SourceInfo raw;
    raw.encoding = "cv_bayerbg";
    make_filters("decode=cv_bayerbg")[0]->begin(raw);
    CHECK(raw.encoding.empty());
}

TEST_CASE("color_filters: arguments that make no sense") {
    struct Case {
        std::string filter;
        std::string word;
    };
    const std::vector<Case> cases = {{"gray=x", "number"},
                                     {"gray=green=1e9", "green=1e9"},
                                     {"channel", "needs"},
                                     {"channel=-1", "0 to"},
                                     {"channel=rde", "number"},
                                     {"channel=1.5", "whole"},
                                     {"mask", "needs file"},
                                     {"mask=x.png:1:color=red", "not both"},
                                     {"mask=x.png:invert=maybe", "yes, no"},
                                     {"mask=x.png:value=x", "number"},
                                     {"decode", "needs"},
                                     {"decode=cv_bayerbq", "did you mean cv_bayerbg?"},
                                     {"decode=BayerXX8", "BayerRG"},
                                     {"decode=cv_rgb:vng", "Bayer"},
                                     {"decode=BayerRG8:cubic", "bilinear"},
                                     {"colormap=virdis", "did you mean viridis?"},
                                     {"colormap=jet:5:4", "reverse"},
                                     {"colormap=jet:low=x", "number"},
                                     {"colormap=jet:range=frames", "did you mean frame?"},
                                     {"colormap=jet:nan=blakc", "did you mean black?"},
                                     {"colormap=jet:above=#12", "colour"},
                                     {"colormap=jet:mask_color=red", "mask=FILE"}};
    for (const Case& one : cases) {
        CAPTURE(one.filter);
        const Error error = expected_error([&] { make_filters(one.filter); });
        CHECK(error.code() == ErrorCode::invalid_argument);
        CHECK_MESSAGE(error.message().find(one.word) != std::string::npos, error.message());
    }
    CHECK(error_of([] { mask({}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { channel(-1); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { gray({.red = NAN}); }) == ErrorCode::invalid_argument);
}

TEST_CASE("color_filters: channels of float16, which OpenCV 4.6 crashes at") {
    cv::Mat values(5, 7, CV_32FC4);
    cv::randu(values, -4, 4);
    cv::Mat image;
    values.convertTo(image, CV_16F);
    image.convertTo(values, CV_32F);
    const auto wide = [](const char* filter, const cv::Mat& from) {
        const cv::Mat result = run(filter, from)[0].image;
        CHECK(result.depth() == CV_16F);
        cv::Mat converted;
        result.convertTo(converted, CV_32F);
        return converted;
    };
    cv::Mat red;
    cv::extractChannel(values, red, 2);
    CHECK(equal(wide("channel=red", image), red));
    CHECK(equal(wide("swap", image), converted(values, cv::COLOR_BGRA2RGBA)));
    // A mask of that type, of several channels or of one.
    cv::Mat one(5, 7, CV_32F, cv::Scalar(0.5));
    one.at<float>(2, 3) = 0;
    cv::Mat half;
    one.convertTo(half, CV_16F);
    const auto masked = [](const cv::Mat& shown) {
        Frame frame;
        frame.image = cv::Mat(5, 7, CV_8U, cv::Scalar(9));
        cv::Mat result;
        mask(shown)->push(frame, [&](const Frame& changed) { result = changed.image; });
        return cv::countNonZero(result);
    };
    CHECK(masked(half) == 34);
    CHECK(masked(image) == 35);
}

TEST_CASE("color_filters: weighted sums beyond 32 bits are cut off, too") {
    struct Case {
        int depth;
        double value;
        double least;
        double most;
    };
    for (const Case& one : {Case{CV_8U, 200, 0, 255}, Case{CV_16U, 60000, 0, 65535}, Case{CV_16S, 30000, -32768, 32767},
                            Case{CV_32S, 2e9, -2147483648.0, 2147483647}}) {
        CAPTURE(one.depth);
        const cv::Mat image(3, 70, CV_MAKETYPE(one.depth, 3), cv::Scalar::all(one.value));
        for (const double weight : {1.0, 1e5, 1e9, 1e300}) {
            CAPTURE(weight);
            const auto all = [&](double sign) {
                Frame frame;
                frame.image = image;
                cv::Mat result;
                gray({sign * weight, sign * weight, sign * weight})->push(frame, [&](const Frame& changed) {
                    result = changed.image;
                });
                return result;
            };
            CHECK(equal(all(1), cv::Mat(3, 70, one.depth, cv::Scalar(one.most))));
            CHECK(equal(all(-1), cv::Mat(3, 70, one.depth, cv::Scalar(std::max(-3 * one.value * weight, one.least)))));
        }
    }
}

TEST_CASE("color_filters: camera's names of raw layouts") {
    cv::Mat raw(12, 16, CV_8U);
    cv::randu(raw, 0, 256);
    CHECK(equal(run("decode=BayerRG8", raw)[0].image, converted(raw, cv::COLOR_BayerBG2BGR)));
    CHECK(equal(run("decode=BayerGB10:edge-aware", raw)[0].image, converted(raw, cv::COLOR_BayerGR2BGR_EA)));
    CHECK(error_of([&] { run("decode=BayerRG8", converted(raw, cv::COLOR_GRAY2BGR)); }) == ErrorCode::wrong_type);
}

TEST_CASE("filter_table: lists of names") {
    CHECK(make_filters("").empty());
    CHECK(make_filters("  ").empty());
    CHECK(make_filters("gray").size() == 1);
    CHECK(make_filters("gray, color ,gray").size() == 3);
    CHECK(make_filters(" crop = 1 : 2:width=3:height='4' , flip").size() == 2);
    for (const char* bad : {"grey", "Gray", "grayy", "colour"}) {
        try {
            make_filters(bad);
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::invalid_argument);
            const std::string message = error.what();
            CHECK(message.find("gray") != std::string::npos);
            CHECK(message.find("did you mean " + std::string(bad[0] == 'c' ? "color" : "gray")) != std::string::npos);
        }
    }
    for (const char* bad : {"gray,", ",gray", "gray,,color", "=1", "color=1", "gray=a=1", "crop='1", "crop=1:2:3:4:x=9",
                            "crop=1:2:3:4:5:6:7:8:9:10", "flip=horizontl", "crop=1:2:nothing:4", "resize=wdth=3"}) {
        CAPTURE(bad);
        CHECK(error_of([&] { make_filters(bad); }) == ErrorCode::invalid_argument);
    }
}

}  // namespace reelstore
