#include "filters/filtered_source.h"

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/numbered_frames.h"
#include "base/parallel_reader.h"
#include "filters/geometry.h"
#include "tests/codecs/image_equality.h"

namespace reelstore {

namespace {

const ImageType kType{20, 32, 1, CV_8U};

/// Numbered frames, with a record of extra data for every third one.
class NumberedFrames : public FrameSource, public RandomAccess {
public:
    explicit NumberedFrames(int count) : count_(count) {
        info_.image_type = kType;
        info_.frame_count = count;
    }
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override {
        if (next_ >= count_) return std::nullopt;
        return at_index(next_++);
    }
    RandomAccess* random_access() override { return this; }
    int64_t frame_count() const override { return count_; }
    Frame at_index(int64_t index) override {
        if (index < 0 || index >= count_) throw Error(ErrorCode::invalid_argument, "no such frame");
        Frame frame;
        frame.image = make_numbered_image(kType, int(index));
        frame.index = index;
        frame.number = index * 2;
        return frame;
    }
    FrameStamp stamp(int64_t index) override { return {.number = index * 2}; }
    std::vector<Json> extra_data_of(int64_t index) override {
        return index % 3 == 0 ? std::vector<Json>{{{"value", index}}} : std::vector<Json>{};
    }
    std::vector<Json> extra_data() override { return extra_data_of(next_ - 1); }
    std::unique_ptr<RandomAccess> clone_access() override { return std::make_unique<NumberedFrames>(int(count_)); }

private:
    SourceInfo info_;
    int64_t count_;
    int64_t next_ = 0;
};

/// Gives every second frame, when the one behind it has come.
class Halving : public Filter {
public:
    void push(Frame frame, const Receiver& receiver) override {
        if (std::exchange(second_, !second_)) receiver(std::move(frame));
    }
    void finish(const Receiver& receiver) override {
        if (second_) receiver({});
    }

private:
    bool second_ = false;
};

std::unique_ptr<FrameSource> numbered(int count) {
    return std::make_unique<NumberedFrames>(count);
}

}  // namespace

TEST_CASE("filtered_source: filters of single frames leave frames in any order") {
    const cv::Rect part(4, 2, 16, 12);
    const auto source = numbered(30) | crop(part) | flip(Flip::vertical) | flip(Flip::vertical);
    CHECK(source->info().image_type == ImageType{12, 16, 1, CV_8U});
    CHECK(source->info().frame_count == 30);
    RandomAccess* const access = source->random_access();
    REQUIRE(access);
    const auto check = [&](const Frame& frame, int64_t index) {
        CHECK(frame.index == index);
        CHECK(frame.number == index * 2);
        CHECK(equal_pixels(frame.image, make_numbered_image(kType, int(index))(part)));
    };
    for (const int64_t index : {17, 3, 29, 0}) check(access->at_index(index), index);
    const std::vector<int64_t> order{9, 1, 28, 9};
    const std::vector<Frame> batch = read_frames(*access, order, 2);
    for (size_t i = 0; i < order.size(); ++i) check(batch[i], order[i]);
    for (int64_t index = 0; index < 30; ++index) {
        check(*source->next(), index);
        CHECK(source->extra_data().size() == (index % 3 == 0 ? 1 : 0));
        CHECK(access->extra_data_of(index).size() == (index % 3 == 0 ? 1 : 0));
    }
    CHECK_FALSE(source->next());
    CHECK_THROWS_AS(access->at_index(30), Error);
}

TEST_CASE("filtered_source: a function is a filter") {
    const auto source = numbered(3) | image_filter([](const cv::Mat& image) { return cv::Mat(255 - image); }) |
                        frame_filter([](Frame frame) {
                            frame.number += 100;
                            return frame;
                        });
    const Frame frame = source->random_access()->at_index(2);
    CHECK(frame.number == 104);
    CHECK(equal_pixels(frame.image, cv::Mat(255 - make_numbered_image(kType, 2))));
}

TEST_CASE("filtered_source: behind other filters frames come forward, with the extra data of those left out") {
    const auto source = numbered(5) | std::make_unique<Halving>();
    CHECK_FALSE(source->random_access());
    CHECK_FALSE(source->info().frame_count);
    CHECK(source->next()->number == 2);
    CHECK(source->extra_data() == std::vector<Json>{{{"value", 0}}});
    CHECK(source->next()->number == 6);
    CHECK(source->extra_data() == std::vector<Json>{{{"value", 3}}});
    CHECK(source->next()->image.empty());
    CHECK_FALSE(source->next());
    CHECK_FALSE(source->next());
}

TEST_CASE("filtered_source: a source without frames") {
    const auto source = numbered(0) | crop(cv::Rect(0, 0, 1, 1));
    CHECK_FALSE(source->next());
    CHECK(source->info().image_type.empty());
}

}  // namespace reelstore
