#include "filters/color_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/text.h"
#include "filters/image_values.h"

namespace reelstore {

namespace {

struct NamedColor {
    std::string_view name;
    uint32_t rgb;
};

constexpr std::array<NamedColor, 8> kLetters{{{"k", 0x000000},
                                              {"w", 0xffffff},
                                              {"r", 0xff0000},
                                              {"g", 0x008000},
                                              {"b", 0x0000ff},
                                              {"c", 0x00bfbf},
                                              {"m", 0xbf00bf},
                                              {"y", 0xbfbf00}}};

// CSS Color Module Level 4, section 6.1.
constexpr std::array<NamedColor, 148> kNames{{{"aliceblue", 0xf0f8ff},
                                              {"antiquewhite", 0xfaebd7},
                                              {"aqua", 0x00ffff},
                                              {"aquamarine", 0x7fffd4},
                                              {"azure", 0xf0ffff},
                                              {"beige", 0xf5f5dc},
                                              {"bisque", 0xffe4c4},
                                              {"black", 0x000000},
                                              {"blanchedalmond", 0xffebcd},
                                              {"blue", 0x0000ff},
                                              {"blueviolet", 0x8a2be2},
                                              {"brown", 0xa52a2a},
                                              {"burlywood", 0xdeb887},
                                              {"cadetblue", 0x5f9ea0},
                                              {"chartreuse", 0x7fff00},
                                              {"chocolate", 0xd2691e},
                                              {"coral", 0xff7f50},
                                              {"cornflowerblue", 0x6495ed},
                                              {"cornsilk", 0xfff8dc},
                                              {"crimson", 0xdc143c},
                                              {"cyan", 0x00ffff},
                                              {"darkblue", 0x00008b},
                                              {"darkcyan", 0x008b8b},
                                              {"darkgoldenrod", 0xb8860b},
                                              {"darkgray", 0xa9a9a9},
                                              {"darkgreen", 0x006400},
                                              {"darkgrey", 0xa9a9a9},
                                              {"darkkhaki", 0xbdb76b},
                                              {"darkmagenta", 0x8b008b},
                                              {"darkolivegreen", 0x556b2f},
                                              {"darkorange", 0xff8c00},
                                              {"darkorchid", 0x9932cc},
                                              {"darkred", 0x8b0000},
                                              {"darksalmon", 0xe9967a},
                                              {"darkseagreen", 0x8fbc8f},
                                              {"darkslateblue", 0x483d8b},
                                              {"darkslategray", 0x2f4f4f},
                                              {"darkslategrey", 0x2f4f4f},
                                              {"darkturquoise", 0x00ced1},
                                              {"darkviolet", 0x9400d3},
                                              {"deeppink", 0xff1493},
                                              {"deepskyblue", 0x00bfff},
                                              {"dimgray", 0x696969},
                                              {"dimgrey", 0x696969},
                                              {"dodgerblue", 0x1e90ff},
                                              {"firebrick", 0xb22222},
                                              {"floralwhite", 0xfffaf0},
                                              {"forestgreen", 0x228b22},
                                              {"fuchsia", 0xff00ff},
                                              {"gainsboro", 0xdcdcdc},
                                              {"ghostwhite", 0xf8f8ff},
                                              {"gold", 0xffd700},
                                              {"goldenrod", 0xdaa520},
                                              {"gray", 0x808080},
                                              {"green", 0x008000},
                                              {"greenyellow", 0xadff2f},
                                              {"grey", 0x808080},
                                              {"honeydew", 0xf0fff0},
                                              {"hotpink", 0xff69b4},
                                              {"indianred", 0xcd5c5c},
                                              {"indigo", 0x4b0082},
                                              {"ivory", 0xfffff0},
                                              {"khaki", 0xf0e68c},
                                              {"lavender", 0xe6e6fa},
                                              {"lavenderblush", 0xfff0f5},
                                              {"lawngreen", 0x7cfc00},
                                              {"lemonchiffon", 0xfffacd},
                                              {"lightblue", 0xadd8e6},
                                              {"lightcoral", 0xf08080},
                                              {"lightcyan", 0xe0ffff},
                                              {"lightgoldenrodyellow", 0xfafad2},
                                              {"lightgray", 0xd3d3d3},
                                              {"lightgreen", 0x90ee90},
                                              {"lightgrey", 0xd3d3d3},
                                              {"lightpink", 0xffb6c1},
                                              {"lightsalmon", 0xffa07a},
                                              {"lightseagreen", 0x20b2aa},
                                              {"lightskyblue", 0x87cefa},
                                              {"lightslategray", 0x778899},
                                              {"lightslategrey", 0x778899},
                                              {"lightsteelblue", 0xb0c4de},
                                              {"lightyellow", 0xffffe0},
                                              {"lime", 0x00ff00},
                                              {"limegreen", 0x32cd32},
                                              {"linen", 0xfaf0e6},
                                              {"magenta", 0xff00ff},
                                              {"maroon", 0x800000},
                                              {"mediumaquamarine", 0x66cdaa},
                                              {"mediumblue", 0x0000cd},
                                              {"mediumorchid", 0xba55d3},
                                              {"mediumpurple", 0x9370db},
                                              {"mediumseagreen", 0x3cb371},
                                              {"mediumslateblue", 0x7b68ee},
                                              {"mediumspringgreen", 0x00fa9a},
                                              {"mediumturquoise", 0x48d1cc},
                                              {"mediumvioletred", 0xc71585},
                                              {"midnightblue", 0x191970},
                                              {"mintcream", 0xf5fffa},
                                              {"mistyrose", 0xffe4e1},
                                              {"moccasin", 0xffe4b5},
                                              {"navajowhite", 0xffdead},
                                              {"navy", 0x000080},
                                              {"oldlace", 0xfdf5e6},
                                              {"olive", 0x808000},
                                              {"olivedrab", 0x6b8e23},
                                              {"orange", 0xffa500},
                                              {"orangered", 0xff4500},
                                              {"orchid", 0xda70d6},
                                              {"palegoldenrod", 0xeee8aa},
                                              {"palegreen", 0x98fb98},
                                              {"paleturquoise", 0xafeeee},
                                              {"palevioletred", 0xdb7093},
                                              {"papayawhip", 0xffefd5},
                                              {"peachpuff", 0xffdab9},
                                              {"peru", 0xcd853f},
                                              {"pink", 0xffc0cb},
                                              {"plum", 0xdda0dd},
                                              {"powderblue", 0xb0e0e6},
                                              {"purple", 0x800080},
                                              {"rebeccapurple", 0x663399},
                                              {"red", 0xff0000},
                                              {"rosybrown", 0xbc8f8f},
                                              {"royalblue", 0x4169e1},
                                              {"saddlebrown", 0x8b4513},
                                              {"salmon", 0xfa8072},
                                              {"sandybrown", 0xf4a460},
                                              {"seagreen", 0x2e8b57},
                                              {"seashell", 0xfff5ee},
                                              {"sienna", 0xa0522d},
                                              {"silver", 0xc0c0c0},
                                              {"skyblue", 0x87ceeb},
                                              {"slateblue", 0x6a5acd},
                                              {"slategray", 0x708090},
                                              {"slategrey", 0x708090},
                                              {"snow", 0xfffafa},
                                              {"springgreen", 0x00ff7f},
                                              {"steelblue", 0x4682b4},
                                              {"tan", 0xd2b48c},
                                              {"teal", 0x008080},
                                              {"thistle", 0xd8bfd8},
                                              {"tomato", 0xff6347},
                                              {"turquoise", 0x40e0d0},
                                              {"violet", 0xee82ee},
                                              {"wheat", 0xf5deb3},
                                              {"white", 0xffffff},
                                              {"whitesmoke", 0xf5f5f5},
                                              {"yellow", 0xffff00},
                                              {"yellowgreen", 0x9acd32}}};

Color of_rgb(uint32_t rgb) {
    return {static_cast<uint8_t>(rgb >> 16), static_cast<uint8_t>(rgb >> 8), static_cast<uint8_t>(rgb)};
}

/// The whole of `text` as a number from 0 to `largest`.
std::optional<uint32_t> whole_number(std::string_view text, int base, uint32_t largest) {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size() || value > largest) return std::nullopt;
    return value;
}

std::optional<Color> of_digits(std::string_view digits) {
    constexpr int kHexadecimal = 16;
    const std::optional<uint32_t> value = whole_number(digits, kHexadecimal, 0xffffff);
    if (!value) return std::nullopt;
    if (digits.size() == 6) return of_rgb(*value);
    if (digits.size() != 3) return std::nullopt;
    const auto twice = [](uint32_t digit) { return static_cast<uint8_t>((digit & 0xf) * 0x11); };
    return Color{twice(*value >> 8), twice(*value >> 4), twice(*value)};
}

/// "255:0:0", "255,0,0" or a gray "128".
std::optional<Color> of_numbers(std::string_view text) {
    std::vector<uint8_t> values;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find_first_of(":,", begin), text.size());
        const std::optional<uint32_t> value = whole_number(text.substr(begin, end - begin), 10, 255);
        if (!value) return std::nullopt;
        values.push_back(static_cast<uint8_t>(*value));
        begin = end + 1;
    }
    if (values.size() == 1) return Color{values[0], values[0], values[0]};
    if (values.size() == 3) return Color{values[0], values[1], values[2]};
    return std::nullopt;
}

