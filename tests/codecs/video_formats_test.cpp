// Formats of video besides imgstore's: lossless ones, modern codecs, images of more than 8 bits.

#include <algorithm>
#include <numeric>
#include <random>

#include <doctest/doctest.h>

#include "base/error.h"
#include "codecs/video/encoder_availability.h"
#include "codecs/video/encoder_options.h"
#include "codecs/video/packet_cutter.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/remux.h"
#include "codecs/video/salvage.h"
#include "codecs/video/video_chunk_format.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

constexpr int kFrames = 24;

ImageType deep_type(int height, int width, int channels) {
    return {height, width, channels, CV_16U};
}

/// One way to write chunks.
struct Way {
    const char* format;
    ImageType type;
    CodecOptions options = {};

    const ChunkFormat& chunk_format() const { return *find_chunk_format(format); }
    int bits() const {
        const auto given = options.find("bits");
        return given == options.end() ? (type.depth == CV_16U ? 16 : 8) : std::stoi(given->second);
    }
    std::string text() const {
        std::string text = std::string(format) + " " + type.text();
        for (const auto& [name, value] : options) text.append(" ").append(name).append("=").append(value);
        return text;
    }
};

/// Noise of all values that the way has, another one for each number.
cv::Mat noise(const Way& way, int number) {
    cv::Mat image(way.type.height, way.type.width, way.type.cv_type());
    cv::RNG random(static_cast<uint64_t>(number) + 1);
    const int values = 1 << way.bits();
    random.fill(image, cv::RNG::UNIFORM, 0, values);
    image.row(0).col(0).setTo(cv::Scalar::all(number % 2 ? values - 1 : 0));
    return image;
}

/// A numbered image in the bits of the way.
cv::Mat numbered(const Way& way, int number) {
    cv::Mat image = make_numbered_image(way.type, number);
    if (way.type.depth == CV_16U) image.convertTo(image, CV_16U, 1.0 / (1 << (16 - way.bits())));
    return image;
}

std::optional<int> number_of(const Way& way, cv::Mat image) {
    if (way.type.depth == CV_16U) image.convertTo(image, CV_16U, 1 << (16 - way.bits()));
    return read_image_number(image);
}

struct Recorded {
    std::filesystem::path path;
    std::vector<StoredFrame> frames;
    std::shared_ptr<PacketTable> table;
    std::unique_ptr<ChunkWriter> writer;  ///< that has not finished the file, where it was not to
};

template <typename Draw>
Recorded record(const TemporaryFolder& folder, const Way& way, int count, bool finish, Draw draw) {
    Recorded recorded;
    recorded.path = folder / ("0" + way.chunk_format().info().extension);
    recorded.writer = way.chunk_format().create(recorded.path, way.type, way.options);
    const auto take = [&] {
        for (StoredFrame& frame : recorded.writer->take_stored()) recorded.frames.push_back(std::move(frame));
    };
    for (int number = 0; number < count; ++number) {
        recorded.writer->write(draw(way, number));
        take();
    }
    if (finish) {
        recorded.writer->finish();
        take();
    }
    recorded.table = table_of(*recorded.writer->stream(), recorded.frames);
    if (finish) recorded.writer.reset();
    return recorded;
}

std::vector<int64_t> shuffled(int64_t count) {
    std::vector<int64_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), int64_t{0});
    std::shuffle(order.begin(), order.end(), std::mt19937(9));
    return order;
}

void check_numbers(const Way& way, ChunkReader& reader, int64_t count) {
    for (const int64_t position : shuffled(count)) {
        const cv::Mat image = reader.read(position);
        REQUIRE(ImageType::of(image) == way.type);
        REQUIRE(number_of(way, image) == static_cast<int>(position));
    }
}

