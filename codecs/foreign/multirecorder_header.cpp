#include "codecs/foreign/multirecorder_header.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/pixel_type.h"
#include "codecs/foreign/header_bytes.h"

namespace reelstore {

namespace {

constexpr size_t kDateOffset = 1;  ///< in 'd'
constexpr size_t kShortDate = 17;
constexpr size_t kLongDate = 24;
constexpr size_t kColonOfShortDate = 14;

/// In 'e' and 'f'.
constexpr size_t kByteOrderMark = 1;
constexpr uint32_t kByteOrderMarkValue = 0x1A2B3C4D;
constexpr size_t kFrames = 5;
constexpr size_t kColumns = 9;
constexpr size_t kRows = 13;
constexpr size_t kPixelFormat = 17;
constexpr size_t kBinning = 21;
constexpr size_t kFrameRate = 25;
constexpr double kFrameRateUnit = 100000;
constexpr size_t kStartTime = 29;
constexpr size_t kStartTimeBytes = 24;
constexpr size_t kComment = 53;
constexpr size_t kCommentBytes = 971;

std::optional<std::endian> order_of_mark(std::span<const uint8_t> head) {
    if (head.size() < kByteOrderMark + sizeof(uint32_t)) return std::nullopt;
    for (const std::endian order : {std::endian::big, std::endian::little}) {
        if (HeaderBytes(head, order).at<uint32_t>(kByteOrderMark) == kByteOrderMarkValue) return order;
    }
    return std::nullopt;
}

size_t date_size(std::span<const uint8_t> head) {
    return head[kDateOffset + kColonOfShortDate] == ':' ? kShortDate : kLongDate;
}

/// There is no mark in this version, so a date and plausible sizes must do.
bool looks_like_version_d(std::span<const uint8_t> head) {
    if (head.size() < kDateOffset + kLongDate + 3 * sizeof(uint32_t) || head[0] != 'd') return false;
    const auto date = head.subspan(kDateOffset, date_size(head));
    const bool printable =
        std::all_of(date.begin(), date.end(), [](uint8_t c) { return c == 0 || (c >= ' ' && c < 0x7F); });
    if (!printable || std::count(date.begin(), date.end(), ':') < 2) return false;
    const HeaderBytes bytes(head);
    const size_t numbers = kDateOffset + date.size();
    const auto is_side = [](uint32_t side) { return side > 0 && side <= static_cast<uint32_t>(kMaxImageSide); };
    return is_side(bytes.at<uint32_t>(numbers + 4)) && is_side(bytes.at<uint32_t>(numbers + 8));
}

MultirecorderHeader parse_version_d(const HeaderBytes& bytes, std::span<const uint8_t> head) {
    MultirecorderHeader header;
    header.version = 'd';
    const size_t date = date_size(head);
    const size_t numbers = kDateOffset + date;
    header.date = bytes.text(kDateOffset, date);
    header.frames = bytes.at<uint32_t>(numbers);
    header.width = bytes.at<uint32_t>(numbers + 4);
    header.height = bytes.at<uint32_t>(numbers + 8);
    return header;
}

struct DateTime {
    int year, month, day, hour, minute, second;
};

std::optional<double> utc_of(const DateTime& date) {
    return local_time_to_utc(date.year, date.month, date.day, date.hour, date.minute, date.second, "Etc/UTC");
}

/// "Fri Jan 31 23:59:58 2020", as C writes it.
std::optional<double> parse_c_date(const std::string& text) {
    constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    DateTime date{};
    char month[4] = {};
    if (std::sscanf(text.c_str(), "%*3s %3s %2d %2d:%2d:%2d %4d", month, &date.day, &date.hour, &date.minute,
                    &date.second, &date.year) != 6) {
        return std::nullopt;
    }
    const auto found = std::find(kMonths.begin(), kMonths.end(), std::string_view(month));
    if (found == kMonths.end()) return std::nullopt;
    date.month = static_cast<int>(found - kMonths.begin()) + 1;
    return utc_of(date);
}

/// "01/31/20 23:59:58" (month first) or "31.01.20 23:59:58" (day first).
std::optional<double> parse_short_date(const std::string& text) {
    DateTime date{};
    const char* const time = " %2d:%2d:%2d";
    const std::string american = std::string("%2d/%2d/%2d") + time;
    const std::string german = std::string("%2d.%2d.%2d") + time;
    if (std::sscanf(text.c_str(), american.c_str(), &date.month, &date.day, &date.year, &date.hour, &date.minute,
                    &date.second) != 6 &&
        std::sscanf(text.c_str(), german.c_str(), &date.day, &date.month, &date.year, &date.hour, &date.minute,
                    &date.second) != 6) {
        return std::nullopt;
    }
    date.year += 2000;
    return utc_of(date);
}

}  // namespace

bool looks_like_multirecorder(std::span<const uint8_t> head) {
    if (head.empty()) return false;
    if (head[0] == 'e' || head[0] == 'f') return order_of_mark(head).has_value();
    return looks_like_version_d(head);
}

MultirecorderHeader parse_multirecorder_header(std::span<const uint8_t> head) {
    if (!looks_like_multirecorder(head)) {
        throw Error(ErrorCode::unsupported,
                    "the file does not begin with a header of MultiRecorder, version d, e or f");
    }
    if (head.size() < kMultirecorderHeaderBytes) {
        throw Error(ErrorCode::corrupt, fmt::format("the header is cut off: {} of {} bytes are there", head.size(),
                                                    kMultirecorderHeaderBytes));
    }
    if (head[0] == 'd') return parse_version_d(HeaderBytes(head), head);

    MultirecorderHeader header;
    header.version = static_cast<char>(head[0]);
    header.order = order_of_mark(head).value_or(std::endian::little);
    const HeaderBytes bytes(head, header.order);
    header.frames = bytes.at<uint32_t>(kFrames);
    header.width = bytes.at<uint32_t>(kColumns);
    header.height = bytes.at<uint32_t>(kRows);
    header.pixel_format = bytes.at<uint32_t>(kPixelFormat);
    header.binning = bytes.at<uint32_t>(kBinning);
    header.frame_rate = std::max(0, bytes.at<int32_t>(kFrameRate)) / kFrameRateUnit;
    header.date = bytes.text(kStartTime, kStartTimeBytes);
    header.comment = bytes.text(kComment, kCommentBytes);
    return header;
}

std::optional<double> parse_multirecorder_date(std::string_view text) {
    std::string date(text);
    if (const auto time = parse_c_date(date)) return time;
    if (const auto time = parse_short_date(date)) return time;
    // Milliseconds stand behind a third colon.
    if (std::count(date.begin(), date.end(), ':') == 3) date[date.rfind(':')] = '.';
    return parse_utc(date);
}

}  // namespace reelstore
