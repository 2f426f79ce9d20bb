#pragma once

#include <string_view>

namespace reelstore {

/// Whether `left` comes before `right` when numbers in names count as numbers: frame_2 before frame_10. Everything else
/// is compared bytewise; names that differ in leading zeros only are ordered bytewise too, so this is a strict total
/// order.
bool natural_less(std::string_view left, std::string_view right);

}  // namespace reelstore
