#include "store/filtered_recording.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <fstream>
#include <numeric>
#include <random>
#include <thread>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/parallel_reader.h"
#include "filters/geometry.h"
#include "store/open_source.h"
#include "tests/image_equality.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace fs = std::filesystem;

namespace {

constexpr int kFrames = 40;
constexpr int64_t kFirstNumber = 500;

std::unique_ptr<Filter> negative() {
    return image_filter([](const cv::Mat& image) { return cv::Mat(255 - image); });
}

/// The sum of the frames from `before` before to `after` behind, of those there are; `before` may be kAll.
class Sum : public Filter {
public:
    explicit Sum(FilterReach reach) : reach_(reach) {}

    void push(Frame frame, const Receiver& receiver) override {
        window_.push_back(std::move(frame));
        if (static_cast<int64_t>(window_.size()) > waiting_ + reach_.after) give(receiver);
    }
    void finish(const Receiver& receiver) override {
        while (waiting_ < static_cast<int64_t>(window_.size())) give(receiver);
    }
    std::optional<FilterReach> reach() const override { return reach_; }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<Sum>(reach_); }

private:
    void give(const Receiver& receiver) {
        const int64_t last = std::min(waiting_ + reach_.after, static_cast<int64_t>(window_.size()) - 1);
        cv::Mat sum = cv::Mat::zeros(window_.front().image.size(), CV_32S);
        for (int64_t i = 0; i <= last; ++i) cv::add(sum, window_[size_t(i)].image, sum, {}, CV_32S);
        receiver(with_image(window_[size_t(waiting_)], sum));
        if (waiting_ == reach_.before) {
            window_.pop_front();
        } else {
            ++waiting_;
        }
    }

    FilterReach reach_;
    std::deque<Frame> window_;
    int64_t waiting_ = 0;  ///< the place in the window of the frame that is given next
};

cv::Mat expected_sum(const std::vector<cv::Mat>& images, int64_t index, FilterReach reach) {
    const auto count = static_cast<int64_t>(images.size());
    const int64_t first = reach.before >= index ? 0 : index - reach.before;
    cv::Mat sum = cv::Mat::zeros(images.front().size(), CV_32S);
    for (int64_t i = first; i <= std::min(count - 1, index + reach.after); ++i)
        cv::add(sum, images[size_t(i)], sum, {}, CV_32S);
    return sum;
}

/// Takes off what is the smallest value of each pixel over the recording.
class AboveMinimum : public Filter {
public:
    explicit AboveMinimum(std::atomic<int>& looked_at) : looked_at_(looked_at) {}

    bool needs_first_pass() const override { return true; }
    void first_pass(const Frame& frame) override {
        ++looked_at_;
        if (minimum_.empty()) {
            minimum_ = frame.image.clone();
        } else {
            minimum_ = cv::min(minimum_, frame.image);
        }
    }
    bool each_by_itself() const override { return true; }
    void push(Frame frame, const Receiver& receiver) override {
        cv::Mat above = frame.image - minimum_;
        receiver(with_image(std::move(frame), above));
    }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<AboveMinimum>(*this); }

private:
    std::atomic<int>& looked_at_;
    cv::Mat minimum_;
};

/// Leaves every second frame out.
class Halving : public Filter {
public:
    void push(Frame frame, const Receiver& receiver) override {
        if (frame.index % 2 == 0) receiver(std::move(frame));
    }
};

std::vector<std::unique_ptr<Filter>> list() {
    return {};
}
template <typename... More>
std::vector<std::unique_ptr<Filter>> list(std::unique_ptr<Filter> first, More... more) {
    std::vector<std::unique_ptr<Filter>> all = list(std::move(more)...);
    all.insert(all.begin(), std::move(first));
    return all;
}

std::vector<int64_t> shuffled(int count) {
    std::vector<int64_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(5));
    return order;
}

/// A closed store of numbered frames in two chunks, with a record for every fourth.
fs::path numbered_store(const TemporaryFolder& folder, const std::string& format = "npy") {
    const fs::path path = folder.path() / "store";
    StoreWriter writer(path, {.format = format, .chunk_frames = 25});
    for (int i = 0; i < kFrames; ++i) {
        writer.add(make_numbered_image(gray_type(), i), kFirstNumber + i, fixture_time(i));
        if (i % 4 == 0) writer.add_extra_data({{"value", i}});
    }
    writer.close();
    return path;
}

