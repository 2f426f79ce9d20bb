#include "codecs/packed/pixel_planes.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace reelstore {

namespace {

// Only these functions use the instructions, so that the rest of the program runs everywhere.
#define REELSTORE_AVX2 __attribute__((target("avx2")))
#define REELSTORE_AVX2_INLINE __attribute__((target("avx2"), always_inline)) inline

// Vectors of a loop stay in registers only where it is unrolled.
#ifdef __clang__
#define REELSTORE_UNROLL _Pragma("unroll")
#else
#define REELSTORE_UNROLL _Pragma("GCC unroll 16")
#endif

REELSTORE_AVX2_INLINE __m256i load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

REELSTORE_AVX2_INLINE void store(void* to, __m256i value) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}

/// What the two sizes of samples have different instructions for. A vector has two halves.
template <class T>
struct Lanes;

template <>
struct Lanes<uint8_t> {
    static constexpr int kHalf = 16;
    REELSTORE_AVX2_INLINE static __m256i add(__m256i a, __m256i b) { return _mm256_add_epi8(a, b); }
    REELSTORE_AVX2_INLINE static __m256i subtract(__m256i a, __m256i b) { return _mm256_sub_epi8(a, b); }
    REELSTORE_AVX2_INLINE static __m256i average(__m256i a, __m256i b) { return _mm256_avg_epu8(a, b); }
    REELSTORE_AVX2_INLINE static __m256i least(__m256i a, __m256i b) { return _mm256_min_epu8(a, b); }
    REELSTORE_AVX2_INLINE static __m256i greatest(__m256i a, __m256i b) { return _mm256_max_epu8(a, b); }
    REELSTORE_AVX2_INLINE static __m256i equal(__m256i a, __m256i b) { return _mm256_cmpeq_epi8(a, b); }
    REELSTORE_AVX2_INLINE static __m256i spread(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
    REELSTORE_AVX2_INLINE static __m256i low_pairs(__m256i a, __m256i b) { return _mm256_unpacklo_epi8(a, b); }
    REELSTORE_AVX2_INLINE static __m256i high_pairs(__m256i a, __m256i b) { return _mm256_unpackhi_epi8(a, b); }
    /// Each lane becomes what the lane before it was, the first of each half the last of `last`'s half.
    REELSTORE_AVX2_INLINE static __m256i next_lane(__m256i value, __m256i last) {
        return _mm256_alignr_epi8(value, last, 15);
    }
    REELSTORE_AVX2_INLINE static __m256i residuals(const uint8_t* bytes, size_t) { return load(bytes); }
    REELSTORE_AVX2_INLINE static __m256i residuals(const uint8_t* low_half, const uint8_t* high_half, size_t) {
        return _mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low_half))),
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(high_half)), 1);
    }
};

