#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "codecs/chunk_format.h"

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

/// A chunk format that is one encoder in one container.
class VideoChunkFormat : public ChunkFormat {
public:
    /// `muxer` is FFmpeg's name of the container.
    VideoChunkFormat(std::string name, std::vector<std::string> aliases, std::string extension, std::string encoder,
                     std::string muxer);

    const ChunkFormatInfo& info() const override { return info_; }
    std::optional<std::string> refuses(const ImageType& type) const override;
    ImageType recorded_type(const ImageType& type) const override;
    void check_options(const CodecOptions& options) const override;
    std::unique_ptr<ChunkWriter> create(const std::filesystem::path& path, const ImageType& type,
                                        const CodecOptions& codec, const ChunkWriteOptions& options) const override;
    std::unique_ptr<ChunkReader> open(const std::filesystem::path& path, const ImageType& type,
                                      const ChunkReadOptions& options) const override;

private:
    ChunkFormatInfo info_;
    std::vector<std::string> encoders_;
    std::string muxer_;
};

}  // namespace reelstore
