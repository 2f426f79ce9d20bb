// Containers that hide or scatter payloads, or say nothing about the order of display.

#include "codecs/video/packet_scan.h"

#include <algorithm>
#include <numeric>
#include <random>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "codecs/video/decoder.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/nal_units.h"
#include "codecs/video/pixel_convert.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

const ImageType kType = {.height = 48, .width = 64, .channels = 1, .depth = CV_8U};
constexpr int kFrames = 75;

/// Copies the packets of a video into another container.
void remux(const std::filesystem::path& from, const std::filesystem::path& to, const char* muxer) {
    Demuxer demuxer(from);
    const auto file = file_system().open(to, OpenMode::create_exclusive);
    FileOutput output(*file);
    AVFormatContext* context = nullptr;
    REQUIRE(avformat_alloc_output_context2(&context, nullptr, muxer, nullptr) >= 0);
    const UniqueOutputFormat format(context);
    context->pb = output.io();
    context->flags |= AVFMT_FLAG_CUSTOM_IO;
    AVStream* stream = avformat_new_stream(context, nullptr);
    REQUIRE(avcodec_parameters_copy(stream->codecpar, &demuxer.parameters()) >= 0);
    stream->codecpar->codec_tag = 0;
    const AVRational time_base = {static_cast<int>(demuxer.stream().time_base_num),
                                  static_cast<int>(demuxer.stream().time_base_den)};
    stream->time_base = time_base;
    REQUIRE(avformat_write_header(context, nullptr) >= 0);
    const UniquePacket packet = make_packet();
    while (demuxer.next(*packet)) {
        packet->stream_index = 0;
        // Without it the muxer of mov writes an edit list that cuts the last frame away.
        packet->duration = av_rescale_q(1, AVRational{1, 25}, time_base);
        av_packet_rescale_ts(packet.get(), time_base, stream->time_base);
        REQUIRE(av_write_frame(context, packet.get()) >= 0);
    }
    REQUIRE(av_write_trailer(context) >= 0);
    avio_flush(context->pb);
}

void append_units(std::vector<char>& out, std::span<const uint8_t> units, size_t length_bytes) {
    while (units.size() > length_bytes) {
        size_t size = 0;
        for (size_t i = 0; i < length_bytes; ++i) size = size << 8 | units[i];
        out.insert(out.end(), {0, 0, 0, 1});
        const auto unit = units.subspan(length_bytes, size);
        out.insert(out.end(), unit.begin(), unit.end());
        units = units.subspan(length_bytes + size);
    }
}

/// The bare H.264 byte stream of a video: no times, no index.
void write_annex_b(const WrittenVideo& video, const std::filesystem::path& to) {
    const std::vector<uint8_t>& record = video.table->stream.extradata;
    const std::vector<char> bytes = bytes_of(video.path);
    std::vector<char> out;
    const size_t sequence_set = 6;
    const size_t sequence_size = size_t{2} + record[6] * 256 + record[7];
    append_units(out, std::span(record).subspan(sequence_set, sequence_size), 2);
    const size_t picture_set = sequence_set + sequence_size + 1;
    const size_t picture_size = size_t{2} + record[picture_set] * 256 + record[picture_set + 1];
    append_units(out, std::span(record).subspan(picture_set, picture_size), 2);
    for (const Packet& packet : video.table->packets) {
        append_units(out, {reinterpret_cast<const uint8_t*>(bytes.data()) + packet.offset, packet.size}, 4);
    }
    write_bytes(to, out);
}

void check_all_orders(const std::filesystem::path& path, const PacketTable& scanned) {
    REQUIRE(scanned.frame_count() == kFrames);
    VideoDecoder decoder(path, std::make_shared<const PacketTable>(scanned));
    FrameToImage converter;
    std::vector<int> order(kFrames);
    std::iota(order.begin(), order.end(), 0);
    for (int round = 0; round < 3; ++round) {
        for (const int position : order) {
            CHECK(read_image_number(converter.convert(decoder.read(position), kType)) == position);
        }
        if (round == 0) std::shuffle(order.begin(), order.end(), std::mt19937(2));
        if (round == 1) std::sort(order.rbegin(), order.rend());
    }
}

