#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "base/error.h"

namespace reelstore {

/// The Error that `action` throws; nothing when it throws none.
template <typename Action>
std::optional<Error> thrown_by(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return error;
    }
    return std::nullopt;
}

/// The code of the Error that `action` throws, and its text in `message`; nothing when it throws none.
template <typename Action>
std::optional<ErrorCode> error_of(Action action, std::string* message = nullptr) {
    const std::optional<Error> error = thrown_by(action);
    if (!error) return std::nullopt;
    if (message) *message = error->what();
    return error->code();
}

/// The Error that `action` must throw.
template <typename Action>
Error expected_error(Action action) {
    const std::optional<Error> error = thrown_by(action);
    REQUIRE_MESSAGE(error, "no error");
    return *error;
}

}  // namespace reelstore
