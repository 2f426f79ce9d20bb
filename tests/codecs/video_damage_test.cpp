// Videos that were cut off or changed: the frame asked for, or an error, and never a crash or another frame.

#include <algorithm>

#include <doctest/doctest.h>

#include "base/error.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/video_chunk_format.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

const ImageType kType = {.height = 48, .width = 64, .channels = 1, .depth = CV_8U};

/// Reads all positions; gives how many came out right. A frame may be an Error, but never show another number.
int right_frames(const ChunkFormat& format, const std::filesystem::path& path, std::shared_ptr<const PacketTable> table,
                 int count) {
    const auto reader = format.open(path, kType, {.packets = known_packets(std::move(table))});
    int right = 0;
    for (int position = count - 1; position >= 0; --position) {
        try {
            const cv::Mat image = reader->read(position);
            CHECK(read_image_number(image).value_or(position) == position);
            right += read_image_number(image) == position;
        } catch (const Error& error) {
            CHECK(error.code() != ErrorCode::internal);
            CHECK(std::string(error.what()).find(path.filename().string()) != std::string::npos);
        }
    }
    return right;
}

/// Reads all positions of a file without checksums, where changed bytes may decode to anything: nothing may crash.
void read_everything(const ChunkFormat& format, const std::filesystem::path& path, int count) {
    const auto reader = format.open(path, kType);
    for (int position = 0; position < count; ++position) {
        try {
            const cv::Mat image = reader->read(position);
            CHECK(ImageType::of(image) == kType);
        } catch (const Error& error) {
            CHECK(error.code() != ErrorCode::internal);
        }
    }
}

}  // namespace

TEST_CASE("a video cut off anywhere gives its whole frames or errors") {
    for (const auto& format : video_formats()) {
        CAPTURE(format->info().name);
        const TemporaryFolder folder;
        const WrittenVideo video = write_video(*format, folder / ("0" + format->info().extension), kType, 24);
        const std::vector<char> whole = bytes_of(video.path);
        const auto cut = folder / ("cut" + format->info().extension);
        for (size_t size = 0; size < whole.size(); size += 1 + whole.size() / 61) {
            CAPTURE(size);
            write_bytes(cut, {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
            const auto lies_within = [&](const StoredFrame& frame) {
                return frame.packet->offset + frame.bytes <= size;
            };
            const auto within = std::count_if(video.frames.begin(), video.frames.end(), lies_within);
            CHECK(right_frames(*format, cut, video.table, 24) == within);
            const int scanned = right_frames(*format, cut, nullptr, 24);
            CHECK(scanned <= within);
            if (format->info().name != "avc1/mp4") CHECK(scanned >= within - 1);
        }
    }
}

TEST_CASE("changed bytes in one packet cost at most the frames that depend on it") {
    for (const auto& format : video_formats()) {
        CAPTURE(format->info().name);
        const bool mjpeg = format->info().name == "mjpeg/avi";
        const TemporaryFolder folder;
        const WrittenVideo video = write_video(*format, folder / ("0" + format->info().extension), kType, 60);
        const std::vector<char> whole = bytes_of(video.path);
        const auto changed = folder / ("changed" + format->info().extension);
        for (const size_t damaged : {size_t{0}, size_t{5}, size_t{15}, size_t{22}, size_t{59}}) {
            for (const unsigned pattern : {0u, 1u, 2u}) {
                std::vector<char> bytes = whole;
                const Packet& packet = *video.frames[damaged].packet;
                for (size_t i = pattern == 0 ? 0 : 8; i < packet.size; i += pattern == 2 ? 7 : 1) {
                    char& byte = bytes[packet.offset + i];
                    byte = pattern == 1 ? '\0' : static_cast<char>(byte ^ 0x55);
                }
                write_bytes(changed, bytes);
                CAPTURE(damaged);
                CAPTURE(pattern);
                const size_t group_end = mjpeg ? damaged + 1 : std::min<size_t>(60, damaged / 15 * 15 + 15);
                CHECK(right_frames(*format, changed, video.table, 60) >= static_cast<int>(60 - (group_end - damaged)));
                read_everything(*format, changed, 60);
            }
        }
    }
}

TEST_CASE("a frame of the same group stays readable before the damage, and the next group after it") {
    const ChunkFormat& format = *video_formats()[0];
    const TemporaryFolder folder;
    const WrittenVideo video = write_video(format, folder / "0.mp4", kType, 45);
    std::vector<char> bytes = bytes_of(video.path);
    const Packet& packet = *video.frames[20].packet;
    std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(packet.offset), packet.size, '\xff');
    write_bytes(video.path, bytes);
    const auto reader = format.open(video.path, kType, {.packets = known_packets(video.table)});
    for (int position = 0; position < 45; ++position) {
        CAPTURE(position);
        if (position >= 20 && position < 30) {
            CHECK_THROWS_AS(reader->read(position), Error);
        } else {
            CHECK(read_image_number(reader->read(position)) == position);
        }
    }
    CHECK(read_image_number(reader->read(19)) == 19);
}

TEST_CASE("bytes changed anywhere in a small file never crash a scan") {
    for (const auto& format : video_formats()) {
        const TemporaryFolder folder;
        const WrittenVideo video = write_video(*format, folder / ("0" + format->info().extension), kType, 4);
        const std::vector<char> whole = bytes_of(video.path);
        const auto changed = folder / ("changed" + format->info().extension);
        for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 300) {
            std::vector<char> bytes = whole;
            bytes[at] = static_cast<char>(~bytes[at]);
            write_bytes(changed, bytes);
            try {
                scan_packets(changed);
                const auto reader = format->open(changed, kType);
                for (int position = 0; position < 4; ++position) reader->read(position);
            } catch (const Error& error) {
                CHECK(error.code() != ErrorCode::internal);
            }
        }
    }
}

