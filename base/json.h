#pragma once

#include <nlohmann/json.hpp>

namespace reelstore {

/// JSON value that keeps the order of keys: metadata and extra data come back as they were written.
using Json = nlohmann::ordered_json;

}  // namespace reelstore
