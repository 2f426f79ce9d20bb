#include "base/clock.h"

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <random>

#include <fmt/format.h>

#include "base/time_zone.h"

namespace reelstore {

namespace {

using std::chrono::seconds;

constexpr int64_t kMicroseconds = 1'000'000;
constexpr int64_t kDay = 86400;

/// A time split so that no digit is lost: whole seconds and microseconds in 0..999999.
struct SplitTime {
    int64_t whole = 0;
    int64_t micro = 0;
};

std::optional<SplitTime> split(double time) {
    constexpr double kFirst = -62135596800;  // 0001-01-01
    constexpr double kEnd = 253402300800;    // 10000-01-01
    if (!(time >= kFirst && time < kEnd)) return std::nullopt;
    double whole = std::floor(time);
    SplitTime result{static_cast<int64_t>(whole), std::llrint((time - whole) * kMicroseconds)};
    if (result.micro == kMicroseconds) {
        result.micro = 0;
        if (++result.whole == static_cast<int64_t>(kEnd)) return std::nullopt;
    }
    return result;
}

/// Date and time of day of a count of seconds since 1970-01-01 on the same clock; empty outside the years 1 to 9999.
std::string calendar_text(int64_t whole, int64_t micro) {
    int64_t day = whole >= 0 ? whole / kDay : (whole - kDay + 1) / kDay;
    int64_t second = whole - day * kDay;
    date::year_month_day date{date::sys_days{date::days{day}}};
    int year = static_cast<int>(date.year());
    if (year < 1 || year > 9999) return {};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}", year, static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()), second / 3600, second / 60 % 60, second % 60, micro);
}

std::string offset_text(seconds offset) {
    int64_t total = std::abs(static_cast<int64_t>(offset.count()));
    std::string text = fmt::format("{}{:02}:{:02}", offset.count() < 0 ? '-' : '+', total / 3600, total / 60 % 60);
    if (total % 60 != 0) text += fmt::format(":{:02}", total % 60);
    return text;
}

/// Seconds from 1970-01-01 on the same clock; empty when there is no such date or time of day.
std::optional<int64_t> calendar_seconds(int year, int month, int day, int hour, int minute, int second) {
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31) return std::nullopt;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return std::nullopt;
    date::year_month_day date{date::year(year), date::month(static_cast<unsigned>(month)),
                              date::day(static_cast<unsigned>(day))};
    if (!date.ok()) return std::nullopt;
    return int64_t{date::sys_days(date).time_since_epoch().count()} * kDay + hour * 3600 + minute * 60 + second;
}

/// Takes characters from the front of a text.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    bool done() const { return text_.empty(); }

    bool accept(std::string_view any) {
        if (text_.empty() || any.find(text_[0]) == std::string_view::npos) return false;
        text_.remove_prefix(1);
        return true;
    }

    /// A number of exactly this many digits; -1 when it is not there.
    int number(size_t digits) {
        int value = 0;
        if (text_.size() < digits) return -1;
        for (char c : text_.substr(0, digits)) {
            if (c < '0' || c > '9') return -1;
            value = value * 10 + (c - '0');
        }
        text_.remove_prefix(digits);
        return value;
    }

    /// The digits behind a decimal point as a number below 1; empty when there is none.
    std::optional<double> fraction() {
        constexpr int kDigits = 18;
        int64_t value = 0;
        int64_t scale = 1;
        int count = 0;
        for (; !text_.empty() && text_[0] >= '0' && text_[0] <= '9'; text_.remove_prefix(1), ++count) {
            if (count >= kDigits) continue;
            value = value * 10 + (text_[0] - '0');
            scale *= 10;
        }
        if (count == 0) return std::nullopt;
        return static_cast<double>(value) / static_cast<double>(scale);
    }

private:
    std::string_view text_;
};

