#include "filters/filter_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

namespace {

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

std::unique_ptr<Filter> make_filter(std::string_view name) {
    std::string known;
    for (const FilterInfo& filter : filters()) {
        if (filter.name == name) return filter.make();
        known += (known.empty() ? "" : ", ") + filter.name;
    }
    throw Error(ErrorCode::invalid_argument, fmt::format("there is no filter \"{}\"; known are {}", name, known));
}

}  // namespace

std::vector<std::unique_ptr<Filter>> make_filters(std::string_view list) {
    std::vector<std::unique_ptr<Filter>> made;
    if (trimmed(list).empty()) return made;
    while (true) {
        const size_t comma = list.find(',');
        made.push_back(make_filter(trimmed(list.substr(0, comma))));
        if (comma == std::string_view::npos) return made;
        list.remove_prefix(comma + 1);
    }
}

}  // namespace reelstore
