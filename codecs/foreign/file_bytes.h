#pragma once

#include <bit>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/file_system.h"
#include "base/pixel_type.h"
#include "codecs/foreign/image_sequence.h"

namespace reelstore {

/// The bytes of a foreign file that does not change: mapped where that can be, else read. Every member may be called by
/// any number of threads at once.
class FileBytes {
public:
    /// Throws Error naming the path. With `map` false every part is a copy.
    explicit FileBytes(const std::filesystem::path& path, bool map = true);

    const std::filesystem::path& path() const { return path_; }
    /// When the file was opened.
    uint64_t size() const { return size_; }

    struct Part {
        const uint8_t* data = nullptr;
        std::shared_ptr<const void> owner;  ///< keeps `data` alive, be it the map or a copy
    };
    /// `size` bytes at `offset`. Throws Error(corrupt) when they are not all there.
    Part part(uint64_t offset, size_t size) const;
    /// A copy of up to `size` bytes at `offset`; fewer at the end of the file, none behind it.
    std::vector<uint8_t> read(uint64_t offset, size_t size) const;
    /// Copies `size` bytes at `offset`. Throws Error(corrupt) when they are not all there.
    void read_into(void* target, uint64_t offset, size_t size) const;
    bool mapped() const { return mapping_ != nullptr; }

private:
    void check(uint64_t offset, size_t size) const;

    std::filesystem::path path_;
    std::unique_ptr<File> file_;
    uint64_t size_ = 0;
    std::shared_ptr<const uint8_t> mapping_;
};

/// An image whose elements lie in `part` row by row without gaps, in this order of bytes: a view of it where that shows
/// the image rightly, else a copy.
SequenceImage image_of_part(const FileBytes::Part& part, const ImageType& type,
                            std::endian order = std::endian::little);

/// An image that lies in a file row by row without gaps, its elements in this order of bytes: a view of the map where
/// that shows it rightly, else a copy. Throws Error(corrupt) when the file ends before it.
SequenceImage raw_image(const FileBytes& file, uint64_t offset, const ImageType& type,
                        std::endian order = std::endian::little);

/// Whole frames of `frame_bytes`, one every `stride` bytes from `start`, that a file of `file_size` bytes holds; the
/// gap behind the last one may be missing. 0 for an empty frame or stride.
int64_t frames_in_file(uint64_t file_size, uint64_t start, uint64_t frame_bytes, uint64_t stride);

/// Turns every element of the image to the other order of bytes.
void swap_bytes(cv::Mat& image);

}  // namespace reelstore
