#include <doctest/doctest.h>

#include <filesystem>
#include <random>

#include "base/file_system.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/remux.h"
#include "codecs/video/salvage.h"
#include "codecs/video/video_chunk_format.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"
#include "tests/test_data.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

const fs::path kGolden = test_data() / "golden" / "imgstore-0.4.0";

/// Offset of the box with this name in an mp4, and its size.
std::pair<size_t, size_t> box(const std::vector<char>& bytes, const std::string& name) {
    size_t offset = 0;
    while (offset + 8 <= bytes.size()) {
        size_t size = 0;
        for (size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(bytes[offset + i]);
        if (std::string(&bytes[offset + 4], 4) == name) return {offset, size};
        REQUIRE(size >= 8);
        offset += size;
    }
    FAIL("no box ", name);
    return {};
}

/// A complete mp4 as it was before its writer filled in the size of the media data and wrote what follows them.
std::vector<char> without_end(std::vector<char> bytes) {
    const auto [offset, size] = box(bytes, "mdat");
    bytes.resize(offset + size);
    std::fill(bytes.begin() + static_cast<ptrdiff_t>(offset), bytes.begin() + static_cast<ptrdiff_t>(offset) + 4, '\0');
    return bytes;
}

/// The numbers in the frames of a salvaged file, after remuxing it.
std::vector<int> numbers_in(const fs::path& media, const PacketTable& table, const ImageType& type) {
    const fs::path output = media.string() + ".out" + media.extension().string();
    fs::remove(output);
    remux(media, table, output, media.extension().string());
    const auto reader = open_video_chunk(output, type);
    std::vector<int> numbers;
    for (int64_t position = 0; position < reader->frame_count(); ++position)
        numbers.push_back(read_image_number(reader->read(position)).value_or(-1));
    return numbers;
}

std::vector<int> counted(int from, int count) {
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) numbers.push_back(from + i);
    return numbers;
}

}  // namespace

TEST_CASE("frames of imgstore's mp4 without index are found by a sibling's parameters, in order of display") {
    const TemporaryFolder folder;
    for (const char* store : {"avc1_mp4-gray", "avc1_mp4-color"}) {
        CAPTURE(store);
        const int per_chunk = std::string(store) == "avc1_mp4-gray" ? 10 : 7;
        const VideoStream like = scan_packets(kGolden / store / "000000.mp4").table.stream;
        const fs::path path = folder / (std::string(store) + ".mp4");
        write_bytes(path, without_end(bytes_of(kGolden / store / "000001.mp4")));
        CHECK(error_of([&] { salvage_video(path, "mov"); }) == ErrorCode::not_found);
        const SalvagedVideo video = salvage_video(path, "mov", like);
        CHECK_FALSE(video.complete);
        CHECK(video.bytes_left == 0);
        CHECK(video.stopped_by.empty());
        const ImageType type = image_type(48, 64, per_chunk == 10 ? 1 : 3);
        CHECK(numbers_in(path, video.table, type) == counted(per_chunk, per_chunk));
    }
}

