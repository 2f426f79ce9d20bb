#include "tools/time_text.h"

#include <fmt/format.h>

#include <cmath>

#include "base/clock.h"
#include "store/store_reader.h"

namespace reelstore {

std::string elapsed_text(double seconds) {
    constexpr double kMostSeconds = 1e12;
    if (!std::isfinite(seconds)) return "";
    if (std::abs(seconds) > kMostSeconds) return fmt::format("{} s", seconds);
    const auto milliseconds = static_cast<int64_t>(std::llround(std::abs(seconds) * 1000));
    const int64_t whole = milliseconds / 1000;
    return fmt::format("{}{}:{:02d}:{:02d}.{:03d}", seconds < 0 && milliseconds > 0 ? "-" : "", whole / 3600,
                       whole / 60 % 60, whole % 60, milliseconds % 1000);
}

std::string duration_text(double seconds) {
    constexpr double kMinute = 60;
    constexpr double kDay = 86400;
    if (seconds < kMinute) return fmt::format("{:.3f} s", seconds);
    if (seconds < kDay) return elapsed_text(seconds);
    const auto whole = static_cast<int64_t>(seconds);
    return fmt::format("{} days {}:{:02d}", whole / 86400, whole / 3600 % 24, whole / 60 % 60);
}

std::string time_zone_of(const Recording& recording) {
    const auto* store = dynamic_cast<const StoreReader*>(&recording);
    return store ? recording_time_zone(store->metadata()) : recording.info().time_zone;
}

std::string time_text(const Recording& recording, double time) {
    return recording.info().times_are_absolute ? local_text(time, time_zone_of(recording)) : elapsed_text(time);
}

}  // namespace reelstore
