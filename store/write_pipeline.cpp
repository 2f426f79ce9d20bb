#include "store/write_pipeline.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/retry_with_room.h"
#include "store/store_contents.h"

namespace reelstore {

namespace {

/// Images made ahead of their use.
constexpr size_t kPreparedImages = 8;
/// Records of extra data that wait for their frame to be committed, in bytes of JSON.
constexpr size_t kMostExtraDataBytes = size_t{64} << 20;
/// Full chunks whose container or last rows are not written yet; each holds its encoder.
constexpr size_t kMostWaitingChunks = 3;
/// Seconds; clocks of the library overflow with much more.
constexpr double kLongestInterval = 1e6;
/// Waiting threads look again after this long, in case an image was given back by somebody else.
constexpr std::chrono::milliseconds kLookAgain{50};
/// When no frame has come for this long, those that an encoder has taken are waited for, so that they get committed.
constexpr std::chrono::milliseconds kDrainAfter{5};

/// A chunk that is not complete yet. The writer is used by the encoding thread, then by the completing one; what stands
/// below it is guarded by the pipeline's mutex.
struct Chunk {
    int64_t number = 0;
    int64_t first_index = 0;
    double first_time = 0;
    std::unique_ptr<ChunkWriter> writer = {};

    std::deque<AddedFrame> uncommitted = {};  ///< given to the writer and not yet committed
    std::vector<StoredFrame> stored = {};     ///< as many of the first of them as have reached the file
    size_t without_image = 0;                 ///< of the first of them
    int64_t given = 0;                        ///< to the writer, in all
    int64_t committed = 0;
    bool finished = false;  ///< by the writer
    bool failed = false;    ///< a write or sync has: nothing more is written to it, nor synced

    // Used by the committing thread alone.
    bool in_index = false;
    bool stream_saved = false;
};

/// A failed write or sync, after which nothing more is written to the files concerned.
struct Fault {
    Error error;
    std::optional<int64_t> chunk;
};

/// A run of frames that were not taken.
struct DropRun {
    int64_t count = 0;
    int64_t first_number = 0;
    int64_t last_number = 0;
    double first_time = 0;
    double last_time = 0;
    std::string cause;

    Json to_json() const {
        return {{"count", count},
                {"cause", cause},
                {"first_number", first_number},
                {"last_number", last_number},
                {"first_time", first_time},
                {"last_time", last_time}};
    }
};

/// A thread that is woken does not push aside the one that woke it.
void work_behind() {
    sched_param none = {};
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
}

}  // namespace

struct WritePipeline::Impl {
    Impl(FrameIndex& frame_index, const StoreLayout& store_layout, const StoreMetadata& store_metadata,
         const ChunkFormat& chunk_format, SpaceReserve& space_reserve, int64_t first_chunk,
         const WritePipelineOptions& pipeline_options)
        : index(frame_index),
          layout(store_layout),
          metadata(store_metadata),
          format(chunk_format),
          reserve(space_reserve),
          options(pipeline_options),
          next_chunk(first_chunk),
          known_frames(frame_index.frame_count()) {
        try {
            encode_thread = std::thread([this] {
                work_behind();
                encode_loop();
            });
            complete_thread = std::thread([this] {
                work_behind();
                complete_loop();
            });
            commit_thread = std::thread([this] {
                work_behind();
                commit_loop();
            });
        } catch (const std::exception& error) {
            stop();
            throw Error(ErrorCode::internal, {layout.folder().string(), {}, {}},
                        fmt::format("cannot start a thread: {}", error.what()));
        }
    }

    ~Impl() { stop(); }

    void stop() {
        {
            const std::lock_guard lock(mutex);
            stopping = true;
        }
        notify_everybody();
        for (std::thread* thread : {&encode_thread, &complete_thread, &commit_thread}) {
            if (thread->joinable()) thread->join();
        }
    }

    void notify_everybody() {
        work.notify_one();
        changed.notify_all();
        settled.notify_all();
    }

    // ---- the caller's side

    void rethrow_failure() const {
        if (failure) throw *failure;
    }

