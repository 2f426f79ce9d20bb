#pragma once

#include <memory>

#include "base/filter.h"
#include "base/frame_source.h"

namespace reelstore {

/// The frames of a source as a filter gives them; both belong to the result.
///
/// Where the filter's reach() is known and the source has random access, frames can be had in any order, and by clones
/// in other threads, and are those that come in order, to the last bit. For a frame behind a temporal filter, the
/// frames it depends on are read; going on from one frame to the next costs one. Behind other filters they only come
/// forward. A first pass is made when the first frame is asked for; frames that are damaged are passed over by it.
/// Extra data goes with its frame. A frame that cannot be read costs, in any order, every frame that depends on it; in
/// order, windows close up over it.
///
///     auto frames = open_source("video.mp4") | crop({10, 20, 300, 200}) | flip(Flip::horizontal);
///
/// Throws what Filter::begin() throws; reading also throws Error(unsupported) where a first pass is needed and the
/// source can be read once only.
std::unique_ptr<FrameSource> operator|(std::unique_ptr<FrameSource> source, std::unique_ptr<Filter> filter);

}  // namespace reelstore
