#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "codecs/packet_table.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// Hands out the encoded bytes of packets by their place in decode order. Used by one thread at a time.
class PacketSource {
public:
    virtual ~PacketSource() = default;
    /// Fills `packet` with the payload of packet `place`. `through` (>= place) is the last one that will be wanted
    /// soon, so that they can be read together. Throws Error(corrupt) when the file ends before it.
    virtual void fetch(int64_t place, int64_t through, AVPacket& packet) = 0;
    /// From now on places are those of another table of the same file and stream.
    virtual void use_table(std::shared_ptr<const PacketTable> table) = 0;
    virtual int64_t bytes_read() const = 0;
    /// Times the file had to be read again from its beginning.
    virtual int64_t demux_scans() const { return 0; }
};

/// How many bytes the demuxer has put in front of what the file holds; 0 for nearly all. `payload` comes from the
/// demuxer.
size_t prepended_bytes(const std::string& codec, std::span<const uint8_t> payload);

/// The source that suits the table: straight from the file where payloads are contiguous, through the demuxer
/// otherwise. Opens the file; throws Error when that fails. With `check_bytes` fetch() also throws Error(corrupt) when
/// the bytes of a packet do not fit its checksum.
std::unique_ptr<PacketSource> make_packet_source(const std::filesystem::path& path,
                                                 std::shared_ptr<const PacketTable> table, bool check_bytes = true);

}  // namespace reelstore
