#pragma once

#include <cstdint>

namespace reelstore {

/// The text of spec/schema.sql.
extern const char* const kIndexSchema;

inline constexpr int64_t kIndexApplicationId = 1382831700;
inline constexpr int64_t kIndexVersion = 1;

}  // namespace reelstore
