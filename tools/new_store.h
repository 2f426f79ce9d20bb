#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/store_writer.h"

namespace reelstore {

/// A store that a verb makes of others.
struct NewStore {
    std::string verb;  ///< "copy", for messages
    std::string done;  ///< what was done to the frames in it: "copied"
    std::string path;
    std::vector<std::string> sources;  ///< which must not lie in a store that is replaced
    bool force = false;                ///< a store of that name may be replaced
};

struct NewStoreResult {
    int code = 0;  ///< exit code
    int64_t frames = 0;
};

/// Makes the store by `fill`, which returns an exit code; `check`, if given, is called with the store closed and
/// returns another. A store that was there before is replaced once both have returned kExitDone; else both stay, and
/// one without a frame goes. An error of `fill` is printed. Throws UsageError and Error when nothing may be made under
/// that name.
NewStoreResult make_new_store(const NewStore& output, const StoreWriterOptions& options,
                              const std::function<int(StoreWriter&)>& fill, const std::function<int()>& check = {});

}  // namespace reelstore
