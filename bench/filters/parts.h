#pragma once

#include <filesystem>
#include <string_view>

#include "bench/filters/work.h"

namespace reelstore::bench {

// Contenders take turns in every repetition. `only`: works whose name contains this.

/// Single filters on one thread, beside OpenCV's own calls and memcpy().
Part measure_single_filters(const Scale& scale, std::string_view only);

/// crop, clahe, resize and text over a recording, beside the same in Python with numpy and OpenCV.
Part measure_chains(const Scale& scale, std::string_view only, const std::filesystem::path& folder);

/// Four videos side by side, beside FFmpeg's filter xstack.
Part measure_mosaics(const Scale& scale, std::string_view only, const std::filesystem::path& folder);

/// A long recording through temporal filters: memory, and frames a second beside reading alone and writing alone.
Part measure_long_conversion(const Scale& scale, std::string_view only, const std::filesystem::path& folder);

}  // namespace reelstore::bench
