#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/packed/little_endian.h"
#include "codecs/packed/npy_stack.h"
#include "codecs/packed/packed_container.h"
#include "codecs/packed/pixel_coder.h"
#include "codecs/packed/seek_table.h"
#include "codecs/packed/zstd_frame.h"

namespace reelstore {

namespace {

constexpr size_t kSkippableHeader = 8;
constexpr uint32_t kSeekTableMagic = 0x184D2A5E;
constexpr uint32_t kHeaderMagic = 0x184D2A56;
constexpr size_t kChecksumBytes = 4;

/// Frames of zstd behind a header, with a seek table at the end.
class SeekableContainer : public PackedContainer {
public:
    SeekableContainer(std::string name, std::string extension)
        : name_(std::move(name)), extension_(std::move(extension)) {}

    const std::string& name() const override { return name_; }
    const std::string& extension() const override { return extension_; }

    std::vector<uint8_t> begin(const ImageType& type, int64_t frames) const override {
        return wrap_header(npy_stack_header(type, frames));
    }

    std::vector<uint8_t> end(const ImageType& type, std::span<const SeekEntry> frames) const override {
        const std::vector<uint8_t> header = npy_stack_header(type, static_cast<int64_t>(frames.size()));
        std::vector<SeekEntry> entries;
        entries.reserve(frames.size() + 1);
        entries.push_back(header_entry(header));
        entries.insert(entries.end(), frames.begin(), frames.end());
        return make_seek_table(entries, has_checksums());
    }

    PackedFrames frames(File& file, uint64_t from) const override {
        const PackedHeader header = read_header(file);
        PackedFrames found;
        found.table.stream = packed_stream(*this, header.type);
        found.table.container = name_;
        found.end = header.first_byte;
        if (from != 0 || !take_seek_table(file, header, found)) walk(file, header.type, from, found);
        found.table.sort_display_order();
        return found;
    }

    bool complete(File& file) const override {
        try {
            const PackedHeader header = read_header(file);
            PackedFrames found;
            found.end = header.first_byte;
            return take_seek_table(file, header, found) && found.complete;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) throw;
            return false;
        }
    }

protected:
    virtual bool has_checksums() const = 0;
    virtual std::vector<uint8_t> wrap_header(std::span<const uint8_t> header) const = 0;
    virtual SeekEntry header_entry(std::span<const uint8_t> header) const = 0;
    /// Bytes of the whole frame of an image at an offset; 0 when there is none, with the reason.
    virtual uint64_t frame_bytes(File& file, uint64_t offset, const ImageType& type, std::string* reason) const = 0;

private:
    /// False when the file has no table that fits its header.
    bool take_seek_table(File& file, const PackedHeader& header, PackedFrames& found) const {
        const std::optional<std::vector<SeekEntry>> entries = read_seek_table(file);
        if (!entries || entries->empty() || entries->front().bytes != header.first_byte) return false;
        const uint64_t most = most_bytes(header.type);
        const bool fits = std::all_of(entries->begin() + 1, entries->end(), [&](const SeekEntry& entry) {
            return entry.size == header.type.bytes() && entry.bytes > 0 && entry.bytes <= most;
        });
        if (!fits) return false;
        found.table.packets.reserve(entries->size() - 1);
        for (size_t i = 1; i < entries->size(); ++i) {
            found.table.packets.push_back(packed_packet(static_cast<int64_t>(i - 1), found.end, (*entries)[i].bytes));
            found.end += (*entries)[i].bytes;
        }
        found.complete = static_cast<int64_t>(entries->size()) - 1 == header.frames;
        if (!found.complete) found.stopped_by = "a seek table that does not fit the header";
        return true;
    }

    void walk(File& file, const ImageType& type, uint64_t from, PackedFrames& found) const {
        const uint64_t size = file.size();
        const uint64_t most = most_bytes(type);
        if (from != 0) found.end = from;
        while (found.end < size && !at_seek_table(file, found)) {
            std::string reason;
            const uint64_t bytes = frame_bytes(file, found.end, type, &reason);
            if (bytes == 0 || bytes > most) {
                found.stopped_by = bytes == 0 ? reason : "a frame that is too large";
                return;
            }
            found.table.packets.push_back(
                packed_packet(static_cast<int64_t>(found.table.packets.size()), found.end, bytes));
            found.end += bytes;
        }
    }

    static bool at_seek_table(File& file, PackedFrames& found) {
        std::array<uint8_t, kSkippableHeader> start{};
        const size_t got = file.read_at(start.data(), start.size(), found.end);
        if (got < 4 || little_endian_32(start.data()) != kSeekTableMagic) return false;
        if (got < start.size() || little_endian_32(start.data() + 4) > file.size() - found.end - kSkippableHeader)
            found.stopped_by = "a seek table that is cut off";
        return true;
    }

    std::string name_;
    std::string extension_;
};

class ZstdNpyContainer final : public SeekableContainer {
public:
    ZstdNpyContainer() : SeekableContainer("npy.zst", ".npy.zst") {}

