#include "filters/text_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/text.h"
#include "base/time_format.h"

namespace reelstore {

namespace {

constexpr std::string_view kExtra = "extra.";

/// The format of one value, as fmt has them, for whatever type the value turns out to have.
class ValueFormat {
public:
    /// What it must be able to show.
    enum class Shown { integers, numbers, anything };

    ValueFormat() = default;
    ValueFormat(std::string_view spec, Shown shown) : format_(fmt::format("{{:{}}}", spec)) {
        constexpr int kWidest = 200;
        if (spec.find_first_of("{}") != std::string_view::npos) refuse(spec, "must not hold braces");
        int number = 0;
        for (const char character : spec) {
            number = is_digit(character) ? number * 10 + (character - '0') : 0;
            if (number > kWidest) refuse(spec, fmt::format("asks for more than {} characters", kWidest));
        }
        takes_integers_ = takes(int64_t{1});
        takes_numbers_ = takes(1.5);
        takes_text_ = takes(std::string_view("a"));
        const bool good = takes_integers_ || takes_numbers_ || (shown == Shown::anything && takes_text_);
        if (!good) refuse(spec, "is no format of such a value");
    }

    std::string of(int64_t value) const {
        return takes_integers_  ? print(value)
               : takes_numbers_ ? print(static_cast<double>(value))
                                : print(std::string_view(fmt::to_string(value)));
    }
    std::string of(double value) const {
        if (takes_numbers_) return print(value);
        constexpr double kFarthest = 9e18;
        if (takes_integers_ && std::abs(value) < kFarthest) return print(static_cast<int64_t>(std::llrint(value)));
        return takes_text_ ? print(std::string_view(fmt::to_string(value))) : fmt::to_string(value);
    }
    std::string of(std::string_view value) const { return takes_text_ ? print(value) : std::string(value); }
    std::string of(const Json& value) const {
        if (value.is_string()) return of(std::string_view(value.get_ref<const std::string&>()));
        if (value.is_number_float()) return of(value.get<double>());
        if (value.is_number_integer()) {
            const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX};
            return fits ? of(value.get<int64_t>()) : of(value.get<double>());
        }
        return of(std::string_view(value.dump(-1, ' ', false, Json::error_handler_t::replace)));
    }

private:
    template <typename Value>
    std::string print(const Value& value) const {
        return fmt::vformat(format_, fmt::make_format_args(value));
    }

    template <typename Value>
    bool takes(const Value& value) const {
        try {
            return !print(value).empty();
        } catch (const fmt::format_error&) {
            return false;
        }
    }

    [[noreturn]] static void refuse(std::string_view spec, std::string_view reason) {
        throw Error(ErrorCode::invalid_argument, fmt::format("the format \"{}\" {}", spec, reason));
    }

    std::string format_ = "{}";
    bool takes_integers_ = true;
    bool takes_numbers_ = true;
    bool takes_text_ = true;
};

const Json* within(const Json& value, std::string_view key) {
    if (value.is_object()) {
        if (const auto found = value.find(std::string(key)); found != value.end()) return &*found;
    }
    if (value.is_array()) {
        size_t place = 0;
        const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), place);
        if (error == std::errc() && end == key.data() + key.size() && place < value.size()) return &value[place];
    }
    for (size_t dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.', dot + 1)) {
        const Json* const part = within(value, key.substr(0, dot));
        if (const Json* const found = part ? within(*part, key.substr(dot + 1)) : nullptr) return found;
    }
    return nullptr;
}

}  // namespace

const Json* find_extra_value(const Frame& frame, std::string_view key) {
    if (!frame.extra_data) return nullptr;
    for (auto record = frame.extra_data->rbegin(); record != frame.extra_data->rend(); ++record) {
        const Json* const found = within(*record, key);
        if (found && !found->is_null()) return found;
    }
    return nullptr;
}

struct TextTemplate::Field {
    enum class Kind { none, index, number, time, seconds, extra };

    std::string text;  // as it stands, before the field
    Kind kind = Kind::none;
    ValueFormat format;
    bool as_number = false;  // a time
    TimeFormat date{"%F %T.%3f"};
    TimeFormat duration{"%T.%3f"};
    bool needs_date = false;  // a time whose format has one
    size_t extra = 0;         // place among the keys
};

TextTemplate::~TextTemplate() = default;
TextTemplate::TextTemplate(TextTemplate&&) noexcept = default;
TextTemplate& TextTemplate::operator=(TextTemplate&&) noexcept = default;

