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
#include "base/encoding.h"
#include "store/frame_index.h"
#include "store/metadata.h"
#include "store/recording.h"

namespace reelstore {

struct StoreReaderOptions {
    bool decode = true;  ///< false: raw images of a store with an encoding come back as they were stored
    Demosaic demosaic = Demosaic::bilinear;  ///< of stores with a Bayer encoding; counts for no others
    std::optional<cv::Rect> crop = {};       ///< the part of every image that is given; must lie within it
    int threads = 0;                         ///< that decode at once, for batches and for next(); 0: one per core
    size_t cache_bytes = size_t{128} << 20;  ///< decoded frames kept for steps back, in bytes of pixels
    /// Frames of raw/npy look into the file. False: they are read, so that a sector that cannot be read, or a file that
    /// is cut off meanwhile, is an Error and not the end of the program.
    bool map = true;
    /// Frames of raw/npy are compared with the checksums taken while recording, which costs a look at every pixel;
    /// those of all other formats are in any case.
    bool check_bytes = false;
};

/// Reads a store: next frame, or any frame by index, number or time, whatever was read before.
///
/// Opens what reelstore and imgstore wrote. A store without an index (imgstore's) is opened from its chunks' sidecars;
/// what is missing or damaged there is said in warnings() and costs only the chunk concerned. Used by one thread at a
/// time; readers are independent of each other; that goes for const members too, which share prepared statements and
/// caches.
///
/// Frames that `store trim` removes after the opening are Error(not_found) from then on; the others keep their indices
/// until the store is opened anew, which counts from the first frame there is.
///
/// A store can be opened at any moment while it is written, by this process or another, and after its writer was
/// killed: then it has exactly the frames committed so far, and refresh() takes over those committed since. To follow a
/// recording to its end:
///
///     StoreReader store("mystore");
///     for (;;) {
///         while (std::optional<Frame> frame = store.next()) show(*frame);
///         if (store.closed()) break;
///         if (store.refresh()) continue;
///         if (!StoreLock::held(store.folder()) && !store.refresh()) break;  // its writer is gone
///         std::this_thread::sleep_for(std::chrono::milliseconds(100));
///     }
class StoreReader : public Recording {
public:
    /// `path` is the store's folder or its metadata.yaml. Throws Error(not_found, not_a_store, corrupt, unsupported).
    explicit StoreReader(const std::filesystem::path& path, const StoreReaderOptions& options = {});
    ~StoreReader() override;
    /// Another reader of this store for another thread, with its own decoders and its own next(), which begins at frame
    /// 0. Cheap: it shares the index and the facts learned at opening, and neither reader need outlive the other. May
    /// be called by the thread that uses this reader.
    std::unique_ptr<StoreReader> clone() const;
    /// Takes over what a writer has committed since the opening or the last call, for this reader and its clones: more
    /// frames, at the end; extra data and events; closed(). True when there was anything. What was there before does
    /// not change, and next() continues; clones in other threads may read meanwhile. Costs some microseconds when there
    /// is nothing new. Stores without an index of their own stay as they were opened.
    bool refresh();

    // Frames. Every call throws Error naming file, chunk and frame when the frame is listed but cannot be read; all
    // other frames stay readable.
    /// Called several times in a row, it reads ahead on the threads of the options.
    std::optional<Frame> next() override;
    /// next() continues with the frame at `index`; frame_count() means the end. Throws Error(invalid_argument) outside.
    void seek(int64_t index);
    Frame at_index(int64_t index) override;
    /// Every group of pictures is decoded once, on the threads of the options.
    std::vector<Frame> at_indices(std::span<const int64_t> indices) override;
    int64_t entry_of(int64_t index) override;
    void will_read(std::span<const int64_t> indices) override;
    std::unique_ptr<RandomAccess> clone_access() override;
    int threads() const override;

    // The frame table
    int64_t frame_count() const override;
    std::optional<FrameRow> row(int64_t index) const override;
    std::optional<FrameRow> find_number(int64_t number, Match match = Match::exact) const override;
    std::optional<FrameRow> find_time(double time, Match match = Match::nearest) const override;
    void visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const override;
    std::optional<std::pair<int64_t, int64_t>> number_range() const override;
    std::optional<std::pair<double, double>> time_range() const override;
    bool numbers_ascend() const override;
    std::vector<IndexRun> runs_of_numbers(int64_t low, int64_t high) const override;
    std::vector<IndexRun> runs_of_times(double low, double high) const override;
    /// Chunks that hold frames, in order.
    std::vector<int64_t> chunks() const;
    /// The chunk that holds a frame; nothing when there is no such frame.
    std::optional<ChunkRow> chunk_at(int64_t index) const;
    /// The packets of a video chunk, as recorded or else by a scan of its file, whose errors are thrown.
    std::shared_ptr<const PacketTable> packet_table(int64_t chunk) const;
    /// The checksum recorded for the bytes of a frame; nothing when there is none.
    std::optional<uint32_t> checksum(int64_t index) const;

    // Extra data
    bool has_extra_data() const override;
    void visit_extra_data(int64_t first, int64_t last,
                          const std::function<bool(const ExtraRecord&)>& visit) const override;
    /// Samples per second of Motif's extra data; nothing when none is given. Throws Error(unsupported) when its data
    /// sets have different rates.
    std::optional<double> extra_data_sample_rate() const;

    // Events (dropped frames, faults, steps of the clock, repairs; spec/format.md), in order of happening
    void visit_events(const std::function<bool(const EventRow&)>& visit) const;
    int64_t event_count() const;

    // Facts
    const StoreMetadata& metadata() const;
    /// Type of the frames that reading gives.
    const ImageType& image_type() const;
    const std::filesystem::path& folder() const;
    const std::filesystem::path& path() const override { return folder(); }
    /// The rate the hardware was set to (see motif_frame_rate()), else one over the median interval of the first
    /// chunk's times; nothing when neither can be told.
    std::optional<double> frame_rate(bool hardware_only = false) const;
    /// False while a writer has the store, or when one was killed; as of the opening or the last refresh().
    bool closed() const override;
    /// True when the store has an index of its own, which shows what is being written.
    bool has_index() const;
    bool lossless() const;
    uint64_t media_bytes() const override;
    /// What was missing, damaged or corrected so far, one sentence each.
    const std::vector<std::string>& warnings() const override;
    /// True when something of the recording was left out so far: a chunk without numbers and times or without its
    /// media, or damaged extra data; warnings() says what.
    bool incomplete() const override;
    DecodeCounters counters() const override;

    // FrameSource
    const SourceInfo& info() const override;
    std::vector<Json> extra_data() override;
    const Json& user_metadata() const override;

private:
    StoreReader(const StoreReader& other);

    struct Opened;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace reelstore
