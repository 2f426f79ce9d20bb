#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/frame.h"
#include "base/json.h"

namespace reelstore {

/// The value of `key` in the extra data of a frame: of the last of its records that has one. "a.b" is a key of that
/// name or else b within a; a number stands for a place in a list ("a.0"). Null where there is none.
const Json* find_extra_value(const Frame& frame, std::string_view key);

/// How the times of frames are to be read.
struct TextTimes {
    bool absolute = false;  ///< seconds since the Unix epoch, not since something began
    std::string zone = "UTC";
    double start = std::numeric_limits<double>::quiet_NaN();  ///< what {seconds} counts from
};

/// A text with fields that each frame fills:
///
///     {index} {number}      as integers; {number:06}: formats are those of fmt (and of Python)
///     {time}                2026-11-20 10:21:30.796, or 00:12:04.120 where times are not absolute; {time:%H:%M:%S}:
///                           conversions as in base/time_format.h; {time:.3f}: as a number
///     {seconds}             from TextTimes::start on, with three digits; {seconds:.1f}
///     {extra.a} {extra.a.b} extra data, find_extra_value(); {extra.a:.1f}
///
/// {{ and }} are braces, \n ends a line and \\ is a backslash.
class TextTemplate {
public:
    /// `missing` stands for what a frame does not have. Throws Error(invalid_argument) for a field that there is not,
    /// with the nearest one there is, and for a format that cannot be.
    explicit TextTemplate(std::string_view text, std::string missing = "-");
    ~TextTemplate();
    TextTemplate(TextTemplate&&) noexcept;
    TextTemplate& operator=(TextTemplate&&) noexcept;

    /// The keys of the extra data it shows, in the order of its fields.
    const std::vector<std::string>& extra_keys() const { return extra_keys_; }
    bool shows_seconds() const;
    /// Whether some field shows a date, which only absolute times have.
    bool shows_date() const;
    /// The text for a frame. `extra` are the values for extra_keys(); null is missing.
    std::string text_of(const Frame& frame, const TextTimes& times, std::span<const Json* const> extra) const;

private:
    struct Field;
    std::vector<Field> fields_;
    std::vector<std::string> extra_keys_;
    std::string missing_;
};

}  // namespace reelstore