/// What the writer said about its packets is what is in the file.
void check_table(const PacketTable& table, const PacketTable& scanned) {
    REQUIRE(scanned.packets.size() == table.packets.size());
    CHECK(scanned.contiguous);
    CHECK(scanned.display_order == table.display_order);
    CHECK(scanned.stream.codec == table.stream.codec);
    CHECK(scanned.stream.extradata == table.stream.extradata);
    CHECK(scanned.stream.color_range == table.stream.color_range);
    CHECK(scanned.stream.slice_checksums == table.stream.slice_checksums);
    CHECK(scanned.stream.width == table.stream.width);
    CHECK(scanned.stream.height == table.stream.height);
    for (size_t i = 0; i < table.packets.size(); ++i) {
        CAPTURE(i);
        CHECK(scanned.packets[i].offset == table.packets[i].offset);
        CHECK(scanned.packets[i].size == table.packets[i].size);
        CHECK(scanned.packets[i].key == table.packets[i].key);
        CHECK(scanned.packets[i].disposable == table.packets[i].disposable);
        CHECK(scanned.packets[i].checksum == table.packets[i].checksum);
    }
}

double error_between(const cv::Mat& a, const cv::Mat& b) {
    return cv::norm(a, b, cv::NORM_L1) / static_cast<double>(a.total() * static_cast<size_t>(a.channels()));
}

}  // namespace

TEST_CASE("lossless video gives every bit back, in shuffled order, in its own size") {
    std::vector<Way> ways;
    for (const auto& [height, width] : {std::pair{48, 64}, {47, 63}, {1, 1}, {1, 96}, {3, 3}, {17, 3}}) {
        for (const int channels : {1, 3}) {
            if (height > 1) {
                ways.push_back({"ffv1/mkv", image_type(height, width, channels)});
                ways.push_back({"ffv1/mkv", deep_type(height, width, channels)});
            }
            ways.push_back({"h264-lossless/mp4", image_type(height, width, channels), {{"gop", "5"}}});
        }
        ways.push_back({"h264-lossless/mp4", deep_type(height, width, 1), {{"gop", "5"}, {"bits", "10"}}});
    }
    // As small as they may be.
    for (const auto& [slices, side] : {std::pair{"6", 4}, {"9", 4}, {"12", 5}, {"16", 5}, {"24", 7}, {"30", 7}})
        ways.push_back({"ffv1/mkv", image_type(side, side, 1), {{"slices", slices}}});
    for (const int channels : {1, 3}) {
        for (const char* bits : {"10", "12"})
            ways.push_back({"ffv1/mkv", deep_type(47, 63, channels), {{"bits", bits}}});
        for (const char* preset : {"medium", "slowest"}) {
            ways.push_back({"ffv1/mkv", image_type(47, 63, channels), {{"preset", preset}, {"slices", "6"}}});
            ways.push_back({"h264-lossless/mp4", image_type(47, 63, channels), {{"preset", preset}, {"bframes", "2"}}});
        }
    }
    for (const Way& way : ways) {
        CAPTURE(way.text());
        const TemporaryFolder folder;
        REQUIRE_FALSE(way.chunk_format().refuses_with(way.options, way.type));
        CHECK(way.chunk_format().info().lossless);
        CHECK(way.chunk_format().recorded_type(way.type) == way.type);
        const Recorded video = record(folder, way, kFrames, true, noise);
        REQUIRE(video.frames.size() == kFrames);
        check_table(*video.table, scan_packets(video.path).table);
        const auto reader = way.chunk_format().open(video.path, way.type, {.packets = known_packets(video.table)});
        for (const int64_t position : shuffled(kFrames)) {
            const cv::Mat image = reader->read(position);
            REQUIRE(ImageType::of(image) == way.type);
            REQUIRE(image.isContinuous());
            REQUIRE(cv::norm(image, noise(way, static_cast<int>(position)), cv::NORM_INF) == 0);
        }
        CHECK(reader->counters().demux_scans == 0);
    }
}