WrittenVideo pyramid_video(const std::filesystem::path& path) {
    return write_video(*video_formats()[0], path, kType, kFrames,
                       {{"bframes", "3"}, {"preset", "medium"}, {"gop", "20"}});
}

}  // namespace

TEST_CASE("a transport stream scatters payloads: it is read through the demuxer, exactly") {
    const TemporaryFolder folder;
    const WrittenVideo video = pyramid_video(folder / "0.mp4");
    remux(video.path, folder / "0.ts", "mpegts");
    const VideoScan scan = scan_packets(folder / "0.ts");
    CHECK(scan.table.container == "mpegts");
    CHECK_FALSE(scan.table.contiguous);
    CHECK(scan.table.display_order == video.table->display_order);
    for (size_t i = 0; i < kFrames; ++i) CHECK(scan.table.packets[i].key == video.table->packets[i].key);
    check_all_orders(folder / "0.ts", scan.table);
}

TEST_CASE("other containers of the same packets give the same frames") {
    const TemporaryFolder folder;
    const WrittenVideo video = pyramid_video(folder / "0.mp4");
    for (const char* muxer : {"nut", "flv", "matroska", "mov"}) {
        CAPTURE(std::string(muxer));
        const auto path = folder / muxer;
        remux(video.path, path, muxer);
        const VideoScan scan = scan_packets(path);
        CHECK(scan.table.display_order == video.table->display_order);
        check_all_orders(path, scan.table);
    }
}

TEST_CASE("a bare byte stream has no times: the order of display comes from the pictures") {
    const TemporaryFolder folder;
    const WrittenVideo video = pyramid_video(folder / "0.mp4");
    write_annex_b(video, folder / "0.h264");
    const VideoScan scan = scan_packets(folder / "0.h264");
    CHECK(scan.table.container == "h264");
    CHECK(scan.table.display_order == video.table->display_order);
    check_all_orders(folder / "0.h264", scan.table);
}

TEST_CASE("hidden packets are decoded for the others and not shown") {
    const TemporaryFolder folder;
    const WrittenVideo video = write_video(*video_formats()[1], folder / "0.mkv", kType, 30);
    auto table = std::make_shared<PacketTable>(*video.table);
    for (size_t place = 0; place < 10; ++place) table->packets[place].hidden = true;
    table->sort_display_order();
    REQUIRE(table->frame_count() == 20);
    VideoDecoder decoder(video.path, table);
    FrameToImage converter;
    for (const int position : {0, 1, 2, 19, 3, 0}) {
        CHECK(read_image_number(converter.convert(decoder.read(position), kType)) == position + 10);
    }
}

TEST_CASE("a codec that does not exist, or is no video, is unsupported") {
    const TemporaryFolder folder;
    const WrittenVideo video = write_video(*video_formats()[2], folder / "0.avi", kType, 3);
    for (const char* codec : {"", "nonsense", "mp3", "svg", "libx264"}) {
        CAPTURE(std::string(codec));
        auto table = std::make_shared<PacketTable>(*video.table);
        table->stream.codec = codec;
        try {
            VideoDecoder decoder(video.path, table);
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::unsupported);
        }
    }
}

TEST_CASE("a picture much larger than the table's stream is refused") {
    const TemporaryFolder folder;
    const WrittenVideo video = write_video(*video_formats()[0], folder / "0.mp4",
                                           {.height = 480, .width = 640, .channels = 1, .depth = CV_8U}, 3);
    auto table = std::make_shared<PacketTable>(*video.table);
    table->stream.width = 64;
    table->stream.height = 48;
    VideoDecoder decoder(video.path, table);
    CHECK_THROWS_AS(decoder.read(1), Error);
}

TEST_CASE("byte streams are split at start codes and nowhere else") {
    const std::vector<uint8_t> stream = {0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 3, 9, 0, 0, 1, 0x65, 5, 0, 0};
    const auto units = split_annex_b(stream);
    REQUIRE(units.size() == 3);
    CHECK(units[0].size() == 2);
    CHECK(units[1].size() == 5);
    CHECK(units[2].size() == 2);
    CHECK(length_prefixed(stream).size() == 4 * 3 + 9);
    CHECK(split_annex_b(std::span(stream).first(3)).empty());
    CHECK(split_annex_b({}).empty());
}

