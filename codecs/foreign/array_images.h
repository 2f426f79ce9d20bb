#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codecs/foreign/file_bytes.h"
#include "codecs/foreign/image_sequence.h"

namespace reelstore {

/// Kinds of number that arrays of others are made of.
enum class ElementKind { int8, uint8, int16, uint16, int32, uint32, int64, uint64, float16, float32, float64 };

size_t element_bytes(ElementKind kind);
/// The kind of OpenCV's depth.
ElementKind element_kind(int depth);
/// OpenCV's depth of the kind; nothing for uint32, int64 and uint64.
std::optional<int> depth_of_element(ElementKind kind);

/// How the elements of an array divide into frames. Strides count elements; element (frame, y, x, channel) is at the
/// sum of its indices times their strides.
struct ArrayLayout {
    ImageType type;  ///< of the images, whose depth holds every value of `stored`
    int64_t frames = 1;
    uint64_t frame_stride = 0;
    uint64_t row_stride = 0;
    uint64_t column_stride = 0;
    uint64_t channel_stride = 0;
    ElementKind stored = ElementKind::uint8;
    std::endian order = std::endian::native;
    bool bools = false;         ///< every value but 0 is 1
    bool negated = false;       ///< images are minus the values; `type` has room for them
    bool blue_is_last = false;  ///< 3 or 4 channels are red, green, blue; images are blue, green, red

    /// The elements of a frame lie side by side, in whatever order, and frame follows frame.
    bool frames_are_apart() const;
    /// Elements between the first and behind the last of a frame.
    uint64_t frame_extent() const;
};

/// The shape of an array and the meaning of its axes, as letters in the order of the shape: n frames, h rows, w
/// columns, c channels. Throws Error(invalid_argument) where h or w is missing, a letter is there twice or the number
/// of letters is not that of the axes, and Error(corrupt) for impossible images. `strides` are those of the axes, in
/// elements. Stored kind, order and so on are left for the caller.
ArrayLayout array_layout(const std::vector<int64_t>& shape, const std::vector<uint64_t>& strides,
                         const std::string& axes, int depth);
/// Strides of the axes with the last (C order) or the first (Fortran order) axis densest. Sizes must be checked.
std::vector<uint64_t> c_strides(const std::vector<int64_t>& shape);
std::vector<uint64_t> fortran_strides(const std::vector<int64_t>& shape);

/// One frame of an array whose first element is at `array`, of any alignment.
cv::Mat gather_image(const ArrayLayout& layout, int64_t frame, const uint8_t* array);

/// The bytes of an array: in a file or in memory.
class ArrayBytes {
public:
    /// `size` bytes of the file from `offset`, which must be there.
    ArrayBytes(std::shared_ptr<const FileBytes> file, uint64_t offset, uint64_t size)
        : file_(std::move(file)), offset_(offset), size_(size) {}
    explicit ArrayBytes(std::vector<uint8_t> bytes);

    uint64_t size() const { return size_; }
    /// Whether a part costs nothing: mapped or in memory.
    bool addressable() const { return memory_ || file_->mapped(); }
    FileBytes::Part part(uint64_t offset, size_t size) const;

private:
    std::shared_ptr<const FileBytes> file_;
    std::shared_ptr<const std::vector<uint8_t>> memory_;
    uint64_t offset_ = 0;
    uint64_t size_ = 0;
};

/// Numbers and times of the frames, where an array has companions that tell them; else empty.
struct ArrayStamps {
    std::vector<int64_t> numbers = {};
    std::vector<double> times = {};
};

/// The frames of an array: views where it can show them, else copies. When the bytes end before the last frame and
/// frames lie apart, the layout's count is lowered to the whole ones and `warning` says so; otherwise, and when there
/// is no whole frame, Error(corrupt). Arrays whose frames lie scattered and that are not addressable are read into
/// memory up to 2 GiB, then Error(unsupported).
std::shared_ptr<const ImageSequence> array_sequence(ArrayBytes bytes, ArrayLayout layout, ArrayStamps stamps,
                                                    std::vector<std::string>& warnings);

/// Number and time of the frame at `index`.
FrameStamp stamp_of(const ArrayStamps& stamps, int64_t index);

/// The facts of `info` that stamps of `frames` frames tell: has_numbers, has_times, times_are_absolute (seconds of 1973
/// and later), creation_time. Stamps of another count are dropped.
void describe_stamps(ArrayStamps& stamps, int64_t frames, SourceInfo& info);

}  // namespace reelstore
