#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/numbered_frames.h"
#include "filters/filter_table.h"
#include "filters/filtered_source.h"
#include "filters/temporal.h"
#include "tests/image_equality.h"
#include "tests/sanitized.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Frame frame_of(const cv::Mat& image, int64_t index) {
    Frame frame;
    frame.image = image;
    frame.index = index;
    frame.number = 100 + 3 * index;
    frame.time = 1000 + 0.04 * static_cast<double>(index);
    return frame;
}

cv::Mat random_image(const ImageType& type, int seed) {
    cv::Mat image(type.height, type.width, type.cv_type());
    std::mt19937 random(static_cast<uint32_t>(seed));
    const bool floats = type.depth == CV_32F || type.depth == CV_64F;
    for (int row = 0; row < image.rows; ++row) {
        cv::Mat values(1, type.width * type.channels, CV_64F);
        for (int i = 0; i < values.cols; ++i) {
            // Sums of such floats depend on their order.
            values.at<double>(i) = floats ? std::ldexp(static_cast<double>(random()), int(random() % 40) - 60)
                                          : static_cast<double>(random() % 300);
            if (floats && random() % 11 == 0) values.at<double>(i) = kNaN;
        }
        cv::Mat part = image.row(row);
        values.reshape(type.channels).convertTo(part, type.depth);
    }
    return image;
}

std::vector<Frame> random_frames(const ImageType& type, int count) {
    std::vector<Frame> frames;
    for (int i = 0; i < count; ++i) frames.push_back(frame_of(random_image(type, i), i));
    return frames;
}

/// Frames of one value each.
std::vector<Frame> plain_frames(const std::vector<double>& values, int depth = CV_32F) {
    std::vector<Frame> frames;
    for (const double value : values) {
        cv::Mat image;
        cv::Mat(2, 3, CV_64F, cv::Scalar(value)).convertTo(image, depth);
        frames.push_back(frame_of(image, static_cast<int64_t>(frames.size())));
    }
    return frames;
}

std::unique_ptr<Filter> made(std::string_view text) {
    auto filters = make_filters(text);
    REQUIRE(filters.size() == 1);
    return std::move(filters[0]);
}

std::unique_ptr<Filter> learned(std::string_view text, const std::vector<Frame>& frames,
                                const SourceInfo& source = {}) {
    auto filter = made(text);
    SourceInfo info = source;
    filter->begin(info);
    if (filter->needs_first_pass()) {
        for (const Frame& frame : frames) filter->first_pass(frame);
        filter->end_first_pass();
    }
    return filter;
}

std::vector<Frame> pushed(Filter& filter, const std::vector<Frame>& frames) {
    std::vector<Frame> results;
    const auto keep = [&](Frame frame) { results.push_back(std::move(frame)); };
    for (const Frame& frame : frames) filter.push(frame, keep);
    filter.finish(keep);
    return results;
}

SourceInfo timed() {
    SourceInfo info;
    info.has_times = true;
    info.frame_rate = 25;
    return info;
}

std::vector<Frame> results_of(std::string_view text, const std::vector<Frame>& frames) {
    return pushed(*learned(text, frames, timed()), frames);
}

std::vector<double> values_of(const std::vector<Frame>& frames) {
    std::vector<double> values;
    for (const Frame& frame : frames) {
        cv::Mat image;
        frame.image.convertTo(image, CV_64F);
        values.push_back(image.at<double>(0, 0));
    }
    return values;
}

std::vector<double> times_of(const std::vector<Frame>& frames) {
    std::vector<double> times;
    for (const Frame& frame : frames) times.push_back(frame.time);
    return times;
}

std::vector<int64_t> indices_of(const std::vector<Frame>& frames) {
    std::vector<int64_t> indices;
    for (const Frame& frame : frames) indices.push_back(frame.index);
    return indices;
}

