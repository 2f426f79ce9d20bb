#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "codecs/packet_table.h"

namespace reelstore {

/// FFmpeg's name of the muxer for a video container by extension (".mkv" -> "matroska"); empty for others.
std::string muxer_of_extension(const std::string& extension);

/// Whether a video file was completed by its writer: an mp4 has its `moov`, the sizes of an avi's lists and of an mkv's
/// segment are filled in and fit the file. Looks at the top of the structure only. `container` is the demuxer's name
/// ("mov", "matroska", "avi").
bool container_complete(File& file, const std::string& container);

/// Which packets of a table the bytes of a file bear out.
struct PacketCheck {
    std::vector<bool> sound;  ///< by place in decode order
    int64_t damaged = 0;      ///< whose bytes do not fit their checksum
    int64_t missing = 0;      ///< that lie wholly or partly behind the end of the file
};

/// Reads every packet once; one without a checksum is sound when the file holds it. `progress` is told packets done and
/// packets in all, and stops the work by returning false (Error(cancelled)).
PacketCheck check_packets(File& file, const PacketTable& table,
                          const std::function<bool(int64_t, int64_t)>& progress = {});

struct RemuxResult {
    PacketTable table;   ///< the packets given, where they are now, with checksums
    uint64_t bytes = 0;  ///< size of the new file
};

/// Writes a proper container holding exactly the packets of `table`, whose bytes are taken from `media` as they are,
/// and syncs it. Nothing is decoded. `output`, whose name does not matter, must not exist; it is removed again when
/// that fails. Packets without time stamps get the nominal rate's.
///
/// The bytes of a packet are copied also when they do not fit its checksum, which stays what it was: the caller decides
/// beforehand, see check_packets(). The file is then read back through a demuxer; Error(internal) when that does not
/// give the same packets. Throws Error(corrupt) when a packet lies behind the end of the file and Error(unsupported)
/// when the container cannot hold this codec. Holds one packet at a time.
RemuxResult remux(File& media, const PacketTable& table, const std::filesystem::path& output,
                  const std::string& extension);

}  // namespace reelstore
