#include "base/utf8.h"

#include <string>

#include <doctest/doctest.h>

namespace reelstore {

TEST_CASE("utf8: code points of every length") {
    std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
    size_t position = 0;
    for (char32_t expected : {U'a', U'\u00e9', U'\u20ac', U'\U0001f600'}) {
        CHECK(next_code_point(text, position) == expected);
    }
    CHECK(position == text.size());
    CHECK_FALSE(next_code_point(text, position));
}

TEST_CASE("utf8: malformed bytes are refused where they stand") {
    for (const char* bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xed\xa0\x80",
                            "\xf4\x90\x80\x80", "\xff", "\xfe", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3z"}) {
        size_t position = 0;
        CHECK_FALSE(next_code_point(bad, position));
        CHECK(position == 0);
    }
}

}  // namespace reelstore
