#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "codecs/foreign/tiff_directory.h"

namespace reelstore {

/// What the tags of a TIFF's first page tell beyond its pixels.
struct TiffMetadata {
    Json user_metadata = Json::object();
    std::optional<double> frame_rate;     ///< ImageJ's finterval or fps, OME's TimeIncrement, Micro-Manager's interval
    std::optional<double> creation_time;  ///< DateTime, taken for UTC, or OME's AcquisitionDate
    /// Frames that ImageJ or MetaMorph, and elements (of all frames) that tifffile says there are, also where the
    /// pixels follow the first page's without pages of their own.
    std::optional<int64_t> images;
    std::optional<int64_t> elements;
};

/// Text that is not what it seems is kept as text; nothing is thrown for it.
TiffMetadata read_tiff_metadata(const TiffDirectory& first_page);

/// Seconds since the recording began that Micro-Manager has noted for a page; empty for other files.
std::optional<double> micro_manager_time(const TiffDirectory& page);
/// All that Micro-Manager has noted for a page; null for other files.
Json micro_manager_metadata(const TiffDirectory& page);

}  // namespace reelstore
