#include "base/nearest_name.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace reelstore {

namespace {

/// Optimal string alignment distance.
size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<size_t>> steps(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 0; i <= a.size(); ++i) steps[i][0] = i;
    for (size_t j = 0; j <= b.size(); ++j) steps[0][j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t changed = steps[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            steps[i][j] = std::min({steps[i - 1][j] + 1, steps[i][j - 1] + 1, changed});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) steps[i][j] = std::min(steps[i][j], steps[i - 2][j - 2] + 1);
        }
    }
    return steps[a.size()][b.size()];
}

}  // namespace

std::string nearest_name(std::string_view name, std::span<const std::string> names) {
    constexpr size_t kLongestName = 64;
    if (name.empty() || name.size() > kLongestName) return "";
    const std::string wanted = lower_case(name);
    const std::string* nearest = nullptr;
    size_t fewest = 0;
    for (const std::string& candidate : names) {
        const size_t steps = distance(wanted, lower_case(candidate));
        if (2 * steps >= std::max(wanted.size(), candidate.size())) continue;
        if (nearest && steps >= fewest) continue;
        nearest = &candidate;
        fewest = steps;
    }
    return nearest ? *nearest : "";
}

}  // namespace reelstore