    PackedHeader read_header(File& file) const override {
        uint64_t content = 0;
        std::string reason;
        const uint64_t bytes = zstd_frame_bytes(file, 0, 2 * kLongestNpyHeader, &content, &reason);
        if (bytes == 0) throw Error(ErrorCode::corrupt, fmt::format("begins with {}", reason));
        if (content > kLongestNpyHeader) {
            throw Error(ErrorCode::unsupported,
                        "its first frame is not the header of an array alone, so its images cannot be told apart");
        }
        std::vector<uint8_t> frame(bytes);
        if (file.read_at(frame.data(), frame.size(), 0) != frame.size())
            throw Error(ErrorCode::corrupt, "ends in its header");
        const std::vector<uint8_t> header = decode_zstd(frame, content);
        PackedHeader stack = stack_of(parse_npy_header(header));
        if (stack.first_byte != header.size()) {
            throw Error(ErrorCode::unsupported,
                        "its first frame is not the header of an array alone, so its images cannot be told apart");
        }
        stack.first_byte = bytes;
        return stack;
    }

    uint64_t most_bytes(const ImageType& type) const override { return most_zstd_bytes(type); }

    /// Frames of zstd end with the checksum that the seek table asks for.
    SeekEntry entry_of(uint32_t bytes, std::span<const uint8_t> ending, const ImageType& type) const override {
        if (ending.size() < kChecksumBytes) throw Error(ErrorCode::corrupt, "a frame without a checksum");
        return {.bytes = bytes,
                .size = static_cast<uint32_t>(type.bytes()),
                .checksum = little_endian_32(ending.data() + ending.size() - kChecksumBytes)};
    }

protected:
    bool has_checksums() const override { return true; }

    std::vector<uint8_t> wrap_header(std::span<const uint8_t> header) const override {
        return stored_zstd_frame(header);
    }

    SeekEntry header_entry(std::span<const uint8_t> header) const override {
        return {.bytes = static_cast<uint32_t>(header.size() + kStoredFrameOverhead),
                .size = static_cast<uint32_t>(header.size()),
                .checksum = zstd_checksum(header)};
    }

    uint64_t frame_bytes(File& file, uint64_t offset, const ImageType& type, std::string* reason) const override {
        uint64_t content = 0;
        const uint64_t bytes = zstd_frame_bytes(file, offset, most_bytes(type), &content, reason);
        if (bytes == 0 || content == type.bytes()) return bytes;
        *reason = fmt::format("a frame of {} bytes, where an image has {}", content, type.bytes());
        return 0;
    }
};

class PredictedContainer final : public SeekableContainer {
public:
    PredictedContainer() : SeekableContainer("rpz", ".rpz") {}

    PackedHeader read_header(File& file) const override {
        std::array<uint8_t, kSkippableHeader> start{};
        if (file.read_at(start.data(), start.size(), 0) != start.size() ||
            little_endian_32(start.data()) != kHeaderMagic)
            throw Error(ErrorCode::corrupt, "does not begin as a file of predicted pixels does");
        const uint32_t size = little_endian_32(start.data() + 4);
        if (size > kLongestNpyHeader) throw Error(ErrorCode::corrupt, "its header is too long");
        std::vector<uint8_t> bytes(size);
        if (file.read_at(bytes.data(), bytes.size(), kSkippableHeader) != bytes.size())
            throw Error(ErrorCode::corrupt, "ends in its header");
        PackedHeader stack = stack_of(parse_npy_header(bytes));
        if (stack.first_byte != bytes.size()) throw Error(ErrorCode::corrupt, "its header is damaged");
        stack.first_byte = kSkippableHeader + bytes.size();
        return stack;
    }

    uint64_t most_bytes(const ImageType& type) const override {
        constexpr uint64_t kMarks = 1024;
        return most_zstd_bytes(type) + kMarks;
    }

    SeekEntry entry_of(uint32_t bytes, std::span<const uint8_t>, const ImageType& type) const override {
        return {.bytes = bytes, .size = static_cast<uint32_t>(type.bytes())};
    }

protected:
    /// The image's bytes may be several frames of zstd, each with a checksum of its own.
    bool has_checksums() const override { return false; }

    std::vector<uint8_t> wrap_header(std::span<const uint8_t> header) const override {
        std::vector<uint8_t> frame;
        append_little_endian(frame, kHeaderMagic);
        append_little_endian(frame, static_cast<uint32_t>(header.size()));
        frame.insert(frame.end(), header.begin(), header.end());
        return frame;
    }

    SeekEntry header_entry(std::span<const uint8_t> header) const override {
        return {
            .bytes = static_cast<uint32_t>(header.size() + kSkippableHeader), .size = 0, .checksum = zstd_checksum({})};
    }

    uint64_t frame_bytes(File& file, uint64_t offset, const ImageType& type, std::string* reason) const override {
        // Where a frame ends is only told by its parts, so more and more of the file is looked at.
        const uint64_t most = std::min(most_bytes(type), file.size() - offset);
        std::vector<uint8_t> bytes;
        for (uint64_t size = std::min(most, type.bytes() / 2 + (size_t{4} << 10));; size = std::min(most, 2 * size)) {
            bytes.resize(size);
            bytes.resize(file.read_at(bytes.data(), bytes.size(), offset));
            const size_t found = predicted_frame_bytes(bytes, reason);
            if (found > 0 && found <= bytes.size()) return found;
            if (size == most || bytes.size() < size) break;
        }
        if (reason->empty()) *reason = "a frame that is cut off";
        return 0;
    }
};

}  // namespace

const PackedContainer& zstd_npy_container() {
    static const ZstdNpyContainer container;
    return container;
}

const PackedContainer& predicted_container() {
    static const PredictedContainer container;
    return container;
}

}  // namespace reelstore
