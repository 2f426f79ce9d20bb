#include "tools/filter_help.h"

#include <algorithm>

#include <fmt/format.h>

#include "filters/filter_table.h"

namespace reelstore {

namespace {

constexpr size_t kMostColumns = 120;
constexpr const char* kPage =
    R"(Filters change frames on their way to the screen, to a file or into another store:

  store view mystore --filter clahe
  store extract mystore clip.mp4 --filter crop=100:80:640:480,resize=scale=0.5
  store get mystore --index 7 -o right.png --filter rotate=-90,levels,gamma=1.4
  store extract mystore motion.mp4 --filter "difference=5,8bit=-40:40,colormap=magma,text='{number}  {time:%H:%M:%S}'"
  store convert mystore small --format avc1/mp4 --filter gray,8bit=low=200:high=3000
  store save 0 mystore --filter flip=vertical,brightness=12:1.2

How a list is written
  NAME                      a filter with its defaults
  NAME=VALUE:VALUE          values for its arguments, in the order in which they are listed below
  NAME=ARGUMENT=VALUE       or by name, also behind values without one: clahe=4:tiles=8
  NAME,NAME=VALUE,NAME      one behind the other, from left to right: what one gives the next one takes

  Commas, colons, equal signs and blanks stand for themselves between single quotes or behind a backslash. The shell
  takes quotes away, and much else, unless the whole list is in double quotes: --filter "flat-field='lamp, on.png'"

Which frames they see
  In get and view those of the whole recording, so filters there cannot change the number of frames. In extract, save,
  convert and stats those that were selected, in their order. Filters that read the recording twice do the first reading
  by themselves; a camera gives them no second one.

The images they take are gray or colour, 8 or 16 bits or floats, unless they say otherwise. Colour is BGR. White is 255,
65535 or 1.0. A value in the list below is the default; an argument without one is left out or, where the filter makes no
sense without it, has to be given.
)";

size_t longest_name() {
    size_t longest = 0;
    for (const FilterInfo& filter : filters()) longest = std::max(longest, filter.name.size());
    return longest;
}

std::string written(const FilterArgumentInfo& argument) {
    return argument.default_value.empty() ? argument.name : argument.name + "=" + argument.default_value;
}

/// The text in lines that begin, but for the first, with so many blanks.
std::string wrapped(std::string text, size_t indent) {
    size_t begin = 0;
    while (text.size() - begin > kMostColumns - indent) {
        const size_t blank = text.rfind(' ', begin + kMostColumns - indent);
        if (blank == std::string::npos || blank <= begin) break;
        text.replace(blank, 1, "\n" + std::string(indent, ' '));
        begin = blank + 1 + indent;
    }
    return text;
}

void print_arguments(const FilterInfo& filter) {
    size_t longest = 0;
    for (const FilterArgumentInfo& argument : filter.arguments) longest = std::max(longest, written(argument).size());
    for (const FilterArgumentInfo& argument : filter.arguments)
        fmt::print("        {:<{}}  {}\n", written(argument), longest, wrapped(argument.help, longest + 10));
}

}  // namespace

void print_filters(bool with_arguments) {
    const size_t width = longest_name();
    std::string family;
    for (const FilterInfo& filter : filters()) {
        if (filter.family != family) fmt::print("  {}\n", filter.family);
        family = filter.family;
        fmt::print("    {:<{}}  {}\n", filter.name, width, wrapped(filter.help, width + 6));
        if (with_arguments) print_arguments(filter);
    }
}

void print_filter_page() {
    fmt::print("{}\nFilters\n", kPage);
    print_filters(true);
}

bool print_filter(const std::string& name) {
    for (const FilterInfo& filter : filters()) {
        if (filter.name != name) continue;
        fmt::print("--filter {}: {}\n", filter.name, filter.help);
        print_arguments(filter);
        return true;
    }
    return false;
}

}  // namespace reelstore
