#include "codecs/video/mp4_edit_list.h"

#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "base/error.h"

namespace reelstore {

namespace {

/// Content of a box: what stands behind its size and name.
struct Content {
    uint64_t begin = 0;
    uint64_t end = 0;
};

[[noreturn]] void fail(const std::string& what) {
    throw Error(ErrorCode::internal, "the new file has no edit list that can be set: " + what);
}

uint64_t read_number(File& file, uint64_t offset, size_t bytes) {
    std::array<uint8_t, 8> buffer{};
    if (file.read_at(buffer.data(), bytes, offset) != bytes) fail("it is cut off");
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | buffer[i];
    return value;
}

void write_number(File& file, uint64_t offset, size_t bytes, int64_t value) {
    if (value < 0 || (bytes == 4 && value > std::numeric_limits<int32_t>::max())) fail("a time does not fit");
    std::array<uint8_t, 8> buffer{};
    for (size_t i = 0; i < bytes; ++i)
        buffer[i] = static_cast<uint8_t>(static_cast<uint64_t>(value) >> 8 * (bytes - 1 - i));
    file.write_at(buffer.data(), bytes, offset);
}

Content find_box(File& file, const Content& inside, std::string_view name) {
    for (uint64_t offset = inside.begin; offset + 8 <= inside.end;) {
        uint64_t size = read_number(file, offset, 4);
        uint64_t header = 8;
        if (size == 1 && offset + 16 <= inside.end) {
            size = read_number(file, offset + 8, 8);
            header = 16;
        }
        if (size < header || size > inside.end - offset) fail("its structure is damaged");
        std::array<char, 4> own{};
        if (file.read_at(own.data(), own.size(), offset + 4) != own.size()) fail("it is cut off");
        if (name == std::string_view(own.data(), own.size())) return {offset + header, offset + size};
        offset += size;
    }
    fail("no " + std::string(name) + " box");
}

/// Whether the box has times of 64 bits.
bool is_long(File& file, const Content& box) {
    return read_number(file, box.begin, 1) == 1;
}

}  // namespace

void set_edit_list(File& file, int64_t media_time, int64_t duration) {
    const Content movie = find_box(file, {0, file.size()}, "moov");
    const Content movie_header = find_box(file, movie, "mvhd");
    const Content track = find_box(file, movie, "trak");
    const Content track_header = find_box(file, track, "tkhd");
    const Content edits = find_box(file, find_box(file, track, "edts"), "elst");
    const Content media_header = find_box(file, find_box(file, track, "mdia"), "mdhd");
    const auto unit_of = [&](const Content& header) {
        return read_number(file, header.begin + (is_long(file, header) ? 20 : 12), 4);
    };
    if (unit_of(movie_header) != unit_of(media_header)) fail("movie and track count time in different units");
    if (read_number(file, edits.begin + 4, 4) != 1) fail("it has several entries");
    const auto write_duration = [&](const Content& header, uint64_t when_short, uint64_t when_long) {
        const bool long_times = is_long(file, header);
        write_number(file, header.begin + (long_times ? when_long : when_short), long_times ? 8 : 4, duration);
    };
    write_duration(movie_header, 16, 24);
    write_duration(track_header, 20, 28);
    const size_t time_bytes = is_long(file, edits) ? 8 : 4;
    write_number(file, edits.begin + 8, time_bytes, duration);
    write_number(file, edits.begin + 8 + time_bytes, time_bytes, media_time);
}

}  // namespace reelstore
