#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/text.h"
#include "filters/colormap.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

cv::Vec3b bgr(const Color& color) {
    return {color.blue, color.green, color.red};
}

bool equal(const cv::Mat& left, const cv::Mat& right) {
    return left.type() == right.type() && left.size() == right.size() && cv::norm(left, right, cv::NORM_INF) == 0;
}

cv::Mat pushed(Filter& filter, const cv::Mat& image) {
    Frame frame;
    frame.image = image;
    frame.index = 5;
    Frame result;
    filter.push(frame, [&](Frame given) { result = std::move(given); });
    CHECK(result.index == 5);
    return result.image;
}

/// What begin(), the first pass where one is needed and push() make of one image.
cv::Mat colored(const ColormapOptions& options, const cv::Mat& image) {
    const auto filter = colormap(options);
    SourceInfo info;
    info.image_type = ImageType::of(image);
    filter->begin(info);
    CHECK(info.image_type == ImageType{image.rows, image.cols, 3, CV_8U});
    if (filter->needs_first_pass()) {
        Frame frame;
        frame.image = image;
        filter->first_pass(frame);
        filter->end_first_pass();
    }
    return pushed(*filter, image);
}

}  // namespace

TEST_CASE("colormap: the tables") {
    const std::map<std::string, cv::ColormapTypes> of_open_cv{{"autumn", cv::COLORMAP_AUTUMN},
                                                              {"bone", cv::COLORMAP_BONE},
                                                              {"cividis", cv::COLORMAP_CIVIDIS},
                                                              {"cool", cv::COLORMAP_COOL},
                                                              {"deepgreen", cv::COLORMAP_DEEPGREEN},
                                                              {"hot", cv::COLORMAP_HOT},
                                                              {"hsv", cv::COLORMAP_HSV},
                                                              {"inferno", cv::COLORMAP_INFERNO},
                                                              {"jet", cv::COLORMAP_JET},
                                                              {"magma", cv::COLORMAP_MAGMA},
                                                              {"ocean", cv::COLORMAP_OCEAN},
                                                              {"parula", cv::COLORMAP_PARULA},
                                                              {"pink", cv::COLORMAP_PINK},
                                                              {"plasma", cv::COLORMAP_PLASMA},
                                                              {"rainbow", cv::COLORMAP_RAINBOW},
                                                              {"spring", cv::COLORMAP_SPRING},
                                                              {"summer", cv::COLORMAP_SUMMER},
                                                              {"turbo", cv::COLORMAP_TURBO},
                                                              {"twilight", cv::COLORMAP_TWILIGHT},
                                                              {"twilight_shifted", cv::COLORMAP_TWILIGHT_SHIFTED},
                                                              {"viridis", cv::COLORMAP_VIRIDIS},
                                                              {"winter", cv::COLORMAP_WINTER}};
    const std::vector<std::string>& names = colormap_names();
    CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
    cv::Mat ramp(1, 256, CV_8U);
    for (int i = 0; i < 256; ++i) ramp.at<uint8_t>(i) = static_cast<uint8_t>(i);
    size_t compared = 0;
    for (const std::string& name : names) {
        CAPTURE(name);
        const Colormap map = find_colormap(name);
        CHECK(find_colormap(lower_case(name)) == map);
        Colormap reversed = find_colormap(name + "_r");
        std::reverse(reversed.begin(), reversed.end());
        CHECK(reversed == map);
        std::set<int> colors;
        for (const Color& color : map) colors.insert(color.red << 16 | color.green << 8 | color.blue);
        CHECK(colors.size() > 100);
        const auto known = of_open_cv.find(name);
        if (known == of_open_cv.end()) continue;
        cv::Mat expected;
        cv::applyColorMap(ramp, expected, known->second);
        CHECK(equal(colored({.map = map}, ramp), expected));
        ++compared;
    }
    CHECK(compared == of_open_cv.size());
    // The ends of schemes as ColorBrewer publishes them, and what coolwarm begins, is in the middle and ends with.
    const auto ends = [](const char* name) {
        const Colormap map = find_colormap(name);
        return std::pair(map.front(), map.back());
    };
    CHECK(ends("Blues") == std::pair(Color{247, 251, 255}, Color{8, 48, 107}));
    CHECK(ends("Spectral") == std::pair(Color{158, 1, 66}, Color{94, 79, 162}));
    CHECK(ends("YlOrRd") == std::pair(Color{255, 255, 204}, Color{128, 0, 38}));
    CHECK(ends("coolwarm") == std::pair(Color{59, 76, 192}, Color{180, 4, 38}));
    CHECK(ends("bwr") == std::pair(Color{0, 0, 255}, Color{255, 0, 0}));
    CHECK(ends("seismic") == std::pair(Color{0, 0, 77}, Color{128, 0, 0}));
    CHECK(ends("cubehelix") == std::pair(Color{0, 0, 0}, Color{255, 255, 255}));
    for (size_t i = 0; i < 256; ++i) CHECK(find_colormap("gray")[i] == Color{uint8_t(i), uint8_t(i), uint8_t(i)});
}