TextTemplate::TextTemplate(std::string_view text, std::string missing) : missing_(std::move(missing)) {
    const auto make_field = [this](std::string_view written) {
        const size_t colon = std::min(written.find(':'), written.size());
        const std::string name(written.substr(0, colon));
        const std::string_view spec = written.substr(std::min(colon + 1, written.size()));
        Field field;
        if (name == "index" || name == "number") {
            field.kind = name == "index" ? Field::Kind::index : Field::Kind::number;
            field.format = ValueFormat(spec, ValueFormat::Shown::integers);
        } else if (name == "time") {
            field.kind = Field::Kind::time;
            field.as_number = !spec.empty() && spec.find('%') == std::string_view::npos;
            if (field.as_number) {
                field.format = ValueFormat(spec, ValueFormat::Shown::numbers);
            } else if (!spec.empty()) {
                field.date = TimeFormat(spec);
                field.duration = field.date;
                field.needs_date = field.date.has_date();
            }
        } else if (name == "seconds") {
            field.kind = Field::Kind::seconds;
            field.format = ValueFormat(spec.empty() ? ".3f" : spec, ValueFormat::Shown::numbers);
        } else if (name.starts_with(kExtra) && name.size() > kExtra.size()) {
            field.kind = Field::Kind::extra;
            field.format = ValueFormat(spec, ValueFormat::Shown::anything);
            field.extra = extra_keys_.size();
            extra_keys_.push_back(name.substr(kExtra.size()));
        } else {
            const std::vector<std::string> names{"index", "number", "time", "seconds", "extra.KEY"};
            const std::string nearest = nearest_name(name, names);
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("there is no field {{{}}}{}; there are {{{}}}; {{{{ and }}}} are braces", name,
                                    nearest.empty() ? "" : fmt::format(", did you mean {{{}}}?", nearest),
                                    fmt::join(names, "} {")));
        }
        return field;
    };
    std::string before;
    for (size_t i = 0; i < text.size(); ++i) {
        const char next = i + 1 < text.size() ? text[i + 1] : '\0';
        if (text[i] == '\\' && (next == 'n' || next == '\\')) {
            before += next == 'n' ? '\n' : '\\';
            ++i;
        } else if ((text[i] == '{' || text[i] == '}') && next == text[i]) {
            before += text[i++];
        } else if (text[i] == '{') {
            const size_t end = text.find('}', i);
            if (end == std::string_view::npos)
                throw Error(ErrorCode::invalid_argument, fmt::format("a field has no end in \"{}\"", text));
            Field field = make_field(text.substr(i + 1, end - i - 1));
            field.text = std::exchange(before, {});
            fields_.push_back(std::move(field));
            i = end;
        } else if (text[i] == '}') {
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("there is a }} without its {{ in \"{}\"; }}}} is a brace", text));
        } else {
            before += text[i];
        }
    }
    if (!before.empty()) {
        fields_.emplace_back();
        fields_.back().text = std::move(before);
    }
}

bool TextTemplate::shows_seconds() const {
    for (const Field& field : fields_)
        if (field.kind == Field::Kind::seconds) return true;
    return false;
}

bool TextTemplate::shows_date() const {
    for (const Field& field : fields_)
        if (field.needs_date) return true;
    return false;
}

std::string TextTemplate::text_of(const Frame& frame, const TextTimes& times,
                                  std::span<const Json* const> extra) const {
    const auto value_of = [&](const Field& field) -> std::string {
        switch (field.kind) {
            case Field::Kind::index:
                return field.format.of(frame.index);
            case Field::Kind::number:
                return field.format.of(frame.number);
            case Field::Kind::time:
                if (!std::isfinite(frame.time)) return {};
                if (field.as_number) return field.format.of(frame.time);
                if (times.absolute) return field.date.of_date(frame.time, times.zone);
                return field.needs_date ? std::string() : field.duration.of_duration(frame.time);
            case Field::Kind::seconds: {
                const double seconds = frame.time - times.start;
                return std::isfinite(seconds) ? field.format.of(seconds) : std::string();
            }
            default: {
                const Json* const value = extra[field.extra];
                return value ? field.format.of(*value) : std::string();
            }
        }
    };
    std::string text;
    for (const Field& field : fields_) {
        text += field.text;
        if (field.kind == Field::Kind::none) continue;
        const std::string value = value_of(field);
        text += value.empty() ? missing_ : value;
    }
    return text;
}

}  // namespace reelstore