TEST_CASE("numbered frames come back from HEVC and AV1, in any size and colour they hold") {
    std::vector<Way> ways;
    for (const int channels : {1, 3}) {
        for (const auto& [height, width] : {std::pair{48, 64}, {47, 63}, {16, 33}, {33, 48}})
            ways.push_back({"hevc/mp4", image_type(height, width, channels)});
        for (const auto& [height, width] : {std::pair{64, 64}, {71, 99}}) {
            ways.push_back({"av1/mkv", image_type(height, width, channels)});
            ways.push_back({"av1/mkv", image_type(height, width, channels), {{"tune", "none"}, {"gop", "9"}}});
        }
        ways.push_back({"hevc/mp4", image_type(48, 64, channels), {{"bframes", "3"}, {"preset", "medium"}}});
        ways.push_back({"hevc/mp4", image_type(48, 64, channels), {{"tune", "zerolatency"}, {"threads", "1"}}});
        for (const char* format : {"avc1/mp4", "hevc/mp4"})
            ways.push_back({format, image_type(47, 63, channels), {{"pix_fmt", "yuv444p"}, {"range", "limited"}}});
        ways.push_back({"av1/mkv", image_type(64, 64, channels), {{"range", "limited"}, {"qp", "20"}}});
    }
    ways.push_back({"hevc/mp4", image_type(47, 63, 1), {{"pix_fmt", "gray"}, {"range", "limited"}}});
    for (const Way& way : ways) {
        CAPTURE(way.text());
        const TemporaryFolder folder;
        REQUIRE_FALSE(way.chunk_format().refuses_with(way.options, way.type));
        const Recorded video = record(folder, way, kFrames, true, numbered);
        REQUIRE(video.frames.size() == kFrames);
        const int gop = way.options.count("gop") ? std::stoi(way.options.at("gop")) : 15;
        for (size_t i = 0; i < kFrames; i += static_cast<size_t>(gop)) CHECK(video.table->packets[i].key);
        const PacketTable scanned = scan_packets(video.path).table;
        check_table(*video.table, scanned);
        CHECK(scanned.stream.color_range == (way.options.count("range") ? "tv" : "pc"));
        CHECK(scanned.stream.width == (way.type.width + 1) / 2 * 2);
        const auto reader = way.chunk_format().open(video.path, way.type, {.packets = known_packets(video.table)});
        check_numbers(way, *reader, kFrames);
        CHECK(error_between(reader->read(5), numbered(way, 5)) < (way.type.gray() ? 6 : 12));
    }
}

TEST_CASE("16-bit gray images keep the bits that option bits tells") {
    const std::vector<Way> ways = {
        {"avc1/mp4", deep_type(47, 63, 1), {{"bits", "10"}}},
        {"avc1/mp4", deep_type(48, 64, 1), {{"bits", "10"}, {"pix_fmt", "gray"}, {"crf", "4"}}},
        {"avc1/mp4", deep_type(48, 64, 1), {{"bits", "10"}, {"range", "limited"}}},
        {"h264/mkv", deep_type(48, 64, 1), {{"bits", "10"}, {"pix_fmt", "yuv444p"}}},
        {"hevc/mp4", deep_type(47, 63, 1), {{"bits", "10"}}},
        {"hevc/mp4", deep_type(48, 64, 1), {{"bits", "10"}, {"pix_fmt", "gray"}, {"range", "limited"}}},
        {"hevc/mp4", deep_type(48, 64, 1), {{"bits", "12"}, {"pix_fmt", "gray"}}},
        {"hevc/mp4", deep_type(48, 64, 1), {{"bits", "12"}, {"crf", "4"}}},
        {"av1/mkv", deep_type(65, 67, 1), {{"bits", "10"}}},
    };
    for (const Way& way : ways) {
        CAPTURE(way.text());
        const TemporaryFolder folder;
        CHECK(way.chunk_format().refuses(way.type)->find("bits=10") != std::string::npos);
        const Recorded video = record(folder, way, kFrames, true, numbered);
        check_table(*video.table, scan_packets(video.path).table);
        const auto reader = way.chunk_format().open(video.path, way.type, {.packets = known_packets(video.table)});
        check_numbers(way, *reader, kFrames);
        const double step = 1 << (way.bits() - 8);
        CHECK(error_between(reader->read(7), numbered(way, 7)) < 6 * step);
        // More than 8 bits are kept: not all values are multiples of what 8 bits would leave.
        const cv::Mat image = reader->read(7);
        int between = 0;
        for (const uint16_t value : cv::Mat_<uint16_t>(image)) between += value % (1 << (way.bits() - 8)) != 0;
        CHECK(between > 0);
    }
}