template <>
struct Lanes<uint16_t> {
    static constexpr int kHalf = 8;
    REELSTORE_AVX2_INLINE static __m256i add(__m256i a, __m256i b) { return _mm256_add_epi16(a, b); }
    REELSTORE_AVX2_INLINE static __m256i subtract(__m256i a, __m256i b) { return _mm256_sub_epi16(a, b); }
    REELSTORE_AVX2_INLINE static __m256i average(__m256i a, __m256i b) { return _mm256_avg_epu16(a, b); }
    REELSTORE_AVX2_INLINE static __m256i least(__m256i a, __m256i b) { return _mm256_min_epu16(a, b); }
    REELSTORE_AVX2_INLINE static __m256i greatest(__m256i a, __m256i b) { return _mm256_max_epu16(a, b); }
    REELSTORE_AVX2_INLINE static __m256i equal(__m256i a, __m256i b) { return _mm256_cmpeq_epi16(a, b); }
    REELSTORE_AVX2_INLINE static __m256i spread(int value) { return _mm256_set1_epi16(static_cast<int16_t>(value)); }
    REELSTORE_AVX2_INLINE static __m256i low_pairs(__m256i a, __m256i b) { return _mm256_unpacklo_epi16(a, b); }
    REELSTORE_AVX2_INLINE static __m256i high_pairs(__m256i a, __m256i b) { return _mm256_unpackhi_epi16(a, b); }
    REELSTORE_AVX2_INLINE static __m256i next_lane(__m256i value, __m256i last) {
        return _mm256_alignr_epi8(value, last, 14);
    }
    REELSTORE_AVX2_INLINE static __m256i fold(__m256i residual) {
        return _mm256_xor_si256(_mm256_slli_epi16(residual, 1), _mm256_srai_epi16(residual, 15));
    }
    REELSTORE_AVX2_INLINE static __m256i unfold(__m256i folded) {
        const __m256i odd = _mm256_and_si256(folded, _mm256_set1_epi16(1));
        return _mm256_xor_si256(_mm256_srli_epi16(folded, 1), _mm256_sub_epi16(_mm256_setzero_si256(), odd));
    }
    REELSTORE_AVX2_INLINE static __m128i eight(const uint8_t* bytes, size_t plane_bytes) {
        return _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)),
                                 _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + plane_bytes)));
    }
    REELSTORE_AVX2_INLINE static __m256i residuals(const uint8_t* bytes, size_t plane_bytes) {
        return residuals(bytes, bytes + 8, plane_bytes);
    }
    REELSTORE_AVX2_INLINE static __m256i residuals(const uint8_t* low_half, const uint8_t* high_half,
                                                   size_t plane_bytes) {
        return unfold(_mm256_inserti128_si256(_mm256_castsi128_si256(eight(low_half, plane_bytes)),
                                              eight(high_half, plane_bytes), 1));
    }
};

struct VectorNeighbours {
    __m256i left, above, before_above, behind_above;
};

template <Predictor predictor, class T>
REELSTORE_AVX2_INLINE __m256i predict_lanes(const VectorNeighbours& near) {
    using L = Lanes<T>;
    if constexpr (predictor == Predictor::left) return near.left;
    if constexpr (predictor == Predictor::above) return near.above;
    if constexpr (predictor == Predictor::average) {
        return L::average(near.left, L::average(near.above, near.behind_above));
    }
    if constexpr (predictor == Predictor::median) {
        const __m256i corner = L::least(L::greatest(near.before_above, L::least(near.left, near.above)),
                                        L::greatest(near.left, near.above));
        return L::subtract(L::add(near.left, near.above), corner);
    }
    return _mm256_setzero_si256();
}

template <Predictor predictor, class T>
REELSTORE_AVX2_INLINE __m256i restore_lanes(__m256i residual, const VectorNeighbours& near) {
    using L = Lanes<T>;
    if constexpr (predictor == Predictor::median) {
        // In the order in which the fewest instructions wait for the sample to the left.
        const __m256i corner = L::least(L::greatest(near.before_above, L::least(near.left, near.above)),
                                        L::greatest(near.left, near.above));
        return L::subtract(L::add(L::add(residual, near.above), near.left), corner);
    }
    return L::add(residual, predict_lanes<predictor, T>(near));
}

/// Residuals of the samples from x on; those one before and behind are there too.
template <Predictor predictor, class T>
REELSTORE_AVX2_INLINE __m256i filtered(const T* above, const T* row) {
    const VectorNeighbours near = {load(row - 1), load(above), load(above - 1), load(above + 1)};
    return Lanes<T>::subtract(load(row), predict_lanes<predictor, T>(near));
}

constexpr int kBytes = 32;

template <Predictor predictor>
REELSTORE_AVX2_INLINE void filter_block(const uint8_t* above, const uint8_t* row, uint8_t* bytes, size_t) {
    store(bytes, filtered<predictor>(above, row));
}

