#include "codecs/video/yuv_rows.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

namespace reelstore {

namespace {

// Only these functions use the instructions, so that the rest of the program runs everywhere.
#define REELSTORE_AVX2 __attribute__((target("avx2")))
#define REELSTORE_AVX2_INLINE __attribute__((target("avx2"), always_inline)) inline

constexpr int kBlock = 32;

REELSTORE_AVX2_INLINE __m256i load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

REELSTORE_AVX2_INLINE void store(void* to, __m256i value) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}

REELSTORE_AVX2_INLINE __m256i widen(const uint8_t* from) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

struct Factors {
    __m256i luma, offset, red_v, green_u, minus_green_v, blue_u;
};

REELSTORE_AVX2_INLINE Factors spread(const YuvFactors& factors) {
    return {_mm256_set1_epi16(static_cast<int16_t>(factors.luma)),
            _mm256_set1_epi16(factors.offset),
            _mm256_set1_epi16(factors.red_v),
            _mm256_set1_epi16(factors.green_u),
            _mm256_set1_epi16(factors.minus_green_v),
            _mm256_set1_epi16(factors.blue_u)};
}

struct Pixels {
    __m256i blue, green, red;
};

/// 16 pixels as words, from 256 times luma and chroma.
REELSTORE_AVX2_INLINE Pixels convert(__m256i luma, __m256i u, __m256i v, const Factors& factors) {
    const __m256i gray = _mm256_adds_epi16(_mm256_mulhi_epu16(luma, factors.luma), factors.offset);
    const __m256i blue =
        _mm256_adds_epi16(_mm256_adds_epi16(gray, _mm256_mulhi_epi16(u, factors.blue_u)), _mm256_srai_epi16(u, 2));
    const __m256i green = _mm256_subs_epi16(_mm256_adds_epi16(gray, _mm256_mulhi_epi16(u, factors.green_u)),
                                            _mm256_mulhi_epi16(v, factors.minus_green_v));
    const __m256i red = _mm256_adds_epi16(gray, _mm256_mulhi_epi16(v, factors.red_v));
    return {_mm256_srai_epi16(blue, 6), _mm256_srai_epi16(green, 6), _mm256_srai_epi16(red, 6)};
}

/// Places of a channel's 16 bytes, so that those of one output vector stand where that vector has the channel: byte
/// i of the channel goes to (3 * i + channel) modulo 16.
struct Placement {
    alignas(16) int8_t from[3][16];
};

/// `split`: the bytes of even pixels come before those of odd ones.
constexpr Placement make_placement(bool split) {
    Placement placement{};
    for (int channel = 0; channel < 3; ++channel) {
        for (int pixel = 0; pixel < 16; ++pixel) {
            const int source = split ? pixel / 2 + pixel % 2 * 8 : pixel;
            placement.from[channel][(3 * pixel + channel) % 16] = static_cast<int8_t>(source);
        }
    }
    return placement;
}

constexpr Placement kInOrder = make_placement(false);
constexpr Placement kSplit = make_placement(true);

REELSTORE_AVX2_INLINE __m256i place(__m256i channel, const int8_t* from) {
    return _mm256_shuffle_epi8(channel,
                               _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(from))));
}

/// 32 pixels of BGR. Each half of the vectors holds 16 pixels.
REELSTORE_AVX2_INLINE void store_bgr(uint8_t* bgr, const Pixels& low, const Pixels& high, const Placement& placement) {
    const __m256i blue = place(_mm256_packus_epi16(low.blue, high.blue), placement.from[0]);
    const __m256i green = place(_mm256_packus_epi16(low.green, high.green), placement.from[1]);
    const __m256i red = place(_mm256_packus_epi16(low.red, high.red), placement.from[2]);
    const __m256i second =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0));
    const __m256i third =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0));
    const __m256i a = _mm256_blendv_epi8(_mm256_blendv_epi8(blue, green, second), red, third);
    const __m256i b = _mm256_blendv_epi8(_mm256_blendv_epi8(green, red, second), blue, third);
    const __m256i c = _mm256_blendv_epi8(_mm256_blendv_epi8(red, blue, second), green, third);
    store(bgr, _mm256_permute2x128_si256(a, b, 0x20));
    store(bgr + 32, _mm256_permute2x128_si256(c, a, 0x30));
    store(bgr + 64, _mm256_permute2x128_si256(b, c, 0x31));
}

REELSTORE_AVX2 void blend(const uint8_t* near_row, const uint8_t* far_row, int far_weight, int count, int16_t* out) {
    const __m256i near_weights = _mm256_set1_epi16(static_cast<int16_t>((4 - far_weight) * 16));
    const __m256i far_weights = _mm256_set1_epi16(static_cast<int16_t>(far_weight * 16));
    const __m256i middle = _mm256_set1_epi16(128 * kBlendedOne);
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m256i sum = _mm256_add_epi16(_mm256_mullo_epi16(widen(near_row + i), near_weights),
                                             _mm256_mullo_epi16(widen(far_row + i), far_weights));
        store(out + i, _mm256_sub_epi16(sum, middle));
    }
    kPlainYuvRows.blend(near_row + i, far_row + i, far_weight, count - i, out + i);
}

