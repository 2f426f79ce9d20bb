#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/file_system.h"
#include "codecs/packet_table.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/remux.h"
#include "codecs/video/salvage.h"

namespace reelstore {

/// What the store asks of a chunk that is one file, whatever wraps its frames: a video container or a packed array.
/// Everything that depends on the kind of file is asked here, by the name of its container.

/// Name of the container by the file's name: "mov", "matroska", "avi" for video, "npy", "npy.zst", "rpz" for packed
/// arrays; empty for others.
std::string container_of(const std::filesystem::path& path);

/// Whether the frames of this container are kept in order and one by one, so that it is completed where it lies, by
/// complete_media(), and never needs to be written anew.
bool completes_in_place(const std::string& container);

/// Whether a file was completed by its writer.
bool media_complete(File& file, const std::string& container);

/// Makes a file that its writer did not complete an ordinary one that ends behind the last packet of `table`, which are
/// all of the file's from its first one on, and syncs it. Does the same again after it was ended in the middle. For
/// containers that are completed in place. Throws Error naming the file.
void complete_media(const std::filesystem::path& path, const PacketTable& table);

/// Where each frame of a complete file is.
VideoScan scan_media(const std::filesystem::path& path, const std::function<void(int64_t, int64_t)>& progress = {});

/// The frames of a file that its writer did not complete; see salvage_video(). `like` only matters to mp4 and mov.
SalvagedVideo salvage_media(const std::filesystem::path& path, const std::optional<VideoStream>& like = {});

/// Frames that a file holds behind the packets of a table, as far as they can be counted; nothing when they cannot.
std::optional<int64_t> frames_behind_table(const std::filesystem::path& path, const PacketTable& table);

/// Writes a proper file holding exactly the packets of the parts; see remux(). Parts of packed arrays have no hidden
/// packets and are joined as they are; those of another container or another shape are Error(invalid_argument).
RemuxResult join_media(std::span<const RemuxPart> parts, const std::filesystem::path& output,
                       const std::string& extension);

}  // namespace reelstore
