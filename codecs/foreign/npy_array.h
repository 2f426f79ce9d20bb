#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/npy.h"
#include "codecs/chunk_format.h"
#include "codecs/foreign/array_images.h"
#include "codecs/packed/npy_stack.h"

namespace reelstore {

/// The option `layout` of opening an array of numpy.
CodecOptionInfo npy_layout_option();

/// A smaller first or second axis is not taken for the side of a colour image.
inline constexpr int64_t kColorImageSide = 16;
/// Whether a stack of gray images of this size could be taken for one colour image.
bool is_narrow_image(int64_t height, int64_t width);

/// How an array of numpy divides into frames: as the option `layout` says, else (h, w) is one image, (n, h, w) a stack,
/// (n, h, w, c) a stack with channels, and three dimensions are one image (h, w, c) when c is 3 or 4 and both other
/// sizes are at least 16. Whole numbers of 64 bits and uint32 become float64. Throws Error(unsupported) for elements
/// that are no pixels and for other numbers of dimensions, Error(invalid_argument) for a layout that does not fit.
ArrayLayout npy_layout(const NpyHeader& header, const CodecOptions& options);

/// The frames of the array whose elements are `bytes`. Image type, has_numbers and the other facts of `stamps`, and
/// warnings, are put into `opened`.
std::shared_ptr<const ImageSequence> npy_frames(ArrayBytes bytes, const NpyHeader& header, const CodecOptions& options,
                                                ArrayStamps stamps, OpenedSequence& opened);

}  // namespace reelstore
