#include "codecs/packed/seek_table.h"

#include "codecs/packed/little_endian.h"

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

}  // namespace

std::vector<uint8_t> make_seek_table(std::span<const SeekEntry> entries, bool checksums) {
    const size_t entry_bytes = checksums ? kEntryWithChecksum : kEntryWithout;
    std::vector<uint8_t> bytes;
    bytes.reserve(kFrameHeader + entries.size() * entry_bytes + kFooter);
    append_little_endian(bytes, kSkippableMagic);
    append_little_endian(bytes, static_cast<uint32_t>(entries.size() * entry_bytes + kFooter));
    for (const SeekEntry& entry : entries) {
        append_little_endian(bytes, entry.bytes);
        append_little_endian(bytes, entry.size);
        if (checksums) append_little_endian(bytes, entry.checksum);
    }
    append_little_endian(bytes, static_cast<uint32_t>(entries.size()));
    bytes.push_back(checksums ? kHasChecksums : 0);
    append_little_endian(bytes, kSeekableMagic);
    return bytes;
}

std::optional<std::vector<SeekEntry>> read_seek_table(File& file) {
    const uint64_t size = file.size();
    uint8_t footer[kFooter];
    if (size < kFrameHeader + kFooter || file.read_at(footer, kFooter, size - kFooter) != kFooter ||
        little_endian_32(footer + 5) != kSeekableMagic || (footer[4] & kReservedBits) != 0) {
        return std::nullopt;
    }
    const uint64_t count = little_endian_32(footer);
    const bool checksums = (footer[4] & kHasChecksums) != 0;
    const size_t entry_bytes = checksums ? kEntryWithChecksum : kEntryWithout;
    const uint64_t content = count * entry_bytes + kFooter;
    // The product is bounded by the file before anything is allocated.
    if (count > static_cast<uint64_t>(kMostSeekEntries) + 1 || content > size - kFrameHeader) return std::nullopt;
    std::vector<uint8_t> bytes(kFrameHeader + content);
    const uint64_t begin = size - bytes.size();
    if (file.read_at(bytes.data(), bytes.size(), begin) != bytes.size()) return std::nullopt;
    if (little_endian_32(bytes.data()) != kSkippableMagic || little_endian_32(bytes.data() + 4) != content)
        return std::nullopt;
    std::vector<SeekEntry> entries(count);
    uint64_t end = 0;
    for (size_t i = 0; i < count; ++i) {
        const uint8_t* entry = bytes.data() + kFrameHeader + i * entry_bytes;
        entries[i] = {.bytes = little_endian_32(entry),
                      .size = little_endian_32(entry + 4),
                      .checksum = checksums ? little_endian_32(entry + 8) : 0};
        end += entries[i].bytes;
    }
    if (end != begin) return std::nullopt;
    return entries;
}

}  // namespace reelstore
