#include <opencv2/core/hal/intrin.hpp>

#include "codecs/video/yuv_rows.h"
#include "codecs/video/yuv_to_bgr.h"

namespace reelstore {

namespace {

constexpr int kBlock = 16;

struct Factors {
    cv::v_uint16x8 luma;
    cv::v_int16x8 offset, red_v, green_u, minus_green_v, blue_u;
};

Factors spread(const YuvFactors& factors) {
    return {cv::v_setall_u16(factors.luma),          cv::v_setall_s16(factors.offset),
            cv::v_setall_s16(factors.red_v),         cv::v_setall_s16(factors.green_u),
            cv::v_setall_s16(factors.minus_green_v), cv::v_setall_s16(factors.blue_u)};
}

struct Pixels {
    cv::v_int16x8 blue, green, red;
};

/// 8 pixels as words, from 256 times luma and chroma. Sums of 16-bit vectors saturate.
Pixels convert(const cv::v_uint16x8& luma, const cv::v_int16x8& u, const cv::v_int16x8& v, const Factors& factors) {
    const cv::v_int16x8 gray = cv::v_reinterpret_as_s16(cv::v_mul_hi(luma, factors.luma)) + factors.offset;
    const cv::v_int16x8 blue = gray + cv::v_mul_hi(u, factors.blue_u) + (u >> 2);
    const cv::v_int16x8 green = gray + cv::v_mul_hi(u, factors.green_u) - cv::v_mul_hi(v, factors.minus_green_v);
    const cv::v_int16x8 red = gray + cv::v_mul_hi(v, factors.red_v);
    return {blue >> 6, green >> 6, red >> 6};
}

void store_bgr(uint8_t* bgr, const Pixels& low, const Pixels& high) {
    cv::v_store_interleave(bgr, cv::v_pack_u(low.blue, high.blue), cv::v_pack_u(low.green, high.green),
                           cv::v_pack_u(low.red, high.red));
}

/// 256 times the values.
void widen(const cv::v_uint8x16& bytes, cv::v_uint16x8& low, cv::v_uint16x8& high) {
    cv::v_uint8x16 first;
    cv::v_uint8x16 second;
    cv::v_zip(cv::v_setzero_u8(), bytes, first, second);
    low = cv::v_reinterpret_as_u16(first);
    high = cv::v_reinterpret_as_u16(second);
}

cv::v_int16x8 blended(const cv::v_uint16x8& near_values, const cv::v_uint16x8& far_values,
                      const cv::v_uint16x8& near_weights, const cv::v_uint16x8& far_weights) {
    const cv::v_int16x8 middle = cv::v_setall_s16(128 * kBlendedOne);
    return cv::v_reinterpret_as_s16(cv::v_mul_wrap(near_values, near_weights) +
                                    cv::v_mul_wrap(far_values, far_weights)) -
           middle;
}

void blend(const uint8_t* near_row, const uint8_t* far_row, int far_weight, int count, int16_t* out) {
    const cv::v_uint16x8 near_weights = cv::v_setall_u16(static_cast<uint16_t>((4 - far_weight) * 16));
    const cv::v_uint16x8 far_weights = cv::v_setall_u16(static_cast<uint16_t>(far_weight * 16));
    int i = 0;
    for (; i + 8 <= count; i += 8) {
        cv::v_store(out + i, blended(cv::v_load_expand(near_row + i), cv::v_load_expand(far_row + i), near_weights,
                                     far_weights));
    }
    kPlainYuvRows.blend(near_row + i, far_row + i, far_weight, count - i, out + i);
}

void blend_pairs(const uint8_t* near_row, const uint8_t* far_row, int far_weight, int count, int16_t* first,
                 int16_t* second) {
    const cv::v_uint16x8 near_weights = cv::v_setall_u16(static_cast<uint16_t>((4 - far_weight) * 16));
    const cv::v_uint16x8 far_weights = cv::v_setall_u16(static_cast<uint16_t>(far_weight * 16));
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        cv::v_uint8x16 near_pairs[2];
        cv::v_uint8x16 far_pairs[2];
        cv::v_load_deinterleave(near_row + 2 * i, near_pairs[0], near_pairs[1]);
        cv::v_load_deinterleave(far_row + 2 * i, far_pairs[0], far_pairs[1]);
        int16_t* const outs[] = {first + i, second + i};
        for (int component = 0; component < 2; ++component) {
            cv::v_uint16x8 near_low, near_high, far_low, far_high;
            cv::v_expand(near_pairs[component], near_low, near_high);
            cv::v_expand(far_pairs[component], far_low, far_high);
            cv::v_store(outs[component], blended(near_low, far_low, near_weights, far_weights));
            cv::v_store(outs[component] + 8, blended(near_high, far_high, near_weights, far_weights));
        }
    }
    kPlainYuvRows.blend_pairs(near_row + 2 * i, far_row + 2 * i, far_weight, count - i, first + i, second + i);
}

/// Chroma of 16 pixels.
template <bool centre>
void interpolate(const int16_t* chroma, cv::v_int16x8& low, cv::v_int16x8& high) {
    const cv::v_int16x8 here = cv::v_load(chroma);
    const cv::v_int16x8 next = cv::v_load(chroma + 1);
    if constexpr (centre) {
        const cv::v_int16x8 triple = (here << 1) + here;
        cv::v_zip(triple + cv::v_load(chroma - 1), triple + next, low, high);
    } else {
        cv::v_zip(here << 2, (here + next) << 1, low, high);
    }
}

template <bool centre>
void half_width(const uint8_t* luma, const int16_t* u, const int16_t* v, int count, const YuvFactors& factors,
                uint8_t* bgr) {
    const Factors spread_factors = spread(factors);
    for (int x = 0; x < count; x += kBlock) {
        cv::v_uint16x8 luma_low, luma_high;
        cv::v_int16x8 u_low, u_high, v_low, v_high;
        widen(cv::v_load(luma + x), luma_low, luma_high);
        interpolate<centre>(u + x / 2, u_low, u_high);
        interpolate<centre>(v + x / 2, v_low, v_high);
        store_bgr(bgr + 3 * x, convert(luma_low, u_low, v_low, spread_factors),
                  convert(luma_high, u_high, v_high, spread_factors));
    }
}

void full_width(const uint8_t* luma, const uint8_t* u, const uint8_t* v, int count, const YuvFactors& factors,
                uint8_t* bgr) {
    const Factors spread_factors = spread(factors);
    const cv::v_uint8x16 sign = cv::v_setall_u8(0x80);
    for (int x = 0; x < count; x += kBlock) {
        cv::v_uint16x8 luma_low, luma_high, u_low, u_high, v_low, v_high;
        widen(cv::v_load(luma + x), luma_low, luma_high);
        widen(cv::v_load(u + x) ^ sign, u_low, u_high);
        widen(cv::v_load(v + x) ^ sign, v_low, v_high);
        store_bgr(
            bgr + 3 * x,
            convert(luma_low, cv::v_reinterpret_as_s16(u_low), cv::v_reinterpret_as_s16(v_low), spread_factors),
            convert(luma_high, cv::v_reinterpret_as_s16(u_high), cv::v_reinterpret_as_s16(v_high), spread_factors));
    }
}

// 64 * 255 / 219 in units of 1 / 256, and what black and rounding add; exact for every byte.
constexpr int kExpandFactor = 19077;
constexpr int kExpandOffset = 32 - 1192;

uint8_t expanded(uint8_t value) {
    const int scaled = (value * 256 * kExpandFactor >> 16) + kExpandOffset;
    return cv::saturate_cast<uint8_t>(scaled >> 6);
}

}  // namespace

const YuvRowFunctions kSimd128YuvRows = {kBlock, blend, blend_pairs, half_width<false>, half_width<true>, full_width};

void expand_luma_range(const uint8_t* from, uint8_t* to, int count) {
    const cv::v_uint16x8 factor = cv::v_setall_u16(kExpandFactor);
    const cv::v_int16x8 offset = cv::v_setall_s16(kExpandOffset);
    int i = 0;
    for (; i + kBlock <= count; i += kBlock) {
        cv::v_uint16x8 low, high;
        widen(cv::v_load(from + i), low, high);
        const cv::v_int16x8 low_scaled = cv::v_reinterpret_as_s16(cv::v_mul_hi(low, factor)) + offset;
        const cv::v_int16x8 high_scaled = cv::v_reinterpret_as_s16(cv::v_mul_hi(high, factor)) + offset;
        cv::v_store(to + i, cv::v_pack_u(low_scaled >> 6, high_scaled >> 6));
    }
    for (; i < count; ++i) to[i] = expanded(from[i]);
}

}  // namespace reelstore
