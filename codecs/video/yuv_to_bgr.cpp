#include "codecs/video/yuv_to_bgr.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "codecs/video/yuv_rows.h"

namespace reelstore {

namespace {

constexpr int kMostBlock = 32;
/// Of blended rows, before and behind the samples.
constexpr int kMargin = kMostBlock;

void blend(const uint8_t* near_row, const uint8_t* far_row, int far_weight, int count, int16_t* out) {
    for (int i = 0; i < count; ++i) {
        out[i] = static_cast<int16_t>((near_row[i] * (4 - far_weight) + far_row[i] * far_weight - 4 * 128) * 16);
    }
}

void blend_pairs(const uint8_t* near_row, const uint8_t* far_row, int far_weight, int count, int16_t* first,
                 int16_t* second) {
    for (int i = 0; i < count; ++i) {
        blend(near_row + 2 * i, far_row + 2 * i, far_weight, 1, first + i);
        blend(near_row + 2 * i + 1, far_row + 2 * i + 1, far_weight, 1, second + i);
    }
}

uint8_t clipped(int value) {
    return static_cast<uint8_t>(std::clamp(value >> 6, 0, 255));
}

/// From 256 times chroma.
void convert(int luma, int u, int v, const YuvFactors& factors, uint8_t* bgr) {
    const int gray = (luma * 256 * factors.luma >> 16) + factors.offset;
    bgr[0] = clipped(gray + (u * factors.blue_u >> 16) + (u >> 2));
    bgr[1] = clipped(gray + (u * factors.green_u >> 16) - (v * factors.minus_green_v >> 16));
    bgr[2] = clipped(gray + (v * factors.red_v >> 16));
}

template <bool centre>
int interpolated(const int16_t* chroma, int x) {
    const int16_t* here = chroma + x / 2;
    if constexpr (centre) return 3 * here[0] + (x % 2 ? here[1] : here[-1]);
    return x % 2 ? 2 * (here[0] + here[1]) : 4 * here[0];
}

template <bool centre>
void half_width(const uint8_t* luma, const int16_t* u, const int16_t* v, int count, const YuvFactors& factors,
                uint8_t* bgr) {
    for (int x = 0; x < count; ++x) {
        convert(luma[x], interpolated<centre>(u, x), interpolated<centre>(v, x), factors, bgr + 3 * x);
    }
}

void full_width(const uint8_t* luma, const uint8_t* u, const uint8_t* v, int count, const YuvFactors& factors,
                uint8_t* bgr) {
    for (int x = 0; x < count; ++x) convert(luma[x], (u[x] - 128) * 256, (v[x] - 128) * 256, factors, bgr + 3 * x);
}

YuvFactors factors_of(const YuvEncoding& encoding) {
    const YuvFormula formula = yuv_formula(encoding, 8);
    const auto fixed = [](double factor) { return static_cast<int16_t>(std::lround(factor * (1 << 14))); };
    YuvFactors factors;
    factors.luma = static_cast<uint16_t>(fixed(formula.luma));
    factors.offset = static_cast<int16_t>(std::lround(-formula.black * formula.luma * 64) + 32);
    factors.red_v = fixed(formula.red_v);
    factors.green_u = fixed(formula.green_u);
    factors.minus_green_v = fixed(-formula.green_v);
    factors.blue_u = fixed(formula.blue_u - 1);
    return factors;
}

/// A row of blended chroma with its margins.
class BlendedRow {
public:
    explicit BlendedRow(int count) : count_(count), values_(static_cast<size_t>(count) + 2 * kMargin) {}

    int16_t* data() { return values_.data() + kMargin; }

