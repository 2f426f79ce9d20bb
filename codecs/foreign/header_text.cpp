#include "codecs/foreign/header_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/text.h"
#include "codecs/foreign/header_bytes.h"

namespace reelstore {

namespace {

bool is_blank(char character) {
    return static_cast<uint8_t>(character) <= ' ' || character == '\x7f';
}

bool is_letter(char character) {
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

/// The number at the beginning of a text, and how long it is there.
std::optional<std::pair<double, size_t>> leading_number(std::string_view text) {
    std::string copy(text.substr(0, 64));
    const size_t comma = copy.find(',');
    if (comma != std::string::npos && copy.find('.') == std::string::npos) copy[comma] = '.';
    const size_t sign = !copy.empty() && copy.front() == '+' ? 1 : 0;
    double value = 0;
    const auto [end, error] = std::from_chars(copy.data() + sign, copy.data() + copy.size(), value);
    if (error != std::errc{} || !std::isfinite(value)) return std::nullopt;
    return {{value, static_cast<size_t>(end - copy.data())}};
}

/// How many of the unit named in front of, or within, this text make a second; nothing when it names none.
std::optional<double> units_per_second(std::string_view text) {
    std::string words;
    for (const char character : lower_case(text)) words += is_letter(character) ? character : ' ';
    words = " " + words + " ";
    // The Greek letter of microseconds comes in several encodings, none of which is a letter here.
    const bool has_micro_sign = text.find("\xc2\xb5") != text.npos || text.find("\xce\xbc") != text.npos;
    const auto has = [&](const char* unit) { return words.find(fmt::format(" {} ", unit)) != std::string::npos; };
    if (has("us") || has("usec") || has("microseconds") || (has_micro_sign && (has("s") || has("sec")))) return 1e6;
    if (has("ms") || has("msec") || has("milliseconds")) return 1e3;
    if (has("s") || has("sec") || has("seconds")) return 1;
    return std::nullopt;
}

/// "12", "-0.5" and "2000.0", but neither "007", which is rather a name, nor more digits than a number holds.
bool is_plain_number(std::string_view text) {
    constexpr size_t kMostDigits = 15;
    if (text.starts_with('-')) text.remove_prefix(1);
    const size_t point = std::min(text.find('.'), text.size());
    const std::string_view whole = text.substr(0, point);
    const std::string_view fraction = text.substr(std::min(point + 1, text.size()));
    const auto all_digits = [](std::string_view part) { return std::all_of(part.begin(), part.end(), is_digit); };
    const bool has_leading_zero = whole.size() > 1 && whole.front() == '0';
    return !whole.empty() && !has_leading_zero && all_digits(whole) && all_digits(fraction) &&
           fraction.empty() == (point == text.size()) && whole.size() + fraction.size() <= kMostDigits;
}

/// A number where the text is nothing but one, else text.
Json json_of(const std::string& text) {
    if (!is_plain_number(text)) return utf8_of_foreign_text(text);
    const char* const end = text.data() + text.size();
    int64_t whole = 0;
    if (std::from_chars(text.data(), end, whole).ptr == end) return whole;
    double number = 0;
    std::from_chars(text.data(), end, number);
    return number;
}

}  // namespace

std::vector<std::string_view> header_lines(std::string_view text) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const size_t end = std::min(text.find_first_of("\r\n"), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end);
        if (text.starts_with("\r\n")) {
            text.remove_prefix(2);
        } else if (!text.empty()) {
            text.remove_prefix(1);
        }
    }
    return lines;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

bool looks_like_text(std::string_view bytes) {
    return !bytes.empty() && bytes.find('\0') == bytes.npos;
}

std::optional<std::pair<std::string_view, std::string_view>> split_entry(std::string_view line,
                                                                         std::string_view separators) {
    const size_t place = line.find_first_of(separators);
    if (place == line.npos) return std::nullopt;
    const std::string_view key = trimmed(line.substr(0, place));
    if (key.empty()) return std::nullopt;
    return {{key, trimmed(line.substr(place + 1))}};
}

std::string metadata_key(std::string_view key) {
    std::string result;
    for (const char character : lower_case(utf8_of_foreign_text(key))) {
        const bool kept = is_letter(character) || is_digit(character) || static_cast<uint8_t>(character) >= 0x80;
        if (kept) {
            result += character;
        } else if (!result.empty() && result.back() != '_') {
            result += '_';
        }
    }
    if (!result.empty() && result.back() == '_') result.pop_back();
    return result;
}

void HeaderEntries::add(std::string_view key, std::string_view value) {
    std::string name = metadata_key(key);
    if (name.empty() || value.empty() || entries_.size() >= kMost) return;
    const auto has_name = [&](const auto& entry) { return entry.first == name; };
    if (std::any_of(entries_.begin(), entries_.end(), has_name)) return;
    entries_.emplace_back(std::move(name), std::string(value));
}

std::optional<std::string> HeaderEntries::text(const std::vector<std::string>& keys) const {
    for (const std::string& key : keys) {
        for (const auto& [name, value] : entries_) {
            if (name == key) return value;
        }
    }
    return std::nullopt;
}

std::optional<int64_t> HeaderEntries::integer(const std::vector<std::string>& keys) const {
    const std::optional<std::string> value = text(keys);
    if (!value) return std::nullopt;
    int64_t number = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
    return error == std::errc{} ? std::optional(number) : std::nullopt;
}

std::optional<double> HeaderEntries::number(const std::vector<std::string>& keys) const {
    const std::optional<std::string> value = text(keys);
    const auto number = value ? leading_number(*value) : std::nullopt;
    return number ? std::optional(number->first) : std::nullopt;
}

std::optional<double> HeaderEntries::rate_of_interval(const std::vector<std::string>& keys) const {
    for (const std::string& key : keys) {
        const std::optional<std::string> value = text({key});
        const auto interval = value ? leading_number(*value) : std::nullopt;
        if (!interval) continue;
        std::optional<double> per_second = units_per_second(std::string_view(*value).substr(interval->second));
        if (!per_second) per_second = units_per_second(key);
        if (const auto rate = sensible_rate(per_second.value_or(1e3) / interval->first)) return rate;
    }
    return std::nullopt;
}

Json HeaderEntries::metadata() const {
    Json metadata = Json::object();
    for (const auto& [name, value] : entries_) metadata[name] = json_of(value);
    return metadata;
}

std::optional<double> parse_header_date(std::string_view text) {
    text = trimmed(text);
    const size_t date_end = std::min(text.find_first_of(" T"), text.size());
    std::vector<std::string> parts(1);
    for (const char character : text.substr(0, date_end)) {
        if (is_digit(character)) {
            parts.back() += character;
        } else if (character == '/' || character == '-' || character == '.') {
            parts.emplace_back();
        } else {
            return std::nullopt;
        }
    }
    if (parts.size() != 3) return std::nullopt;
    if (parts[0].size() != 4) std::swap(parts[0], parts[2]);
    for (std::string& part : parts) {
        if (part.size() == 1) part.insert(part.begin(), '0');
    }
    if (parts[0].size() != 4 || parts[1].size() != 2 || parts[2].size() != 2) return std::nullopt;
    std::string time(trimmed(text.substr(date_end)));
    if (time.starts_with('T')) time.erase(0, 1);
    if (time.find(':') == 1) time.insert(time.begin(), '0');
    return parse_utc(fmt::format("{}-{}-{} {}", parts[0], parts[1], parts[2], time));
}

double shortest_decimal(float number) {
    const std::string text = fmt::format("{}", number);
    double same = number;
    std::from_chars(text.data(), text.data() + text.size(), same);
    return same;
}

std::optional<double> sensible_rate(std::optional<double> frames_per_second) {
    constexpr double kSlowest = 1e-9;
    constexpr double kFastest = 1e9;
    const bool sensible = frames_per_second && *frames_per_second >= kSlowest && *frames_per_second <= kFastest;
    return sensible ? frames_per_second : std::nullopt;
}

}  // namespace reelstore
