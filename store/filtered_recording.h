#pragma once

#include <memory>
#include <vector>

#include "base/filter.h"
#include "store/recording.h"

namespace reelstore {

/// A recording whose pictures come through filters, in their order: to whoever reads it they are those of the
/// recording. Rows, lookups, extra data, facts and growth are those of the recording itself, which belongs to the
/// result; info().image_type is that of the filtered frames, for which the first of them is read when it is asked for.
///
/// Frames are what `source | filter` gives in any order (filters/filtered_source.h), whatever was read before; of a
/// recording that grows, the last ones change once those behind them have come that a window takes in. What a first
/// pass teaches a filter is learned once, of the frames there are when the first one is read.
///
/// Throws Error(unsupported) for a filter behind which frames only come forward, since it changes their number or
/// order, and what Filter::begin() throws. Without filters it is the recording itself.
std::unique_ptr<Recording> filtered_recording(std::unique_ptr<Recording> recording,
                                              std::vector<std::unique_ptr<Filter>> filters);

}  // namespace reelstore