/// Frames in any order.
class GivenFrames : public FrameSource, public RandomAccess {
public:
    explicit GivenFrames(std::vector<Frame> frames) : frames_(std::move(frames)) {
        info_ = timed();
        info_.frame_count = frame_count();
    }
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override {
        if (next_ >= frames_.size()) return std::nullopt;
        return frames_[next_++];
    }
    RandomAccess* random_access() override { return this; }
    int64_t frame_count() const override { return static_cast<int64_t>(frames_.size()); }
    Frame at_index(int64_t index) override { return frames_.at(static_cast<size_t>(index)); }
    std::unique_ptr<RandomAccess> clone_access() override { return std::make_unique<GivenFrames>(frames_); }

private:
    std::vector<Frame> frames_;
    SourceInfo info_;
    size_t next_ = 0;
};

const char* const kOneForEach[] = {
    "difference",
    "difference=3",
    "difference=3:yes:7:type=int16",
    "difference=4:yes",
    "difference=50",
    "normalize-pixelwise",
    "normalize-sliding=1",
    "normalize-sliding=2",
    "normalize-sliding=9",
    "normalize-sliding=1000",
    "smooth",
    "smooth=2:0",
    "smooth=0:1.5",
    "smooth=1.3:0.7:edge=reflect:missing=fill",
    "smooth=1.3:0.7:edge=edge:type=float32",
    "mean",
    "mean=1:3",
    "mean=2:2",
    "mean=5",
    "mean=6:3:fill",
    "mean=7:type=float64",
    "mean=1000:2",
    "background",
    "background=0.3:result=difference",
    "background=seconds=0.2:result=background",
    "background-mean=5",
    "background-mean=8:difference",
    "background-median=3",
    "background-median=result=background:type=float64",
    "evolve-jitter=threshold=0.001",
    "evolve-jitter=threshold=0.001:reference=previous",
};

}  // namespace

TEST_CASE("temporal_filters: in any order, from the frames within reach alone, results are the same to the last bit") {
    const ImageType types[] = {
        {3, 37, 1, CV_8U}, {2, 5, 3, CV_16U}, {4, 3, 1, CV_16S}, {3, 35, 1, CV_32F}, {2, 3, 5, CV_64F}};
    for (const std::string text : kOneForEach) {
        CAPTURE(text);
        for (const ImageType& type : types) {
            CAPTURE(type.text());
            for (const int count : {1, 2, 5, kSanitized ? 12 : 33}) {
                CAPTURE(count);
                const std::vector<Frame> frames = random_frames(type, count);
                const auto filter = learned(text, frames, timed());
                const auto fresh = filter->fresh();
                REQUIRE(fresh);
                const std::vector<Frame> in_order = pushed(*fresh, frames);
                REQUIRE(indices_of(in_order) == indices_of(frames));
                REQUIRE(filter->reach());
                const FilterReach reach = *filter->reach();
                for (int index = 0; index < count; ++index) {
                    CAPTURE(index);
                    const Frame& expected = in_order[static_cast<size_t>(index)];
                    CHECK(expected.number == 100 + 3 * index);
                    CHECK(expected.time == frames[static_cast<size_t>(index)].time);
                    const int first = reach.before >= index ? 0 : index - int(reach.before);
                    const int end = std::min(count, index + int(reach.after) + 1);
                    const std::vector<Frame> alone =
                        pushed(*filter->fresh(), {frames.begin() + first, frames.begin() + end});
                    REQUIRE(alone.size() == static_cast<size_t>(end - first));
                    CHECK(equal_pixels(alone[static_cast<size_t>(index - first)].image, expected.image));
                }
            }
        }
    }
}

TEST_CASE("temporal_filters: a filtered source gives the same frames in any order") {
    const ImageType type{3, 5, 1, CV_32F};
    const std::vector<Frame> frames = random_frames(type, 20);
    for (const std::string text : kOneForEach) {
        CAPTURE(text);
        const auto in_order = std::make_unique<GivenFrames>(frames) | made(text);
        const auto source = std::make_unique<GivenFrames>(frames) | made(text);
        RandomAccess* const access = source->random_access();
        REQUIRE(access);
        std::vector<Frame> expected;
        while (std::optional<Frame> frame = in_order->next()) expected.push_back(*frame);
        REQUIRE(expected.size() == frames.size());
        for (const int index : {13, 0, 1, 19, 18, 7, 8, 9, 3})
            CHECK(equal_pixels(access->at_index(index).image, expected[static_cast<size_t>(index)].image));
    }
}

