#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <opencv2/core/types.hpp>

#include "codecs/foreign/header_text.h"

namespace reelstore {

/// What the description NAME.rsh of a MiCAM ULTIMA recording says.
struct UltimaDescription {
    std::string title;      ///< first line
    HeaderEntries entries;  ///< all of it
    int columns = 0;
    int rows = 0;
    int left_skip = 0;  ///< columns that are no image
    int right_skip = 0;
    std::optional<int64_t> block_frames;  ///< that a file has
    std::optional<int64_t> frames;        ///< announced, of both cameras or of one
    bool dual_camera = false;
    std::string background_file;           ///< .rsm
    std::vector<std::string> frame_files;  ///< .rsd in order

    /// Of an image with all columns.
    uint64_t frame_bytes() const { return uint64_t{2} * static_cast<uint64_t>(columns) * static_cast<uint64_t>(rows); }
    /// Whether the first frame of the first .rsd is the background.
    bool background_is_first_frame() const { return title.size() > 2 && title[2] == 'U'; }
    /// The columns that are image.
    cv::Rect image_region() const { return {left_skip, 0, columns - left_skip - right_skip, rows}; }
};

/// Reads the text; sizes are not filled in yet.
UltimaDescription parse_ultima_description(std::string_view text);
/// Reads the file. What makes no sense but can be done without adds a warning; throws Error(corrupt) where the sizes of
/// the images are missing or absurd.
UltimaDescription read_ultima_description(const std::filesystem::path& path, std::vector<std::string>& warnings);

/// The name of a file of a recording without extension and without "(12)" behind it.
std::string ultima_recording_stem(const std::filesystem::path& path);
/// The 12 of "NAME(12).rsd".
std::optional<int64_t> ultima_file_number(std::string_view name);

}  // namespace reelstore
