#include "filters/overlay.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "filters/filtered_source.h"
#include "tests/image_equality.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Images, in any order or only forward.
class Images : public FrameSource, public RandomAccess {
public:
    explicit Images(std::vector<cv::Mat> images, bool knows_type = true) : images_(std::move(images)) {
        info_.name = "images";
        info_.frame_count = frame_count();
        if (knows_type) info_.image_type = ImageType::of(images_.front());
    }

    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override {
        if (next_ >= frame_count()) return std::nullopt;
        return at_index(next_++);
    }
    bool rewind() override {
        next_ = 0;
        return true;
    }
    RandomAccess* random_access() override { return this; }
    int64_t frame_count() const override { return static_cast<int64_t>(images_.size()); }
    Frame at_index(int64_t index) override {
        Frame frame;
        frame.image = images_.at(static_cast<size_t>(index));
        frame.index = index;
        frame.number = index + 100;
        return frame;
    }
    std::unique_ptr<RandomAccess> clone_access() override { return std::make_unique<Images>(images_); }

private:
    std::vector<cv::Mat> images_;
    SourceInfo info_;
    int64_t next_ = 0;
};

ComposedSource images(std::vector<cv::Mat> list, double offset = 0, bool knows_type = true) {
    return {std::make_unique<Images>(std::move(list), knows_type), offset, 1};
}

cv::Mat gray(int value, cv::Size size = {6, 4}) {
    return cv::Mat(size, CV_8U, cv::Scalar(value));
}

cv::Mat random_image(int type, int seed, cv::Size size = {23, 9}) {
    cv::RNG random(static_cast<uint64_t>(seed));
    cv::Mat image(size, type);
    random.fill(image, cv::RNG::UNIFORM, 0, CV_MAT_DEPTH(type) == CV_8U ? 256 : 1);
    return image;
}

cv::Mat shown(ComposedSource base, ComposedSource top, const OverlayOptions& options,
              std::optional<ComposedSource> alpha = {}) {
    return overlay(std::move(base), std::move(top), options, {}, std::move(alpha))->next()->image;
}

ErrorCode code_of(const std::function<void()>& action) {
    return expected_error(action).code();
}

/// What a filter makes of one image.
cv::Mat filtered(std::unique_ptr<Filter> filter, const cv::Mat& image) {
    std::unique_ptr<FrameSource> source = std::make_unique<Images>(std::vector{image});
    return (std::move(source) | std::move(filter))->next()->image;
}

cv::Mat channel(const cv::Mat& image, int place) {
    cv::Mat plane;
    cv::extractChannel(image, plane, place);
    return plane;
}

}  // namespace

TEST_CASE("overlay: smoothstep of the orders that are known by name") {
    for (double x = -0.5; x <= 1.5; x += 0.01) {
        const double t = std::clamp(x, 0.0, 1.0);
        CAPTURE(x);
        CHECK(smoothstep(x, 0, 1, 0) == doctest::Approx(t));
        CHECK(smoothstep(x, 0, 1, 1) == doctest::Approx(t * t * (3 - 2 * t)));
        CHECK(smoothstep(x, 0, 1) == doctest::Approx(t * t * t * (t * (t * 6 - 15) + 10)));
        CHECK(smoothstep(x, 0, 1, 3) == doctest::Approx(std::pow(t, 4) * (35 - 84 * t + 70 * t * t - 20 * t * t * t)));
        for (int order = 0; order <= kMostSmoothOrder; ++order) {
            CHECK(smoothstep(x, 0, 1, order) == doctest::Approx(1 - smoothstep(1 - x, 0, 1, order)).epsilon(1e-9));
            CHECK(smoothstep(10 + 4 * x, 10, 14, order) == doctest::Approx(smoothstep(x, 0, 1, order)).epsilon(1e-9));
            CHECK(smoothstep(x, 1, 0, order) == doctest::Approx(1 - smoothstep(x, 0, 1, order)).epsilon(1e-9));
        }
    }
    CHECK(smoothstep(kNan, 0, 1) == 0);
    CHECK(smoothstep(std::numeric_limits<double>::infinity(), 0, 1) == 1);
    CHECK(code_of([] { smoothstep(1, 2, 2); }) == ErrorCode::invalid_argument);
    CHECK(code_of([] { smoothstep(1, 0, kNan); }) == ErrorCode::invalid_argument);
    CHECK(code_of([] { smoothstep(1, 0, 1, kMostSmoothOrder + 1); }) == ErrorCode::invalid_argument);
    CHECK(code_of([] { smoothstep(1, 0, 1, -1); }) == ErrorCode::invalid_argument);
}

