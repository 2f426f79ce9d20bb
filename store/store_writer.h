#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/frame_pool.h"
#include "base/frame_source.h"
#include "codecs/chunk_format.h"
#include "store/frame_index.h"
#include "store/write_pipeline.h"

namespace reelstore {

/// What add() does when all buffers are full because the disk or the encoder cannot keep up.
enum class Overflow {
    block,  ///< wait
    drop,   ///< refuse the frame; every run of refused frames becomes an event of the store
};

struct StoreWriterOptions {
    /// One of chunk_formats(); empty: avc1/mp4 for a new store. A store that is continued keeps its own.
    std::string format = {};
    std::optional<int64_t> chunk_frames = {};  ///< frames a chunk; none: the format's default
    std::optional<double> chunk_seconds = {};  ///< begin a new chunk when the frames' times span this much
    std::optional<uint64_t> chunk_bytes = {};  ///< begin a new chunk once this much has been written
    std::string metadata = {};                 ///< the user's own keys: a mapping as YAML or JSON text
    std::string encoding = {};                 ///< "cv_...": images are raw; kept as they are, decoded when read
    CodecOptions codec = {};                   ///< crf, gop, preset...; `store formats` lists them
    std::string time_zone = {};                ///< IANA name; empty: this machine's
    std::optional<double> created = {};        ///< when it was recorded, seconds since the Unix epoch; none: now
    /// Seconds between commits: what a crash can cost, beside what the encoder holds back. 0: add() returns when its
    /// frame is durable; none: only complete chunks are committed.
    std::optional<double> commit_interval = 1.0;
    bool append = false;                      ///< continue the store if there is one already
    Overflow overflow = Overflow::block;      ///< when the buffers are full
    size_t buffer_bytes = size_t{256} << 20;  ///< images in memory, waiting to be encoded or to become durable
};

/// What the index keeps of frames whose encoded bytes have been written.
struct WrittenFrames {
    std::vector<int64_t> numbers;
    std::vector<double> times;  ///< as many; NaN only for frames of foreign stores that give none
    /// Of a video: where the packets are, for exactly these frames; null: not known, the file is scanned to read it.
    std::shared_ptr<const PacketTable> packets = {};
    /// Of image files: size and checksum of each.
    std::vector<StoredFrame> files = {};
    bool synthetic = false;  ///< numbers and times are guesses of a repair
};

/// Frames that are encoded already, to become a chunk without being decoded.
struct EncodedChunk {
    ImageType type;                ///< of the frames; the first one's is the store's
    ImageType recorded_type = {};  ///< of the pictures in the media where they are larger by padding
    /// Writes the media to a path where nothing is and syncs them, but not the folder they are in. May leave frames out
    /// that cannot be had; without any frame there is no chunk.
    std::function<WrittenFrames(const std::filesystem::path& media)> write;
    /// Called behind write(), if given: hands over the records of the frames in order, as JSON objects, each with the
    /// position of its frame in the chunk.
    std::function<void(const std::function<void(int64_t position, const std::string& record)>&)> extra_data = {};
    /// Called behind write(), if given: what happened to the recording, with positions as frame_index.
    std::function<std::vector<EventRow>(int64_t chunk)> events = {};
};

/// Throws what the constructor of StoreWriter would throw for these options, before anything is touched.
void check_store_options(const StoreWriterOptions& options);

/// Writes a store, chunk by chunk, so that a crash costs no more than the last commit interval (spec/durability.md).
///
/// add() copies the image and returns; encoding, writing and syncing go on behind it on threads of the writer. Size,
/// pixel type and channels are learned from the first frame and then enforced: a frame that differs is an
/// Error(wrong_type) and the store goes on without it. Times must be finite; they may go backwards, which becomes an
/// event.
///
/// A failed write or sync makes the writer begin a new chunk with everything that is not certain to be on the disk, and
/// record an event. When that fails too, or the index cannot be written, or the disk is full (the open chunk is then
/// still completed), the next call throws, and every further one again; what was committed stays readable. A video
/// encoder holds some frames back (its threads and lookahead, about a dozen by default).
///
/// Used by one thread at a time; one writer a store. A writer belongs to the process that made it: in a forked child
/// every call that writes throws Error(invalid_argument) and the destructor does nothing.
class StoreWriter : public FrameSink {
public:
    /// Creates the folder, whose parent must exist; with `append` a store that is there already, closed or left by a
    /// killed writer, is continued behind its last committed frame, after its open chunks were completed
    /// (store/repair.h). Throws Error(already_exists) when there is anything else, Error(locked) while another writer
    /// has the store, and Error(invalid_argument) for an unknown format, encoding, codec option, metadata that is no
    /// mapping, or options that do not fit the store to be continued.
    explicit StoreWriter(const std::filesystem::path& path, const StoreWriterOptions& options = {});
    /// Closes; an error is lost then, so call close().
    ~StoreWriter() override;

