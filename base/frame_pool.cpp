#include "base/frame_pool.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace reelstore {

struct FramePool::State {
    std::mutex mutex;
    std::vector<cv::Mat> free;  // the last one was given back last and is likeliest in the processor's cache
    size_t made = 0;
};

PooledImage& PooledImage::operator=(PooledImage&& other) noexcept {
    if (this == &other) return *this;
    give_back();
    pool_ = std::move(other.pool_);
    image_ = std::move(other.image_);
    return *this;
}

PooledImage::~PooledImage() {
    give_back();
}

void PooledImage::give_back() {
    if (!pool_) return;
    {
        const std::lock_guard lock(pool_->state_->mutex);
        pool_->state_->free.push_back(std::move(image_));
    }
    pool_.reset();
}

FramePool::FramePool(const ImageType& type, size_t capacity)
    : type_(type), capacity_(capacity), state_(std::make_unique<State>()) {
    // Giving back must not fail.
    state_->free.reserve(capacity);
}

FramePool::~FramePool() = default;

std::shared_ptr<FramePool> FramePool::create(const ImageType& type, size_t bytes, size_t least) {
    return std::shared_ptr<FramePool>(new FramePool(type, fit(type, bytes, least)));
}

size_t FramePool::fit(const ImageType& type, size_t bytes, size_t least) {
    constexpr size_t kMostImages = 65536;
    return std::max(least, std::min(kMostImages, bytes / std::max<size_t>(1, type.bytes())));
}

cv::Mat FramePool::make() const {
    return cv::Mat(type_.height, type_.width, type_.cv_type());
}

PooledImage FramePool::take() {
    {
        const std::lock_guard lock(state_->mutex);
        if (!state_->free.empty()) {
            cv::Mat image = std::move(state_->free.back());
            state_->free.pop_back();
            return PooledImage(shared_from_this(), std::move(image));
        }
        if (state_->made >= capacity_) return {};
        ++state_->made;
    }
    try {
        return PooledImage(shared_from_this(), make());
    } catch (...) {
        const std::lock_guard lock(state_->mutex);
        --state_->made;
        throw;
    }
}

size_t FramePool::taken() const {
    const std::lock_guard lock(state_->mutex);
    return state_->made - state_->free.size();
}

bool FramePool::runs_short(size_t count) const {
    const std::lock_guard lock(state_->mutex);
    return state_->free.size() < count && state_->made < capacity_;
}

void FramePool::prepare(size_t count) {
    for (;;) {
        {
            const std::lock_guard lock(state_->mutex);
            if (state_->free.size() >= count || state_->made >= capacity_) return;
            ++state_->made;
        }
        cv::Mat image = make();
        image.setTo(0);
        const std::lock_guard lock(state_->mutex);
        // Under those in use, which are warmer.
        state_->free.insert(state_->free.begin(), std::move(image));
    }
}

}  // namespace reelstore
