#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace reelstore {

/// Size of the header of the .dat files of MultiRecorder and OmniRecorder; the first frame follows.
inline constexpr size_t kMultirecorderHeaderBytes = 1024;

/// What that header says.
struct MultirecorderHeader {
    char version = 0;  ///< 'd', 'e' or 'f'
    std::endian order = std::endian::little;
    uint32_t frames = 0;  ///< 0 or too many where the recorder died
    uint32_t width = 0;
    uint32_t height = 0;
    std::optional<uint32_t> pixel_format = {};  ///< not in 'd'
    uint32_t binning = 0;                       ///< 0: unknown
    double frame_rate = 0;                      ///< 0: unknown
    std::string date;                           ///< as it is written
    std::string comment;
};

/// Whether the first bytes of a file are those of such a header.
bool looks_like_multirecorder(std::span<const uint8_t> head);
/// Throws Error(corrupt) where the header is cut off, and Error(unsupported) when it is none of these.
MultirecorderHeader parse_multirecorder_header(std::span<const uint8_t> head);

/// Seconds since the Unix epoch of a date as the recorders write it, taken for UTC: "2020-01-31 23:59:58:123",
/// "Fri Jan 31 23:59:58 2020", "01/31/20 23:59:58". Nothing for other texts.
std::optional<double> parse_multirecorder_date(std::string_view text);

}  // namespace reelstore