std::optional<Color> of_name(std::string_view name) {
    const std::string wanted = lower_case(name);
    const auto has_name = [&](const NamedColor& color) { return color.name == wanted; };
    if (const auto* found = std::find_if(kNames.begin(), kNames.end(), has_name); found != kNames.end())
        return of_rgb(found->rgb);
    if (const auto* found = std::find_if(kLetters.begin(), kLetters.end(), has_name); found != kLetters.end())
        return of_rgb(found->rgb);
    return std::nullopt;
}

/// Why `text` is no colour.
std::string refusal(std::string_view text) {
    std::vector<std::string> names;
    for (const NamedColor& color : kNames) names.emplace_back(color.name);
    const std::string nearest = nearest_name(text, names);
    return fmt::format(
        "is no colour{}; colours are CSS's names (black, orange, lightgray), #rrggbb, 'red:green:blue' and gray, each "
        "from 0 to 255",
        nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest));
}

std::optional<Color> find_color(std::string_view text) {
    if (text.starts_with('#')) return of_digits(text.substr(1));
    if (const std::optional<Color> color = of_name(text)) return color;
    return of_numbers(text);
}

}  // namespace

Color parse_color(std::string_view text) {
    if (const std::optional<Color> color = find_color(text)) return *color;
    throw Error(ErrorCode::invalid_argument, fmt::format("\"{}\" {}", text, refusal(text)));
}

