#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "filters/annotation.h"
#include "filters/filter_table.h"
#include "filters/filtered_source.h"
#include "tests/filters/listed_frames.h"
#include "tests/image_equality.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

std::unique_ptr<Filter> made(const std::string& list) {
    auto filters = make_filters(list);
    REQUIRE(filters.size() == 1);
    return std::move(filters[0]);
}

Frame changed(Filter& filter, Frame frame) {
    std::optional<Frame> result;
    filter.push(std::move(frame), [&](Frame given) {
        CHECK_FALSE(result);
        result = std::move(given);
    });
    REQUIRE(result);
    return *result;
}

Frame frame_of(const cv::Mat& image, int64_t index = 0, std::vector<Json> records = {}) {
    Frame frame;
    frame.image = image;
    frame.index = index;
    frame.number = 100 + index;
    frame.time = 1577836800.25 + static_cast<double>(index);
    if (!records.empty()) frame.extra_data = std::make_shared<const std::vector<Json>>(std::move(records));
    return frame;
}

SourceInfo absolute_info() {
    SourceInfo info;
    info.times_are_absolute = true;
    info.time_zone = "Europe/Vienna";
    return info;
}

/// What `list` makes of a gray, black frame with these records.
cv::Mat picture(const std::string& list, const std::vector<Json>& records = {}) {
    const auto filter = made(list);
    SourceInfo info = absolute_info();
    filter->begin(info);
    return changed(*filter, frame_of(cv::Mat::zeros(60, 400, CV_8U), 7, records)).image;
}

std::unique_ptr<FrameSource> listed(int64_t count, const std::string& filter) {
    FrameList list;
    list.type = {24, 60, 1, CV_8U};
    list.stamps = even_stamps(count, 20, 5, 1000);
    list.frame_rate = 20;
    return std::make_unique<ListedFrames>(list) | made(filter);
}

/// Every frame in order, then in any order, here and from a clone: the same to the last bit.
void check_any_order(const std::string& filter, bool expect_difference = true) {
    CAPTURE(filter);
    constexpr int64_t kCount = 40;
    const auto source = listed(kCount, filter);
    std::vector<Frame> forward;
    while (auto frame = source->next()) forward.push_back(*frame);
    REQUIRE(forward.size() == kCount);
    CHECK(source->info().image_type == ImageType::of(forward[0].image));
    RandomAccess* const access = source->random_access();
    REQUIRE(access);
    std::vector<int64_t> order(kCount);
    std::iota(order.begin(), order.end(), int64_t{0});
    std::shuffle(order.begin(), order.end(), std::mt19937(3));
    for (const auto& reader : {access, access->clone_access().release()}) {
        for (const int64_t index : order) {
            const Frame frame = reader->at_index(index);
            CHECK(frame.index == index);
            CHECK(frame.number == 1000 + index);
            CHECK(equal_pixels(frame.image, forward[static_cast<size_t>(index)].image));
        }
        if (reader != access) delete reader;
    }
    if (expect_difference)
        CHECK_FALSE(equal_pixels(forward[10].image, listed(kCount, "text=x")->random_access()->at_index(10).image));
}

}  // namespace

TEST_CASE("annotation_filters: every type and every size is taken, and the frame given stays as it was") {
    for (const std::string list : {"text='{index} °C'", "timestamp", "scale-bar=2", "plot=mean"}) {
        for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F}) {
            for (const int channels : {1, 3, 4}) {
                for (const cv::Size size : {cv::Size(1, 1), cv::Size(3, 90), cv::Size(200, 2), cv::Size(120, 70)}) {
                    CAPTURE(list);
                    CAPTURE(depth);
                    CAPTURE(channels);
                    const auto filter = made(list);
                    SourceInfo info = absolute_info();
                    info.image_type = {size.height, size.width, channels, depth};
                    filter->begin(info);
                    // A part of a larger image: its rows do not follow one another in memory.
                    cv::Mat whole(size.height + 6, size.width + 4, CV_MAKETYPE(depth, channels), cv::Scalar::all(0.25));
                    const cv::Mat image = whole(cv::Rect(2, 3, size.width, size.height));
                    const cv::Mat before = whole.clone();
                    const Frame result = changed(*filter, frame_of(image));
                    CHECK(equal_pixels(whole, before));
                    if (!info.image_type.empty()) CHECK(ImageType::of(result.image) == info.image_type);
                    if (size.width == 120) CHECK_FALSE(equal_pixels(result.image, before));
                }
            }
        }
        const auto filter = made(list);
        SourceInfo info;
        filter->begin(info);
        for (const int type : {CV_8UC2, CV_8UC(5), CV_16FC1}) {
            cv::Mat image(30, 30, type);
            const Error error = expected_error([&] { changed(*filter, frame_of(image, 12)); });
            CHECK(error.code() == ErrorCode::wrong_type);
            CHECK(error.place().frame_index == 12);
        }
    }
}

