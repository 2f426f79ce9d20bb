#include "base/clock.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include <doctest/doctest.h>

namespace reelstore {

namespace {

/// Sets TZ, or removes it, and puts the old value back.
class ZoneVariable {
public:
    explicit ZoneVariable(const char* value) {
        if (const char* old = std::getenv("TZ")) old_ = old;
        set(value);
    }
    ~ZoneVariable() { set(old_ ? old_->c_str() : nullptr); }
    ZoneVariable(const ZoneVariable&) = delete;
    ZoneVariable& operator=(const ZoneVariable&) = delete;

private:
    static void set(const char* value) { value ? ::setenv("TZ", value, 1) : ::unsetenv("TZ"); }
    std::optional<std::string> old_;
};

}  // namespace

TEST_CASE("clock: the clocks run") {
    CHECK(now_utc() > 1.7e9);
    double start = now_monotonic();
    CHECK(now_monotonic() >= start);
}

TEST_CASE("clock: the local zone comes from TZ when that names one") {
    {
        ZoneVariable zone("Europe/Vienna");
        CHECK(local_time_zone() == "Europe/Vienna");
    }
    {
        ZoneVariable zone(":America/New_York");
        CHECK(local_time_zone() == "America/New_York");
    }
    for (const char* value : {"", "CET-1CEST,M3.5.0,M10.5.0/3", "../../etc/passwd", "Nowhere/Land"}) {
        ZoneVariable zone(value);
        CHECK(is_time_zone(local_time_zone()));
    }
    ZoneVariable zone(nullptr);
    CHECK(is_time_zone(local_time_zone()));
}

TEST_CASE("clock: zone names") {
    CHECK(is_time_zone("Europe/Vienna"));
    CHECK(is_time_zone("Etc/UTC"));
    for (const char* name : {"", "Europe", "europe/vienna", "../passwd", "Europe/Vienna ", "+01:00", "tzdata.zi"}) {
        CAPTURE(name);
        CHECK_FALSE(is_time_zone(name));
    }
}

TEST_CASE("clock: UTC as text, rounded to microseconds") {
    CHECK(utc_text(0) == "1970-01-01T00:00:00.000000");
    CHECK(utc_text(1795166490.796708) == "2026-11-20T09:21:30.796708");
    CHECK(utc_text(-0.25) == "1969-12-31T23:59:59.750000");
    CHECK(utc_text(59.9999999) == "1970-01-01T00:01:00.000000");
    CHECK(utc_text(951782400) == "2000-02-29T00:00:00.000000");
    CHECK(utc_text(253402300799.0) == "9999-12-31T23:59:59.000000");
    CHECK(utc_text(-62135596800.0) == "0001-01-01T00:00:00.000000");
    for (double time : {std::nan(""), std::numeric_limits<double>::infinity(), 253402300800.0, -62135596801.0, 1e300}) {
        CHECK(utc_text(time).empty());
        CHECK(local_text(time, "Europe/Vienna").empty());
    }
}

TEST_CASE("clock: local text with its offset") {
    CHECK(local_text(1577836800.5, "Europe/Vienna") == "2020-01-01T01:00:00.500000+01:00");
    CHECK(local_text(1593561600, "Europe/Vienna") == "2020-07-01T02:00:00.000000+02:00");
    CHECK(local_text(1577836800, "America/St_Johns") == "2019-12-31T20:30:00.000000-03:30");
    CHECK(local_text(1577836800, "Asia/Kathmandu") == "2020-01-01T05:45:00.000000+05:45");
    CHECK(local_text(1577836800, "Nowhere/Land") == "2020-01-01T00:00:00.000000+00:00");
    CHECK(local_text(-4e9, "Europe/Vienna").ends_with("+01:05:21"));
}

TEST_CASE("clock: ISO 8601 is read") {
    CHECK(parse_utc("2026-11-20T09:21:30.796708") == 1795166490.796708);
    CHECK(parse_utc("2020-01-01 00:00:00") == 1577836800);
    CHECK(parse_utc("2020-01-01T00:00:00Z") == 1577836800);
    CHECK(parse_utc("2020-01-01T01:00:00+01:00") == 1577836800);
    CHECK(parse_utc("2020-01-01T01:00:00+0100") == 1577836800);
    CHECK(parse_utc("2020-01-01T01:00:00+01") == 1577836800);
    CHECK(parse_utc("2019-12-31T20:30:00.5-03:30") == 1577836800.5);
    CHECK(parse_utc("2020-01-01T00:00") == 1577836800);
    CHECK(parse_utc("1969-12-31T23:59:59.75") == -0.25);
    CHECK(parse_utc("2020-02-29T00:00:00") == 1582934400);
    CHECK(parse_utc("2020-01-01T00:00:00." + std::string(50, '0') + "1") == 1577836800);
    for (double time : {0.0, 1577836800.0403, 1795166490.632659}) CHECK(parse_utc(utc_text(time)) == time);
}

TEST_CASE("clock: what is no date and time is not read") {
    for (const char* text : {"",
                             "2020",
                             "2020-01-01",
                             "2020-01-01T",
                             "2020-01-01T00",
                             "2020-01-01T00:0",
                             "2020-1-01T00:00:00",
                             "2020-13-01T00:00:00",
                             "2020-00-01T00:00:00",
                             "2021-02-29T00:00:00",
                             "2020-01-01T24:00:00",
                             "2020-01-01T00:60:00",
                             "2020-01-01T00:00:60",
                             "2020-01-01T00:00:00.",
                             "2020-01-01T00:00:00.x",
                             "2020-01-01T00:00:00 ",
                             "2020-01-01T00:00:00ZZ",
                             "2020-01-01T00:00:00+1",
                             "2020-01-01T00:00:00+01:",
                             "2020-01-01T00:00:00+24:00",
                             "2020-01-01T00:00:00+01:60",
                             "2020-01-01_00:00:00",
                             "0000-01-01T00:00:00",
                             "-020-01-01T00:00:00",
                             "2020-01-01T-1:00:00",
                             "x2020-01-01T00:00:00"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_utc(text));
    }
}

TEST_CASE("clock: local times, with the hours that come twice or never") {
    CHECK(local_time_to_utc(2020, 1, 1, 1, 0, 0, "Europe/Vienna") == 1577836800);
    CHECK(local_time_to_utc(2020, 7, 1, 2, 0, 0, "Europe/Vienna") == 1593561600);
    CHECK(local_time_to_utc(2020, 10, 25, 2, 30, 0, "Europe/Vienna") == 1603585800);
    CHECK_FALSE(local_time_to_utc(2020, 3, 29, 2, 30, 0, "Europe/Vienna"));
    CHECK_FALSE(local_time_to_utc(2021, 2, 29, 0, 0, 0, "Europe/Vienna"));
    CHECK_FALSE(local_time_to_utc(2020, 1, 1, 25, 0, 0, "Europe/Vienna"));
    CHECK_FALSE(local_time_to_utc(-2000000000, 1, 1, 0, 0, 0, "Europe/Vienna"));
    CHECK_FALSE(local_time_to_utc(2020, 1, 1, 0, 0, 0, "Nowhere/Land"));
}

TEST_CASE("clock: identifiers are random, version 4") {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        std::string id = make_uuid();
        REQUIRE(id.size() == 32);
        REQUIRE(id.find_first_not_of("0123456789abcdef") == std::string::npos);
        REQUIRE(id[12] == '4');
        REQUIRE(std::string("89ab").find(id[16]) != std::string::npos);
        seen.insert(id);
    }
    CHECK(seen.size() == 1000);
}

}  // namespace reelstore
