#include <doctest/doctest.h>

#include <limits>
#include <utility>

#include "tools/ranges.h"
#include "tools/verb.h"

using namespace reelstore;

namespace {

std::vector<int64_t> indices(const std::string& text, int64_t count) {
    const IndexRange range = parse_index_range(text, count);
    std::vector<int64_t> list;
    for (int64_t i = range.first; i < range.last; i += range.step) list.push_back(i);
    CHECK(range.count() == static_cast<int64_t>(list.size()));
    return list;
}

}  // namespace

TEST_CASE("ranges of indices are half open and count from the end where negative") {
    CHECK(indices("2:5", 10) == std::vector<int64_t>{2, 3, 4});
    CHECK(indices(":3", 10) == std::vector<int64_t>{0, 1, 2});
    CHECK(indices("8:", 10) == std::vector<int64_t>{8, 9});
    CHECK(indices("-2:", 10) == std::vector<int64_t>{8, 9});
    CHECK(indices(":-8", 10) == std::vector<int64_t>{0, 1});
    CHECK(indices("0:10:4", 10) == std::vector<int64_t>{0, 4, 8});
    CHECK(indices("::5", 10) == std::vector<int64_t>{0, 5});
    CHECK(indices("7", 10) == std::vector<int64_t>{7});
    CHECK(indices("-1", 10) == std::vector<int64_t>{9});
    CHECK(indices("5:100", 10) == std::vector<int64_t>{5, 6, 7, 8, 9});
    CHECK(indices("-100:2", 10) == std::vector<int64_t>{0, 1});
    CHECK(indices("3:9:9223372036854775807", 10) == std::vector<int64_t>{3});
    CHECK(indices("-9223372036854775807:9223372036854775807", 3) == std::vector<int64_t>{0, 1, 2});
    CHECK(indices("5:5", 10).empty());
    CHECK(indices("7:3", 10).empty());
    CHECK(indices(":", 0).empty());
    for (const char* text : {"", "a:b", "1:2:0", "1:2:-1", "1:2:3:4", "10", "-11", "1.5:2", "1 :2"})
        CHECK_THROWS_AS(parse_index_range(text, 10), UsageError);
}

TEST_CASE("ranges of numbers and times") {
    const auto numbers = [](const char* text) {
        const NumberRange range = parse_number_range(text);
        return std::pair(range.first, range.last);
    };
    using Numbers = std::pair<std::optional<int64_t>, std::optional<int64_t>>;
    constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
    constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
    CHECK(numbers("-5:3") == Numbers(-5, 3));
    CHECK(numbers(":") == Numbers());
    CHECK(numbers("7") == Numbers(7, 8));
    CHECK(numbers("-8:") == Numbers(-8, std::nullopt));
    CHECK(numbers("9223372036854775807") == Numbers(kHighest, std::nullopt));
    CHECK(numbers("-9223372036854775808:9223372036854775807") == Numbers(kLowest, kHighest));
    for (const char* text : {"", "1:2:3", "a", "1.5", "9223372036854775808"})
        CHECK_THROWS_AS(parse_number_range(text), UsageError);

    const auto times = [](const char* text) {
        const TimeRange range = parse_time_range(text);
        return std::pair(range.first, range.last);
    };
    using Times = std::pair<std::optional<double>, std::optional<double>>;
    CHECK(times("1.5..2.5") == Times(1.5, 2.5));
    CHECK(times("..2.5") == Times(std::nullopt, 2.5));
    CHECK(times("..") == Times());
    CHECK(times("-3..-2.5") == Times(-3.0, -2.5));
    CHECK(times("2020-01-01T00:00:00..2020-01-01T00:00:01") == Times(1577836800.0, 1577836801.0));
    for (const char* text : {"", "5", "inf..", "..nan"}) CHECK_THROWS_AS(parse_time_range(text), UsageError);
    CHECK_THROWS_AS(parse_time_range("1:2"), UsageError);
    CHECK(parse_time("1577836800.5") == 1577836800.5);
    CHECK(parse_time("2020-01-01T01:00:00+01:00") == 1577836800);
    CHECK(parse_time("2020-01-01") == 1577836800);
    CHECK(parse_bytes("1000") == 1000);
    CHECK(parse_bytes("1.5G") == 1500000000);
    CHECK(parse_bytes("2m") == 2000000);
    for (const char* text : {"", "0", "-5", "5X", "5MB", "G", "1e30"}) CHECK_THROWS_AS(parse_bytes(text), UsageError);
    for (const char* text : {"", "noon", "nan", "inf", "2020-13-01T00:00:00"})
        CHECK_THROWS_AS(parse_time(text), UsageError);
}