TEST_CASE("overlay: one opacity for all, every mode by its name") {
    const cv::Mat base = random_image(CV_8UC3, 1);
    const cv::Mat top = random_image(CV_8UC3, 2);
    cv::Mat expected;
    cv::addWeighted(base, 0.75, top, 0.25, 0, expected);
    CHECK(equal_pixels(shown(images({base}), images({top}), {.opacity = 0.25}), expected));
    for (const std::string& name : blend_mode_names()) {
        const BlendMode mode = blend_mode_of(name);
        CHECK(equal_pixels(shown(images({base}), images({top}), {.mode = mode, .opacity = 0.25}),
                           blend(base, top, {mode, 0.25})));
    }
}

TEST_CASE("overlay: alpha from a mask, a channel and a third recording multiply") {
    const cv::Mat base = gray(100);
    const cv::Mat top(4, 6, CV_8UC4, cv::Scalar(200, 200, 200, 51));  // 0.2
    const cv::Mat mask(4, 6, CV_16U, cv::Scalar(32768));              // 0.5
    const cv::Mat third(4, 6, CV_32F, cv::Scalar(0.5));
    OverlayOptions options;
    CHECK(shown(images({base}), images({top}), options).at<cv::Vec3b>(1, 1) == cv::Vec3b(120, 120, 120));
    options.mask = mask;
    CHECK(shown(images({base}), images({top}), options).at<cv::Vec3b>(1, 1) == cv::Vec3b(110, 110, 110));
    CHECK(shown(images({base}), images({top}), options, images({third})).at<cv::Vec3b>(1, 1) ==
          cv::Vec3b(105, 105, 105));
    const cv::Mat colored(4, 6, CV_16UC3, cv::Scalar(32768, 32768, 32768));
    CHECK(shown(images({base}), images({top}), options, images({colored})).at<cv::Vec3b>(1, 1) ==
          cv::Vec3b(105, 105, 105));
    options.opacity = 0.5;
    options.mask.release();
    CHECK(shown(images({base}), images({top}), options, images({third})).at<cv::Vec3b>(1, 1) ==
          cv::Vec3b(105, 105, 105));
    cv::Mat hole = third.clone();
    hole.at<float>(1, 1) = kNan;
    CHECK(shown(images({base}), images({top}), options, images({hole})).at<cv::Vec3b>(1, 1) ==
          cv::Vec3b(100, 100, 100));
}

TEST_CASE("overlay: the third recording changes from frame to frame, and so does NaN in the top") {
    cv::Mat holes(4, 6, CV_32F, cv::Scalar(1));
    holes.at<float>(2, 3) = kNan;
    const auto source = overlay(images({gray(10), gray(20), gray(30)}), images({holes, holes, holes}), {}, {},
                                images({gray(0), gray(255), gray(51)}));
    RandomAccess* const access = source->random_access();
    REQUIRE(access);
    const std::vector<int> expected = {10, 255, 75};
    for (const int index : {2, 0, 1}) {
        const Frame frame = access->at_index(index);
        CHECK(frame.number == index + 100);
        CHECK(frame.image.at<uint8_t>(0, 0) == expected[static_cast<size_t>(index)]);
        CHECK(frame.image.at<uint8_t>(2, 3) == 10 * (index + 1));
    }
}

TEST_CASE("overlay: without a frame of the top the base is shown, in the same type") {
    const std::vector<cv::Mat> tops = {cv::Mat(4, 6, CV_8UC3, cv::Scalar(1, 2, 3))};
    const auto source =
        overlay(images({gray(10), gray(20), gray(30)}), images(tops, 1), {}, {.missing = MissingFrame::blank});
    CHECK(source->info().image_type == ImageType{4, 6, 3, CV_8U});
    for (int index = 0; index < 3; ++index) {
        const cv::Mat image = source->next()->image;
        REQUIRE(image.type() == CV_8UC3);
        const auto value = static_cast<uint8_t>(10 * (index + 1));
        CHECK(image.at<cv::Vec3b>(3, 5) == (index == 1 ? cv::Vec3b(1, 2, 3) : cv::Vec3b(value, value, value)));
    }
    // Gray over gray stays gray.
    CHECK(shown(images({gray(9)}), images({gray(99)}), {}).type() == CV_8U);
}

