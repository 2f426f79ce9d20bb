#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "codecs/packed/pixel_filter.h"

// One plane of samples <-> the bytes of its residuals, for each kind of instructions. T is the unsigned integer of a
// sample's size.

namespace reelstore {

template <class T>
constexpr T kHighBit = static_cast<T>(T{1} << (std::numeric_limits<T>::digits - 1));

/// How elements become samples, unsigned integers whose order is that of the elements.
enum class ElementKind { natural, integer, real };

inline ElementKind kind_of_element(int depth) {
    if (depth == CV_8U || depth == CV_16U) return ElementKind::natural;
    if (depth == CV_8S || depth == CV_16S || depth == CV_32S) return ElementKind::integer;
    return ElementKind::real;
}

template <class T>
constexpr T sample_of_real(T bits) {
    return static_cast<T>(bits ^ (static_cast<T>(-(bits >> (std::numeric_limits<T>::digits - 1))) | kHighBit<T>));
}

template <class T>
constexpr T real_of_sample(T sample) {
    return static_cast<T>(sample ^
                          (static_cast<T>((sample >> (std::numeric_limits<T>::digits - 1)) - 1) | kHighBit<T>));
}

/// values[i] = change(values[i], other[i]). In blocks, which compilers turn into vectors at any level of optimisation.
template <class T, class Change>
void change_each(T* __restrict values, const T* __restrict other, size_t count, const Change& change) {
    constexpr size_t kBlock = 64;
    size_t i = 0;
    for (; i + kBlock <= count; i += kBlock) {
        for (size_t j = 0; j < kBlock; ++j) values[i + j] = change(values[i + j], other[i + j]);
    }
    for (; i < count; ++i) values[i] = change(values[i], other[i]);
}

template <class T, class Change>
void change_each(T* values, size_t count, const Change& change) {
    constexpr size_t kBlock = 64;
    size_t i = 0;
    for (; i + kBlock <= count; i += kBlock) {
        for (size_t j = 0; j < kBlock; ++j) values[i + j] = change(values[i + j]);
    }
    for (; i < count; ++i) values[i] = change(values[i]);
}

template <class T>
void elements_to_samples(ElementKind kind, T* values, size_t count) {
    if (kind == ElementKind::integer) {
        change_each(values, count, [](T v) { return static_cast<T>(v ^ kHighBit<T>); });
    }
    if (kind == ElementKind::real) change_each(values, count, [](T v) { return sample_of_real(v); });
}

template <class T>
void samples_to_elements(ElementKind kind, T* values, size_t count) {
    if (kind == ElementKind::integer) elements_to_samples(kind, values, count);
    if (kind == ElementKind::real) change_each(values, count, [](T v) { return real_of_sample(v); });
}

/// Differences are kept around the middle, so that predictors do not meet the wrap-around.
template <class T>
void subtract_green(T* values, const T* green, size_t count) {
    change_each(values, green, count, [](T v, T g) { return static_cast<T>(v - g + kHighBit<T>); });
}

template <class T>
void add_green(T* values, const T* green, size_t count) {
    change_each(values, green, count, [](T v, T g) { return static_cast<T>(v + g - kHighBit<T>); });
}

/// The neighbours of a sample that predictors look at.
template <class T>
struct Neighbours {
    T left, above, before_above, behind_above;
};

/// Rounded up, as vector instructions do it.
template <class T>
constexpr T average(T a, T b) {
    return static_cast<T>((a | b) - (static_cast<T>(a ^ b) >> 1));
}

template <Predictor predictor, class T>
constexpr T predict(const Neighbours<T>& near) {
    if constexpr (predictor == Predictor::left) return near.left;
    if constexpr (predictor == Predictor::above) return near.above;
    if constexpr (predictor == Predictor::average) {
        return average(near.left, average(near.above, near.behind_above));
    }
    if constexpr (predictor == Predictor::median) {
        const T low = near.left < near.above ? near.left : near.above;
        const T high = near.left < near.above ? near.above : near.left;
        const T corner = near.before_above < low ? low : (near.before_above > high ? high : near.before_above);
        return static_cast<T>(near.left + near.above - corner);
    }
    return 0;
}

/// Small ones of either sign become small; single bytes stay as they are, since nothing is gained by it.
template <class T>
constexpr T fold(T residual) {
    if constexpr (sizeof(T) == 1) return residual;
    const T sign = residual >> (std::numeric_limits<T>::digits - 1) ? std::numeric_limits<T>::max() : T{0};
    return static_cast<T>(static_cast<T>(residual << 1) ^ sign);
}

template <class T>
constexpr T unfold(T folded) {
    if constexpr (sizeof(T) == 1) return folded;
    return static_cast<T>((folded >> 1) ^ static_cast<T>(-static_cast<T>(folded & 1)));
}

template <class T>
struct PlaneFunctions {
    /// Writes the residuals of a row of `count` samples; byte b of each stands at bytes + b * plane_bytes. `above` has
    /// as many samples.
    using FilterRow = void (*)(const T* above, const T* row, int count, uint8_t* bytes, size_t plane_bytes);
    /// Makes the samples of a plane from its bytes, which have the margins. Rows are `stride` samples apart.
    using RestorePlane = void (*)(const uint8_t* bytes, size_t plane_bytes, int width, int height, T* plane,
                                  size_t stride);

    FilterRow filter_row[kPredictors];
    RestorePlane restore_plane[kPredictors];
};

/// Those that run everywhere.
template <class T>
const PlaneFunctions<T>& portable_plane_functions();

/// Null where the compiler has no such instructions, or this machine has not.
const PlaneFunctions<uint8_t>* avx2_plane_functions_8();
const PlaneFunctions<uint16_t>* avx2_plane_functions_16();

}  // namespace reelstore
