#include "base/yaml_scalar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "base/text.h"

namespace reelstore {

namespace {

constexpr std::string_view kDigits = "0123456789";

bool only(std::string_view text, std::string_view allowed) {
    return text.find_first_not_of(allowed) == std::string_view::npos;
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), text) != words.end();
}

/// Takes a sign off the front; true for a minus.
bool take_sign(std::string_view& text) {
    if (text.empty() || (text[0] != '-' && text[0] != '+')) return false;
    bool negative = text[0] == '-';
    text.remove_prefix(1);
    return negative;
}

std::string without_underscores(std::string_view text) {
    std::string result(text);
    result.erase(std::remove(result.begin(), result.end(), '_'), result.end());
    return result;
}

/// Digits, with underscores anywhere behind the first.
bool is_digit_run(std::string_view text) {
    return !text.empty() && is_digit(text[0]) && only(text.substr(1), "0123456789_");
}

/// A part behind a colon: 0 to 59.
bool is_sixtieth(std::string_view text) {
    if (text.size() == 2) return text[0] >= '0' && text[0] <= '5' && is_digit(text[1]);
    return text.size() == 1 && is_digit(text[0]);
}

std::vector<std::string_view> split_at_colons(std::string_view text) {
    std::vector<std::string_view> parts;
    while (true) {
        size_t colon = text.find(':');
        parts.push_back(text.substr(0, colon));
        if (colon == std::string_view::npos) return parts;
        text.remove_prefix(colon + 1);
    }
}

/// 1:30:00 and the like: a leading number and at least one part of base 60.
bool is_base_sixty(const std::vector<std::string_view>& parts) {
    return parts.size() > 1 && is_digit_run(parts[0]) && std::all_of(parts.begin() + 1, parts.end(), is_sixtieth);
}

std::optional<uint64_t> parse_digits(std::string_view text, int base) {
    std::string digits = without_underscores(text);
    uint64_t value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

/// Size of an unsigned integer in any of the notations; empty when it has none of them or is too large.
std::optional<uint64_t> magnitude(std::string_view text) {
    if (text.empty() || !is_digit(text[0])) return std::nullopt;
    if (text == "0") return 0;
    if (text[0] == '0') {
        std::string_view digits = text.substr(1);
        if (digits[0] == 'b' && only(digits, "b01_")) return parse_digits(digits.substr(1), 2);
        if (digits[0] == 'x') return parse_digits(digits.substr(1), 16);
        if (only(digits, "01234567_")) return parse_digits(text, 8);
        return std::nullopt;
    }
    std::vector<std::string_view> parts = split_at_colons(text);
    if (parts.size() == 1) return is_digit_run(text) ? parse_digits(text, 10) : std::nullopt;
    if (!is_base_sixty(parts)) return std::nullopt;
    uint64_t value = 0;
    for (std::string_view part : parts) {
        std::optional<uint64_t> digits = parse_digits(part, 10);
        if (!digits || __builtin_mul_overflow(value, 60, &value) || __builtin_add_overflow(value, *digits, &value)) {
            return std::nullopt;
        }
    }
    return value;
}

/// Digits, a point and more digits: the part of a float before its exponent.
bool is_mantissa(std::string_view text) {
    size_t point = text.find('.');
    if (point == std::string_view::npos) return false;
    std::string_view behind = text.substr(point + 1);
    return point == 0 ? is_digit_run(behind) : is_digit_run(text.substr(0, point)) && only(behind, "0123456789_");
}

/// What from_chars() leaves open: whether a number outside the range of double is too large rather than too small.
bool is_huge(std::string_view number) {
    size_t mark = std::min(number.find_first_of("eE"), number.size());
    std::string_view mantissa = number.substr(0, mark);
    auto point = static_cast<int64_t>(std::min(mantissa.find('.'), mantissa.size()));
    auto first = static_cast<int64_t>(std::min(mantissa.find_first_not_of("0."), mantissa.size()));
    std::string_view exponent = number.substr(std::min(mark + 1, number.size()));
    bool negative = take_sign(exponent);
    constexpr uint64_t kSurelyTooMuch = uint64_t{1} << 40;
    auto power = static_cast<int64_t>(std::min(parse_digits(exponent, 10).value_or(kSurelyTooMuch), kSurelyTooMuch));
    if (exponent.empty()) power = 0;
    return point - first + (negative ? -power : power) > 0;
}

}  // namespace

