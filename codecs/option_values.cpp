#include "codecs/option_values.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"

namespace reelstore {

namespace {

template <typename Value>
Value bounded_option(const CodecOptions& options, const std::string& name, Value fallback, Value smallest,
                     Value largest, const char* kind) {
    const auto option = options.find(name);
    if (option == options.end()) return fallback;
    const std::string& text = option->second;
    Value value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !(value >= smallest && value <= largest)) {
        throw Error(ErrorCode::invalid_argument, fmt::format("option {} must be a {} from {} to {}, not \"{}\"", name,
                                                             kind, smallest, largest, text));
    }
    return value;
}

}  // namespace

int integer_option(const CodecOptions& options, const std::string& name, int fallback, int smallest, int largest) {
    return bounded_option(options, name, fallback, smallest, largest, "whole number");
}

double number_option(const CodecOptions& options, const std::string& name, double fallback, double smallest,
                     double largest) {
    return bounded_option(options, name, fallback, smallest, largest, "number");
}

std::optional<double> frame_rate_from_text(std::string_view text) {
    const auto number = [](std::string_view part) -> std::optional<double> {
        double value = 0;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
        if (error != std::errc{} || end != part.data() + part.size() || !(value > 0) || !std::isfinite(value))
            return std::nullopt;
        return value;
    };
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return number(text);
    const auto dividend = number(text.substr(0, slash));
    const auto divisor = number(text.substr(slash + 1));
    if (!dividend || !divisor) return std::nullopt;
    return *dividend / *divisor;
}

double rate_option(const CodecOptions& options, const std::string& name, double fallback, double smallest,
                   double largest) {
    const auto option = options.find(name);
    if (option == options.end()) return fallback;
    const auto rate = frame_rate_from_text(option->second);
    if (rate && *rate >= smallest && *rate <= largest) return *rate;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("option {} must be a frame rate from {} to {}, such as 25 or 24000/1001, not \"{}\"", name,
                            smallest, largest, option->second));
}

std::string choice_option(const CodecOptions& options, const std::string& name, const std::string& fallback,
                          const std::vector<std::string>& choices) {
    const auto option = options.find(name);
    if (option == options.end()) return fallback;
    if (std::find(choices.begin(), choices.end(), option->second) == choices.end()) {
        throw Error(ErrorCode::invalid_argument, fmt::format("option {} must be one of {}, not \"{}\"", name,
                                                             fmt::join(choices, ", "), option->second));
    }
    return option->second;
}

void check_option_names(const std::string& who, const std::vector<CodecOptionInfo>& known,
                        const CodecOptions& options) {
    for (const auto& [name, value] : options) {
        const auto is_named = [&name = name](const CodecOptionInfo& option) { return option.name == name; };
        if (std::any_of(known.begin(), known.end(), is_named)) continue;
        std::string names;
        for (const CodecOptionInfo& option : known) names += (names.empty() ? "" : ", ") + option.name;
        throw Error(ErrorCode::invalid_argument,
                    names.empty() ? fmt::format("{} has no options, so none named \"{}\"", who, name)
                                  : fmt::format("{} has no option \"{}\"; it knows {}", who, name, names));
    }
}

}  // namespace reelstore
