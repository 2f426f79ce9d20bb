#pragma once

#include <cstddef>
#include <memory>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

namespace reelstore {

class FramePool;

/// An image borrowed from a FramePool; goes back when the object is destroyed. Movable; empty after it was moved from.
class PooledImage {
public:
    PooledImage() = default;
    PooledImage(PooledImage&&) = default;
    PooledImage& operator=(PooledImage&& other) noexcept;
    ~PooledImage();

    explicit operator bool() const { return pool_ != nullptr; }
    /// Continuous pixels of the pool's type. Do not give it other memory: write into it.
    cv::Mat& image() { return image_; }
    const cv::Mat& image() const { return image_; }
    bool is_from(const FramePool* pool) const { return pool_ && pool_.get() == pool; }

private:
    friend class FramePool;
    PooledImage(std::shared_ptr<FramePool> pool, cv::Mat image) : pool_(std::move(pool)), image_(std::move(image)) {}
    void give_back();

    std::shared_ptr<FramePool> pool_;
    cv::Mat image_;
};

/// A bounded number of images of one type that are used again and again, so that a long recording neither allocates nor
/// grows. Any thread may take and give back.
class FramePool : public std::enable_shared_from_this<FramePool> {
public:
    /// As many images as fit(type, bytes, least) says.
    static std::shared_ptr<FramePool> create(const ImageType& type, size_t bytes, size_t least);
    /// How many images fit into `bytes`: not fewer than `least`, and never more than 65,536.
    static size_t fit(const ImageType& type, size_t bytes, size_t least);
    ~FramePool();

    /// The image given back last, or a new one; an empty one when all are taken.
    PooledImage take();
    const ImageType& type() const { return type_; }
    size_t capacity() const { return capacity_; }
    /// Images borrowed now.
    size_t taken() const;
    /// Whether fewer than `count` are free and more may be made.
    bool runs_short(size_t count) const;
    /// Makes images ahead and touches their memory, until `count` are free or none may be made any more: the first use
    /// of fresh memory costs more than copying an image into it.
    void prepare(size_t count);

private:
    friend class PooledImage;
    FramePool(const ImageType& type, size_t capacity);
    cv::Mat make() const;

    ImageType type_;
    size_t capacity_;
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace reelstore