template <Predictor predictor>
REELSTORE_AVX2_INLINE void filter_block(const uint16_t* above, const uint16_t* row, uint8_t* bytes,
                                        size_t plane_bytes) {
    const __m256i first = Lanes<uint16_t>::fold(filtered<predictor>(above, row));
    const __m256i second = Lanes<uint16_t>::fold(filtered<predictor>(above + 16, row + 16));
    const __m256i low_byte = _mm256_set1_epi16(255);
    const __m256i low = _mm256_packus_epi16(_mm256_and_si256(first, low_byte), _mm256_and_si256(second, low_byte));
    const __m256i high = _mm256_packus_epi16(_mm256_srli_epi16(first, 8), _mm256_srli_epi16(second, 8));
    store(bytes, _mm256_permute4x64_epi64(low, 0xd8));
    store(bytes + plane_bytes, _mm256_permute4x64_epi64(high, 0xd8));
}

/// The ends, whose neighbours are not where those of the others are, are left to `ends`.
template <class T, Predictor predictor>
REELSTORE_AVX2 void filter_row(const T* above, const T* row, int count, uint8_t* bytes, size_t plane_bytes) {
    if (count < kBytes + 2) {
        portable_plane_functions<T>().filter_row[static_cast<int>(predictor)](above, row, count, bytes, plane_bytes);
        return;
    }
    const auto end = [&](int x, const Neighbours<T>& near) __attribute__((always_inline)) {
        const T folded = fold(static_cast<T>(row[x] - predict<predictor>(near)));
        for (size_t b = 0; b < sizeof(T); ++b)
            bytes[static_cast<size_t>(x) + b * plane_bytes] = static_cast<uint8_t>(folded >> (8 * b));
    };
    end(0, {above[0], above[0], above[0], above[1]});
    const int last = count - 1;
    int x = 1;
    for (; x + kBytes <= last; x += kBytes) filter_block<predictor>(above + x, row + x, bytes + x, plane_bytes);
    // Some samples a second time, rather than one by one.
    x = last - kBytes;
    filter_block<predictor>(above + x, row + x, bytes + x, plane_bytes);
    end(last, {row[last - 1], above[last], above[last - 1], above[last]});
}

/// Predictors that look at the row above only.
template <class T, Predictor predictor>
REELSTORE_AVX2 void restore_by_rows(const uint8_t* bytes, size_t plane_bytes, int width, int height, T* plane,
                                    size_t stride) {
    constexpr int kCount = kBytes / static_cast<int>(sizeof(T));
    if (width < kCount + 2) {
        portable_plane_functions<T>().restore_plane[static_cast<int>(predictor)](bytes, plane_bytes, width, height,
                                                                                 plane, stride);
        return;
    }
    const std::vector<T> zeros(static_cast<size_t>(width));
    const int last = width - 1;
    const T* above = zeros.data();
    for (int y = 0; y < height; ++y) {
        const auto end = [&](int x, const Neighbours<T>& near) __attribute__((always_inline)) {
            T folded = 0;
            for (size_t b = 0; b < sizeof(T); ++b) {
                folded = static_cast<T>(folded | bytes[static_cast<size_t>(x) + b * plane_bytes] << (8 * b));
            }
            plane[x] = static_cast<T>(predict<predictor>(near) + unfold(folded));
        };
        const auto block = [&](int x) __attribute__((target("avx2"), always_inline)) {
            const VectorNeighbours near = {{}, load(above + x), load(above + x - 1), load(above + x + 1)};
            store(plane + x,
                  Lanes<T>::add(predict_lanes<predictor, T>(near), Lanes<T>::residuals(bytes + x, plane_bytes)));
        };
        end(0, {above[0], above[0], above[0], above[1]});
        for (int x = 1; x + kCount <= last; x += kCount) block(x);
        block(last - kCount);
        end(last, {0, above[last], above[last - 1], above[last]});
        bytes += width;
        above = plane;
        plane += stride;
    }
}

/// For next_lane(): entry i brings sample i of each half to the end of it.
template <class T>
struct LastSample {
    alignas(32) uint8_t from[Lanes<T>::kHalf][32];
};

