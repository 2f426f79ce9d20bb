#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

namespace reelstore {

/// A first-in first-out queue between two threads, bounded by the cost (bytes) of what waits in it.
///
/// All members may be called from any thread. An item dearer than the whole capacity passes when the queue is empty.
template <typename T>
class BoundedQueue {
public:
    explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

    /// Waits for room. False, with the item dropped, when the queue was closed or aborted.
    bool push(T item, size_t cost) {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return closed_ || items_.empty() || used_ + cost <= capacity_; });
        if (closed_) return false;
        used_ += cost;
        items_.push_back({std::move(item), cost});
        ready_.notify_one();
        return true;
    }

    /// Waits for an item. Nothing when the queue is closed and drained, or aborted.
    std::optional<T> pop() {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [&] { return closed_ || !items_.empty(); });
        if (items_.empty()) return std::nullopt;
        Entry entry = std::move(items_.front());
        items_.pop_front();
        used_ -= entry.cost;
        room_.notify_one();
        return std::move(entry.item);
    }

    /// No more items will come; what waits can still be taken.
    void close() {
        std::lock_guard lock(mutex_);
        closed_ = true;
        ready_.notify_all();
        room_.notify_all();
    }

    /// Closes and throws away what waits.
    void abort() {
        std::lock_guard lock(mutex_);
        closed_ = true;
        items_.clear();
        used_ = 0;
        ready_.notify_all();
        room_.notify_all();
    }

    /// Whether push() would be refused.
    bool closed() {
        std::lock_guard lock(mutex_);
        return closed_;
    }

private:
    struct Entry {
        T item;
        size_t cost;
    };

    std::mutex mutex_;
    std::condition_variable room_;
    std::condition_variable ready_;
    std::deque<Entry> items_;
    size_t capacity_;
    size_t used_ = 0;
    bool closed_ = false;
};

}  // namespace reelstore
