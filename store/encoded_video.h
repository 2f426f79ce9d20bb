#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "codecs/video/packet_cutter.h"
#include "codecs/video/packet_file.h"

namespace reelstore {

/// A video file, or a packed array, out of which ranges are copied without decoding.
struct VideoToCut {
    VideoToCut(const std::filesystem::path& path, std::shared_ptr<const PacketTable> table)
        : file(path, table), cutter(std::move(table)) {}

    PacketFile file;
    PacketCutter cutter;
};

/// Some frames of a video, and the packets they need.
struct VideoPart {
    std::shared_ptr<VideoToCut> video;
    std::shared_ptr<const PacketTable> packets;
};

/// Whether a table begins (ends) with packets that have to be hidden.
bool begins_hidden(const PacketTable& table);
bool ends_hidden(const PacketTable& table);

/// Writes the parts as a file to `media` and syncs it. Gives the packets of the new file.
std::shared_ptr<const PacketTable> write_video(std::span<const VideoPart> parts, const std::filesystem::path& media,
                                               const std::string& extension);

}  // namespace reelstore
