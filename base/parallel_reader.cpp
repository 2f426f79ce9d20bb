#include "base/parallel_reader.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"

namespace reelstore {

namespace {

/// Frames taken one after another before anything is read ahead.
constexpr int64_t kTakenBeforeReadingAhead = 2;
/// Frames that have to be there before a source that grows is read ahead again: to end and start the threads for a few
/// each time costs more than it gains.
constexpr int64_t kGrownBeforeReadingAhead = 256;
/// Frames of a group that are handed out together; longer groups come in pieces.
constexpr size_t kLongestGroup = 1024;
/// Frames handed out at most, however few threads have one of their groups.
constexpr size_t kMostHandedOut = 4096;

size_t pixel_bytes(const Frame& frame) {
    return frame.image.total() * frame.image.elemSize();
}

/// What cannot be found out is a matter for whoever reads the frame.
int64_t entry_of(RandomAccess& access, int64_t index) {
    try {
        return access.entry_of(index);
    } catch (const Error&) {
        return index;
    }
}

}  // namespace

int thread_count(int wanted) {
    return wanted > 0 ? wanted : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// Distinct indices in ascending order, cut into groups with the same entry that threads take one after another.
struct ParallelReader::Batch {
    std::vector<int64_t> indices;
    std::vector<size_t> group_begins;  ///< places in `indices`, and their number at the end
    std::vector<Frame> frames;         ///< by place in `indices`
    std::atomic<size_t> next_group = 0;
    std::mutex mutex;
    size_t failed_group = SIZE_MAX;
    std::exception_ptr error;

    size_t group_count() const { return group_begins.size() - 1; }
};

ParallelReader::ParallelReader(RandomAccess& access, int threads) : access_(access), threads_(thread_count(threads)) {}

ParallelReader::~ParallelReader() = default;

void ParallelReader::work(RandomAccess& access, Batch& batch) {
    for (size_t group = batch.next_group++; group < batch.group_count(); group = batch.next_group++) {
        const size_t begin = batch.group_begins[group];
        const size_t end = batch.group_begins[group + 1];
        try {
            access.will_read(std::span(batch.indices).subspan(begin, end - begin));
            for (size_t place = begin; place < end; ++place) {
                batch.frames[place] = access.at_index(batch.indices[place]);
            }
        } catch (...) {
            const std::lock_guard lock(batch.mutex);
            if (group < batch.failed_group) {
                batch.failed_group = group;
                batch.error = std::current_exception();
            }
            batch.next_group = batch.group_count();  // groups before this one have begun and go on
            return;
        }
    }
}

std::vector<Frame> ParallelReader::read(std::span<const int64_t> indices) {
    Batch batch;
    batch.indices.assign(indices.begin(), indices.end());
    std::sort(batch.indices.begin(), batch.indices.end());
    batch.indices.erase(std::unique(batch.indices.begin(), batch.indices.end()), batch.indices.end());
    if (batch.indices.empty()) return {};
    for (const int64_t outside : {batch.indices.front(), batch.indices.back()}) {
        if (outside >= 0 && outside < access_.frame_count()) continue;
        access_.at_index(outside);  // throws, in the source's own words
        throw Error(ErrorCode::invalid_argument, "there is no frame " + std::to_string(outside));
    }
    int64_t entry = 0;
    for (size_t place = 0; place < batch.indices.size(); ++place) {
        const int64_t own = entry_of(access_, batch.indices[place]);
        if (place == 0 || own != entry) batch.group_begins.push_back(place);
        entry = own;
    }
    batch.group_begins.push_back(batch.indices.size());
    batch.frames.resize(batch.indices.size());

    const size_t helpers = std::min(static_cast<size_t>(threads_), batch.group_count()) - 1;
    while (clones_.size() < helpers) {
        std::unique_ptr<RandomAccess> clone = access_.clone_access();
        if (!clone) break;
        clones_.push_back(std::move(clone));
    }
    {
        std::vector<std::jthread> threads;
        for (size_t i = 0; i < std::min(helpers, clones_.size()); ++i) {
            try {
                threads.emplace_back([&batch, clone = clones_[i].get()] { work(*clone, batch); });
            } catch (const std::system_error&) {
                break;  // no more threads to be had; those there are will do
            }
        }
        work(access_, batch);
    }
    if (batch.error) std::rethrow_exception(batch.error);
    std::vector<Frame> frames;
    frames.reserve(indices.size());
    for (const int64_t index : indices) {
        const auto place = std::lower_bound(batch.indices.begin(), batch.indices.end(), index) - batch.indices.begin();
        frames.push_back(batch.frames[static_cast<size_t>(place)]);
    }
    return frames;
}

DecodeCounters ParallelReader::counters() const {
    DecodeCounters sum;
    for (const auto& clone : clones_) sum += clone->counters();
    return sum;
}

std::vector<Frame> read_frames(RandomAccess& access, std::span<const int64_t> indices, int threads) {
    return ParallelReader(access, threads).read(indices);
}

struct ReadAhead::Impl {
    /// Frames that one thread reads in order.
    struct Group {
        int64_t entry = 0;
        std::vector<int64_t> indices;
        bool whole = true;  ///< holds all wanted frames of its entry
        struct Slot {
            Frame frame;
            std::exception_ptr error;
            bool ready = false;
        };
        std::vector<Slot> slots;
    };

    struct Worker {
        std::unique_ptr<RandomAccess> access;
        std::deque<std::shared_ptr<Group>> groups;  ///< to be read
        DecodeCounters counters;                    ///< as of its last frame
        std::jthread thread;
    };

    Impl(RandomAccess& source, IndexSource index_source, const ReadAheadOptions& read_ahead_options)
        : access(source), indices(std::move(index_source)), options(read_ahead_options) {
        options.threads = thread_count(options.threads);
    }

    ~Impl() { stop(); }

    void stop() {
        {
            const std::lock_guard lock(mutex);
            stopping = true;
        }
        wake_workers.notify_all();
        for (const auto& worker : workers) {
            if (worker->thread.joinable()) worker->thread.join();
        }
    }

    std::optional<int64_t> next_index() {
        if (!waiting_index && !exhausted) {
            waiting_index = indices();
            exhausted = !waiting_index;
        }
        return std::exchange(waiting_index, std::nullopt);
    }

    /// The next group, in pieces where it is long; null at the end.
    std::shared_ptr<Group> form_group() {
        const std::optional<int64_t> first = next_index();
        if (!first) return nullptr;
        auto group = std::make_shared<Group>();
        group->indices.push_back(*first);
        if (!workers.empty()) {
            group->entry = entry_of(access, *first);
            group->whole = handed_out == 0 || group->entry != last_entry;
            while (const std::optional<int64_t> index = next_index()) {
                const bool same = *index > group->indices.back() && entry_of(access, *index) == group->entry;
                if (same && group->indices.size() < kLongestGroup) {
                    group->indices.push_back(*index);
                    continue;
                }
                if (same) group->whole = false;
                waiting_index = index;
                break;
            }
        }
        group->slots.resize(group->indices.size());
        return group;
    }

    /// Readers for all threads, or none when there cannot be more than one.
    void start() {
        started = true;
        if (options.threads < 2) return;
        std::vector<std::unique_ptr<Worker>> made;
        for (int i = 0; i < options.threads; ++i) {
            auto worker = std::make_unique<Worker>();
            if (attempt([&] { worker->access = access.clone_access(); }) || !worker->access) return;
            made.push_back(std::move(worker));
        }
        for (auto& worker : made) {
            try {
                worker->thread = std::jthread([this, &worker = *worker] { work(worker); });
            } catch (const std::system_error&) {
                return;  // no more threads to be had; those there are will do
            }
            workers.push_back(std::move(worker));
        }
    }

    bool enough_handed_out() const {
        if (workers.empty()) return !order.empty();
        if (frames_handed_out >= kMostHandedOut) return true;
        return std::none_of(workers.begin(), workers.end(), [](const auto& worker) { return worker->groups.empty(); });
    }

    /// Hands out groups until every thread has enough to do.
    void hand_out() {
        if (!started) start();
        for (;;) {
            {
                const std::lock_guard lock(mutex);
                if (enough_handed_out()) return;
            }
            std::shared_ptr<Group> group = form_group();
            if (!group) return;
            const std::lock_guard lock(mutex);
            if (!workers.empty()) {
                // A group in pieces goes on where the reader is that has read its beginning.
                if (handed_out > 0 && group->entry != last_entry) last_worker = (last_worker + 1) % workers.size();
                workers[last_worker]->groups.push_back(group);
                wake_workers.notify_all();
            }
            ++handed_out;
            last_entry = group->entry;
            frames_handed_out += group->slots.size();
            order.push_back(std::move(group));
        }
    }

    std::optional<Frame> next() {
        if (!order.empty() && taken == order.front()->slots.size()) {
            const std::lock_guard lock(mutex);
            frames_handed_out -= order.front()->slots.size();
            order.pop_front();
            taken = 0;
        }
        hand_out();
        if (order.empty()) return std::nullopt;
        Group& group = *order.front();
        const size_t place = taken++;
        if (workers.empty()) return access.at_index(group.indices[place]);
        Group::Slot slot;
        {
            std::unique_lock lock(mutex);
            awaited = {&group, place};
            wake_workers.notify_all();
            wake_taker.wait(lock, [&] { return group.slots[place].ready; });
            slot = std::move(group.slots[place]);
            waiting_bytes -= pixel_bytes(slot.frame);
            awaited = {};
        }
        wake_workers.notify_all();
        if (slot.error) std::rethrow_exception(slot.error);
        return std::move(slot.frame);
    }

    void work(Worker& worker) {
        for (;;) {
            std::shared_ptr<Group> group;
            {
                std::unique_lock lock(mutex);
                wake_workers.wait(lock, [&] { return stopping || !worker.groups.empty(); });
                if (stopping) return;
                group = std::move(worker.groups.front());
                worker.groups.pop_front();
            }
            read(worker, *group);
        }
    }

    void read(Worker& worker, Group& group) {
        // A plan ends with draining the decoder, which the next piece of a group would have to start anew.
        std::exception_ptr error;
        if (group.whole) error = attempt([&] { worker.access->will_read(group.indices); });
        for (size_t place = 0; place < group.indices.size(); ++place) {
            {
                std::unique_lock lock(mutex);
                wake_workers.wait(lock, [&] {
                    const bool is_awaited = awaited.first == &group && place <= awaited.second;
                    return stopping || waiting_bytes < options.ahead_bytes || is_awaited;
                });
                if (stopping) return;
            }
            Group::Slot slot{.frame = {}, .error = error, .ready = true};
            if (!error) slot.error = attempt([&] { slot.frame = worker.access->at_index(group.indices[place]); });
            {
                const std::lock_guard lock(mutex);
                waiting_bytes += pixel_bytes(slot.frame);
                group.slots[place] = std::move(slot);
                worker.counters = worker.access->counters();
            }
            wake_taker.notify_one();
        }
    }

    template <typename Action>
    static std::exception_ptr attempt(Action action) {
        try {
            action();
            return nullptr;
        } catch (...) {
            return std::current_exception();
        }
    }

    RandomAccess& access;
    IndexSource indices;
    ReadAheadOptions options;

    // Of the taker's thread alone.
    std::optional<int64_t> waiting_index;  // asked for, but of the next group
    bool exhausted = false;
    bool started = false;
    size_t taken = 0;  // slots of order.front()
    size_t handed_out = 0;
    size_t last_worker = 0;
    int64_t last_entry = 0;

    mutable std::mutex mutex;
    std::condition_variable wake_workers;
    std::condition_variable wake_taker;
    std::deque<std::shared_ptr<Group>> order;  // handed out and not wholly taken; changed under the mutex
    size_t frames_handed_out = 0;              // in `order`
    std::pair<const Group*, size_t> awaited;   // the slot that the taker waits for
    size_t waiting_bytes = 0;
    bool stopping = false;
    std::vector<std::unique_ptr<Worker>> workers;
};

ReadAhead::ReadAhead(RandomAccess& access, IndexSource indices, const ReadAheadOptions& options)
    : impl_(std::make_unique<Impl>(access, std::move(indices), options)) {}

ReadAhead::~ReadAhead() = default;

std::optional<Frame> ReadAhead::next() {
    return impl_->next();
}

void ReadAhead::stop() {
    impl_->stop();
}

DecodeCounters ReadAhead::counters() const {
    const std::lock_guard lock(impl_->mutex);
    DecodeCounters sum;
    for (const auto& worker : impl_->workers) sum += worker->counters;
    return sum;
}

SequentialReader::SequentialReader(RandomAccess& access, const ReadAheadOptions& options)
    : access_(access), options_(options) {}

std::optional<Frame> SequentialReader::next() {
    if (position_ >= access_.frame_count()) {
        seek(position_);
        has_met_end_ = true;
        return std::nullopt;
    }
    const int64_t worthwhile = has_met_end_ ? kGrownBeforeReadingAhead : 0;
    if (!ahead_ && taken_in_order_ >= kTakenBeforeReadingAhead && access_.frame_count() - position_ >= worthwhile) {
        ahead_ = std::make_unique<ReadAhead>(
            access_,
            [this, index = position_]() mutable {
                return index < access_.frame_count() ? std::optional(index++) : std::nullopt;
            },
            options_);
    }
    const int64_t index = position_++;
    ++taken_in_order_;
    if (!ahead_) return access_.at_index(index);
    std::optional<Frame> frame = ahead_->next();
    if (frame && frame->index == index) return frame;
    // The source has grown behind the end that was read ahead to, or an error came between.
    seek(index + 1);
    return access_.at_index(index);
}

void SequentialReader::seek(int64_t position) {
    if (position < position_) has_met_end_ = false;
    position_ = position;
    taken_in_order_ = 0;
    if (!ahead_) return;
    ahead_->stop();
    ended_ += ahead_->counters();
    ahead_.reset();
}

DecodeCounters SequentialReader::counters() const {
    DecodeCounters sum = ended_;
    if (ahead_) sum += ahead_->counters();
    return sum;
}

}  // namespace reelstore
