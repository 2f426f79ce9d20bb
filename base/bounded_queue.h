#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

namespace reelstore {

/// A first-in first-out queue between two threads, bounded by the cost (bytes) of what waits in it.
///
/// All members may be called from any thread. Items may lie in it for half a millisecond before pop() notices them. An
/// item dearer than the whole capacity passes when the queue is empty.
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
        if (!patient_ || items_.size() >= kWorthWaking || used_ >= capacity_ / 2) ready_.notify_one();
        return true;
    }

    /// Waits for an item. Nothing when the queue is closed and drained, or aborted.
    std::optional<T> pop() {
        std::unique_lock lock(mutex_);
        const auto ready = [&] { return closed_ || !items_.empty(); };
        if (!ready()) {
            patient_ = true;
            for (int i = 0; i < kShortWaits && !ready_.wait_for(lock, kShortWait, ready); ++i) {
            }
            patient_ = false;
            ready_.wait(lock, ready);
        }
        if (items_.empty()) return std::nullopt;
        Entry entry = std::move(items_.front());
        items_.pop_front();
        used_ -= entry.cost;
        if (used_ <= capacity_ / 2) room_.notify_one();
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
    // Waking a thread costs as much as some thousand pixels. So whoever takes items that come in quick succession is
    // not woken for each, but looks by itself after a while; who waited longer is woken at once. Whoever waits for room
    // is woken when half of it is free.
    static constexpr size_t kWorthWaking = 16;
    static constexpr int kShortWaits = 4;
    static constexpr std::chrono::microseconds kShortWait{500};

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
    bool patient_ = false;  ///< one waits, but need not be woken for a single item
};

}  // namespace reelstore