TEST_CASE("a table with impossible places is an error") {
    const ChunkFormat& format = *video_formats()[1];
    const TemporaryFolder folder;
    const WrittenVideo video = write_video(format, folder / "0.mkv", kType, 4);
    std::filesystem::remove(folder / "1.mkv");
    write_bytes(folder / "1.mkv", {'n', 'o', 'n', 'e'});
    for (const auto& [offset, size] :
         {std::pair<uint64_t, uint32_t>{UINT64_MAX, 10}, {10, UINT32_MAX}, {0, 0}, {0, 4}}) {
        auto table = std::make_shared<PacketTable>(*video.table);
        for (Packet& packet : table->packets) {
            packet.offset = offset;
            packet.size = size;
        }
        const auto reader = format.open(folder / "1.mkv", kType, {.packets = known_packets(table)});
        CHECK_THROWS_AS(reader->read(2), Error);
    }
}

TEST_CASE("one changed bit is an error for the frames that need it, never another picture") {
    for (const auto& format : video_formats()) {
        CAPTURE(format->info().name);
        const TemporaryFolder folder;
        const WrittenVideo video = write_video(*format, folder / ("0" + format->info().extension), kType, 30);
        const auto untouched = format->open(video.path, kType, {.packets = known_packets(video.table)});
        std::vector<cv::Mat> frames;
        for (int position = 0; position < 30; ++position) frames.push_back(untouched->read(position).clone());
        const std::vector<char> whole = bytes_of(video.path);
        const auto changed = folder / ("changed" + format->info().extension);
        for (size_t damaged = 0; damaged < 30; damaged += 4) {
            const Packet& packet = *video.frames[damaged].packet;
            for (size_t at = 0; at < packet.size; at += 1 + packet.size / 5) {
                std::vector<char> bytes = whole;
                bytes[packet.offset + at] = static_cast<char>(bytes[packet.offset + at] ^ 0x10);
                write_bytes(changed, bytes);
                const auto reader = format->open(changed, kType, {.packets = known_packets(video.table)});
                for (int position = 29; position >= 0; --position) {
                    const bool own = position == static_cast<int>(damaged);
                    try {
                        const bool same =
                            cv::norm(reader->read(position), frames[static_cast<size_t>(position)], cv::NORM_INF) == 0;
                        CHECK(same);
                        CHECK_FALSE(own);
                    } catch (const Error& error) {
                        CHECK(error.code() == ErrorCode::corrupt);
                        CHECK(position >= static_cast<int>(damaged));
                    }
                }
            }
        }
    }
}
