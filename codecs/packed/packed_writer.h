#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "codecs/chunk_format.h"
#include "codecs/packed/packed_container.h"

namespace reelstore {

/// Frames that a writer with several threads has taken and not yet written, at most, for each of them.
inline constexpr int kFramesHeldPerThread = 2;

/// Turns images into the bytes that a container keeps of them. Used by one thread at a time.
class PackedEncoder {
public:
    virtual ~PackedEncoder() = default;
    /// Replaces what is in `bytes`. The image has the type that the encoder was made for.
    virtual void encode(const cv::Mat& image, std::vector<uint8_t>& bytes) = 0;
};

/// Appends images to a new file of a packed container and tells where the bytes of each are.
///
/// With several threads write() copies the image and returns; frames are encoded by as many threads at once and
/// appended in order. What fails on them is thrown by the next call of write(), drain() or finish(), and by every later
/// one. Destroyed without finish() it leaves the file as it is. Errors name the path.
class PackedWriter : public ChunkWriter {
public:
    using MakeEncoder = std::function<std::unique_ptr<PackedEncoder>()>;

    /// Creates `path`, which must not exist. Without `make_encoder` the pixels are kept as they are. `threads`: 1
    /// encodes on the calling thread.
    PackedWriter(const std::filesystem::path& path, const PackedContainer& container, const ImageType& type,
                 const MakeEncoder& make_encoder, int threads, const ChunkWriteOptions& options = {});
    ~PackedWriter() override;

    void write(const cv::Mat& image) override;
    std::vector<StoredFrame> take_stored() override;
    void drain() override;
    void sync() override;
    void finish() override;
    uint64_t bytes_written() const override;
    std::optional<VideoStream> stream() const override { return packed_stream(container_, type_); }

private:
    struct Job {
        cv::Mat image;
        std::vector<uint8_t> bytes;
        bool encoded = false;
    };

    void begin_file();
    void start_threads(const MakeEncoder& make_encoder, int threads);
    void stop_threads() noexcept;
    void work(PackedEncoder& encoder);
    void append_encoded(std::unique_lock<std::mutex>& lock);
    void append(std::span<const uint8_t> bytes);
    void write_at(std::span<const uint8_t> bytes, uint64_t offset);
    void fail(std::exception_ptr failure);
    void rethrow_failure() const;

    std::filesystem::path path_;
    const PackedContainer& container_;
    ImageType type_;
    ChunkWriteOptions options_;
    std::unique_ptr<File> file_;
    std::unique_ptr<PackedEncoder> encoder_;  ///< of the calling thread
    std::vector<uint8_t> buffer_;
    bool finished_ = false;
    std::exception_ptr sync_failure_;  ///< used by sync() alone
    bool file_is_new_ = true;          ///< its name is not durable yet; used by sync() alone

    mutable std::mutex mutex_;  ///< guards what follows
    std::condition_variable changed_;
    std::deque<std::unique_ptr<Job>> jobs_;         ///< in order, the first of them taken by threads
    size_t taken_ = 0;                              ///< of jobs_, by threads
    std::vector<std::unique_ptr<Job>> spare_jobs_;  ///< whose memory is used again
    bool appending_ = false;                        ///< a thread writes to the file
    bool stopping_ = false;
    std::exception_ptr failure_;
    std::vector<StoredFrame> stored_;
    std::vector<SeekEntry> entries_;  ///< of all frames in the file
    uint64_t end_ = 0;
    std::vector<std::thread> threads_;
};

}  // namespace reelstore
