#include "filters/filtered_source.h"

#include <atomic>
#include <deque>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/numbered_frames.h"
#include "base/parallel_reader.h"
#include "base/pipeline.h"
#include "filters/filter_table.h"
#include "filters/geometry.h"
#include "tests/image_equality.h"

namespace reelstore {

namespace {

const ImageType kType{20, 32, 1, CV_8U};

/// Numbered frames, with a record of extra data for every third one.
class NumberedFrames : public FrameSource, public RandomAccess {
public:
    explicit NumberedFrames(int count) : count_(count) {
        info_.image_type = kType;
        info_.frame_count = count;
        info_.frame_rate = 10;
    }
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override {
        if (next_ >= count_) return std::nullopt;
        return at_index(next_++);
    }
    bool rewind() override {
        next_ = 0;
        return true;
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

/// The number in the first pixel becomes the sum of the indices of the frames within the window.
class IndexSum : public Filter {
public:
    IndexSum(int64_t before, int64_t after) : before_(before), after_(after) {}
    void begin(SourceInfo& info) override { info.image_type = ImageType{1, 1, 1, CV_32S}; }
    void push(Frame frame, const Receiver& receiver) override {
        ++pushed;
        window_.push_back(std::move(frame));
        if (int64_t(window_.size()) - place_ > after_) give(receiver);
    }
    void finish(const Receiver& receiver) override {
        while (place_ < int64_t(window_.size())) give(receiver);
    }
    std::optional<FilterReach> reach() const override { return FilterReach{before_, after_}; }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<IndexSum>(before_, after_); }

    static inline std::atomic<int64_t> pushed = 0;

private:
    void give(const Receiver& receiver) {
        int sum = 0;
        for (const Frame& frame : window_) sum += int(frame.index);
        Frame frame = window_[size_t(place_)];
        receiver(with_image(std::move(frame), cv::Mat(1, 1, CV_32S, cv::Scalar(sum))));
        if (place_ == before_) {
            window_.pop_front();
        } else {
            ++place_;
        }
    }

    int64_t before_;
    int64_t after_;
    std::deque<Frame> window_;
    int64_t place_ = 0;  ///< in the window, of the frame that is given next
};

/// Adds the sum of all frames' numbers, which it sees first.
class AddTotal : public Filter {
public:
    explicit AddTotal(std::shared_ptr<std::atomic<int>> passes) : passes_(std::move(passes)) {}
    bool each_by_itself() const override { return true; }
    bool needs_first_pass() const override { return true; }
    void first_pass(const Frame& frame) override { total_ += frame.number; }
    void end_first_pass() override { ++*passes_; }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<AddTotal>(*this); }
    void push(Frame frame, const Receiver& receiver) override {
        frame.number += total_;
        receiver(std::move(frame));
    }

private:
    std::shared_ptr<std::atomic<int>> passes_;
    int64_t total_ = 0;
};

/// One of its frames cannot be read; counts what is asked for.
class DamagedFrames : public NumberedFrames {
public:
    DamagedFrames(int count, int64_t damaged) : NumberedFrames(count), damaged_(damaged) {}
    Frame at_index(int64_t index) override {
        ++asked;
        if (index == damaged_) throw Error(ErrorCode::corrupt, "is damaged");
        return NumberedFrames::at_index(index);
    }

    int asked = 0;

private:
    int64_t damaged_;
};

/// Does not like the fourth of the frames that it has to see first.
class Disliking : public Filter {
public:
    bool each_by_itself() const override { return true; }
    bool needs_first_pass() const override { return true; }
    void first_pass(const Frame&) override {
        if (++seen == 4) throw Error(ErrorCode::wrong_type, "nothing for me");
    }
    void push(Frame frame, const Receiver& receiver) override { receiver(std::move(frame)); }

    static inline std::atomic<int> seen = 0;
};

/// The places of frames and their records, as they are written.
class RecordsSink : public FrameSink {
public:
    void write(const Frame& frame) override { indices.push_back(frame.index); }
    void write_extra_data(const Json& record) override { records.emplace_back(indices.size() - 1, record["value"]); }
    void close() override {}

