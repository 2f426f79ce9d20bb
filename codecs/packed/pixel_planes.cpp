#include "codecs/packed/pixel_planes.h"

#include <vector>

namespace reelstore {

namespace {

template <class T>
void put(T folded, uint8_t* bytes, size_t plane_bytes) {
    for (size_t b = 0; b < sizeof(T); ++b) bytes[b * plane_bytes] = static_cast<uint8_t>(folded >> (8 * b));
}

template <class T>
T take(const uint8_t* bytes, size_t plane_bytes) {
    T folded = 0;
    for (size_t b = 0; b < sizeof(T); ++b) {
        folded = static_cast<T>(folded | static_cast<T>(static_cast<T>(bytes[b * plane_bytes]) << (8 * b)));
    }
    return folded;
}

template <class T>
Neighbours<T> neighbours(const T* above, const T* row, int x, int count) {
    if (x == 0) return {above[0], above[0], above[0], above[count > 1 ? 1 : 0]};
    return {row[x - 1], above[x], above[x - 1], above[x + 1 < count ? x + 1 : x]};
}

template <class T, Predictor predictor>
void filter_row(const T* above, const T* row, int count, uint8_t* bytes, size_t plane_bytes) {
    for (int x = 0; x < count; ++x) {
        const T expected = predict<predictor>(neighbours(above, row, x, count));
        put(fold(static_cast<T>(row[x] - expected)), bytes + x, plane_bytes);
    }
}

template <class T, Predictor predictor>
void restore_plane(const uint8_t* bytes, size_t plane_bytes, int width, int height, T* plane, size_t stride) {
    const std::vector<T> zeros(static_cast<size_t>(width));
    const T* above = zeros.data();
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            const T expected = predict<predictor>(neighbours(above, static_cast<const T*>(plane), x, width));
            plane[x] = static_cast<T>(expected + unfold(take<T>(bytes + x, plane_bytes)));
        }
        bytes += width;
        above = plane;
        plane += stride;
    }
}

template <class T>
constexpr PlaneFunctions<T> make_functions() {
    using enum Predictor;
    return {{nullptr, filter_row<T, zero>, filter_row<T, left>, filter_row<T, above>, filter_row<T, average>,
             filter_row<T, median>},
            {nullptr, restore_plane<T, zero>, restore_plane<T, left>, restore_plane<T, above>,
             restore_plane<T, average>, restore_plane<T, median>}};
}

template <class T>
constexpr PlaneFunctions<T> kFunctions = make_functions<T>();

}  // namespace

template <class T>
const PlaneFunctions<T>& portable_plane_functions() {
    return kFunctions<T>;
}

template const PlaneFunctions<uint8_t>& portable_plane_functions<uint8_t>();
template const PlaneFunctions<uint16_t>& portable_plane_functions<uint16_t>();
template const PlaneFunctions<uint32_t>& portable_plane_functions<uint32_t>();
template const PlaneFunctions<uint64_t>& portable_plane_functions<uint64_t>();

}  // namespace reelstore