TEST_CASE("colormap: names there are not") {
    for (const char* name : {"", "_r", "virdis", "jet_r_r", "jet r"}) {
        CAPTURE(name);
        CHECK(error_of([&] { find_colormap(name); }) == ErrorCode::invalid_argument);
    }
    const std::string message = expected_error([] { find_colormap("virdis"); }).message();
    CHECK(message.find("did you mean viridis?") != std::string::npos);
    for (const std::string& name : colormap_names()) CHECK(message.find(name) != std::string::npos);
}

TEST_CASE("colormap: every width, within other images and beside them") {
    const Colormap map = find_colormap("turbo");
    cv::Mat wide(5, 400, CV_16U);
    cv::randu(wide, 0, 65536);
    for (int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (int width : {1, 2, 3, 5, 63, 64, 65, 127, 128, 129, 200}) {
            CAPTURE(depth);
            CAPTURE(width);
            cv::Mat values;
            const double low = depth == CV_8U || depth == CV_16U ? 0 : -32;
            wide.convertTo(values, CV_32F, 1.0 / 1024, low);
            if (depth == CV_16F) {
                values.convertTo(values, CV_16F);
            } else {
                values.convertTo(values, depth);
            }
            const cv::Mat part = values(cv::Rect(7, 1, width, 3));
            const cv::Mat result = colored({.map = map, .low = low, .high = low + 64}, part);
            cv::Mat as_double;
            if (depth == CV_16F) {
                part.convertTo(as_double, CV_32F);
                as_double.convertTo(as_double, CV_64F);
            } else {
                part.convertTo(as_double, CV_64F);
            }
            for (int row = 0; row < 3; ++row) {
                for (int column = 0; column < width; ++column) {
                    const double value = as_double.at<double>(row, column);
                    const auto place =
                        static_cast<size_t>(std::clamp(std::floor((value - low) / 64 * 256), 0.0, 255.0));
                    CHECK(result.at<cv::Vec3b>(row, column) == bgr(map[place]));
                }
            }
        }
    }
}

