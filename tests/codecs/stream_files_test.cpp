/// Sinks for pipes: y4m, raw pixels, and the formats that can be written to a stream besides to a file.

#include <algorithm>
#include <cstring>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/npy.h"
#include "base/numbered_frames.h"
#include "codecs/file_format.h"
#include "codecs/option_values.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

ImageType image_type(int height, int width, int channels, int depth = CV_8U) {
    return {.height = height, .width = width, .channels = channels, .depth = depth};
}

Frame numbered_frame(const ImageType& type, int number) {
    return {.image = make_numbered_image(type, number),
            .index = number,
            .number = number,
            .time = number * 0.04,
            .owner = {}};
}

struct Output {
    std::vector<uint8_t> bytes;
    std::vector<std::string> notes;
};

Output written(const std::string& name, const ImageType& type, int count, SinkOptions options, bool stream) {
    const TemporaryFolder folder;
    Output output;
    if (stream) {
        options.stream = [&](std::span<const uint8_t> more) {
            output.bytes.insert(output.bytes.end(), more.begin(), more.end());
        };
    }
    const auto sink = create_file_sink(folder / name, options);
    for (int i = 0; i < count; ++i) sink->write(numbered_frame(type, i));
    sink->close();
    output.notes = sink->notes();
    CHECK(std::filesystem::exists(folder / name) == !stream);
    if (!stream) output.bytes = read_file(folder / name, 1 << 28);
    return output;
}

bool equal(const cv::Mat& one, const cv::Mat& other) {
    return one.size() == other.size() && one.type() == other.type() && cv::norm(one, other, cv::NORM_INF) == 0;
}

}  // namespace

TEST_CASE("a stream holds the same bytes as a file") {
    struct Case {
        const char* name;
        ImageType type;
        std::optional<int64_t> expected;
    };
    const Case cases[] = {{"a.y4m", image_type(33, 47, 1), {}},         {"a.y4m", image_type(32, 48, 3), {}},
                          {"a.raw", image_type(33, 47, 3, CV_16U), {}}, {"a.npy", image_type(33, 47, 3, CV_16U), 12},
                          {"a.npy", image_type(33, 47, 1, CV_32F), {}}, {"a.npy", image_type(33, 4 * 16, 1), 12},
                          {"a.gif", image_type(32, 48, 3), {}}};
    for (const Case& one : cases) {
        CAPTURE(one.name);
        const SinkOptions options{.frame_rate = 25, .expected_frames = one.expected};
        const Output file = written(one.name, one.type, 12, options, false);
        const Output stream = written(one.name, one.type, 12, options, true);
        CHECK(file.bytes.size() > 100);
        CHECK(file.bytes == stream.bytes);
    }
}

TEST_CASE("y4m: gray of every depth comes back exactly, also of odd sizes, colour nearly") {
    struct Case {
        ImageType type;
        CodecOptions codec;
        int divisor;
        double worst;    ///< difference of a value
        double average;  ///< the same; the chroma of the test images changes from pixel to pixel
    };
    const Case cases[] = {{image_type(33, 47, 1), {}, 1, 0, 0},
                          {image_type(33, 47, 1), {{"range", "limited"}}, 1, 1, 0.5},
                          {image_type(33, 47, 1, CV_16U), {}, 1, 0, 0},
                          {image_type(33, 47, 1, CV_16U), {{"bits", "10"}}, 64, 0, 0},
                          {image_type(33, 47, 1, CV_16U), {{"bits", "12"}}, 16, 0, 0},
                          {image_type(33, 47, 3), {}, 1, 2, 0.7},
                          {image_type(33, 47, 3), {{"range", "limited"}}, 1, 4, 1},
                          {image_type(32, 48, 3), {{"pix_fmt", "yuv420p"}}, 1, 255, 14},
                          {image_type(33, 47, 3), {{"pix_fmt", "yuv420p"}}, 1, 255, 14},
                          {image_type(33, 47, 3), {{"pix_fmt", "yuv422p"}}, 1, 255, 14}};
    for (const Case& one : cases) {
        CAPTURE(one.type.text());
        CAPTURE(one.codec.size());
        const TemporaryFolder folder;
        const auto sink = create_file_sink(folder / "a.y4m", {.codec = one.codec});
        std::vector<cv::Mat> images;
        for (int i = 0; i < 5; ++i) {
            Frame frame = numbered_frame(one.type, i);
            frame.image = frame.image / one.divisor;
            images.push_back(frame.image);
            sink->write(frame);
        }
        sink->close();
        const auto source = open_file_source(folder / "a.y4m");
        REQUIRE(source->info().frame_count == 5);
        CHECK(source->info().image_type == one.type);
        for (const int i : {3, 0, 4, 1, 2}) {
            const cv::Mat read = source->random_access()->at_index(i).image;
            CHECK(cv::norm(read, images[static_cast<size_t>(i)], cv::NORM_INF) <= one.worst);
            const double values = static_cast<double>(read.total()) * read.channels();
            CHECK(cv::norm(read, images[static_cast<size_t>(i)], cv::NORM_L1) / values <= one.average);
            if (one.divisor == 1) CHECK(read_image_number(read) == i);
        }
    }
}