TEST_CASE("values that do not fit in the bits are refused by name and leave the recording sound") {
    for (const Way& way : {Way{"ffv1/mkv", deep_type(48, 64, 1), {{"bits", "12"}}},
                           Way{"ffv1/mkv", deep_type(48, 64, 3), {{"bits", "10"}}},
                           Way{"avc1/mp4", deep_type(48, 64, 1), {{"bits", "10"}}},
                           Way{"av1/mkv", deep_type(64, 64, 1), {{"bits", "10"}}}}) {
        CAPTURE(way.text());
        const TemporaryFolder folder;
        const auto path = folder / ("0" + way.chunk_format().info().extension);
        const auto writer = way.chunk_format().create(path, way.type, way.options);
        writer->write(numbered(way, 0));
        cv::Mat loud = numbered(way, 1);
        loud.row(3).col(5).setTo(cv::Scalar::all(1 << way.bits()));
        std::string message;
        CHECK(error_of([&] { writer->write(loud); }, &message) == ErrorCode::wrong_type);
        CHECK(message.find(std::to_string(1 << way.bits())) != std::string::npos);
        CHECK(message.find(std::to_string(way.bits()) + " bits") != std::string::npos);
        writer->write(numbered(way, 1));
        writer->finish();
        const auto reader = way.chunk_format().open(path, way.type);
        CHECK(reader->frame_count() == 2);
        CHECK(number_of(way, reader->read(1)) == 1);
    }
}

TEST_CASE("an unfinished file is read by what the writer said, and its frames are found without that") {
    const struct {
        Way way;
        int most_held;
    } cases[] = {
        {{"ffv1/mkv", deep_type(48, 64, 1)}, 0},
        {{"ffv1/mkv", image_type(47, 63, 3)}, 0},
        {{"h264-lossless/mp4", image_type(48, 64, 3), {{"tune", "zerolatency"}, {"threads", "1"}}}, 0},
        {{"hevc/mp4", image_type(48, 64, 1), {{"tune", "zerolatency"}, {"threads", "1"}}}, 0},
        {{"hevc/mp4", image_type(48, 64, 3)}, 19},
        {{"av1/mkv", image_type(64, 64, 1)}, 8},
    };
    constexpr int kGiven = 40;
    for (const auto& test : cases) {
        const Way& way = test.way;
        CAPTURE(way.text());
        const TemporaryFolder folder;
        const Recorded video = record(folder, way, kGiven, false, numbered);
        const auto stored = static_cast<int64_t>(video.frames.size());
        CHECK(stored >= kGiven - test.most_held);
        const auto reader = way.chunk_format().open(video.path, way.type, {.packets = known_packets(video.table)});
        check_numbers(way, *reader, stored);
        CHECK(reader->counters().demux_scans == 0);

        const bool mp4 = way.chunk_format().info().extension == ".mp4";
        const SalvagedVideo salvaged = salvage_video(video.path, mp4 ? "mov" : "matroska", video.table->stream);
        CHECK_FALSE(salvaged.complete);
        REQUIRE(salvaged.table.frame_count() == stored);
        for (size_t i = 0; i < video.table->packets.size(); ++i) {
            CHECK(salvaged.table.packets[i].offset == video.table->packets[i].offset);
            CHECK(salvaged.table.packets[i].size == video.table->packets[i].size);
            CHECK(salvaged.table.packets[i].key == video.table->packets[i].key);
        }
        const auto mended = std::make_shared<const PacketTable>(salvaged.table);
        const auto path = folder / ("mended" + way.chunk_format().info().extension);
        const RemuxResult result = remux(video.path, *mended, path, way.chunk_format().info().extension);
        CHECK(result.table.frame_count() == stored);
        check_numbers(way, *way.chunk_format().open(path, way.type), stored);
    }
}

