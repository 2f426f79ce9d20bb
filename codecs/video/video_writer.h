#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "codecs/chunk_format.h"
#include "codecs/video/encoder.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// Encodes frames into a new video file and tells where the bytes of each are.
///
/// Each packet is in the file (not yet on the disk: sync the file for that) when write() that produced it returns.
/// Frames are handed out by take_stored() in order of position, in groups such that all that a frame needs to be
/// decoded is handed out with or before it; without B-frames that is each frame at once. Destroyed without finish() it
/// leaves the file as it is. Errors name the path. Used by one thread at a time, except sync().
class VideoWriter : public ChunkWriter {
public:
    /// Creates `path`, which must not exist. `muxer` is FFmpeg's name ("mp4", "mov", "matroska", "avi").
    VideoWriter(const std::filesystem::path& path, const std::string& muxer, const ImageType& type,
                const EncoderSettings& settings, const ChunkWriteOptions& options = {});

    void write(const cv::Mat& image) override;
    std::vector<StoredFrame> take_stored() override;
    void sync() override;
    void finish() override;
    uint64_t bytes_written() const override { return output_.bytes_written(); }
    std::optional<VideoStream> stream() const override { return stream_; }

private:
    void begin_file(const std::string& muxer);
    void remove_file();
    void store(EncodedPacket encoded);
    void store_all(std::vector<EncodedPacket> packets);
    void fail_on(int code, const char* action);

    std::filesystem::path path_;
    Encoder encoder_;
    std::unique_ptr<File> file_;
    FileOutput output_;
    UniqueOutputFormat format_;
    VideoStream stream_;
    int64_t decode_position_ = 0;
    std::set<int64_t> missing_;        ///< positions below next_position_ that are not stored yet
    std::deque<StoredFrame> pending_;  ///< in decode order, not yet in ready_
    std::vector<StoredFrame> ready_;   ///< in order of position
    int64_t next_position_ = 0;        ///< above the highest position stored
    bool finished_ = false;
    std::exception_ptr sync_failure_;  ///< used by sync() alone
    bool file_is_new_ = true;          ///< its name is not durable yet; used by sync() alone
};

}  // namespace reelstore
