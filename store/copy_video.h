#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/frame_source.h"
#include "base/pixel_type.h"
#include "codecs/packet_table.h"
#include "store/store_writer.h"

namespace reelstore {

struct VideoCopyOptions {
    int64_t first = 0;
    std::optional<int64_t> frames = {};  ///< at most; none: up to the end
    int64_t chunk_frames = 10000;  ///< in a chunk at least: it goes on to the next place where a cut costs nothing
    /// Number and time that a frame of the file gets in the store; called once for each, in order.
    std::function<FrameStamp(int64_t frame)> stamp;
    std::function<void(int64_t frames)> progress = {};  ///< told the frames that are done
    std::stop_token stop = {};                          ///< ends the work behind a chunk
};

/// The images that the frames of a video come out as, exactly: 16-bit ones where it has more than 8 bits and is gray or
/// colour that was not turned into chroma.
ImageType image_type_of(const VideoStream& stream);

/// The chunk format that keeps the packets of a video as they are. `wanted` is the one asked for, or empty. Throws
/// Error(unsupported) saying why where there is none, also for videos that players turn.
std::string format_for_packets(const std::filesystem::path& path, const PacketTable& table, const std::string& wanted);

/// Takes frames of a video file into a store as they are, without decoding, chunk by chunk. Frames come out of the
/// store exactly as out of the file. `table` is that of the whole file; the store's format must be that of
/// format_for_packets(). Gives the frames taken; fewer than asked for when a stop was requested. Throws what
/// StoreWriter::add_chunk() and remux() throw; the store then has the chunks before.
int64_t copy_video(const std::filesystem::path& path, std::shared_ptr<const PacketTable> table, StoreWriter& writer,
                   const VideoCopyOptions& options);

}  // namespace reelstore