TEST_CASE("ranges are cut out without decoding") {
    for (const Way& way :
         {Way{"ffv1/mkv", deep_type(48, 64, 3)}, Way{"hevc/mp4", deep_type(48, 64, 1), {{"bits", "10"}}},
          Way{"hevc/mp4", image_type(48, 64, 3), {{"bframes", "2"}}}, Way{"av1/mkv", image_type(64, 64, 1)},
          Way{"h264-lossless/mp4", image_type(47, 63, 3)}}) {
        CAPTURE(way.text());
        const TemporaryFolder folder;
        const Recorded video = record(folder, way, 40, true, numbered);
        const std::string& extension = way.chunk_format().info().extension;
        // Files that cannot hide frames are cut between groups of pictures.
        const bool anywhere = can_hide_packets(extension) || way.format == std::string("ffv1/mkv");
        const auto [begin, end] = anywhere ? std::pair{7, 33} : std::pair{15, 30};
        PacketFile file(video.path, video.table);
        const RemuxPart part = {&file, PacketCutter(video.table).cut(begin, end)};
        const auto path = folder / ("cut" + extension);
        const RemuxResult cut = remux({&part, 1}, path, extension);
        REQUIRE(cut.table.frame_count() == end - begin);
        const auto known = known_packets(std::make_shared<const PacketTable>(cut.table));
        const auto whole = way.chunk_format().open(video.path, way.type, {.packets = known_packets(video.table)});
        for (const auto& reader :
             {way.chunk_format().open(path, way.type, {.packets = known}), way.chunk_format().open(path, way.type)}) {
            for (const int64_t position : shuffled(end - begin))
                CHECK(cv::norm(reader->read(position), whole->read(begin + position), cv::NORM_INF) == 0);
        }
    }
}

TEST_CASE("every preset makes a video on every encoder") {
    std::vector<std::string> presets = encoder_presets();
    presets.insert(presets.end(), {"fastest", "slowest"});
    for (const char* format : {"avc1/mp4", "hevc/mp4", "av1/mkv", "ffv1/mkv", "h264-lossless/mp4"}) {
        for (const std::string& preset : presets) {
            const Way way = {format, image_type(64, 64, 1), {{"preset", preset}}};
            CAPTURE(way.text());
            const TemporaryFolder folder;
            const Recorded video = record(folder, way, 3, true, numbered);
            check_numbers(way, *way.chunk_format().open(video.path, way.type), 3);
        }
    }
}

TEST_CASE("encoders that were never given a frame end all the same") {
    for (const char* format : {"avc1/mp4", "hevc/mp4", "av1/mkv", "ffv1/mkv"}) {
        for (const bool finish : {false, true}) {
            CAPTURE(format);
            const TemporaryFolder folder;
            const auto writer = find_chunk_format(format)->create(folder / "0", image_type(64, 64, 1), {});
            if (finish) writer->finish();
            CHECK(writer->take_stored().empty());
        }
    }
}

TEST_CASE("options reach the encoders") {
    const auto bytes = [](const Way& way) {
        const TemporaryFolder folder;
        uint64_t sum = 0;
        for (const StoredFrame& frame : record(folder, way, 6, true, noise).frames) sum += frame.bytes;
        return sum;
    };
    const ImageType gray = image_type(96, 96, 1);
    for (const char* format : {"hevc/mp4", "av1/mkv"}) {
        CHECK(bytes({format, gray, {{"crf", "10"}}}) > 2 * bytes({format, gray, {{"crf", "45"}}}));
        CHECK(bytes({format, gray, {{"qp", "10"}}}) > 2 * bytes({format, gray, {{"qp", "45"}}}));
    }
    const Way range_coder = {"ffv1/mkv", gray, {{"coder", "range"}}};
    CHECK(bytes({"ffv1/mkv", gray}) != bytes(range_coder));
    CHECK(bytes({"ffv1/mkv", gray, {{"coder", "range"}, {"context", "1"}}}) != bytes(range_coder));
    CHECK(bytes({"ffv1/mkv", gray, {{"slices", "16"}}}) != bytes({"ffv1/mkv", gray}));
    const TemporaryFolder folder;
    const Way hevc = {"hevc/mp4", image_type(48, 64, 3), {{"pix_fmt", "yuv422p"}, {"frame_rate", "29.97"}}};
    const PacketTable scanned = scan_packets(record(folder, hevc, 8, true, numbered).path).table;
    CHECK(scanned.stream.pixel_format == "yuv422p");
    CHECK(scanned.stream.frame_rate == doctest::Approx(29.97).epsilon(1e-4));
    CHECK(scanned.stream.codec_tag == ('h' | 'v' << 8 | 'c' << 16 | '1' << 24));
}

