#include "base/yaml_scalar.h"

#include <cmath>
#include <limits>
#include <string>

#include <doctest/doctest.h>

namespace reelstore {

TEST_CASE("yaml_scalar: null and booleans in their three spellings") {
    for (const char* text : {"", "~", "null", "Null", "NULL"}) CHECK(resolve_plain_scalar(text).is_null());
    for (const char* text : {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}) {
        CHECK(resolve_plain_scalar(text) == true);
    }
    for (const char* text : {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}) {
        CHECK(resolve_plain_scalar(text) == false);
    }
    for (const char* text : {"nUll", "yES", "tRUE", "y", "n", "Y", "N", "none", "None", "~~"}) {
        CHECK(resolve_plain_scalar(text) == text);
    }
}

TEST_CASE("yaml_scalar: integers") {
    const std::pair<const char*, int64_t> cases[] = {
        {"0", 0},
        {"-0", 0},
        {"+12", 12},
        {"-12", -12},
        {"1_000", 1000},
        {"1_", 1},
        {"010", 8},
        {"-010", -8},
        {"0_7", 7},
        {"0b101", 5},
        {"-0b1_1", -3},
        {"0x1F", 31},
        {"0x_ff", 255},
        {"1:30", 90},
        {"1:30:00", 5400},
        {"-1:30", -90},
        {"190:20:30", 685230},
        {"9223372036854775807", std::numeric_limits<int64_t>::max()},
        {"-9223372036854775808", std::numeric_limits<int64_t>::min()},
    };
    for (const auto& [text, value] : cases) {
        CAPTURE(text);
        Json resolved = resolve_plain_scalar(text);
        CHECK(resolved.is_number_integer());
        CHECK(resolved == value);
    }
    CHECK(resolve_plain_scalar("18446744073709551615") == std::numeric_limits<uint64_t>::max());
    for (const char* text : {"18446744073709551616",
                             "-9223372036854775809",
                             "_1",
                             "09",
                             "08",
                             "0o7",
                             "0b",
                             "0b2",
                             "0x",
                             "0xg",
                             "--1",
                             "+-1",
                             "1:60",
                             "1:300",
                             ":30",
                             "1:",
                             "0:30:",
                             "1 000",
                             "1,000",
                             "0_9",
                             "99999999999:00:00:00:00:00:00"}) {
        CAPTURE(text);
        CHECK(resolve_plain_scalar(text) == text);
    }
}

TEST_CASE("yaml_scalar: floats") {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const std::pair<const char*, double> cases[] = {
        {"1.5", 1.5},
        {"-1.5", -1.5},
        {"1.", 1},
        {".5", 0.5},
        {"1_0.2_5", 10.25},
        {"1.0e+3", 1000},
        {"1.e-1", 0.1},
        {"+0.1", 0.1},
        {"010.5", 10.5},
        {"1:30.5", 90.5},
        {"-1:30.", -90},
        {".inf", kInfinity},
        {"-.INF", -kInfinity},
        {"+.Inf", kInfinity},
        {"1.0e+999", kInfinity},
        {"-1.0e+999", -kInfinity},
        {"1.0e-999", 0},
        {"5.0e-324", 5e-324},
        {"1577836800.0403", 1577836800.0403},
        {".1e+1", 1},
    };
    for (const auto& [text, value] : cases) {
        CAPTURE(text);
        Json resolved = resolve_plain_scalar(text);
        CHECK(resolved.is_number_float());
        CHECK(resolved == value);
    }
    for (const char* text : {".nan", ".NaN", ".NAN"}) CHECK(std::isnan(resolve_plain_scalar(text).get<double>()));
    CHECK(std::signbit(resolve_plain_scalar("-0.0").get<double>()));
    CHECK(resolve_plain_scalar("0." + std::string(400, '0') + "1e+10") == 0.0);
    CHECK(resolve_plain_scalar(std::string(400, '9') + ".0") == kInfinity);
    for (const char* text :
         {"1e5",   "1.0e5",  "1.5e", "1.5e+", ".",   "..",  "-.5",  "+.5",   "-.",       "._1",     ".e+1",
          "1.2.3", "1:60.5", ".Nan", "-.nan", "inf", "nan", "1.5x", "0x1.8", "1.0e+1_0", "1.0e+1.5"}) {
        CAPTURE(text);
        CHECK(resolve_plain_scalar(text) == text);
    }
}

TEST_CASE("yaml_scalar: dates stay text") {
    for (const char* text : {"2026-11-20", "2026-11-20T09:21:30", "2026-11-20 09:21:30.5 +1"}) {
        CHECK(resolve_plain_scalar(text) == text);
    }
}

TEST_CASE("yaml_scalar: decimal numbers for a float tag") {
    CHECK(decimal_number("3") == 3);
    CHECK(decimal_number("-1e5") == -1e5);
    for (const char* text : {"", "-", ".", "e5", "1e", "1 ", " 1", "inf", "nan", "0x10", "--1", "-inf"}) {
        CAPTURE(text);
        CHECK_FALSE(decimal_number(text));
    }
}

}  // namespace reelstore
