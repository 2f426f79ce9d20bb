#include "codecs/foreign/header_bytes.h"

#include <string_view>

#include <fmt/format.h>

#include "base/error.h"
#include "base/utf8.h"

namespace reelstore {

namespace {

void append_utf8(std::string& text, uint32_t code) {
    if (code < 0x80) {
        text += static_cast<char>(code);
    } else if (code < 0x800) {
        text += static_cast<char>(0xC0 | code >> 6);
        text += static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        text += static_cast<char>(0xE0 | code >> 12);
        text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
        text += static_cast<char>(0x80 | (code & 0x3F));
    } else {
        text += static_cast<char>(0xF0 | code >> 18);
        text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
        text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
        text += static_cast<char>(0x80 | (code & 0x3F));
    }
}

std::string without_blanks_at_end(std::string text) {
    const size_t last = text.find_last_not_of(" \t\r\n");
    text.resize(last == std::string::npos ? 0 : last + 1);
    return text;
}

bool is_utf8(std::string_view text) {
    for (size_t position = 0; position < text.size();) {
        if (!next_code_point(text, position)) return false;
    }
    return true;
}

}  // namespace

std::string utf8_of_foreign_text(std::string_view text) {
    if (is_utf8(text)) return std::string(text);
    std::string result;
    for (const char character : text) append_utf8(result, static_cast<uint8_t>(character));
    return result;
}

std::span<const uint8_t> HeaderBytes::part(size_t offset, size_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("the header is cut off: it has {} bytes, {} are needed", bytes_.size(), offset + size));
    }
    return bytes_.subspan(offset, size);
}

uint64_t HeaderBytes::bits_at(size_t offset, size_t count) const {
    const std::span<const uint8_t> bytes = part(offset, count);
    uint64_t bits = 0;
    for (size_t i = 0; i < count; ++i) bits = bits << 8 | bytes[order_ == std::endian::big ? i : count - 1 - i];
    return bits;
}

std::string HeaderBytes::text(size_t offset, size_t size) const {
    const std::span<const uint8_t> bytes = part(offset, size);
    std::string text(bytes.begin(), bytes.end());
    text.resize(std::min(text.find('\0'), text.size()));
    return without_blanks_at_end(utf8_of_foreign_text(text));
}

std::string HeaderBytes::utf16_text(size_t offset, size_t size) const {
    std::string text;
    for (size_t i = 0; i + 1 < size; i += 2) {
        uint32_t code = at<uint16_t>(offset + i);
        if (code == 0) break;
        const bool has_second = code >= 0xD800 && code < 0xDC00 && i + 3 < size;
        const uint32_t second = has_second ? at<uint16_t>(offset + i + 2) : 0;
        if (second >= 0xDC00 && second < 0xE000) {
            code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
            i += 2;
        } else if (code >= 0xD800 && code < 0xE000) {
            code = 0xFFFD;
        }
        append_utf8(text, code);
    }
    return without_blanks_at_end(text);
}

}  // namespace reelstore