TEST_CASE("options that a format does not have, and values that it does not know, are refused by name") {
    const struct {
        const char* format;
        CodecOptions options;
        const char* named;
    } cases[] = {
        {"ffv1/mkv", {{"crf", "3"}}, "crf"},
        {"ffv1/mkv", {{"gop", "3"}}, "gop"},
        {"ffv1/mkv", {{"pix_fmt", "gray"}}, "slices"},
        {"ffv1/mkv", {{"bits", "11"}}, "10, 12, 16"},
        {"ffv1/mkv", {{"slices", "5"}}, "24"},
        {"ffv1/mkv", {{"coder", "huffman"}}, "range"},
        {"hevc/mp4", {{"bits", "16"}}, "10, 12"},
        {"hevc/mp4", {{"tune", "film"}}, "grain"},
        {"hevc/mp4", {{"range", "wide"}}, "limited"},
        {"hevc/mp4", {{"encoder", "libx264"}}, "libx265"},
        {"av1/mkv", {{"pix_fmt", "gray"}}, "yuv420p"},
        {"av1/mkv", {{"crf", "64"}}, "63"},
        {"av1/mkv", {{"crf", "20.5"}}, "whole"},
        {"av1/mkv", {{"bframes", "2"}}, "bframes"},
        {"av1/mkv", {{"qp", "0"}}, "qp"},
        {"mjpeg/avi", {{"range", "full"}}, "range"},
        {"mjpeg/avi", {{"threads", "2"}}, "threads"},
        {"avc1/mp4", {{"bits", "12"}}, "10"},
        {"h264-lossless/mp4", {{"crf", "0"}}, "nothing may be lost"},
        {"avc1/mp4", {{"slices", "4"}}, "slices"},
        {"h264-lossless/mp4", {{"range", "full"}}, "range"},
    };
    for (const auto& bad : cases) {
        CAPTURE(bad.format);
        CAPTURE(bad.named);
        const ChunkFormat& format = *find_chunk_format(bad.format);
        const TemporaryFolder folder;
        for (const bool creating : {false, true}) {
            std::string message;
            const auto code = error_of(
                [&] {
                    if (creating) {
                        format.create(folder / "0", image_type(64, 64, 1), bad.options);
                    } else {
                        format.check_options(bad.options);
                    }
                },
                &message);
            CHECK(code == ErrorCode::invalid_argument);
            CHECK(message.find(bad.named) != std::string::npos);
        }
        CHECK(std::filesystem::is_empty(folder.path()));
    }
}

TEST_CASE("images that a format cannot hold are refused with what could hold them, and no file is made") {
    const struct {
        Way way;
        const char* named;
    } cases[] = {
        {{"av1/mkv", image_type(48, 64, 1)}, "63 pixels"},
        {{"av1/mkv", image_type(64, 62, 3)}, "avc1/mp4"},
        {{"hevc/mp4", image_type(14, 64, 1)}, "15 pixels"},
        {{"hevc/mp4", image_type(48, 64, 4)}, "npy"},
        {{"hevc/mp4", deep_type(48, 64, 1)}, "bits=10"},
        {{"hevc/mp4", deep_type(48, 64, 3), {{"bits", "10"}}}, "ffv1/mkv"},
        {{"hevc/mp4", image_type(48, 64, 1), {{"bits", "10"}}}, "16-bit"},
        {{"avc1/mp4", deep_type(48, 64, 3)}, "ffv1/mkv"},
        {{"mjpeg/avi", deep_type(48, 64, 1)}, "npy"},
        {{"h264-lossless/mp4", deep_type(48, 64, 3), {{"bits", "10"}}}, "ffv1/mkv"},
        {{"ffv1/mkv", image_type(2, 64, 1)}, "3 pixels"},
        {{"ffv1/mkv", deep_type(48, 6, 3), {{"slices", "30"}}}, "7 pixels"},
        {{"ffv1/mkv", {48, 64, 1, CV_32F}}, "npy"},
        {{"ffv1/mkv", deep_type(48, 64, 1), {{"coder", "rice"}}}, "range"},
    };
    for (const auto& test : cases) {
        const Way& way = test.way;
        CAPTURE(way.text());
        const auto reason = way.chunk_format().refuses_with(way.options, way.type);
        REQUIRE(reason);
        CHECK(reason->find(test.named) != std::string::npos);
        const TemporaryFolder folder;
        std::string message;
        CHECK(error_of([&] { way.chunk_format().create(folder / "0", way.type, way.options); }, &message) ==
              ErrorCode::wrong_type);
        CHECK(message.find(*reason) != std::string::npos);
        CHECK(std::filesystem::is_empty(folder.path()));
    }
}

