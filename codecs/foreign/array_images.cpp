#include "codecs/foreign/array_images.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/core.hpp>

#include "base/error.h"

namespace reelstore {

namespace {

/// Side of the squares in which pixels are turned from columns to rows: both sides of a square stay in the cache.
constexpr int kTile = 32;
/// Doubles hold every whole number up to this one.
constexpr double kLargestExact = 9007199254740992.0;
/// Sooner a clock that started at 0 than a date: 3 March 1973.
constexpr double kEarliestDate = 1e8;

template <typename Item>
void copy_plane(const ArrayLayout& layout, const uint8_t* source, int channel, uint8_t* target) {
    const int height = layout.type.height;
    const int width = layout.type.width;
    const auto channels = static_cast<size_t>(layout.type.channels);
    const size_t target_row = static_cast<size_t>(width) * channels;
    const auto copy = [&](int row, int column) {
        const uint64_t from =
            static_cast<uint64_t>(row) * layout.row_stride + static_cast<uint64_t>(column) * layout.column_stride;
        const size_t to = static_cast<size_t>(row) * target_row + static_cast<size_t>(column) * channels +
                          static_cast<size_t>(channel);
        std::memcpy(target + to * sizeof(Item), source + from * sizeof(Item), sizeof(Item));
    };
    if (layout.row_stride >= layout.column_stride) {
        for (int row = 0; row < height; ++row) {
            for (int column = 0; column < width; ++column) copy(row, column);
        }
        return;
    }
    for (int left = 0; left < width; left += kTile) {
        const int right = std::min(left + kTile, width);
        for (int top = 0; top < height; top += kTile) {
            const int bottom = std::min(top + kTile, height);
            for (int row = top; row < bottom; ++row) {
                for (int column = left; column < right; ++column) copy(row, column);
            }
        }
    }
}

/// A plane whose columns lie in one piece each, as those of MATLAB and Fortran do. False when it cannot be turned by
/// OpenCV, which is twice as fast as element by element.
bool transpose_plane(const ArrayLayout& layout, const uint8_t* source, int channel, uint8_t* target) {
    const size_t item = element_bytes(layout.stored);
    if (layout.row_stride != 1 || reinterpret_cast<uintptr_t>(source) % item != 0) return false;
    // Only the size of the elements counts.
    const int depth = item == 1 ? CV_8U : item == 2 ? CV_16U : item == 4 ? CV_32S : CV_64F;
    const ImageType& type = layout.type;
    const cv::Mat columns(type.width, type.height, CV_MAKETYPE(depth, 1), const_cast<uint8_t*>(source),
                          layout.column_stride * item);
    cv::Mat image(type.height, type.width, CV_MAKETYPE(depth, type.channels), target);
    if (type.channels == 1) {
        cv::transpose(columns, image);
        return true;
    }
    cv::Mat plane;
    cv::transpose(columns, plane);
    cv::insertChannel(plane, image, channel);
    return true;
}

/// The stored elements of a frame in the order of an image, not converted.
void copy_elements(const ArrayLayout& layout, const uint8_t* source, uint8_t* target) {
    const size_t item = element_bytes(layout.stored);
    const auto channels = static_cast<uint64_t>(layout.type.channels);
    const bool pixels_are_whole = channels == 1 || layout.channel_stride == 1;
    if (layout.column_stride == channels && pixels_are_whole) {
        const size_t row_bytes = static_cast<size_t>(layout.type.width) * channels * item;
        for (int row = 0; row < layout.type.height; ++row) {
            const uint64_t from = static_cast<uint64_t>(row) * layout.row_stride * item;
            std::memcpy(target + static_cast<size_t>(row) * row_bytes, source + from, row_bytes);
        }
        return;
    }
    for (int channel = 0; channel < layout.type.channels; ++channel) {
        const uint8_t* const plane = source + static_cast<uint64_t>(channel) * layout.channel_stride * item;
        if (transpose_plane(layout, plane, channel, target)) continue;
        switch (item) {
            case 1:
                copy_plane<uint8_t>(layout, plane, channel, target);
                break;
            case 2:
                copy_plane<uint16_t>(layout, plane, channel, target);
                break;
            case 4:
                copy_plane<uint32_t>(layout, plane, channel, target);
                break;
            default:
                copy_plane<uint64_t>(layout, plane, channel, target);
        }
    }
}

template <typename Number>
void turn_to_double(cv::Mat& image, const std::vector<uint8_t>& elements) {
    auto* const values = image.ptr<double>();
    for (size_t i = 0; i < elements.size() / sizeof(Number); ++i) {
        Number value;
        std::memcpy(&value, elements.data() + i * sizeof(Number), sizeof(Number));
        values[i] = static_cast<double>(value);
        if (std::abs(values[i]) > kLargestExact) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("holds the value {}; whole numbers are read up to 2 to the power of 53", value));
        }
    }
}

