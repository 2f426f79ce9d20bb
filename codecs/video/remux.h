#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "codecs/packet_table.h"
#include "codecs/video/packet_file.h"

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

/// What one file gives to the output of remux().
struct RemuxPart {
    PacketFile* file = nullptr;  ///< its owner keeps it alive
    /// The packets wanted: the file's own table, or one cut out of it (PacketCutter). Not empty.
    std::shared_ptr<const PacketTable> table = {};
};

struct RemuxResult {
    PacketTable table;   ///< the packets given, where they are now and as they are there, with checksums
    uint64_t bytes = 0;  ///< size of the new file
};

/// Whether packets of the two streams can follow each other in one file: everything that a decoder is told beforehand
/// is the same. Units of time and frame rates may differ, and a range that is not told counts as "tv". Of files to be
/// copied PacketFile::stream() is to be asked about.
bool can_be_joined(const VideoStream& a, const VideoStream& b);

/// Whether a container by extension can keep packets that players decode but do not show (Packet::hidden); mp4 and mov
/// do so by an edit list.
bool can_hide_packets(const std::string& extension);

/// Writes a proper container holding exactly the packets of the parts, one part behind the other, and syncs it. Nothing
/// is decoded. `output`, whose name does not matter, must not exist; it is removed again when that fails. No folder is
/// synced.
///
/// Packets go over byte by byte, except that H.264 and HEVC of Annex B form are given length prefixes in mp4, mov and
/// Matroska, as PacketFile::stream() says. Times begin with 0 at the first frame shown; a part follows the one before
/// it at the nominal distance of two frames; an avi counts frames. Packets without time stamps get the nominal rate's.
/// The first frame of the result's display_order is that of the first part and so on; stream is the one of the new
/// file.
///
/// Hidden packets may come before the first frame shown of the first part and behind the last one of the last part, in
/// containers for which can_hide_packets(): an edit list then makes every player show the other frames alone. Those
/// that show no picture by their nature (alternative references of VP8) may stand anywhere. The
/// number of samples in the file counts them all the same, and FFmpeg 5.1 shows hidden AV1 frames when libdav1d
/// decodes.
///
/// The bytes of a packet are copied also when they do not fit its checksum, which stays what it was: the caller decides
/// beforehand, see check_packets(). Only where they get another form that is Error(corrupt). The file is then read back
/// through a demuxer; Error(internal) when that does not give the same packets with the same ones hidden.
///
/// Throws Error(corrupt) when a packet lies behind the end of the file; Error(unsupported) when the container cannot
/// hold this codec, hide packets or say that the picture is to be turned, when a part begins with pictures that others
/// before it are shown among (HEVC's open groups), and when a stream changes its parameters on the way;
/// Error(invalid_argument) for parts that cannot be joined and for hidden packets in other places. Holds one packet at
/// a time, besides tables and read-ahead of a few megabytes, and has one file open besides the output.
RemuxResult remux(std::span<const RemuxPart> parts, const std::filesystem::path& output, const std::string& extension);
/// The same with all packets of one table.
RemuxResult remux(const std::filesystem::path& media, const PacketTable& table, const std::filesystem::path& output,
                  const std::string& extension);

}  // namespace reelstore
