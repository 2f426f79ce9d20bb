#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/frame_pool.h"
#include "codecs/chunk_format.h"
#include "base/encoding.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/metadata.h"
#include "store/space_reserve.h"

namespace reelstore {

/// What a writer has done and what it still has before it.
struct WriterStats {
    int64_t frames_added = 0;      ///< accepted by add()
    int64_t frames_committed = 0;  ///< on the disk and in the index
    int64_t frames_dropped = 0;    ///< refused because the queue was full, or reported by the caller
    int64_t queue_depth = 0;       ///< frames that wait for the encoder now
    int64_t queue_high_water = 0;  ///< the most there were
    int64_t faults = 0;            ///< of the disk or the encoder, after each of which a new chunk was begun
    int64_t commits = 0;           ///< to the index
    int64_t chunks_completed = 0;  ///< containers finished, with their sidecars
    double encode_seconds = 0;     ///< spent encoding and writing media
    double sync_seconds = 0;       ///< spent waiting for media to reach the disk
    double commit_seconds = 0;     ///< spent writing the index
    double durable_lag = 0;        ///< seconds since the oldest frame that is not yet durable was added; 0 if none
};

struct WritePipelineOptions {
    CodecOptions codec = {};
    int64_t chunk_frames = 0;
    std::optional<double> chunk_seconds = {};
    std::optional<uint64_t> chunk_bytes = {};
    std::optional<double> commit_interval = 1.0;  ///< none: only complete chunks are committed
    const Encoding* decode = nullptr;             ///< raw images are decoded before they are stored
    size_t most_retained = 0;  ///< images kept until they are durable, to be written again after a fault
};

/// A frame on its way from the caller to the disk.
struct AddedFrame {
    PooledImage image;  ///< empty once it need not be kept any longer
    int64_t index = 0;
    int64_t number = 0;
    double time = 0;
    double added = 0;  ///< when, by now_monotonic()
};

/// The threads behind a StoreWriter: one encodes and appends, one completes the containers of full chunks, one makes
/// what was written durable and then commits it to the index, in the order of spec/durability.md.
///
/// Frames are given in order of index without gaps, by one thread. An image stays in memory until its frame is durable
/// (as far as `most_retained` goes), so that after a failed write or sync everything that is not certain to be on the
/// disk is written again, to a new chunk; two faults without a commit between them end the recording. What ends it is
/// thrown by every call after it.
class WritePipeline {
public:
    /// The objects must outlive the pipeline. Chunks get the numbers from `next_chunk` on. The index is the pipeline's
    /// until it is destroyed; see with_index().
    WritePipeline(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                  const ChunkFormat& format, SpaceReserve& reserve, int64_t next_chunk,
                  const WritePipelineOptions& options);
    /// Ends the threads. What was not committed is lost.
    ~WritePipeline();
    WritePipeline(const WritePipeline&) = delete;
    WritePipeline& operator=(const WritePipeline&) = delete;

    /// An image of the pool. With `wait` blocks until one is free; else empty when none is.
    PooledImage take_image(FramePool& pool, bool wait);
    void add(AddedFrame frame);
    void add_extra_data(ExtraDataRow record);
    void add_event(EventRow event);
    /// A frame that was not taken; runs of them become events.
    void add_drop(int64_t number, double time, const std::string& cause);

    /// Returns when everything given so far is committed, but for what the encoder holds back.
    void commit();
    /// Completes the open chunk; returns when everything given so far is committed and every chunk complete.
    void finish_chunk();
    /// Runs `action` while no other thread uses the index. Call after finish_chunk().
    void with_index(const std::function<void()>& action);
    /// The next chunk number, which is used up by the call. Call after finish_chunk().
    int64_t take_chunk_number();
    /// Nothing has come of the chunk whose number was taken last: the next one gets it.
    void give_back_chunk_number();

    /// Throws what has ended the recording, if anything has.
    void check() const;
    /// Whether every frame that was not refused is committed and every chunk complete.
    bool complete() const;
    /// Frames that were encoded and stored before the recording ended with an error are committed.
    void save_what_is_stored() noexcept;
    WriterStats stats() const;
    /// Why chunks could not be completed (`store repair` tries again), one sentence each.
    std::vector<std::string> unfinished() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace reelstore
