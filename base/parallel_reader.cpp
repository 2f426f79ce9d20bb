#include "base/parallel_reader.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "base/error.h"

namespace reelstore {

namespace {

/// Frames taken one after another before anything is read ahead.
constexpr int64_t kTakenBeforeReadingAhead = 2;
/// Groups handed to each thread before their turn.
constexpr size_t kGroupsAhead = 2;
/// Frames of an endless group that are handed out together.
constexpr size_t kPieceFrames = 64;

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
            batch.next_group = batch.group_count();  // groups already begun come before this one or are finished
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
            threads.emplace_back([&batch, clone = clones_[i].get()] { work(*clone, batch); });
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

ReadAheadOptions read_ahead_options(const SourceInfo& info, int threads) {
    ReadAheadOptions options;
    options.threads = threads;
    if (!info.image_type.empty()) options.frame_bytes = info.image_type.bytes();
    return options;
}

struct ReadAhead::Impl {
    /// Frames that one thread reads in order.
    struct Group {
        int64_t entry = 0;
        std::vector<int64_t> indices;
        size_t worker = 0;
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
        longest_group = std::max<size_t>(8, options.ahead_bytes / std::max<size_t>(1, options.frame_bytes));
    }

    ~Impl() {
        {
            const std::lock_guard lock(mutex);
            stopping = true;
        }
        wake_workers.notify_all();
        workers.clear();
    }

    std::optional<int64_t> next_index() {
        if (!waiting_index && !exhausted) {
            waiting_index = indices();
            exhausted = !waiting_index;
        }
        return std::exchange(waiting_index, std::nullopt);
    }

    /// The next group, cut off where it gets longer than can be read ahead; null at the end.
    std::shared_ptr<Group> form_group() {
        const std::optional<int64_t> first = next_index();
        if (!first) return nullptr;
        auto group = std::make_shared<Group>();
        group->entry = entry_of(access, *first);
        group->indices.push_back(*first);
        while (group->indices.size() < longest_group) {
            const std::optional<int64_t> index = next_index();
            if (!index) break;
            if (*index < group->indices.back() || entry_of(access, *index) != group->entry) {
                waiting_index = index;
                break;
            }
            group->indices.push_back(*index);
        }
        group->slots.resize(group->indices.size());
        return group;
    }

    void start(const Group& first) {
        started = true;
        in_one_run = first.indices.size() >= longest_group;
        const int readers = in_one_run ? 1 : options.threads;
        if (in_one_run) longest_group = kPieceFrames;
        if (options.threads < 2) return;
        for (int i = 0; i < readers; ++i) {
            std::unique_ptr<RandomAccess> clone = access.clone_access(in_one_run ? options.threads : 1);
            if (!clone) return;
            workers.push_back(std::make_unique<Worker>());
            workers.back()->access = std::move(clone);
        }
        for (const auto& worker : workers) worker->thread = std::jthread([this, &worker = *worker] { work(worker); });
    }

    /// Hands out groups until every thread has enough to do.
    void hand_out() {
        while (order.size() < kGroupsAhead * std::max<size_t>(1, workers.size())) {
            std::shared_ptr<Group> group = form_group();
            if (!group) return;
            if (!started) start(*group);
            if (workers.empty()) {
                order.push_back(std::move(group));
                return;
            }
            // A group that was cut off goes on where the reader is that has read its beginning.
            if (handed_out++ > 0 && group->entry != last_entry) last_worker = (last_worker + 1) % workers.size();
            last_entry = group->entry;
            {
                const std::lock_guard lock(mutex);
                workers[last_worker]->groups.push_back(group);
                order.push_back(std::move(group));
            }
            wake_workers.notify_all();
        }
    }

    std::optional<Frame> next() {
        if (!order.empty() && taken == order.front()->slots.size()) {
            {
                const std::lock_guard lock(mutex);
                order.pop_front();
            }
            taken = 0;
            wake_workers.notify_all();
        }
        hand_out();
        if (order.empty()) return std::nullopt;
        Group& group = *order.front();
        const size_t place = taken++;
        if (workers.empty()) return access.at_index(group.indices[place]);
        Group::Slot slot;
        {
            std::unique_lock lock(mutex);
            wake_taker.wait(lock, [&] { return group.slots[place].ready; });
            slot = std::move(group.slots[place]);
            waiting_bytes -= pixel_bytes(slot.frame);
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
        // In one run the next piece follows, and draining the decoder behind this one would only cost.
        std::exception_ptr error;
        if (!in_one_run) error = attempt([&] { worker.access->will_read(group.indices); });
        for (size_t place = 0; place < group.indices.size(); ++place) {
            {
                std::unique_lock lock(mutex);
                wake_workers.wait(lock, [&] {
                    return stopping || waiting_bytes < options.ahead_bytes || order.front().get() == &group;
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
    size_t longest_group;

    // Of the taker's thread alone.
    std::optional<int64_t> waiting_index;  // asked for, but of the next group
    bool exhausted = false;
    bool started = false;
    bool in_one_run = false;
    size_t taken = 0;  // slots of order.front()
    size_t handed_out = 0;
    size_t last_worker = 0;
    int64_t last_entry = 0;

    mutable std::mutex mutex;
    std::condition_variable wake_workers;
    std::condition_variable wake_taker;
    std::deque<std::shared_ptr<Group>> order;  // handed out and not wholly taken; changed under the mutex
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
        return std::nullopt;
    }
    if (!ahead_ && taken_in_order_ >= kTakenBeforeReadingAhead) {
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
    if (frame) return frame;
    // The source has grown behind the end that was read ahead to.
    seek(index + 1);
    return access_.at_index(index);
}

void SequentialReader::seek(int64_t position) {
    position_ = position;
    taken_in_order_ = 0;
    if (ahead_) ended_ += ahead_->counters();
    ahead_.reset();
}

DecodeCounters SequentialReader::counters() const {
    DecodeCounters sum = ended_;
    if (ahead_) sum += ahead_->counters();
    return sum;
}

}  // namespace reelstore
