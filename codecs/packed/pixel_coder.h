#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"
#include "codecs/packed/pixel_filter.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace reelstore {

/// How hard an encoder of predicted pixels looks for a small result.
enum class PixelEffort {
    fast,   ///< undone at the speed of memory
    small,  ///< residuals of 8-bit pixels are grouped besides, so that each group gets a code of its own
};

/// Turns images into the bytes of a frame of the predicted format (spec/format.md): a predictor for the noise of
/// cameras, then zstd. Lossless for every type. What an image becomes depends on nothing but the image and what the
/// constructor was given. Keeps its memory between frames; used by one thread at a time.
class PixelEncoder {
public:
    /// `level` is zstd's, 1 to 19. At 1, what looks like noise is not searched for repetitions. Throws
    /// Error(invalid_argument) for another level or a type that is not plausible().
    PixelEncoder(const ImageType& type, PixelEffort effort, int level);

    /// The bytes of one frame, valid until the next call. Every such run of bytes says by which filter it was made and
    /// carries a checksum of what is decoded from it. `image` has the type given to the constructor, or
    /// Error(wrong_type) is thrown; its rows need not follow each other in memory.
    std::span<const uint8_t> encode(const cv::Mat& image);

private:
    struct FreeContext {
        void operator()(ZSTD_CCtx_s* context) const;
    };
    using Context = std::unique_ptr<ZSTD_CCtx_s, FreeContext>;

    /// Appends a zstd frame that holds these bytes. From `noise_bits` for a byte on they are taken for noise.
    void append_stream(const uint8_t* bytes, size_t count, double noise_bits);

    ImageType type_;
    PixelEffort effort_;
    Context context_;
    Context noise_context_;
    std::vector<uint8_t> filtered_;
    std::vector<uint8_t> grouped_;
    std::vector<uint8_t> group_of_pieces_;
    std::vector<uint8_t> encoded_;
    size_t encoded_bytes_ = 0;
    FilterMemory memory_;
};

/// The reverse. Used by one thread at a time.
class PixelDecoder {
public:
    /// Throws Error(invalid_argument) for a type that is not plausible().
    explicit PixelDecoder(const ImageType& type);

    /// `image` is created if it is not of the type already; its rows need not follow each other in memory. Throws
    /// Error(corrupt) (without a place) for anything that is not such a frame of this type, and `image` then holds
    /// anything; never uses more memory than the type needs. With `verified` the
    /// checksums in the frame are not compared, which is for bytes that are known to be those that were written.
    void decode(std::span<const uint8_t> bytes, cv::Mat& image, bool verified = false);

private:
    struct FreeContext {
        void operator()(ZSTD_DCtx_s* context) const;
    };

    ImageType type_;
    std::unique_ptr<ZSTD_DCtx_s, FreeContext> context_;
    std::vector<uint8_t> filtered_;
    std::vector<uint8_t> grouped_;
    FilterMemory memory_;
};

/// Length of the frame that `bytes`, a part of a file, begin with; 0 when they are cut off before that can be told or
/// do not begin with a frame (then `*reason` says why). Looks at the frame's structure, not at its pixels.
size_t predicted_frame_bytes(std::span<const uint8_t> bytes, std::string* reason);

}  // namespace reelstore