TEST_CASE("wherever a file without index ends, the whole frames before that are found") {
    const TemporaryFolder folder;
    const WrittenVideo video =
        write_video(*video_formats().front(), folder / "v.mp4", image_type(48, 64, 1), 12, {{"gop", "4"}});
    const std::vector<char> whole = without_end(bytes_of(video.path));
    const fs::path path = folder / "cut.mp4";
    const size_t begin = video.table->packets.front().offset;
    for (size_t size = begin; size <= whole.size(); size += size < whole.size() - 40 ? 37 : 1) {
        CAPTURE(size);
        write_bytes(path, {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
        int64_t expected = 0;
        for (const Packet& packet : video.table->packets) expected += packet.offset + packet.size <= size;
        const SalvagedVideo found = salvage_video(path, "mov", video.table->stream);
        CHECK(found.table.frame_count() == expected);
        for (int64_t i = 0; i < found.table.frame_count(); ++i) {
            CHECK(found.table.packet_of(i) == video.table->packet_of(i));
            CHECK(found.table.packet_of(i).checksum == video.table->packet_of(i).checksum);
        }
        CHECK(found.stopped_by.empty() == (found.bytes_left == 0));
    }
}

TEST_CASE("what follows the frames is not taken for frames: an index, zeros, noise") {
    const TemporaryFolder folder;
    const WrittenVideo video =
        write_video(*video_formats().front(), folder / "v.mp4", image_type(48, 64, 1), 12, {{"gop", "4"}});
    const std::vector<char> complete = bytes_of(video.path);
    std::vector<char> unsized = complete;
    const size_t mdat = box(complete, "mdat").first;
    std::fill(unsized.begin() + static_cast<ptrdiff_t>(mdat), unsized.begin() + static_cast<ptrdiff_t>(mdat) + 4, '\0');
    std::vector<char> zeros = without_end(complete);
    zeros.resize(zeros.size() + 5000);
    std::vector<char> noise = without_end(complete);
    std::mt19937 random(1);
    for (int i = 0; i < 5000; ++i) noise.push_back(static_cast<char>(random()));
    for (const std::vector<char>& bytes : {unsized, zeros, noise}) {
        write_bytes(folder / "c.mp4", bytes);
        const SalvagedVideo found = salvage_video(folder / "c.mp4", "mov", video.table->stream);
        CHECK(found.table.frame_count() == 12);
        CHECK_FALSE(found.stopped_by.empty());
        CHECK(found.bytes_left > 0);
    }
}

TEST_CASE("pictures of several slices are kept together, and one that lacks some is left out") {
    const TemporaryFolder folder;
    const ImageType type = image_type(128, 160, 1);
    // Tuned for low delay, x264 makes a slice a thread.
    const WrittenVideo video =
        write_video(*video_formats().front(), folder / "v.mp4", type, 8, {{"threads", "2"}, {"tune", "zerolatency"}});
    std::vector<char> bytes = without_end(bytes_of(video.path));
    write_bytes(folder / "c.mp4", bytes);
    CHECK(salvage_video(folder / "c.mp4", "mov", video.table->stream).table.frame_count() == 8);
    // The file ends just behind the first slice of the last picture.
    const Packet& last = video.table->packets.back();
    size_t slice = 0;
    size_t slices = 0;
    for (size_t at = last.offset; at < last.offset + last.size; ++slices) {
        size_t size = 0;
        for (size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(bytes[at + i]);
        at += 4 + size;
        if (slices == 0) slice = at;
    }
    REQUIRE(slices == 2);
    bytes.resize(slice);
    write_bytes(folder / "c.mp4", bytes);
    const SalvagedVideo found = salvage_video(folder / "c.mp4", "mov", video.table->stream);
    CHECK(found.table.frame_count() == 7);
    CHECK(found.stopped_by == "a frame that is cut off");
}

TEST_CASE("mkv and avi without index keep every whole frame, wherever they end") {
    const TemporaryFolder folder;
    for (const char* extension : {".mkv", ".avi"}) {
        CAPTURE(extension);
        const ChunkFormat& format = std::string(extension) == ".mkv" ? *video_formats()[1] : *video_formats()[2];
        const WrittenVideo video =
            write_video(format, folder / (std::string("v") + extension), image_type(48, 64, 1), 12);
        const std::vector<char> whole = bytes_of(video.path);
        const fs::path path = folder / (std::string("cut") + extension);
        for (size_t i = 1; i < 12; i += 2) {
            for (const size_t more : {size_t{0}, size_t{1}, size_t{video.table->packets[i].size} / 2}) {
                CAPTURE(i);
                CAPTURE(more);
                const size_t size = video.table->packets[i].offset + more;
                write_bytes(path, {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
                const SalvagedVideo found = salvage_video(path, extension == std::string(".mkv") ? "matroska" : "avi");
                CHECK_FALSE(found.complete);
                CHECK(found.table.frame_count() == static_cast<int64_t>(i));
                CHECK(numbers_in(path, found.table, image_type(48, 64, 1)) == counted(0, static_cast<int>(i)));
            }
        }
    }
}

TEST_CASE("hostile files are refused, or nothing is found in them, quickly") {
    const TemporaryFolder folder;
    const VideoStream like =
        write_video(*video_formats().front(), folder / "v.mp4", image_type(48, 64, 1), 3).table->stream;
    const fs::path path = folder / "h.mp4";
    const std::string head("\0\0\0\0mdat", 8);
    // A million parameter sets, and no picture.
    std::string sets = head;
    for (int i = 0; i < 1000000; ++i) sets += std::string("\0\0\0\2\x67\x00", 6);
    // A unit that says it goes on for 4 GB.
    const std::string long_unit = head + std::string("\xff\xff\xff\xff\x65\x88\x80", 7);
    for (const std::string& text : {sets, long_unit, head, std::string("\0\0\0\1mdat", 8), std::string("x"),
                                    std::string("\0\0\0\0free", 8), std::string(100, '\0')}) {
        write_bytes(path, {text.begin(), text.end()});
        int64_t frames = 0;
        const auto error = thrown_by([&] { frames = salvage_video(path, "mov", like).table.frame_count(); });
        CHECK(frames == 0);
        if (error) {
            CHECK(error->code() == ErrorCode::corrupt);
            CHECK(error->place().path == path.string());
        }
    }
    VideoStream other = like;
    other.extradata.clear();
    write_bytes(path, {sets.begin(), sets.end()});
    CHECK(error_of([&] { salvage_video(path, "mov", other); }) == ErrorCode::unsupported);
}