TEST_CASE("temporal_filters: extra data stays with the frame at the window's centre") {
    std::vector<Frame> frames = plain_frames({1, 2, 3, 4, 5, 6, 7});
    frames[4].extra_data = std::make_shared<const std::vector<Json>>(std::vector<Json>{{{"value", 4}}});
    for (const char* text :
         {"difference=2", "difference=3:yes", "normalize-sliding=5", "smooth", "mean=4", "background"}) {
        const std::vector<Frame> results = results_of(text, frames);
        for (const Frame& frame : results) CHECK((frame.extra_data == nullptr) == (frame.index != 4));
    }
}

TEST_CASE("temporal_filters: no more frames are held than the window has") {
    const struct {
        const char* text;
        int window;
    } cases[] = {{"difference=5", 6},
                 {"difference=5:yes", 6},
                 {"normalize-sliding=9", 9},
                 {"smooth=2:1", 0},
                 {"mean=8:3", 8},
                 {"background", 0},
                 {"background-mean=7", 7},
                 {"rate=50", 1},
                 {"rate=7:previous", 1},
                 {"skip=4", 0},
                 {"hold=3", 1},
                 {"evolve-jitter=reference=previous", 3}};
    for (const int depth : {CV_8U, CV_32F}) {
        for (const auto& [text, window] : cases) {
            CAPTURE(text);
            const auto filter = learned(text, {}, timed());
            int alive = 0;
            int most = 0;
            for (int i = 0; i < 100; ++i) {
                Frame frame = frame_of({}, i);
                const auto memory = std::make_shared<cv::Mat>(random_image({2, 3, 1, depth}, i));
                frame.image = cv::Mat(memory->size(), memory->type(), memory->data);
                ++alive;
                frame.owner = std::shared_ptr<const void>(memory.get(), [&alive, memory](const void*) { --alive; });
                filter->push(std::move(frame), [&](Frame) {});
                most = std::max(most, alive);
            }
            // The last one that came has not been left out yet when the next result is made.
            CHECK(most <= window);
            CHECK(most >= window - 1);
        }
    }
}

TEST_CASE("temporal_filters: differences") {
    const std::vector<Frame> frames = plain_frames({1, 2, 4, 8, 16, 32}, CV_8U);
    CHECK(values_of(results_of("difference", frames)) == std::vector<double>{0, 1, 2, 4, 8, 16});
    CHECK(values_of(results_of("difference=3:fill=-5", frames)) == std::vector<double>{-5, -5, -5, 7, 14, 28});
    CHECK(values_of(results_of("difference=3:yes:-5", frames)) == std::vector<double>{-5, -5, 7, 14, 28, -5});
    CHECK(values_of(results_of("difference=9:fill=3", frames)) == std::vector<double>(6, 3));
    const std::vector<Frame> falling = plain_frames({200, 10, 255}, CV_8U);
    CHECK(results_of("difference", falling)[1].image.type() == CV_32F);
    CHECK(values_of(results_of("difference", falling)) == std::vector<double>{0, -190, 245});
    CHECK(values_of(results_of("difference=type=uint8", falling)) == std::vector<double>{0, 0, 245});
    CHECK(results_of("difference=type=int16", falling)[1].image.type() == CV_16S);
    CHECK(values_of(results_of("difference=type=int16", falling)) == std::vector<double>{0, -190, 245});
    CHECK(values_of(results_of("difference=fill=1e99:type=int16", falling))[0] == 32767);
    const std::vector<Frame> far = plain_frames({0, 1e20, -1e20, kNaN, 5});
    CHECK(values_of(results_of("difference=type=int16", far)) == std::vector<double>{0, 32767, -32768, 0, 0});
}

