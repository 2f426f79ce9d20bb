#include "codecs/foreign/gif_lzw.h"

#include <algorithm>
#include <array>

namespace reelstore {

namespace {

constexpr int kMostBits = 12;
constexpr uint32_t kMostCodes = 1 << kMostBits;
constexpr size_t kLongestBlock = 255;

/// Codes of any length as bytes in blocks.
class CodeWriter {
public:
    explicit CodeWriter(std::vector<uint8_t>& bytes) : bytes_(bytes) { begin_block(); }

    void add(uint32_t code, int bits) {
        held_ |= code << held_bits_;
        for (held_bits_ += bits; held_bits_ >= 8; held_bits_ -= 8) {
            add_byte(static_cast<uint8_t>(held_));
            held_ >>= 8;
        }
    }
    /// With the empty block that ends them.
    void finish() {
        if (held_bits_ > 0) add_byte(static_cast<uint8_t>(held_));
        if (block_size() > 0) {
            bytes_[block_] = static_cast<uint8_t>(block_size());
            bytes_.push_back(0);
        }
    }

private:
    size_t block_size() const { return bytes_.size() - block_ - 1; }
    void begin_block() {
        block_ = bytes_.size();
        bytes_.push_back(0);
    }
    void add_byte(uint8_t byte) {
        if (block_size() == kLongestBlock) {
            bytes_[block_] = kLongestBlock;
            begin_block();
        }
        bytes_.push_back(byte);
    }

    std::vector<uint8_t>& bytes_;
    size_t block_ = 0;
    uint32_t held_ = 0;
    int held_bits_ = 0;
};

/// Codes of strings, by the code of all but the last index and that index.
class StringTable {
public:
    StringTable() { clear(); }
    void clear() { keys_.fill(kEmpty); }

    /// The place of the string, or the free one where it belongs.
    size_t find(uint32_t prefix, uint8_t index) const {
        const uint32_t key = prefix << 8 | index;
        size_t place = (key * 2654435761U) >> (32 - kBits);
        while (keys_[place] != kEmpty && keys_[place] != key) place = (place + 1) % kSize;
        return place;
    }
    bool has(size_t place) const { return keys_[place] != kEmpty; }
    uint32_t code(size_t place) const { return codes_[place]; }
    void set(size_t place, uint32_t prefix, uint8_t index, uint32_t code) {
        keys_[place] = prefix << 8 | index;
        codes_[place] = static_cast<uint16_t>(code);
    }

private:
    static constexpr int kBits = 14;
    static constexpr size_t kSize = size_t{1} << kBits;
    static constexpr uint32_t kEmpty = 0xFFFFFFFF;

    std::array<uint32_t, kSize> keys_;
    std::array<uint16_t, kSize> codes_;
};

}  // namespace

std::vector<uint8_t> decode_gif_indices(std::span<const uint8_t> codes, int minimum_bits, size_t most) {
    const uint32_t clear = 1U << minimum_bits;
    const uint32_t end = clear + 1;
    // Every string stands in what has been decoded: where the code before it was written, one index longer.
    std::array<size_t, kMostCodes> starts;
    std::array<size_t, kMostCodes> lengths;
    std::vector<uint8_t> indices(most);
    size_t size = 0;
    uint32_t next = clear + 2;
    int bits = minimum_bits + 1;
    bool is_first = true;
    size_t last_start = 0;
    size_t last_length = 0;
    uint64_t held = 0;
    int held_bits = 0;
    size_t place = 0;
    while (size < most) {
        while (held_bits < bits && place < codes.size()) {
            held |= uint64_t{codes[place++]} << held_bits;
            held_bits += 8;
        }
        if (held_bits < bits) break;
        const auto code = static_cast<uint32_t>(held & ((uint64_t{1} << bits) - 1));
        held >>= bits;
        held_bits -= bits;
        if (code == end) break;
        if (code == clear) {
            next = clear + 2;
            bits = minimum_bits + 1;
            is_first = true;
            continue;
        }
        const size_t start = size;
        if (code < clear) {
            indices[size++] = static_cast<uint8_t>(code);
        } else {
            if (is_first || code > next || (code == next && next == kMostCodes)) break;
            const size_t from = code == next ? last_start : starts[code];
            const size_t length = std::min(code == next ? last_length + 1 : lengths[code], most - size);
            // The string may reach into itself.
            for (size_t i = 0; i < length; ++i) indices[size + i] = indices[from + i];
            size += length;
        }
        if (!is_first && next < kMostCodes) {
            starts[next] = last_start;
            lengths[next] = last_length + 1;
            ++next;
            if (next == 1U << bits && bits < kMostBits) ++bits;
        }
        is_first = false;
        last_start = start;
        last_length = size - start;
    }
    indices.resize(size);
    return indices;
}

void append_gif_indices(std::vector<uint8_t>& bytes, std::span<const uint8_t> indices, int minimum_bits) {
    const uint32_t clear = 1U << minimum_bits;
    bytes.push_back(static_cast<uint8_t>(minimum_bits));
    CodeWriter writer(bytes);
    StringTable table;
    uint32_t next = clear + 2;
    int bits = minimum_bits + 1;
    writer.add(clear, bits);
    // A reader learns of every string one code later.
    const auto count_string = [&] {
        if (next == 1U << bits && bits < kMostBits) ++bits;
        ++next;
    };
    if (!indices.empty()) {
        uint32_t prefix = indices[0];
        for (const uint8_t index : indices.subspan(1)) {
            const size_t place = table.find(prefix, index);
            if (table.has(place)) {
                prefix = table.code(place);
                continue;
            }
            writer.add(prefix, bits);
            table.set(place, prefix, index, next);
            count_string();
            if (next == kMostCodes) {
                writer.add(clear, bits);
                table.clear();
                next = clear + 2;
                bits = minimum_bits + 1;
            }
            prefix = index;
        }
        writer.add(prefix, bits);
        count_string();
    }
    writer.add(clear + 1, bits);
    writer.finish();
}

}  // namespace reelstore
