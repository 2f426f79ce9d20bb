#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "codecs/chunk_format.h"
#include "codecs/packed/packed_container.h"
#include "codecs/packed/packed_reader.h"
#include "codecs/packed/packed_writer.h"

namespace reelstore {

/// Frames in a chunk of a packed array unless the user says otherwise: 1.3 GB of raw 1280x1024 pixels.
inline constexpr int64_t kPackedChunkFrames = 1000;

/// What distinguishes one format of packed arrays from another.
struct PackedKind {
    const PackedContainer& container;
    ChunkFormatInfo info = {};
    /// Throws Error(invalid_argument) on a bad value; names have been checked.
    std::function<void(const CodecOptions&)> check_values = {};
    /// Empty: pixels are kept as they are, and mapped when read.
    std::function<std::unique_ptr<PackedEncoder>(const ImageType&, const CodecOptions&)> make_encoder = {};
    std::function<std::unique_ptr<PackedDecoder>(const ImageType&)> make_decoder = {};
};

/// Keeps a chunk as one file that holds the images one behind the other.
class PackedChunkFormat : public ChunkFormat {
public:
    explicit PackedChunkFormat(PackedKind kind);

    const ChunkFormatInfo& info() const override { return kind_.info; }
    std::optional<std::string> refuses(const ImageType& type) const override;
    uint64_t most_bytes_held_back(const ImageType& type, const CodecOptions& codec) const override;
    void check_options(const CodecOptions& options) const override;
    std::unique_ptr<ChunkWriter> create(const std::filesystem::path& path, const ImageType& type,
                                        const CodecOptions& codec, const ChunkWriteOptions& options) const override;
    std::unique_ptr<ChunkReader> open(const std::filesystem::path& path, const ImageType& type,
                                      const ChunkReadOptions& options) const override;

private:
    PackedKind kind_;
};

/// The option `threads` of formats that encode several frames at once.
CodecOptionInfo threads_option();
/// What it says: 1 or more.
int threads_of(const CodecOptions& options);

}  // namespace reelstore