TEST_CASE("temporal_filters: constant, missing and infinite values in pixelwise normalisation") {
    const double infinity = std::numeric_limits<double>::infinity();
    for (const char* text : {"normalize-pixelwise=2:5", "normalize-sliding=99:2:5"}) {
        CHECK(values_of(results_of(text, plain_frames({7, 7, 7}))) == std::vector<double>{2, 2, 2});
        CHECK(values_of(results_of(text, plain_frames({4, 0, 1, 4}))) == std::vector<double>{5, 2, 2.75, 5});
        const std::vector<double> values = values_of(results_of(text, plain_frames({infinity, kNaN, 0, 4, -infinity})));
        CHECK(values[0] == 5);
        CHECK(std::isnan(values[1]));
        CHECK(std::vector<double>(values.begin() + 2, values.end()) == std::vector<double>{2, 5, 2});
        CHECK(std::isnan(values_of(results_of(text, plain_frames({kNaN, kNaN})))[1]));
        CHECK(results_of(text, plain_frames({1, 2}, CV_64F))[0].image.type() == CV_64F);
        CHECK(results_of(text, plain_frames({1, 2}, CV_16S))[0].image.type() == CV_32F);
    }
    CHECK(values_of(results_of("normalize-sliding=3", plain_frames({0, 4, 8, 2, 2}))) ==
          std::vector<double>{0, 0.5, 1, 0, 0});
    // Each channel by itself.
    cv::Mat dark(1, 1, CV_8UC3, cv::Scalar(1, 20, 30));
    cv::Mat bright(1, 1, CV_8UC3, cv::Scalar(11, 10, 30));
    const auto results = results_of("normalize-pixelwise", {frame_of(dark, 0), frame_of(bright, 1)});
    CHECK(results[0].image.at<cv::Vec3f>(0, 0) == cv::Vec3f(0, 1, 0));
    CHECK(results[1].image.at<cv::Vec3f>(0, 0) == cv::Vec3f(1, 0, 0));
}

TEST_CASE("temporal_filters: a running background follows by share or by time") {
    const std::vector<Frame> frames = plain_frames({10, 20, 20, kNaN, 20});
    const auto near = [](const std::vector<double>& values, const std::vector<double>& expected) {
        REQUIRE(values.size() == expected.size());
        for (size_t i = 0; i < values.size(); ++i) {
            CAPTURE(i);
            if (std::isnan(expected[i])) {
                CHECK(std::isnan(values[i]));
            } else {
                CHECK(values[i] == doctest::Approx(expected[i]));
            }
        }
    };
    near(values_of(results_of("background=0.5:result=background", frames)), {10, 10, 15, 17.5, 17.5});
    near(values_of(results_of("background=0.5:result=difference", frames)), {0, 10, 5, kNaN, 2.5});
    near(values_of(results_of("background=0.5", plain_frames({10, 0, 30}, CV_8U))), {0, 10, 25});
    CHECK(results_of("background", plain_frames({1}, CV_8U))[0].image.type() == CV_8U);
    CHECK(results_of("background=result=difference", plain_frames({1}, CV_8U))[0].image.type() == CV_32F);
    // What is missing at first counts from its first value on.
    near(values_of(results_of("background=0.5:result=difference", plain_frames({kNaN, 8, 4}))), {kNaN, 0, -4});

    // Medians of frames 0, 2, 4 and 6.
    near(values_of(results_of("background-median=3:difference", plain_frames({1, 90, 3, 90, 8, 90, 10}))),
         {-4.5, 84.5, -2.5, 84.5, 2.5, 84.5, 4.5});
    near(values_of(results_of("background-median", plain_frames({kNaN, 3, 5, 50}))), {kNaN, 2, 0, 45});
    near(values_of(results_of("background-median=result=background", plain_frames({10, 200, 12}, CV_8U))),
         {12, 12, 12});

    std::vector<Frame> timed_frames = plain_frames({10, 20, 20});
    timed_frames[1].time = timed_frames[0].time + 0.5;
    timed_frames[2].time = timed_frames[1].time + 2;
    const double half = 1 - std::exp(-0.5);
    near(values_of(results_of("background=seconds=1:result=background", timed_frames)), {10, 10, 10 + 10 * half});
    // Where the clock stands, the frame rate counts: 25 frames a second.
    timed_frames[1].time = timed_frames[0].time;
    near(values_of(results_of("background=seconds=1:result=background", timed_frames)),
         {10, 10, 10 + 10 * (1 - std::exp(-0.04))});
    SourceInfo unknown;
    CHECK(error_of([&] { made("background=seconds=1")->begin(unknown); }) == ErrorCode::invalid_argument);
}

