#include "codecs/frame_file_pattern.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr int kMostDigits = 18;

Error pattern_error(const fs::path& path, const std::string& reason) {
    return Error(ErrorCode::invalid_argument, {path.string(), {}, {}},
                 reason + "; a pattern looks like out/frame_{:06d}.png");
}

/// The number of digits that the text between the braces asks for.
int parse_digits(const fs::path& path, const std::string& text) {
    if (text.empty()) return 0;
    const bool has_form = text.size() >= 4 && text.size() <= 5 && text.starts_with(":0") && text.back() == 'd' &&
                          std::all_of(text.begin() + 2, text.end() - 1, is_digit);
    const int digits = has_form ? std::stoi(text.substr(2, text.size() - 3)) : 0;
    if (digits < 1 || digits > kMostDigits) {
        throw pattern_error(path,
                            fmt::format("{{{}}} is neither {{}} nor {{:0Nd}} with N from 1 to {}", text, kMostDigits));
    }
    return digits;
}

}  // namespace

std::string FrameFilePattern::file_name(int64_t number) const {
    return fmt::format("{}{:0{}d}{}", before, number, digits, after);
}

bool FrameFilePattern::matches(std::string_view name) const {
    if (!name.starts_with(before)) return false;
    name.remove_prefix(before.size());
    if (!name.ends_with(after)) return false;
    name.remove_suffix(after.size());
    return !name.empty() && std::all_of(name.begin(), name.end(), is_digit);
}

std::string FrameFilePattern::extension() const {
    return fs::path("x" + after).extension().string();
}

FrameFilePattern parse_frame_file_pattern(const fs::path& path) {
    const std::string folder = path.parent_path().string();
    if (folder.find_first_of("{}") != std::string::npos) {
        throw pattern_error(path, "braces may stand in the file name only, not in its folder");
    }
    const std::string name = path.filename().string();
    const size_t open = name.find('{');
    const size_t close = name.find('}');
    if (open == std::string::npos || close == std::string::npos || close < open) {
        throw pattern_error(path, "the file name has no placeholder for the frame number");
    }
    if (name.find_first_of("{}", open + 1) != close || name.find_first_of("{}", close + 1) != std::string::npos) {
        throw pattern_error(path, "the file name must have exactly one placeholder");
    }
    FrameFilePattern pattern;
    pattern.folder = folder.empty() ? fs::path(".") : path.parent_path();
    pattern.before = name.substr(0, open);
    pattern.after = name.substr(close + 1);
    pattern.digits = parse_digits(path, name.substr(open + 1, close - open - 1));
    return pattern;
}

}  // namespace reelstore