    /// Adds one frame; the pixels may be reused when it returns. False when it was refused (Overflow::drop).
    bool add(const cv::Mat& image, int64_t number, double time);
    /// An image of `type` to be filled and handed to add(), which saves the copy. Empty when there is none free and
    /// frames are to be dropped; then call report_dropped().
    PooledImage acquire(const ImageType& type);
    /// Adds a frame in an image from acquire() of this writer.
    bool add(PooledImage image, int64_t number, double time);
    /// Records that a frame was lost before it came here, by a camera for instance. Runs with the same cause become one
    /// event `dropped` with first, last and count.
    void report_dropped(int64_t number, double time, const std::string& cause);
    /// Ties a record (a JSON object) to the frame added last. Throws Error(invalid_argument) before the first frame and
    /// for the keys frame_index, frame_number and frame_time, which every record gets, for text that is not UTF-8 and
    /// for records of more than 16 MiB, 10,000 keys or 64 levels.
    void add_extra_data(const Json& record);
    /// Returns when everything added so far is durable, but for the frames that the encoder holds back.
    void commit();

    enum class Adopt { copy, move };
    /// Takes an existing video file in as the next chunk, without re-encoding. It must have the container of this
    /// store's format, frames of the store's type and exactly as many as `numbers` and `times`. An open chunk is closed
    /// first. Throws Error(invalid_argument, wrong_type, not_found or corrupt), and the store goes on, when the file
    /// does not fit; an error while it is copied is one of the disk.
    void insert_chunk(const std::filesystem::path& video, std::span<const int64_t> numbers,
                      std::span<const double> times, Adopt adopt = Adopt::copy);

    /// The general form: whatever writes the media of a chunk. An open chunk is closed first. What `write` throws is
    /// passed on, and the store goes on without that chunk; so it does after Error(invalid_argument, wrong_type) for
    /// frames that do not fit. Any other Error is one of the disk.
    void add_chunk(const EncodedChunk& chunk);
    /// Records that something happened, at a frame that was added or the one that will be next. Throws
    /// Error(invalid_argument) before the first frame.
    void add_event(const EventRow& event);

    /// What this writer has done so far. Any thread may call.
    WriterStats stats() const;
    /// Frames in the store, those not yet durable included.
    int64_t frame_count() const;
    /// Number and time of the last of them; nothing in an empty store.
    std::optional<FrameStamp> last_frame() const;
    const StoreMetadata& metadata() const;
    const std::filesystem::path& folder() const;

    // FrameSink
    void write(const Frame& frame) override { add(frame.image, frame.number, frame.time); }
    void write_extra_data(const Json& record) override { add_extra_data(record); }
    /// Completes the last chunk and gives the store free; calling it again does nothing. A store without frames is
    /// valid. Throws what went wrong since the last call; the store is then as complete as it could be made.
    void close() override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace reelstore
