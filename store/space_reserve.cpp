#include "store/space_reserve.h"

#include "base/error.h"
#include "base/file_system.h"
#include "store/layout.h"

namespace reelstore {

SpaceReserve::SpaceReserve(const std::filesystem::path& folder, uint64_t bytes) : path_(StoreLayout::reserve(folder)) {
    if (file_system().status(path_).kind != FileKind::missing) file_system().remove(path_);
    const auto file = file_system().open(path_, OpenMode::create_exclusive);
    try {
        file->allocate(bytes);
        file->close();
    } catch (const Error&) {
        release();
        throw;
    }
}

SpaceReserve::~SpaceReserve() {
    release();
}

bool SpaceReserve::release() {
    if (released_.exchange(true)) return true;
    try {
        file_system().remove(path_);
        return true;
    } catch (const Error&) {
        // Whoever asked reports the full disk.
        return false;
    }
}

}  // namespace reelstore