REELSTORE_AVX2 void blend_pairs(const uint8_t* near_row, const uint8_t* far_row, int far_weight, int count,
                                int16_t* first, int16_t* second) {
    const __m256i near_weights = _mm256_set1_epi16(static_cast<int16_t>((4 - far_weight) * 16));
    const __m256i far_weights = _mm256_set1_epi16(static_cast<int16_t>(far_weight * 16));
    const __m256i middle = _mm256_set1_epi16(128 * kBlendedOne);
    const __m256i low_byte = _mm256_set1_epi16(255);
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m256i near_pairs = load(near_row + 2 * i);
        const __m256i far_pairs = load(far_row + 2 * i);
        const __m256i firsts =
            _mm256_add_epi16(_mm256_mullo_epi16(_mm256_and_si256(near_pairs, low_byte), near_weights),
                             _mm256_mullo_epi16(_mm256_and_si256(far_pairs, low_byte), far_weights));
        const __m256i seconds = _mm256_add_epi16(_mm256_mullo_epi16(_mm256_srli_epi16(near_pairs, 8), near_weights),
                                                 _mm256_mullo_epi16(_mm256_srli_epi16(far_pairs, 8), far_weights));
        store(first + i, _mm256_sub_epi16(firsts, middle));
        store(second + i, _mm256_sub_epi16(seconds, middle));
    }
    kPlainYuvRows.blend_pairs(near_row + 2 * i, far_row + 2 * i, far_weight, count - i, first + i, second + i);
}

struct ChromaPair {
    __m256i even, odd;
};

template <bool centre>
REELSTORE_AVX2_INLINE ChromaPair interpolate(const int16_t* chroma) {
    const __m256i here = load(chroma);
    const __m256i next = load(chroma + 1);
    if constexpr (centre) {
        const __m256i triple = _mm256_add_epi16(_mm256_slli_epi16(here, 1), here);
        return {_mm256_add_epi16(triple, load(chroma - 1)), _mm256_add_epi16(triple, next)};
    } else {
        return {_mm256_slli_epi16(here, 2), _mm256_slli_epi16(_mm256_add_epi16(here, next), 1)};
    }
}

template <bool centre>
REELSTORE_AVX2 void half_width(const uint8_t* luma, const int16_t* u, const int16_t* v, int count,
                               const YuvFactors& factors, uint8_t* bgr) {
    const Factors spread_factors = spread(factors);
    const __m256i high_byte = _mm256_set1_epi16(static_cast<int16_t>(0xff00));
    for (int x = 0; x < count; x += kBlock) {
        const __m256i pixels = load(luma + x);
        const ChromaPair us = interpolate<centre>(u + x / 2);
        const ChromaPair vs = interpolate<centre>(v + x / 2);
        const Pixels even = convert(_mm256_slli_epi16(pixels, 8), us.even, vs.even, spread_factors);
        const Pixels odd = convert(_mm256_and_si256(pixels, high_byte), us.odd, vs.odd, spread_factors);
        store_bgr(bgr + 3 * x, even, odd, kSplit);
    }
}

REELSTORE_AVX2 void full_width(const uint8_t* luma, const uint8_t* u, const uint8_t* v, int count,
                               const YuvFactors& factors, uint8_t* bgr) {
    const Factors spread_factors = spread(factors);
    const __m256i zero = _mm256_setzero_si256();
    const __m256i sign = _mm256_set1_epi8(static_cast<char>(0x80));
    for (int x = 0; x < count; x += kBlock) {
        const __m256i pixels = load(luma + x);
        const __m256i us = _mm256_xor_si256(load(u + x), sign);
        const __m256i vs = _mm256_xor_si256(load(v + x), sign);
        const Pixels low = convert(_mm256_unpacklo_epi8(zero, pixels), _mm256_unpacklo_epi8(zero, us),
                                   _mm256_unpacklo_epi8(zero, vs), spread_factors);
        const Pixels high = convert(_mm256_unpackhi_epi8(zero, pixels), _mm256_unpackhi_epi8(zero, us),
                                    _mm256_unpackhi_epi8(zero, vs), spread_factors);
        store_bgr(bgr + 3 * x, low, high, kInOrder);
    }
}

constexpr YuvRowFunctions kRows = {kBlock, blend, blend_pairs, half_width<false>, half_width<true>, full_width};

}  // namespace

const YuvRowFunctions* avx2_yuv_rows() {
    return __builtin_cpu_supports("avx2") ? &kRows : nullptr;
}

}  // namespace reelstore

#else

namespace reelstore {

const YuvRowFunctions* avx2_yuv_rows() {
    return nullptr;
}

}  // namespace reelstore

#endif
