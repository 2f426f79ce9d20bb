#include "filters/mosaic.h"

#include <limits>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/filter.h"
#include "base/numbered_frames.h"
#include "base/parallel_reader.h"
#include "filters/filtered_source.h"
#include "tests/filters/listed_frames.h"
#include "tests/image_equality.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

FrameList list_of(const ImageType& type, int64_t count = 3, int first_image = 0) {
    FrameList list;
    list.type = type;
    list.first_image = first_image;
    list.stamps = even_stamps(count, 10);
    return list;
}

MosaicItem item_of(const FrameList& list, std::string title = {}) {
    return {{std::make_unique<ListedFrames>(list)}, std::move(title)};
}

/// An item that shows one image all the time.
MosaicItem item_of(const cv::Mat& image, std::string title = {}) {
    FrameList list = list_of({4, 32, 1, CV_8U});
    return {{std::make_unique<ListedFrames>(list) | image_filter([image](const cv::Mat&) { return image; })},
            std::move(title)};
}

template <typename... Items>
std::vector<MosaicItem> items(Items&&... given) {
    std::vector<MosaicItem> made;
    (made.push_back(item_of(std::forward<Items>(given))), ...);
    return made;
}

cv::Mat first_of(std::vector<MosaicItem> made, const MosaicOptions& options, const SyncOptions& sync = {}) {
    return mosaic(std::move(made), options, sync)->next().value().image;
}

cv::Mat plain(int width, int height, const cv::Scalar& value, int type = CV_8U) {
    return cv::Mat(height, width, type, value);
}

/// Places of images as they are found by their pixels, where no other part of the mosaic has such.
cv::Rect place_of(const cv::Mat& whole, double value) {
    return cv::boundingRect(whole == value);
}

bool all_equal(const cv::Mat& image, double value) {
    return cv::countNonZero(image != value) == 0;
}

}  // namespace

TEST_CASE("mosaic: a grid of images of one size") {
    const ImageType type{6, 32, 1, CV_8U};
    const auto source = [&](bool in_any_order) {
        std::vector<MosaicItem> made;
        for (int i = 0; i < 3; ++i) {
            FrameList list = list_of(type, 5, i * 100);
            list.in_any_order = in_any_order;
            list.knows_type = in_any_order;
            made.push_back(item_of(list));
        }
        return mosaic(std::move(made), {.columns = 2, .padding = 2, .border = 3, .background = {7, 7, 7}}, {});
    };
    const auto expected = [&](int index) {
        cv::Mat whole(6 + 2 + 6 + 2 * 3, 32 + 2 + 32 + 2 * 3, CV_8U, cv::Scalar(7));
        make_numbered_image(type, index).copyTo(whole(cv::Rect(3, 3, 32, 6)));
        make_numbered_image(type, 100 + index).copyTo(whole(cv::Rect(37, 3, 32, 6)));
        make_numbered_image(type, 200 + index).copyTo(whole(cv::Rect(3, 11, 32, 6)));
        return whole;
    };
    for (const bool in_any_order : {false, true}) {
        const auto frames = source(in_any_order);
        if (in_any_order) CHECK(frames->info().image_type == ImageType{20, 72, 1, CV_8U});
        for (int round = 0; round < 2; ++round) {
            for (int i = 0; i < 5; ++i) {
                const Frame frame = frames->next().value();
                CHECK(frame.index == i);
                CHECK(equal_pixels(frame.image, expected(i)));
                CHECK(frames->extra_data().size() == (i % 3 == 0 ? 1 : 0));
            }
            CHECK_FALSE(frames->next());
            REQUIRE(frames->rewind());
        }
    }
    const auto frames = source(true);
    const std::vector<int64_t> order{4, 0, 3, 3, 1};
    const std::vector<Frame> read = read_frames(*frames->random_access(), order, 3);
    for (size_t i = 0; i < order.size(); ++i) CHECK(equal_pixels(read[i].image, expected(int(order[i]))));
}

