#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "codecs/packet_table.h"
#include "codecs/video/packet_source.h"

namespace reelstore {

/// A video file whose packets are to be copied by remux(), whatever wraps them: one of our chunks, a transport stream,
/// a raw stream. Used by one thread at a time.
class PacketFile {
public:
    /// `table` is that of the whole file, from the index or scan_packets(), or of what is wanted of it. Opens nothing.
    PacketFile(std::filesystem::path path, std::shared_ptr<const PacketTable> table);

    const std::filesystem::path& path() const { return path_; }
    const std::shared_ptr<const PacketTable>& table() const { return table_; }

    /// The stream as mp4, mov and Matroska hold it; what can_be_joined() is to be asked about. That is the table's but
    /// for H.264, HEVC and AV1 in the form of other containers and of raw streams: those get a configuration record,
    /// made of parameter sets that may be found in the first packets only, and to MPEG-4 such headers are added. The
    /// first call may read the beginning of the file. Throws Error(unsupported) where the parameter sets are missing.
    const VideoStream& stream();
    /// Gives a payload the form that belongs to stream(). False when it has it already; `payload` is then left alone.
    bool reshape(std::vector<uint8_t>& payload);

    /// The bytes of packets, by their places in `part`, a table cut from table(). Opens the file when needed. Nothing
    /// is compared with checksums.
    PacketSource& open(std::shared_ptr<const PacketTable> part);
    /// Closes the file where it can be opened again at no cost.
    void close();

private:
    enum class Form { as_it_is, annex_b, open_bitstream_units };

    void learn_stream();
    std::vector<uint8_t> headers_in_packets();

    std::filesystem::path path_;
    std::shared_ptr<const PacketTable> table_;
    std::unique_ptr<PacketSource> source_;
    std::optional<VideoStream> stream_;  ///< once learnt
    Form form_ = Form::as_it_is;
};

}  // namespace reelstore
