#include "base/time_format.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "base/clock.h"
#include "base/error.h"

namespace reelstore {

TEST_CASE("time_format: dates in a zone") {
    const double time = 1577836799.25;  // 2019-12-31T23:59:59.25 UTC
    CHECK(TimeFormat("%F %T.%3f").of_date(time, "UTC") == "2019-12-31 23:59:59.250");
    CHECK(TimeFormat("%Y-%m-%d %H:%M:%S.%f %z %Z").of_date(time, "Europe/Vienna") ==
          "2020-01-01 00:59:59.250000 +0100 CET");
    CHECK(TimeFormat("%z %Z").of_date(1593561600, "America/New_York") == "-0400 EDT");
    CHECK(TimeFormat("%z").of_date(0, "Asia/Kolkata") == "+0530");
    CHECK(TimeFormat("%d %B %y, %b %A %a day %j").of_date(time, "UTC") == "31 December 19, Dec Tuesday Tue day 365");
    CHECK(TimeFormat("%j %a").of_date(951782400, "UTC") == "060 Tue");  // 2000-02-29
    CHECK(TimeFormat("%I:%M %p %R %s 100%%").of_date(time, "UTC") == "11:59 PM 23:59 1577836799 100%");
    CHECK(TimeFormat("%I %p").of_date(0, "UTC") == "12 AM");
    CHECK(TimeFormat("%I %p").of_date(43200, "UTC") == "12 PM");
    CHECK(TimeFormat("%1f %2f %6f").of_date(0.987654, "UTC") == "9 98 987654");
    CHECK(TimeFormat("%T.%3f").of_date(1577836800.3, "UTC") == "00:00:00.300");
    CHECK(TimeFormat("no time").of_date(0, "UTC") == "no time");
    CHECK(TimeFormat("%T %Z").of_date(0, "Nowhere/City") == "00:00:00 UTC");
}

TEST_CASE("time_format: dates agree with the ISO texts of the clock over all years") {
    const TimeFormat format("%FT%T.%f");
    for (double time = -6.2e10; time < 2.53e11; time += 987654321.012345) {
        REQUIRE(format.of_date(time, "UTC") == utc_text(time));
        const std::string local = TimeFormat("%FT%T.%f").of_date(time, "Australia/Adelaide");
        REQUIRE(local_text(time, "Australia/Adelaide").starts_with(local));
    }
}

TEST_CASE("time_format: what has no date") {
    const TimeFormat format("%F");
    for (const double time : {std::nan(""), std::numeric_limits<double>::infinity(), -1e300, 1e300, 1e15, -1e15,
                              253402300800.0, -62135596801.0}) {
        CHECK(format.of_date(time, "UTC").empty());
    }
    CHECK(format.of_date(253402300799.0, "UTC") == "9999-12-31");
    CHECK(format.of_date(-62135596800.0, "UTC") == "0001-01-01");
    CHECK(format.of_date(253402300799.0, "Asia/Tokyo").empty());
}

TEST_CASE("time_format: durations") {
    const TimeFormat format("%T.%3f");
    CHECK(format.of_duration(0) == "00:00:00.000");
    CHECK(format.of_duration(59.9996) == "00:00:59.999");
    CHECK(format.of_duration(59.9999999) == "00:01:00.000");
    CHECK(format.of_duration(100 * 3600 + 62.5) == "100:01:02.500");
    CHECK(format.of_duration(-1.5) == "-00:00:01.500");
    CHECK(format.of_duration(-1e-9) == "00:00:00.000");
    CHECK(format.of_duration(std::nan("")).empty());
    CHECK(format.of_duration(1e300).empty());
}

TEST_CASE("time_format: which formats there are") {
    CHECK_FALSE(TimeFormat("%H:%M:%S.%f %I %p %T %R %2f %%Y").has_date());
    for (const char* conversion : {"%Y", "%y", "%m", "%d", "%j", "%B", "%b", "%A", "%a", "%z", "%Z", "%s", "%F"})
        CHECK(TimeFormat(conversion).has_date());
    for (const char* wrong : {"%", "12%", "%Q", "%7f", "%0f", "%3S", "% H", "%3"}) {
        CAPTURE(wrong);
        CHECK_THROWS_AS(TimeFormat{wrong}, Error);
    }
}

}  // namespace reelstore
