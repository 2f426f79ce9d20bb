#include "base/time_format.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time_zone.h"

namespace reelstore {

namespace {

constexpr int64_t kMicroseconds = 1'000'000;
constexpr int kDigits = 6;
constexpr std::string_view kDateConversions = "YymdjBbAazZs";
constexpr std::string_view kClockConversions = "HIpMSf";
constexpr std::array kMonths{"January", "February", "March",     "April",   "May",      "June",
                             "July",    "August",   "September", "October", "November", "December"};
constexpr std::array kDays{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr size_t kShort = 3;

using Output = std::back_insert_iterator<std::string>;

struct TimeOfDay {
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    int64_t micro = 0;
};

TimeOfDay time_of_day(int64_t seconds, int64_t micro) {
    return {seconds / 3600, seconds / 60 % 60, seconds % 60, micro};
}

struct Date {
    date::year_month_day day{};
    date::sys_days days{};
    date::sys_info zone{};
    int64_t seconds = 0;  // since the epoch
};

void write_clock(Output out, char conversion, int digits, const TimeOfDay& time) {
    switch (conversion) {
        case 'H':
            fmt::format_to(out, "{:02}", time.hour);
            return;
        case 'I':
            fmt::format_to(out, "{:02}", (time.hour + 11) % 12 + 1);
            return;
        case 'p':
            fmt::format_to(out, "{}", time.hour % 24 < 12 ? "AM" : "PM");
            return;
        case 'M':
            fmt::format_to(out, "{:02}", time.minute);
            return;
        case 'S':
            fmt::format_to(out, "{:02}", time.second);
            return;
        default: {
            const std::string micro = fmt::format("{:06}", time.micro);
            fmt::format_to(out, "{}", std::string_view(micro).substr(0, static_cast<size_t>(digits)));
        }
    }
}

void write_date(Output out, char conversion, const Date& date) {
    const int year = static_cast<int>(date.day.year());
    const auto month = static_cast<unsigned>(date.day.month());
    const auto weekday = date::weekday(date.days).c_encoding();
    switch (conversion) {
        case 'Y':
            fmt::format_to(out, "{:04}", year);
            return;
        case 'y':
            fmt::format_to(out, "{:02}", year % 100);
            return;
        case 'm':
            fmt::format_to(out, "{:02}", month);
            return;
        case 'd':
            fmt::format_to(out, "{:02}", static_cast<unsigned>(date.day.day()));
            return;
        case 'j':
            fmt::format_to(out, "{:03}", (date.days - date::sys_days(date.day.year() / 1 / 1)).count() + 1);
            return;
        case 'B':
            fmt::format_to(out, "{}", kMonths[month - 1]);
            return;
        case 'b':
            fmt::format_to(out, "{}", std::string_view(kMonths[month - 1]).substr(0, kShort));
            return;
        case 'A':
            fmt::format_to(out, "{}", kDays[weekday]);
            return;
        case 'a':
            fmt::format_to(out, "{}", std::string_view(kDays[weekday]).substr(0, kShort));
            return;
        case 'z': {
            const int64_t offset = date.zone.offset.count();
            fmt::format_to(out, "{}{:02}{:02}", offset < 0 ? '-' : '+', std::abs(offset) / 3600,
                           std::abs(offset) / 60 % 60);
            return;
        }
        case 'Z':
            fmt::format_to(out, "{}", date.zone.abbrev);
            return;
        default:
            fmt::format_to(out, "{}", date.seconds);
    }
}

/// Cut to microseconds, of which a double of today's times has no fewer. Rounding first makes 0.3 s of a count such as
/// 1577836800.3, which is a little less, what it was meant to be.
std::optional<std::pair<int64_t, int64_t>> split(double seconds) {
    constexpr double kFarthest = 1e15;
    if (!(std::abs(seconds) <= kFarthest)) return std::nullopt;
    const double whole = std::floor(seconds);
    const int64_t micro = std::llrint((seconds - whole) * kMicroseconds);
    return std::pair(static_cast<int64_t>(whole) + micro / kMicroseconds, micro % kMicroseconds);
}

}  // namespace

TimeFormat::TimeFormat(std::string_view format) {
    Piece piece;
    const auto add = [&](char conversion, int digits = 0) {
        piece.conversion = conversion;
        piece.digits = digits;
        pieces_.push_back(std::exchange(piece, {}));
    };
    for (size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%') {
            piece.text += format[i];
            continue;
        }
        const char conversion = i + 1 < format.size() ? format[++i] : '\0';
        const bool counted = is_digit(conversion) && i + 1 < format.size() && format[i + 1] == 'f';
        if (conversion == '%') {
            piece.text += '%';
        } else if (conversion == 'F') {
            for (const char part : {'Y', 'm', 'd'}) {
                add(part);
                if (part != 'd') piece.text = "-";
            }
        } else if (conversion == 'T' || conversion == 'R') {
            add('H');
            piece.text = ":";
            add('M');
            if (conversion == 'R') continue;
            piece.text = ":";
            add('S');
        } else if (counted && conversion >= '1' && conversion <= '0' + kDigits) {
            ++i;
            add('f', conversion - '0');
        } else if (conversion != '\0' && (kDateConversions.find(conversion) != std::string_view::npos ||
                                          kClockConversions.find(conversion) != std::string_view::npos)) {
            add(conversion, kDigits);
        } else {
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("%{} is no part of a time; there are %Y %m %d %H %M %S %f (microseconds; %3f: so "
                                    "many digits) %F %T %R %y %j %B %b %A %a %I %p %z %Z %s %%",
                                    conversion == '\0' ? std::string() : std::string(1, conversion)));
        }
    }
    if (!piece.text.empty()) add(0);
}

