#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "filters/color_text.h"
#include "tests/thrown_error.h"

namespace reelstore {

TEST_CASE("color_text: names, digits and numbers") {
    struct Case {
        const char* text;
        Color color;
    };
    const Case cases[] = {{"black", {0, 0, 0}},
                          {"white", {255, 255, 255}},
                          {"Orange", {255, 165, 0}},
                          {"lightGray", {211, 211, 211}},
                          {"lightgrey", {211, 211, 211}},
                          {"yellowgreen", {154, 205, 50}},
                          {"aliceblue", {240, 248, 255}},
                          {"rebeccapurple", {102, 51, 153}},
                          {"g", {0, 128, 0}},
                          {"K", {0, 0, 0}},
                          {"#ff8001", {255, 128, 1}},
                          {"#FF8001", {255, 128, 1}},
                          {"#f80", {255, 136, 0}},
                          {"255:128:1", {255, 128, 1}},
                          {"0,2,3", {0, 2, 3}},
                          {"0", {0, 0, 0}},
                          {"200", {200, 200, 200}}};
    for (const Case& one : cases) {
        CAPTURE(one.text);
        CHECK(parse_color(one.text) == one.color);
    }
    for (const char* bad : {"", "#", "#ff", "#ff80011", "#gg0000", "#-ff000", "256", "-1", "1:2", "1:2:3:4", "1:2:256",
                            "1::3", "1:2:3:", "1.5", " white", "x", "blakc", "ff8001"}) {
        CAPTURE(bad);
        CHECK(error_of([&] { parse_color(bad); }) == ErrorCode::invalid_argument);
    }
    CHECK(expected_error([] { parse_color("blakc"); }).message().find("did you mean black?") != std::string::npos);
}

TEST_CASE("color_text: arguments of filters") {
    const FilterArguments arguments("mosaic", {{"background", "navy"}, {"border", "blakc"}});
    CHECK(color_argument(arguments, "background") == Color{0, 0, 128});
    CHECK(color_argument(arguments, "background", {1, 2, 3}) == Color{0, 0, 128});
    CHECK(color_argument(arguments, "text", {1, 2, 3}) == Color{1, 2, 3});
    CHECK(!color_argument(arguments, "text"));
    const Error error = expected_error([&] { color_argument(arguments, "border"); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(error.message().starts_with("filter mosaic: border=blakc is no colour, did you mean black?"));
}

TEST_CASE("color_text: pixels of every type") {
    const Color orange{255, 165, 0};
    const auto type = [](int channels, int depth) { return ImageType{2, 2, channels, depth}; };
    CHECK(pixel_of(orange, type(3, CV_8U)) == cv::Scalar(0, 165, 255));
    CHECK(pixel_of(orange, type(4, CV_8U)) == cv::Scalar(0, 165, 255, 255));
    CHECK(pixel_of(orange, type(4, CV_16U)) == cv::Scalar(0, 165 * 257, 65535, 65535));
    CHECK(pixel_of({255, 255, 255}, type(4, CV_32F)) == cv::Scalar(1, 1, 1, 1));
    CHECK(pixel_of(orange, type(1, CV_8U))[0] == 173);  // 0.299 * 255 + 0.587 * 165 = 173.1
    CHECK(pixel_of({255, 255, 255}, type(1, CV_16S))[0] == 32767);
    CHECK(pixel_of({51, 51, 51}, type(1, CV_64F))[0] == doctest::Approx(0.2));
    CHECK(error_of([&] { pixel_of(orange, type(2, CV_8U)); }) == ErrorCode::wrong_type);
}

}  // namespace reelstore