TEST_CASE("mosaic: how many columns and rows") {
    const auto size_of = [](int count, MosaicOptions options, int width = 16, int height = 9) {
        std::vector<MosaicItem> made;
        for (int i = 0; i < count; ++i) made.push_back(item_of(plain(width, height, 1)));
        const cv::Size size = first_of(std::move(made), options).size();
        return cv::Size(size.width / width, size.height / height);
    };
    CHECK(size_of(1, {}) == cv::Size(1, 1));
    CHECK(size_of(4, {}) == cv::Size(2, 2));
    CHECK(size_of(5, {}) == cv::Size(3, 2));
    CHECK(size_of(9, {}) == cv::Size(3, 3));
    CHECK(size_of(4, {.aspect = 16.0 * 4 / 9}) == cv::Size(4, 1));
    CHECK(size_of(4, {.aspect = 0.1}) == cv::Size(1, 4));
    CHECK(size_of(6, {.aspect = 1}, 10, 10) == cv::Size(3, 2));
    CHECK(size_of(6, {.aspect = 1}, 10, 30) == cv::Size(6, 1));
    CHECK(size_of(5, {.columns = 3}) == cv::Size(3, 2));
    CHECK(size_of(4, {.columns = 6}) == cv::Size(4, 1));
    CHECK(size_of(5, {.rows = 2}) == cv::Size(3, 2));
    CHECK(size_of(4, {.rows = 6}) == cv::Size(1, 4));
    CHECK(size_of(4, {.columns = 3, .rows = 4}) == cv::Size(3, 4));
    CHECK(error_of([&] { size_of(7, {.columns = 3, .rows = 2}); }) == ErrorCode::invalid_argument);
}

TEST_CASE("mosaic: images fit into their cells, in their shape, in the middle") {
    // The cell is as wide as the widest and as high as the highest.
    const cv::Mat whole = first_of(items(plain(40, 10, 50), plain(10, 20, 100), plain(4, 4, 150)), {.columns = 3});
    CHECK(whole.size() == cv::Size(120, 20));
    CHECK(place_of(whole, 50) == cv::Rect(0, 5, 40, 10));
    CHECK(place_of(whole, 100) == cv::Rect(40 + 15, 0, 10, 20));
    CHECK(place_of(whole, 150) == cv::Rect(80 + 10, 0, 20, 20));
    CHECK(cv::countNonZero(whole) == 400 + 200 + 400);

    const cv::Mat smaller = first_of(items(plain(40, 10, 50), plain(10, 20, 100)), {.columns = 1, .cell = {20, 6}});
    CHECK(smaller.size() == cv::Size(20, 12));
    CHECK(place_of(smaller, 50) == cv::Rect(0, 0, 20, 5));
    CHECK(place_of(smaller, 100) == cv::Rect(8, 6, 3, 6));
    // One side alone keeps the shape of the cell.
    CHECK(first_of(items(plain(40, 10, 50), plain(10, 20, 100)), {.columns = 1, .cell = {20, 0}}).size() ==
          cv::Size(20, 20));
    CHECK(first_of(items(plain(40, 10, 50)), {.cell = {0, 5}}).size() == cv::Size(20, 5));

    // As OpenCV makes them larger and smaller.
    cv::Mat random(24, 30, CV_8UC3);
    cv::randu(random, 0, 256);
    for (const cv::Size& size : {cv::Size(60, 48), cv::Size(15, 12)}) {
        for (const Interpolation interpolation :
             {Interpolation::automatic, Interpolation::nearest, Interpolation::linear, Interpolation::lanczos}) {
            cv::Mat expected;
            cv::resize(random, expected, size, 0, 0,
                       interpolation == Interpolation::nearest   ? cv::INTER_NEAREST_EXACT
                       : interpolation == Interpolation::linear  ? cv::INTER_LINEAR
                       : interpolation == Interpolation::lanczos ? cv::INTER_LANCZOS4
                       : size.width < random.cols                ? cv::INTER_AREA
                                                                 : cv::INTER_CUBIC);
            CHECK(equal_pixels(first_of(items(random), {.cell = size, .interpolation = interpolation}), expected));
        }
    }
}

