#include "base/frame_pool.h"

#include <doctest/doctest.h>

#include <thread>
#include <utility>
#include <vector>

using namespace reelstore;

namespace {
constexpr ImageType kType{48, 64, 3, CV_16U};
}  // namespace

TEST_CASE("frame_pool: gives as many images as fit, of its type, and the same ones again") {
    const auto pool = FramePool::create(kType, 3 * kType.bytes() + 1, 2);
    CHECK(pool->capacity() == 3);
    std::vector<PooledImage> taken;
    for (int i = 0; i < 3; ++i) {
        taken.push_back(pool->take());
        CHECK(ImageType::of(taken.back().image()) == kType);
        CHECK(taken.back().image().isContinuous());
        CHECK(taken.back().is_from(pool.get()));
    }
    CHECK_FALSE(pool->take());
    CHECK(pool->taken() == 3);
    const uchar* pixels = taken[1].image().data;
    taken[1] = {};
    CHECK(pool->taken() == 2);
    PooledImage again = pool->take();
    CHECK(again.image().data == pixels);
    // Moved from, an image is nobody's.
    PooledImage moved = std::move(again);
    CHECK(moved);
    CHECK(pool->taken() == 3);
}

TEST_CASE("frame_pool: has some images however large they are") {
    CHECK(FramePool::create(kType, 1, 4)->capacity() == 4);
}

TEST_CASE("frame_pool: prepares images ahead, up to its capacity") {
    const auto pool = FramePool::create(kType, 5 * kType.bytes(), 1);
    CHECK(pool->runs_short(2));
    pool->prepare(2);
    CHECK_FALSE(pool->runs_short(2));
    CHECK(pool->taken() == 0);
    pool->prepare(100);
    std::vector<PooledImage> taken;
    while (PooledImage image = pool->take()) taken.push_back(std::move(image));
    CHECK(taken.size() == 5);
    CHECK_FALSE(pool->runs_short(2));
}

TEST_CASE("frame_pool: images outlive whoever made the pool") {
    PooledImage image;
    {
        const auto pool = FramePool::create(kType, 1, 1);
        image = pool->take();
    }
    image.image().setTo(7);
    CHECK(image.image().at<cv::Vec3w>(47, 63) == cv::Vec3w(7, 7, 7));
}

TEST_SUITE_BEGIN("threads");

TEST_CASE("frame_pool: any thread takes and gives back") {
    const auto pool = FramePool::create(kType, 6 * kType.bytes(), 1);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&pool, t] {
            for (int i = 0; i < 200; ++i) {
                PooledImage image = pool->take();
                if (image) image.image().setTo(t);
                if (i % 10 == 0) pool->prepare(2);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(pool->taken() == 0);
}

TEST_SUITE_END();
