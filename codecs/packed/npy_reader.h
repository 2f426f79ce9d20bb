#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/chunk_format.h"
#include "codecs/packed/packed_container.h"

namespace reelstore {

/// Shows the frames of a .npy stack where they lie: the file is mapped, and nothing is copied or even touched, so
/// checksums are not compared (`store verify --level hash` does). Images of arrays in Fortran order, of the other byte
/// order or of bools, and of files that cannot be mapped, are copies; then owner() is null.
///
/// Where each frame is follows from the header, so the index's packets are not asked for. A file that has grown is
/// mapped anew when a frame behind the earlier end is asked for. Errors name the file and the position.
class NpyReader : public ChunkReader {
public:
    NpyReader(const std::filesystem::path& path, const ImageType& type, const ChunkReadOptions& options);

    cv::Mat read(int64_t position) override;
    std::shared_ptr<const void> owner() const override { return owner_; }
    std::optional<int64_t> frame_count() override;
    const PacketTable* packet_table() override;
    DecodeCounters counters() const override { return counters_; }

private:
    Error missing(int64_t position, uint64_t size, uint64_t there) const;
    bool map(uint64_t size);
    void check_bytes(int64_t position, const cv::Mat& image) const;
    cv::Mat gather(int64_t position);

    std::filesystem::path path_;
    ImageType type_;
    ChunkReadOptions options_;
    std::unique_ptr<File> file_;
    PackedHeader header_;
    uint64_t frame_bytes_ = 0;
    bool fortran_order_ = false;
    bool big_endian_ = false;
    bool bools_ = false;
    std::shared_ptr<const uint8_t> mapping_;
    uint64_t mapped_bytes_ = 0;
    bool can_map_ = true;
    std::shared_ptr<const void> owner_;
    std::shared_ptr<const PacketTable> table_;
    DecodeCounters counters_;
};

}  // namespace reelstore
