#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codecs/foreign/file_bytes.h"

namespace reelstore {

/// A file in a ZIP archive.
struct ZipMember {
    std::string name;
    uint16_t method = 0;  ///< 0 stored, 8 deflated
    bool encrypted = false;
    uint32_t crc = 0;
    uint64_t packed_bytes = 0;
    uint64_t bytes = 0;
    uint64_t header_offset = 0;  ///< of its own header, in the file
};

/// What the central directory of the archive lists, ZIP64 included. Throws Error(corrupt) when it is cut off or
/// damaged, Error(unsupported) for an archive in several parts.
std::vector<ZipMember> read_zip_directory(const FileBytes& file);

/// Where the member's bytes begin. Throws Error(corrupt) when they are not all there.
uint64_t zip_data_offset(const FileBytes& file, const ZipMember& member);

}  // namespace reelstore