bool TimeFormat::has_date() const {
    for (const Piece& piece : pieces_)
        if (piece.conversion != 0 && kDateConversions.find(piece.conversion) != std::string_view::npos) return true;
    return false;
}

std::string TimeFormat::of_date(double seconds, std::string_view zone_name) const {
    constexpr int64_t kDay = 86400;
    constexpr int64_t kFirstDay = -719162;  // 0001-01-01
    constexpr int64_t kEndDay = 2932897;    // 10000-01-01
    const auto parts = split(seconds);
    // Zones shift by less than a day.
    if (!parts || parts->first < (kFirstDay - 1) * kDay || parts->first >= (kEndDay + 1) * kDay) return {};
    Date date;
    date.seconds = parts->first;
    if (const date::time_zone* zone = find_zone(zone_name)) {
        date.zone = zone->get_info(date::sys_seconds{std::chrono::seconds{date.seconds}});
    } else {
        date.zone.abbrev = "UTC";
    }
    const int64_t local = date.seconds + date.zone.offset.count();
    const int64_t day = local >= 0 ? local / kDay : (local - kDay + 1) / kDay;
    if (day < kFirstDay || day >= kEndDay) return {};
    date.days = date::sys_days{date::days{day}};
    date.day = date::year_month_day{date.days};
    const TimeOfDay time = time_of_day(local - day * kDay, parts->second);
    std::string text;
    const Output out(text);
    for (const Piece& piece : pieces_) {
        text += piece.text;
        if (piece.conversion == 0) continue;
        if (kClockConversions.find(piece.conversion) != std::string_view::npos)
            write_clock(out, piece.conversion, piece.digits, time);
        else
            write_date(out, piece.conversion, date);
    }
    return text;
}

std::string TimeFormat::of_duration(double seconds) const {
    const auto parts = split(std::abs(seconds));
    if (!parts) return {};
    const TimeOfDay time = time_of_day(parts->first, parts->second);
    std::string text;
    const Output out(text);
    if (seconds < 0 && (parts->first != 0 || parts->second != 0)) text += '-';
    for (const Piece& piece : pieces_) {
        text += piece.text;
        if (piece.conversion != 0) write_clock(out, piece.conversion, piece.digits, time);
    }
    return text;
}

}  // namespace reelstore
