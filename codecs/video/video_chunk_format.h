#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "codecs/chunk_format.h"
#include "codecs/video/encoder_options.h"

namespace reelstore {

/// Opens a video file of any codec in one of the containers of stores (.mp4 .mov .m4v, .mkv .webm, .avi) as a chunk of
/// frames of `type`.
///
/// Without known packets the file is scanned when the first frame is asked for. Packets that no longer fit the file are
/// replaced by a scan, once. Throws Error(unsupported) for another extension; everything else is found out by reading,
/// also whether the file can give frames of `type`.
std::unique_ptr<ChunkReader> open_video_chunk(const std::filesystem::path& path, const ImageType& type,
                                              const ChunkReadOptions& options = {});

/// For ChunkReadOptions::packets, when all are at hand.
std::function<std::shared_ptr<const PacketTable>(std::optional<int64_t>)> known_packets(
    std::shared_ptr<const PacketTable> table);

/// What makes a chunk format of video: a codec in a container.
struct VideoFormatSpec {
    std::string name;
    std::vector<std::string> aliases = {};
    std::string extension;              ///< with the dot
    std::string muxer;                  ///< FFmpeg's name of the container
    std::vector<std::string> encoders;  ///< values of option `encoder`, the default one first
    bool lossless = false;              ///< images come back bit for bit, whatever the options, in their own size
    std::string types;                  ///< what it can hold, in words
};

/// Chunks of one codec in one container.
class VideoChunkFormat : public ChunkFormat {
public:
    explicit VideoChunkFormat(VideoFormatSpec spec);

    const ChunkFormatInfo& info() const override { return info_; }
    std::optional<std::string> refuses(const ImageType& type) const override;
    std::optional<std::string> refuses_with(const CodecOptions& codec, const ImageType& type) const override;
    ImageType recorded_type(const ImageType& type) const override;
    void check_options(const CodecOptions& options) const override;
    std::unique_ptr<ChunkWriter> create(const std::filesystem::path& path, const ImageType& type,
                                        const CodecOptions& codec, const ChunkWriteOptions& options) const override;
    std::unique_ptr<ChunkReader> open(const std::filesystem::path& path, const ImageType& type,
                                      const ChunkReadOptions& options) const override;

private:
    EncoderSettings parse(const CodecOptions& codec) const;

    VideoFormatSpec spec_;
    ChunkFormatInfo info_;
};

}  // namespace reelstore
