#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codecs/packed/pixel_filter.h"

// Residuals of single bytes in another order, as spec/format.md has it: where those above a piece of a row are small
// these will be too, and what is alike is coded better together.

namespace reelstore {

inline constexpr int kResidualGroups = 8;
using GroupSizes = std::array<size_t, kResidualGroups>;

/// Writes as many bytes as the planes have to `grouped`: first those of group 0. `memory` is kept from image to image.
GroupSizes group_residuals(const uint8_t* residuals, std::span<const SamplePlane> planes, uint8_t* grouped,
                           std::vector<uint8_t>& memory);

/// The reverse. False when groups cannot have these sizes, which add up to those of the planes.
bool ungroup_residuals(const uint8_t* grouped, const GroupSizes& sizes, std::span<const SamplePlane> planes,
                       uint8_t* residuals);

}  // namespace reelstore
