#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/file_system.h"
#include "codecs/chunk_format.h"
#include "codecs/packed/packed_container.h"

namespace reelstore {

/// The reverse of a PackedEncoder. Used by one thread at a time.
class PackedDecoder {
public:
    virtual ~PackedDecoder() = default;
    /// `image` is of the type that the decoder was made for, and continuous. The bytes' own checksums are compared
    /// unless `verified` says that the bytes are known to be those that were written. Throws Error(corrupt) without a
    /// place.
    virtual void decode(std::span<const uint8_t> bytes, cv::Mat& image, bool verified) = 0;
};

/// What the header of a file must have said by the packets recorded in the index, for files where it is damaged: no
/// frame depends on it. Nothing when none are recorded for images of this type in this container.
std::optional<PackedHeader> recorded_header(const PackedContainer& container, const ImageType& type,
                                            const ChunkReadOptions& options);

/// Reads frames of a file of a packed container in any order, by the packets of the index, else by the file's seek
/// table, else by walking through its frames. A frame with a checksum is compared with it before it is decoded.
/// Errors name the file and the position.
class PackedReader : public ChunkReader {
public:
    PackedReader(const std::filesystem::path& path, const PackedContainer& container, const ImageType& type,
                 std::unique_ptr<PackedDecoder> decoder, const ChunkReadOptions& options);

    cv::Mat read(int64_t position) override;
    std::optional<int64_t> frame_count() override;
    const PacketTable* packet_table() override;
    DecodeCounters counters() const override { return counters_; }

private:
    enum class Extent {
        part,  ///< some packets from somewhere in the chunk
        tail,  ///< the last ones that were known
        whole,
    };

    bool holds(int64_t position) const;
    void use(std::shared_ptr<const PacketTable> table, Extent extent);
    void load(int64_t position);
    void load_whole();
    void look_into_file();
    const Packet& packet_of(int64_t position);

    std::filesystem::path path_;
    const PackedContainer& container_;
    ImageType type_;
    std::unique_ptr<PackedDecoder> decoder_;
    ChunkReadOptions options_;
    std::unique_ptr<File> file_;
    std::shared_ptr<const PacketTable> table_;
    Extent extent_ = Extent::whole;
    bool from_file_ = false;  ///< nobody but the file knows them
    uint64_t size_seen_ = 0;  ///< of the file, when its frames were listed
    std::vector<uint8_t> bytes_;
    DecodeCounters counters_;
};

}  // namespace reelstore
