#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <opencv2/core/mat.hpp>

namespace reelstore {

/// Where a chroma sample lies among the luma samples that share it, in one direction.
enum class ChromaSiting { first, centre, last };

/// What the numbers of a YUV image mean.
struct YuvEncoding {
    double red_weight = 0.299;   ///< Kr, the share of red in luma; BT.601 as default
    double blue_weight = 0.114;  ///< Kb
    bool full_range = false;     ///< luma 0..255 and chroma 0..255 around 128; otherwise 16..235 and 16..240
};

/// The formula behind an encoding, for samples of 8 to 16 bits: gray = (Y - black) * luma; blue = gray + blue_u * U,
/// and so on, with U and V counted from the middle of their numbers; results have as many bits as the samples.
struct YuvFormula {
    double black = 0;
    double luma = 0;
    double red_v = 0;
    double green_u = 0;
    double green_v = 0;
    double blue_u = 0;
};

YuvFormula yuv_formula(const YuvEncoding& encoding, int bits);

/// The two rows of half-height chroma that a row of luma lies between, and the farther one's share in quarters.
struct ChromaRows {
    int near_row;
    int far_row;
    int far_weight;
};

/// For row `y` of an image of `height` rows; rows at the edges are repeated.
ChromaRows half_height_rows(int y, int height, ChromaSiting vertical);

/// An 8-bit YUV image in memory that somebody else owns. Strides are bytes from row to row and may be negative.
struct YuvImage {
    int width = 0;
    int height = 0;
    const uint8_t* luma = nullptr;
    ptrdiff_t luma_stride = 0;
    const uint8_t* u = nullptr;
    const uint8_t* v = nullptr;
    ptrdiff_t u_stride = 0;
    ptrdiff_t v_stride = 0;
    int chroma_step = 1;       ///< 2: U and V take turns in one plane (NV12); then u and v differ by one byte
    bool half_width = false;   ///< chroma has (width + 1) / 2 columns
    bool half_height = false;  ///< chroma has (height + 1) / 2 rows; only together with half_width
    ChromaSiting horizontal = ChromaSiting::first;  ///< `last` is no siting of any standard and not allowed here
    ChromaSiting vertical = ChromaSiting::centre;
};

/// Instructions to compute with; all give the same bits.
enum class SimdPath { plain, simd128, avx2 };

/// What this machine can run, slowest first.
const std::vector<SimdPath>& simd_paths();

/// Writes all pixels of `bgr`, which is CV_8UC3 of the image's size. Chroma is interpolated linearly between the places
/// that the siting gives and repeated at the edges; gray stays gray and is rounded exactly, colour differs from the
/// real-valued formula, clipped to 0..255, by at most 0.55. Nothing outside of the rows is read or written.
/// chroma_step 2 needs half_width. Usable from any thread.
void yuv_to_bgr(const YuvImage& image, const YuvEncoding& encoding, cv::Mat& bgr, SimdPath path = simd_paths().back());

/// Full-range values of limited-range luma (16..235), rounded and clipped; `from` and `to` have `count` bytes.
void expand_luma_range(const uint8_t* from, uint8_t* to, int count);

}  // namespace reelstore
