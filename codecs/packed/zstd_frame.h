#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/file_system.h"
#include "base/pixel_type.h"

struct ZSTD_DCtx_s;

namespace reelstore {

/// Low 32 bits of XXH64: zstd's checksum of what a frame decodes to.
uint32_t zstd_checksum(std::span<const uint8_t> bytes);

/// A zstd frame that holds up to 255 bytes as they are, with their checksum; its size depends on theirs alone.
std::vector<uint8_t> stored_zstd_frame(std::span<const uint8_t> bytes);
/// What stored_zstd_frame() adds.
inline constexpr size_t kStoredFrameOverhead = 4 + 2 + 3 + 4;

/// Bytes of the zstd frame at an offset of a file, told by its blocks' headers. 0 when there is no whole one, with the
/// reason; frames without a checksum and those of more than `most` bytes do not count. `content` gets the size that the
/// frame says it decodes to.
uint64_t zstd_frame_bytes(File& file, uint64_t offset, uint64_t most, uint64_t* content, std::string* reason);

/// A frame that zstd_frame_bytes() has found to decode to `content` bytes, which the caller has found acceptable.
/// Throws Error(corrupt) without a place when it does not, or when its checksum does not fit.
std::vector<uint8_t> decode_zstd(std::span<const uint8_t> frame, size_t content);

/// Whether frames are unpacked without a look at their checksums from now on.
void ignore_zstd_checksums(ZSTD_DCtx_s* context, bool ignore);

/// Compresses images to zstd frames with content size and checksum. Used by one thread at a time.
class ZstdImageEncoder {
public:
    explicit ZstdImageEncoder(int level);
    ~ZstdImageEncoder();
    ZstdImageEncoder(const ZstdImageEncoder&) = delete;
    ZstdImageEncoder& operator=(const ZstdImageEncoder&) = delete;
    /// `pixels` are those of an image without padding between rows. Replaces what is in `frame`.
    void encode(std::span<const uint8_t> pixels, std::vector<uint8_t>& frame);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The reverse. Used by one thread at a time.
class ZstdImageDecoder {
public:
    ZstdImageDecoder();
    ~ZstdImageDecoder();
    ZstdImageDecoder(const ZstdImageDecoder&) = delete;
    ZstdImageDecoder& operator=(const ZstdImageDecoder&) = delete;
    /// Fills `image`, which is continuous, from one frame. Throws Error(corrupt) without a place when the frame is
    /// damaged or decodes to anything but as many bytes. With `verified` zstd's checksum is not compared, which is for
    /// bytes that are known to be those that were written.
    void decode(std::span<const uint8_t> frame, cv::Mat& image, bool verified = false);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// No frame of ZstdImageEncoder is larger.
uint64_t most_zstd_bytes(const ImageType& type);

}  // namespace reelstore
