#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

namespace reelstore {

/// Numbers and texts at fixed places of a foreign file's header. It views bytes of others, which must outlive it.
/// Every member throws Error(corrupt), without a path, where the header ends before what is asked for.
class HeaderBytes {
public:
    explicit HeaderBytes(std::span<const uint8_t> bytes, std::endian order = std::endian::little)
        : bytes_(bytes), order_(order) {}

    /// The same bytes with numbers in this order.
    HeaderBytes in_order(std::endian order) const { return HeaderBytes(bytes_, order); }
    std::endian order() const { return order_; }
    size_t size() const { return bytes_.size(); }

    /// The integer or IEEE 754 number at `offset`.
    template <typename Number>
    Number at(size_t offset) const {
        static_assert(std::is_arithmetic_v<Number>);
        const uint64_t bits = bits_at(offset, sizeof(Number));
        if constexpr (std::is_floating_point_v<Number>) {
            using Bits = std::conditional_t<sizeof(Number) == 4, uint32_t, uint64_t>;
            return std::bit_cast<Number>(static_cast<Bits>(bits));
        } else {
            return static_cast<Number>(bits);
        }
    }

    /// Text in a field of `size` bytes: up to the first NUL, without blanks at its end. Bytes that are no UTF-8 are
    /// taken for Latin-1, so that the result always is UTF-8.
    std::string text(size_t offset, size_t size) const;
    /// The same for UTF-16 in the order of the numbers; `size` in bytes.
    std::string utf16_text(size_t offset, size_t size) const;
    /// A part of the header.
    std::span<const uint8_t> part(size_t offset, size_t size) const;

private:
    uint64_t bits_at(size_t offset, size_t count) const;

    std::span<const uint8_t> bytes_;
    std::endian order_;
};

/// Text of a foreign file as UTF-8: as it is where it is that, and else taken for Latin-1.
std::string utf8_of_foreign_text(std::string_view text);

}  // namespace reelstore
