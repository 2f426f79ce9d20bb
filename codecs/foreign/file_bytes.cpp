#include "codecs/foreign/file_bytes.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

namespace {

uint16_t swapped(uint16_t bits) {
    return __builtin_bswap16(bits);
}
uint32_t swapped(uint32_t bits) {
    return __builtin_bswap32(bits);
}
uint64_t swapped(uint64_t bits) {
    return __builtin_bswap64(bits);
}

template <typename Bits>
void swap_elements(uint8_t* bytes, size_t size) {
    for (size_t i = 0; i + sizeof(Bits) <= size; i += sizeof(Bits)) {
        Bits element;
        std::memcpy(&element, bytes + i, sizeof(Bits));
        element = swapped(element);
        std::memcpy(bytes + i, &element, sizeof(Bits));
    }
}

}  // namespace

FileBytes::FileBytes(const std::filesystem::path& path, bool map) : path_(path) {
    file_ = file_system().open(path, OpenMode::read);
    size_ = file_->size();
    if (map && size_ > 0) mapping_ = file_->map(size_);
}

void FileBytes::check(uint64_t offset, size_t size) const {
    if (offset <= size_ && size <= size_ - offset) return;
    throw Error(ErrorCode::corrupt, {path_.string(), {}, {}},
                fmt::format("the file is cut off: it has {} bytes, {} at {} are needed", size_, size, offset));
}

FileBytes::Part FileBytes::part(uint64_t offset, size_t size) const {
    check(offset, size);
    if (mapping_) return {mapping_.get() + offset, mapping_};
    // Allocated as such, it is aligned for every kind of element.
    const std::shared_ptr<uint8_t[]> copy(new uint8_t[std::max<size_t>(size, 1)]);
    read_into(copy.get(), offset, size);
    return {copy.get(), copy};
}

std::vector<uint8_t> FileBytes::read(uint64_t offset, size_t size) const {
    if (offset >= size_) return {};
    std::vector<uint8_t> bytes(std::min<uint64_t>(size, size_ - offset));
    read_into(bytes.data(), offset, bytes.size());
    return bytes;
}

void FileBytes::read_into(void* target, uint64_t offset, size_t size) const {
    check(offset, size);
    if (mapping_) {
        if (size > 0) std::memcpy(target, mapping_.get() + offset, size);
    } else if (file_->read_at(target, size, offset) != size) {
        throw Error(ErrorCode::corrupt, {path_.string(), {}, {}}, "the file has been cut off since it was opened");
    }
}

SequenceImage image_of_part(const FileBytes::Part& part, const ImageType& type, std::endian order) {
    const size_t item_bytes = CV_ELEM_SIZE1(type.depth);
    const bool aligned = reinterpret_cast<uintptr_t>(part.data) % item_bytes == 0;
    if (aligned && (order == std::endian::native || item_bytes == 1)) {
        // A Mat cannot be of const pixels; nobody writes to those of a frame.
        return {cv::Mat(type.height, type.width, type.cv_type(), const_cast<uint8_t*>(part.data)), part.owner};
    }
    cv::Mat image(type.height, type.width, type.cv_type());
    std::memcpy(image.data, part.data, type.bytes());
    if (order != std::endian::native) swap_bytes(image);
    return {image, nullptr};
}

SequenceImage raw_image(const FileBytes& file, uint64_t offset, const ImageType& type, std::endian order) {
    return image_of_part(file.part(offset, type.bytes()), type, order);
}

int64_t frames_in_file(uint64_t file_size, uint64_t start, uint64_t frame_bytes, uint64_t stride) {
    if (frame_bytes == 0 || stride == 0 || file_size < start || file_size - start < frame_bytes) return 0;
    return static_cast<int64_t>((file_size - start - frame_bytes) / stride) + 1;
}

void swap_bytes(cv::Mat& image) {
    const size_t row_bytes = image.elemSize() * static_cast<size_t>(image.cols);
    for (int row = 0; row < image.rows; ++row) {
        switch (image.elemSize1()) {
            case 2:
                swap_elements<uint16_t>(image.ptr(row), row_bytes);
                break;
            case 4:
                swap_elements<uint32_t>(image.ptr(row), row_bytes);
                break;
            case 8:
                swap_elements<uint64_t>(image.ptr(row), row_bytes);
                break;
            default:
                return;
        }
    }
}

}  // namespace reelstore