template <class T>
constexpr LastSample<T> make_last_sample() {
    LastSample<T> table{};
    for (int i = 0; i < Lanes<T>::kHalf; ++i) {
        for (int byte = 0; byte < 32; ++byte) {
            table.from[i][byte] =
                static_cast<uint8_t>(i * static_cast<int>(sizeof(T)) + byte % static_cast<int>(sizeof(T)));
        }
    }
    return table;
}

template <class T>
constexpr LastSample<T> kLastSample = make_last_sample<T>();

/// Swaps rows and columns of both halves.
template <class T>
REELSTORE_AVX2_INLINE void transpose(const __m256i* from, __m256i* to) {
    constexpr int kHalf = Lanes<T>::kHalf;
    __m256i a[kHalf];
    __m256i b[kHalf];
    // Each round makes pairs, then fours... of what belongs together.
    REELSTORE_UNROLL
    for (int i = 0; i < kHalf / 2; ++i) {
        a[2 * i] = Lanes<T>::low_pairs(from[i], from[i + kHalf / 2]);
        a[2 * i + 1] = Lanes<T>::high_pairs(from[i], from[i + kHalf / 2]);
    }
    REELSTORE_UNROLL
    for (int i = 0; i < kHalf / 2; ++i) {
        b[2 * i] = Lanes<T>::low_pairs(a[i], a[i + kHalf / 2]);
        b[2 * i + 1] = Lanes<T>::high_pairs(a[i], a[i + kHalf / 2]);
    }
    __m256i* const third = kHalf == 16 ? a : to;
    REELSTORE_UNROLL
    for (int i = 0; i < kHalf / 2; ++i) {
        third[2 * i] = Lanes<T>::low_pairs(b[i], b[i + kHalf / 2]);
        third[2 * i + 1] = Lanes<T>::high_pairs(b[i], b[i + kHalf / 2]);
    }
    if constexpr (kHalf == 16) {
        REELSTORE_UNROLL
        for (int i = 0; i < kHalf / 2; ++i) {
            to[2 * i] = Lanes<T>::low_pairs(a[i], a[i + kHalf / 2]);
            to[2 * i + 1] = Lanes<T>::high_pairs(a[i], a[i + kHalf / 2]);
        }
    }
}

/// Rows restored at once: one a lane, each two samples behind the one above it, whose next sample is needed, and those
/// of the second half behind the last of the first by more than a block, as they read it from memory.
template <class T>
constexpr int kRows = 2 * Lanes<T>::kHalf;

template <class T>
constexpr int delay(int row) {
    return 2 * row + (row >= Lanes<T>::kHalf ? 2 * Lanes<T>::kHalf : 0);
}

/// Samples before and behind the rows in memory, where lanes are that have not begun or have ended.
template <class T>
constexpr int kPadding = delay<T>(kRows<T> - 1) + 2 * Lanes<T>::kHalf;

static_assert(kPadding<uint8_t> <= static_cast<int>(kFilterMargin));

template <class T>
class Wave {
public:
    /// The next samples of all lanes, from the last ones of each.
    __m256i last;          ///< left of what comes
    __m256i above;         ///< above what comes
    __m256i before_above;  ///< and before that

    /// `behind_above` of what comes follows from `last`, but for the first lane of each half, which gets it from
    /// `tops`.
    template <Predictor predictor>
    REELSTORE_AVX2_INLINE __m256i next(__m256i residual, __m256i tops, int i) {
        const __m256i behind = behind_above(tops, i);
        last = restore_lanes<predictor, T>(residual, {last, above, before_above, behind});
        before_above = above;
        above = behind;
        return last;
    }

