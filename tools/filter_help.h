#pragma once

#include <string>

namespace reelstore {

/// The filters by family, on stdout, each with its arguments if these are wanted.
void print_filters(bool with_arguments);
/// The page of `store help filters`: how a list is written, examples, every filter.
void print_filter_page();
/// What there is to say of one filter; false when there is none of this name.
bool print_filter(const std::string& name);

}  // namespace reelstore
