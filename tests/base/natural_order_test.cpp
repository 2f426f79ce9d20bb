#include "base/natural_order.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace reelstore {

TEST_CASE("natural_order: numbers count as numbers") {
    const std::vector<std::string> ordered{"",
                                           "0",
                                           "00",
                                           "1",
                                           "01.png",
                                           "1.png",
                                           "2.png",
                                           "10.png",
                                           "a",
                                           "a1b2",
                                           "a1b10",
                                           "a2",
                                           "a02b",
                                           "a99999999999999999999998",
                                           "a99999999999999999999999",
                                           "frame",
                                           "frame_2",
                                           "frame_10",
                                           "frame_010x",
                                           "frame_10x",
                                           "frame_11",
                                           "frame_a",
                                           "\xC3\xA4"};
    for (size_t i = 0; i < ordered.size(); ++i) {
        for (size_t j = 0; j < ordered.size(); ++j) {
            CAPTURE(ordered[i]);
            CAPTURE(ordered[j]);
            CHECK(natural_less(ordered[i], ordered[j]) == (i < j));
        }
    }
    std::vector<std::string> shuffled = ordered;
    std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(3));
    std::sort(shuffled.begin(), shuffled.end(), natural_less);
    CHECK(shuffled == ordered);
}

}  // namespace reelstore