TEST_CASE("annotation_filters: alpha becomes opaque under the letters only") {
    const cv::Mat image(60, 200, CV_8UC4, cv::Scalar(10, 20, 30, 0));
    const auto filter = made("text=WWW:size=40:color=red:shadow=none:position=center");
    SourceInfo info;
    filter->begin(info);
    const cv::Mat result = changed(*filter, frame_of(image)).image;
    int letters = 0;
    for (int row = 0; row < result.rows; ++row) {
        for (int column = 0; column < result.cols; ++column) {
            const auto& pixel = result.at<cv::Vec4b>(row, column);
            if (pixel[3] == 255) {
                CHECK(pixel == cv::Vec4b(0, 0, 255, 255));
                ++letters;
            }
            if (pixel[3] == 0) CHECK(pixel == cv::Vec4b(10, 20, 30, 0));
        }
    }
    CHECK(letters > 500);
}

TEST_CASE("annotation_filters: fields of the text") {
    const std::vector<Json> records{{{"temperature", 21.25}, {"a", {{"b", "on"}}}}};
    const auto same = [&](const std::string& fields, const std::string& text) {
        CAPTURE(fields);
        CHECK(equal_pixels(picture("text='" + fields + "'", records), picture("text='" + text + "'")));
    };
    same("{index} {number:05}", "7 00107");
    same("{time:%H:%M:%S.%f}", "01:00:07.250000");
    same("{time}", "2020-01-01 01:00:07.250");
    same("{seconds} s", "0.000 s");
    same("{extra.temperature:.1f} °C {extra.a.b}", "21.2 °C on");
    same("{{{extra.none}}}", "{{-}}");
    CHECK_FALSE(equal_pixels(picture("text=a"), picture("text=b")));
    CHECK(equal_pixels(picture("text={time}:zone=Asia/Tokyo"), picture("text='2020-01-01 09:00:07.250'")));
    CHECK(equal_pixels(picture("text={extra.a.c}:missing='n/a'", records), picture("text='n/a'")));
    CHECK(equal_pixels(picture("text={seconds}:start='2020-01-01T00:00:00Z'"), picture("text=7.250")));
    CHECK(equal_pixels(picture("text={seconds}:start=1577836806"), picture("text=1.250")));
    CHECK(equal_pixels(picture("timestamp"), picture("text='2020-01-01 01:00:07.250':position=bottom-left")));
    CHECK(equal_pixels(picture("timestamp='%d.%m.%Y':position=top:zone=UTC"), picture("text=01.01.2020:position=top")));
}

TEST_CASE("annotation_filters: places, colours and sizes") {
    const cv::Mat usual = picture("text=W");
    CHECK(equal_pixels(usual, picture("text=W:size=10:x=5:y=5:position=top-left:color=white:shadow=black:font=sans")));
    CHECK_FALSE(equal_pixels(usual, picture("text=W:size=20")));
    // A 30th of 1200 rows.
    const auto tall = [](const std::string& list) {
        const auto filter = made(list);
        return changed(*filter, frame_of(cv::Mat::zeros(1200, 200, CV_8U))).image;
    };
    CHECK(equal_pixels(tall("text=W"), tall("text=W:size=40:x=20:y=20")));
    double most = 0;
    cv::minMaxLoc(picture("text=W:color=gray:size=40"), nullptr, &most);
    CHECK(most == 128);
    CHECK(cv::countNonZero(picture("text=W:color=black:shadow=none")) == 0);
}