TEST_CASE("mosaic: a row and a column") {
    const auto of_three = [] { return items(plain(40, 10, 50), plain(10, 20, 100), plain(15, 10, 150)); };
    const cv::Mat row = first_of(of_three(), {.layout = MosaicLayout::row, .padding = 1, .border = 2});
    CHECK(row.size() == cv::Size(2 + 40 + 1 + 5 + 1 + 15 + 2, 14));
    CHECK(place_of(row, 50) == cv::Rect(2, 2, 40, 10));
    CHECK(place_of(row, 100) == cv::Rect(43, 2, 5, 10));
    CHECK(place_of(row, 150) == cv::Rect(49, 2, 15, 10));
    const cv::Mat higher = first_of(of_three(), {.layout = MosaicLayout::row, .fit_to = 1});
    CHECK(higher.size() == cv::Size(80 + 10 + 30, 20));
    CHECK(place_of(higher, 150) == cv::Rect(90, 0, 30, 20));
    const cv::Mat column = first_of(of_three(), {.layout = MosaicLayout::column, .fit_to = 2, .padding = 3});
    CHECK(column.size() == cv::Size(15, 4 + 3 + 30 + 3 + 10));
    CHECK(place_of(column, 50) == cv::Rect(0, 0, 15, 4));
    CHECK(place_of(column, 100) == cv::Rect(0, 7, 15, 30));
    CHECK(place_of(column, 150) == cv::Rect(0, 40, 15, 10));
    for (const MosaicLayout layout : {MosaicLayout::row, MosaicLayout::column}) {
        CHECK(error_of([&] { first_of(of_three(), {.layout = layout, .fit_to = 3}); }) == ErrorCode::invalid_argument);
        CHECK(error_of([&] { first_of(of_three(), {.layout = layout, .columns = 2}); }) == ErrorCode::invalid_argument);
        CHECK(error_of([&] {
                  first_of(of_three(), {.layout = layout, .cell = {0, 9}});
              }) == ErrorCode::invalid_argument);
    }
}

