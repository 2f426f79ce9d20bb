#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reelstore {

/// One argument that a filter takes; what `store formats --options` prints.
struct FilterArgumentInfo {
    std::string name;
    std::string default_value = {};  ///< as text; empty: it can be left out, or has to be given, as `help` says
    std::string help = {};
};

/// The arguments of one filter as the user wrote them, by name. Members throw Error(invalid_argument) naming filter and
/// argument when a text makes no sense or lies out of range.
class FilterArguments {
public:
    FilterArguments() = default;
    FilterArguments(std::string filter, std::map<std::string, std::string> values)
        : filter_(std::move(filter)), values_(std::move(values)) {}

    bool has(const std::string& name) const { return values_.count(name) > 0; }
    /// The text as it was written; nothing when it was not given.
    std::optional<std::string> text(const std::string& name) const;
    std::string text(const std::string& name, const std::string& fallback) const;
    std::optional<double> number(const std::string& name, double smallest, double largest) const;
    double number(const std::string& name, double fallback, double smallest, double largest) const;
    std::optional<int> integer(const std::string& name, int smallest, int largest) const;
    int integer(const std::string& name, int fallback, int smallest, int largest) const;
    /// "yes" or "no".
    bool flag(const std::string& name, bool fallback) const;
    /// One of `choices`; the nearest one is suggested for another.
    std::string choice(const std::string& name, const std::string& fallback,
                       const std::vector<std::string>& choices) const;
    /// Throws Error(invalid_argument) for this filter, about this argument.
    [[noreturn]] void refuse(const std::string& name, const std::string& reason) const;
    [[noreturn]] void refuse(const std::string& reason) const;

private:
    std::string filter_;
    std::map<std::string, std::string> values_;
};

/// A filter as it is written: "clahe=8:tiles=5" is the name clahe, the value 8 without a name and tiles=5.
struct FilterCall {
    struct Argument {
        std::string name;  ///< empty: it is known by its place
        std::string value;
    };
    std::string name;
    std::vector<Argument> arguments;
};

/// Takes "NAME, NAME=VALUE:VALUE:KEY=VALUE, ..." apart. Commas, colons, equal signs and blanks within single quotes, or
/// behind a backslash, stand for themselves. An empty text is an empty list. Throws Error(invalid_argument) for an
/// empty name and a quote without its end.
std::vector<FilterCall> parse_filter_list(std::string_view text);

/// Gives the arguments of a call their names: those without one are the first ones of `known`, in order. Throws
/// Error(invalid_argument) for too many, unknown ones (the nearest one is suggested) and any given twice.
FilterArguments name_arguments(const FilterCall& call, const std::vector<FilterArgumentInfo>& known);

}  // namespace reelstore
