#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "codecs/packet_table.h"

namespace reelstore {

/// A run of length-prefixed NAL units that make up one picture, as a file holds them.
struct AccessUnit {
    uint64_t offset = 0;
    uint32_t size = 0;
};

/// What was found from a place in a file on.
struct AccessUnitRun {
    std::vector<AccessUnit> units;  ///< whole pictures, one behind the other
    uint64_t end = 0;               ///< of the last of them
    /// What is there instead of another picture ("a picture that is cut off"); empty when nothing is.
    std::string stopped_by;
};

/// Walks the length-prefixed NAL units (ISO/IEC 14496-15) of an H.264 or HEVC stream with these parameters between two
/// offsets, and stops at the first thing that is no plausible one. A last picture that has fewer slices than the one
/// before it counts as cut off. Reads the beginnings of the units only. Throws Error(unsupported) for other codecs and
/// for streams that are not length-prefixed.
AccessUnitRun find_access_units(File& file, const VideoStream& stream, uint64_t begin, uint64_t end);

/// The media data of an mp4 or mov: offset of its first byte and one behind its last, where a size that was never
/// filled in means the end of the file. Nothing when the file has none.
std::optional<std::pair<uint64_t, uint64_t>> media_data(File& file);

/// The frames of a video file without its index.
struct SalvagedVideo {
    PacketTable table;        ///< with checksums; times of the nominal rate where the container gives none
    bool complete = false;    ///< the container is whole: nothing had to be guessed
    uint64_t bytes_left = 0;  ///< behind the last frame, up to the end of the file
    std::string stopped_by;   ///< what is there instead of another frame; empty when nothing is
};

/// Finds the frames of a file that its writer did not complete. `container` is the demuxer's name ("mov", "matroska",
/// "avi"). Of an mp4 or mov without `moov` the parameters of a stream made with the same settings are needed
/// (`like`; Error(not_found) says so without them); the others describe themselves. A last frame that is cut off is
/// left out, and so are frames before the first one that a decoder can start at. Throws Error naming the file.
SalvagedVideo salvage_video(const std::filesystem::path& path, const std::string& container,
                            const std::optional<VideoStream>& like = {});

/// Frames that a file holds behind the packets of a table, as far as they can be counted; nothing when they cannot.
std::optional<int64_t> frames_behind(const std::filesystem::path& path, const std::string& container,
                                     const PacketTable& table);

}  // namespace reelstore
