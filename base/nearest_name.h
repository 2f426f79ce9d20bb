#pragma once

#include <span>
#include <string>
#include <string_view>

namespace reelstore {

/// The one of `names` that `name` was probably meant to be: fewest letters to change, add, leave out or swap with their
/// neighbour, and fewer than half of them. Empty when none is near.
std::string nearest_name(std::string_view name, std::span<const std::string> names);

}  // namespace reelstore