bool is_yaml_null(std::string_view text) {
    return one_of(text, {"", "~", "null", "Null", "NULL"});
}

std::optional<bool> yaml_bool(std::string_view text) {
    if (one_of(text, {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) return true;
    if (one_of(text, {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) return false;
    return std::nullopt;
}

std::optional<Json> yaml_integer(std::string_view text) {
    bool negative = take_sign(text);
    std::optional<uint64_t> value = magnitude(text);
    if (!value) return std::nullopt;
    constexpr uint64_t kLargest = std::numeric_limits<int64_t>::max();
    if (negative) {
        if (*value > kLargest + 1) return std::nullopt;
        return Json(static_cast<int64_t>(~*value + 1));
    }
    if (*value > kLargest) return Json(*value);
    return Json(static_cast<int64_t>(*value));
}

std::optional<double> decimal_number(std::string_view text) {
    bool negative = take_sign(text);
    if (text.empty() || !(is_digit(text[0]) || text[0] == '.')) return std::nullopt;
    double value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end != text.data() + text.size()) return std::nullopt;
    if (error == std::errc::result_out_of_range) {
        value = is_huge(text) ? std::numeric_limits<double>::infinity() : 0;
    } else if (error != std::errc{}) {
        return std::nullopt;
    }
    return negative ? -value : value;
}

std::optional<double> yaml_float(std::string_view text) {
    if (one_of(text, {".nan", ".NaN", ".NAN"})) return std::numeric_limits<double>::quiet_NaN();
    std::string_view rest = text;
    bool negative = take_sign(rest);
    double sign = negative ? -1 : 1;
    if (one_of(rest, {".inf", ".Inf", ".INF"})) return sign * std::numeric_limits<double>::infinity();
    // A point in front takes no sign; PyYAML reads "-.5" as text.
    if (rest.empty() || (rest[0] == '.' && rest.size() != text.size())) return std::nullopt;

    std::vector<std::string_view> parts = split_at_colons(rest);
    if (parts.size() > 1) {
        size_t point = parts.back().find('.');
        if (point == std::string_view::npos) return std::nullopt;
        if (!only(parts.back().substr(point + 1), "0123456789_")) return std::nullopt;
        std::vector<std::string_view> whole_parts = parts;
        whole_parts.back() = parts.back().substr(0, point);
        if (!is_base_sixty(whole_parts)) return std::nullopt;
        double value = 0;
        double base = 1;
        for (auto part = parts.rbegin(); part != parts.rend(); ++part, base *= 60) {
            value += decimal_number(without_underscores(*part)).value_or(0) * base;
        }
        return sign * value;
    }
    std::string_view mantissa = rest.substr(0, rest.find_first_of("eE"));
    if (!is_mantissa(mantissa)) return std::nullopt;
    if (mantissa.size() != rest.size()) {
        std::string_view exponent = rest.substr(mantissa.size() + 1);
        bool has_sign = !exponent.empty() && (exponent[0] == '-' || exponent[0] == '+');
        if (!has_sign || exponent.size() == 1 || !only(exponent.substr(1), kDigits)) return std::nullopt;
    }
    std::optional<double> value = decimal_number(without_underscores(rest));
    return value ? std::optional(sign * *value) : std::nullopt;
}

Json resolve_plain_scalar(std::string_view text) {
    if (is_yaml_null(text)) return nullptr;
    if (std::optional<bool> value = yaml_bool(text)) return *value;
    if (std::optional<Json> value = yaml_integer(text)) return *value;
    if (std::optional<double> value = yaml_float(text)) return *value;
    return std::string(text);
}

}  // namespace reelstore
