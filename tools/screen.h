#pragma once

#include <optional>
#include <utility>

namespace reelstore {

/// Width and height of the screen in pixels; nothing when there is no X display to ask.
std::optional<std::pair<int, int>> screen_size();

}  // namespace reelstore
