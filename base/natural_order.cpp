#include "base/natural_order.h"

#include "base/text.h"

namespace reelstore {

namespace {

/// The digits at the beginning of `text`, which are taken off it, without leading zeros.
std::string_view take_number(std::string_view& text) {
    size_t end = 0;
    while (end < text.size() && is_digit(text[end])) ++end;
    std::string_view number = text.substr(0, end);
    text.remove_prefix(end);
    while (number.size() > 1 && number.front() == '0') number.remove_prefix(1);
    return number;
}

}  // namespace

bool natural_less(std::string_view left, std::string_view right) {
    std::string_view rest_left = left;
    std::string_view rest_right = right;
    while (!rest_left.empty() && !rest_right.empty()) {
        if (is_digit(rest_left.front()) && is_digit(rest_right.front())) {
            const std::string_view number_left = take_number(rest_left);
            const std::string_view number_right = take_number(rest_right);
            if (number_left.size() != number_right.size()) return number_left.size() < number_right.size();
            if (number_left != number_right) return number_left < number_right;
            continue;
        }
        const auto byte_left = static_cast<unsigned char>(rest_left.front());
        const auto byte_right = static_cast<unsigned char>(rest_right.front());
        if (byte_left != byte_right) return byte_left < byte_right;
        rest_left.remove_prefix(1);
        rest_right.remove_prefix(1);
    }
    if (rest_left.empty() != rest_right.empty()) return rest_left.empty();
    return left < right;
}

}  // namespace reelstore
