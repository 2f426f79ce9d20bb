#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/frame_source.h"
#include "codecs/chunk_format.h"

namespace reelstore {

struct StoreWriterOptions {
    std::string format = "avc1/mp4";           ///< one of chunk_formats()
    std::optional<int64_t> chunk_frames = {};  ///< frames a chunk; none: the format's default
    std::optional<double> chunk_seconds = {};  ///< begin a new chunk when the frames' times span this much
    std::optional<uint64_t> chunk_bytes = {};  ///< begin a new chunk once this much has been written
    std::string metadata = {};                 ///< the user's own keys: a mapping as YAML or JSON text
    std::string encoding = {};                 ///< "cv_...": images are raw; kept as they are, decoded when read
    CodecOptions codec = {};                   ///< crf, gop, preset...; `store formats` lists them
    std::string time_zone = {};                ///< IANA name; empty: this machine's
    double commit_interval = 1.0;              ///< seconds between commits to the index; 0: every frame
};

/// Throws what the constructor of StoreWriter would throw for these options, before anything is touched.
void check_store_options(const StoreWriterOptions& options);

/// Writes a store, chunk by chunk, with its index kept up to date while recording.
///
/// Size, pixel type and channels are learned from the first frame and then enforced: a frame that differs is an
/// Error(wrong_type) and the store goes on without it. Times must be finite. After an error of the disk or the encoder
/// every further call throws that error again; what was committed stays readable. A video encoder holds some frames
/// back (its threads and lookahead, about a dozen by default), so the last of them reach the file only when the chunk
/// is closed. Used by one thread at a time; one writer a store.
class StoreWriter : public FrameSink {
public:
    /// Creates the folder, whose parent must exist. Throws Error(already_exists) when there is anything, and
    /// Error(invalid_argument) for an unknown format, encoding, codec option or metadata that is no mapping.
    StoreWriter(const std::filesystem::path& path, const StoreWriterOptions& options = {});
    /// Closes; an error is lost then, so call close().
    ~StoreWriter() override;

    /// Adds one frame; the pixels may be reused when it returns.
    void add(const cv::Mat& image, int64_t number, double time);
    /// Ties a record (a JSON object) to the frame added last. Throws Error(invalid_argument) before the first frame and
    /// for the keys frame_index, frame_number and frame_time, which every record gets, for text that is not UTF-8 and
    /// for records of more than 16 MiB, 10,000 keys or 64 levels.
    void add_extra_data(const Json& record);

    enum class Adopt { copy, move };
    /// Takes an existing video file in as the next chunk, without re-encoding. It must have the container of this
    /// store's format, frames of the store's type and exactly as many as `numbers` and `times`. An open chunk is closed
    /// first. Throws Error(invalid_argument, wrong_type, not_found or corrupt), and the store goes on, when the file
    /// does not fit; an error while it is copied is one of the disk.
    void insert_chunk(const std::filesystem::path& video, std::span<const int64_t> numbers,
                      std::span<const double> times, Adopt adopt = Adopt::copy);

    int64_t frame_count() const;
    const std::filesystem::path& folder() const;

    // FrameSink
    void write(const Frame& frame) override { add(frame.image, frame.number, frame.time); }
    void write_extra_data(const Json& record) override { add_extra_data(record); }
    /// Completes the last chunk and gives the store free. A store without frames is valid.
    void close() override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace reelstore
