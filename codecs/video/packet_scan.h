#pragma once

#include <filesystem>
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
/// `forced` names the demuxer, see Demuxer. A packet cut off by the end of the file is left out. Throws what Demuxer
/// throws; a file without any frame gives an empty table.
VideoScan scan_packets(const std::filesystem::path& path, const std::string& forced = {});

}  // namespace reelstore
