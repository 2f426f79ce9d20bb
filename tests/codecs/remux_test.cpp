#include <doctest/doctest.h>

#include <filesystem>
#include <limits>

#include "base/file_system.h"
#include "codecs/checksum.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/remux.h"
#include "codecs/video/video_chunk_format.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

constexpr int kFrames = 30;

std::vector<uint8_t> payload(const fs::path& path, const Packet& packet) {
    std::vector<uint8_t> bytes(packet.size);
    const auto file = file_system().open(path, OpenMode::read);
    REQUIRE(file->read_at(bytes.data(), bytes.size(), packet.offset) == bytes.size());
    return bytes;
}

/// A file as its writer leaves it when it is killed, with what the writer said about its first frames.
struct KilledVideo {
    fs::path path;
    PacketTable table;
};

KilledVideo killed_video(const ChunkFormat& format, const fs::path& path, const CodecOptions& options = {}) {
    const fs::path living = path.string() + ".living" + format.info().extension;
    const auto writer = format.create(living, image_type(48, 64, 1), options);
    std::vector<StoredFrame> frames;
    for (int number = 0; number < kFrames; ++number) {
        writer->write(make_numbered_image(image_type(48, 64, 1), number));
        for (StoredFrame& frame : writer->take_stored()) frames.push_back(std::move(frame));
    }
    fs::copy_file(living, path);
    REQUIRE(frames.size() > 5);
    return {path, *table_of(*writer->stream(), frames)};
}

}  // namespace

TEST_CASE("a container made of a killed writer's packets holds exactly their bytes, and FFmpeg opens it") {
    const TemporaryFolder folder;
    for (const auto& format : video_formats()) {
        for (const bool reordered : {false, true}) {
            if (reordered && format->info().name == "mjpeg/avi") continue;
            CAPTURE(format->info().name);
            CAPTURE(reordered);
            const std::string extension = format->info().extension;
            const fs::path media = folder / ("killed" + std::to_string(reordered) + extension);
            const KilledVideo video = killed_video(
                *format, media, reordered ? CodecOptions{{"bframes", "2"}, {"tune", "none"}} : CodecOptions{});
            const auto file = file_system().open(media, OpenMode::read);
            CHECK_FALSE(container_complete(*file, demuxer_of_extension(media)));

            const fs::path output = folder / ("whole" + std::to_string(reordered) + extension);
            const RemuxResult result = remux(media, video.table, output, extension);
            CHECK(result.bytes == fs::file_size(output));
            CHECK(container_complete(*file_system().open(output, OpenMode::read), demuxer_of_extension(output)));
            REQUIRE(result.table.packets.size() == video.table.packets.size());
            for (size_t i = 0; i < result.table.packets.size(); ++i) {
                const std::vector<uint8_t> bytes = payload(output, result.table.packets[i]);
                CHECK(bytes == payload(media, video.table.packets[i]));
                CHECK(frame_checksum(bytes) == *result.table.packets[i].checksum);
            }
            // What a scan of the new file finds is what the result says.
            const VideoScan scan = scan_packets(output);
            CHECK(scan.table.display_order == result.table.display_order);
            REQUIRE(scan.table.packets.size() == result.table.packets.size());
            for (size_t i = 0; i < scan.table.packets.size(); ++i)
                CHECK(scan.table.packets[i].offset == result.table.packets[i].offset);
            for (const bool by_result : {false, true}) {
                const auto table = std::make_shared<const PacketTable>(by_result ? result.table : scan.table);
                const auto reader = open_video_chunk(output, image_type(48, 64, 1), {.packets = known_packets(table)});
                for (int64_t position = table->frame_count() - 1; position >= 0; --position)
                    CHECK(read_image_number(reader->read(position)) == static_cast<int>(position));
            }
        }
    }
}

