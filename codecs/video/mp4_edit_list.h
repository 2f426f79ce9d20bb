#pragma once

#include <cstdint>

#include "base/file_system.h"

namespace reelstore {

/// Makes players of a complete mp4 or mov with a single track show the media from `media_time` on for `duration`, both
/// in units of the track, which must be those of the movie too; media time 0 is when the first packet is decoded. The
/// track must have an edit list with one entry, which is changed in place, and so are the durations of track and movie.
/// Throws Error(internal) when the file is not like that.
void set_edit_list(File& file, int64_t media_time, int64_t duration);

}  // namespace reelstore
