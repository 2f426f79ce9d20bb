#include "codecs/option_values.h"

#include <algorithm>
#include <charconv>

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

}  // namespace reelstore
