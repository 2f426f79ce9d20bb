#include "tools/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

#include "base/clock.h"
#include "base/parallel_reader.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

std::vector<std::string> split(const std::string& text, const std::string& separator) {
    std::vector<std::string> parts;
    size_t begin = 0;
    while (true) {
        const size_t end = text.find(separator, begin);
        parts.push_back(text.substr(begin, end - begin));
        if (end == std::string::npos) return parts;
        begin = end + separator.size();
    }
}

std::optional<int64_t> optional_integer(const std::string& text, const std::string& what) {
    if (text.empty()) return std::nullopt;
    return parse_integer(text, what);
}

}  // namespace

int64_t parse_integer(const std::string& text, const std::string& what) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        throw UsageError(fmt::format("\"{}\" is no {}", text, what));
    return value;
}

IndexRange parse_index_range(const std::string& text, int64_t frame_count) {
    const std::vector<std::string> parts = split(text, ":");
    const auto from_end = [&](int64_t value) { return value < 0 ? value + frame_count : value; };
    if (parts.size() == 1) {
        const int64_t index = from_end(parse_integer(parts[0], "frame index"));
        if (index < 0 || index >= frame_count)
            throw UsageError(fmt::format("there is no frame {}: the frames are 0 to {}", text, frame_count - 1));
        return {index, index + 1, 1};
    }
    if (parts.size() > 3) throw UsageError(fmt::format("\"{}\" is no range; write A:B or A:B:STEP", text));
    IndexRange range;
    range.first = std::max<int64_t>(0, from_end(optional_integer(parts[0], "frame index").value_or(0)));
    const std::optional<int64_t> last = optional_integer(parts[1], "frame index");
    range.last = std::min(last ? from_end(*last) : frame_count, frame_count);
    if (parts.size() == 3) range.step = optional_integer(parts[2], "step").value_or(1);
    range.step = std::min(range.step, kLongestStep);
    if (range.step < 1) throw UsageError(fmt::format("the step of \"{}\" must be at least 1", text));
    return range;
}

NumberRange parse_number_range(const std::string& text) {
    const std::vector<std::string> parts = split(text, ":");
    if (parts.size() == 1) {
        const int64_t number = parse_integer(parts[0], "frame number");
        if (number == std::numeric_limits<int64_t>::max()) return {number, std::nullopt};
        return {number, number + 1};
    }
    if (parts.size() != 2) throw UsageError(fmt::format("\"{}\" is no range of numbers; write A:B", text));
    return {optional_integer(parts[0], "frame number"), optional_integer(parts[1], "frame number")};
}

double parse_time(const std::string& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && std::isfinite(value)) return value;
    if (const auto time = parse_utc(text)) return *time;
    if (const auto midnight = parse_utc(text + "T00:00:00")) return *midnight;
    throw UsageError(fmt::format("\"{}\" is no time; write seconds or a date such as 2026-11-20T09:21:30", text));
}

uint64_t parse_bytes(const std::string& text) {
    constexpr std::string_view kUnits = "KMGT";
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string unit(end, text.data() + text.size());
    if (!unit.empty()) {
        const size_t power = unit.size() == 1
                                 ? kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0]))))
                                 : std::string_view::npos;
        if (power == std::string_view::npos)
            throw UsageError(fmt::format("\"{}\" is no number of bytes; write 500M or 2G", text));
        value *= std::pow(1000.0, static_cast<double>(power + 1));
    }
    if (error != std::errc() || !(value >= 1) || value > 1e18)
        throw UsageError(fmt::format("\"{}\" is no number of bytes above 0", text));
    return static_cast<uint64_t>(value);
}

TimeRange parse_time_range(const std::string& text) {
    const std::vector<std::string> parts = split(text, "..");
    if (parts.size() != 2) throw UsageError(fmt::format("\"{}\" is no range of times; write T0..T1", text));
    TimeRange range;
    if (!parts[0].empty()) range.first = parse_time(parts[0]);
    if (!parts[1].empty()) range.last = parse_time(parts[1]);
    return range;
}

}  // namespace reelstore
