// Filters and compositions that several threads use at once, as the pipeline and readers of recordings do. They are
// tested here, since of the tests above base/ only this program is built with ThreadSanitizer.
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include <opencv2/core.hpp>

#include "base/parallel_reader.h"
#include "filters/filter_table.h"
#include "filters/filtered_source.h"
#include "filters/synchronized_frames.h"
#include "filters/text_drawing.h"
#include "tests/filters/listed_frames.h"
#include "tests/image_equality.h"

using namespace reelstore;

namespace {

constexpr int kThreads = 4;

/// Calls `action` with 0, 1... on threads of their own, all at once.
template <typename Action>
void on_threads(Action action) {
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) threads.emplace_back([&action, thread] { action(thread); });
    for (std::thread& thread : threads) thread.join();
}

cv::Mat through(const Filters& filters, cv::Mat image) {
    Frame frame;
    frame.image = std::move(image);
    frame.time = 1577836800.25;
    for (const std::unique_ptr<Filter>& filter : filters) {
        Frame made;
        filter->push(std::move(frame), [&](Frame given) { made = std::move(given); });
        frame = std::move(made);
    }
    return frame.image;
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("shared filters: what changes each frame by itself does so for several threads at once") {
    for (const char* list : {"crop=2:3:20:21",
                             "pad=left=3:top=2:mode=reflect",
                             "resize=31:17",
                             "rotate=30",
                             "flip",
                             "move=degrees=10:dx=2.5",
                             "brightness=10:contrast=1.5",
                             "gamma=1.7",
                             "curve=4:0.5",
                             "invert",
                             "clahe",
                             "normalize=type=float32",
                             "levels",
                             "threshold=100",
                             "gaussian=1.5",
                             "box=3",
                             "median=5",
                             "sharpen",
                             "colormap=viridis:range=type",
                             "text=\\{number\\}",
                             "timestamp",
                             "scale-bar=10:unit=px"}) {
        CAPTURE(list);
        const Filters shared = make_filters(list);
        for (const auto& filter : shared) REQUIRE(filter->each_by_itself());
        std::vector<cv::Mat> images;
        std::vector<cv::Mat> expected;
        for (int i = 0; i < kThreads; ++i) {
            images.emplace_back(40, 50, i % 2 == 0 ? CV_8U : CV_16U);
            cv::randu(images.back(), 0, i % 2 == 0 ? 256 : 65536);
            expected.push_back(through(make_filters(list), images.back()));
        }
        std::vector<int> equal(kThreads);
        on_threads([&](int thread) {
            const auto i = static_cast<size_t>(thread);
            for (int turn = 0; turn < 10; ++turn) equal[i] += equal_pixels(through(shared, images[i]), expected[i]);
        });
        CHECK(equal == std::vector<int>(kThreads, 10));
    }
}

TEST_CASE("shared filters: several threads draw with one painter") {
    const TextPainter painter({.size = 18});
    const auto draw = [](const TextPainter& with, int number) {
        cv::Mat image(30, 200, CV_16UC3, cv::Scalar::all(number));
        with.draw(image, "nr " + std::to_string(number * 7919) + " µß", Anchor::center);
        return image;
    };
    std::vector<int> wrong(kThreads);
    on_threads([&](int thread) {
        const TextPainter own({.size = 18});
        for (int i = 0; i < 50; ++i) {
            const int number = thread * 50 + i;
            if (!equal_pixels(draw(painter, number), draw(own, number))) ++wrong[static_cast<size_t>(thread)];
        }
    });
    CHECK(wrong == std::vector<int>(kThreads));
}

TEST_CASE("shared filters: a composition of filtered sources is read by several threads") {
    constexpr int kFrames = 60;
    const auto source = [](int first_image, const char* filters) {
        std::unique_ptr<FrameSource> frames = std::make_unique<ListedFrames>(
            FrameList{.first_image = first_image, .stamps = even_stamps(kFrames, 25), .group = 7});
        for (auto& filter : make_filters(filters)) frames = std::move(frames) | std::move(filter);
        return frames;
    };
    for (const SyncBy by : {SyncBy::index, SyncBy::number, SyncBy::time}) {
        CAPTURE(int(by));
        std::vector<ComposedSource> sources;
        sources.push_back({source(0, "mean=3,invert,invert")});
        sources.push_back({source(100, "normalize-pixelwise,difference=2"), 0.0, 1.0});
        sources.push_back({source(200, "background-median"), 0.0, 1.0});
        const auto composition = composed_source(std::move(sources), {by, MissingFrame::hold, {}},
                                                 [](std::span<const std::optional<Frame>> frames) {
                                                     std::vector<cv::Mat> images;
                                                     for (const std::optional<Frame>& frame : frames)
                                                         frame->image.convertTo(images.emplace_back(), CV_32F);
                                                     cv::Mat joined;
                                                     cv::hconcat(images, joined);
                                                     return joined;
                                                 });
        RandomAccess* const access = composition->random_access();
        REQUIRE(access);
        std::vector<int64_t> order;
        for (int64_t i = 0; i < kFrames; ++i) order.push_back(i * 37 % kFrames);
        const std::vector<Frame> frames = read_frames(*access, order, kThreads);
        ReadAhead ahead(*access,
                        [next = int64_t{0}]() mutable -> std::optional<int64_t> {
                            return next < kFrames ? std::optional(next++) : std::nullopt;
                        },
                        {.threads = kThreads});
        std::vector<cv::Mat> in_order;
        for (int64_t i = 0; i < kFrames; ++i) in_order.push_back(ahead.next()->image);
        for (size_t i = 0; i < order.size(); ++i) {
            CHECK(frames[i].index == order[i]);
            CHECK(equal_pixels(frames[i].image, in_order[static_cast<size_t>(order[i])]));
        }
    }
}

TEST_SUITE_END();