TEST_CASE("annotation_filters: held extra data") {
    const auto shown = [](const std::string& hold, const std::vector<int>& given) {
        const auto filter = made("text={extra.v}:missing=none" + hold);
        SourceInfo info;
        filter->begin(info);
        std::string texts;
        for (int i = 0; i < 8; ++i) {
            const bool has = std::find(given.begin(), given.end(), i) != given.end();
            const Frame frame =
                frame_of(cv::Mat::zeros(20, 60, CV_8U), i, has ? std::vector<Json>{{{"v", i}}} : std::vector<Json>{});
            const cv::Mat image = changed(*filter, frame).image;
            char text = '?';
            for (int value = -1; value < 8; ++value) {
                const std::string wanted = value < 0 ? "none" : std::to_string(value);
                const auto plain = made("text=" + wanted);
                if (equal_pixels(image, changed(*plain, frame_of(cv::Mat::zeros(20, 60, CV_8U))).image))
                    text = value < 0 ? '-' : wanted[0];
            }
            texts += text;
        }
        return texts;
    };
    CHECK(shown("", {1, 5}) == "-1---5--");
    CHECK(shown(":hold=no", {1, 5}) == "-1---5--");
    CHECK(shown(":hold=yes", {1, 5}) == "-1111555");
    CHECK(shown(":hold=2", {1, 5}) == "-111-555");
    CHECK(made("text={extra.v}")->each_by_itself());
    CHECK(made("text={index}:hold=yes")->each_by_itself());
    CHECK(made("text={extra.v}:hold=12")->reach()->before == 12);
    CHECK(made("text={extra.v}:hold=yes")->reach()->before == FilterReach::kAll);
    CHECK(made("text={seconds}")->reach()->before == FilterReach::kAll);
    CHECK(made("text={seconds}:start=3")->each_by_itself());
    CHECK(made("timestamp")->each_by_itself());
}

TEST_CASE("annotation_filters: frames in any order are those that come in order") {
    check_any_order("text='{index} {extra.image}'");
    check_any_order("text={extra.image}:hold=yes");
    check_any_order("text={extra.image}:hold=1");
    check_any_order("text='{seconds:.2f}'");
    check_any_order("timestamp");
    check_any_order("scale-bar=2");
    check_any_order("plot='image,mean':frames=9");
    check_any_order("plot=mean:seconds=0.2:labels=no");
    check_any_order("plot=mean:frames=1");
    check_any_order("plot=image:frames=1000");
}

