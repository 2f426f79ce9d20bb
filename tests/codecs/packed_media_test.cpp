#include <doctest/doctest.h>

#include "base/npy.h"
#include "codecs/media_file.h"
#include "codecs/packed/seek_table.h"
#include "codecs/packed/zstd_frame.h"
#include "codecs/video/packet_file.h"
#include "tests/codecs/packed_kit.h"
#include "tests/fault_file_system.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr ImageType kType{12, 20, 3, CV_8U};

/// Where the frames of a file are cut out: places in the table.
std::shared_ptr<const PacketTable> part_of(const PacketTable& table, std::vector<size_t> places) {
    auto part = std::make_shared<PacketTable>(table);
    part->packets.clear();
    for (const size_t place : places) part->packets.push_back(table.packets[place]);
    part->sort_display_order();
    return part;
}

void check_complete(const std::string& name, const std::filesystem::path& path, const std::vector<int>& numbers) {
    const std::string container = container_of(path);
    CHECK(media_complete(*file_system().open(path, OpenMode::read), container));
    const auto reader = packed_format(name).open(path, kType);
    REQUIRE(reader->frame_count() == static_cast<int64_t>(numbers.size()));
    for (size_t i = numbers.size(); i-- > 0;) {
        CHECK(same_bytes(reader->read(static_cast<int64_t>(i)),
                         packed_test_image(kType, numbers[i], numbers[i] % 2 == 0)));
    }
    const VideoScan scan = scan_media(path);
    CHECK(scan.warnings.empty());
    CHECK(scan.table.frame_count() == static_cast<int64_t>(numbers.size()));
    CHECK(frames_behind_table(path, scan.table) == 0);
    const std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
    if (name == "raw/npy") {
        std::vector<uint8_t> header(128);
        file->read_at(header.data(), header.size(), 0);
        CHECK(parse_npy_header(header).shape[0] == static_cast<int64_t>(numbers.size()));
        return;
    }
    const auto entries = read_seek_table(*file);
    REQUIRE(entries);
    REQUIRE(entries->size() == numbers.size() + 1);
    if (name == "zstd/npy") {
        for (size_t i = 0; i < numbers.size(); ++i) {
            const cv::Mat image = packed_test_image(kType, numbers[i], numbers[i] % 2 == 0);
            CHECK((*entries)[i + 1].checksum == zstd_checksum({image.data, kType.bytes()}));
            CHECK((*entries)[i + 1].size == kType.bytes());
        }
    }
}

}  // namespace

TEST_CASE("media file: containers by name") {
    CHECK(container_of("000000.npy") == "npy");
    CHECK(container_of("a/000000.npy.zst") == "npy.zst");
    CHECK(container_of("000000.rpz") == "rpz");
    CHECK(container_of("000000.mp4") == "mov");
    CHECK(container_of("000000.mkv") == "matroska");
    CHECK(container_of("000000.zst").empty());
    CHECK(container_of("000000.png").empty());
    CHECK(container_of(".npy").empty());
    for (const char* name : {"npy", "npy.zst", "rpz"}) CHECK(completes_in_place(name));
    for (const char* name : {"mov", "matroska", ""}) CHECK_FALSE(completes_in_place(name));
    const PacketTable table;
    CHECK(error_of([&] { complete_media("a.mp4", table); }) == ErrorCode::invalid_argument);
}

TEST_CASE("media file: the packets of packed arrays are read as those of a video, and by nothing but the table") {
    const TemporaryFolder folder(memory_folder());
    for (const std::string& name : kPackedFormats) {
        CAPTURE(name);
        const auto path = folder / ("a" + packed_format(name).info().extension);
        const auto table = packed_table(name, kType, write_packed(name, path, kType, 6));
        const VideoScan scan = scan_media(path);
        CHECK(scan.table.packets == table->packets);
        CHECK(scan.table.display_order == table->display_order);
        CHECK(scan.table.stream == table->stream);
        CHECK(scan.table.container == table->container);
        CHECK(scan.table.contiguous);
        PacketFile file(path, table);
        CHECK(file.stream() == table->stream);
        const std::vector<uint8_t> bytes = file_bytes(path);
        const UniquePacket packet = make_packet();
        const auto source = make_packet_source(path, table);
        for (const int64_t place : {3, 0, 5, 4, 1, 2}) {
            source->fetch(place, place, *packet);
            const Packet& wanted = table->packets[static_cast<size_t>(place)];
            REQUIRE(packet->size == static_cast<int>(wanted.size));
            CHECK(std::memcmp(packet->data, bytes.data() + wanted.offset, wanted.size) == 0);
        }
        CHECK(check_packets(*file_system().open(path, OpenMode::read), *table).damaged == 0);
    }
}

TEST_SUITE_BEGIN("crash");