TEST_CASE("encoders of devices are refused where there is none, saying why") {
    const std::pair<const char*, const char*> encoders[] = {
        {"avc1/mp4", "h264_nvenc"}, {"h264/mkv", "h264_vaapi"}, {"hevc/mp4", "hevc_nvenc"}, {"hevc/mp4", "hevc_vaapi"}};
    for (const auto& test : encoders) {
        const char* const format = test.first;
        const char* const encoder = test.second;
        CAPTURE(encoder);
        const ChunkFormat& chunk_format = *find_chunk_format(format);
        const auto& option = chunk_format.info().options.front();
        CHECK(option.name == "encoder");
        CHECK(option.help.find(encoder) != std::string::npos);
        const std::string reason = encoder_unavailable(encoder);
        if (reason.empty()) {
            MESSAGE("not checked: this machine seems to have a device for " << encoder);
            continue;
        }
        CHECK(option.help.find(reason) != std::string::npos);
        const TemporaryFolder folder;
        for (const bool creating : {false, true}) {
            std::string message;
            const auto code = error_of(
                [&] {
                    if (creating) {
                        chunk_format.create(folder / "0", image_type(64, 64, 1), {{"encoder", encoder}});
                    } else {
                        chunk_format.check_options({{"encoder", encoder}});
                    }
                },
                &message);
            CHECK(code == ErrorCode::unsupported);
            CHECK(message.find(reason) != std::string::npos);
        }
        CHECK(std::filesystem::is_empty(folder.path()));
    }
    // Options that only software has, and the other way round.
    const auto refused = [](const char* format, const CodecOptions& options) {
        return error_of([&] { find_chunk_format(format)->check_options(options); }) == ErrorCode::invalid_argument;
    };
    CHECK(refused("avc1/mp4", {{"encoder", "h264_nvenc"}, {"tune", "film"}}));
    CHECK(refused("avc1/mp4", {{"encoder", "h264_nvenc"}, {"bits", "10"}}));
    CHECK(refused("hevc/mp4", {{"encoder", "hevc_vaapi"}, {"crf", "20"}}));
    CHECK(refused("hevc/mp4", {{"encoder", "hevc_vaapi"}, {"preset", "fast"}}));
}