    /// The same where lanes are at the first or last sample of their rows.
    template <Predictor predictor>
    REELSTORE_AVX2_INLINE __m256i next_at_ends(__m256i residual, __m256i tops, int i, __m256i first, __m256i final) {
        const __m256i behind = behind_above(tops, i);
        const VectorNeighbours near = {_mm256_blendv_epi8(last, above, first), above,
                                       _mm256_blendv_epi8(before_above, above, first),
                                       _mm256_blendv_epi8(behind, above, final)};
        last = restore_lanes<predictor, T>(residual, near);
        before_above = above;
        above = behind;
        return last;
    }

private:
    REELSTORE_AVX2_INLINE __m256i behind_above(__m256i tops, int i) const {
        const __m256i top =
            _mm256_shuffle_epi8(tops, _mm256_load_si256(reinterpret_cast<const __m256i*>(kLastSample<T>.from[i])));
        return Lanes<T>::next_lane(last, top);
    }
};

/// Not inlined, for what compilers make of copies this short is slower than a call.
template <class T>
__attribute__((noinline)) void copy_samples(const T* from, int count, T* to) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
}

/// The residuals of some steps, one step a vector.
template <class T>
REELSTORE_AVX2_INLINE void take_rows(const uint8_t* const* from, int step, size_t plane_bytes, __m256i* residuals) {
    constexpr int kHalf = Lanes<T>::kHalf;
    __m256i rows[kHalf];
    REELSTORE_UNROLL
    for (int row = 0; row < kHalf; ++row) {
        rows[row] = Lanes<T>::residuals(from[row] + step, from[row + kHalf] + step, plane_bytes);
    }
    transpose<T>(rows, residuals);
}

/// `rows` holds one row of the first half of lanes and one of the second a vector.
template <class T>
REELSTORE_AVX2_INLINE void put_rows(const __m256i* rows, T* const* to, int step) {
    constexpr int kHalf = Lanes<T>::kHalf;
    REELSTORE_UNROLL
    for (int row = 0; row < kHalf; ++row) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to[row] + step), _mm256_castsi256_si128(rows[row]));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to[row + kHalf] + step), _mm256_extracti128_si256(rows[row], 1));
    }
}

