#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/pixel_type.h"
#include "codecs/packet_table.h"
#include "codecs/video/salvage.h"

namespace reelstore {

/// What the beginning of a packed array's file says.
struct PackedHeader {
    ImageType type;
    int64_t frames = 0;       ///< 0 until its writer has completed the file
    uint64_t first_byte = 0;  ///< of the first frame in the file
    /// Each frame's pixels lie as a cv::Mat wants them: C order, the machine's byte order, no bool.
    bool plain = true;
};

/// One line of a seek table: what a frame takes up.
struct SeekEntry {
    uint32_t bytes = 0;     ///< in the file
    uint32_t size = 0;      ///< decoded; 0 for the header of a file whose frames are not bare zstd
    uint32_t checksum = 0;  ///< low 32 bits of XXH64 of what is decoded; not of frames of predicted pixels
};

/// The frames of a file, found without an index.
struct PackedFrames {
    PacketTable table;       ///< without checksums
    bool complete = false;   ///< its writer completed the file
    uint64_t end = 0;        ///< of the last frame
    std::string stopped_by;  ///< what is there instead of another frame; empty when nothing is
};

/// How a file of a packed array wraps the bytes of its frames, which follow each other in order and are independent.
/// One object a container; they live for ever and may be used from any thread. A frame's bytes are its Packet, key and
/// disposable, with pts 0, 1, 2...
class PackedContainer {
public:
    virtual ~PackedContainer() = default;
    /// "npy", "npy.zst", "rpz"; also the value of VideoStream::codec.
    virtual const std::string& name() const = 0;
    /// With the dot: ".npy", ".npy.zst", ".rpz".
    virtual const std::string& extension() const = 0;
    /// Throws Error(corrupt) or Error(unsupported), without a path, for anything that is no array of images.
    virtual PackedHeader read_header(File& file) const = 0;
    /// Bytes at the beginning of a file of such images, before the first frame's; as many for every number of frames,
    /// and few enough to be rewritten in one sector.
    virtual std::vector<uint8_t> begin(const ImageType& type, int64_t frames) const = 0;
    /// Bytes behind the last frame of a complete file.
    virtual std::vector<uint8_t> end(const ImageType& type, std::span<const SeekEntry> frames) const = 0;
    /// No frame of this type has more bytes.
    virtual uint64_t most_bytes(const ImageType& type) const = 0;
    /// What the seek table says of a frame of so many bytes, the last of which (4 or all) are `ending`.
    virtual SeekEntry entry_of(uint32_t bytes, std::span<const uint8_t> ending, const ImageType& type) const = 0;
    /// Where the frames are, from the byte `from` on (0: the first frame's), as far as whole ones follow each other.
    /// Uses the file's seek table where there is one. Throws Error without a path.
    virtual PackedFrames frames(File& file, uint64_t from = 0) const = 0;
    /// Whether its writer completed the file.
    virtual bool complete(File& file) const = 0;

    /// The same of a frame in a file. Throws Error(corrupt) without a path when the file does not hold it.
    SeekEntry entry_of(File& file, const Packet& packet, const ImageType& type) const;
    /// See complete_media().
    void complete_in_place(const std::filesystem::path& path, const PacketTable& table) const;
    /// Whole frames of a file, complete or not, that can be found without the index, each with its checksum.
    /// `progress` is told bytes read and bytes in all.
    SalvagedVideo find_frames(const std::filesystem::path& path,
                              const std::function<void(int64_t, int64_t)>& progress = {}) const;
};

/// The three containers.
const PackedContainer& npy_container();
const PackedContainer& zstd_npy_container();
const PackedContainer& predicted_container();

/// The stream of images of a type in this container: what packet tables and the index record of it. Times are those of
/// the nominal rate. Width, height and `pixel_format` tell the type: numpy's descr, then "x" and the channels if there
/// are several ("|u1", "<u2", "|u1x3").
VideoStream packed_stream(const PackedContainer& container, const ImageType& type);
/// The type that such a stream tells; throws Error(corrupt) for anything that packed_stream() would not give.
ImageType packed_type(const VideoStream& stream);
/// The packet of the frame at `position`.
Packet packed_packet(int64_t position, uint64_t offset, uint64_t size);

/// By its name, or by the extension of a file's name; null when there is none.
const PackedContainer* find_packed_container(std::string_view name);
const PackedContainer* packed_container_of(const std::filesystem::path& path);

}  // namespace reelstore
