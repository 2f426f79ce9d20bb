#pragma once

#include <string>

#include "store/recording.h"

namespace reelstore {

/// Hours, minutes and seconds since the beginning of something, "0:01:23.456"; empty for NaN and infinity.
std::string elapsed_text(double seconds);
/// How long something lasts, for people: "12.345 s", "0:01:23.456", "3 days 4:05".
std::string duration_text(double seconds);
/// IANA name of the zone whose clocks a recording's times are shown in; empty when none is known.
std::string time_zone_of(const Recording& recording);
/// The time of a frame as people read it: date and time of day where times are absolute, else as elapsed_text().
std::string time_text(const Recording& recording, double time);

}  // namespace reelstore
