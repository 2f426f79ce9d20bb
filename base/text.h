#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace reelstore {

/// Whether this is one of the ASCII digits 0 to 9, in every locale.
inline bool is_digit(char character) {
    return character >= '0' && character <= '9';
}

/// The text with every byte in lower case.
std::string lower_case(std::string_view text);

/// The extension of a path, with the dot and in lower case: ".mp4" for "A.MP4"; empty when there is none.
std::string lower_case_extension(const std::filesystem::path& path);

}  // namespace reelstore
