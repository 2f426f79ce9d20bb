#include "codecs/video/transport_stream.h"

#include <algorithm>
#include <utility>

namespace reelstore {

namespace {

constexpr uint64_t kCellBytes = 188;
constexpr uint8_t kSync = 0x47;
constexpr size_t kWindowBytes = size_t{64} << 10;

}  // namespace

TransportStreamReader::TransportStreamReader(File& file) : file_(file) {
    constexpr uint64_t kCellsToCheck = 5;
    // Plain, behind a time stamp of four bytes, with error correction of sixteen bytes.
    for (const auto& [size, begin] : {std::pair<uint64_t, uint64_t>{188, 0}, {192, 4}, {204, 0}}) {
        const uint64_t cells = std::min(kCellsToCheck, file.size() / size);
        bool all = cells > 0;
        for (uint64_t cell = 0; cell < cells && all; ++cell) {
            const uint8_t* sync = bytes_at(begin + cell * size, 1);
            all = sync && *sync == kSync;
        }
        if (!all) continue;
        cell_bytes_ = size;
        begin_ = begin;
        return;
    }
}

const uint8_t* TransportStreamReader::bytes_at(uint64_t offset, size_t size) {
    if (offset < window_begin_ || offset + size > window_begin_ + window_.size()) {
        window_.resize(std::max(size, kWindowBytes));
        window_begin_ = offset;
        window_.resize(file_.read_at(window_.data(), window_.size(), offset));
        bytes_read_ += static_cast<int64_t>(window_.size());
    }
    return size <= window_.size() ? window_.data() + (offset - window_begin_) : nullptr;
}

std::optional<TransportStreamReader::Cell> TransportStreamReader::cell_at(uint64_t begin) {
    const uint8_t* bytes = bytes_at(begin, kCellBytes);
    if (!bytes || bytes[0] != kSync) return std::nullopt;
    const bool starts_unit = (bytes[1] & 0x40) != 0;
    const bool has_adaptation = (bytes[3] & 0x20) != 0;
    const bool has_payload = (bytes[3] & 0x10) != 0;
    size_t at = 4;
    if (has_adaptation) at += size_t{1} + bytes[4];
    if (!has_payload) at = kCellBytes;
    // Nine bytes, of which the last is the size of the optional ones that follow.
    if (starts_unit && at + 9 <= kCellBytes) at += size_t{9} + bytes[at + 8];
    at = std::min<size_t>(at, kCellBytes);
    return Cell{.stream = (bytes[1] & 0x1f) << 8 | bytes[2], .payload = begin + at, .end = begin + kCellBytes};
}

std::optional<int> TransportStreamReader::stream_at(uint64_t offset) {
    if (!usable() || offset < begin_) return std::nullopt;
    const auto cell = cell_at(cell_begin(offset));
    return cell ? std::optional(cell->stream) : std::nullopt;
}

std::optional<TransportStreamReader::Place> TransportStreamReader::read(int stream, uint64_t offset, size_t size,
                                                                        std::vector<uint8_t>& bytes) {
    bytes.clear();
    if (!usable() || offset < begin_) return std::nullopt;
    Place place;
    for (uint64_t begin = cell_begin(offset); bytes.size() < size; begin += cell_bytes_) {
        const auto cell = cell_at(begin);
        if (!cell) return std::nullopt;
        const uint64_t from = std::max(cell->payload, offset);
        if (cell->stream != stream || from >= cell->end) continue;
        const auto count = static_cast<size_t>(std::min<uint64_t>(cell->end - from, size - bytes.size()));
        if (bytes.empty()) place.first = from;
        const uint8_t* data = bytes_at(from, count);
        if (!data) return std::nullopt;
        bytes.insert(bytes.end(), data, data + count);
        place.behind = from + count;
    }
    return place;
}

}  // namespace reelstore
