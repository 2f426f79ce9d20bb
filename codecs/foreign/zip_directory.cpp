/// Layout: PKWARE's APPNOTE, sections 4.3 and 4.5. Everything is little endian.

#include "codecs/foreign/zip_directory.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/foreign/header_bytes.h"

namespace reelstore {

namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kMemberSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;

constexpr size_t kLocalBytes = 30;
constexpr size_t kMemberBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kLocator64Bytes = 20;
constexpr size_t kLongestComment = 65535;
/// No archive of arrays has a larger directory.
constexpr uint64_t kMostDirectoryBytes = uint64_t{64} << 20;

constexpr uint16_t kExtra64 = 1;
constexpr uint32_t kIn64 = 0xFFFFFFFF;

/// Where the directory is.
struct DirectoryPlace {
    uint64_t offset = 0;
    uint64_t bytes = 0;
    uint64_t end = 0;  ///< in the file, behind it
};

DirectoryPlace place_of_directory(const FileBytes& file) {
    const size_t tail_bytes = std::min<uint64_t>(file.size(), kEndBytes + kLongestComment + kLocator64Bytes);
    const uint64_t tail_start = file.size() - tail_bytes;
    const std::vector<uint8_t> tail_copy = file.read(tail_start, tail_bytes);
    const HeaderBytes tail(tail_copy);
    for (size_t end = tail_copy.size() < kEndBytes ? 0 : tail_copy.size() - kEndBytes + 1; end-- > 0;) {
        if (tail.at<uint32_t>(end) != kEndSignature) continue;
        if (tail.at<uint16_t>(end + 20) != tail_copy.size() - end - kEndBytes) continue;
        DirectoryPlace place{tail.at<uint32_t>(end + 16), tail.at<uint32_t>(end + 12), tail_start + end};
        const bool has_locator =
            end >= kLocator64Bytes && tail.at<uint32_t>(end - kLocator64Bytes) == kLocator64Signature;
        if (has_locator) {
            const std::vector<uint8_t> bytes = file.read(tail.at<uint64_t>(end - kLocator64Bytes + 8), kEnd64Bytes);
            const HeaderBytes end64(bytes);
            if (end64.at<uint32_t>(0) != kEnd64Signature) break;
            place = {end64.at<uint64_t>(48), end64.at<uint64_t>(40), tail_start + end - kLocator64Bytes};
        } else if (tail.at<uint16_t>(end + 4) != 0) {
            throw Error(ErrorCode::unsupported, "the archive has several parts; join them first");
        }
        return place;
    }
    throw Error(ErrorCode::corrupt, "the archive is cut off: its directory, which is at the end, is missing");
}

/// Sizes and offset that do not fit into 32 bits stand in an extra field, only those that do not.
void read_extra64(const HeaderBytes& header, size_t start, size_t size, ZipMember& member) {
    for (size_t field = start; field + 4 <= start + size;) {
        const size_t field_bytes = header.at<uint16_t>(field + 2);
        if (header.at<uint16_t>(field) == kExtra64) {
            size_t place = field + 4;
            for (uint64_t* value : {&member.bytes, &member.packed_bytes, &member.header_offset}) {
                if (*value != kIn64) continue;
                *value = header.at<uint64_t>(place);
                place += 8;
            }
        }
        field += 4 + field_bytes;
    }
}

}  // namespace

std::vector<ZipMember> read_zip_directory(const FileBytes& file) {
    const DirectoryPlace place = place_of_directory(file);
    if (place.bytes > kMostDirectoryBytes || place.bytes > place.end) {
        throw Error(ErrorCode::corrupt, fmt::format("the archive's directory of {} bytes is damaged", place.bytes));
    }
    const std::vector<uint8_t> bytes = file.read(place.offset, place.bytes);
    const HeaderBytes header(bytes);
    std::vector<ZipMember> members;
    for (size_t at = 0; at < bytes.size();) {
        if (header.at<uint32_t>(at) != kMemberSignature)
            throw Error(ErrorCode::corrupt,
                        fmt::format("the archive's directory is damaged at entry {}", members.size()));
        const size_t name_bytes = header.at<uint16_t>(at + 28);
        const size_t extra_bytes = header.at<uint16_t>(at + 30);
        ZipMember member;
        member.encrypted = header.at<uint16_t>(at + 8) & 1;
        member.method = header.at<uint16_t>(at + 10);
        member.crc = header.at<uint32_t>(at + 16);
        member.packed_bytes = header.at<uint32_t>(at + 20);
        member.bytes = header.at<uint32_t>(at + 24);
        member.header_offset = header.at<uint32_t>(at + 42);
        member.name = header.text(at + kMemberBytes, name_bytes);
        read_extra64(header, at + kMemberBytes + name_bytes, extra_bytes, member);
        members.push_back(std::move(member));
        at += kMemberBytes + name_bytes + extra_bytes + header.at<uint16_t>(at + 32);
    }
    return members;
}

uint64_t zip_data_offset(const FileBytes& file, const ZipMember& member) {
    const std::vector<uint8_t> bytes = file.read(member.header_offset, kLocalBytes);
    const HeaderBytes local(bytes);
    if (local.at<uint32_t>(0) != kLocalSignature)
        throw Error(ErrorCode::corrupt, fmt::format("the header of \"{}\" in the archive is damaged", member.name));
    const uint64_t offset =
        member.header_offset + kLocalBytes + local.at<uint16_t>(26) + uint64_t{local.at<uint16_t>(28)};
    if (offset > file.size() || member.packed_bytes > file.size() - offset)
        throw Error(ErrorCode::corrupt, fmt::format("\"{}\" is not all in the archive", member.name));
    return offset;
}

}  // namespace reelstore
