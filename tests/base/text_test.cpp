#include "base/text.h"

#include <doctest/doctest.h>

namespace reelstore {

TEST_CASE("text: digits") {
    for (int value = 0; value < 256; ++value) {
        CAPTURE(value);
        CHECK(is_digit(static_cast<char>(value)) == (value >= '0' && value <= '9'));
    }
}

TEST_CASE("text: lower case, and that of extensions") {
    CHECK(lower_case("Frame_01.PNG") == "frame_01.png");
    CHECK(lower_case("") == "");
    CHECK(lower_case_extension("Out.D/A.MP4") == ".mp4");
    CHECK(lower_case_extension("a.tar.Png") == ".png");
    CHECK(lower_case_extension("Out.D/A") == "");
    CHECK(lower_case_extension("a.") == ".");
    CHECK(lower_case_extension("") == "");
}

}  // namespace reelstore
