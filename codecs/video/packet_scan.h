#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "codecs/packet_table.h"

namespace reelstore {

/// What one pass over a video file tells.
struct VideoScan {
    PacketTable table;
    std::optional<double> creation_time;  ///< seconds since the Unix epoch, when the container says
    int64_t bytes_read = 0;
    std::vector<std::string> warnings = {};  ///< what a user should know of the file; without its name
};

/// Reads every packet of a file's video stream once and works out where the payloads really are, which packets
/// a decoder can start at, and the order of display; the first frame is decoded to learn size and pixel format.
///
/// Every packet gets a checksum, of its bytes as they are in the file, or as the demuxer gives them where the table is
/// not contiguous. `forced` names the demuxer, see Demuxer. A packet cut off by the end of the file is left out.
/// `progress` is told bytes read and bytes in all. Throws what Demuxer throws; a file without any frame gives an empty
/// table.
VideoScan scan_packets(const std::filesystem::path& path, const std::string& forced = {},
                       const std::function<void(int64_t, int64_t)>& progress = {});

}  // namespace reelstore