    PooledImage take_image(FramePool& pool, bool wait) {
        std::unique_lock lock(mutex);
        for (;;) {
            rethrow_failure();
            PooledImage image = pool.take();
            if (!prepared_pool && pool.runs_short(kPreparedImages / 2)) {
                prepared_pool = &pool;
                notify_everybody();
            }
            if (image || !wait) return image;
            room.wait_for(lock, kLookAgain);
        }
    }

    void add(AddedFrame frame) {
        std::unique_lock lock(mutex);
        rethrow_failure();
        end_drop_run(frame.index);
        queue.push_back(std::move(frame));
        ++statistics.frames_added;
        statistics.queue_high_water = std::max(statistics.queue_high_water, static_cast<int64_t>(queue.size()));
        lock.unlock();
        work.notify_one();
    }

    void add_extra_data(ExtraDataRow record) {
        std::unique_lock lock(mutex);
        if (extra_data_bytes >= kMostExtraDataBytes) {
            request_commit();
            settled.wait(lock,
                         [&] { return failure || extra_data_bytes < kMostExtraDataBytes || !extra_data_moves(); });
        }
        rethrow_failure();
        if (extra_data_bytes >= 4 * kMostExtraDataBytes) {
            throw Error(ErrorCode::invalid_argument, {layout.folder().string(), {}, record.frame_index},
                        fmt::format("{} MiB of extra data wait for frames that the encoder still holds; add them "
                                    "later or use tune=zerolatency",
                                    extra_data_bytes >> 20));
        }
        extra_data_bytes += record.data.size();
        extra_data.push_back(std::move(record));
        if (extra_data_bytes > kMostExtraDataBytes / 2) request_commit();
    }

    /// Whether the first record that waits can be committed without another frame being added.
    bool extra_data_moves() const {
        if (!queue.empty() || encoding || undrained || completing || to_complete || fault) return true;
        if (extra_data.empty()) return committing;
        int64_t stored = known_frames;
        if (!chunks.empty()) {
            const Chunk& chunk = *chunks.front();
            stored = chunk.first_index + chunk.committed + static_cast<int64_t>(chunk.stored.size());
        }
        return committing || chunks.size() > 1 || extra_data.front().frame_index < stored;
    }

    void add_drop(int64_t number, double time, const std::string& cause) {
        const std::lock_guard lock(mutex);
        rethrow_failure();
        if (drops && drops->cause != cause) end_drop_run(queue_end());
        if (!drops) drops = DropRun{0, number, number, time, time, cause};
        ++drops->count;
        drops->last_number = number;
        drops->last_time = time;
        ++statistics.frames_dropped;
    }

    /// Index of the frame that would be added next.
    int64_t queue_end() const {
        if (!queue.empty()) return queue.back().index + 1;
        if (!chunks.empty()) return chunks.back()->first_index + chunks.back()->given;
        return known_frames;
    }

    void end_drop_run(int64_t next_index) {
        if (!drops) return;
        events.push_back({now_utc(), "dropped", next_index, drops->to_json().dump()});
        drops.reset();
    }

    bool idle() const { return queue.empty() && !encoding && !undrained && !to_complete && !fault; }

    void request_commit() {
        ++commits_requested;
        notify_everybody();
    }

    void commit() {
        std::unique_lock lock(mutex);
        for (;;) {
            ++drains_wanted;
            work.notify_one();
            settled.wait(lock, [&] { return failure || idle(); });
            --drains_wanted;
            rethrow_failure();
            request_commit();
            const int64_t mine = commits_requested;
            settled.wait(lock, [&] { return failure || commits_done >= mine; });
            rethrow_failure();
            if (idle()) return;
        }
    }

    bool all_complete() const { return idle() && !current && chunks.empty(); }

    /// Waits until every chunk is complete, also when the recording has ended early for want of space.
    void finish_chunk() {
        std::unique_lock lock(mutex);
        finish_requested = true;
        notify_everybody();
        settled.wait(lock, [&] { return dead || all_complete(); });
        finish_requested = false;
        if (!dead) {
            request_commit();
            const int64_t mine = commits_requested;
            settled.wait(lock, [&] { return dead || commits_done >= mine; });
        }
        rethrow_failure();
    }

    // ---- faults

