#include "codecs/packed/npy_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "base/npy.h"
#include "codecs/checksum.h"
#include "codecs/packed/npy_stack.h"
#include "codecs/packed/packed_reader.h"

namespace reelstore {

namespace {

/// A file that is not complete is mapped with room to grow into, which costs addresses only.
constexpr uint64_t kRoomToGrow = uint64_t{1} << 30;

}  // namespace

NpyReader::NpyReader(const std::filesystem::path& path, const ImageType& type, const ChunkReadOptions& options)
    : path_(path),
      type_(type),
      options_(options),
      file_(file_system().open(path, OpenMode::read)),
      frame_bytes_(type.bytes()) {
    try {
        std::vector<uint8_t> bytes(kLongestNpyHeader);
        bytes.resize(file_->read_at(bytes.data(), bytes.size(), 0));
        const NpyHeader header = parse_npy_header(bytes);
        header_ = stack_of(header);
        fortran_order_ = header.fortran_order;
        big_endian_ = header.big_endian();
        bools_ = header.kind() == 'b';
        if (header_.type != type) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("holds images of {}, the store says {}", header_.type.text(), type.text()));
        }
        if (header_.plain && header_.first_byte == kNpyStackHeaderBytes) return;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::io || !recorded_header(npy_container(), type, options))
            throw error.at({path.string(), {}, {}});
    }
    // Not as our writer leaves it: where the index knows the frames, it is damaged.
    if (const auto recorded = recorded_header(npy_container(), type, options)) header_ = *recorded;
}

bool NpyReader::map(uint64_t size) {
    if (!can_map_ || !options_.map) return false;
    const uint64_t wanted = header_.frames > 0 ? size : size + kRoomToGrow;
    mapping_ = file_->map(wanted);
    mapped_bytes_ = mapping_ ? wanted : 0;
    can_map_ = mapping_ != nullptr;
    return can_map_;
}

/// Why there is no frame, in a file of `size` bytes with `there` whole ones.
Error NpyReader::missing(int64_t position, uint64_t size, uint64_t there) const {
    const ErrorPlace place{path_.string(), {}, {}};
    const uint64_t offset = header_.first_byte + static_cast<uint64_t>(position) * frame_bytes_;
    const bool partly_there = static_cast<uint64_t>(position) == there && size > offset && size - offset < frame_bytes_;
    const bool cut_off = position >= 0 && (position < header_.frames || partly_there);
    if (cut_off) {
        return Error(ErrorCode::corrupt, place,
                     fmt::format("ends at byte {}, before the end of the frame at position {} ({} bytes at {})", size,
                                 position, frame_bytes_, offset));
    }
    return Error(
        position < 0 ? ErrorCode::invalid_argument : ErrorCode::not_found, place,
        fmt::format("has no frame at position {}; it holds {} frame{}", position, there, there == 1 ? "" : "s"));
}

cv::Mat NpyReader::read(int64_t position) {
    // The size is asked for each time: to touch a page behind the end would kill the process.
    const uint64_t size = file_->size();
    uint64_t there = size > header_.first_byte ? (size - header_.first_byte) / frame_bytes_ : 0;
    const auto at = static_cast<uint64_t>(position);
    // What is behind an array is none of its frames, but where the index knows the frame, the header is damaged.
    const bool behind_array = header_.frames > 0 && position >= header_.frames && at < there;
    if (behind_array && !recorded_header(npy_container(), type_, options_))
        there = static_cast<uint64_t>(header_.frames);
    if (position < 0 || at >= there) throw missing(position, size, there);
    ++counters_.frames_decoded;
    owner_.reset();
    if (!header_.plain) return gather(position);
    const uint64_t offset = header_.first_byte + at * frame_bytes_;
    // Elements of an image must lie where their type wants them, which headers of others need not heed.
    const bool aligned = header_.first_byte % static_cast<uint64_t>(CV_ELEM_SIZE1(type_.depth)) == 0;
    if (aligned && (offset + frame_bytes_ <= mapped_bytes_ || map(size))) {
        owner_ = mapping_;
        const cv::Mat view(type_.height, type_.width, type_.cv_type(), const_cast<uint8_t*>(mapping_.get() + offset));
        check_bytes(position, view);
        return view;
    }
    cv::Mat image(type_.height, type_.width, type_.cv_type());
    counters_.bytes_read += static_cast<int64_t>(frame_bytes_);
    if (file_->read_at(image.data, frame_bytes_, offset) != frame_bytes_) {
        throw Error(ErrorCode::corrupt, {path_.string(), {}, {}},
                    fmt::format("ends before the end of the frame at position {}", position));
    }
    check_bytes(position, image);
    return image;
}

