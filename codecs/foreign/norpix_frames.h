#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "codecs/foreign/file_bytes.h"
#include "codecs/foreign/norpix_header.h"

namespace reelstore {

/// Where the images of a NorPix sequence lie: at equal distances, or each as a file of its own length.
struct NorpixFrames {
    int64_t count = 0;
    uint64_t start = 0;
    uint64_t image_bytes = 0;
    uint64_t stride = 0;  ///< 0: the places are listed
    std::vector<uint64_t> offsets = {};
    std::vector<uint32_t> sizes = {};
    size_t stamp_bytes = 0;  ///< behind every image; 0: no stamps

    bool listed() const { return stride == 0; }
    uint64_t offset(int64_t place) const {
        const auto index = static_cast<size_t>(place);
        return listed() ? offsets[index] : start + index * stride;
    }
    uint64_t size(int64_t place) const { return listed() ? sizes[static_cast<size_t>(place)] : image_bytes; }
    uint64_t stamp_offset(int64_t place) const { return offset(place) + size(place); }
};

/// Whether the record of a compressed image (its length and then a JPEG or PNG file) may begin with these bytes.
bool begins_norpix_record(std::span<const uint8_t> bytes);

/// Finds compressed images one behind the other from `start` on, reading only a few bytes of each. Stops where no image
/// follows; what is left unread or cut off becomes a warning.
NorpixFrames find_compressed_frames(const std::filesystem::path& path, uint64_t start, size_t stamp_bytes,
                                    std::vector<std::string>& warnings);

/// Images at equal distances, as many as the file's size allows. Left out are a last one that is cut off, and those at
/// the end of a file for which a recorder took space that it did not use; both become a warning.
NorpixFrames find_raw_frames(const FileBytes& file, uint64_t start, uint64_t image_bytes, uint64_t stride,
                             size_t stamp_bytes, std::vector<std::string>& warnings);

/// The distance at which stamps are found behind images of this size; nothing when it is none of the usual ones.
std::optional<uint64_t> find_norpix_true_size(const FileBytes& file, uint64_t start, uint64_t image_bytes,
                                              size_t stamp_bytes);

/// The stamp of an image; nothing when the file ends before it or there are no stamps.
std::optional<NorpixStamp> read_norpix_stamp(const FileBytes& file, const NorpixFrames& frames, int64_t place);

}  // namespace reelstore
