#include "base/text.h"

#include <algorithm>
#include <cctype>

namespace reelstore {

std::string lower_case(std::string_view text) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    return lower;
}

std::string lower_case_extension(const std::filesystem::path& path) {
    return lower_case(path.extension().string());
}

}  // namespace reelstore