    /// Nothing more can be written. Called with the mutex held.
    void die(const Error& error) {
        int64_t lost = static_cast<int64_t>(queue.size());
        for (const auto& chunk : chunks) lost += static_cast<int64_t>(chunk->uncommitted.size());
        // The one that the encoding thread holds may be in a chunk already.
        if (encoding) ++lost;
        std::string message = error.message();
        if (failure) message = fmt::format("{}; and then: {}", failure->message(), message);
        if (lost > 0) message += fmt::format("; of the frames added last, up to {} were not recorded", lost);
        failure = Error(failure ? failure->code() : error.code(), error.place(), message);
        dead = true;
        queue.clear();
        to_complete.reset();
        notify_everybody();
        room.notify_all();
    }

    void report_fault(const Error& error, std::optional<int64_t> chunk) {
        const std::lock_guard lock(mutex);
        for (const auto& candidate : chunks) candidate->failed = candidate->failed || candidate->number == chunk;
        if (!fault) fault.emplace(Fault{error.at({layout.folder().string(), chunk, {}}), chunk});
        notify_everybody();
    }

    template <typename Step>
    void catching_faults(std::optional<int64_t> chunk, Step step) {
        try {
            step();
        } catch (const Error& error) {
            report_fault(error, chunk);
        } catch (const std::exception& error) {
            report_fault(Error(ErrorCode::internal, error.what()), chunk);
        }
    }

    /// Called by the encoding thread after a fault: what is not certain to be on the disk goes to a new chunk.
    void recover() {
        std::vector<std::shared_ptr<Chunk>> abandoned;
        {
            std::unique_lock lock(mutex);
            changed.wait(lock, [&] { return !committing && !completing; });
            bool all_in_memory = true;
            int64_t frames = 0;
            for (const auto& chunk : chunks) {
                frames += static_cast<int64_t>(chunk->uncommitted.size());
                if (chunk->without_image > 0) all_in_memory = false;
            }
            ++statistics.faults;
            if (faults_since_commit > 0 || !all_in_memory || space_handled) {
                die(fault->error);
                fault.reset();
                return;
            }
            ++faults_since_commit;
            const int64_t first =
                chunks.empty() ? queue_end() : chunks.front()->first_index + chunks.front()->committed;
            Json data = {{"error", fault->error.what()}, {"code", to_string(fault->error.code())}};
            if (fault->chunk) data["chunk"] = *fault->chunk;
            data["frames_written_again"] = frames;
            events.push_back({now_utc(), "fault", first, data.dump()});
            for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
                auto& frames_of_chunk = (*chunk)->uncommitted;
                for (auto frame = frames_of_chunk.rbegin(); frame != frames_of_chunk.rend(); ++frame)
                    queue.push_front(std::move(*frame));
                frames_of_chunk.clear();
            }
            abandoned.assign(chunks.begin(), chunks.end());
            chunks.clear();
            current.reset();
            to_complete.reset();
            retained = 0;
            fault.reset();
        }
        for (const auto& chunk : abandoned) {
            // Without a writer there is nothing of ours under that name, but perhaps something of somebody else's.
            const bool ours = chunk->writer != nullptr;
            chunk->writer.reset();
            if (ours && chunk->committed == 0) remove_media(chunk->number);
        }
        notify_everybody();
    }

    /// Media that no row speaks of are of no use to anybody.
    void remove_media(int64_t chunk) {
        try {
            const std::filesystem::path media = layout.media(chunk);
            const FileKind kind = file_system().status(media).kind;
            if (kind == FileKind::folder) {
                for (const std::string& name : file_system().list(media)) file_system().remove(media / name);
            }
            if (kind != FileKind::missing) file_system().remove(media);
        } catch (const Error&) {
            // They stay; `store verify` names them.
            return;
        }
    }

    bool make_room() {
        const bool made = reserve.release();
        // The encoding thread is either waiting or looks after it has had the mutex.
        { const std::lock_guard lock(mutex); }
        notify_everybody();
        return made;
    }

    /// Runs a step again once when the disk was full and the reserve could be given free.
    template <typename Step>
    void with_room(Step step) {
        retry_with_room([this] { return make_room(); }, step);
    }