TEST_CASE("a part of a table makes a container of that part") {
    const TemporaryFolder folder;
    const auto& format = *video_formats().front();
    const WrittenVideo video =
        write_video(format, folder / "whole.mp4", image_type(48, 64, 1), kFrames, {{"gop", "5"}});
    PacketTable part = *video.table;
    part.packets.resize(10);
    part.sort_display_order();
    const RemuxResult result = remux(video.path, part, folder / "part", ".mp4");
    CHECK(scan_packets(folder / "part", "mov").table.frame_count() == 10);
    CHECK(result.table.frame_count() == 10);
}

TEST_CASE("damaged and missing packets are found before anything is written") {
    const TemporaryFolder folder;
    const WrittenVideo video =
        write_video(*video_formats().front(), folder / "v.mp4", image_type(48, 64, 1), kFrames, {{"gop", "5"}});
    std::vector<char> bytes = bytes_of(video.path);
    bytes[video.table->packets[7].offset + 4] ^= 1;
    bytes.resize(video.table->packets[28].offset + 1);
    write_bytes(video.path, bytes);
    const auto file = file_system().open(video.path, OpenMode::read);
    const PacketCheck check = check_packets(*file, *video.table);
    CHECK(check.damaged == 1);
    CHECK(check.missing == 2);
    for (size_t i = 0; i < kFrames; ++i) CHECK(check.sound[i] == (i != 7 && i < 28));
    CHECK(error_of([&] { check_packets(*file, *video.table, [](int64_t, int64_t) { return false; }); }) ==
          ErrorCode::cancelled);

    // Nothing half-made stays, and the name is free for another attempt.
    CHECK(error_of([&] { remux(video.path, *video.table, folder / "out", ".mp4"); }) == ErrorCode::corrupt);
    CHECK_FALSE(fs::exists(folder / "out"));
    CHECK(error_of([&] { remux(video.path, *video.table, folder / "out", ".xyz"); }) == ErrorCode::unsupported);
    PacketTable part = *video.table;
    part.packets.resize(28);
    part.sort_display_order();
    const RemuxResult result = remux(video.path, part, folder / "out", ".mp4");
    // The damaged packet is there as it was, and its checksum still says so.
    CHECK(payload(folder / "out", result.table.packets[7]) == payload(video.path, video.table->packets[7]));
    CHECK(result.table.packets[7].checksum == video.table->packets[7].checksum);
    CHECK(frame_checksum(payload(folder / "out", result.table.packets[7])) != result.table.packets[7].checksum);
    CHECK(error_of([&] { remux(video.path, part, folder / "out", ".mp4"); }) == ErrorCode::already_exists);
}

TEST_CASE("a container whose writer was killed, and one that is cut off, is not complete") {
    const TemporaryFolder folder;
    for (const auto& format : video_formats()) {
        CAPTURE(format->info().name);
        const fs::path path = folder / ("v" + format->info().extension);
        write_video(*format, path, image_type(48, 64, 1), kFrames);
        const std::string container = demuxer_of_extension(path);
        CHECK(container_complete(*file_system().open(path, OpenMode::read), container));
        const auto size = fs::file_size(path);
        for (const uintmax_t cut : {size - 1, size / 2, uintmax_t{40}, uintmax_t{3}, uintmax_t{0}}) {
            CAPTURE(cut);
            fs::resize_file(path, cut);
            CHECK_FALSE(container_complete(*file_system().open(path, OpenMode::read), container));
        }
    }
}

TEST_CASE("time stamps that no file can hold are an error") {
    const TemporaryFolder folder;
    const WrittenVideo video =
        write_video(*video_formats().front(), folder / "v.mp4", image_type(48, 64, 1), kFrames, {{"gop", "5"}});
    PacketTable table = *video.table;
    table.packets[3].pts = std::numeric_limits<int64_t>::max();
    table.packets[4].pts = std::numeric_limits<int64_t>::min() + 1;
    CHECK(error_of([&] { remux(video.path, table, folder / "out", ".mp4"); }) == ErrorCode::corrupt);
    CHECK_FALSE(fs::exists(folder / "out"));
}
