#pragma once

#include <string_view>

#ifndef USE_OS_TZDB
#define USE_OS_TZDB 1  // as the library is built; it decides the layout of its types
#endif
#include <date/tz.h>

namespace reelstore {

/// The zone of this IANA name, with its data loaded; null when unknown or unreadable. Lives as long as the program.
const date::time_zone* find_zone(std::string_view name);

}  // namespace reelstore