TEST_CASE("mosaic: the whole becomes no larger than it may") {
    const auto of_four = [] { return items(plain(64, 48, 1), plain(64, 48, 2), plain(64, 48, 3), plain(64, 48, 4)); };
    CHECK(first_of(of_four(), {.columns = 2, .max_size = {1000, 1000}}).size() == cv::Size(128, 96));
    CHECK(first_of(of_four(), {.columns = 2, .max_size = {64, 0}}).size() == cv::Size(64, 48));
    CHECK(first_of(of_four(), {.columns = 2, .max_size = {0, 72}}).size() == cv::Size(96, 72));
    CHECK(first_of(of_four(), {.columns = 2, .padding = 8, .border = 4, .max_size = {80, 1000}}).size() ==
          cv::Size(4 + 32 + 8 + 32 + 4, 4 + 24 + 8 + 24 + 4));
    const auto uneven = [] { return items(plain(63, 50, 1), plain(17, 40, 2), plain(64, 31, 3)); };
    for (int most = 7; most < 200; ++most) {
        for (const MosaicLayout layout : {MosaicLayout::row, MosaicLayout::column, MosaicLayout::grid}) {
            const cv::Size size = first_of(uneven(), {.layout = layout, .padding = 1, .max_size = {most, most}}).size();
            CHECK(size.width <= most);
            CHECK(size.height <= most);
            // Not much smaller than need be: the longer side is used but for what rounding takes.
            if (most > 40) CHECK(std::max(size.width, size.height) >= std::min(most - 6, 129));
        }
    }
    CHECK(error_of([&] {
              first_of(of_four(), {.columns = 2, .padding = 8, .max_size = {8, 0}});
          }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { first_of(of_four(), {.columns = 4, .max_size = {3, 0}}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] {
              first_of(of_four(), {.layout = MosaicLayout::row, .max_size = {3, 0}});
          }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { first_of(of_four(), {.columns = 4, .cell = {60000, 10}}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] {
              first_of(of_four(), {.columns = 2, .cell = {30000, 30000}});
          }) == ErrorCode::invalid_argument);
}

TEST_CASE("mosaic: types of pixels") {
    const auto value = [](const cv::Mat& whole, int x, int y) {
        cv::Mat pixel;
        whole(cv::Rect(x, y, 1, 1)).convertTo(pixel, CV_64F);
        const double* const values = pixel.ptr<double>();
        return std::vector<double>(values, values + pixel.channels());
    };
    const MosaicOptions row{.layout = MosaicLayout::row, .background = {255, 255, 255}};
    const int depths[] = {CV_8U, CV_16U, CV_16S, CV_32F, CV_64F};
    for (const int depth : depths) {
        // Of one type, pixels stay as they are.
        cv::Mat image(8, 9, CV_MAKETYPE(depth, 1));
        cv::randu(image, 0, 200);
        CHECK(equal_pixels(first_of(items(image), row), image));
        cv::merge(std::vector<cv::Mat>{image, image * 0.5, image * 0.25}, image);
        CHECK(equal_pixels(first_of(items(image), row), image));
        // Gray becomes colour where others are, and alpha is left out.
        const cv::Mat whole = first_of(
            items(plain(4, 4, 100, CV_MAKETYPE(depth, 1)), plain(4, 4, {10, 20, 30, 40}, CV_MAKETYPE(depth, 4)),
                  plain(2, 2, {11, 22, 33, 44}, CV_MAKETYPE(depth, 4)), plain(2, 2, 50, CV_MAKETYPE(depth, 1))),
            row);
        CHECK(whole.type() == CV_MAKETYPE(depth, 3));
        CHECK(value(whole, 1, 1) == std::vector<double>{100, 100, 100});
        CHECK(value(whole, 5, 1) == std::vector<double>{10, 20, 30});
        CHECK(value(whole, 9, 1) == std::vector<double>{11, 22, 33});
        CHECK(value(whole, 13, 1) == std::vector<double>{50, 50, 50});
    }
    const cv::Mat deep = first_of(items(plain(4, 4, 255), plain(4, 4, 65535, CV_16U), plain(2, 2, 51)), row);
    CHECK(deep.type() == CV_16U);
    CHECK(value(deep, 0, 0) == std::vector<double>{65535});
    CHECK(value(deep, 4, 0) == std::vector<double>{65535});
    CHECK(value(deep, 8, 0) == std::vector<double>{51 * 257});
    const cv::Mat floats = first_of(items(plain(4, 4, {51, 102, 255}, CV_8UC3), plain(4, 4, 13107, CV_16U),
                                          plain(4, 4, std::numeric_limits<double>::quiet_NaN(), CV_32F)),
                                    row);
    CHECK(floats.type() == CV_32FC3);
    CHECK(value(floats, 0, 0)[0] == doctest::Approx(0.2));
    CHECK(value(floats, 0, 0)[1] == doctest::Approx(0.4));
    CHECK(value(floats, 0, 0)[2] == doctest::Approx(1));
    CHECK(value(floats, 4, 0)[0] == doctest::Approx(0.2));
    CHECK(std::isnan(value(floats, 8, 0)[1]));
    CHECK(first_of(items(plain(4, 4, 0, CV_32F), plain(4, 4, 0, CV_64F)), row).type() == CV_64F);

    // White and colours of the background.
    const auto background = [&](int type, const Color& color) {
        return value(first_of(items(plain(4, 4, 0, type)), {.border = 1, .background = color}), 0, 0);
    };
    CHECK(background(CV_8U, {255, 255, 255}) == std::vector<double>{255});
    CHECK(background(CV_16U, {255, 255, 255}) == std::vector<double>{65535});
    CHECK(background(CV_32F, {255, 255, 255}) == std::vector<double>{1});
    CHECK(background(CV_8U, {1, 2, 3}) == std::vector<double>{3, 2, 1});
    CHECK(background(CV_16UC3, {0, 0, 255}) == std::vector<double>{65535, 0, 0});

    for (const int type : {CV_8S, CV_32S, CV_8UC2, CV_8UC(5)})
        CHECK(error_of([&] { first_of(items(plain(4, 4, 0, type)), row); }) == ErrorCode::wrong_type);
    CHECK(error_of([&] { first_of(items(plain(4, 4, 0, CV_16S), plain(4, 4, 0)), row); }) == ErrorCode::wrong_type);
    CHECK(error_of([&] { first_of(items(plain(4, 4, 0), plain(4, 4, 0, CV_16S)), row); }) == ErrorCode::wrong_type);
}

TEST_CASE("mosaic: sizes that change on the way, and types that do") {
    const auto changing = [](const cv::Mat& later) {
        std::vector<MosaicItem> made;
        made.push_back(item_of(plain(20, 10, 50)));
        made.push_back(
            {{std::make_unique<ListedFrames>(list_of({4, 32, 1, CV_8U})) | frame_filter([later](Frame frame) {
                  frame.image = frame.index == 0 ? plain(20, 10, 100) : later;
                  return frame;
              })},
             {}});
        return mosaic(std::move(made), {.columns = 2, .background = {9, 9, 9}});
    };
    const auto frames = changing(plain(5, 10, 200));
    CHECK(place_of(frames->next()->image, 100) == cv::Rect(20, 0, 20, 10));
    const cv::Mat second = frames->next()->image;
    CHECK(place_of(second, 200) == cv::Rect(20 + 7, 0, 5, 10));
    CHECK(cv::countNonZero(second == 9) == 150);
    CHECK(frames->random_access()->at_index(0).image.size() == second.size());
    for (const int type : {CV_8UC3, CV_16U, CV_8UC2}) {
        const auto other = changing(plain(5, 10, 200, type));
        CHECK(other->next());
        const Error error = expected_error([&] { other->next(); });
        CHECK(error.code() == ErrorCode::wrong_type);
        CHECK(error.place().path == "listed");
        CHECK(error.place().frame_index == 1);
    }
}

TEST_CASE("mosaic: synchronised items, blanks, and what has no frames") {
    const ImageType type{6, 32, 1, CV_8U};
    const auto made = [&](bool in_any_order) {
        std::vector<MosaicItem> result;
        for (int i = 0; i < 3; ++i) {
            FrameList list = list_of(type, i == 2 ? 0 : 4, i * 100);
            list.in_any_order = in_any_order;
            list.knows_type = false;
            result.push_back(item_of(list));
        }
        result[1].source.offset = 2;
        return result;
    };
    for (const bool in_any_order : {false, true}) {
        const auto frames = mosaic(made(in_any_order), {.columns = 3, .background = {5, 5, 5}},
                                   {SyncBy::index, MissingFrame::blank, {}});
        for (int i = 0; i < 4; ++i) {
            const cv::Mat whole = frames->next().value().image;
            CHECK(whole.size() == cv::Size(96, 6));
            CHECK(read_image_number(whole(cv::Rect(0, 0, 32, 6))) == i);
            if (i >= 2) CHECK(read_image_number(whole(cv::Rect(32, 0, 32, 6))) == 100 + i - 2);
            if (i < 2) CHECK(cv::countNonZero(whole(cv::Rect(32, 0, 32, 6)) != 5) == 0);
            CHECK(cv::countNonZero(whole(cv::Rect(64, 0, 32, 6)) != 5) == 0);
        }
        CHECK_FALSE(frames->next());
    }
    // Without any frame, there is nothing to tell the size by.
    for (const bool in_any_order : {false, true}) {
        FrameList list = list_of(type, 0);
        list.in_any_order = in_any_order;
        list.knows_type = false;
        std::vector<MosaicItem> empty;
        empty.push_back(item_of(list));
        CHECK(error_of([&] { mosaic(std::move(empty), {}); }) == ErrorCode::invalid_argument);
    }
    // A first frame that is damaged is an error where it is to be shown.
    for (const bool in_any_order : {false, true}) {
        std::vector<MosaicItem> damaged = made(in_any_order);
        FrameList list = list_of(type, 4, 100);
        list.in_any_order = in_any_order;
        list.knows_type = false;
        list.damaged = {0};
        damaged[1].source.frames = std::make_unique<ListedFrames>(list);
        damaged[1].source.offset = 0;
        const auto frames = mosaic(std::move(damaged), {.columns = 3});
        CHECK(error_of([&] { frames->next(); }) == ErrorCode::corrupt);
        CHECK(read_image_number(frames->next()->image(cv::Rect(32, 0, 32, 6))) == 101);
    }
}

TEST_CASE("mosaic: titles stand in bands of their own") {
    const auto titled = [](const MosaicOptions& options) {
        std::vector<MosaicItem> made;
        made.push_back(item_of(plain(80, 20, 50), "left"));
        made.push_back(item_of(plain(80, 20, 100)));
        return first_of(std::move(made), options);
    };
    MosaicOptions options{.columns = 1, .padding = 2};
    options.title_style.shadow.reset();
    options.title_style.size = 12;
    const int text = TextPainter(options.title_style).size_of("left").height;
    const int band = text + 2 * 3;
    const cv::Mat column = titled(options);
    CHECK(column.type() == CV_8U);
    CHECK(column.size() == cv::Size(80, 2 * (band + 20) + 2));
    CHECK(all_equal(column(cv::Rect(0, band, 80, 20)), 50));
    CHECK(all_equal(column(cv::Rect(0, 2 * band + 22, 80, 20)), 100));
    const cv::Rect letters = cv::boundingRect(column(cv::Rect(0, 0, 80, band)));
    CHECK(letters.width > 15);
    CHECK(letters.width < 40);
    CHECK(std::abs(letters.x + letters.width / 2 - 40) <= 2);
    CHECK(letters.y >= 3);
    CHECK(letters.y + letters.height <= band - 3);
    CHECK(cv::countNonZero(column(cv::Rect(0, band + 22, 80, band))) == 0);
    // The images keep what is left.
    options.max_size = {0, 2 * (band + 10) + 2};
    CHECK(all_equal(titled(options)(cv::Rect(0, band, 40, 10)), 50));
    options.max_size = {};
    for (const MosaicLayout layout : {MosaicLayout::row, MosaicLayout::column}) {
        options.layout = layout;
        options.columns.reset();
        const bool is_row = layout == MosaicLayout::row;
        CHECK(titled(options).size() == (is_row ? cv::Size(162, band + 20) : cv::Size(80, 2 * (band + 20) + 2)));
    }
    // A title longer than its image begins at its left and touches no other.
    std::vector<MosaicItem> made;
    made.push_back(item_of(plain(30, 20, 50), "WWWWWWWWWWWWWWW"));
    made.push_back(item_of(plain(30, 20, 100)));
    const cv::Mat row = first_of(std::move(made), options);
    CHECK(cv::countNonZero(row(cv::Rect(0, 0, 30, row.rows - 20))) > 0);
    options.title_style.color = {255, 0, 0};
    CHECK(titled(options).type() == CV_8UC3);
    options.title_style.size = 0;
    CHECK(error_of([&] { titled(options); }) == ErrorCode::invalid_argument);
}

TEST_CASE("mosaic: options that make no sense") {
    const auto refused = [](const MosaicOptions& options) {
        return error_of([&] { mosaic(items(plain(8, 8, 1), plain(8, 8, 2)), options); }) == ErrorCode::invalid_argument;
    };
    CHECK_FALSE(refused({}));
    CHECK(refused({.columns = 0}));
    CHECK(refused({.rows = -1}));
    for (const double aspect : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
        CHECK(refused({.aspect = aspect}));
    CHECK(refused({.padding = -1}));
    CHECK(refused({.border = -1}));
    CHECK(refused({.border = 40000}));
    CHECK(refused({.cell = {-1, 0}}));
    CHECK(refused({.max_size = {0, -1}}));
    CHECK(error_of([] { mosaic({}, {}); }) == ErrorCode::invalid_argument);
}

}  // namespace reelstore