TEST_CASE("only IDR pictures of H.264 are entry points, only unreferenced ones disposable") {
    const std::vector<uint8_t> avcc = {1, 100, 0, 30, 0xff, 0xe1, 0};
    const PacketInspector inspector("h264", avcc);
    const auto inspect = [&](std::vector<uint8_t> packet) { return inspector.inspect(packet, {.key = true}); };
    CHECK(inspect({0, 0, 0, 2, 0x65, 0x88}).key);
    CHECK_FALSE(inspect({0, 0, 0, 2, 0x61, 0x88}).key);
    CHECK(inspect({0, 0, 0, 1, 0x06, 0, 0, 0, 2, 0x01, 0x88}).disposable);
    CHECK_FALSE(inspect({0, 0, 0, 2, 0x01, 0x88, 0, 0, 0, 2, 0x21, 0x88}).disposable);
    CHECK_FALSE(inspect({0, 0, 0, 9, 0x65}).key);
    CHECK_FALSE(inspect({}).key);
    const PacketInspector bare("h264", {});
    CHECK(bare.inspect(std::vector<uint8_t>{0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 0x88}, {}).key);
}

TEST_CASE("HEVC: entry points, what is cut off behind gaps, and what may be left out in which layer") {
    const PacketInspector inspector("hevc", {});
    const auto inspect = [&](int type, int layer) {
        return inspector.inspect(
            std::vector<uint8_t>{0, 0, 1, static_cast<uint8_t>(type << 1), static_cast<uint8_t>(layer + 1), 0x80}, {});
    };
    CHECK(inspect(19, 0).closed);
    CHECK(inspect(21, 0).key);
    CHECK_FALSE(inspect(21, 0).closed);
    CHECK(inspect(16, 0).after_gap);
    CHECK(inspect(8, 0).leading);
    CHECK(inspect(9, 0).leading);
    CHECK_FALSE(inspect(9, 0).disposable);
    CHECK(inspect(0, 2).disposable);
    CHECK(inspect(0, 2).layer == 2);
    CHECK_FALSE(inspect(1, 0).disposable);
    CHECK(inspect(36, 0).ends_sequence);
}

TEST_CASE("a packet that is damaged is not taken for a hidden one") {
    const PacketInspector vp8("vp8", {});
    std::vector<uint8_t> key(40);
    key[0] = 0;  // a key frame that is not shown
    key[3] = 0x9d;
    key[4] = 0x01;
    key[5] = 0x2a;
    CHECK(vp8.inspect(key, {}).hidden);
    CHECK(vp8.inspect(key, {}).key);
    key[3] ^= 0x55;
    CHECK_FALSE(vp8.inspect(key, {}).hidden);
    CHECK_FALSE(vp8.inspect(key, {}).key);
    const PacketInspector vp9("vp9", {});
    const std::vector<uint8_t> hidden = {0x84, 0, 0, 0};
    CHECK(vp9.inspect(hidden, {}).hidden);
    const std::vector<uint8_t> damaged = {0x84 ^ 0x55, 0, 0, 0};
    CHECK_FALSE(vp9.inspect(damaged, {}).hidden);
}

TEST_CASE("a stream's description keeps how it is shown; older ones do without") {
    VideoStream stream;
    stream.codec = "hevc";
    stream.width = 64;
    stream.height = 48;
    const Json plain = stream.to_json();
    for (const char* name : {"rotation", "mirrored", "palette", "slice_checksums", "lenient"})
        CHECK_FALSE(plain.contains(name));
    CHECK(VideoStream::from_json(plain) == stream);
    stream.rotation = 270;
    stream.mirrored = true;
    stream.palette = {1, 2, 3, 4};
    stream.slice_checksums = true;
    stream.lenient = true;
    CHECK(VideoStream::from_json(stream.to_json()) == stream);
    Json crooked = stream.to_json();
    crooked["rotation"] = 45;
    CHECK_THROWS_AS(VideoStream::from_json(crooked), Error);
}