void NpyReader::check_bytes(int64_t position, const cv::Mat& image) const {
    if (!options_.check_bytes || !options_.packets) return;
    const std::shared_ptr<const PacketTable> table = options_.packets(position);
    if (!table || position < table->first_position || position >= table->first_position + table->frame_count()) return;
    const Packet& packet = table->packet_of(position - table->first_position);
    if (packet.checksum && *packet.checksum != frame_checksum({image.data, frame_bytes_})) {
        throw Error(
            ErrorCode::corrupt, {path_.string(), {}, {}},
            fmt::format("the pixels of the frame at position {} have changed since they were recorded", position));
    }
}

/// One frame of an array whose elements lie in another order or form.
cv::Mat NpyReader::gather(int64_t position) {
    const size_t item = static_cast<size_t>(CV_ELEM_SIZE1(type_.depth));
    const auto frames = static_cast<uint64_t>(header_.frames);
    const auto height = static_cast<uint64_t>(type_.height);
    const auto width = static_cast<uint64_t>(type_.width);
    const auto channels = static_cast<uint64_t>(type_.channels);
    const uint64_t size = file_->size();
    const uint64_t whole = header_.first_byte + frames * frame_bytes_;
    if (fortran_order_ && (position >= header_.frames || size < whole)) {
        throw Error(ErrorCode::corrupt, {path_.string(), {}, {}},
                    fmt::format("has {} bytes; its {} frames in Fortran order, all of which one needs, take {}", size,
                                frames, whole));
    }
    if (mapped_bytes_ < size) map(size);
    cv::Mat image(type_.height, type_.width, type_.cv_type());
    const auto fetch = [&](uint8_t* to, size_t bytes, uint64_t offset) {
        if (mapping_) {
            std::memcpy(to, mapping_.get() + offset, bytes);
        } else if (file_->read_at(to, bytes, offset) != bytes) {
            throw Error(ErrorCode::corrupt, {path_.string(), {}, {}},
                        fmt::format("ends before the end of the frame at position {}", position));
        }
    };
    const auto at = static_cast<uint64_t>(position);
    if (fortran_order_) {
        for (uint64_t channel = 0; channel < channels; ++channel) {
            for (uint64_t column = 0; column < width; ++column) {
                for (uint64_t row = 0; row < height; ++row) {
                    const uint64_t element = at + frames * (row + height * (column + width * channel));
                    fetch(image.ptr(static_cast<int>(row)) + (column * channels + channel) * item, item,
                          header_.first_byte + element * item);
                }
            }
        }
    } else {
        fetch(image.data, frame_bytes_, header_.first_byte + at * frame_bytes_);
    }
    uint8_t* const end = image.data + frame_bytes_;
    if (big_endian_ && item > 1) {
        for (uint8_t* element = image.data; element != end; element += item) std::reverse(element, element + item);
    }
    if (bools_) std::transform(image.data, end, image.data, [](uint8_t value) { return value != 0; });
    return image;
}

std::optional<int64_t> NpyReader::frame_count() {
    const uint64_t size = file_->size();
    const auto there = static_cast<int64_t>(size > header_.first_byte ? (size - header_.first_byte) / frame_bytes_ : 0);
    return header_.frames > 0 ? std::min(header_.frames, there) : there;
}

const PacketTable* NpyReader::packet_table() {
    if (!header_.plain) return nullptr;
    table_ = options_.packets ? options_.packets({}) : nullptr;
    if (!table_) table_ = std::make_shared<PacketTable>(npy_container().frames(*file_).table);
    return table_.get();
}

}  // namespace reelstore