    std::vector<int64_t> indices;
    std::vector<std::pair<size_t, int64_t>> records;
};

/// Only forward, as a camera or a pipe is.
class Forward : public FrameSource {
public:
    explicit Forward(int count) : frames_(count) {}
    const SourceInfo& info() const override { return frames_.info(); }
    std::optional<Frame> next() override { return frames_.next(); }
    std::vector<Json> extra_data() override { return frames_.extra_data(); }

private:
    NumberedFrames frames_;
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

TEST_CASE("filtered_source: behind other filters frames come forward, extra data with its frame") {
    const auto source = numbered(5) | std::make_unique<Halving>();
    CHECK_FALSE(source->random_access());
    CHECK_FALSE(source->info().frame_count);
    CHECK(source->next()->number == 2);
    CHECK(source->extra_data().empty());
    CHECK(source->next()->number == 6);
    CHECK(source->extra_data() == std::vector<Json>{{{"value", 3}}});
    CHECK(source->next()->image.empty());
    CHECK_FALSE(source->next());
    CHECK_FALSE(source->next());
}

TEST_CASE("filtered_source: behind a window frames in any order are those that come in order") {
    constexpr int kCount = 60;
    const auto sum_at = [](int64_t index, int64_t before, int64_t after) {
        int sum = 0;
        for (int64_t i = before > index ? 0 : index - before; i <= std::min<int64_t>(kCount - 1, index + after); ++i)
            sum += int(i);
        return sum;
    };
    const std::vector<std::pair<int64_t, int64_t>> windows{{0, 0},    {3, 0}, {0, 2}, {5, 4}, {FilterReach::kAll, 0},
                                                           {100, 100}};
    for (const auto& [before, after] : windows) {
        CAPTURE(before);
        CAPTURE(after);
        const auto source = numbered(kCount) | std::make_unique<IndexSum>(before, after);
        CHECK(source->info().image_type == ImageType{1, 1, 1, CV_32S});
        CHECK(source->info().frame_count == kCount);
        RandomAccess* const access = source->random_access();
        REQUIRE(access);
        const auto check = [&, before = before, after = after](const Frame& frame, int64_t index) {
            CHECK(frame.index == index);
            CHECK(frame.number == index * 2);
            CHECK(frame.image.at<int>(0, 0) == sum_at(index, before, after));
        };
        for (const int64_t index : {59, 0, 17, 18, 20, 19, 19, 58, 59, 5, 30}) check(access->at_index(index), index);
        std::vector<int64_t> order;
        for (int64_t i = 0; i < kCount; ++i) order.push_back(i * 37 % kCount);
        const std::vector<Frame> batch = read_frames(*access, order, 3);
        for (size_t i = 0; i < order.size(); ++i) check(batch[i], order[i]);
        for (int64_t index = 0; index < kCount; ++index) {
            check(*source->next(), index);
            CHECK(source->extra_data().size() == (index % 3 == 0 ? 1 : 0));
        }
        CHECK_FALSE(source->next());
        ReadAhead ahead(*access, [next = int64_t{0}]() mutable -> std::optional<int64_t> {
            return next < kCount ? std::optional(next++) : std::nullopt;
        });
        for (int64_t index = 0; index < kCount; ++index) check(*ahead.next(), index);
    }
}

TEST_CASE("filtered_source: going on behind a window takes one frame for each") {
    const auto source = numbered(1000) | std::make_unique<IndexSum>(20, 10);
    RandomAccess* const access = source->random_access();
    IndexSum::pushed = 0;
    access->at_index(500);
    CHECK(IndexSum::pushed == 31);
    for (int64_t index = 501; index < 600; ++index) access->at_index(index);
    CHECK(IndexSum::pushed == 31 + 99);
    access->at_index(605);
    CHECK(IndexSum::pushed == 31 + 105);
    access->at_index(605);
    CHECK(IndexSum::pushed == 31 + 105);
    access->at_index(100);
    CHECK(IndexSum::pushed == 31 + 105 + 31);
}

TEST_CASE("filtered_source: windows stand behind windows") {
    const auto source = numbered(40) | std::make_unique<IndexSum>(2, 1) | std::make_unique<IndexSum>(1, 3);
    std::vector<int> forward;
    while (const auto frame = source->next()) forward.push_back(frame->image.at<int>(0, 0));
    REQUIRE(forward.size() == 40);
    for (const int64_t index : {39, 3, 17, 0, 38})
        CHECK(source->random_access()->at_index(index).image.at<int>(0, 0) == forward[size_t(index)]);
}

TEST_CASE("filtered_source: what has to see all frames first does so once, for all readers") {
    const auto passes = std::make_shared<std::atomic<int>>(0);
    auto source = numbered(30) | std::make_unique<AddTotal>(passes);
    CHECK(*passes == 0);
    const std::vector<int64_t> order{9, 1, 28, 9, 14, 3};
    const std::vector<Frame> batch = read_frames(*source->random_access(), order, 2);
    for (size_t i = 0; i < order.size(); ++i) CHECK(batch[i].number == order[i] * 2 + 29 * 30);
    CHECK(source->next()->number == 29 * 30);
    CHECK(*passes == 1);
    auto once = std::unique_ptr<FrameSource>(std::make_unique<Forward>(5)) | std::make_unique<AddTotal>(passes);
    CHECK_FALSE(once->random_access());
    CHECK_THROWS_WITH_AS(once->next(), doctest::Contains("come only once"), Error);
}

TEST_CASE("filtered_source: a first pass is not made before a frame is asked for, behind other filters neither") {
    const auto passes = std::make_shared<std::atomic<int>>(0);
    auto source = numbered(30) | std::make_unique<AddTotal>(passes) |
                  image_filter([](const cv::Mat& image) { return image; }) | std::move(make_filters("mean=3").front());
    CHECK(source->info().image_type.empty());
    CHECK(*passes == 0);
    CHECK(source->random_access()->at_index(7).number == 7 * 2 + 29 * 30);
    CHECK(*passes == 1);
}

TEST_CASE("filtered_source: a first pass that failed is not made again, which would count frames twice") {
    const auto source = numbered(10) | std::make_unique<Disliking>();
    for (int round = 0; round < 2; ++round)
        CHECK_THROWS_WITH_AS(source->random_access()->at_index(5), doctest::Contains("nothing for me"), Error);
    CHECK_THROWS_WITH_AS(source->next(), doctest::Contains("nothing for me"), Error);
    CHECK(Disliking::seen == 4);
}

TEST_CASE("filtered_source: behind a damaged frame, those before it are not read again and again") {
    constexpr int kCount = 60;
    for (const int64_t before : {int64_t{3}, FilterReach::kAll}) {
        CAPTURE(before);
        auto frames = std::make_unique<DamagedFrames>(kCount, 40);
        DamagedFrames& damaged = *frames;
        const auto source = std::unique_ptr<FrameSource>(std::move(frames)) | std::make_unique<IndexSum>(before, 0);
        RandomAccess* const access = source->random_access();
        int readable = 0;
        for (int64_t index = 0; index < kCount; ++index) {
            try {
                const Frame frame = access->at_index(index);
                ++readable;
                CHECK(frame.index == index);
                const int64_t first = before > index ? 0 : index - before;
                CHECK(frame.image.at<int>(0, 0) == (first + index) * (index - first + 1) / 2);
            } catch (const Error& error) {
                CHECK(error.code() == ErrorCode::corrupt);
                CHECK(index >= 40);
            }
        }
        CHECK(readable == (before == 3 ? kCount - 4 : 40));
        CHECK(damaged.asked < kCount + 10);
        CHECK(access->at_index(39).index == 39);
        CHECK_THROWS_AS(access->at_index(41), Error);
        CHECK(access->at_index(38).index == 38);
    }
}

TEST_CASE("filtered_source: a window may be said to reach as far as numbers go") {
    const int64_t far = FilterReach::kAll / 2;
    const auto source = numbered(60) | std::make_unique<IndexSum>(far, far);
    CHECK(source->random_access()->entry_of(59) == 0);
    CHECK(source->random_access()->at_index(59).image.at<int>(0, 0) == 59 * 30);
}

TEST_CASE("filtered_source: through temporal filters extra data comes once, with its frame") {
    constexpr int kCount = 14;
    for (const char* list :
         {"skip=2", "hold=3", "rate=25", "rate=4", "difference=2", "difference=3:center=yes", "normalize-pixelwise",
          "normalize-sliding=5", "smooth", "mean=4", "background", "background-mean=5", "background-median",
          "evolve-jitter", "hold=2,skip=5", "rate=25,mean=3", "hold=2,mean=3,invert"}) {
        CAPTURE(list);
        // Three ways: filters of a pipeline, of its source, and of a source that comes frame by frame.
        NumberedFrames plain(kCount);
        RecordsSink piped;
        run_pipeline(plain, make_filters(list), piped, {.keep_numbers = true});
        auto filtered = numbered(kCount);
        for (auto& filter : make_filters(list)) filtered = std::move(filtered) | std::move(filter);
        RecordsSink read;
        run_pipeline(*filtered, {}, read, {.keep_numbers = true});
        auto stepped = numbered(kCount);
        for (auto& filter : make_filters(list)) stepped = std::move(stepped) | std::move(filter);
        RecordsSink told;
        while (const std::optional<Frame> frame = stepped->next()) {
            told.write(*frame);
            for (const Json& record : stepped->extra_data()) told.write_extra_data(record);
        }
        std::vector<std::pair<size_t, int64_t>> expected;
        for (size_t i = 0; i < piped.indices.size(); ++i) {
            const int64_t index = piped.indices[i];
            if (index % 3 == 0 && (i == 0 || piped.indices[i - 1] != index)) expected.emplace_back(i, index);
        }
        CHECK(expected.size() >= 2);
        for (const RecordsSink* sink : {&piped, &read, &told}) {
            CHECK(sink->indices == piped.indices);
            CHECK(sink->records == expected);
        }
    }
}

TEST_CASE("filtered_source: a source without frames") {
    const auto source = numbered(0) | crop(cv::Rect(0, 0, 1, 1));
    CHECK_FALSE(source->next());
    CHECK(source->info().image_type == ImageType{1, 1, 1, CV_8U});
    const auto unknown = numbered(0) | image_filter([](const cv::Mat& image) { return image; });
    CHECK_FALSE(unknown->next());
    CHECK(unknown->info().image_type.empty());
}

}  // namespace reelstore
