#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace reelstore {

/// The value in the middle when sorted; of an even number of values the upper one of the two in the middle. There must
/// be at least one value, and none may be NaN.
inline double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

}  // namespace reelstore
