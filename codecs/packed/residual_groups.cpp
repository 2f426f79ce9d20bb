#include "codecs/packed/residual_groups.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace reelstore {

namespace {

/// Residuals that stay together.
constexpr size_t kPiece = 16;
/// Of the pieces above the first row.
constexpr uint32_t kFirstSize = 32;
/// Group g is that of weighted sizes below the g-th of these; the last group has the rest.
constexpr uint32_t kLimits[kResidualGroups - 1] = {20, 40, 72, 128, 224, 400, 720};

/// Sum of what the residuals differ from 0, up or down.
uint32_t size_of(const uint8_t* residuals, size_t count) {
#if defined(__SSE2__)
    if (count == kPiece) {
        const __m128i zero = _mm_setzero_si128();
        const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(residuals));
        const __m128i sums = _mm_sad_epu8(_mm_min_epu8(values, _mm_sub_epi8(zero, values)), zero);
        return static_cast<uint32_t>(_mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4));
    }
#endif
    uint32_t sum = 0;
    for (size_t i = 0; i < count; ++i) sum += std::min<uint32_t>(residuals[i], 256u - residuals[i]);
    return sum;
}

/// By the weighted size, of which the limits are multiples of 4.
struct GroupTable {
    uint8_t group[(4 * kPiece * 128) / 4 + 1];
};

constexpr GroupTable make_group_table() {
    GroupTable table{};
    for (size_t i = 0; i < sizeof(table.group); ++i) {
        for (const uint32_t limit : kLimits) table.group[i] = static_cast<uint8_t>(table.group[i] + (4 * i >= limit));
    }
    return table;
}

constexpr GroupTable kGroupTable = make_group_table();

uint8_t group_of(uint32_t before, uint32_t above, uint32_t behind) {
    return kGroupTable.group[(before + 2 * above + behind) / 4];
}

/// Goes over the pieces of a plane in order. `use(group, row, count)` is told the group of each and where it is, and
/// has to see to its residuals being there when it returns.
template <class Byte, class Use>
bool each_piece(const SamplePlane& plane, Byte* residuals, const Use& use) {
    const auto width = static_cast<size_t>(plane.width);
    const size_t pieces = (width + kPiece - 1) / kPiece;
    // Sizes of the row above, with one more at both ends.
    std::vector<uint32_t> sizes(pieces + 2, kFirstSize);
    for (int y = 0; y < plane.height; ++y) {
        uint32_t before = sizes[0];
        for (size_t piece = 0; piece < pieces; ++piece) {
            const size_t begin = piece * kPiece;
            const size_t count = std::min(kPiece, width - begin);
            const uint32_t above = sizes[piece + 1];
            if (!use(group_of(before, above, sizes[piece + 2]), residuals + begin, count)) return false;
            before = above;
            sizes[piece + 1] = size_of(residuals + begin, count);
        }
        sizes[0] = sizes[1];
        sizes[pieces + 1] = sizes[pieces];
        residuals += width;
    }
    return true;
}

void copy_piece(const uint8_t* from, size_t count, uint8_t* to) {
    if (count == kPiece) {
        std::memcpy(to, from, kPiece);
    } else {
        std::memcpy(to, from, count);
    }
}

}  // namespace

GroupSizes group_residuals(const uint8_t* residuals, std::span<const SamplePlane> planes, uint8_t* grouped,
                           std::vector<uint8_t>& memory) {
    GroupSizes sizes{};
    size_t pieces = 0;
    for (const SamplePlane& plane : planes) {
        pieces += (static_cast<size_t>(plane.width) + kPiece - 1) / kPiece * static_cast<size_t>(plane.height);
    }
    memory.resize(pieces);
    uint8_t* next = memory.data();
    for (const SamplePlane& plane : planes) {
        each_piece(plane, residuals + plane.first, [&](uint8_t group, const uint8_t*, size_t count) {
            sizes[group] += count;
            *next++ = group;
            return true;
        });
    }
    std::array<uint8_t*, kResidualGroups> to;
    for (size_t group = 0; group < sizes.size(); ++group) {
        to[group] = grouped;
        grouped += sizes[group];
    }
    const uint8_t* group = memory.data();
    for (const SamplePlane& plane : planes) {
        const auto width = static_cast<size_t>(plane.width);
        const uint8_t* row = residuals + plane.first;
        for (int y = 0; y < plane.height; ++y, row += width) {
            for (size_t begin = 0; begin < width; begin += kPiece) {
                const size_t count = std::min(kPiece, width - begin);
                uint8_t*& end = to[*group++];
                copy_piece(row + begin, count, end);
                end += count;
            }
        }
    }
    return sizes;
}

bool ungroup_residuals(const uint8_t* grouped, const GroupSizes& sizes, std::span<const SamplePlane> planes,
                       uint8_t* residuals) {
    std::array<const uint8_t*, kResidualGroups> from;
    GroupSizes left = sizes;
    for (size_t group = 0; group < sizes.size(); ++group) {
        from[group] = grouped;
        grouped += sizes[group];
    }
    return std::all_of(planes.begin(), planes.end(), [&](const SamplePlane& plane) {
        return each_piece(plane, residuals + plane.first, [&](uint8_t group, uint8_t* to, size_t count) {
            if (left[group] < count) return false;
            copy_piece(from[group], count, to);
            from[group] += count;
            left[group] -= count;
            return true;
        });
    });
}

}  // namespace reelstore
