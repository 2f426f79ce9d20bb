#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace reelstore {

/// Seconds since the Unix epoch, UTC, now.
double now_utc();
/// Seconds of a clock that never steps; only differences mean something.
double now_monotonic();

/// IANA name of this machine's time zone ("Europe/Vienna"): the TZ variable, then the system's setting, else "Etc/UTC".
std::string local_time_zone();
/// Whether the zone database knows this IANA name.
bool is_time_zone(std::string_view name);

/// ISO 8601 without zone, in UTC, with microseconds ("2026-11-20T09:21:30.796708"), as created_utc is written. Empty,
/// as local_text() is, for NaN, infinity and years outside 1 to 9999.
std::string utc_text(double seconds);
/// ISO 8601 local time in `zone` with its offset ("2020-01-01T01:00:00.500000+01:00"); unknown zones fall back to UTC.
std::string local_text(double seconds, std::string_view zone);
/// Reads ISO 8601 date and time, 'T' or blank between them, optional seconds and fraction, optional zone (Z, +hh:mm,
/// +hhmm, +hh); without one it means UTC. Empty when it is no such text.
std::optional<double> parse_utc(std::string_view text);
/// The instant at which clocks in `zone` showed this date and time (the earlier one when they did so twice). Empty when
/// the zone is unknown or no such date exists.
std::optional<double> local_time_to_utc(int year, int month, int day, int hour, int minute, int second,
                                        std::string_view zone);

/// A random version 4 UUID as 32 lower case hex digits.
std::string make_uuid();

}  // namespace reelstore