TEST_CASE(
    "media file: an open packed array is completed in place, whatever ended it and whatever operation was the last") {
    const TemporaryFolder folder(memory_folder());
    for (const std::string& name : kPackedFormats) {
        CAPTURE(name);
        const auto path = folder / ("a" + packed_format(name).info().extension);
        const std::vector<StoredFrame> stored = write_packed(name, path, kType, 6, {}, false);
        const std::vector<uint8_t> open = file_bytes(path);
        CHECK_FALSE(media_complete(*file_system().open(path, OpenMode::read), container_of(path)));
        const auto all = packed_table(name, kType, stored);
        for (const size_t committed : {size_t{4}, size_t{6}, size_t{0}}) {
            std::vector<size_t> places(committed);
            std::vector<int> numbers;
            for (size_t i = 0; i < committed; ++i) {
                places[i] = i;
                numbers.push_back(static_cast<int>(i));
            }
            const auto table = part_of(*all, places);
            for (const size_t garbage : {size_t{0}, size_t{7}, size_t{5000}}) {
                std::vector<uint8_t> bytes = open;
                bytes.insert(bytes.end(), garbage, 0x5a);
                write_bytes(path, bytes);
                CHECK(frames_behind_table(path, *part_of(*all, {0, 1})).value_or(0) >= 4);
                int64_t operations = 0;
                {
                    FaultFileSystem faults;
                    const FileSystemOverride override(faults);
                    complete_media(path, *table);
                    operations = faults.count();
                }
                check_complete(name, path, numbers);
                const std::vector<uint8_t> complete = file_bytes(path);
                for (int64_t nth = 1; nth <= operations; ++nth) {
                    for (const bool short_write : {false, true}) {
                        CAPTURE(nth);
                        write_bytes(path, bytes);
                        FaultFileSystem faults(
                            {.nth = nth, .short_write = short_write, .repeat = FaultPlan::Repeat::for_ever});
                        {
                            const FileSystemOverride override(faults);
                            CHECK(error_of([&] { complete_media(path, *table); }) == ErrorCode::io);
                        }
                        // The committed frames are there at every moment.
                        ChunkReadOptions options;
                        options.packets = [&](std::optional<int64_t>) { return table; };
                        const auto reader = packed_format(name).open(path, kType, options);
                        for (const int number : numbers)
                            CHECK(same_bytes(reader->read(number), packed_test_image(kType, number, number % 2 == 0)));
                        complete_media(path, *table);
                        CHECK(file_bytes(path) == complete);
                    }
                }
                // Once more changes nothing.
                complete_media(path, *table);
                CHECK(file_bytes(path) == complete);
            }
        }
        // A writer that finished has written the same.
        const auto other = folder / ("b" + packed_format(name).info().extension);
        write_packed(name, other, kType, 6);
        write_bytes(path, open);
        complete_media(path, *all);
        CHECK(file_bytes(path) == file_bytes(other));
        // A file that lacks committed frames is left alone.
        std::filesystem::resize_file(path, stored[5].packet->offset + 3);
        CHECK(error_of([&] { complete_media(path, *all); }) == ErrorCode::corrupt);
        CHECK(file_system().status(path).size == stored[5].packet->offset + 3);
    }
}

TEST_CASE("media file: frames of one to three bytes are completed and joined as others are") {
    const TemporaryFolder folder(memory_folder());
    for (const ImageType& type : {ImageType{1, 1, 1, CV_8U}, ImageType{1, 1, 3, CV_8U}, ImageType{1, 1, 1, CV_16U}}) {
        for (const std::string& name : kPackedFormats) {
            CAPTURE(name);
            CAPTURE(type.text());
            const std::string extension = packed_format(name).info().extension;
            const auto path = folder / ("a" + extension);
            const auto table = packed_table(name, type, write_packed(name, path, type, 5, {}, false));
            complete_media(path, *table);
            CHECK(media_complete(*file_system().open(path, OpenMode::read), container_of(path)));
            PacketFile file(path, table);
            const std::vector<RemuxPart> parts = {{&file, table}, {&file, part_of(*table, {3, 1})}};
            const auto joined = folder / ("joined" + extension);
            CHECK(join_media(parts, joined, extension).table.frame_count() == 7);
            const auto reader = packed_format(name).open(joined, type);
            const std::vector<int> numbers = {0, 1, 2, 3, 4, 3, 1};
            for (size_t i = 0; i < numbers.size(); ++i) {
                const cv::Mat expected = packed_test_image(type, numbers[i], numbers[i] % 2 == 0);
                CHECK(same_bytes(reader->read(static_cast<int64_t>(i)), expected));
            }
            std::filesystem::remove(path);
            std::filesystem::remove(joined);
        }
    }
}