    /// The disk is full, and the reserve just enough to complete the chunk: the recording ends here.
    void stop_for_space() {
        {
            const std::lock_guard lock(mutex);
            space_handled = true;
            std::string message = "the disk is full; the recording was ended and what is recorded is complete";
            const int64_t end = chunks.empty() ? known_frames : chunks.back()->first_index + chunks.back()->given;
            if (!queue.empty()) {
                DropRun lost{static_cast<int64_t>(queue.size()),
                             queue.front().number,
                             queue.back().number,
                             queue.front().time,
                             queue.back().time,
                             "disk full"};
                message += fmt::format(". {} frames that waited to be written are not in it, from number {} on",
                                       lost.count, lost.first_number);
                events.push_back({now_utc(), "lost", end, lost.to_json().dump()});
                queue.clear();
                // Their extra data have no frame any more.
                while (!extra_data.empty() && extra_data.back().frame_index >= end) {
                    extra_data_bytes -= extra_data.back().data.size();
                    extra_data.pop_back();
                }
            }
            events.push_back({now_utc(), "disk_full", end, "{}"});
            failure = Error(ErrorCode::no_space, {layout.folder().string(), {}, {}},
                            message + "; make room and go on with appending to the store");
            notify_everybody();
            room.notify_all();
        }
        finish_current();
    }

    // ---- encoding

    void encode_loop() {
        std::unique_lock lock(mutex);
        for (;;) {
            const auto out_of_space = [&] { return reserve.released() && !space_handled; };
            const auto has_work = [&] {
                return stopping || fault ||
                       (!dead && (out_of_space() || !queue.empty() || (finish_requested && current)));
            };
            if (undrained && !dead) {
                work.wait_for(lock, kDrainAfter, [&] { return has_work() || drains_wanted > 0; });
            } else {
                work.wait(lock, has_work);
            }
            if (stopping) return;
            if (!has_work()) {
                lock.unlock();
                drain();
                lock.lock();
                undrained = false;
                settled.notify_all();
                continue;
            }
            if (fault) {
                undrained = false;
                lock.unlock();
                recover();
                lock.lock();
                continue;
            }
            if (out_of_space()) {
                lock.unlock();
                stop_for_space();
                lock.lock();
                continue;
            }
            encoding = true;
            if (queue.empty()) {
                lock.unlock();
                finish_current();
            } else {
                AddedFrame frame = std::move(queue.front());
                queue.pop_front();
                lock.unlock();
                encode(std::move(frame));
            }
            lock.lock();
            encoding = false;
            undrained = current && !fault && current->stored.size() < current->uncommitted.size();
            if (queue.empty() || failure) settled.notify_all();
        }
    }

    /// Frames that the encoder has taken and needs no others for reach the file.
    void drain() {
        const std::shared_ptr<Chunk> chunk = current;
        if (!chunk || !chunk->writer) return;
        const double begin = now_monotonic();
        catching_faults(chunk->number, [&] {
            chunk->writer->drain();
            take_stored(*chunk);
        });
        const std::lock_guard lock(mutex);
        statistics.encode_seconds += now_monotonic() - begin;
        let_images_go();
        if (options.commit_interval == 0.0) request_commit();
    }

    void encode(AddedFrame frame) {
        const double begin = now_monotonic();
        const double time = frame.time;
        const int64_t frame_index = frame.index;
        if (current && options.chunk_seconds && std::abs(time - current->first_time) >= *options.chunk_seconds) {
            finish_current();
        }
        std::shared_ptr<Chunk> chunk = current;
        cv::Mat image;
        {
            const std::lock_guard lock(mutex);
            if (dead) return;
            if (fault) {
                queue.push_front(std::move(frame));
                return;
            }
            if (!chunk) {
                chunk = std::make_shared<Chunk>();
                chunk->number = next_chunk++;
                chunk->first_index = frame.index;
                chunk->first_time = time;
                current = chunk;
                chunks.push_back(chunk);
            }
            image = frame.image.image();
            chunk->uncommitted.push_back(std::move(frame));
            ++chunk->given;
            ++retained;
        }
        catching_faults(chunk->number, [&] {
            if (!chunk->writer) {
                // The committing thread sees the writer only once something is stored.
                chunk->writer = format.create(layout.media(chunk->number), metadata.stored_type, options.codec,
                                              {.make_room = [this] { return make_room(); }});
            }
            try {
                chunk->writer->write(options.decode ? decode(*options.decode, image) : image);
            } catch (const Error& error) {
                // Other faults may be those of frames that the encoder was given before.
                if (error.code() != ErrorCode::wrong_type) throw;
                throw error.at({{}, {}, frame_index});
            }
            take_stored(*chunk);
        });
        {
            const std::lock_guard lock(mutex);
            statistics.encode_seconds += now_monotonic() - begin;
            let_images_go();
            if (options.commit_interval == 0.0) request_commit();
            if (fault) return;
        }
        if (chunk->given >= options.chunk_frames ||
            (options.chunk_bytes && chunk->writer->bytes_written() >= *options.chunk_bytes)) {
            finish_current();
        }
    }

