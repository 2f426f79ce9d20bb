#pragma once

#include <bit>
#include <cstdint>
#include <memory>

#include "base/pixel_type.h"
#include "codecs/foreign/file_bytes.h"
#include "codecs/foreign/image_sequence.h"

namespace reelstore {

/// Where images of equal size lie in a file, one every `stride` bytes.
struct RawLayout {
    uint64_t start = 0;  ///< of the pixels of the first
    uint64_t stride = 0;
    ImageType type;
    std::endian order = std::endian::little;
    int64_t count = 0;
};

/// The images of one file, views of its map where they can be.
class RawSequence : public ImageSequence {
public:
    RawSequence(std::shared_ptr<const FileBytes> file, const RawLayout& layout)
        : file_(std::move(file)), layout_(layout) {}

    int64_t frame_count() const override { return layout_.count; }
    SequenceImage read(int64_t index) const override {
        return raw_image(*file_, offset(index), layout_.type, layout_.order);
    }

protected:
    const FileBytes& file() const { return *file_; }
    const RawLayout& layout() const { return layout_; }
    /// Of the pixels of an image.
    uint64_t offset(int64_t index) const { return layout_.start + static_cast<uint64_t>(index) * layout_.stride; }

private:
    std::shared_ptr<const FileBytes> file_;
    RawLayout layout_;
};

/// How many of the frames that a header announces are to be read, of `whole` ones in the file: as many as it says, all
/// there are where it says 0 or too many. Anything but a header that is right adds a warning. Throws Error(corrupt)
/// when there is no whole frame.
int64_t count_of_frames(uint64_t announced, int64_t whole, std::vector<std::string>& warnings);

}  // namespace reelstore
