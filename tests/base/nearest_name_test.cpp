#include "base/nearest_name.h"

#include <vector>

#include <doctest/doctest.h>

namespace reelstore {

TEST_CASE("nearest_name: a slip is understood, another word is not") {
    const std::vector<std::string> names{"gray", "color", "crop", "brightness", "clahe", "flip"};
    CHECK(nearest_name("grey", names) == "gray");
    CHECK(nearest_name("colour", names) == "color");
    CHECK(nearest_name("Crop", names) == "crop");
    CHECK(nearest_name("corp", names) == "crop");
    CHECK(nearest_name("brigthnes", names) == "brightness");
    CHECK(nearest_name("flip", names) == "flip");
    CHECK(nearest_name("sharpen", names).empty());
    CHECK(nearest_name("", names).empty());
    CHECK(nearest_name("xy", names).empty());
    CHECK(nearest_name(std::string(100000, 'a'), names).empty());
    CHECK(nearest_name("gray", {}).empty());
}

}  // namespace reelstore
