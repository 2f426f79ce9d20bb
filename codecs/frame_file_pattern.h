#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace reelstore {

/// The names of the files that frames are written to, one each: "out/frame_{:06d}.png".
struct FrameFilePattern {
    std::filesystem::path folder;
    std::string before;  ///< what stands before the number in the file name
    std::string after;   ///< what stands behind it, with the extension
    int digits = 0;      ///< zeros are put in front of shorter numbers

    std::string file_name(int64_t number) const;
    /// Whether a file name is made of `before`, digits (however many) and `after`.
    bool matches(std::string_view name) const;
    std::string extension() const;  ///< with the dot
};

/// Reads a pattern: exactly one {} or {:0Nd} (N from 1 to 18) in the file name and no other brace anywhere. Throws
/// Error(invalid_argument) saying what is wrong with it.
FrameFilePattern parse_frame_file_pattern(const std::filesystem::path& path);

}  // namespace reelstore