/// Elements of a kind that no cv::Mat holds, as doubles.
cv::Mat image_of_doubles(const ArrayLayout& layout, std::vector<uint8_t>& elements) {
    const size_t item = element_bytes(layout.stored);
    if (layout.order != std::endian::native) {
        for (size_t i = 0; i < elements.size(); i += item) std::reverse(&elements[i], &elements[i] + item);
    }
    cv::Mat image(layout.type.height, layout.type.width, CV_MAKETYPE(CV_64F, layout.type.channels));
    if (layout.stored == ElementKind::uint32) turn_to_double<uint32_t>(image, elements);
    if (layout.stored == ElementKind::int64) turn_to_double<int64_t>(image, elements);
    if (layout.stored == ElementKind::uint64) turn_to_double<uint64_t>(image, elements);
    return image;
}

class ArraySequence : public ImageSequence {
public:
    ArraySequence(ArrayBytes bytes, const ArrayLayout& layout, ArrayStamps stamps)
        : bytes_(std::move(bytes)), layout_(layout), stamps_(std::move(stamps)) {
        const ImageType& type = layout.type;
        const auto channels = static_cast<uint64_t>(type.channels);
        const bool in_rows = (type.width == 1 || layout.column_stride == channels) &&
                             (type.height == 1 || layout.row_stride == channels * static_cast<uint64_t>(type.width)) &&
                             (channels == 1 || layout.channel_stride == 1);
        const bool as_stored = depth_of_element(layout.stored) == type.depth && !layout.bools && !layout.negated &&
                               !(layout.blue_is_last && (channels == 3 || channels == 4));
        raw_ = in_rows && as_stored;
        item_ = element_bytes(layout.stored);
    }

    int64_t frame_count() const override { return layout_.frames; }

    SequenceImage read(int64_t index) const override {
        const uint64_t first = static_cast<uint64_t>(index) * layout_.frame_stride * item_;
        const uint64_t extent = layout_.frame_extent() * item_;
        const FileBytes::Part part = bytes_.part(first, extent);
        if (!raw_) return {gather_image(layout_, 0, part.data)};
        return image_of_part(part, layout_.type, layout_.order);
    }

    FrameStamp stamp(int64_t index) const override { return stamp_of(stamps_, index); }

private:
    ArrayBytes bytes_;
    ArrayLayout layout_;
    ArrayStamps stamps_;
    bool raw_ = false;
    size_t item_ = 1;
};

}  // namespace

size_t element_bytes(ElementKind kind) {
    switch (kind) {
        case ElementKind::int8:
        case ElementKind::uint8:
            return 1;
        case ElementKind::int16:
        case ElementKind::uint16:
        case ElementKind::float16:
            return 2;
        case ElementKind::int32:
        case ElementKind::uint32:
        case ElementKind::float32:
            return 4;
        default:
            return 8;
    }
}

ElementKind element_kind(int depth) {
    for (const ElementKind kind : {ElementKind::int8, ElementKind::uint8, ElementKind::int16, ElementKind::uint16,
                                   ElementKind::int32, ElementKind::float16, ElementKind::float32}) {
        if (depth_of_element(kind) == depth) return kind;
    }
    return ElementKind::float64;
}

std::optional<int> depth_of_element(ElementKind kind) {
    switch (kind) {
        case ElementKind::int8:
            return CV_8S;
        case ElementKind::uint8:
            return CV_8U;
        case ElementKind::int16:
            return CV_16S;
        case ElementKind::uint16:
            return CV_16U;
        case ElementKind::int32:
            return CV_32S;
        case ElementKind::float16:
            return CV_16F;
        case ElementKind::float32:
            return CV_32F;
        case ElementKind::float64:
            return CV_64F;
        default:
            return std::nullopt;
    }
}

