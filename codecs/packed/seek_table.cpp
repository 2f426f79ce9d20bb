#include "codecs/packed/seek_table.h"

#include <cstring>

namespace reelstore {

namespace {

constexpr uint32_t kSkippableMagic = 0x184D2A5E;
constexpr uint32_t kSeekableMagic = 0x8F92EAB1;
constexpr size_t kFrameHeader = 8;
constexpr size_t kFooter = 9;
constexpr size_t kEntryWithChecksum = 12;
constexpr size_t kEntryWithout = 8;
constexpr uint8_t kHasChecksums = 0x80;
constexpr uint8_t kReservedBits = 0x7c;

void append(std::vector<uint8_t>& bytes, uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
}

uint32_t load(const uint8_t* bytes) {
    uint32_t value = 0;
    for (int i = 3; i >= 0; --i) value = value << 8 | bytes[i];
    return value;
}

}  // namespace

std::vector<uint8_t> make_seek_table(std::span<const SeekEntry> entries, bool checksums) {
    const size_t entry_bytes = checksums ? kEntryWithChecksum : kEntryWithout;
    std::vector<uint8_t> bytes;
    bytes.reserve(kFrameHeader + entries.size() * entry_bytes + kFooter);
    append(bytes, kSkippableMagic);
    append(bytes, static_cast<uint32_t>(entries.size() * entry_bytes + kFooter));
    for (const SeekEntry& entry : entries) {
        append(bytes, entry.bytes);
        append(bytes, entry.size);
        if (checksums) append(bytes, entry.checksum);
    }
    append(bytes, static_cast<uint32_t>(entries.size()));
    bytes.push_back(checksums ? kHasChecksums : 0);
    append(bytes, kSeekableMagic);
    return bytes;
}

std::optional<std::vector<SeekEntry>> read_seek_table(File& file) {
    const uint64_t size = file.size();
    uint8_t footer[kFooter];
    if (size < kFrameHeader + kFooter || file.read_at(footer, kFooter, size - kFooter) != kFooter ||
        load(footer + 5) != kSeekableMagic || (footer[4] & kReservedBits) != 0) {
        return std::nullopt;
    }
    const uint64_t count = load(footer);
    const bool checksums = (footer[4] & kHasChecksums) != 0;
    const size_t entry_bytes = checksums ? kEntryWithChecksum : kEntryWithout;
    const uint64_t content = count * entry_bytes + kFooter;
    // The product is bounded by the file before anything is allocated.
    if (count > static_cast<uint64_t>(kMostSeekEntries) + 1 || content > size - kFrameHeader) return std::nullopt;
    std::vector<uint8_t> bytes(kFrameHeader + content);
    const uint64_t begin = size - bytes.size();
    if (file.read_at(bytes.data(), bytes.size(), begin) != bytes.size()) return std::nullopt;
    if (load(bytes.data()) != kSkippableMagic || load(bytes.data() + 4) != content) return std::nullopt;
    std::vector<SeekEntry> entries(count);
    uint64_t end = 0;
    for (size_t i = 0; i < count; ++i) {
        const uint8_t* entry = bytes.data() + kFrameHeader + i * entry_bytes;
        entries[i] = {.bytes = load(entry), .size = load(entry + 4), .checksum = checksums ? load(entry + 8) : 0};
        end += entries[i].bytes;
    }
    if (end != begin) return std::nullopt;
    return entries;
}

}  // namespace reelstore
