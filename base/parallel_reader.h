#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/frame_source.h"

namespace reelstore {

/// More frames than any source has: a longer step selects only its first frame and might overflow on the way.
inline constexpr int64_t kLongestStep = int64_t{1} << 40;

/// Threads to use where 0 stands for one per core of the machine.
int thread_count(int wanted);

/// Reads batches of frames on several threads, each with a reader of its own that is kept for the next batch. Used by
/// one thread at a time, which works along.
class ParallelReader {
public:
    /// `access` must outlive this object. `threads` 0: one per core. A source that cannot be cloned is read on the
    /// caller's thread.
    explicit ParallelReader(RandomAccess& access, int threads = 0);
    ~ParallelReader();

    /// The frames at these indices, in this order, all in memory. Every group of pictures is decoded once, whatever the
    /// order; an index may occur several times, and its frames then share their pixels. Throws
    /// Error(invalid_argument) for an index that does not exist, before anything is read, and otherwise what reading
    /// the first frame that cannot be read throws.
    std::vector<Frame> read(std::span<const int64_t> indices);

    /// Work of the clones; that of the source given is not in it.
    DecodeCounters counters() const;

private:
    struct Batch;
    static void work(RandomAccess& access, Batch& batch);

    RandomAccess& access_;
    int threads_;
    std::vector<std::unique_ptr<RandomAccess>> clones_;
};

/// One batch through a ParallelReader of its own.
std::vector<Frame> read_frames(RandomAccess& access, std::span<const int64_t> indices, int threads = 0);

struct ReadAheadOptions {
    int threads = 0;  ///< 0: one per core
    /// Pixels waiting to be taken, at most; a frame that is waited for always fits.
    size_t ahead_bytes = size_t{256} << 20;
};

/// Reads frames in a given order on several threads, ahead of the one who takes them.
///
/// Each thread decodes whole groups of pictures with a reader of its own. Used by one thread at a time.
class ReadAhead {
public:
    /// Next index to be read, or nothing at the end; asked on the thread that calls next(), some frames before they are
    /// taken.
    using IndexSource = std::function<std::optional<int64_t>()>;

    /// `access` must outlive this object; its own position is not moved, and it may be used meanwhile by the thread
    /// that calls next(). A source that cannot be cloned is read when a frame is taken.
    ReadAhead(RandomAccess& access, IndexSource indices, const ReadAheadOptions& options = {});
    /// Stops the threads; frames not taken are lost.
    ~ReadAhead();

    /// The next frame; nothing behind the last. Throws what reading that frame threw; calling again then continues
    /// behind it.
    std::optional<Frame> next();
    /// Ends the threads; next() must not be called any more.
    void stop();

    /// Work of the clones.
    DecodeCounters counters() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// next() for a source with random access: reads ahead as soon as more than a few frames are taken one after another;
/// behind an end that was reached once, of a source that grows, only where many frames have come. Used by one thread at
/// a time.
class SequentialReader {
public:
    /// `access` must outlive this object.
    explicit SequentialReader(RandomAccess& access, const ReadAheadOptions& options = {});
    SequentialReader(const SequentialReader&) = delete;
    SequentialReader& operator=(const SequentialReader&) = delete;

    /// The frame at position(), which then moves on by one, even when reading it throws; nothing at the end.
    std::optional<Frame> next();
    int64_t position() const { return position_; }
    void seek(int64_t position);
    /// Work of the clones.
    DecodeCounters counters() const;

private:
    RandomAccess& access_;
    ReadAheadOptions options_;
    int64_t position_ = 0;
    int64_t taken_in_order_ = 0;
    bool has_met_end_ = false;
    std::unique_ptr<ReadAhead> ahead_;
    DecodeCounters ended_;  ///< of earlier ahead_
};

}  // namespace reelstore
