#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace reelstore {

/// Reads the code point at `position` of UTF-8 text and moves `position` behind it. Empty, with `position` unchanged,
/// when there is none or the bytes are not valid UTF-8 (overlong forms and surrogates are not).
std::optional<char32_t> next_code_point(std::string_view text, size_t& position);

}  // namespace reelstore