TEST_CASE("overlay: a top of another size is fitted or placed") {
    const cv::Mat base = random_image(CV_8UC3, 1, {20, 12});
    const cv::Mat top = random_image(CV_8UC3, 2, {40, 24});
    cv::Mat halved;
    cv::resize(top, halved, base.size(), 0, 0, cv::INTER_AREA);
    CHECK(equal_pixels(shown(images({base}), images({top}), {.fit = true}), halved));
    CHECK(equal_pixels(shown(images({base}), images({top}), {.scale = 0.5}), halved));
    struct Place {
        cv::Point at;
        cv::Rect part;  ///< of the base that is covered
    };
    for (const Place& place : {Place{{3, 2}, {3, 2, 7, 5}}, Place{{-4, 9}, {0, 9, 3, 3}},
                               Place{{17, -1}, {17, 0, 3, 4}}, Place{{20, 0}, {}}, Place{{0, -5}, {}}}) {
        const cv::Mat small = random_image(CV_8UC3, 3, {7, 5});
        cv::Mat expected = base.clone();
        if (!place.part.empty())
            small(cv::Rect(place.part.tl() - place.at, place.part.size())).copyTo(expected(place.part));
        const cv::Mat before = base.clone();
        CHECK(equal_pixels(shown(images({base}), images({small}), {.position = place.at}), expected));
        CHECK(equal_pixels(base, before));
    }
    // Gray below colour becomes colour, and the mask is placed along.
    OverlayOptions options{.mask = cv::Mat(5, 7, CV_8U, cv::Scalar(0)), .position = cv::Point(1, 1)};
    options.mask.at<uint8_t>(2, 2) = 255;
    const cv::Mat marked = shown(images({gray(7)}), images({cv::Mat(5, 7, CV_8UC3, cv::Scalar(1, 2, 3))}), options);
    cv::Mat expected(4, 6, CV_8UC3, cv::Scalar(7, 7, 7));
    expected.at<cv::Vec3b>(3, 3) = {1, 2, 3};
    CHECK(equal_pixels(marked, expected));
    // A mask may have the size before or behind scaling.
    for (const cv::Size size : {cv::Size(40, 24), cv::Size(20, 12)}) {
        const OverlayOptions masked{.mask = cv::Mat(size, CV_8U, cv::Scalar(255)), .fit = true};
        CHECK(equal_pixels(shown(images({base}), images({top}), masked), halved));
    }
}

TEST_CASE("overlay: what cannot be") {
    const auto lay = [](const OverlayOptions& options, const cv::Mat& top, std::optional<ComposedSource> alpha = {}) {
        return code_of([&] { overlay(images({gray(1)}), images({top}), options, {}, std::move(alpha)); });
    };
    CHECK(lay({}, gray(2, {4, 6})) == ErrorCode::wrong_type);
    CHECK(lay({}, cv::Mat(4, 6, CV_16S)) == ErrorCode::wrong_type);
    CHECK(lay({.mask = gray(1, {4, 6})}, gray(2)) == ErrorCode::wrong_type);
    CHECK(lay({.mask = cv::Mat(4, 6, CV_8UC2)}, gray(2)) == ErrorCode::wrong_type);
    CHECK(lay({.mask = cv::Mat(4, 6, CV_64F)}, gray(2)) == ErrorCode::wrong_type);
    CHECK(lay({}, gray(2), images({gray(1, {3, 3})})) == ErrorCode::wrong_type);
    CHECK(lay({.opacity = 1.5}, gray(2)) == ErrorCode::invalid_argument);
    CHECK(lay({.scale = 0}, gray(2)) == ErrorCode::invalid_argument);
    CHECK(lay({.fit = true, .scale = 2}, gray(2)) == ErrorCode::invalid_argument);
    CHECK(lay({.fit = true, .position = cv::Point(1, 1)}, gray(2)) == ErrorCode::invalid_argument);
    const auto later = overlay(images({gray(1)}), images({gray(2, {4, 6})}, 0, false), {});
    CHECK(code_of([&] { later->next(); }) == ErrorCode::wrong_type);
    CHECK(lay({.scale = 1000, .position = cv::Point(1, 1)}, gray(2, {100, 100})) == ErrorCode::invalid_argument);
}

TEST_CASE("with_alpha: values of every type become alpha, what is shown keeps its own type") {
    for (const int depth : {CV_8U, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F}) {
        cv::Mat values(1, 5, depth);
        for (int i = 0; i < 5; ++i) values.col(i).setTo(cv::Scalar(20 * i));
        const auto paint = [] {
            return image_filter(
                [](const cv::Mat& image) { return cv::Mat(image.size(), CV_8UC3, cv::Scalar(1, 2, 3)); });
        };
        const cv::Mat result = filtered(with_alpha(AlphaRamp{20, 60, 0}, paint()), values);
        REQUIRE(result.type() == CV_8UC4);
        for (int i = 0; i < 5; ++i) {
            const int alpha = i < 2 ? 0 : i == 2 ? 128 : 255;
            CHECK(result.at<cv::Vec4b>(0, i) == cv::Vec4b(1, 2, 3, static_cast<uint8_t>(alpha)));
        }
        const cv::Mat opaque = filtered(with_alpha({}, paint()), values);
        CHECK(cv::countNonZero(channel(opaque, 3) == 255) == 5);
    }
}

