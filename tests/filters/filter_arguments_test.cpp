#include "filters/filter_arguments.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

const std::vector<FilterArgumentInfo> kKnown = {{"text", "", ""}, {"x", "5", ""}, {"y", "6", ""}};

FilterArguments arguments_of(std::string_view list) {
    return name_arguments(parse_filter_list(list).at(0), kKnown);
}

}  // namespace

TEST_CASE("filter_arguments: lists, places, names, quotes") {
    CHECK(parse_filter_list("").empty());
    CHECK(parse_filter_list("   ").empty());
    const auto calls = parse_filter_list("a, b=1:2 ,c=x=y, d='1,2:3=4 ':\\,\\'");
    REQUIRE(calls.size() == 4);
    CHECK(calls[0].name == "a");
    CHECK(calls[0].arguments.empty());
    CHECK(calls[1].name == "b");
    REQUIRE(calls[1].arguments.size() == 2);
    CHECK(calls[1].arguments[1].name.empty());
    CHECK(calls[1].arguments[1].value == "2");
    CHECK(calls[2].arguments.at(0).name == "x");
    CHECK(calls[2].arguments.at(0).value == "y");
    CHECK(calls[3].arguments.at(0).value == "1,2:3=4 ");
    CHECK(calls[3].arguments.at(1).value == ",'");

    const FilterArguments arguments = arguments_of("annotate='{time:%H:%M}, {number}':y=7");
    CHECK(arguments.text("text") == "{time:%H:%M}, {number}");
    CHECK_FALSE(arguments.has("x"));
    CHECK(arguments.integer("x", 5, 0, 10) == 5);
    CHECK(arguments.integer("y", 6, 0, 10) == 7);
}

TEST_CASE("filter_arguments: values") {
    const FilterArguments arguments = arguments_of("f=yes:2.5:-3e2");
    CHECK(arguments.flag("text", false));
    CHECK(arguments.number("x", 0, 0, 10) == 2.5);
    CHECK(arguments.number("y", -1000, 0) == -300);
    CHECK(arguments.choice("text", "no", {"yes", "no"}) == "yes");
    std::string message;
    const auto refused = [&](auto ask) { return error_of(ask, &message) == ErrorCode::invalid_argument; };
    CHECK(refused([&] { arguments.integer("x", 0, 10); }));
    CHECK(message.find("filter f: x=2.5 is no whole number") != std::string::npos);
    CHECK(refused([&] { arguments.number("y", 0, 10); }));
    CHECK(refused([&] { arguments.number("text", 0, 10); }));
    CHECK(refused([&] { arguments.choice("text", "no", {"yea", "no"}); }));
    CHECK(message.find("did you mean yea?") != std::string::npos);
    for (const char* text : {"f=nan", "f=1x", "f=''", "f=1e999x", "f=inf"}) {
        const FilterArguments bad = arguments_of(text);
        CHECK(refused([&] { bad.number("text", -1e300, 1e300); }));
    }
}

TEST_CASE("filter_arguments: what makes no sense is refused") {
    for (const char* text : {"f=1:2:3:4", "f=x=1:2", "f=x=1:x=2", "f=1:text=2", "f=z=1"}) {
        CAPTURE(text);
        CHECK(error_of([&] { arguments_of(text); }) == ErrorCode::invalid_argument);
    }
    for (const char* text : {",", "a,", "=1", "a='b", ":"}) {
        CAPTURE(text);
        CHECK(error_of([&] { parse_filter_list(text); }) == ErrorCode::invalid_argument);
    }
}

}  // namespace reelstore