TEST_CASE("temporal_filters: means and Gaussians of few frames") {
    CHECK(values_of(results_of("mean=3", plain_frames({3, 6, 0, 9}, CV_8U))) == std::vector<double>{4, 3, 5, 6});
    CHECK(values_of(results_of("mean=2", plain_frames({3, 6, 1}, CV_8U))) == std::vector<double>{3, 4, 4});
    CHECK(values_of(results_of("mean=7", plain_frames({7}, CV_16U))) == std::vector<double>{7});
    CHECK(values_of(results_of("mean=5", plain_frames({0, 10}, CV_16S))) == std::vector<double>{4, 6});
    const auto filled = values_of(results_of("mean=3:missing=fill", plain_frames({3, kNaN, 5, kNaN, kNaN, kNaN})));
    CHECK(std::vector<double>(filled.begin(), filled.begin() + 4) == std::vector<double>{3, 4, 5, 5});
    CHECK(std::isnan(filled[4]));
    CHECK(std::isnan(values_of(results_of("mean=3", plain_frames({3, kNaN, 5})))[1]));
    CHECK(values_of(results_of("background-mean=3:difference", plain_frames({3, 6, 0, 9}, CV_8U))) ==
          std::vector<double>{-1, 3, -5, 3});
    CHECK(values_of(results_of("background-mean=3", plain_frames({3, 6, 0, 9}, CV_8U))) ==
          std::vector<double>{1, 3, 5, 3});
    for (const double value : values_of(results_of("smooth=3:2", plain_frames({255, 255}, CV_8U)))) CHECK(value == 255);
    CHECK(values_of(results_of("smooth=0:0", plain_frames({1, 5, 2}, CV_8U))) == std::vector<double>{1, 5, 2});
    const auto smooth = values_of(results_of("smooth=1:0:missing=fill", plain_frames({4, kNaN, 4})));
    for (const double value : smooth) CHECK(value == doctest::Approx(4));
}