TEST_CASE("options of the encoders of devices are read as their list says") {
    using Names = std::vector<std::string>;
    const struct {
        const char* encoder;
        Names options;
        std::vector<CodecOptions> good;
        std::vector<CodecOptions> bad;
    } cases[] = {
        {"h264_nvenc",
         {"encoder", "preset", "crf", "qp", "gop", "bframes", "pix_fmt", "range", "frame_rate"},
         {{{"preset", "fastest"}}, {{"crf", "1"}}, {{"qp", "0"}, {"gop", "30"}}, {{"pix_fmt", "yuv444p"}}},
         {{{"preset", "p1"}}, {{"crf", "0"}}, {{"crf", "52"}}, {{"qp", "20"}, {"crf", "20"}}, {{"pix_fmt", "gray"}}}},
        {"hevc_nvenc",
         {"encoder", "preset", "crf", "qp", "gop", "bframes", "pix_fmt", "range", "bits", "frame_rate"},
         {{{"bits", "10"}}, {{"range", "limited"}, {"bframes", "2"}}},
         {{{"bits", "12"}}, {{"gop", "0"}}, {{"bframes", "17"}}}},
        {"h264_vaapi",
         {"encoder", "qp", "gop", "bframes", "pix_fmt", "range", "frame_rate"},
         {{{"qp", "1"}}, {{"qp", "51"}, {"range", "full"}}, {{"pix_fmt", "yuvj420p"}}},
         {{{"qp", "0"}}, {{"qp", "52"}}, {{"pix_fmt", "yuv444p"}}, {{"range", "wide"}}}},
        {"hevc_vaapi",
         {"encoder", "qp", "gop", "bframes", "pix_fmt", "range", "bits", "frame_rate"},
         {{{"bits", "10"}, {"frame_rate", "29.97"}}},
         {{{"bits", "12"}}, {{"qp", "best"}}}},
    };
    const Names every_option = {"preset", "tune", "crf",   "qp",      "gop",    "bframes",    "quality", "pix_fmt",
                                "range",  "bits", "coder", "context", "slices", "frame_rate", "threads"};
    const Names allowed = {"libx264", "h264_nvenc", "h264_vaapi", "hevc_nvenc", "hevc_vaapi"};
    const auto with = [](CodecOptions options, const std::string& encoder) {
        options["encoder"] = encoder;
        return options;
    };
    for (const auto& test : cases) {
        const std::string encoder = test.encoder;
        CAPTURE(encoder);
        Names listed;
        CodecOptions defaults;
        for (const CodecOptionInfo& option : encoder_option_list({encoder})) {
            listed.push_back(option.name);
            if (option.name != "qp" && option.name != "bits") defaults[option.name] = option.default_value;
        }
        CHECK(listed == test.options);
        const EncoderSettings said = parse_encoder_options(defaults, allowed);
        const EncoderSettings unsaid = parse_encoder_options({{"encoder", encoder}}, allowed);
        for (const EncoderSettings& settings : {said, unsaid}) {
            CHECK(settings.encoder == encoder);
            CHECK(settings.pixel_format == "yuv420p");
            CHECK(settings.full_range);
            CHECK_FALSE(settings.bits);
            CHECK(settings.qp.has_value() == encoder.ends_with("vaapi"));
            CHECK((settings.crf > 0) == encoder.ends_with("nvenc"));
            CHECK(settings.preset.empty() == encoder.ends_with("vaapi"));
            CHECK(refuses_images(settings, deep_type(64, 64, 1)));
            CHECK_FALSE(refuses_images(settings, image_type(64, 64, 3)));
        }
        for (const CodecOptions& options : test.good)
            CHECK_NOTHROW(parse_encoder_options(with(options, encoder), allowed));
        for (const CodecOptions& options : test.bad) {
            CHECK(error_of([&] { parse_encoder_options(with(options, encoder), allowed); }) ==
                  ErrorCode::invalid_argument);
        }
        for (const std::string& name : every_option) {
            if (std::find(listed.begin(), listed.end(), name) != listed.end()) continue;
            CAPTURE(name);
            std::string message;
            CHECK(error_of(
                      [&] {
                          parse_encoder_options({{"encoder", encoder}, {name, "1"}}, allowed);
                      },
                      &message) == ErrorCode::invalid_argument);
            CHECK(message.find("encoder " + encoder + " has no option '" + name + "'") != std::string::npos);
        }
    }
    const EncoderSettings deep = parse_encoder_options({{"encoder", "hevc_vaapi"}, {"bits", "10"}}, allowed);
    CHECK_FALSE(refuses_images(deep, deep_type(64, 64, 1)));
    CHECK(refuses_images(deep, image_type(64, 64, 1)));
    CHECK(error_of([&] {
              parse_encoder_options({{"encoder", "h264_nvenc"}}, {"libx264"});
          }) == ErrorCode::invalid_argument);
}
