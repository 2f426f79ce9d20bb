#include "base/median.h"

#include <doctest/doctest.h>

namespace reelstore {

TEST_CASE("median: the middle value, the upper one of two") {
    CHECK(median({7}) == 7);
    CHECK(median({3, 1}) == 3);
    CHECK(median({9, 1, 5}) == 5);
    CHECK(median({4, 1, 3, 2}) == 3);
    CHECK(median({2, 2, 100, 2, -100}) == 2);
}

}  // namespace reelstore
