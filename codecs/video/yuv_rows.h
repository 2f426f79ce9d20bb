#pragma once

#include <cstdint>

// One row of yuv_to_bgr at a time, for each kind of instructions.

namespace reelstore {

/// Fixed-point factors. Luma and chroma enter as 256 times their values, products keep the upper 16 of 32 bits and are
/// 64 times a BGR value.
struct YuvFactors {
    uint16_t luma = 0;
    int16_t offset = 0;  ///< black level and rounding, 64 times a BGR value
    int16_t red_v = 0;
    int16_t green_u = 0;
    int16_t minus_green_v = 0;  ///< subtracted, so that the bits cut off of both products cancel out on average
    int16_t blue_u = 0;         ///< without 1, as some matrices have more than 16 bits can hold
};

/// Rows of chroma blended vertically are 64 times (value - 128), which leaves two bits for blending horizontally.
constexpr int kBlendedOne = 64;

struct YuvRowFunctions {
    /// Pixels of a block; `count` of the functions below that write BGR is a multiple of it.
    int block;
    /// out[i] = (near[i] * (4 - far_weight) + far[i] * far_weight - 4 * 128) * 16. `count` is any.
    void (*blend)(const uint8_t* near_row, const uint8_t* far_row, int far_weight, int count, int16_t* out);
    /// The same for rows in which two components take turns; `count` of each.
    void (*blend_pairs)(const uint8_t* near_row, const uint8_t* far_row, int far_weight, int count, int16_t* first,
                        int16_t* second);
    /// BGR of a row with chroma of half the width; from u[-1] to u[count / 2] is read, and so of v.
    void (*half_width_first)(const uint8_t* luma, const int16_t* u, const int16_t* v, int count,
                             const YuvFactors& factors, uint8_t* bgr);
    void (*half_width_centre)(const uint8_t* luma, const int16_t* u, const int16_t* v, int count,
                              const YuvFactors& factors, uint8_t* bgr);
    /// BGR of a row with chroma of the full width, straight from its bytes.
    void (*full_width)(const uint8_t* luma, const uint8_t* u, const uint8_t* v, int count, const YuvFactors& factors,
                       uint8_t* bgr);
};

extern const YuvRowFunctions kPlainYuvRows;
extern const YuvRowFunctions kSimd128YuvRows;
/// Null where the compiler has no such instructions, or this machine has not.
const YuvRowFunctions* avx2_yuv_rows();

}  // namespace reelstore