TEST_CASE("with_alpha: NaN is transparent, images without a paint stay, an alpha they have is a factor") {
    cv::Mat values(3, 4, CV_32F, cv::Scalar(0.5));
    values.at<float>(1, 2) = kNan;
    cv::Mat result = filtered(with_alpha({}), values);
    REQUIRE(result.type() == CV_32FC4);
    CHECK(result.at<cv::Vec4f>(0, 0) == cv::Vec4f(0.5F, 0.5F, 0.5F, 1));
    CHECK(result.at<cv::Vec4f>(1, 2)[3] == 0);
    result = filtered(with_alpha(AlphaRamp{0, 1, 0}), values);
    CHECK(result.at<cv::Vec4f>(0, 0)[3] == 0.5F);
    CHECK(result.at<cv::Vec4f>(1, 2)[3] == 0);
    // Of colour the gray value counts.
    const cv::Mat color = random_image(CV_8UC4, 5);
    cv::Mat luma;
    cv::cvtColor(color, luma, cv::COLOR_BGRA2GRAY);
    result = filtered(with_alpha(AlphaRamp{0, 255, 0}), color);
    for (int row = 0; row < color.rows; ++row) {
        for (int column = 0; column < color.cols; ++column) {
            const cv::Vec4b from = color.at<cv::Vec4b>(row, column);
            const cv::Vec4b to = result.at<cv::Vec4b>(row, column);
            const double alpha = luma.at<uint8_t>(row, column) / 255.0 * from[3];
            if (to[0] != from[0] || to[2] != from[2] || std::abs(to[3] - alpha) > 0.51) CHECK(to == from);
        }
    }
}

TEST_CASE("with_alpha: passes on what the filter within has to learn") {
    /// The sum of all images, of a first pass.
    class Learning : public Filter {
    public:
        void begin(SourceInfo& info) override { REQUIRE(info.frame_count == 3); }
        void push(Frame frame, const Receiver& receiver) override {
            receiver(with_image(frame, cv::Mat(frame.image.size(), CV_8U, cv::Scalar(*sum_))));
        }
        bool each_by_itself() const override { return true; }
        bool needs_first_pass() const override { return true; }
        void first_pass(const Frame& frame) override { *sum_ += frame.image.at<uint8_t>(0, 0); }
        std::unique_ptr<Filter> fresh() const override { return std::make_unique<Learning>(*this); }

    private:
        std::shared_ptr<int> sum_ = std::make_shared<int>(0);
    };
    std::unique_ptr<FrameSource> source = std::make_unique<Images>(std::vector{gray(1), gray(20), gray(100)});
    source = std::move(source) | with_alpha(AlphaRamp{0, 20, 0}, std::make_unique<Learning>());
    CHECK(source->info().image_type.channels == 4);
    CHECK(source->random_access()->at_index(1).image.at<cv::Vec4b>(2, 2) == cv::Vec4b(121, 121, 121, 255));
    CHECK(source->random_access()->at_index(0).image.at<cv::Vec4b>(2, 2) == cv::Vec4b(121, 121, 121, 13));

    /// Does nothing, but not to each image by itself.
    class Held : public Filter {
    public:
        void push(Frame frame, const Receiver& receiver) override { receiver(std::move(frame)); }
    };
    CHECK(code_of([] { with_alpha({}, std::make_unique<Held>()); }) == ErrorCode::invalid_argument);
    CHECK(code_of([] { with_alpha(AlphaRamp{3, 3}); }) == ErrorCode::invalid_argument);
    CHECK(code_of([] {
              filtered(with_alpha({}, image_filter([](const cv::Mat& image) { return image(cv::Rect(0, 0, 1, 1)); })),
                       gray(1));
          }) == ErrorCode::wrong_type);
    CHECK(code_of([] { filtered(with_alpha({}), cv::Mat(4, 6, CV_64F)); }) == ErrorCode::wrong_type);
    CHECK(code_of([] { filtered(with_alpha({}), cv::Mat(4, 6, CV_16SC3)); }) == ErrorCode::wrong_type);
}

}  // namespace reelstore