bool ArrayLayout::frames_are_apart() const {
    return frames <= 1 || frame_stride >= frame_extent();
}

uint64_t ArrayLayout::frame_extent() const {
    const auto last = [](int size) { return static_cast<uint64_t>(size - 1); };
    return last(type.height) * row_stride + last(type.width) * column_stride + last(type.channels) * channel_stride + 1;
}

std::vector<uint64_t> c_strides(const std::vector<int64_t>& shape) {
    std::vector<uint64_t> strides(shape.size());
    uint64_t stride = 1;
    for (size_t axis = shape.size(); axis-- > 0;) {
        strides[axis] = stride;
        stride *= static_cast<uint64_t>(shape[axis]);
    }
    return strides;
}

std::vector<uint64_t> fortran_strides(const std::vector<int64_t>& shape) {
    std::vector<uint64_t> strides(shape.size());
    uint64_t stride = 1;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
        strides[axis] = stride;
        stride *= static_cast<uint64_t>(shape[axis]);
    }
    return strides;
}

ArrayLayout array_layout(const std::vector<int64_t>& shape, const std::vector<uint64_t>& strides,
                         const std::string& axes, int depth) {
    const auto refuse = [&](const std::string& reason) {
        throw Error(ErrorCode::invalid_argument, fmt::format("layout \"{}\" {}; the array has the shape ({})", axes,
                                                             reason, fmt::join(shape, ", ")));
    };
    for (const char letter : axes) {
        if (std::string_view("nhwc").find(letter) == std::string_view::npos)
            refuse("must be made of the letters n (frames), h (height), w (width) and c (channels)");
        if (std::count(axes.begin(), axes.end(), letter) > 1) refuse(fmt::format("has {} twice", letter));
    }
    if (axes.find('h') == std::string::npos || axes.find('w') == std::string::npos) refuse("lacks h or w");
    if (axes.size() != shape.size()) refuse(fmt::format("has {} letters", axes.size()));
    int64_t height = 0;
    int64_t width = 0;
    int64_t channels = 1;
    ArrayLayout layout;
    for (size_t axis = 0; axis < axes.size(); ++axis) {
        if (axes[axis] == 'n') {
            layout.frames = shape[axis];
            layout.frame_stride = strides[axis];
        } else if (axes[axis] == 'h') {
            height = shape[axis];
            layout.row_stride = strides[axis];
        } else if (axes[axis] == 'w') {
            width = shape[axis];
            layout.column_stride = strides[axis];
        } else {
            channels = shape[axis];
            layout.channel_stride = strides[axis];
        }
    }
    const bool fits_int = std::max(height, width) <= kMaxImageSide && channels <= CV_CN_MAX;
    layout.type = {int(height), int(width), int(channels), depth};
    layout.stored = element_kind(depth);
    if (!fits_int || !plausible(layout.type)) {
        throw Error(ErrorCode::corrupt, fmt::format("an array of shape ({}), taken for {}, makes no plausible images",
                                                    fmt::join(shape, ", "), axes));
    }
    return layout;
}

cv::Mat gather_image(const ArrayLayout& layout, int64_t frame, const uint8_t* array) {
    const uint8_t* const first =
        array + static_cast<uint64_t>(frame) * layout.frame_stride * element_bytes(layout.stored);
    const ImageType& type = layout.type;
    cv::Mat image;
    if (const std::optional<int> depth = depth_of_element(layout.stored)) {
        image.create(type.height, type.width, CV_MAKETYPE(*depth, type.channels));
        copy_elements(layout, first, image.data);
        if (layout.order != std::endian::native) swap_bytes(image);
    } else {
        std::vector<uint8_t> elements(static_cast<size_t>(type.height) * static_cast<size_t>(type.width) *
                                      static_cast<size_t>(type.channels) * element_bytes(layout.stored));
        copy_elements(layout, first, elements.data());
        image = image_of_doubles(layout, elements);
    }
    if (layout.bools) {
        cv::Mat is_true;
        cv::compare(image.reshape(1), cv::Scalar(0), is_true, cv::CMP_NE);
        image = cv::Mat(is_true & cv::Scalar(1)).reshape(type.channels);
    }
    if (layout.negated) {
        // Not image * -1, which would make -0.0 of 0.
        cv::Mat negated;
        cv::subtract(cv::Scalar::all(0), image, negated, cv::noArray(), type.depth);
        image = negated;
    } else if (image.depth() != type.depth) {
        image.convertTo(image, type.depth);
    }
    if (layout.blue_is_last && (type.channels == 3 || type.channels == 4)) {
        cv::Mat turned(image.size(), image.type());
        const int order[] = {0, 2, 1, 1, 2, 0, 3, 3};
        cv::mixChannels(&image, 1, &turned, 1, order, static_cast<size_t>(type.channels));
        image = turned;
    }
    return image;
}

