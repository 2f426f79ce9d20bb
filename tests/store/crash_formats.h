#pragma once

#include <string>
#include <utility>
#include <vector>

#include "codecs/chunk_format.h"

namespace reelstore {

/// Whether the tests that kill writers and damage files go through this format. Formats are left out that add neither a
/// way of writing nor a container to those that are tested: another image coder behind the same writer of image files,
/// and encoders behind the same writer of mp4 and mkv that take long to open.
inline bool crash_tested(const ChunkFormatInfo& info) {
    static const std::vector<std::pair<std::string, std::string>> kStandsFor = {
        {"bmp", "png"},          {"pgm", "png"},           {"ppm", "png"},
        {"bpk", "npy"},          {"hevc/mp4", "avc1/mp4"}, {"h264-lossless/mp4", "avc1/mp4"},
        {"av1/mkv", "h264/mkv"},
    };
    if (!info.unavailable.empty() || info.decodes_at_write) return false;
    for (const auto& [left_out, tested] : kStandsFor) {
        if (info.name == left_out && find_chunk_format(tested)->info().unavailable.empty()) return false;
    }
    return true;
}

}  // namespace reelstore