TEST_CASE("y4m: the header tells the rate as a fraction, and values out of bits are refused") {
    const auto header = [](const SinkOptions& options) {
        const Output output = written("a.y4m", image_type(32, 48, 1), 1, options, true);
        return std::string(output.bytes.begin(), std::find(output.bytes.begin(), output.bytes.end(), '\n'));
    };
    CHECK(header({}) == "YUV4MPEG2 W48 H32 F25:1 Ip A1:1 Cmono XCOLORRANGE=FULL");
    CHECK(header({.frame_rate = 24000.0 / 1001}).find(" F24000:1001 ") != std::string::npos);
    CHECK(header({.codec = {{"frame_rate", "30000/1001"}}}).find(" F30000:1001 ") != std::string::npos);
    const auto refused = [](const ImageType& type, const CodecOptions& codec) {
        return error_of([&] { written("a.y4m", type, 1, {.codec = codec}, true); });
    };
    CHECK(refused(image_type(32, 48, 1, CV_16U), {{"bits", "10"}}) == ErrorCode::wrong_type);
    CHECK(refused(image_type(32, 48, 3, CV_16U), {}) == ErrorCode::wrong_type);
    CHECK(refused(image_type(32, 48, 1, CV_32F), {}) == ErrorCode::wrong_type);
    CHECK(refused(image_type(32, 48, 1), {{"bits", "10"}}) == ErrorCode::invalid_argument);
    CHECK(refused(image_type(32, 48, 1), {{"crf", "10"}}) == ErrorCode::invalid_argument);
}

TEST_CASE("y4m: a first frame that is refused leaves no file, and the next one begins it") {
    const TemporaryFolder folder;
    const ImageType deep = image_type(32, 48, 1, CV_16U);
    {
        const auto sink = create_file_sink(folder / "a.y4m", {.codec = {{"bits", "10"}}});
        CHECK(error_of([&] { sink->write(numbered_frame(deep, 1)); }) == ErrorCode::wrong_type);
    }
    CHECK_FALSE(std::filesystem::exists(folder / "a.y4m"));
    const auto sink = create_file_sink(folder / "a.y4m", {.codec = {{"bits", "10"}}});
    CHECK(error_of([&] { sink->write(numbered_frame(deep, 1)); }) == ErrorCode::wrong_type);
    Frame frame = numbered_frame(deep, 2);
    frame.image = frame.image / 64;
    sink->write(frame);
    sink->close();
    const auto source = open_file_source(folder / "a.y4m");
    REQUIRE(source->random_access()->frame_count() == 1);
    CHECK(equal(source->random_access()->at_index(0).image, frame.image));
}