TEST_CASE("media file: a complete file with frames that never reached the disk is told by its table") {
    const TemporaryFolder folder(memory_folder());
    for (const std::string& name : kPackedFormats) {
        CAPTURE(name);
        const auto path = folder / ("a" + packed_format(name).info().extension);
        const auto all = packed_table(name, kType, write_packed(name, path, kType, 6));
        std::vector<uint8_t> bytes = file_bytes(path);
        const Packet& torn = all->packets[4];
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(torn.offset), torn.size, uint8_t{0});
        write_bytes(path, bytes);
        const auto committed = part_of(*all, {0, 1, 2, 3});
        CHECK(frames_behind_table(path, *committed) == 2);
        complete_media(path, *committed);
        check_complete(name, path, {0, 1, 2, 3});
        // The same file without its end: whole frames may lie behind the torn one.
        bytes.resize(all->packets[5].offset + all->packets[5].size);
        const std::vector<uint8_t> open_header = packed_container_of(path)->begin(kType, 0);
        std::copy(open_header.begin(), open_header.end(), bytes.begin());
        write_bytes(path, bytes);
        if (name == "raw/npy") {
            CHECK(frames_behind_table(path, *committed) == 2);
        } else {
            CHECK_FALSE(frames_behind_table(path, *committed));
        }
    }
}

TEST_SUITE_END();

TEST_CASE("media file: parts of packed arrays are joined as they are") {
    const TemporaryFolder folder(memory_folder());
    for (const std::string& name : kPackedFormats) {
        CAPTURE(name);
        const std::string extension = packed_format(name).info().extension;
        const auto a = folder / ("a" + extension);
        const auto b = folder / ("b" + extension);
        const auto table_a = packed_table(name, kType, write_packed(name, a, kType, 6));
        const auto table_b = packed_table(name, kType, write_packed(name, b, kType, 5, {}, false, 100));
        PacketFile file_a(a, table_a);
        PacketFile file_b(b, table_b);
        const std::vector<RemuxPart> parts = {
            {&file_a, part_of(*table_a, {1, 2, 4})}, {&file_b, table_b}, {&file_a, part_of(*table_a, {0})}};
        const auto output = folder / ("joined" + extension);
        const RemuxResult result = join_media(parts, output, extension);
        check_complete(name, output, {1, 2, 4, 100, 101, 102, 103, 104, 0});
        CHECK(result.bytes == file_system().status(output).size);
        const VideoScan scan = scan_media(output);
        CHECK(result.table.packets == scan.table.packets);
        CHECK(result.table.stream == scan.table.stream);
        for (size_t i = 0; i < scan.table.packets.size(); ++i)
            CHECK(result.table.packets[i].checksum == scan.table.packets[i].checksum);
        CHECK(error_of([&] { join_media(parts, output, extension); }) == ErrorCode::already_exists);

        // Another type, another container, and a packet that is not there.
        const ImageType small{6, 20, 3, CV_8U};
        const auto c = folder / ("c" + extension);
        PacketFile file_c(c, packed_table(name, small, write_packed(name, c, small, 2)));
        const std::vector<RemuxPart> mixed = {{&file_a, table_a}, {&file_c, file_c.table()}};
        const auto none = folder / ("none" + extension);
        CHECK(error_of([&] { join_media(mixed, none, extension); }) == ErrorCode::invalid_argument);
        const std::string other = name == "raw/npy" ? ".rpz" : ".npy";
        CHECK(error_of([&] { join_media(parts, folder / ("none" + other), other); }) == ErrorCode::invalid_argument);
        CHECK(error_of([&] { join_media({}, none, extension); }) == ErrorCode::invalid_argument);
        auto beyond = std::make_shared<PacketTable>(*table_a);
        beyond->packets.back().offset += 100000;
        const std::vector<RemuxPart> lost = {{&file_a, beyond}};
        CHECK(error_of([&] { join_media(lost, none, extension); }) == ErrorCode::corrupt);
        CHECK(file_system().status(none).kind == FileKind::missing);
        CHECK(file_system().status(folder / ("none" + other)).kind == FileKind::missing);
        std::filesystem::remove(output);
    }
}

TEST_CASE("media file: videos go the way they went") {
    const TemporaryFolder folder(memory_folder());
    const auto path = folder / "a.mp4";
    const ChunkFormat& format = packed_format("avc1/mp4");
    const ImageType type{32, 64, 1, CV_8U};
    const auto writer = format.create(path, type, {});
    for (int i = 0; i < 8; ++i) writer->write(cv::Mat(32, 64, CV_8U, cv::Scalar(i * 20)));
    CHECK_FALSE(media_complete(*file_system().open(path, OpenMode::read), container_of(path)));
    writer->finish();
    CHECK(media_complete(*file_system().open(path, OpenMode::read), container_of(path)));
    const VideoScan scan = scan_media(path);
    CHECK(scan.table.frame_count() == 8);
    CHECK(frames_behind_table(path, scan.table) == 0);
    CHECK(salvage_media(path).table.frame_count() == 8);
    const auto table = std::make_shared<PacketTable>(scan.table);
    PacketFile file(path, table);
    const std::vector<RemuxPart> parts = {{&file, table}};
    CHECK(join_media(parts, folder / "b.mp4", ".mp4").table.frame_count() == 8);
}

}  // namespace reelstore
