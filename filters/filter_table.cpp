#include "filters/filter_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"

namespace reelstore {

namespace {

std::unique_ptr<Filter> make_filter(const FilterCall& call) {
    std::vector<std::string> names;
    for (const FilterInfo& filter : filters()) {
        if (filter.name == call.name) return filter.make(name_arguments(call, filter.arguments));
        names.push_back(filter.name);
    }
    const std::string nearest = nearest_name(call.name, names);
    throw Error(ErrorCode::invalid_argument,
                fmt::format("there is no filter \"{}\"{}; there are {}", call.name,
                            nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest), fmt::join(names, ", ")));
}

}  // namespace

void set_family(FilterTable& table, const std::string& family) {
    for (FilterInfo& filter : table) {
        if (filter.family.empty()) filter.family = family;
    }
}

std::vector<std::unique_ptr<Filter>> make_filters(std::string_view list) {
    std::vector<std::unique_ptr<Filter>> made;
    for (const FilterCall& call : parse_filter_list(list)) made.push_back(make_filter(call));
    return made;
}

}  // namespace reelstore