TEST_CASE("raw pixels: frames one after the other, in the order that is asked for, and a note of their shape") {
    const ImageType type = image_type(20, 30, 3);
    const Output native = written("a.raw", type, 4, {}, true);
    REQUIRE(native.bytes.size() == 4 * type.bytes());
    for (int i = 0; i < 4; ++i) {
        const cv::Mat image = make_numbered_image(type, i);
        CHECK(std::memcmp(native.bytes.data() + i * type.bytes(), image.data, type.bytes()) == 0);
    }
    REQUIRE(native.notes.size() == 1);
    CHECK(native.notes[0].find("(4, 20, 30, 3)") != std::string::npos);
    CHECK(native.notes[0].find("|u1") != std::string::npos);
    const Output rgb = written("a.raw", type, 1, {.codec = {{"pix", "rgb"}}}, true);
    CHECK(rgb.bytes[0] == native.bytes[2]);
    CHECK(rgb.bytes[2] == native.bytes[0]);
    CHECK(written("a.raw", type, 2, {.codec = {{"pix", "gray"}}}, true).bytes.size() == 2 * 20 * 30);
    CHECK(written("a.raw", image_type(20, 30, 1, CV_16U), 2, {.codec = {{"pix", "bgr"}}}, true).bytes.size() ==
          2 * 20 * 30 * 3 * 2);
    CHECK(error_of([&] {
              written("a.raw", image_type(20, 30, 1, CV_64F), 1, {.codec = {{"pix", "rgb"}}}, true);
          }) == ErrorCode::wrong_type);
    // Rows of a part of an image do not follow each other.
    const cv::Mat whole = make_numbered_image(image_type(40, 60, 1), 9);
    Frame part;
    part.image = whole(cv::Rect(10, 5, 30, 20));
    std::vector<uint8_t> bytes;
    SinkOptions options;
    options.stream = [&](std::span<const uint8_t> more) { bytes.insert(bytes.end(), more.begin(), more.end()); };
    const auto sink = create_file_sink("a.raw", options);
    sink->write(part);
    sink->close();
    CHECK(equal(cv::Mat(20, 30, CV_8UC1, bytes.data()), part.image));
}

TEST_CASE("npy: a stream that does not become as long as its header says is an error") {
    const ImageType type = image_type(20, 30, 1);
    for (const int expected : {3, 5}) {
        std::string message;
        CHECK(error_of([&] { written("a.npy", type, 4, {.expected_frames = expected}, true); }, &message) ==
              ErrorCode::corrupt);
        CHECK(message.find("4 frames came") != std::string::npos);
    }
    CHECK(parse_npy_header(written("a.npy", type, 4, {.expected_frames = 5}, false).bytes).shape[0] == 4);
}

TEST_CASE("a kind counts more than the name, and what cannot go to a stream says what can") {
    const ImageType type = image_type(32, 48, 1);
    const TemporaryFolder folder;
    for (const char* kind : {".mp4", ".y4m", ".npy"}) {
        const auto path = folder / (std::string("a") + (kind + 1) + ".bin");
        const auto sink = create_file_sink(path, {.kind = kind});
        for (int i = 0; i < 3; ++i) sink->write(numbered_frame(type, i));
        sink->close();
        CHECK(read_image_number(open_file_source(path)->random_access()->at_index(2).image) == 2);
    }
    const auto image = create_file_sink(folder / "image.bin", {.kind = ".png"});
    image->write(numbered_frame(type, 77));
    image->close();
    CHECK(read_image_number(open_file_source(folder / "image.bin")->next()->image) == 77);
    std::string message;
    SinkOptions options;
    options.stream = [](std::span<const uint8_t>) {};
    CHECK(error_of([&] { create_file_sink(folder / "frame_{:03d}.png", options); }, &message) ==
          ErrorCode::unsupported);
    CHECK(message.find("y4m") != std::string::npos);
}

TEST_CASE("frame rates as text") {
    CHECK(frame_rate_from_text("25") == 25.0);
    CHECK(frame_rate_from_text("29.97") == 29.97);
    CHECK(frame_rate_from_text("24000/1001") == 24000.0 / 1001);
    for (const char* text : {"", "x", "25 ", "0", "-1", "1/0", "1/", "/2", "1/2/3", "nan", "inf", "0x19"}) {
        CAPTURE(text);
        CHECK_FALSE(frame_rate_from_text(text));
    }
}

}  // namespace reelstore