/// Seconds east of Greenwich behind a date and time; empty when malformed.
std::optional<int64_t> scan_zone(Scanner& scanner) {
    if (scanner.done() || scanner.accept("Zz")) return 0;
    bool west = scanner.accept("-");
    if (!west && !scanner.accept("+")) return std::nullopt;
    int hours = scanner.number(2);
    bool colon = scanner.accept(":");
    int minutes = !colon && scanner.done() ? 0 : scanner.number(2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
    int64_t offset = hours * 3600 + minutes * 60;
    return west ? -offset : offset;
}

}  // namespace

const date::time_zone* find_zone(std::string_view name) {
    try {
        const date::time_zone* zone = date::locate_zone(name);
        zone->get_info(date::sys_seconds{});
        return zone;
    } catch (const std::exception&) {
        return nullptr;
    }
}

double now_utc() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double now_monotonic() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string local_time_zone() {
    if (const char* variable = std::getenv("TZ")) {
        std::string_view name = variable;
        if (name.starts_with(':')) name.remove_prefix(1);
        if (is_time_zone(name)) return std::string(name);
    }
    try {
        std::string name = date::current_zone()->name();
        if (is_time_zone(name)) return name;
    } catch (const std::exception&) {
        // No setting, or one without a name: the last resort follows.
    }
    return "Etc/UTC";
}

bool is_time_zone(std::string_view name) {
    return find_zone(name) != nullptr;
}

std::string utc_text(double time) {
    std::optional<SplitTime> parts = split(time);
    return parts ? calendar_text(parts->whole, parts->micro) : std::string();
}

std::string local_text(double time, std::string_view zone_name) {
    std::optional<SplitTime> parts = split(time);
    if (!parts) return {};
    seconds offset{0};
    if (const date::time_zone* zone = find_zone(zone_name)) {
        offset = zone->get_info(date::sys_seconds{seconds{parts->whole}}).offset;
    }
    std::string text = calendar_text(parts->whole + offset.count(), parts->micro);
    return text.empty() ? text : text + offset_text(offset);
}

std::optional<double> parse_utc(std::string_view text) {
    Scanner scanner(text);
    int year = scanner.number(4);
    if (!scanner.accept("-")) return std::nullopt;
    int month = scanner.number(2);
    if (!scanner.accept("-")) return std::nullopt;
    int day = scanner.number(2);
    if (!scanner.accept("Tt ")) return std::nullopt;
    int hour = scanner.number(2);
    if (!scanner.accept(":")) return std::nullopt;
    int minute = scanner.number(2);
    int second = 0;
    std::optional<double> fraction = 0;
    if (scanner.accept(":")) {
        second = scanner.number(2);
        if (scanner.accept(".,")) fraction = scanner.fraction();
    }
    std::optional<int64_t> whole = calendar_seconds(year, month, day, hour, minute, second);
    std::optional<int64_t> offset = scan_zone(scanner);
    if (!whole || !fraction || !offset || !scanner.done()) return std::nullopt;
    return static_cast<double>(*whole - *offset) + *fraction;
}

std::optional<double> local_time_to_utc(int year, int month, int day, int hour, int minute, int second,
                                        std::string_view zone_name) {
    const date::time_zone* zone = find_zone(zone_name);
    std::optional<int64_t> whole = calendar_seconds(year, month, day, hour, minute, second);
    if (!zone || !whole) return std::nullopt;
    date::local_info info = zone->get_info(date::local_seconds{seconds{*whole}});
    if (info.result == date::local_info::nonexistent) return std::nullopt;
    return static_cast<double>(*whole - info.first.offset.count());
}

std::string make_uuid() {
    std::random_device random;
    uint64_t high = uint64_t{random()} << 32 | random();
    uint64_t low = uint64_t{random()} << 32 | random();
    high = (high & ~uint64_t{0xf000}) | 0x4000;
    low = (low & ~(uint64_t{3} << 62)) | uint64_t{2} << 62;
    return fmt::format("{:016x}{:016x}", high, low);
}

}  // namespace reelstore
