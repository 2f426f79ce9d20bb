#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/pixel_type.h"
#include "codecs/chunk_format.h"

namespace reelstore {

/// The content of STORE/metadata.yaml: the `__store` mapping, checked, and the user's keys beside it.
struct StoreMetadata {
    std::string class_name;  ///< DirectoryImgStore, VideoImgStore or PackedImgStore
    std::string format;      ///< "png", "avc1/mp4"
    std::string extension;   ///< of the chunks' media, with the dot
    ChunkKind kind = ChunkKind::folder;
    ImageType recorded_type;            ///< imgshape and imgdtype
    ImageType stored_type;              ///< of the frames as added; smaller than recorded_type for padded video
    int64_t chunk_frames = 0;           ///< chunksize
    std::string encoding;               ///< "cv_..." or empty
    double created = 0;                 ///< seconds since the Unix epoch
    std::string time_zone;              ///< IANA name
    std::string uuid;                   ///< 32 hex digits; empty in old stores
    std::string writer;                 ///< program that made the store; empty for those that do not say (imgstore)
    Json user = Json::object();         ///< the user's own keys
    std::vector<std::string> warnings;  ///< what was missing or corrected, one sentence each
};

/// Largest chunksize that is written or read.
inline constexpr int64_t kMaxChunkFrames = int64_t{1} << 40;

/// The class of stores in a format: imgstore's DirectoryImgStore (a folder a chunk) or VideoImgStore, or our
/// PackedImgStore (one file a chunk that is no video).
const char* store_class(const ChunkFormatInfo& format);

/// Reads and checks metadata.yaml of the store in `folder`. Throws Error(corrupt or unsupported) naming the file, the
/// key and the line: not YAML, no `__store`, another version, an unknown class, format, encoding or type, absurd sizes.
/// Fills in what old stores lack: the extension, and created_utc from a 20YYMMDD_HHMMSS part of the folder's name
/// (local time of the user's key `timezone`, else of this machine), else from the file's modification time.
StoreMetadata read_metadata(const std::filesystem::path& folder);

/// The text of metadata.yaml. created_utc is quoted, or YAML readers would make a date of it.
std::string metadata_text(const StoreMetadata& metadata);

/// User metadata from YAML or JSON text. Throws Error(invalid_argument) unless it is a mapping without `__store`; empty
/// text gives an empty object.
Json parse_user_metadata(const std::string& text);

/// A format of video in files of this extension, for names of older recording programs: any reads every video, because
/// reading goes by the file's content, and H.264 is what those programs wrote. Null when there is none.
const ChunkFormat* any_video_format(const std::string& extension);

/// The chunk format that reads a store: the one named in the metadata, or one that reads any video for the names that
/// older recording programs used. Null when there is none.
const ChunkFormat* reading_format(const StoreMetadata& metadata);

/// Frame rate the recording hardware was set to, from Motif's user metadata: hwframerate, then motifptpframerate, then
/// (unless `hardware_only`) acquisitionframerate if acquisitionframerateenable is true. Empty when none is there.
std::optional<double> motif_frame_rate(const Json& user_metadata, bool hardware_only = false);

/// Zone of the recording: the user's key `timezone` when it names one, else the store's.
std::string recording_time_zone(const StoreMetadata& metadata);

}  // namespace reelstore
