#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "codecs/packed/packed_container.h"

namespace reelstore {

/// Frames of a file whose seek table can still be written.
inline constexpr int64_t kMostSeekEntries = int64_t{1} << 27;

/// The skippable frame at the end of a file in zstd's seekable format
/// (https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md), with
/// the entries' checksums or without.
std::vector<uint8_t> make_seek_table(std::span<const SeekEntry> entries, bool checksums = true);

/// The entries of the table that a file ends with; nothing when it ends with none, or when its frames do not fill the
/// file up to the table. Checksums are 0 where the table has none.
std::optional<std::vector<SeekEntry>> read_seek_table(File& file);

}  // namespace reelstore