    void take_stored(Chunk& chunk) {
        std::vector<StoredFrame> stored = chunk.writer->take_stored();
        const std::lock_guard lock(mutex);
        std::move(stored.begin(), stored.end(), std::back_inserter(chunk.stored));
    }

    /// Images that the encoder has had are only kept as far as memory allows. Called with the mutex held.
    void let_images_go() {
        if (options.commit_interval && retained > options.most_retained / 2) request_commit();
        for (const auto& chunk : chunks) {
            // Without an interval they would stay until the chunk is complete.
            const size_t most = options.commit_interval ? options.most_retained : 0;
            while (retained > most && chunk->without_image < chunk->uncommitted.size()) {
                chunk->uncommitted[chunk->without_image++].image = {};
                --retained;
            }
        }
        room.notify_all();
    }

    /// Hands the open chunk to the completing thread; waits while that is still at the one before.
    void finish_current() {
        std::unique_lock lock(mutex);
        if (!current) return;
        changed.wait(
            lock, [&] { return stopping || dead || fault || (!to_complete && chunks.size() <= kMostWaitingChunks); });
        if (fault || dead || stopping) return;
        to_complete = std::move(current);
        current.reset();
        notify_everybody();
    }

    // ---- completing containers

    void complete_loop() {
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock,
                         [&] { return stopping || prepared_pool || (to_complete && !fault && !dead && !completing); });
            if (stopping) return;
            if (prepared_pool) {
                FramePool& pool = *std::exchange(prepared_pool, nullptr);
                lock.unlock();
                try {
                    pool.prepare(kPreparedImages);
                } catch (const std::exception&) {
                    // Memory is short: whoever takes the image reports it.
                }
                lock.lock();
                continue;
            }
            const std::shared_ptr<Chunk> chunk = to_complete;
            completing = true;
            lock.unlock();
            bool done = false;
            catching_faults(chunk->number, [&] {
                const double begin = now_monotonic();
                chunk->writer->finish();
                take_stored(*chunk);
                done = true;
                const std::lock_guard guard(mutex);
                statistics.encode_seconds += now_monotonic() - begin;
                if (chunk->stored.size() != chunk->uncommitted.size()) {
                    throw Error(ErrorCode::internal, {layout.media(chunk->number).string(), chunk->number, {}},
                                fmt::format("{} frames were not written by the encoder",
                                            chunk->uncommitted.size() - chunk->stored.size()));
                }
            });
            lock.lock();
            completing = false;
            if (done && !fault) {
                chunk->finished = true;
                to_complete.reset();
            }
            notify_everybody();
        }
    }

    // ---- committing

    bool chunk_waits() const { return !chunks.empty() && chunks.front()->finished; }

    void commit_loop() {
        using Clock = std::chrono::steady_clock;
        const bool timed = options.commit_interval.value_or(0) > 0;
        const auto interval = std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(std::min(options.commit_interval.value_or(0), kLongestInterval)));
        Clock::time_point due = Clock::now() + interval;
        std::unique_lock lock(mutex);
        for (;;) {
            const auto wanted = [&] {
                return stopping || (!fault && !dead && (commits_requested > commits_done || chunk_waits()));
            };
            if (timed) {
                changed.wait_until(lock, due, wanted);
            } else {
                changed.wait(lock, wanted);
            }
            if (stopping) return;
            if (fault || dead) {
                // Another thread is about to deal with it; this one must not spin meanwhile.
                changed.wait(lock, [&] { return stopping || (!fault && !dead); });
                continue;
            }
            const int64_t mine = commits_requested;
            committing = true;
            lock.unlock();
            commit_all();
            lock.lock();
            committing = false;
            if (!fault) commits_done = std::max(commits_done, mine);
            due = Clock::now() + interval;
            notify_everybody();
        }
    }

    /// What one commit takes to the index.
    struct Batch {
        std::shared_ptr<Chunk> chunk;
        std::vector<NewFrame> frames;
        std::vector<ExtraDataRow> extra_data;
        std::vector<EventRow> events;
        bool finished = false;
        std::set<int64_t> reopened = {};
    };

    void commit_all() {
        const std::lock_guard index_lock(index_mutex);
        while (commit_next()) {
        }
    }

    Batch next_batch() {
        const std::lock_guard lock(mutex);
        Batch batch;
        // Known frames have all a row; extra data must not come before their frame.
        int64_t end = known_frames;
        if (!chunks.empty()) {
            batch.chunk = chunks.front();
            const Chunk& chunk = *batch.chunk;
            for (size_t i = 0; i < chunk.stored.size(); ++i)
                batch.frames.push_back({chunk.uncommitted[i].number, chunk.uncommitted[i].time, chunk.stored[i]});
            batch.finished = chunk.finished;
            end = chunk.first_index + chunk.committed + static_cast<int64_t>(batch.frames.size());
        }
        while (!extra_data.empty() && extra_data.front().frame_index < end) {
            batch.extra_data.push_back(std::move(extra_data.front()));
            extra_data.pop_front();
        }
        // A run of drops that goes on is written as far as it has come, and its rest as another event.
        if (drops) end_drop_run(queue_end());
        batch.events.swap(events);
        return batch;
    }

    /// One chunk's share of a commit; true when there may be more to do at once.
    bool commit_next() {
        Batch batch = next_batch();
        const bool wants_media = batch.chunk && (!batch.frames.empty() || batch.finished);
        if (!wants_media && batch.extra_data.empty() && batch.events.empty()) return false;
        if (wants_media) {
            const double begin = now_monotonic();
            bool synced = false;
            catching_faults(batch.chunk->number, [&] {
                batch.chunk->writer->sync();
                synced = true;
            });
            const std::lock_guard lock(mutex);
            statistics.sync_seconds += now_monotonic() - begin;
            // Another thread may have met the failure, and this one found nothing left to sync.
            if (!synced || batch.chunk->failed) {
                put_back(batch);
                return false;
            }
        }
        const double begin = now_monotonic();
        try {
            with_room([&] { write_rows(batch); });
        } catch (const std::exception& problem) {
            // Rolled back. The index cannot be exchanged for another, so this ends the recording.
            const auto* error = dynamic_cast<const Error*>(&problem);
            const std::lock_guard lock(mutex);
            put_back(batch);
            index_failed = true;
            die(error ? error->at({layout.folder().string(), {}, {}}) : Error(ErrorCode::internal, problem.what()));
            return false;
        }
        {
            const std::lock_guard lock(mutex);
            statistics.commit_seconds += now_monotonic() - begin;
            ++statistics.commits;
            if (!batch.frames.empty()) faults_since_commit = 0;
            note_committed(batch);
        }
        room.notify_all();
        for (const int64_t late : batch.reopened) complete(late);
        if (!batch.finished) return false;
        batch.chunk->writer.reset();
        if (batch.chunk->in_index) complete(batch.chunk->number);
        const std::lock_guard lock(mutex);
        chunks.pop_front();
        ++statistics.chunks_completed;
        notify_everybody();
        return true;
    }

    /// Called with the mutex held.
    void put_back(Batch& batch) {
        extra_data.insert(extra_data.begin(), std::make_move_iterator(batch.extra_data.begin()),
                          std::make_move_iterator(batch.extra_data.end()));
        events.insert(events.begin(), std::make_move_iterator(batch.events.begin()),
                      std::make_move_iterator(batch.events.end()));
    }

    void write_rows(Batch& batch) {
        Chunk* chunk = batch.chunk.get();
        const bool new_chunk = chunk && !batch.frames.empty() && !chunk->in_index;
        bool new_stream = false;
        try {
            Transaction transaction(index.database());
            if (new_chunk) index.add_chunk(chunk->number, false);
            if (!batch.frames.empty()) {
                const std::optional<VideoStream> stream = chunk->stream_saved ? std::nullopt : chunk->writer->stream();
                if (stream) index.set_stream(*stream);
                new_stream = stream.has_value();
                index.add_frames(batch.frames);
            }
            for (const ExtraDataRow& record : batch.extra_data) index.add_extra_data(record.frame_index, record.data);
            // Their files lack these records: only when they have them the chunks are closed again.
            batch.reopened = chunks_of_late_extra_data(batch);
            for (const int64_t late : batch.reopened) index.reopen_chunk(late);
            for (const EventRow& event : batch.events) index.add_event(event);
            transaction.commit();
        } catch (const Error&) {
            // What the index remembers of the rows has to go too.
            index.reload();
            throw;
        }
        if (new_chunk) chunk->in_index = true;
        if (new_stream) chunk->stream_saved = true;
    }

    /// Called with the mutex held.
    void note_committed(const Batch& batch) {
        for (const ExtraDataRow& record : batch.extra_data) extra_data_bytes -= record.data.size();
        if (batch.frames.empty()) return;
        Chunk& chunk = *batch.chunk;
        const size_t count = batch.frames.size();
        retained -= count - std::min(count, chunk.without_image);
        chunk.without_image -= std::min(count, chunk.without_image);
        chunk.uncommitted.erase(chunk.uncommitted.begin(), chunk.uncommitted.begin() + static_cast<ptrdiff_t>(count));
        chunk.stored.erase(chunk.stored.begin(), chunk.stored.begin() + static_cast<ptrdiff_t>(count));
        chunk.committed += static_cast<int64_t>(count);
        known_frames = chunk.first_index + chunk.committed;
        statistics.frames_committed += static_cast<int64_t>(count);
    }

    /// The media are complete and durable and all rows committed: the sidecars, then the mark.
    void complete(int64_t chunk) {
        try {
            with_room([&] { complete_chunk_files(index, layout, metadata, chunk); });
            with_room([&] { mark_closed(chunk); });
        } catch (const std::exception& problem) {
            // The frames are safe; only other programs need what is missing.
            const auto* error = dynamic_cast<const Error*>(&problem);
            const Error placed =
                (error ? *error : Error(ErrorCode::internal, problem.what())).at({layout.folder().string(), chunk, {}});
            const Json data = {{"error", placed.what()}, {"code", to_string(placed.code())}, {"chunk", chunk}};
            const std::lock_guard lock(mutex);
            ++statistics.faults;
            unfinished.push_back(fmt::format("{}; the chunk is readable but not complete", placed.what()));
            events.push_back({now_utc(), "fault", known_frames, data.dump()});
        }
    }

    void mark_closed(int64_t chunk) {
        try {
            Transaction transaction(index.database());
            record_complete_chunk(index, layout, chunk);
            transaction.commit();
        } catch (const Error&) {
            index.reload();
            throw;
        }
    }

    /// Chunks, complete by now, that extra data came for.
    std::set<int64_t> chunks_of_late_extra_data(const Batch& batch) const {
        std::set<int64_t> late;
        for (const ExtraDataRow& record : batch.extra_data) {
            const std::optional<FrameRow> row = index.row(record.frame_index);
            const std::optional<ChunkRow> chunk = row ? index.find_chunk(row->chunk) : std::nullopt;
            if (chunk && chunk->closed) late.insert(chunk->chunk);
        }
        return late;
    }

    // ---- after the end

    void save_what_is_stored() noexcept {
        try {
            std::unique_lock lock(mutex);
            settled.wait(lock, [&] { return !committing && !completing && !encoding; });
            // A file that a write or sync has failed on is not trusted any more.
            if (index_failed || chunks.empty() || chunks.front()->failed) return;
            lock.unlock();
            const std::lock_guard index_lock(index_mutex);
            commit_next();
        } catch (const std::exception&) {
            // The failure that led here is the one to report.
            return;
        }
    }

    WriterStats stats() const {
        const std::lock_guard lock(mutex);
        WriterStats stats = statistics;
        stats.queue_depth = static_cast<int64_t>(queue.size());
        std::optional<double> oldest;
        if (!queue.empty()) oldest = queue.front().added;
        for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
            if (!(*chunk)->uncommitted.empty()) oldest = (*chunk)->uncommitted.front().added;
        }
        if (oldest) stats.durable_lag = now_monotonic() - *oldest;
        return stats;
    }

    FrameIndex& index;  // by index_mutex
    const StoreLayout& layout;
    const StoreMetadata& metadata;
    const ChunkFormat& format;
    SpaceReserve& reserve;
    const WritePipelineOptions options;

    std::mutex index_mutex;           // taken before `mutex`
    mutable std::mutex mutex;         // guards what follows
    std::condition_variable work;     // for the encoding thread
    std::condition_variable changed;  // for the others
    std::condition_variable settled;  // for callers that wait
    std::condition_variable room;     // an image may have been given back
    std::deque<AddedFrame> queue;
    std::deque<ExtraDataRow> extra_data;
    size_t extra_data_bytes = 0;
    std::vector<EventRow> events;
    std::optional<DropRun> drops;
    std::deque<std::shared_ptr<Chunk>> chunks;  // that are not complete, in order; the last may be `current`
    std::shared_ptr<Chunk> current;             // written only by the encoding thread
    std::shared_ptr<Chunk> to_complete;
    int64_t next_chunk;
    int64_t known_frames;  // committed, in the whole store
    size_t retained = 0;   // frames in `chunks` with an image
    std::optional<Fault> fault;
    int faults_since_commit = 0;
    std::optional<Error> failure;  // thrown by every call
    bool dead = false;             // nothing more is written; else the open chunk is still completed
    bool index_failed = false;
    bool space_handled = false;
    bool stopping = false;
    bool encoding = false;
    bool undrained = false;  // the encoder has taken frames that are not in the file
    int drains_wanted = 0;   // callers that wait for the encoder
    bool completing = false;
    bool committing = false;
    bool finish_requested = false;
    int64_t commits_requested = 0;
    int64_t commits_done = 0;
    FramePool* prepared_pool = nullptr;
    WriterStats statistics;
    std::vector<std::string> unfinished;

    std::thread encode_thread;
    std::thread complete_thread;
    std::thread commit_thread;
};

