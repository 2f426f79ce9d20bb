#pragma once

#include <memory>

#include "base/filter.h"
#include "base/frame_source.h"

namespace reelstore {

/// The frames of a source as a filter gives them; both belong to the result. Behind a filter that changes each frame by
/// itself, frames can still be had in any order, and by clones in other threads; behind others they only come forward.
/// Extra data goes with the first frame that the filter gives after it took the frame they belong to.
///
///     auto frames = open_source("video.mp4") | crop({10, 20, 300, 200}) | flip(Flip::horizontal);
std::unique_ptr<FrameSource> operator|(std::unique_ptr<FrameSource> source, std::unique_ptr<Filter> filter);

}  // namespace reelstore
