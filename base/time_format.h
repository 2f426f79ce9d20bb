#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reelstore {

/// How a time is written: text with conversions as strftime() has them, in English whatever the locale.
///
///     %Y %y %m %d %j  year, its last two digits, month, day, day of the year    %B %b %A %a  their names
///     %H %I %p %M %S  hour, of 12, AM or PM, minute, second                     %z %Z        +0100, CET
///     %f  microseconds; %1f to %6f  so many digits of them, cut off             %F %T %R     %Y-%m-%d %H:%M:%S %H:%M
///     %s  whole seconds since the epoch                                         %%           a percent sign
class TimeFormat {
public:
    /// Throws Error(invalid_argument) for a conversion that is none of these.
    explicit TimeFormat(std::string_view format);

    /// Whether a date or zone is written, which only times since the Unix epoch have.
    bool has_date() const;
    /// Seconds since the Unix epoch as clocks in a zone show them; an unknown zone is taken for UTC. Empty for NaN,
    /// infinity and years outside 1 to 9999.
    std::string of_date(double seconds, std::string_view zone) const;
    /// Seconds since something began: %H counts on over 24 hours. Empty for what is not finite or beyond 1e15; "-"
    /// stands before what is negative. Not for formats that has_date().
    std::string of_duration(double seconds) const;

private:
    struct Piece {
        std::string text;     ///< as it stands, before the conversion
        char conversion = 0;  ///< 0: none
        int digits = 0;       ///< of %f
    };
    std::vector<Piece> pieces_;
};

}  // namespace reelstore