TEST_CASE("colormap: what it has to see before") {
    const auto needs = [](const ColormapOptions& options, const ImageType& type) {
        const auto filter = colormap(options);
        SourceInfo info;
        info.image_type = type;
        info.frame_count = 7;
        filter->begin(info);
        CHECK(info.frame_count == 7);
        CHECK(info.image_type.empty() == type.empty());
        return filter->needs_first_pass();
    };
    const ImageType bytes{4, 6, 1, CV_8U};
    const ImageType floats{4, 6, 1, CV_32F};
    CHECK(!needs({}, bytes));
    CHECK(needs({}, floats));
    CHECK(needs({}, {}));
    CHECK(needs({.low = 1}, floats));
    CHECK(!needs({.low = 1, .high = 2}, floats));
    CHECK(needs({.range = ColormapRange::recording}, bytes));
    CHECK(!needs({.range = ColormapRange::type}, floats));
    CHECK(!needs({.range = ColormapRange::frame}, floats));

    const auto filter = colormap({.map = find_colormap("jet")});
    const cv::Mat image(4, 6, CV_32F, cv::Scalar(3));
    Frame frame;
    frame.index = 5;
    frame.image = image;
    CHECK(error_of([&] { pushed(*filter, image); }) == ErrorCode::invalid_argument);
    for (const double value : {2.0, 4.0}) {
        frame.image = cv::Mat(4, 6, CV_32F, cv::Scalar(value));
        filter->first_pass(frame);
    }
    filter->end_first_pass();
    const auto other = filter->fresh();
    CHECK(other->each_by_itself());
    const Color middle = find_colormap("jet")[128];
    CHECK(pushed(*filter, image).at<cv::Vec3b>(3, 5) == bgr(middle));
    CHECK(pushed(*other, image).at<cv::Vec3b>(3, 5) == bgr(middle));
    // Of a type that was unknown, bytes keep the range of their type.
    const auto of_unknown = colormap({.map = find_colormap("jet")});
    SourceInfo unknown;
    of_unknown->begin(unknown);
    frame.image = cv::Mat(4, 6, CV_8U, cv::Scalar(9));
    of_unknown->first_pass(frame);
    of_unknown->end_first_pass();
    CHECK(pushed(*of_unknown, frame.image).at<cv::Vec3b>(0, 0) == bgr(find_colormap("jet")[9]));
}

TEST_CASE("colormap: limits that lie beyond the values") {
    const cv::Mat image = (cv::Mat_<float>(1, 4) << 1, 2, 3, 2.5F);
    const Colormap map = find_colormap("hot");
    cv::Mat result = colored({.map = map, .low = 10}, image);  // the largest value lies below it
    for (int i = 0; i < 4; ++i) CHECK(result.at<cv::Vec3b>(i) == bgr(map[0]));
    result = colored({.map = map, .low = 2, .below = Color{1, 2, 3}}, image);  // and here above
    CHECK(result.at<cv::Vec3b>(0) == cv::Vec3b(3, 2, 1));
    CHECK(result.at<cv::Vec3b>(1) == bgr(map[0]));
    CHECK(result.at<cv::Vec3b>(2) == bgr(map[255]));
    CHECK(result.at<cv::Vec3b>(3) == bgr(map[128]));
    result = colored({.map = map, .high = 2, .above = Color{1, 2, 3}}, image);
    CHECK(result.at<cv::Vec3b>(0) == bgr(map[0]));
    CHECK(result.at<cv::Vec3b>(1) == bgr(map[255]));
    CHECK(result.at<cv::Vec3b>(2) == cv::Vec3b(3, 2, 1));
    result = colored({.map = map, .high = -1, .above = Color{1, 2, 3}}, image);
    for (int i = 0; i < 4; ++i) CHECK(result.at<cv::Vec3b>(i) == cv::Vec3b(3, 2, 1));
    result = colored({.map = map, .reverse = true, .low = -1e300, .high = 1e300}, image);
    for (int i = 0; i < 4; ++i) CHECK(result.at<cv::Vec3b>(i) == bgr(map[127]));
    CHECK(error_of([&] { colormap({.low = 2, .high = 1}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { colormap({.low = NAN}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { colormap({.high = INFINITY}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { colormap({.mask = cv::Mat::zeros(3, 3, CV_8U)}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { colored({.mask = cv::Mat::ones(3, 3, CV_8U)}, image); }) == ErrorCode::wrong_type);
    CHECK(error_of([&] { colored({.low = 0, .high = 1}, cv::Mat::zeros(3, 3, CV_64FC3)); }) == ErrorCode::wrong_type);
}

}  // namespace reelstore