/// Predictors that look at the sample before, too.
template <class T, Predictor predictor>
REELSTORE_AVX2 void restore_by_waves(const uint8_t* bytes, size_t plane_bytes, int width, int height, T* plane,
                                     size_t stride) {
    constexpr int kHalf = Lanes<T>::kHalf;
    if (width < kHalf || height < 4) {
        portable_plane_functions<T>().restore_plane[static_cast<int>(predictor)](bytes, plane_bytes, width, height,
                                                                                 plane, stride);
        return;
    }
    const auto row_samples = static_cast<size_t>(width + 2 * kPadding<T>);
    // Of the group of rows at work, and of the last one before it.
    std::vector<T> memory(row_samples * (kRows<T> + 1));
    const auto row_at = [&](int row) { return memory.data() + row_samples * static_cast<size_t>(row) + kPadding<T>; };
    alignas(32) T delays[kRows<T>];
    for (int row = 0; row < kRows<T>; ++row) delays[row] = static_cast<T>(delay<T>(row));
    const __m256i delay_of_lane = load(delays);

    // Steps at which no lane is before, at or behind an end of its row.
    const int inside_begin = (delay<T>(kRows<T> - 1) / kHalf + 1) * kHalf;
    const int inside_end = std::max(inside_begin, (width - 1) / kHalf * kHalf);
    for (int group = 0; group < height; group += kRows<T>) {
        const int rows = std::min(kRows<T>, height - group);
        const uint8_t* from[kRows<T>];
        T* at_ends[kRows<T>];
        T* inside[kRows<T>];
        for (int row = 0; row < kRows<T>; ++row) {
            // Lanes without a row do what the last one does, to no effect.
            const auto source = static_cast<size_t>(group + std::min(row, rows - 1));
            from[row] = bytes + source * static_cast<size_t>(width) - delay<T>(row);
            at_ends[row] = row_at(row + 1) - delay<T>(row);
            inside[row] = row < rows ? plane + static_cast<size_t>(row) * stride - delay<T>(row) : at_ends[row];
        }
        const T* const first_top = row_at(0) + 1;
        const T* const second_top = row_at(kHalf) + 1 - delay<T>(kHalf);
        Wave<T> wave = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
        // The sample above the first one; those of other rows come from the lane before.
        wave.above = _mm256_zextsi128_si256(_mm_cvtsi32_si128(row_at(0)[0]));
        const int steps = width + delay<T>(rows - 1);
        __m256i residuals[kHalf];
        take_rows<T>(from, 0, plane_bytes, residuals);
        for (int step = 0; step < steps; step += kHalf) {
            __m256i samples[kHalf];
            const __m256i tops = _mm256_inserti128_si256(
                _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(first_top + step))),
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(second_top + step)), 1);
            const bool is_inside = step >= inside_begin && step < inside_end;
            if (is_inside) {
                // A row reaches a new cache line every fourth step.
                const int quarter = step / kHalf % 4 * kRows<T> / 4;
                REELSTORE_UNROLL
                for (int row = 0; row < kRows<T> / 4; ++row) {
                    _mm_prefetch(reinterpret_cast<const char*>(inside[quarter + row] + step) + 96, _MM_HINT_T0);
                }
                REELSTORE_UNROLL
                for (int i = 0; i < kHalf; ++i) samples[i] = wave.template next<predictor>(residuals[i], tops, i);
            } else {
                REELSTORE_UNROLL
                for (int i = 0; i < kHalf; ++i) {
                    // No lane has a delay of 255.
                    const int begun = step + i;
                    const int ended = step + i - (width - 1);
                    const __m256i first = Lanes<T>::equal(delay_of_lane, Lanes<T>::spread(std::min(begun, 255)));
                    const __m256i final =
                        Lanes<T>::equal(delay_of_lane, Lanes<T>::spread(ended < 0 ? 255 : std::min(ended, 255)));
                    samples[i] = wave.template next_at_ends<predictor>(residuals[i], tops, i, first, final);
                }
            }
            // Here, so that the processor does it while it waits for one sample after the other.
            take_rows<T>(from, step + kHalf, plane_bytes, residuals);
            __m256i done[kHalf];
            transpose<T>(samples, done);
            put_rows(done, is_inside ? inside : at_ends, step);
            // The second half of the lanes reads this row.
            _mm_storeu_si128(reinterpret_cast<__m128i*>(at_ends[kHalf - 1] + step),
                             _mm256_castsi256_si128(done[kHalf - 1]));
        }
        for (int row = 0; row < rows; ++row) {
            const int begin = std::clamp(inside_begin - delay<T>(row), 0, width);
            const int end = std::clamp(inside_end - delay<T>(row), begin, width);
            copy_samples(row_at(row + 1), begin, plane);
            copy_samples(row_at(row + 1) + end, width - end, plane + end);
            if (row == kRows<T> - 1) copy_samples(plane, width, row_at(0));
            plane += stride;
        }
    }
}

template <class T>
constexpr PlaneFunctions<T> make_functions() {
    using enum Predictor;
    return {{nullptr, filter_row<T, zero>, filter_row<T, left>, filter_row<T, above>, filter_row<T, average>,
             filter_row<T, median>},
            {nullptr, restore_by_rows<T, zero>, restore_by_waves<T, left>, restore_by_rows<T, above>,
             restore_by_waves<T, average>, restore_by_waves<T, median>}};
}

template <class T>
constexpr PlaneFunctions<T> kFunctions = make_functions<T>();

}  // namespace

const PlaneFunctions<uint8_t>* avx2_plane_functions_8() {
    return __builtin_cpu_supports("avx2") ? &kFunctions<uint8_t> : nullptr;
}

const PlaneFunctions<uint16_t>* avx2_plane_functions_16() {
    return __builtin_cpu_supports("avx2") ? &kFunctions<uint16_t> : nullptr;
}

}  // namespace reelstore

#else

namespace reelstore {

const PlaneFunctions<uint8_t>* avx2_plane_functions_8() {
    return nullptr;
}

const PlaneFunctions<uint16_t>* avx2_plane_functions_16() {
    return nullptr;
}

}  // namespace reelstore

#endif
