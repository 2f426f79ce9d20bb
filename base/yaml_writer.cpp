#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "base/yaml_scalar.h"

namespace reelstore {

namespace {

/// Longer keys are written with a question mark: readers look no further than 1024 characters for the colon.
constexpr size_t kLongestSimpleKey = 500;

[[noreturn]] void refuse(const std::string& message) {
    throw Error(ErrorCode::invalid_argument, "cannot write as YAML: " + message);
}

bool is_letter(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// Whether no reader of YAML 1.1 or 1.2 takes this for anything but the same text.
bool can_be_plain(std::string_view text) {
    if (text.empty() || text.back() == ' ') return false;
    if (!is_letter(text[0]) && text[0] != '_' && text[0] != '/' && text[0] != '.') return false;
    for (char c : text) {
        if (!is_letter(c) && !is_digit(c) && std::string_view("_./ -").find(c) == std::string_view::npos) return false;
    }
    // YAML 1.2 has floats such as .5e3, and three points end a document.
    if (text[0] == '.' && (text.size() == 1 || is_digit(text[1]) || text.starts_with("..."))) return false;
    // Booleans of YAML 1.1 that PyYAML does not know.
    if (text.size() == 1 && std::string_view("yYnN").find(text[0]) != std::string_view::npos) return false;
    return resolve_plain_scalar(text).is_string();
}

bool must_be_escaped(char32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe ||
           c == 0xffff;
}

void append_escaped(std::string& out, char32_t c) {
    constexpr const char* kHex = "0123456789ABCDEF";
    out += c < 0x100 ? "\\x" : "\\u";
    for (int shift = c < 0x100 ? 4 : 12; shift >= 0; shift -= 4) out += kHex[c >> shift & 0xf];
}

std::string double_quoted(std::string_view text) {
    std::string out = "\"";
    for (size_t position = 0; position < text.size();) {
        size_t start = position;
        std::optional<char32_t> c = next_code_point(text, position);
        if (!c) refuse("text is not valid UTF-8");
        switch (*c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                if (must_be_escaped(*c)) {
                    append_escaped(out, *c);
                } else {
                    out += text.substr(start, position - start);
                }
        }
    }
    return out + '"';
}

/// The shortest decimal that reads back as the same number, with a point and a signed exponent, as YAML 1.1 wants it.
std::string float_text(double value) {
    if (std::isnan(value)) return ".nan";
    if (std::isinf(value)) return value < 0 ? "-.inf" : ".inf";
    constexpr double kFirstScientific = 1e16;
    constexpr double kFirstFixed = 1e-4;
    double size = std::fabs(value);
    bool scientific = size != 0 && (size < kFirstFixed || size >= kFirstScientific);
    char buffer[64];
    auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
    std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr);
    if (text.find('.') == std::string::npos) text.insert(std::min(text.find('e'), text.size()), ".0");
    return text;
}

class Writer {
public:
    std::string write(const Json& value) {
        if (is_inline(value)) return inline_text(value) + "\n";
        write_block(value, 0, 0);
        return std::move(out_);
    }

private:
    static bool is_inline(const Json& value) { return !value.is_structured() || value.empty(); }

    static std::string inline_text(const Json& value) {
        switch (value.type()) {
            case Json::value_t::null:
                return "null";
            case Json::value_t::boolean:
                return value.get<bool>() ? "true" : "false";
            case Json::value_t::number_integer:
                return std::to_string(value.get<int64_t>());
            case Json::value_t::number_unsigned:
                return std::to_string(value.get<uint64_t>());
            case Json::value_t::number_float:
                return float_text(value.get<double>());
            case Json::value_t::string:
                return string_text(value.get_ref<const std::string&>());
            case Json::value_t::array:
                return "[]";
            case Json::value_t::object:
                return "{}";
            default:
                refuse("binary values have no place in it");
        }
    }

    static std::string string_text(const std::string& text) { return can_be_plain(text) ? text : double_quoted(text); }

    /// Writes a container that is not empty. The first line continues the current one, which stands at `indent`.
    void write_block(const Json& value, size_t indent, int depth) {
        if (depth >= YamlLimits{}.depth) refuse("it is nested too deeply");
        bool first = true;
        for (auto entry = value.begin(); entry != value.end(); ++entry, first = false) {
            if (!first) out_.append(indent, ' ');
            if (value.is_array()) {
                out_ += '-';
                write_item(*entry, indent, depth);
            } else {
                write_key(entry.key(), indent);
                write_member(*entry, indent, depth);
            }
        }
    }

    void write_key(const std::string& key, size_t indent) {
        std::string text = string_text(key);
        if (text.size() <= kLongestSimpleKey) {
            out_ += text;
        } else {
            out_ += "? " + text + "\n";
            out_.append(indent, ' ');
        }
        out_ += ':';
    }

    void write_item(const Json& value, size_t indent, int depth) {
        out_ += ' ';
        if (is_inline(value)) {
            out_ += inline_text(value) + "\n";
        } else {
            write_block(value, indent + 2, depth + 1);
        }
    }

    void write_member(const Json& value, size_t indent, int depth) {
        if (is_inline(value)) {
            out_ += " " + inline_text(value) + "\n";
            return;
        }
        // The dashes of a list stand under its key, as PyYAML writes them.
        size_t inner = value.is_array() ? indent : indent + 2;
        out_ += '\n';
        out_.append(inner, ' ');
        write_block(value, inner, depth + 1);
    }

    std::string out_;
};

}  // namespace

std::string to_yaml(const Json& value) {
    return Writer().write(value);
}

}  // namespace reelstore
