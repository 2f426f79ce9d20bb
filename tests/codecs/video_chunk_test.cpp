#include "codecs/video/video_chunk_format.h"

#include <algorithm>
#include <numeric>
#include <random>

#include <doctest/doctest.h>

#include "base/error.h"
#include "codecs/video/packet_scan.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

double psnr(const cv::Mat& a, const cv::Mat& b) {
    return cv::PSNR(a, b);
}

void check_frame(ChunkReader& reader, const ImageType& type, int64_t position, double least_psnr) {
    const cv::Mat image = reader.read(position);
    REQUIRE(ImageType::of(image) == type);
    REQUIRE(image.isContinuous());
    CHECK(read_image_number(image) == static_cast<int>(position));
    CHECK(psnr(image, make_numbered_image(type, static_cast<int>(position))) > least_psnr);
}

std::vector<int64_t> positions(int64_t count) {
    std::vector<int64_t> all(static_cast<size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

/// Every order in which people read: forward, backward, shuffled, in strides, each frame twice.
std::vector<std::vector<int64_t>> reading_orders(int64_t count) {
    std::vector<std::vector<int64_t>> orders = {positions(count), positions(count), positions(count), {}, {}, {}};
    std::reverse(orders[1].begin(), orders[1].end());
    std::shuffle(orders[2].begin(), orders[2].end(), std::mt19937(7));
    for (int64_t position = 0; position < count; position += 3) orders[3].push_back(position);
    for (int64_t position = count - 1; position >= 0; position -= 7) orders[4].push_back(position);
    for (int64_t position = 0; position < count; ++position)
        orders[5].insert(orders[5].end(), {position, position / 2});
    return orders;
}

bool same_packets(const PacketTable& a, const PacketTable& b) {
    if (a.packets.size() != b.packets.size() || a.display_order != b.display_order) return false;
    for (size_t i = 0; i < a.packets.size(); ++i) {
        const Packet& p = a.packets[i];
        const Packet& q = b.packets[i];
        if (p.offset != q.offset || p.size != q.size || p.key != q.key || p.disposable != q.disposable) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("numbered frames come back by number in any order, in every format, size and colour") {
    constexpr int kFrames = 100;
    for (const auto& format : video_formats()) {
        for (const auto& [height, width] : {std::pair{48, 64}, {47, 63}, {33, 17}, {2, 16}, {64, 130}}) {
            for (const int channels : {1, 3}) {
                const ImageType type = image_type(height, width, channels);
                CAPTURE(format->info().name);
                CAPTURE(type.text());
                const TemporaryFolder folder;
                CodecOptions options;
                if (width == 16 && channels == 3) {
                    // Coloured bars of one pixel survive neither halved chroma nor coarse steps.
                    options = {{"pix_fmt", "yuv444p"}};
                    format->info().name == "mjpeg/avi" ? options["quality"] = "1" : options["crf"] = "4";
                }
                const WrittenVideo video =
                    write_video(*format, folder / ("0" + format->info().extension), type, kFrames, options);
                REQUIRE(video.frames.size() == kFrames);
                const auto reader = format->open(video.path, type, {.packets = known_packets(video.table)});
                const double floor = channels == 1 ? 26 : 18;
                for (const auto& order : reading_orders(kFrames)) {
                    for (const int64_t position : order) check_frame(*reader, type, position, floor);
                }
                CHECK(reader->counters().demux_scans == 0);
                CHECK(reader->counters().decoder_opens == 1);
                CHECK(format->recorded_type(type) == image_type((height + 1) / 2 * 2, (width + 1) / 2 * 2, channels));
            }
        }
    }
}

TEST_CASE("the writer's table is the one that a scan of the finished file finds") {
    for (const auto& format : video_formats()) {
        for (const char* bframes : {"0", "2", "3"}) {
            CodecOptions options;
            if (format->info().name != "mjpeg/avi") options["bframes"] = bframes;
            CAPTURE(format->info().name);
            CAPTURE(bframes);
            const TemporaryFolder folder;
            const ImageType type = image_type(48, 64, 3);
            const WrittenVideo video =
                write_video(*format, folder / ("0" + format->info().extension), type, 100, options);
            const PacketTable scanned = scan_packets(video.path).table;
            CHECK(scanned.contiguous);
            CHECK(same_packets(*video.table, scanned));
            CHECK(scanned.stream.codec == video.table->stream.codec);
            CHECK(scanned.stream.extradata == video.table->stream.extradata);
            CHECK(scanned.stream.pixel_format == video.table->stream.pixel_format);
            CHECK(scanned.stream.color_range == "pc");
            CHECK(scanned.stream.width == 64);
            CHECK(scanned.stream.height == 48);
            for (int64_t position = 1; position < scanned.frame_count(); ++position) {
                CHECK(scanned.packet_of(position).pts > scanned.packet_of(position - 1).pts);
            }
        }
    }
}

TEST_CASE("B-frames, also in pyramids, are handed out and read in display order") {
    for (const char* bframes : {"2", "3"}) {
        for (const size_t index : {size_t{0}, size_t{1}}) {
            const ChunkFormat& format = *video_formats()[index];
            const TemporaryFolder folder;
            const ImageType type = image_type(48, 64, 1);
            const WrittenVideo video = write_video(format, folder / ("0" + format.info().extension), type, 100,
                                                   {{"bframes", bframes}, {"gop", "30"}, {"preset", "medium"}});
            bool reordered = false;
            for (size_t i = 0; i < video.frames.size(); ++i) {
                CHECK(video.frames[i].position == static_cast<int64_t>(i));
                reordered = reordered || video.frames[i].decode_position != video.frames[i].position;
            }
            CHECK(reordered);
            for (const auto& table : {std::shared_ptr<PacketTable>(video.table), std::shared_ptr<PacketTable>()}) {
                const auto reader = format.open(video.path, type, {.packets = known_packets(table)});
                for (const auto& order : reading_orders(100)) {
                    for (const int64_t position : order) check_frame(*reader, type, position, 25);
                }
            }
        }
    }
}

TEST_CASE("frames are stored as soon as they are written when the encoder does not look ahead") {
    for (const auto& format : video_formats()) {
        const bool mjpeg = format->info().name == "mjpeg/avi";
        const CodecOptions options = mjpeg ? CodecOptions{} : CodecOptions{{"tune", "zerolatency"}, {"threads", "1"}};
        const TemporaryFolder folder;
        const ImageType type = image_type(48, 64, 1);
        const auto path = folder / ("0" + format->info().extension);
        const auto writer = format->create(path, type, options);
        std::vector<StoredFrame> stored;
        for (int number = 0; number < 40; ++number) {
            writer->write(make_numbered_image(type, number));
            for (StoredFrame& frame : writer->take_stored()) stored.push_back(std::move(frame));
            REQUIRE(stored.size() == static_cast<size_t>(number + 1));
            CHECK(stored.back().packet->offset + stored.back().bytes <= std::filesystem::file_size(path));
        }
        // As after a crash: the file has no end, but the table makes every frame readable.
        const auto reader = format->open(path, type, {.packets = known_packets(table_of(*writer->stream(), stored))});
        for (int64_t position = 39; position >= 0; --position) check_frame(*reader, type, position, 30);
    }
}

TEST_CASE("gray frames survive crf 0 and qp 0 bit for bit") {
    for (const size_t index : {size_t{0}, size_t{1}}) {
        const ChunkFormat& format = *video_formats()[index];
        for (const CodecOptions& options :
             {CodecOptions{{"crf", "0"}}, CodecOptions{{"qp", "0"}}, CodecOptions{{"qp", "0"}, {"pix_fmt", "gray"}},
              CodecOptions{{"crf", "0"}, {"bframes", "3"}, {"preset", "medium"}, {"pix_fmt", "yuv444p"}}}) {
            for (const ImageType& type : {image_type(48, 64, 1), image_type(47, 63, 1)}) {
                const TemporaryFolder folder;
                const auto path = folder / ("0" + format.info().extension);
                const auto writer = format.create(path, type, options);
                std::vector<cv::Mat> images;
                cv::RNG random(5);
                for (int i = 0; i < 20; ++i) {
                    cv::Mat image(type.height, type.width, CV_8UC1);
                    random.fill(image, cv::RNG::UNIFORM, 0, 256);
                    writer->write(image);
                    images.push_back(image);
                }
                writer->finish();
                const auto reader = format.open(path, type);
                for (int i = 19; i >= 0; --i) {
                    CHECK(cv::norm(reader->read(i), images[static_cast<size_t>(i)], cv::NORM_INF) == 0);
                }
            }
        }
    }
}

TEST_CASE("counters: reading in order decodes each packet once, a jump no more than its group") {
    for (const auto& format : video_formats()) {
        for (const bool bframes : {false, true}) {
            const bool mjpeg = format->info().name == "mjpeg/avi";
            if (mjpeg && bframes) continue;
            CodecOptions options;
            if (bframes) options = {{"bframes", "3"}, {"preset", "medium"}};
            CAPTURE(format->info().name);
            const TemporaryFolder folder;
            const ImageType type = image_type(48, 64, 1);
            const WrittenVideo video =
                write_video(*format, folder / ("0" + format->info().extension), type, 90, options);
            const auto reader = format->open(video.path, type, {.packets = known_packets(video.table)});
            for (int64_t position = 0; position < 90; ++position) reader->read(position);
            CHECK(reader->counters().packets_sent == 90);
            CHECK(reader->counters().frames_decoded == 90);
            CHECK(reader->counters().seeks == 0);
            CHECK(reader->counters().bytes_read <= static_cast<int64_t>(std::filesystem::file_size(video.path)));

            int64_t before = reader->counters().packets_sent;
            std::vector<int64_t> order = positions(90);
            std::shuffle(order.begin(), order.end(), std::mt19937(3));
            for (const int64_t position : order) {
                reader->read(position);
                const int64_t sent = reader->counters().packets_sent - before;
                CHECK(sent <= (mjpeg ? 1 : 15 + 4));
                before += sent;
            }
        }
    }
}

TEST_CASE("reading backward decodes each group once") {
    const ChunkFormat& format = *video_formats()[0];
    const TemporaryFolder folder;
    const ImageType type = image_type(48, 64, 1);
    const WrittenVideo video = write_video(format, folder / "0.mp4", type, 90, {{"preset", "ultrafast"}});
    const auto reader = format.open(video.path, type, {.packets = known_packets(video.table)});
    for (int64_t position = 89; position >= 0; --position) check_frame(*reader, type, position, 25);
    CHECK(reader->counters().packets_sent <= 90 + 15);
}

TEST_CASE("a position behind the end names the file and its number of frames, with and without a table") {
    const ChunkFormat& format = *video_formats()[1];
    const TemporaryFolder folder;
    const ImageType type = image_type(48, 64, 1);
    const WrittenVideo video = write_video(format, folder / "000007.mkv", type, 12);
    for (const auto& table : {video.table, std::shared_ptr<PacketTable>()}) {
        const auto reader = format.open(video.path, type, {.packets = known_packets(table)});
        try {
            reader->read(12);
            FAIL("no error");
        } catch (const Error& error) {
            const std::string what = error.what();
            CHECK(error.code() == ErrorCode::not_found);
            CHECK(what.find("000007.mkv") != std::string::npos);
            CHECK(what.find("12 frames") != std::string::npos);
        }
        CHECK(reader->frame_count() == 12);
        check_frame(*reader, type, 11, 25);
    }
}

TEST_CASE("a stale table is replaced by one scan") {
    const ChunkFormat& format = *video_formats()[0];
    const TemporaryFolder folder;
    const ImageType type = image_type(48, 64, 1);
    const WrittenVideo video = write_video(format, folder / "0.mp4", type, 30);
    auto shifted = std::make_shared<PacketTable>(*video.table);
    for (Packet& packet : shifted->packets) packet.offset += std::filesystem::file_size(video.path);
    auto short_table = std::make_shared<PacketTable>(*video.table);
    short_table->packets.resize(10);
    short_table->sort_display_order();
    for (Packet& packet : short_table->packets) packet.checksum.reset();
    for (const auto& table : {shifted, short_table}) {
        const auto reader = format.open(video.path, type, {.packets = known_packets(table)});
        for (const int64_t position : {20, 3, 29}) check_frame(*reader, type, position, 25);
        CHECK(reader->counters().demux_scans == 1);
    }
}

TEST_CASE("options that do not exist or do not fit are refused by name") {
    const ImageType type = image_type(48, 64, 1);
    const struct {
        size_t format;
        CodecOptions options;
        const char* named;
    } cases[] = {{0, {{"speed", "9"}}, "speed"},
                 {0, {{"crf", "52"}}, "crf"},
                 {0, {{"crf", "high"}}, "crf"},
                 {0, {{"crf", "nan"}}, "crf"},
                 {0, {{"gop", "0"}}, "gop"},
                 {0, {{"preset", "quickest"}}, "veryfast"},
                 {0, {{"tune", "loud"}}, "zerolatency"},
                 {0, {{"pix_fmt", "rgb24"}}, "yuv444p"},
                 {0, {{"quality", "3"}}, "quality"},
                 {0, {{"crf", "3"}, {"qp", "3"}}, "exclude"},
                 {1, {{"bframes", "17"}}, "bframes"},
                 {1, {{"encoder", "mjpeg"}}, "encoder"},
                 {2, {{"quality", "0"}}, "quality"},
                 {2, {{"crf", "3"}}, "crf"},
                 {2, {{"frame_rate", "-1"}}, "frame_rate"}};
    for (const auto& bad : cases) {
        CAPTURE(bad.named);
        const ChunkFormat& format = *video_formats()[bad.format];
        const TemporaryFolder folder;
        for (const bool creating : {false, true}) {
            try {
                if (creating) {
                    format.create(folder / "0", type, bad.options);
                } else {
                    format.check_options(bad.options);
                }
                FAIL("no error");
            } catch (const Error& error) {
                CHECK(error.code() == ErrorCode::invalid_argument);
                CHECK(std::string(error.what()).find(bad.named) != std::string::npos);
            }
        }
        CHECK(std::filesystem::is_empty(folder.path()));
    }
    const TemporaryFolder folder;
    CHECK_THROWS_AS(video_formats()[0]->create(folder / "0.mp4", image_type(48, 64, 3), {{"pix_fmt", "gray"}}), Error);
}

TEST_CASE("the options that formats list are accepted with their defaults") {
    for (const auto& format : video_formats()) {
        for (const CodecOptionInfo& option : format->info().options) {
            if (option.default_value.empty()) continue;
            CAPTURE(option.name);
            CHECK_NOTHROW(format->check_options({{option.name, option.default_value}}));
        }
    }
}

TEST_CASE("types that video cannot hold, files that exist and frames of another size are refused") {
    for (const auto& format : video_formats()) {
        CHECK(format->refuses({.height = 48, .width = 64, .channels = 1, .depth = CV_16U}).has_value());
        CHECK(format->refuses(image_type(48, 64, 4)).has_value());
        CHECK_FALSE(format->refuses(image_type(48, 64, 3)).has_value());
        const TemporaryFolder folder;
        const auto path = folder / ("0" + format->info().extension);
        const auto writer = format->create(path, image_type(48, 64, 3), {});
        CHECK_THROWS_AS(format->create(path, image_type(48, 64, 3), {}), Error);
        CHECK_THROWS_AS(writer->write(make_numbered_image(image_type(48, 66, 3), 0)), Error);
        writer->write(make_numbered_image(image_type(48, 64, 3), 0));
        writer->finish();
        const auto reader = format->open(path, image_type(50, 64, 3));
        CHECK_THROWS_AS(reader->read(0), Error);
    }
}

TEST_CASE("options of the encoder reach the stream") {
    const TemporaryFolder folder;
    const ImageType type = image_type(48, 64, 3);
    const WrittenVideo colour = write_video(*video_formats()[0], folder / "0.mp4", type, 40,
                                            {{"pix_fmt", "yuv444p"}, {"gop", "7"}, {"frame_rate", "29.97"}});
    CHECK(colour.table->stream.pixel_format == "yuv444p");
    for (size_t i = 0; i < 40; i += 7) CHECK(colour.table->packets[i].key);
    const PacketTable scanned = scan_packets(colour.path).table;
    CHECK(scanned.stream.frame_rate == doctest::Approx(29.97).epsilon(1e-4));
    const WrittenVideo fine = write_video(*video_formats()[2], folder / "0.avi", type, 5, {{"quality", "1"}});
    const WrittenVideo coarse = write_video(*video_formats()[2], folder / "1.avi", type, 5, {{"quality", "31"}});
    CHECK(fine.frames[4].bytes > 2 * coarse.frames[4].bytes);
}
