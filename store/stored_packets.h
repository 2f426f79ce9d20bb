#pragma once

#include <memory>
#include <optional>
#include <span>

#include "codecs/chunk_format.h"

namespace reelstore {

/// The packets of a complete chunk as its writer told them frame by frame: `stored` has all frames, in order of
/// position. Null for kinds of chunk that have none.
std::shared_ptr<const PacketTable> packets_of(std::span<const StoredFrame> stored,
                                              const std::optional<VideoStream>& stream);

}  // namespace reelstore
