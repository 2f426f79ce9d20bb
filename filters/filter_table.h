#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/filter.h"

namespace reelstore {

/// One filter by name; what `store formats` prints and `--filter` understands.
struct FilterInfo {
    std::string name;
    std::string help;
    std::function<std::unique_ptr<Filter>()> make;
};

using FilterTable = std::vector<FilterInfo>;

/// Every filter of this build. Generated from the files in filters/ that end in _filters.cpp: NAME_filters.cpp defines
/// `void add_filters_NAME(FilterTable& table)`.
const FilterTable& filters();

/// The filters of a comma separated list ("gray"), in order. Throws Error(invalid_argument) naming the known ones.
std::vector<std::unique_ptr<Filter>> make_filters(std::string_view list);

}  // namespace reelstore