WritePipeline::WritePipeline(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                             const ChunkFormat& format, SpaceReserve& reserve, int64_t next_chunk,
                             const WritePipelineOptions& options)
    : impl_(std::make_unique<Impl>(index, layout, metadata, format, reserve, next_chunk, options)) {}

WritePipeline::~WritePipeline() = default;

PooledImage WritePipeline::take_image(FramePool& pool, bool wait) {
    return impl_->take_image(pool, wait);
}

void WritePipeline::add(AddedFrame frame) {
    impl_->add(std::move(frame));
}

void WritePipeline::add_extra_data(ExtraDataRow record) {
    impl_->add_extra_data(std::move(record));
}

void WritePipeline::add_event(EventRow event) {
    const std::lock_guard lock(impl_->mutex);
    impl_->events.push_back(std::move(event));
}

void WritePipeline::add_drop(int64_t number, double time, const std::string& cause) {
    impl_->add_drop(number, time, cause);
}

void WritePipeline::commit() {
    impl_->commit();
}

void WritePipeline::finish_chunk() {
    impl_->finish_chunk();
}

void WritePipeline::with_index(const std::function<void()>& action) {
    const std::lock_guard lock(impl_->index_mutex);
    action();
    const std::lock_guard state_lock(impl_->mutex);
    impl_->known_frames = impl_->index.frame_count();
}

int64_t WritePipeline::take_chunk_number() {
    const std::lock_guard lock(impl_->mutex);
    return impl_->next_chunk++;
}

void WritePipeline::give_back_chunk_number() {
    const std::lock_guard lock(impl_->mutex);
    --impl_->next_chunk;
}

void WritePipeline::check() const {
    const std::lock_guard lock(impl_->mutex);
    impl_->rethrow_failure();
}

bool WritePipeline::complete() const {
    const std::lock_guard lock(impl_->mutex);
    return !impl_->dead && impl_->all_complete();
}

void WritePipeline::save_what_is_stored() noexcept {
    impl_->save_what_is_stored();
}

WriterStats WritePipeline::stats() const {
    return impl_->stats();
}

std::vector<std::string> WritePipeline::unfinished() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->unfinished;
}

}  // namespace reelstore
