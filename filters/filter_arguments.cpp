#include "filters/filter_arguments.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"

namespace reelstore {

namespace {

std::string suggestion(const std::string& name, const std::vector<std::string>& names) {
    const std::string nearest = nearest_name(name, names);
    return nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest);
}

/// Reads a list of filters character by character.
class ListReader {
public:
    explicit ListReader(std::string_view text) : text_(text) {}

    std::vector<FilterCall> read() {
        std::vector<FilterCall> calls;
        if (text_.find_first_not_of(' ') == std::string_view::npos) return calls;
        while (true) {
            calls.push_back(read_call());
            if (position_ >= text_.size()) return calls;
            ++position_;  // the comma
        }
    }

private:
    FilterCall read_call() {
        FilterCall call;
        call.name = read_word(",=:");
        if (call.name.empty()) {
            throw Error(ErrorCode::invalid_argument, fmt::format("there is a filter without a name in \"{}\"", text_));
        }
        if (!at('=')) return call;
        do {
            ++position_;  // the equal sign, or a colon
            FilterCall::Argument argument;
            argument.value = read_word(",:=");
            if (at('=')) {
                ++position_;
                argument.name = std::move(argument.value);
                argument.value = read_word(",:");
            }
            call.arguments.push_back(std::move(argument));
        } while (at(':'));
        return call;
    }

    bool at(char character) const { return position_ < text_.size() && text_[position_] == character; }

    /// Up to one of the `ends`, without blanks around it that are not quoted.
    std::string read_word(std::string_view ends) {
        std::string word;
        size_t kept = 0;  // length of the word up to its last character that stays
        while (position_ < text_.size() && ends.find(text_[position_]) == std::string_view::npos) {
            const char character = text_[position_++];
            if (character == '\'') {
                const size_t end = text_.find('\'', position_);
                if (end == std::string_view::npos) {
                    throw Error(ErrorCode::invalid_argument, fmt::format("a quote (') has no end in \"{}\"", text_));
                }
                word += text_.substr(position_, end - position_);
                position_ = end + 1;
                kept = word.size();
            } else if (character == '\\' && position_ < text_.size()) {
                word += text_[position_++];
                kept = word.size();
            } else if (character != ' ' || kept > 0) {
                word += character;
                if (character != ' ') kept = word.size();
            }
        }
        word.resize(kept);
        return word;
    }

    std::string_view text_;
    size_t position_ = 0;
};

}  // namespace

void FilterArguments::refuse(const std::string& reason) const {
    throw Error(ErrorCode::invalid_argument, fmt::format("filter {}: {}", filter_, reason));
}

void FilterArguments::refuse(const std::string& name, const std::string& reason) const {
    refuse(fmt::format("{}={} {}", name, text(name, ""), reason));
}

std::optional<std::string> FilterArguments::text(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::nullopt : std::optional(found->second);
}

std::string FilterArguments::text(const std::string& name, const std::string& fallback) const {
    return text(name).value_or(fallback);
}

std::optional<double> FilterArguments::number(const std::string& name, double smallest, double largest) const {
    const std::optional<std::string> written = text(name);
    if (!written) return std::nullopt;
    char* end = nullptr;
    const double value = std::strtod(written->c_str(), &end);
    if (written->empty() || *end != '\0' || std::isnan(value)) refuse(name, "is no number");
    if (!(value >= smallest && value <= largest))
        refuse(name, fmt::format("must lie in {:g} to {:g}", smallest, largest));
    return value;
}

double FilterArguments::number(const std::string& name, double fallback, double smallest, double largest) const {
    return number(name, smallest, largest).value_or(fallback);
}

std::optional<int> FilterArguments::integer(const std::string& name, int smallest, int largest) const {
    const std::optional<double> value = number(name, smallest, largest);
    if (!value) return std::nullopt;
    if (*value != std::floor(*value)) refuse(name, "is no whole number");
    return static_cast<int>(*value);
}

int FilterArguments::integer(const std::string& name, int fallback, int smallest, int largest) const {
    return integer(name, smallest, largest).value_or(fallback);
}

bool FilterArguments::flag(const std::string& name, bool fallback) const {
    return choice(name, fallback ? "yes" : "no", {"yes", "no"}) == "yes";
}

std::string FilterArguments::choice(const std::string& name, const std::string& fallback,
                                    const std::vector<std::string>& choices) const {
    const std::optional<std::string> written = text(name);
    if (!written) return fallback;
    if (std::find(choices.begin(), choices.end(), *written) != choices.end()) return *written;
    refuse(name, fmt::format("is none of {}{}", fmt::join(choices, ", "), suggestion(*written, choices)));
}

std::vector<FilterCall> parse_filter_list(std::string_view text) {
    return ListReader(text).read();
}

FilterArguments name_arguments(const FilterCall& call, const std::vector<FilterArgumentInfo>& known) {
    const auto refuse = [&call](const std::string& reason) {
        throw Error(ErrorCode::invalid_argument, fmt::format("filter {}: {}", call.name, reason));
    };
    std::vector<std::string> names;
    for (const FilterArgumentInfo& argument : known) names.push_back(argument.name);
    const std::string list = names.empty() ? "it takes none" : fmt::format("it takes {}", fmt::join(names, ", "));
    std::map<std::string, std::string> values;
    bool named = false;
    size_t place = 0;
    for (const FilterCall::Argument& argument : call.arguments) {
        std::string name = argument.name;
        if (name.empty()) {
            if (named) refuse("values without a name come first");
            if (place >= names.size()) refuse(fmt::format("\"{}\" is one argument too many; {}", argument.value, list));
            name = names[place++];
        } else {
            named = true;
        }
        if (std::find(names.begin(), names.end(), name) == names.end())
            refuse(fmt::format("there is no argument \"{}\"{}; {}", name, suggestion(name, names), list));
        if (!values.emplace(name, argument.value).second) refuse(fmt::format("{} is given twice", name));
    }
    return FilterArguments(call.name, std::move(values));
}

}  // namespace reelstore
