#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/decode_counters.h"
#include "base/pixel_type.h"
#include "codecs/packet_table.h"

namespace reelstore {

/// Options of a codec by name, as given with `--set NAME=VALUE`.
using CodecOptions = std::map<std::string, std::string>;

/// One option that a format's writer understands.
struct CodecOptionInfo {
    std::string name = {};
    std::string default_value = {};
    std::string help = {};
};

/// A frame whose encoded bytes have reached the chunk's file.
struct StoredFrame {
    int64_t position = 0;               ///< in the chunk, 0..n-1
    uint64_t bytes = 0;                 ///< size of its encoded bytes
    std::optional<Packet> packet = {};  ///< for video: where they are
    int64_t decode_position = 0;        ///< place in decode order; equals position without B-frames
    /// For image files: frame_checksum() of the file. For video it is in the packet.
    std::optional<uint32_t> checksum = {};
};

/// What a chunk writer is given beside its options.
struct ChunkWriteOptions {
    /// Called when the disk is full; true when it has made some room and the write should be tried again. Empty: a full
    /// disk is an Error at once.
    std::function<bool()> make_room = {};
};

/// Writes the frames of one chunk. Used by one thread at a time, except sync().
class ChunkWriter {
public:
    /// Abandons what finish() has not completed; never throws.
    virtual ~ChunkWriter() = default;
    /// Encodes the next frame. The image has the type the writer was created for.
    virtual void write(const cv::Mat& image) = 0;
    /// Frames whose bytes have reached the file since the last call, in order of position. An encoder that looks ahead
    /// hands over a frame some writes later; after finish() all are there.
    virtual std::vector<StoredFrame> take_stored() = 0;
    /// The bytes of all frames that take_stored() has handed out, and the names of their files, reach the disk; after
    /// finish() the whole chunk. One thread may call it while another writes. After an Error the chunk is not to be
    /// written any further.
    virtual void sync() = 0;
    /// Waits until every frame given so far is in the file, as far as the encoder does not need further ones to encode
    /// it. For writers that encode several frames at once.
    virtual void drain() {}
    /// Flushes the encoder and completes the container; afterwards the chunk is an ordinary file or folder, durable
    /// after sync().
    virtual void finish() = 0;
    /// Bytes written so far.
    virtual uint64_t bytes_written() const = 0;
    /// What a decoder needs, for the index; empty for formats that are not video. Complete after the first stored
    /// frame.
    virtual std::optional<VideoStream> stream() const { return std::nullopt; }
};

class DecoderPool;

/// What a chunk reader is given beside its file.
struct ChunkReadOptions {
    /// The packets of a video chunk: of all frames where no position is asked for, else at least of those that it takes
    /// to decode the frame at that position. Empty, or when it gives null: the reader scans the file.
    std::function<std::shared_ptr<const PacketTable>(std::optional<int64_t> position)> packets = {};
    /// Opened decoders shared with readers of other chunks on the same thread; null: the reader opens its own.
    std::shared_ptr<DecoderPool> decoders = {};
    /// Told the packets that a scan of the file has found, so that other readers of the chunk need not scan it too;
    /// `replaced` when other ones were known that do not fit the file.
    std::function<void(std::shared_ptr<const PacketTable> table, bool replaced)> scanned = {};
    /// For image files: checksum of the file at a position as recorded when it was written; nothing when it was not.
    std::function<std::optional<uint32_t>(int64_t position)> checksum = {};
    size_t cache_bytes = size_t{128} << 20;  ///< decoded frames kept for later requests, in bytes of pixels
    /// Raw arrays are looked at where they lie in the file. False: they are read, so that a sector that cannot be read,
    /// or a file that is cut off meanwhile, is an Error and not the end of the program.
    bool map = true;
    /// Pixels of raw arrays, which are not looked at otherwise, are compared with their checksum as well.
    bool check_bytes = false;
};

/// Reads the frames of one chunk in any order. Used by one thread at a time.
class ChunkReader {
public:
    virtual ~ChunkReader() = default;
    /// The frame at `position`, in the type the reader was opened for. Throws Error with path and reason when the
    /// media do not hold that frame or hold it damaged; other frames stay readable.
    virtual cv::Mat read(int64_t position) = 0;
    /// Keeps the memory behind the image that read() gave last; null when the image owns it. Such an image looks into
    /// the file, and writing to it kills the program.
    virtual std::shared_ptr<const void> owner() const { return nullptr; }
    /// Position of the frame where reading begins to get at `position`: itself where frames are independent.
    virtual int64_t entry_position(int64_t position) { return position; }
    /// Exactly these frames, in ascending order and with the same entry position, will be read next.
    virtual void will_read(std::span<const int64_t> /*positions*/) {}
    /// Says where the frame read last lies as seen from this chunk (-1: just before its first), so that steps in order
    /// go on across chunks.
    virtual void set_last_position(int64_t /*position*/) {}
    /// Frees the frames kept for later requests.
    virtual void drop_cache() {}
    /// Frames that the media hold, where that can be told without reading them all. For image folders every call lists
    /// the folder and counts the files from 000000 up to the first that is missing.
    virtual std::optional<int64_t> frame_count() { return std::nullopt; }
    /// The packets of a video, read from the file if they were not given at opening. Null for other kinds.
    virtual const PacketTable* packet_table() { return nullptr; }
    virtual DecodeCounters counters() const { return {}; }
};

/// How a chunk lies on disk.
enum class ChunkKind {
    folder,  ///< a folder of image files 000000.EXT, 000001.EXT, ...
    file,    ///< one file
};

/// Facts about a chunk format; what `store formats` prints.
struct ChunkFormatInfo {
    std::string name = {};             ///< as in the metadata: "png", "avc1/mp4"
    std::vector<std::string> aliases;  ///< older names that mean the same
    ChunkKind kind = ChunkKind::folder;
    std::string extension = {};  ///< of the media file(s), with the dot
    bool video = false;          ///< inter-frame or container video; imgstore's VideoImgStore
    bool lossless = false;
    bool decodes_at_write = false;  ///< a "+color" form: raw input is decoded before it is stored
    int64_t default_chunk_frames = 10000;
    std::string types = {};        ///< what it can hold, in words
    std::string unavailable = {};  ///< why it cannot be written on this machine; empty when it can
    std::vector<CodecOptionInfo> options;
};

/// One way to keep a chunk. Objects live for ever in the table and may be used from any thread.
class ChunkFormat {
public:
    virtual ~ChunkFormat() = default;
    virtual const ChunkFormatInfo& info() const = 0;
    /// Why frames of this type cannot be kept, and what could keep them; empty when they can.
    virtual std::optional<std::string> refuses(const ImageType& type) const = 0;
    /// The same when the chunk is written with these options, of which some make it hold more types or fewer. Throws
    /// what check_options() throws.
    virtual std::optional<std::string> refuses_with(const CodecOptions& /*codec*/, const ImageType& type) const {
        return refuses(type);
    }
    /// Bytes that a writer may have taken without having written them, which must still get into the file when the disk
    /// is full.
    virtual uint64_t most_bytes_held_back(const ImageType& /*type*/, const CodecOptions& /*codec*/) const { return 0; }
    /// The type recorded as imgshape and imgdtype: what imgstore will read. Video pads odd sizes to even ones.
    virtual ImageType recorded_type(const ImageType& type) const { return type; }
    /// Throws Error(invalid_argument) for an option or value the writer does not know, naming those it knows.
    virtual void check_options(const CodecOptions& options) const = 0;
    /// Begins a chunk at `path` (a file, or a folder which is created; neither may exist) for frames of `type`.
    virtual std::unique_ptr<ChunkWriter> create(const std::filesystem::path& path, const ImageType& type,
                                                const CodecOptions& codec,
                                                const ChunkWriteOptions& options = {}) const = 0;
    /// Opens a chunk at `path` whose frames are returned as `type`.
    virtual std::unique_ptr<ChunkReader> open(const std::filesystem::path& path, const ImageType& type,
                                              const ChunkReadOptions& options = {}) const = 0;
};

using ChunkFormatTable = std::vector<std::unique_ptr<ChunkFormat>>;

/// Every chunk format of this build, in order of name. Generated from the files in codecs/chunk: NAME.cpp defines
/// `void add_chunk_formats_NAME(ChunkFormatTable& table)`.
const ChunkFormatTable& chunk_formats();
/// By name or alias; null when there is none.
const ChunkFormat* find_chunk_format(std::string_view name);
/// Throws Error(invalid_argument) naming the first option that is not in the format's list.
void check_option_names(const ChunkFormatInfo& info, const CodecOptions& options);

}  // namespace reelstore
