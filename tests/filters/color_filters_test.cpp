#include <doctest/doctest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
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
    for (const char* bad : {"gray,", ",gray", "gray,,color", "=1", "gray=1", "gray=a=1", "crop='1", "crop=1:2:3:4:x=9",
                            "crop=1:2:3:4:5:6:7:8:9:10", "flip=horizontl", "crop=1:2:nothing:4", "resize=wdth=3"}) {
        CAPTURE(bad);
        CHECK(error_of([&] { make_filters(bad); }) == ErrorCode::invalid_argument);
    }
}

}  // namespace reelstore
