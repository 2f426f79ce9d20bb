#include "codecs/packed/zstd_frame.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
// The parameter that leaves checksums alone is among those that zstd calls experimental.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "codecs/packed/little_endian.h"

namespace reelstore {

namespace {

constexpr uint32_t kChecksumBytes = 4;
constexpr size_t kBlockHeader = 3;
constexpr uint8_t kSingleSegment = 0x20;
constexpr uint8_t kHasChecksum = 0x04;

template <typename Context>
Context* not_null(Context* context) {
    if (!context) throw Error(ErrorCode::internal, "out of memory for zstd");
    return context;
}

void decode_into(ZSTD_DCtx* context, std::span<const uint8_t> frame, uint8_t* to, size_t size) {
    const unsigned long long content = ZSTD_getFrameContentSize(frame.data(), frame.size());
    if (content != size)
        throw Error(ErrorCode::corrupt, fmt::format("is no zstd frame that holds {} bytes of pixels", size));
    // The size of what is made is bounded by the buffer, whatever the frame holds.
    const size_t result = ZSTD_decompressDCtx(context, to, size, frame.data(), frame.size());
    if (ZSTD_isError(result))
        throw Error(ErrorCode::corrupt, fmt::format("does not decode: {}", ZSTD_getErrorName(result)));
    if (result != size) throw Error(ErrorCode::corrupt, fmt::format("decodes to {} bytes, not to {}", result, size));
}

}  // namespace

uint32_t zstd_checksum(std::span<const uint8_t> bytes) {
    return static_cast<uint32_t>(XXH64(bytes.data(), bytes.size(), 0));
}

std::vector<uint8_t> stored_zstd_frame(std::span<const uint8_t> bytes) {
    std::vector<uint8_t> frame;
    append_little_endian(frame, ZSTD_MAGICNUMBER, 4);
    frame.push_back(kSingleSegment | kHasChecksum);
    frame.push_back(static_cast<uint8_t>(bytes.size()));
    constexpr uint32_t kLastBlockStored = 1;
    append_little_endian(frame, static_cast<uint32_t>(bytes.size()) << 3 | kLastBlockStored, kBlockHeader);
    frame.insert(frame.end(), bytes.begin(), bytes.end());
    append_little_endian(frame, zstd_checksum(bytes), kChecksumBytes);
    return frame;
}

uint64_t zstd_frame_bytes(File& file, uint64_t offset, uint64_t most, uint64_t* content, std::string* reason) {
    constexpr size_t kLongestHeader = 18;
    const uint64_t size = file.size();
    const auto stop = [&](const char* why) {
        *reason = why;
        return uint64_t{0};
    };
    std::array<uint8_t, kLongestHeader> header{};
    const size_t got = offset < size ? file.read_at(header.data(), header.size(), offset) : 0;
    if (got < 4) return stop("a frame that is cut off");
    if (little_endian(header.data(), 4) != ZSTD_MAGICNUMBER) return stop("bytes that are no frame");
    const uint8_t descriptor = header[4];
    if ((descriptor & kHasChecksum) == 0) return stop("a frame without a checksum");
    const bool single_segment = (descriptor & kSingleSegment) != 0;
    constexpr std::array<size_t, 4> kDictionaryBytes = {0, 1, 2, 4};
    const size_t size_code = descriptor >> 6;
    const size_t size_bytes = size_code == 0 ? (single_segment ? 1 : 0) : size_t{1} << size_code;
    const size_t before_size = 5 + (single_segment ? 0 : 1) + kDictionaryBytes[descriptor & 3];
    if (got < before_size + size_bytes) return stop("a frame that is cut off");
    if (size_bytes == 0) return stop("a frame that does not say its size");
    *content = little_endian(header.data() + before_size, size_bytes) + (size_bytes == 2 ? 256 : 0);

    uint64_t at = offset + before_size + size_bytes;
    for (bool last = false; !last;) {
        std::array<uint8_t, kBlockHeader> block{};
        if (at > size || file.read_at(block.data(), block.size(), at) != block.size())
            return stop("a frame that is cut off");
        const uint64_t bits = little_endian(block.data(), block.size());
        last = (bits & 1) != 0;
        const uint64_t kind = bits >> 1 & 3;
        constexpr uint64_t kRepeated = 1;
        constexpr uint64_t kReserved = 3;
        if (kind == kReserved || bits >> 3 > ZSTD_BLOCKSIZE_MAX) return stop("a frame that is damaged");
        at += kBlockHeader + (kind == kRepeated ? 1 : bits >> 3);
        if (at - offset > most) return stop("a frame that is too large");
    }
    at += kChecksumBytes;
    if (at > size) return stop("a frame that is cut off");
    return at - offset;
}

std::vector<uint8_t> decode_zstd(std::span<const uint8_t> frame, size_t content) {
    const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(not_null(ZSTD_createDCtx()), ZSTD_freeDCtx);
    std::vector<uint8_t> bytes(content);
    decode_into(context.get(), frame, bytes.data(), bytes.size());
    return bytes;
}

void ignore_zstd_checksums(ZSTD_DCtx_s* context, bool ignore) {
    // A library that does not know it compares them, which is right as well.
    ZSTD_DCtx_setParameter(context, ZSTD_d_forceIgnoreChecksum,
                           ignore ? ZSTD_d_ignoreChecksum : ZSTD_d_validateChecksum);
}

struct ZstdImageEncoder::Impl {
    std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context{not_null(ZSTD_createCCtx()), ZSTD_freeCCtx};
};

ZstdImageEncoder::ZstdImageEncoder(int level) : impl_(std::make_unique<Impl>()) {
    ZSTD_CCtx_setParameter(impl_->context.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(impl_->context.get(), ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(impl_->context.get(), ZSTD_c_contentSizeFlag, 1);
}

ZstdImageEncoder::~ZstdImageEncoder() = default;

void ZstdImageEncoder::encode(std::span<const uint8_t> pixels, std::vector<uint8_t>& frame) {
    frame.resize(ZSTD_compressBound(pixels.size()));
    const size_t result =
        ZSTD_compress2(impl_->context.get(), frame.data(), frame.size(), pixels.data(), pixels.size());
    if (ZSTD_isError(result))
        throw Error(ErrorCode::internal, fmt::format("zstd cannot compress a frame: {}", ZSTD_getErrorName(result)));
    frame.resize(result);
}

struct ZstdImageDecoder::Impl {
    std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context{not_null(ZSTD_createDCtx()), ZSTD_freeDCtx};
};

ZstdImageDecoder::ZstdImageDecoder() : impl_(std::make_unique<Impl>()) {}
ZstdImageDecoder::~ZstdImageDecoder() = default;

void ZstdImageDecoder::decode(std::span<const uint8_t> frame, cv::Mat& image, bool verified) {
    ignore_zstd_checksums(impl_->context.get(), verified);
    decode_into(impl_->context.get(), frame, image.data, image.total() * image.elemSize());
}

uint64_t most_zstd_bytes(const ImageType& type) {
    return ZSTD_compressBound(type.bytes());
}

}  // namespace reelstore