TEST_CASE("temporal_filters: rate chooses frames by their times") {
    std::vector<Frame> frames = plain_frames({0, 1, 2, 3, 4, 5});  // 0.04 s apart, from 1000 s on
    CHECK(indices_of(results_of("rate=25", frames)) == std::vector<int64_t>{0, 1, 2, 3, 4, 5});
    CHECK(indices_of(results_of("rate=12.5", frames)) == std::vector<int64_t>{0, 2, 4});
    CHECK(indices_of(results_of("rate=50", frames)) == std::vector<int64_t>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5});
    CHECK(indices_of(results_of("rate=50:previous", frames)) == std::vector<int64_t>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5});
    CHECK(indices_of(results_of("rate=1", frames)) == std::vector<int64_t>{0});
    // 0, 0.03, 0.06... against 0, 0.04, 0.08...
    CHECK(indices_of(results_of("rate=33.333333333", frames)) == std::vector<int64_t>{0, 1, 1, 2, 3, 4, 4});
    CHECK(indices_of(results_of("rate=33.333333333:previous", frames)) == std::vector<int64_t>{0, 0, 1, 2, 3, 3, 4});
    const std::vector<Frame> doubled = results_of("rate=50", frames);
    for (size_t i = 0; i < doubled.size(); ++i) {
        CHECK(doubled[i].time == doctest::Approx(1000 + 0.02 * static_cast<double>(i)).epsilon(1e-12));
        CHECK(doubled[i].number == 100 + 3 * doubled[i].index);
        CHECK(equal_pixels(doubled[i].image, frames[static_cast<size_t>(doubled[i].index)].image));
    }
    frames[3].time = 1000.5;
    frames[4].time = 1000.5;
    frames[5].time = 1000.6;
    CHECK(indices_of(results_of("rate=10", frames)) == std::vector<int64_t>{0, 2, 2, 3, 3, 3, 5});
    CHECK(indices_of(results_of("rate=10:previous", frames)) == std::vector<int64_t>{0, 2, 2, 2, 2, 4, 5});
    CHECK(indices_of(results_of("rate=10", {frames[2]})) == std::vector<int64_t>{2});
    CHECK(results_of("rate=10", {}).empty());

    frames[4].time = 1000.2;
    const Error back = expected_error([&] { results_of("rate=10", frames); });
    CHECK(back.code() == ErrorCode::invalid_argument);
    CHECK(back.place().frame_index == 4);
    frames[4].time = 1e12;
    CHECK(error_of([&] { results_of("rate=10", frames); }) == ErrorCode::invalid_argument);
    frames[4].time = kNaN;
    CHECK(expected_error([&] { results_of("rate=10", frames); }).place().frame_index == 4);
}

TEST_CASE("temporal_filters: rate without times goes by the frame rate") {
    std::vector<Frame> frames = plain_frames({0, 1, 2, 3});
    for (Frame& frame : frames) frame.time = kNaN;
    SourceInfo info;
    info.frame_count = 4;
    CHECK(error_of([&] { made("rate=10")->begin(info); }) == ErrorCode::invalid_argument);
    info.frame_rate = 20;
    const auto filter = made("rate=10");
    filter->begin(info);
    CHECK(info.frame_rate == 10);
    CHECK_FALSE(info.frame_count);
    const std::vector<Frame> results = pushed(*filter, frames);
    CHECK(indices_of(results) == std::vector<int64_t>{0, 2});
    CHECK(std::isnan(results[1].time));
}

TEST_CASE("temporal_filters: skip and hold") {
    const std::vector<Frame> frames = plain_frames({0, 1, 2, 3, 4});
    CHECK(indices_of(results_of("skip=2", frames)) == std::vector<int64_t>{0, 2, 4});
    CHECK(indices_of(results_of("skip=9", frames)) == std::vector<int64_t>{0});
    CHECK(indices_of(results_of("skip=1", frames)) == std::vector<int64_t>{0, 1, 2, 3, 4});
    const std::vector<Frame> held = results_of("hold=2", {frames[0], frames[1], frames[3]});
    CHECK(indices_of(held) == std::vector<int64_t>{0, 0, 1, 1, 3, 3});
    const std::vector<double> expected{0, 0.02, 0.04, 0.08, 0.12, 0.16};
    for (size_t i = 0; i < held.size(); ++i) CHECK(held[i].time == doctest::Approx(1000 + expected[i]).epsilon(1e-12));
    CHECK(times_of(results_of("hold=2", {frames[0]}))[1] == doctest::Approx(1000.02).epsilon(1e-12));
    CHECK(results_of("hold=2", {}).empty());
    // More frames than can be counted: their number is not known.
    SourceInfo endless;
    endless.frame_count = int64_t{1} << 40;
    made("hold=1000000000")->begin(endless);
    CHECK_FALSE(endless.frame_count);
    SourceInfo info = timed();
    info.frame_count = 11;
    made("hold=3")->begin(info);
    CHECK(info.frame_count == 33);
    CHECK(info.frame_rate == 75);
    made("skip=10")->begin(info);
    CHECK(info.frame_count == 4);
    CHECK(info.frame_rate == 7.5);
}

