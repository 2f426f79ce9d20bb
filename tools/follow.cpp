#include "tools/follow.h"

#include <fmt/format.h>

#include "base/error.h"
#include "store/layout.h"
#include "store/store_lock.h"
#include "tools/verb.h"

namespace reelstore {

std::unique_ptr<StoreReader> open_followed(const std::string& name, const InterruptGuard& interrupt,
                                           const SourceOptionGroup& options) {
    while (!is_store(name) && StoreLock::held(name)) {
        if (interrupt.wait(kFollowInterval)) return nullptr;
    }
    std::unique_ptr<Recording> recording = options.open(name);
    auto* store = dynamic_cast<StoreReader*>(recording.get());
    if (!store) throw UsageError("--follow is for stores; \"" + name + "\" is none");
    recording.release();
    std::unique_ptr<StoreReader> opened(store);
    if (!opened->has_index()) {
        throw Error(ErrorCode::unsupported, {name, {}, {}},
                    "cannot be followed: the store has no index that shows what is being written");
    }
    return opened;
}

FollowState look_for_more(StoreReader& store) {
    // In this order: whoever has given the lock up before has committed everything.
    const bool held = StoreLock::held(store.folder());
    store.refresh();
    if (store.closed()) return FollowState::closed;
    return held ? FollowState::recording : FollowState::abandoned;
}

void print_abandoned(const StoreReader& store) {
    print_note(
        fmt::format("the recording has ended without being closed; all {} frames that it had committed are here "
                    "(`store repair` completes the store)",
                    store.frame_count()));
}

}  // namespace reelstore