std::vector<cv::Mat> images_of(const fs::path& path) {
    StoreReader store(path);
    std::vector<cv::Mat> images;
    while (const std::optional<Frame> frame = store.next()) images.push_back(frame->image.clone());
    return images;
}

/// What is `expected` of each frame comes by every way there is to it.
template <typename Expected>
void check_every_access(Recording& recording, Expected expected) {
    const auto check = [&](const Frame& frame, int64_t index) {
        CHECK(frame.index == index);
        CHECK(frame.number == kFirstNumber + index);
        CHECK(frame.time == fixture_time(index));
        CHECK(equal_pixels(frame.image, expected(index)));
    };
    REQUIRE(recording.frame_count() == kFrames);
    const std::vector<int64_t> order = shuffled(kFrames);
    for (const int64_t index : order) {
        check(recording.at_index(index), index);
        CHECK(recording.extra_data().size() == (index % 4 == 0 ? 1 : 0));
    }
    std::vector<int64_t> repeated = order;
    repeated.insert(repeated.end(), {7, 7, 0, kFrames - 1});
    const std::vector<Frame> batch = recording.at_indices(repeated);
    REQUIRE(batch.size() == repeated.size());
    for (size_t i = 0; i < batch.size(); ++i) check(batch[i], repeated[i]);
    for (int64_t index = 0; index < kFrames; ++index) {
        const std::optional<Frame> frame = recording.next();
        REQUIRE(frame);
        check(*frame, index);
        CHECK(recording.extra_data().size() == (index % 4 == 0 ? 1 : 0));
    }
    CHECK_FALSE(recording.next());
    check(*recording.at_number(kFirstNumber + 9), 9);
    check(*recording.at_time(fixture_time(11)), 11);
    CHECK_FALSE(recording.at_number(3));
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int place = 0; place < 3; ++place) {
        std::shared_ptr<RandomAccess> clone = recording.clone_access();
        REQUIRE(clone);
        threads.emplace_back([&, clone, place] {
            for (size_t i = size_t(place); i < order.size(); i += 3) {
                if (!equal_pixels(clone->at_index(order[i]).image, expected(order[i]))) ++wrong;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(error_of([&] { recording.at_index(kFrames); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { recording.at_index(-1); }) == ErrorCode::invalid_argument);
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("filtered_recording: filters of single frames, by every access") {
    const TemporaryFolder folder;
    for (const std::string format : {"npy", "mjpeg/avi"}) {
        CAPTURE(format);
        const fs::path path = numbered_store(folder, format);
        const std::vector<cv::Mat> images = images_of(path);
        const cv::Rect part(0, 0, kFixtureWidth, 20);
        const auto recording = filtered_recording(open_recording(path.string()), list(crop(part), negative()));
        CHECK(recording->info().image_type == ImageType{20, kFixtureWidth, 1, CV_8U});
        CHECK(recording->info().frame_count == kFrames);
        for (const int64_t index : shuffled(kFrames))
            CHECK(read_image_number(255 - recording->at_index(index).image) == index);
        check_every_access(*recording, [&](int64_t index) { return cv::Mat(255 - images[size_t(index)](part)); });
        fs::remove_all(path);
    }
}

TEST_CASE("filtered_recording: windows and filters that remember, by every access") {
    const TemporaryFolder folder;
    const fs::path path = numbered_store(folder);
    const std::vector<cv::Mat> images = images_of(path);
    for (const FilterReach reach : {FilterReach{2, 0}, FilterReach{0, 3}, FilterReach{3, 2},
                                    FilterReach{FilterReach::kAll, 0}, FilterReach{90, 90}}) {
        CAPTURE(reach.before);
        CAPTURE(reach.after);
        const auto recording = filtered_recording(open_recording(path.string()), list(std::make_unique<Sum>(reach)));
        CHECK(recording->info().image_type == ImageType{kFixtureHeight, kFixtureWidth, 1, CV_32S});
        check_every_access(*recording, [&](int64_t index) { return expected_sum(images, index, reach); });
    }
}

TEST_CASE("filtered_recording: a first pass is made once, for clones too") {
    const TemporaryFolder folder;
    const fs::path path = numbered_store(folder);
    const std::vector<cv::Mat> images = images_of(path);
    cv::Mat minimum = images.front().clone();
    for (const cv::Mat& image : images) minimum = cv::min(minimum, image);
    std::atomic<int> looked_at = 0;
    const auto recording = filtered_recording(open_recording(path.string()),
                                              list(negative(), negative(), std::make_unique<AboveMinimum>(looked_at)));
    CHECK(looked_at == 0);
    check_every_access(*recording, [&](int64_t index) { return cv::Mat(images[size_t(index)] - minimum); });
    CHECK(looked_at == kFrames);
}

TEST_SUITE_END();

TEST_CASE("filtered_recording: facts, rows and lookups are those of the recording") {
    const TemporaryFolder folder;
    const fs::path path = numbered_store(folder);
    StoreReader store(path);
    const auto recording = filtered_recording(std::make_unique<StoreReader>(path), list(negative()));
    CHECK(recording->path() == store.path());
    CHECK(recording->frame_count() == kFrames);
    CHECK(recording->number_range() == store.number_range());
    CHECK(recording->time_range() == store.time_range());
    CHECK(recording->duration() == store.duration());
    CHECK(recording->numbers_ascend());
    CHECK(recording->has_extra_data());
    CHECK(recording->all_extra_data().size() == store.all_extra_data().size());
    CHECK(recording->media_bytes() == store.media_bytes());
    CHECK(recording->closed());
    CHECK_FALSE(recording->incomplete());
    CHECK(recording->info().time_zone == store.info().time_zone);
    CHECK(recording->info().frame_rate == store.info().frame_rate);
    CHECK(recording->rows().size() == kFrames);
    CHECK(recording->row(30)->chunk == 1);
    CHECK_FALSE(recording->row(kFrames));
    CHECK(recording->find_number(kFirstNumber + 100, Match::nearest)->index == kFrames - 1);
    CHECK(recording->find_time(fixture_time(3) + 0.01)->index == 3);
    CHECK(recording->stamp(4).number == kFirstNumber + 4);
    CHECK(recording->runs_of_numbers(kFirstNumber + 2, kFirstNumber + 4).front().first == 2);
    CHECK(recording->runs_of_times(fixture_time(2), fixture_time(4)).front().last == 5);
    CHECK(recording->extra_data_of(8) == std::vector<Json>{{{"value", 8}}});
    CHECK(recording->extra_data().empty());
    CHECK(recording->random_access() == recording.get());
}

TEST_CASE("filtered_recording: without filters it is the recording") {
    const TemporaryFolder folder;
    auto store = std::make_unique<StoreReader>(numbered_store(folder));
    const Recording* const same = store.get();
    CHECK(filtered_recording(std::move(store), {}).get() == same);
}

TEST_CASE("filtered_recording: filters behind which frames only come forward are refused") {
    const TemporaryFolder folder;
    const std::string path = numbered_store(folder).string();
    for (const bool last : {false, true}) {
        std::string message;
        const auto make = [&] {
            return last ? filtered_recording(open_recording(path), list(negative(), std::make_unique<Halving>()))
                        : filtered_recording(open_recording(path), list(std::make_unique<Halving>(), negative()));
        };
        CHECK(error_of(make, &message) == ErrorCode::unsupported);
        CHECK(message.find(last ? "filter 2 of 2" : "filter 1 of 2") != std::string::npos);
        CHECK(message.find("store extract") != std::string::npos);
        CHECK(message.find(path) != std::string::npos);
    }
}

TEST_CASE("filtered_recording: errors name recording and frame, and other frames stay") {
    const TemporaryFolder folder;
    const fs::path path = numbered_store(folder);
    const auto picky = [] {
        return image_filter([](const cv::Mat& image) -> cv::Mat {
            if (read_image_number(image) == 6) throw Error(ErrorCode::wrong_type, "not this one");
            return image;
        });
    };
    const auto recording = filtered_recording(open_recording(path.string()), list(picky()));
    const Error error = expected_error([&] { recording->at_index(6); });
    CHECK(error.code() == ErrorCode::wrong_type);
    CHECK(error.place().path == path.string());
    CHECK(error.place().frame_index == 6);
    CHECK(read_image_number(recording->at_index(7).image) == 7);
    CHECK(error_of([&] { recording->at_indices(std::vector<int64_t>{5, 6}); }) == ErrorCode::wrong_type);
    for (int64_t index = 0; index < kFrames; ++index) {
        if (index == 6) {
            CHECK(error_of([&] { recording->next(); }) == ErrorCode::wrong_type);
        } else {
            CHECK(read_image_number(recording->next()->image) == index);
        }
    }

    std::ofstream(path / "000000" / "000000.npy", std::ios::trunc) << "no image";
    const auto damaged =
        filtered_recording(open_recording(path.string()), list(crop(cv::Rect(0, 0, 32, 16)), negative()));
    CHECK(damaged->info().image_type.empty());
    CHECK(error_of([&] { damaged->at_index(0); }) == ErrorCode::corrupt);
    CHECK(damaged->at_index(1).image.cols == 32);
}

TEST_CASE("filtered_recording: a store that grows") {
    const TemporaryFolder folder;
    const fs::path path = folder.path() / "store";
    StoreWriter writer(path, {.format = "npy", .chunk_frames = 10, .commit_interval = 0});
    std::vector<cv::Mat> images;
    const auto add = [&](int count) {
        for (int i = 0; i < count; ++i) {
            images.push_back(make_numbered_image(gray_type(), int(images.size())));
            writer.add(images.back(), int64_t(images.size()) - 1, fixture_time(int64_t(images.size()) - 1));
        }
        writer.commit();
    };
    add(4);
    auto opened = std::make_unique<StoreReader>(path);
    StoreReader* const store = opened.get();
    const FilterReach reach{2, 1};
    const auto recording = filtered_recording(std::move(opened), list(std::make_unique<Sum>(reach)));
    CHECK_FALSE(recording->closed());
    const auto check = [&](const std::optional<Frame>& frame, int64_t index) {
        REQUIRE(frame);
        CHECK(frame->index == index);
        CHECK(equal_pixels(frame->image, expected_sum(images, index, reach)));
    };
    int64_t next = 0;
    for (int round = 0; round < 8; ++round) {
        CHECK(recording->frame_count() == int64_t(images.size()));
        CHECK(recording->info().frame_count == int64_t(images.size()));
        for (; next < int64_t(images.size()); ++next) check(recording->next(), next);
        CHECK_FALSE(recording->next());
        for (const int64_t index : shuffled(int(images.size()))) check(recording->at_index(index), index);
        const std::vector<int64_t> last{int64_t(images.size()) - 1, 0};
        check(recording->at_indices(last).front(), last.front());
        add(3);
        CHECK(store->refresh());
        // The window of what was the last frame is whole now.
        check(recording->at_index(last.front()), last.front());
    }
    writer.close();
    CHECK(store->refresh());
    CHECK(recording->closed());
}

TEST_CASE("filtered_recording: filters of a store that is being recorded are not told of an end") {
    struct Told : Filter {
        explicit Told(std::optional<int64_t>& told) : count(told) {}
        void begin(SourceInfo& info) override { count = info.frame_count; }
        bool each_by_itself() const override { return true; }
        void push(Frame frame, const Receiver& receiver) override { receiver(std::move(frame)); }
        std::optional<int64_t>& count;
    };
    const TemporaryFolder folder;
    const fs::path path = folder.path() / "store";
    StoreWriter writer(path, {.format = "npy", .commit_interval = 0});
    writer.add(make_numbered_image(gray_type(), 0), 0, 1);
    std::optional<int64_t> told = 5;
    CHECK(filtered_recording(open_recording(path.string()), list(std::make_unique<Told>(told)))->info().frame_count ==
          1);
    CHECK_FALSE(told);
    writer.close();
    filtered_recording(open_recording(path.string()), list(std::make_unique<Told>(told)));
    CHECK(told == 1);
}
