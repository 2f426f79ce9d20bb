#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace reelstore {

/// The lines of a text that ends them with LF, CR LF or CR, without those, and without a byte order mark.
std::vector<std::string_view> header_lines(std::string_view text);

/// Without blanks, control characters and NULs at both ends.
std::string_view trimmed(std::string_view text);

/// Whether bytes look like text of a foreign program: some, none of them NUL.
bool looks_like_text(std::string_view bytes);

/// Key and value on both sides of the first of `separators`, trimmed. Empty when the line has none or no key.
std::optional<std::pair<std::string_view, std::string_view>> split_entry(std::string_view line,
                                                                         std::string_view separators);

/// A key of a foreign program in the words of the metadata: "Frame rate (Hz)" becomes "frame_rate_hz".
std::string metadata_key(std::string_view key);

/// Texts by key as a foreign header has them. Keys are compared as metadata_key() spells them; of several equal ones
/// the first counts.
class HeaderEntries {
public:
    static constexpr size_t kMost = 5000;

    /// Entries without a value are left out, and those behind the first kMost, which no header has.
    void add(std::string_view key, std::string_view value);

    /// The value of the first of `keys` that there is.
    std::optional<std::string> text(const std::vector<std::string>& keys) const;
    /// The whole number at the beginning of that value; empty when it begins with none.
    std::optional<int64_t> integer(const std::vector<std::string>& keys) const;
    /// The same for any number; a comma may stand for the point.
    std::optional<double> number(const std::vector<std::string>& keys) const;
    /// Frames per second where one of the keys has the time between two of them: "1.0msec", "500 us", "2" with
    /// milliseconds in the key or meant. Empty for what is no sensible time.
    std::optional<double> rate_of_interval(const std::vector<std::string>& keys) const;
    /// Everything, in order, for the metadata: UTF-8 texts, and numbers where a text is nothing else.
    Json metadata() const;
    bool empty() const { return entries_.empty(); }

private:
    std::vector<std::pair<std::string, std::string>> entries_;
};

/// Reads "dd/mm/YYYY HH:MM:SS" and "YYYY/mm/dd HH:MM:SS", also with '-' or '.' between the numbers of the date and with
/// a fraction, as UTC. Empty when it is neither.
std::optional<double> parse_header_date(std::string_view text);

/// A 32-bit float in as few digits as it has: 0.1 and not 0.10000000149.
double shortest_decimal(float number);

/// A rate that a recording can have, else nothing.
std::optional<double> sensible_rate(std::optional<double> frames_per_second);

}  // namespace reelstore
