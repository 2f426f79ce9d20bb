#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/frame_source.h"
#include "store/frame_index.h"
#include "store/metadata.h"

namespace reelstore {

struct StoreReaderOptions {
    bool decode = true;  ///< false: raw images of a store with an encoding come back as they were stored
};

/// Reads a store: next frame, or any frame by index, number or time, whatever was read before.
///
/// Opens what reelstore and imgstore wrote. A store without an index (imgstore's) is opened from its chunks' sidecars;
/// what is missing or damaged there is said in warnings() and costs only the chunk concerned. Used by one thread at a
/// time; readers are independent of each other; that goes for const members too, which share prepared statements and
/// caches.
class StoreReader : public FrameSource, public RandomAccess {
public:
    /// `path` is the store's folder or its metadata.yaml. Throws Error(not_found, not_a_store, corrupt, unsupported).
    explicit StoreReader(const std::filesystem::path& path, const StoreReaderOptions& options = {});
    ~StoreReader() override;

    // Frames. Every call throws Error naming file, chunk and frame when the frame is listed but cannot be read; all
    // other frames stay readable.
    std::optional<Frame> next() override;
    /// next() continues with the frame at `index`; frame_count() means the end. Throws Error(invalid_argument) outside.
    void seek(int64_t index);
    Frame at_index(int64_t index) override;
    std::optional<Frame> at_number(int64_t number, Match match = Match::exact);
    /// Throws Error(invalid_argument) when `time` is not finite.
    std::optional<Frame> at_time(double time, Match match = Match::nearest);
    /// The frames at these indices, in this order, all in memory; an index may occur several times, and its frames then
    /// share their pixels.
    std::vector<Frame> at_indices(std::span<const int64_t> indices);

    // The frame table
    int64_t frame_count() const override;
    std::optional<FrameRow> row(int64_t index) const;
    std::optional<FrameRow> find_number(int64_t number, Match match = Match::exact) const;
    std::optional<FrameRow> find_time(double time, Match match = Match::nearest) const;
    /// Rows first..last-1 in order; stops when `visit` returns false. `last` is cut to frame_count().
    void visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const;
    /// The whole table.
    std::vector<FrameRow> rows() const;
    std::optional<std::pair<int64_t, int64_t>> number_range() const;
    std::optional<std::pair<double, double>> time_range() const;
    /// Chunks that hold frames, in order.
    std::vector<int64_t> chunks() const;

    // Extra data
    bool has_extra_data() const;
    /// Records of the frames first..last-1 in order of frame; stops when `visit` returns false. Damaged records are
    /// passed over and counted in warnings().
    void visit_extra_data(int64_t first, int64_t last, const std::function<bool(const ExtraRecord&)>& visit) const;
    std::vector<ExtraRecord> all_extra_data() const;
    /// Samples per second of Motif's extra data; nothing when none is given. Throws Error(unsupported) when its data
    /// sets have different rates.
    std::optional<double> extra_data_sample_rate() const;

    // Facts
    const StoreMetadata& metadata() const;
    /// Type of the frames that reading gives.
    const ImageType& image_type() const;
    const std::filesystem::path& folder() const;
    /// Latest minus earliest time, in seconds; 0 for an empty store.
    double duration() const;
    /// The rate the hardware was set to (see motif_frame_rate()), else one over the median interval of the first
    /// chunk's times; nothing when neither can be told.
    std::optional<double> frame_rate(bool hardware_only = false) const;
    /// False while a writer has the store open, or when one was killed.
    bool closed() const;
    bool lossless() const;
    /// Bytes of the chunks' media on disk.
    uint64_t media_bytes() const;
    /// What was missing, damaged or corrected so far, one sentence each.
    const std::vector<std::string>& warnings() const;
    /// True when something of the recording was left out so far: a chunk without numbers and times or without its
    /// media, or damaged extra data; warnings() says what.
    bool incomplete() const;
    DecodeCounters counters() const;

    // FrameSource
    const SourceInfo& info() const override;
    RandomAccess* random_access() override { return this; }
    std::vector<Json> extra_data() override;
    const Json& user_metadata() const override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace reelstore