ArrayBytes::ArrayBytes(std::vector<uint8_t> bytes)
    : memory_(std::make_shared<const std::vector<uint8_t>>(std::move(bytes))), size_(memory_->size()) {}

FileBytes::Part ArrayBytes::part(uint64_t offset, size_t size) const {
    if (offset > size_ || size > size_ - offset) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("the array is cut off: it has {} bytes, {} at {} are needed", size_, size, offset));
    }
    if (memory_) return {memory_->data() + offset, memory_};
    return file_->part(offset_ + offset, size);
}

std::shared_ptr<const ImageSequence> array_sequence(ArrayBytes bytes, ArrayLayout layout, ArrayStamps stamps,
                                                    std::vector<std::string>& warnings) {
    const size_t item = element_bytes(layout.stored);
    const bool apart = layout.frames_are_apart();
    const auto announced = static_cast<uint64_t>(layout.frames);
    const uint64_t needed =
        layout.frames == 0 ? 0 : ((announced - 1) * layout.frame_stride + layout.frame_extent()) * item;
    if (bytes.size() < needed) {
        const int64_t whole =
            apart ? frames_in_file(bytes.size(), 0, layout.frame_extent() * item, layout.frame_stride * item) : 0;
        if (whole == 0) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("the array is cut off: {} of its {} bytes are there", bytes.size(), needed));
        }
        warnings.push_back(fmt::format("the file is cut off: {} of {} frames are there", whole, layout.frames));
        layout.frames = whole;
    }
    if (!apart && !bytes.addressable()) {
        if (needed > kMaxImageBytes) {
            throw Error(ErrorCode::unsupported,
                        "the pixels of a frame are spread over the whole array, which is read into memory up to 2 GiB "
                        "only where the file is not mapped; save it frame by frame (C order with the frames first)");
        }
        const FileBytes::Part all = bytes.part(0, needed);
        bytes = ArrayBytes(std::vector<uint8_t>(all.data, all.data + needed));
    }
    return std::make_shared<ArraySequence>(std::move(bytes), layout, std::move(stamps));
}

FrameStamp stamp_of(const ArrayStamps& stamps, int64_t index) {
    FrameStamp stamp{.number = index};
    const auto place = static_cast<size_t>(index);
    if (place < stamps.numbers.size()) stamp.number = stamps.numbers[place];
    if (place < stamps.times.size()) stamp.time = stamps.times[place];
    return stamp;
}

void describe_stamps(ArrayStamps& stamps, int64_t frames, SourceInfo& info) {
    const auto count = static_cast<size_t>(frames);
    if (stamps.numbers.size() != count) stamps.numbers.clear();
    const bool are_times = stamps.times.size() == count && std::any_of(stamps.times.begin(), stamps.times.end(),
                                                                       [](double time) { return std::isfinite(time); });
    if (!are_times) stamps.times.clear();
    info.has_numbers = !stamps.numbers.empty();
    info.has_times = !stamps.times.empty();
    info.times_are_absolute = info.has_times && std::all_of(stamps.times.begin(), stamps.times.end(), [](double time) {
                                  return !std::isfinite(time) || time >= kEarliestDate;
                              });
    if (info.times_are_absolute && std::isfinite(stamps.times.front())) info.creation_time = stamps.times.front();
}

}  // namespace reelstore