std::optional<Color> color_argument(const FilterArguments& arguments, const std::string& name) {
    const std::optional<std::string> text = arguments.text(name);
    if (!text) return std::nullopt;
    if (const std::optional<Color> color = find_color(*text)) return color;
    arguments.refuse(name, refusal(*text));
}

Color color_argument(const FilterArguments& arguments, const std::string& name, const Color& fallback) {
    return color_argument(arguments, name).value_or(fallback);
}

cv::Scalar pixel_of(const Color& color, const ImageType& type) {
    const double white = white_of(type.depth);
    const bool integer = type.depth != CV_16F && type.depth != CV_32F && type.depth != CV_64F;
    const auto value = [&](double of_255) {
        const double in_type = of_255 / 255 * white;
        return integer ? std::round(in_type) : in_type;
    };
    switch (type.channels) {
        case 1:
            return {value(0.299 * color.red + 0.587 * color.green + 0.114 * color.blue)};
        case 3:
            return {value(color.blue), value(color.green), value(color.red)};
        case 4:
            return {value(color.blue), value(color.green), value(color.red), white};
        default:
            throw Error(ErrorCode::wrong_type,
                        fmt::format("{} has no colours: only 1, 3 or 4 channels have", type.text()));
    }
}

}  // namespace reelstore