    void repeat_edges() {
        data()[-1] = data()[0];
        std::fill_n(data() + count_, kMargin, data()[count_ - 1]);
    }

private:
    int count_;
    std::vector<int16_t> values_;
};

/// Calls `convert(x, count, luma, bgr)` for whole blocks, the last of them in buffers where the row has no room for it.
template <class Convert>
void in_blocks(const YuvRowFunctions& rows, const uint8_t* luma, int width, uint8_t* bgr, const Convert& convert) {
    const int whole = width - width % rows.block;
    if (whole > 0) convert(0, whole, luma, bgr);
    const auto rest = static_cast<size_t>(width - whole);
    if (rest == 0) return;
    uint8_t luma_block[kMostBlock] = {};
    uint8_t bgr_block[3 * kMostBlock];
    std::memcpy(luma_block, luma + whole, rest);
    convert(whole, rows.block, luma_block, bgr_block);
    std::memcpy(bgr + 3 * whole, bgr_block, 3 * rest);
}

void convert_half_width(const YuvImage& image, const YuvFactors& factors, const YuvRowFunctions& rows, cv::Mat& bgr) {
    const int count = (image.width + 1) / 2;
    const auto convert = image.horizontal == ChromaSiting::centre ? rows.half_width_centre : rows.half_width_first;
    BlendedRow u(count);
    BlendedRow v(count);
    for (int y = 0; y < image.height; ++y) {
        const ChromaRows from =
            image.half_height ? half_height_rows(y, image.height, image.vertical) : ChromaRows{y, y, 0};
        const uint8_t* u_near = image.u + from.near_row * image.u_stride;
        const uint8_t* u_far = image.u + from.far_row * image.u_stride;
        const uint8_t* v_near = image.v + from.near_row * image.v_stride;
        const uint8_t* v_far = image.v + from.far_row * image.v_stride;
        if (image.chroma_step == 1) {
            rows.blend(u_near, u_far, from.far_weight, count, u.data());
            rows.blend(v_near, v_far, from.far_weight, count, v.data());
        } else if (image.u < image.v) {
            rows.blend_pairs(u_near, u_far, from.far_weight, count, u.data(), v.data());
        } else {
            rows.blend_pairs(v_near, v_far, from.far_weight, count, v.data(), u.data());
        }
        u.repeat_edges();
        v.repeat_edges();
        in_blocks(rows, image.luma + y * image.luma_stride, image.width, bgr.ptr<uint8_t>(y),
                  [&](int x, int pixels, const uint8_t* luma, uint8_t* out) {
                      convert(luma, u.data() + x / 2, v.data() + x / 2, pixels, factors, out);
                  });
    }
}

void convert_full_width(const YuvImage& image, const YuvFactors& factors, const YuvRowFunctions& rows, cv::Mat& bgr) {
    for (int y = 0; y < image.height; ++y) {
        const uint8_t* u = image.u + y * image.u_stride;
        const uint8_t* v = image.v + y * image.v_stride;
        in_blocks(rows, image.luma + y * image.luma_stride, image.width, bgr.ptr<uint8_t>(y),
                  [&](int x, int pixels, const uint8_t* luma, uint8_t* out) {
                      if (x + pixels <= image.width) {
                          rows.full_width(luma, u + x, v + x, pixels, factors, out);
                          return;
                      }
                      uint8_t u_block[kMostBlock] = {};
                      uint8_t v_block[kMostBlock] = {};
                      std::memcpy(u_block, u + x, static_cast<size_t>(image.width - x));
                      std::memcpy(v_block, v + x, static_cast<size_t>(image.width - x));
                      rows.full_width(luma, u_block, v_block, pixels, factors, out);
                  });
    }
}

const YuvRowFunctions& functions_of(SimdPath path) {
    if (path == SimdPath::plain) return kPlainYuvRows;
    const YuvRowFunctions* avx2 = avx2_yuv_rows();
    return path == SimdPath::avx2 && avx2 ? *avx2 : kSimd128YuvRows;
}

}  // namespace

const YuvRowFunctions kPlainYuvRows = {1, blend, blend_pairs, half_width<false>, half_width<true>, full_width};

const std::vector<SimdPath>& simd_paths() {
    static const std::vector<SimdPath> paths = [] {
        std::vector<SimdPath> runnable = {SimdPath::plain, SimdPath::simd128};
        if (avx2_yuv_rows()) runnable.push_back(SimdPath::avx2);
        return runnable;
    }();
    return paths;
}

YuvFormula yuv_formula(const YuvEncoding& encoding, int bits) {
    const double kr = encoding.red_weight;
    const double kb = encoding.blue_weight;
    const double kg = 1 - kr - kb;
    const double one = 1 << (bits - 8);
    const double most = 256 * one - 1;
    const double chroma = encoding.full_range ? 1 : most / (224 * one);
    YuvFormula formula;
    formula.black = encoding.full_range ? 0 : 16 * one;
    formula.luma = encoding.full_range ? 1 : most / (219 * one);
    formula.red_v = 2 * (1 - kr) * chroma;
    formula.green_u = -2 * (1 - kb) * kb / kg * chroma;
    formula.green_v = -2 * (1 - kr) * kr / kg * chroma;
    formula.blue_u = 2 * (1 - kb) * chroma;
    return formula;
}

ChromaRows half_height_rows(int y, int height, ChromaSiting vertical) {
    const int here = y / 2;
    const bool odd = y % 2 != 0;
    const int neighbour = std::clamp(odd ? here + 1 : here - 1, 0, (height + 1) / 2 - 1);
    if (vertical == ChromaSiting::centre) return {here, neighbour, 1};
    if (odd == (vertical == ChromaSiting::last)) return {here, here, 0};
    return {here, neighbour, 2};
}

void yuv_to_bgr(const YuvImage& image, const YuvEncoding& encoding, cv::Mat& bgr, SimdPath path) {
    const YuvFactors factors = factors_of(encoding);
    const YuvRowFunctions& rows = functions_of(path);
    if (image.half_width) {
        convert_half_width(image, factors, rows, bgr);
    } else {
        convert_full_width(image, factors, rows, bgr);
    }
}

}  // namespace reelstore
