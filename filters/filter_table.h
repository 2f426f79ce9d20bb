#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/filter.h"
#include "filters/filter_arguments.h"

namespace reelstore {

/// One filter by name; what `store formats` prints and `--filter` understands.
struct FilterInfo {
    std::string name;
    std::string help;
    std::vector<FilterArgumentInfo> arguments = {};  ///< in the order in which they can be given without a name
    std::function<std::unique_ptr<Filter>(const FilterArguments&)> make;
    std::string family = {};  ///< NAME of its file
};

using FilterTable = std::vector<FilterInfo>;

/// Every filter of this build. Generated from the files in filters/ that end in _filters.cpp: NAME_filters.cpp defines
/// `void add_filters_NAME(FilterTable& table)`.
const FilterTable& filters();
/// Puts the filters that are in no family yet into this one.
void set_family(FilterTable& table, const std::string& family);

/// The filters of a list such as "gray,crop=10:20:30:40,flip=horizontal" (parse_filter_list() says how it is written),
/// in order. Throws Error(invalid_argument) naming what there is.
std::vector<std::unique_ptr<Filter>> make_filters(std::string_view list);

}  // namespace reelstore