TEST_CASE("temporal_filters: single dark frames become brighter") {
    // Neither a second dark frame nor the last one counts.
    const std::vector<double> values{1000, 1000, 990, 1000, 1000, 990, 990, 1000, 990};
    std::vector<double> expected = values;
    expected[2] = std::round(990 * (1 + 14e-6 * 500));
    for (const char* reference : {"median", "previous"}) {
        const std::string text = fmt::format("evolve-jitter=500:reference={}", reference);
        CHECK(values_of(results_of(text, plain_frames(values, CV_16U))) == expected);
    }
    expected[2] = std::round(990 * (1 + 14e-6 * 25));
    CHECK(values_of(results_of("evolve-jitter", plain_frames(values, CV_16U))) == expected);
    CHECK(values_of(results_of("evolve-jitter=threshold=0.02", plain_frames(values, CV_16U))) == values);
}

TEST_CASE("temporal_filters: frames of another size or type are refused, by index") {
    for (const char* text : {"difference", "normalize-pixelwise", "normalize-sliding=3", "smooth", "mean=3",
                             "background-median", "background", "evolve-jitter=reference=previous"}) {
        CAPTURE(text);
        std::vector<Frame> frames = plain_frames({1, 2, 3, 4});
        frames[2].image = cv::Mat::zeros(3, 2, CV_32F);
        const Error size = expected_error([&] { results_of(text, frames); });
        CHECK(size.code() == ErrorCode::wrong_type);
        CHECK(size.place().frame_index == 2);
        frames[2].image = cv::Mat::zeros(2, 3, CV_8U);
        CHECK(expected_error([&] { results_of(text, frames); }).place().frame_index == 2);
        frames[0].image = cv::Mat::zeros(2, 3, CV_32S);
        const Error type = expected_error([&] { results_of(text, frames); });
        CHECK(type.code() == ErrorCode::wrong_type);
        CHECK(type.place().frame_index == 0);
    }
    const auto filter = made("normalize-pixelwise");
    CHECK(error_of([&] { pushed(*filter, plain_frames({1})); }) == ErrorCode::invalid_argument);
}

TEST_CASE("temporal_filters: images that are part of others") {
    const ImageType type{40, 50, 1, CV_32F};
    const cv::Rect part(3, 4, 20, 11);
    std::vector<Frame> cropped = random_frames(type, 7);
    std::vector<Frame> copied = cropped;
    for (size_t i = 0; i < cropped.size(); ++i) {
        cropped[i].image = cropped[i].image(part);
        copied[i].image = cropped[i].image.clone();
    }
    for (const std::string text : kOneForEach) {
        CAPTURE(text);
        const std::vector<Frame> results = results_of(text, cropped);
        const std::vector<Frame> expected = results_of(text, copied);
        for (size_t i = 0; i < results.size(); ++i) CHECK(equal_pixels(results[i].image, expected[i].image));
    }
}

TEST_CASE("temporal_filters: options that make no sense are refused") {
    for (const char* text : {"difference=0",
                             "difference=-1",
                             "difference=1:maybe",
                             "difference=type=int7",
                             "normalize-sliding",
                             "normalize-sliding=0",
                             "smooth=-1",
                             "smooth=nan",
                             "mean=0",
                             "mean=1:0",
                             "background=0",
                             "background=1.5",
                             "background=rate=0.1:seconds=3",
                             "background-mean=0",
                             "background-median=0",
                             "rate",
                             "rate=0",
                             "skip",
                             "skip=0",
                             "hold=0",
                             "evolve-jitter=-3",
                             "evolve-jitter=reference=mean"}) {
        CAPTURE(text);
        CHECK(error_of([&] { make_filters(text); }) == ErrorCode::invalid_argument);
    }
    CHECK(error_of([] { temporal_difference({.n = 0}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { smooth_spatiotemporal({.sigma_temporal = kNaN}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { mean_filter({.size_temporal = 0}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { normalize_pixelwise({kNaN, 1}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { subtract_background({.rate = 0}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([] { change_frame_rate(kNaN); }) == ErrorCode::invalid_argument);
}

}  // namespace reelstore
