#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/pixel_type.h"
#include "codecs/packet_table.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/salvage.h"

namespace reelstore {

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
    /// Whether its writer completed the file.
    virtual bool complete(File& file) const = 0;
    /// See complete_media().
    virtual void complete_in_place(const std::filesystem::path& path, const PacketTable& table) const = 0;
    /// Whole frames of a file, complete or not, that can be found without the index, each with its checksum.
    virtual SalvagedVideo find_frames(const std::filesystem::path& path,
                                      const std::function<void(int64_t, int64_t)>& progress) const = 0;
    /// Bytes at the beginning of a file of such images, before the first frame's.
    virtual std::vector<uint8_t> begin(const VideoStream& stream) const = 0;
};

/// The stream of images of a type in this container: what packet tables and the index record of it. Times are those of
/// the nominal rate. Width, height and `pixel_format` tell the type: numpy's descr, then "x" and the channels if there
/// are several ("|u1", "<u2", "|u1x3").
VideoStream packed_stream(const PackedContainer& container, const ImageType& type);
/// The type that such a stream tells; throws Error(corrupt) for anything that packed_stream() would not give.
ImageType packed_type(const VideoStream& stream);

/// By its name, or by the extension of a file's name; null when there is none.
const PackedContainer* find_packed_container(std::string_view name);
const PackedContainer* packed_container_of(const std::filesystem::path& path);

}  // namespace reelstore
