#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "codecs/foreign/folder_files.h"
#include "codecs/foreign/image_sequence.h"
#include "codecs/foreign/micam_ultima_header.h"

namespace reelstore {

/// The frames of a MiCAM ULTIMA recording as its .rsd keep them: int16, with all columns, those of both cameras in
/// turn. Those of a file that is missing or cut off are listed all the same, so that the others keep their places.
/// Every member may be called by any number of threads at once.
class UltimaFrames {
public:
    /// Finds the files in the description's folder; what is missing or contradicts the description adds a warning.
    /// Frames behind the announced count, which fill up the last file, are left out unless they are to be kept.
    UltimaFrames(const std::filesystem::path& description_path, const UltimaDescription& description,
                 const FolderFiles& folder, bool keep_padding, bool map, std::vector<std::string>& warnings);

    int64_t count() const { return blocks_.empty() ? 0 : blocks_.back().first + blocks_.back().count; }
    /// Throws Error(not_found or corrupt) naming the file for a frame that is not there.
    SequenceImage read(int64_t index) const;

    /// The frames of one file.
    struct Block {
        int64_t first = 0;
        int64_t there = 0;  ///< in the file
        int64_t count = 0;  ///< listed
        bool missing = false;
    };

private:
    ImageType type_;
    std::vector<Block> blocks_;
    std::optional<FileSeries> files_;
};

}  // namespace reelstore
