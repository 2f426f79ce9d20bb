#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/packed/npy_stack.h"
#include "codecs/packed/packed_container.h"
#include "codecs/packed/seek_table.h"

namespace reelstore {

namespace {

class NpyContainer final : public PackedContainer {
public:
    const std::string& name() const override { return name_; }
    const std::string& extension() const override { return extension_; }

    PackedHeader read_header(File& file) const override {
        std::vector<uint8_t> bytes(kLongestNpyHeader);
        bytes.resize(file.read_at(bytes.data(), bytes.size(), 0));
        return stack_of(parse_npy_header(bytes));
    }

    std::vector<uint8_t> begin(const ImageType& type, int64_t frames) const override {
        return npy_stack_header(type, frames);
    }

    std::vector<uint8_t> end(const ImageType&, std::span<const SeekEntry>) const override { return {}; }
    uint64_t most_bytes(const ImageType& type) const override { return type.bytes(); }

    SeekEntry entry_of(uint32_t bytes, std::span<const uint8_t>, const ImageType& type) const override {
        if (bytes != type.bytes()) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("a frame of {} has {} bytes, not {}", type.text(), type.bytes(), bytes));
        }
        return {.bytes = bytes, .size = bytes};
    }

    PackedFrames frames(File& file, uint64_t from) const override {
        const PackedHeader header = read_header(file);
        const uint64_t frame_bytes = header.type.bytes();
        const uint64_t begin = from == 0 ? header.first_byte : from;
        const uint64_t size = file.size();
        const uint64_t there = size > begin ? size - begin : 0;
        uint64_t count = there / frame_bytes;
        PackedFrames found;
        found.table.stream = packed_stream(*this, header.type);
        found.table.container = name_;
        // A number in the header means that its writer has completed the file; what is behind is none of it.
        if (header.frames > 0 && from == 0) count = std::min(count, static_cast<uint64_t>(header.frames));
        if (count > static_cast<uint64_t>(kMostSeekEntries)) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("has room for {} frames; a file holds up to {}", count, kMostSeekEntries));
        }
        found.table.packets.reserve(count);
        for (uint64_t i = 0; i < count; ++i)
            found.table.packets.push_back(packed_packet(static_cast<int64_t>(i), begin + i * frame_bytes, frame_bytes));
        found.table.sort_display_order();
        found.end = begin + count * frame_bytes;
        found.complete = holds_exactly(header, size);
        if (!found.complete && size > found.end)
            found.stopped_by = size - found.end < frame_bytes ? "a frame that is cut off" : "bytes behind its array";
        return found;
    }

    bool complete(File& file) const override {
        try {
            return holds_exactly(read_header(file), file.size());
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) throw;
            return false;
        }
    }

private:
    static bool holds_exactly(const PackedHeader& header, uint64_t size) {
        return size >= header.first_byte && (size - header.first_byte) % header.type.bytes() == 0 &&
               (size - header.first_byte) / header.type.bytes() == static_cast<uint64_t>(header.frames);
    }

    std::string name_ = "npy";
    std::string extension_ = ".npy";
};

}  // namespace

const PackedContainer& npy_container() {
    static const NpyContainer container;
    return container;
}

}  // namespace reelstore
