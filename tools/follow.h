#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "store/store_reader.h"
#include "tools/console.h"
#include "tools/source_options.h"

namespace reelstore {

/// Between two looks at a store that is followed.
inline constexpr std::chrono::milliseconds kFollowInterval{100};

enum class FollowState {
    recording,  ///< more may come
    closed,     ///< by its writer: everything is there
    abandoned,  ///< the writer is gone without having closed it; what it had committed is there
};

/// Opens a store to follow it; waits where a writer has the folder and has not written a frame yet. Null when that was
/// interrupted. Throws UsageError for what is no store, and Error(unsupported) for a store without an index.
std::unique_ptr<StoreReader> open_followed(const std::string& name, const InterruptGuard& interrupt,
                                           const SourceOptionGroup& options);

/// Takes over what is new.
FollowState look_for_more(StoreReader& store);

/// Says that a writer was lost.
void print_abandoned(const StoreReader& store);

}  // namespace reelstore
