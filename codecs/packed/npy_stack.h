#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/npy.h"
#include "base/pixel_type.h"
#include "codecs/packed/packed_container.h"

namespace reelstore {

/// Bytes of every header that npy_stack_header() makes.
inline constexpr size_t kNpyStackHeaderBytes = 128;
/// No header of an array that we read is longer.
inline constexpr size_t kLongestNpyHeader = (size_t{64} << 10) + 12;

/// The header of a .npy of shape (frames, height, width[, channels]), padded so that its length never changes.
std::vector<uint8_t> npy_stack_header(const ImageType& type, int64_t frames);

/// What such a header says, in `first_byte` the length of the header itself. Throws Error(corrupt) or
/// Error(unsupported), without a path, when the array is no stack of images.
PackedHeader stack_of(const NpyHeader& header);

}  // namespace reelstore
