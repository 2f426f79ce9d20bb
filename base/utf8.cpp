#include "base/utf8.h"

#include <cstdint>

namespace reelstore {

std::optional<char32_t> next_code_point(std::string_view text, size_t& position) {
    if (position >= text.size()) return std::nullopt;
    auto lead = static_cast<uint8_t>(text[position]);
    size_t length = 1;
    char32_t point = lead;
    char32_t smallest = 0;
    if (lead >= 0xf0) {
        length = 4;
        point = lead & 0x07;
        smallest = 0x10000;
    } else if (lead >= 0xe0) {
        length = 3;
        point = lead & 0x0f;
        smallest = 0x800;
    } else if (lead >= 0x80) {
        length = 2;
        point = lead & 0x1f;
        smallest = 0x80;
    }
    bool valid = (lead < 0x80 || lead >= 0xc0) && lead < 0xf8 && text.size() - position >= length;
    for (size_t i = 1; valid && i < length; ++i) {
        auto byte = static_cast<uint8_t>(text[position + i]);
        valid = (byte & 0xc0) == 0x80;
        point = point << 6 | (byte & 0x3f);
    }
    bool surrogate = point >= 0xd800 && point < 0xe000;
    if (!valid || point < smallest || point > 0x10ffff || surrogate) return std::nullopt;
    position += length;
    return point;
}

}  // namespace reelstore
