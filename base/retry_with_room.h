#pragma once

#include <functional>

#include "base/error.h"

namespace reelstore {

/// Runs `step`; when the disk is full and `make_room` gives true, once more. An empty `make_room` makes none.
template <typename Step>
auto retry_with_room(const std::function<bool()>& make_room, Step step) {
    try {
        return step();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::no_space || !make_room || !make_room()) throw;
        return step();
    }
}

}  // namespace reelstore