TEST_CASE("annotation_filters: dates of times that have none") {
    SourceInfo info;
    info.name = "clip.mp4";
    const Error error = expected_error([&] { made("text='{time:%d.%m.}'")->begin(info); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(error.message().find("clip.mp4") != std::string::npos);
    const auto filter = made("timestamp");
    filter->begin(info);
    Frame frame = frame_of(cv::Mat::zeros(60, 400, CV_8U));
    frame.time = 3661.5;
    CHECK(equal_pixels(changed(*filter, frame).image, picture("text='01:01:01.500':position=bottom-left")));
    frame.time = std::nan("");
    CHECK(equal_pixels(changed(*filter, frame).image, picture("text=-:position=bottom-left")));
}

TEST_CASE("annotation_filters: scale bars are as long as they say") {
    const auto bar_of = [](const std::string& list, cv::Size size) {
        const auto filter = made(list + ":shadow=none:color=white");
        const cv::Mat image = changed(*filter, frame_of(cv::Mat::zeros(size, CV_8U))).image;
        // The longest run of white in a row, and how many rows have it.
        int longest = 0;
        int rows = 0;
        for (int row = 0; row < image.rows; ++row) {
            int run = 0;
            int most = 0;
            for (int column = 0; column < image.cols; ++column) {
                run = image.at<uint8_t>(row, column) == 255 ? run + 1 : 0;
                most = std::max(most, run);
            }
            if (most > longest) rows = 0;
            longest = std::max(longest, most);
            if (most == longest) ++rows;
        }
        return cv::Size(longest, rows);
    };
    CHECK(bar_of("scale-bar=2:length=50:thickness=5", {640, 480}) == cv::Size(100, 5));
    CHECK(bar_of("scale-bar=pixel_size=0.5:length=50:thickness=5", {640, 480}) == cv::Size(100, 5));
    CHECK(bar_of("scale-bar=1.5:length=33:label='':thickness=2", {640, 480}) == cv::Size(50, 2));
    // Round lengths within 160 pixels: 200 of 0.8, 50 of 2.1, 5 of 31, 0.01 of 16000 a unit.
    CHECK(bar_of("scale-bar=0.8", {640, 480}).width == 160);
    CHECK(bar_of("scale-bar=2.1", {640, 480}).width == 105);
    CHECK(bar_of("scale-bar=31", {640, 480}).width == 155);
    CHECK(bar_of("scale-bar=16000", {640, 480}).width == 160);
    CHECK(bar_of("scale-bar=0.001", {640, 480}).width == 100);
    CHECK(bar_of("scale-bar=1:length=1000:thickness=3", {640, 480}).height == 3);  // cut off
    const auto same = [](const std::string& one, const std::string& other) {
        return equal_pixels(picture(one), picture(other));
    };
    CHECK(same("scale-bar=1", "scale-bar=1:length=100:unit=µm:label='100 µm'"));
    CHECK(same("scale-bar=0.5:unit=mm", "scale-bar=0.5:label='200 mm'"));
    CHECK(same("scale-bar=1:length=2.5", "scale-bar=1:length=2.5:label='2.5 µm'"));
}

TEST_CASE("annotation_filters: the plot shows the values of its window") {
    const auto filter = made("plot=v:frames=11:height=101:labels=no:low=0:high=10:color=white:background=black");
    SourceInfo info;
    info.image_type = {20, 211, 1, CV_8U};
    filter->begin(info);
    CHECK(info.image_type.height == 121);
    cv::Mat last;
    for (int i = 0; i < 30; ++i) {
        const int value = i % 10;
        last = changed(*filter, frame_of(cv::Mat(20, 211, CV_8U, cv::Scalar(i)), i, {{{"v", value}}})).image;
    }
    CHECK(cv::norm(last.rowRange(0, 20), cv::Mat(20, 211, CV_8U, cv::Scalar(29)), cv::NORM_INF) == 0);
    // Value by value, the brightest pixel of a column in the strip lies where the value says.
    const cv::Mat strip = last.rowRange(20, 121);
    const int margin = 6;
    for (int place = 0; place < 11; ++place) {
        const int value = (19 + place) % 10;
        const int x = margin + static_cast<int>(std::lround(place * (211 - 2 * margin - 1) / 10.0));
        const int y = margin + static_cast<int>(std::lround((1 - value / 10.0) * (101 - 2 * margin - 1)));
        CAPTURE(place);
        CHECK(strip.at<uint8_t>(y, x) > 200);
    }
    // The latest is marked by a disc, the one before is not.
    CHECK(cv::countNonZero(strip.col(211 - margin - 1).rowRange(10, 20) > 200) >= 5);
    // A value between two that are no numbers is a dot.
    const auto dotted = made("plot=v:frames=3:height=101:labels=no:low=0:high=10:color=white:background=black");
    for (const Json& value : {Json(std::nan("")), Json(5), Json(std::nan(""))})
        last = changed(*dotted, frame_of(cv::Mat(20, 211, CV_8U, cv::Scalar(0)), 0, {{{"v", value}}})).image;
    CHECK(last.at<uint8_t>(20 + 50, 105) > 200);
    CHECK(last.at<uint8_t>(20 + 50, 115) == 0);
    // Nothing but the two lines of the ends where there is no value.
    const cv::Mat none =
        changed(*made("plot=w:height=101:labels=no:background=black"), frame_of(cv::Mat(20, 211, CV_8U, cv::Scalar(0))))
            .image;
    CHECK(cv::countNonZero(none) == 2 * (211 - 2 * margin));
}

TEST_CASE("annotation_filters: odd values in a plot") {
    for (const std::string list :
         {"plot='v,w,mean'", "plot='v':low=1", "plot='v':high=-3:labels=no", "plot=v:frames=2"}) {
        const auto filter = made(list);
        SourceInfo info;
        filter->begin(info);
        const std::vector<Json> values{1e308,   -1e308,           5,          true, "text",
                                       nullptr, Json::array({1}), UINT64_MAX, -0.0, 1e-320};
        cv::Mat image(50, 80, CV_32FC3, cv::Scalar::all(0.5));
        image.at<cv::Vec3f>(3, 4)[1] = std::numeric_limits<float>::quiet_NaN();
        image.at<cv::Vec3f>(3, 5)[1] = std::numeric_limits<float>::infinity();
        for (size_t i = 0; i < values.size(); ++i) {
            const Frame frame = frame_of(image, static_cast<int64_t>(i), {{{"v", values[i]}, {"w", 3}}});
            const cv::Mat result = changed(*filter, frame).image;
            CHECK(result.rows == 90);
            CHECK(equal_pixels(result.rowRange(0, 50), image));
            CHECK(cv::checkRange(result.rowRange(50, 90)));
        }
        image.setTo(std::numeric_limits<float>::quiet_NaN());
        CHECK(cv::checkRange(changed(*filter, frame_of(image)).image.rowRange(50, 90)));
    }
    // The mean of what is finite, without alpha: a plot of it is that of the number.
    cv::Mat image(30, 200, CV_32FC4, cv::Scalar(1, 2, 6, 900));
    image.at<cv::Vec4f>(0, 0)[0] = std::numeric_limits<float>::quiet_NaN();
    const double mean = (9.0 * 30 * 200 - 1) / (3 * 30 * 200 - 1);
    const auto strip_of = [&](const std::string& list, double value) {
        const cv::Mat result = changed(*made(list + ":low=0:high=10"), frame_of(image, 0, {{{"mean", value}}})).image;
        return result.rowRange(30, result.rows).clone();
    };
    CHECK(equal_pixels(strip_of("plot=mean", 7), strip_of("plot=extra.mean", mean)));
    CHECK_FALSE(equal_pixels(strip_of("plot=mean", 7), strip_of("plot=extra.mean", 7)));
}

TEST_CASE("annotation_filters: what cannot be is refused when the filter is made") {
    const auto reason = [](const std::string& list) {
        const Error error = expected_error([&] { make_filters(list); });
        CHECK(error.code() == ErrorCode::invalid_argument);
        return error.message();
    };
    CHECK(reason("text").find("filter text: needs a text") == 0);
    CHECK(reason("text={numbr}").find("{number}") != std::string::npos);
    CHECK(reason("text='{index:zz}'").find("zz") != std::string::npos);
    CHECK(reason("text={time:%H:%M}").find("quotes") != std::string::npos);
    CHECK(reason("timestamp='%Q'").find("%Q") != std::string::npos);
    CHECK(reason("text=a:position=top-lef").find("top-left") != std::string::npos);
    for (const char* list : {"text=a:size=0",
                             "text=a:size=1001",
                             "text=a:color=rde",
                             "text=a:shadow=rde",
                             "text=a:zone=Mars/City",
                             "text=a:hold=-1",
                             "text=a:hold=some",
                             "text=a:start=never",
                             "text=a:x=1.5",
                             "text='{'",
                             "timestamp=hour",
                             "timestamp='{time}'",
                             "scale-bar",
                             "scale-bar=1:pixel_size=1",
                             "scale-bar=0",
                             "scale-bar=-2",
                             "scale-bar=1:length=0",
                             "scale-bar=1:thickness=0",
                             "plot",
                             "plot=' , '",
                             "plot=v:frames=0",
                             "plot=v:frames=9:seconds=2",
                             "plot=v:seconds=0",
                             "plot=v:height=3",
                             "plot=v:low=2:high=2",
                             "plot=v:color='red,rde'",
                             "plot=v:background=x"}) {
        CAPTURE(list);
        CHECK(reason(list).find("filter ") == 0);
    }
    CHECK(error_of([] { make_filters("text=a:font=nothing.ttf"); }) == ErrorCode::not_found);
    SourceInfo info;
    CHECK(error_of([&] { made("plot=v:seconds=2")->begin(info); }) == ErrorCode::invalid_argument);
    info.frame_rate = 25;
    const auto filter = made("plot=v:seconds=2");
    filter->begin(info);
    CHECK(filter->reach()->before == 49);
}

}  // namespace reelstore
