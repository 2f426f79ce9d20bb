#include <cmath>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "base/npy.h"
#include "base/numbered_frames.h"
#include "codecs/file_format.h"
#include "codecs/frame_file_pattern.h"
#include "codecs/image_codec.h"
#include "tests/image_equality.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

namespace fs = std::filesystem;

Frame frame_of(const ImageType& type, int number) {
    Frame frame;
    frame.image = make_numbered_image(type, number);
    frame.number = number;
    return frame;
}

void write_image(const fs::path& path, const ImageType& type, int number) {
    const auto bytes = encode_image(make_numbered_image(type, number), path.extension().string());
    write_new_file(path, bytes.data(), bytes.size());
}

std::vector<int> numbers_of(FrameSource& source) {
    std::vector<int> numbers;
    while (const auto frame = source.next()) {
        CHECK(frame->index == int64_t(numbers.size()));
        CHECK(frame->number == frame->index);
        CHECK(std::isnan(frame->time));
        numbers.push_back(read_image_number(frame->image).value_or(-1));
    }
    return numbers;
}

bool missing(const fs::path& path) {
    return file_system().status(path).kind == FileKind::missing;
}

void write_array(const fs::path& path, const std::string& descr, const std::vector<int64_t>& shape,
                 const std::vector<uint8_t>& data, bool fortran = false) {
    std::vector<uint8_t> bytes = make_npy_header(descr, shape);
    if (fortran) {
        const std::string text(bytes.begin(), bytes.end());
        const size_t place = text.find("False");
        const std::string order = "True ";
        std::copy(order.begin(), order.end(), bytes.begin() + ptrdiff_t(place));
    }
    bytes.insert(bytes.end(), data.begin(), data.end());
    write_new_file(path, bytes.data(), bytes.size());
}

constexpr ImageType kColor{48, 64, 3, CV_8U};
constexpr ImageType kGray{48, 64, 1, CV_8U};

}  // namespace

TEST_CASE("image folder source: natural order, most common kind, other files ignored") {
    const TemporaryFolder folder;
    for (int number : {1, 2, 3, 9, 10, 11, 100}) {
        const bool is_upper = number % 2 == 0;
        write_image(folder / ("frame_" + std::to_string(number) + ".png"), kColor, number);
        if (is_upper)
            fs::rename(folder / ("frame_" + std::to_string(number) + ".png"),
                       folder / ("frame_" + std::to_string(number) + ".PNG"));
    }
    write_image(folder / "frame_5.jpg", kColor, 5);
    write_image(folder / ".frame_6.png", kColor, 6);
    write_file_atomically(folder / "notes.txt", "nothing");
    write_file_atomically(folder / "index.npz", "nothing");

    const auto source = open_file_source(folder.path());
    CHECK(source->info().format == "image folder");
    CHECK(source->info().image_type == kColor);
    CHECK(source->info().frame_count == 7);
    CHECK_FALSE(source->info().has_numbers);
    CHECK_FALSE(source->info().has_times);
    RandomAccess* random = source->random_access();
    REQUIRE(random);
    CHECK(read_image_number(random->at_index(4).image) == 10);
    CHECK(random->at_index(4).index == 4);
    CHECK(numbers_of(*source) == std::vector<int>{1, 2, 3, 9, 10, 11, 100});
    CHECK(read_image_number(random->at_index(0).image) == 1);
    for (int64_t index : {-1, 7}) {
        CHECK(expected_error([&] { random->at_index(index); }).code() == ErrorCode::invalid_argument);
    }
}

TEST_CASE("image folder source: jpeg and jpg are one kind, gray on request") {
    const TemporaryFolder folder;
    write_image(folder / "1.jpeg", kColor, 1);
    write_image(folder / "2.jpg", kColor, 2);
    write_image(folder / "3.png", kColor, 3);
    const auto source = open_file_source(folder.path(), {.gray = true});
    CHECK(source->info().image_type == kGray);
    CHECK(numbers_of(*source) == std::vector<int>{1, 2});
}

TEST_CASE("image folder source: an image of another type or a damaged one is an error, the others are read") {
    const TemporaryFolder folder;
    write_file_atomically(folder / "0.png", "no image");
    write_image(folder / "1.png", kColor, 1);
    write_image(folder / "2.png", {40, 64, 3, CV_8U}, 2);
    write_image(folder / "3.png", {48, 64, 3, CV_16U}, 3);
    write_image(folder / "4.png", kGray, 4);
    write_image(folder / "5.png", kColor, 5);
    const auto source = open_file_source(folder.path());
    CHECK(source->info().image_type == kColor);
    const Error damaged = expected_error([&] { source->next(); });
    CHECK(damaged.place().path == (folder / "0.png").string());
    CHECK(damaged.place().frame_index == 0);
    CHECK(read_image_number(source->next()->image) == 1);
    for (const char* name : {"2.png", "3.png", "4.png"}) {
        const Error error = expected_error([&] { source->next(); });
        CHECK(error.code() == ErrorCode::wrong_type);
        CHECK(error.place().path == (folder / name).string());
    }
    CHECK(read_image_number(source->next()->image) == 5);
    CHECK_FALSE(source->next());
}

TEST_CASE("image folder source: stores and folders without images are left to others") {
    const TemporaryFolder folder;
    CHECK(expected_error([&] { open_file_source(folder.path()); }).code() == ErrorCode::unsupported);
    write_image(folder / "1.png", kColor, 1);
    write_file_atomically(folder / "metadata.yaml", "camera: left\n");
    CHECK(open_file_source(folder.path())->info().frame_count == 1);
    write_file_atomically(folder / "metadata.yaml", "rig: 3\n__store:\n  version: 2\n");
    const Error error = expected_error([&] { open_file_source(folder.path()); });
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(std::string(error.what()).find("image folder: not recognised") != std::string::npos);
    CHECK(expected_error([&] { open_file_source(folder / "gone"); }).code() == ErrorCode::not_found);
}

TEST_CASE("image folder sink: patterns and folders") {
    const TemporaryFolder folder;
    const auto write_three = [&](const fs::path& path) {
        const auto sink = create_file_sink(path);
        for (int number : {7, 8, 9}) sink->write(frame_of(kColor, number));
        sink->close();
        sink->close();
    };
    write_three(folder / "a" / "frame_{:06d}.png");
    CHECK(file_system().list(folder / "a") ==
          std::vector<std::string>{"frame_000000.png", "frame_000001.png", "frame_000002.png"});
    CHECK(numbers_of(*open_file_source(folder / "a")) == std::vector<int>{7, 8, 9});
    write_three(folder / "b" / "{}.npy");
    CHECK(file_system().list(folder / "b") == std::vector<std::string>{"0.npy", "1.npy", "2.npy"});
    CHECK(numbers_of(*open_file_source(folder / "b")) == std::vector<int>{7, 8, 9});
    for (const char* name : {"c/", "d"}) {
        write_three(folder / name);
        CHECK(file_system().list(folder / name).front() == "frame_000000.png");
    }
    file_system().create_folder(folder / "e.d");
    write_three(folder / "e.d");
    CHECK(file_system().list(folder / "e.d").size() == 3);

    for (const fs::path& again : {folder / "a" / "frame_{:06d}.png", folder / "c/", folder / "d"}) {
        CHECK(expected_error([&] { create_file_sink(again); }).code() == ErrorCode::already_exists);
    }
}

TEST_CASE("image folder sink: a pattern may be used beside other files") {
    const TemporaryFolder folder;
    const auto write_one = [](const fs::path& path) {
        const auto sink = create_file_sink(path);
        sink->write(frame_of(kColor, 5));
        sink->close();
    };
    const std::vector<std::string> others = {"Frame_000001.png", "a_frame_000001.png", "frame_.png",
                                             "frame_000001.jpg", "frame_000001_b.png", "frame_-00001.png",
                                             "frame_00000a.png", "frame.png",          "notes.txt"};
    for (const std::string& name : others) write_file_atomically(folder / name, "kept");
    write_one(folder / "frame_{:06d}.png");
    CHECK(read_image_number(open_file_source(folder / "frame_000000.png")->next()->image) == 5);
    for (const std::string& name : others) CHECK(read_text_file(folder / name, 100) == "kept");
    CHECK(file_system().list(folder.path()).size() == others.size() + 1);

    write_file_atomically(folder / "frame_17.png", "kept");
    for (const char* pattern : {"frame_{:06d}.png", "frame_{:02d}.png", "frame_{}.png"}) {
        CAPTURE(pattern);
        const Error error = expected_error([&] { create_file_sink(folder / pattern); });
        CHECK(error.code() == ErrorCode::already_exists);
        CHECK(error.place().path == (folder / "frame_000000.png").string());
    }
    for (const fs::path& whole : {folder / "", folder.path()}) {
        const Error error = expected_error([&] { create_file_sink(whole); });
        CHECK(error.code() == ErrorCode::already_exists);
        CHECK(error.place().path == whole.string());
    }
    CHECK(expected_error([&] { create_file_sink(folder / "notes.txt" / "{}.png"); }).code() ==
          ErrorCode::already_exists);
    CHECK(file_system().list(folder.path()).size() == others.size() + 2);
}

TEST_CASE("image folder sink: a pattern without a folder writes to the working folder") {
    const TemporaryFolder folder;
    write_file_atomically(folder / "notes.txt", "kept");
    const fs::path previous = fs::current_path();
    fs::current_path(folder.path());
    const auto sink = create_file_sink("frame_{:03d}.png");
    sink->write(frame_of(kColor, 5));
    sink->close();
    const Error error = expected_error([&] { create_file_sink("frame_{:03d}.png"); });
    fs::current_path(previous);
    CHECK(error.code() == ErrorCode::already_exists);
    CHECK(fs::path(error.place().path).filename() == "frame_000.png");
    CHECK(file_system().list(folder.path()) == std::vector<std::string>{"frame_000.png", "notes.txt"});
}

TEST_CASE("image folder sink: without frames nothing appears") {
    const TemporaryFolder folder;
    create_file_sink(folder / "a" / "{}.png")->close();
    CHECK(missing(folder / "a"));
    const auto sink = create_file_sink(folder / "b" / "{}.pgm");
    CHECK(expected_error([&] { sink->write(frame_of(kColor, 1)); }).code() == ErrorCode::wrong_type);
    CHECK(missing(folder / "b"));
    sink->write(frame_of(kGray, 1));
    CHECK(expected_error([&] { sink->write(frame_of({40, 64, 1, CV_8U}, 1)); }).code() == ErrorCode::wrong_type);
    sink->write(frame_of(kGray, 2));
    sink->close();
    CHECK(expected_error([&] { sink->write(frame_of(kGray, 1)); }).code() == ErrorCode::invalid_argument);
    CHECK(numbers_of(*open_file_source(folder / "b")) == std::vector<int>{1, 2});
}

TEST_CASE("image folder sink: options and bad names") {
    const TemporaryFolder folder;
    CHECK(expected_error([&] {
              create_file_sink(folder / "{}.png", {.frame_rate = {}, .codec = {{"quality", "9"}}});
          }).code() == ErrorCode::invalid_argument);
    create_file_sink(folder / "x" / "{}.jpg", {.frame_rate = {}, .codec = {{"quality", "9"}}});
    for (const char* name : {"{:6d}.png", "{:06x}.png", "{0}.png", "{}{}.png", "{.png", "}{.png", "{{}}.png",
                             "{:0d}.png", "{:019d}.png", "{:00d}.png", "{:06d}_{.png", "{ }.png"}) {
        const Error error = expected_error([&] { create_file_sink(folder / "x" / name); });
        CHECK(error.code() == ErrorCode::invalid_argument);
        CHECK(std::string(error.what()).find("frame_{:06d}.png") != std::string::npos);
    }
    CHECK(expected_error([&] { create_file_sink(folder / "{}" / "{}.png"); }).code() == ErrorCode::invalid_argument);
    CHECK(expected_error([&] { create_file_sink(folder / "x.unknown"); }).code() == ErrorCode::unsupported);
    CHECK(std::string(expected_error([&] { create_file_sink(folder / "x.unknown"); }).what()).find(".tiff") !=
          std::string::npos);
}

TEST_CASE("frame_file_pattern: names") {
    CHECK(parse_frame_file_pattern("out/frame_{:06d}.png").file_name(42) == "frame_000042.png");
    CHECK(parse_frame_file_pattern("out/frame_{:06d}.png").folder == "out");
    CHECK(parse_frame_file_pattern("{}.tar.png").file_name(42) == "42.tar.png");
    CHECK(parse_frame_file_pattern("{}.tar.png").extension() == ".png");
    CHECK(parse_frame_file_pattern("{}.png").folder == ".");
    CHECK(parse_frame_file_pattern("a{:018d}b.tif").file_name(-1) == "a-00000000000000001b.tif");
    CHECK(parse_frame_file_pattern("{:02d}.png").file_name(1234) == "1234.png");

    const FrameFilePattern pattern = parse_frame_file_pattern("out/a1{:02d}1.png");
    for (const char* name : {"a101.png", "a1231.png", "a11234561.png", "a1111.png"}) CHECK(pattern.matches(name));
    for (const char* name : {"", "a1", "1.png", "a11.png", "a1.png", "a1x1.png", "a1-11.png", "a1 11.png", "a1231.PNG",
                             "a1231.png~", "xa1231.png"}) {
        CAPTURE(name);
        CHECK_FALSE(pattern.matches(name));
    }
    CHECK(parse_frame_file_pattern("aba{}aba.png").matches("aba1aba.png"));
    CHECK_FALSE(parse_frame_file_pattern("ab{}ba.png").matches("aba.png"));
}

TEST_CASE("image file: one frame each way") {
    const TemporaryFolder folder;
    for (const std::string name : {"a.png", "a.jpg", "a.JPEG", "a.bmp", "a.ppm"}) {
        CAPTURE(name);
        const auto sink = create_file_sink(folder / name);
        sink->write(frame_of(kColor, 99));
        const Error error = expected_error([&] { sink->write(frame_of(kColor, 100)); });
        CHECK(error.code() == ErrorCode::invalid_argument);
        CHECK(std::string(error.what()).find("pattern such as a_{:06d}") != std::string::npos);
        sink->close();
        const auto source = open_file_source(folder / name);
        CHECK(source->info().format == "image");
        CHECK(source->info().frame_count == 1);
        CHECK(source->info().image_type == kColor);
        CHECK(read_image_number(source->random_access()->at_index(0).image) == 99);
        CHECK(expected_error([&] { source->random_access()->at_index(1); }).code() == ErrorCode::invalid_argument);
        CHECK(numbers_of(*source) == std::vector<int>{99});
        CHECK(open_file_source(folder / name, {.gray = true})->info().image_type == kGray);
        CHECK(expected_error([&] { create_file_sink(folder / name); }).code() == ErrorCode::already_exists);
    }
    create_file_sink(folder / "none.png")->close();
    CHECK(missing(folder / "none.png"));
    CHECK(expected_error([&] { create_file_sink(folder / "c.pgm")->write(frame_of(kColor, 1)); }).code() ==
          ErrorCode::wrong_type);
}

TEST_CASE("image file: the content decides, not the name") {
    const TemporaryFolder folder;
    write_image(folder / "a.png", kColor, 3);
    fs::rename(folder / "a.png", folder / "a.npy");
    CHECK(numbers_of(*open_file_source(folder / "a.npy")) == std::vector<int>{3});
    write_file_atomically(folder / "b.png", "only text");
    const Error error = expected_error([&] { open_file_source(folder / "b.png"); });
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(std::string(error.what()).find("image: not recognised") != std::string::npos);
    write_image(folder / "c.png", kColor, 3);
    fs::resize_file(folder / "c.png", 200);
    CHECK(expected_error([&] { open_file_source(folder / "c.png"); }).code() == ErrorCode::corrupt);
}

TEST_CASE("image folder source: a TIFF of several pages is not cut down to its first") {
    const TemporaryFolder folder;
    const auto sink = create_file_sink(folder / "b.tif");
    for (const int number : {1, 2}) sink->write(frame_of(kGray, number));
    sink->close();
    write_image(folder / "a.tif", kGray, 3);
    CHECK(numbers_of(*open_file_source(folder / "b.tif")) == std::vector<int>{1, 2});
    const auto source = open_file_source(folder.path());
    CHECK(read_image_number(source->next()->image) == 3);
    const Error error = expected_error([&] { source->next(); });
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(std::string(error.what()).find("b.tif") != std::string::npos);
    CHECK(std::string(error.what()).find("several images") != std::string::npos);
}

TEST_CASE("image folder source: chosen by prefix and extension, numbers from the names, other threads") {
    const TemporaryFolder folder;
    for (const int number : {1, 2, 5, 12}) {
        write_image(folder / ("left_" + std::to_string(number) + ".png"), kColor, number);
        write_image(folder / ("right_" + std::to_string(number) + ".png"), kColor, 100 + number);
    }
    write_image(folder / "left_7.tif", kColor, 7);
    write_image(folder / "left_6.tiff", kColor, 6);
    fs::rename(folder / "left_6.tiff", folder / "left_6.TIFF");
    const auto open = [&](const CodecOptions& options) { return open_file_source(folder.path(), {.format = options}); };
    CHECK(open({})->info().frame_count == 8);
    CHECK(numbers_of(*open({{"prefix", "right_"}})) == std::vector<int>{101, 102, 105, 112});
    for (const char* extension : {"tif", ".tiff", "TIF"}) {
        CHECK(numbers_of(*open({{"extension", extension}})) == std::vector<int>{6, 7});
    }
    CHECK(error_of([&] { open({{"prefix", "x"}}); }) == ErrorCode::not_found);
    CHECK(error_of([&] { open({{"extension", "mp4"}}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { open({{"number", "name"}}); }) == ErrorCode::invalid_argument);

    const auto source = open({{"prefix", "left_"}, {"extension", "png"}, {"numbers", "name"}});
    CHECK(source->info().has_numbers);
    const auto clone = source->random_access()->clone_access();
    REQUIRE(clone);
    const std::vector<int64_t> numbers = {1, 2, 5, 12};
    for (const int64_t index : {2, 0, 3, 1}) {
        const Frame frame = clone->at_index(index);
        CHECK(frame.index == index);
        CHECK(frame.number == numbers[static_cast<size_t>(index)]);
        CHECK(read_image_number(frame.image) == frame.number);
        CHECK(clone->stamp(index).number == frame.number);
    }
    const Error descending = expected_error([&] { open({{"numbers", "name"}}); });
    CHECK(std::string(descending.what()).find("right_1.png") != std::string::npos);
    write_image(folder / "left_last.png", kColor, 9);
    const Error without = expected_error([&] { open({{"prefix", "left_"}, {"numbers", "name"}}); });
    CHECK(std::string(without.what()).find("left_last.png") != std::string::npos);
}

TEST_CASE("npy file: stacks come back bit by bit") {
    for (int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (int channels : {1, 2, 3, 4, 6}) {
            const TemporaryFolder folder;
            const ImageType type{20, 31, channels, depth};
            CAPTURE(type.text());
            const auto sink = create_file_sink(folder / "a.npy");
            for (int number = 0; number < 12; ++number) sink->write(frame_of(type, number * 100));
            CHECK(expected_error([&] {
                      sink->write(frame_of({20, 32, channels, depth}, 0));
                  }).code() == ErrorCode::wrong_type);
            sink->close();
            const auto source = open_file_source(folder / "a.npy");
            CHECK(source->info().image_type == type);
            CHECK(source->info().frame_count == 12);
            for (int number : {11, 0, 5}) {
                CHECK(equal_pixels(source->random_access()->at_index(number).image,
                                   make_numbered_image(type, number * 100)));
            }
            CHECK(numbers_of(*source).size() == 12);
            const std::vector<uint8_t> bytes = read_file(folder / "a.npy", 1 << 24);
            const NpyHeader header = parse_npy_header(bytes);
            CHECK(header.data_offset % 64 == 0);
            CHECK(bytes.size() == header.data_offset + header.data_bytes());
            CHECK(expected_error([&] { create_file_sink(folder / "a.npy"); }).code() == ErrorCode::already_exists);
        }
    }
}

TEST_CASE("npy file: padded images, unclosed sinks, sinks without frames") {
    const TemporaryFolder folder;
    const cv::Mat wide = make_numbered_image({48, 100, 1, CV_16U}, 5);
    Frame frame;
    frame.image = wide(cv::Rect(10, 0, 64, 48));
    create_file_sink(folder / "a.npy")->write(frame);
    CHECK(equal_pixels(open_file_source(folder / "a.npy")->next()->image, frame.image));
    create_file_sink(folder / "b.npy")->close();
    CHECK(missing(folder / "b.npy"));
    CHECK(expected_error([&] {
              create_file_sink(folder / "c.npy", {.frame_rate = {}, .codec = {{"a", "b"}}});
          }).code() == ErrorCode::invalid_argument);
}

TEST_CASE("npy file: what three dimensions mean") {
    const TemporaryFolder folder;
    const auto shape_of = [&](const std::vector<int64_t>& shape) {
        int64_t bytes = 1;
        for (int64_t side : shape) bytes *= side;
        fs::remove(folder / "a.npy");
        write_array(folder / "a.npy", "|u1", shape, std::vector<uint8_t>(size_t(bytes)));
        const auto source = open_file_source(folder / "a.npy");
        return std::pair{*source->info().frame_count, source->info().image_type};
    };
    CHECK(shape_of({20, 30}) == std::pair{int64_t{1}, ImageType{20, 30, 1, CV_8U}});
    CHECK(shape_of({20, 30, 3}) == std::pair{int64_t{1}, ImageType{20, 30, 3, CV_8U}});
    CHECK(shape_of({16, 16, 4}) == std::pair{int64_t{1}, ImageType{16, 16, 4, CV_8U}});
    CHECK(shape_of({15, 16, 3}) == std::pair{int64_t{15}, ImageType{16, 3, 1, CV_8U}});
    CHECK(shape_of({16, 15, 3}) == std::pair{int64_t{16}, ImageType{15, 3, 1, CV_8U}});
    CHECK(shape_of({20, 30, 5}) == std::pair{int64_t{20}, ImageType{30, 5, 1, CV_8U}});
    CHECK(shape_of({0, 30, 5}) == std::pair{int64_t{0}, ImageType{30, 5, 1, CV_8U}});
    CHECK(shape_of({2, 30, 40, 3}) == std::pair{int64_t{2}, ImageType{30, 40, 3, CV_8U}});
    CHECK(shape_of({2, 30, 40, 1}) == std::pair{int64_t{2}, ImageType{30, 40, 1, CV_8U}});

    const auto sink = create_file_sink(folder / "narrow.npy");
    Frame frame;
    frame.image = cv::Mat(20, 3, CV_8U, cv::Scalar(7));
    for (int i = 0; i < 17; ++i) sink->write(frame);
    sink->close();
    CHECK(open_file_source(folder / "narrow.npy")->info().frame_count == 17);
}

TEST_CASE("npy file: byte order and Fortran order") {
    const TemporaryFolder folder;
    constexpr int kFrames = 3;
    constexpr int kHeight = 5;
    constexpr int kWidth = 7;
    constexpr int kChannels = 2;
    const auto value = [](int n, int y, int x, int c) { return uint16_t(n * 10000 + y * 1000 + x * 100 + c); };
    std::vector<uint8_t> big;
    std::vector<uint8_t> fortran;
    for (int n = 0; n < kFrames; ++n) {
        for (int y = 0; y < kHeight; ++y) {
            for (int x = 0; x < kWidth; ++x) {
                for (int c = 0; c < kChannels; ++c) {
                    big.push_back(uint8_t(value(n, y, x, c) >> 8));
                    big.push_back(uint8_t(value(n, y, x, c) & 0xFF));
                }
            }
        }
    }
    for (int c = 0; c < kChannels; ++c) {
        for (int x = 0; x < kWidth; ++x) {
            for (int y = 0; y < kHeight; ++y) {
                for (int n = 0; n < kFrames; ++n) {
                    fortran.push_back(uint8_t(value(n, y, x, c) & 0xFF));
                    fortran.push_back(uint8_t(value(n, y, x, c) >> 8));
                }
            }
        }
    }
    write_array(folder / "big.npy", ">u2", {kFrames, kHeight, kWidth, kChannels}, big);
    write_array(folder / "fortran.npy", "<u2", {kFrames, kHeight, kWidth, kChannels}, fortran, true);
    for (const char* name : {"big.npy", "fortran.npy"}) {
        const auto source = open_file_source(folder / name);
        REQUIRE(source->info().image_type == ImageType{kHeight, kWidth, kChannels, CV_16U});
        for (int n : {2, 0, 1}) {
            const cv::Mat image = source->random_access()->at_index(n).image;
            for (int y = 0; y < kHeight; ++y) {
                for (int x = 0; x < kWidth; ++x) {
                    for (int c = 0; c < kChannels; ++c) {
                        CHECK(image.ptr<uint16_t>(y)[x * kChannels + c] == value(n, y, x, c));
                    }
                }
            }
        }
    }
    write_array(folder / "one.npy", "|u1", {2, 3}, {1, 4, 2, 5, 3, 6}, true);
    const cv::Mat one = open_file_source(folder / "one.npy")->next()->image;
    CHECK(std::vector<uint8_t>(one.datastart, one.dataend) == std::vector<uint8_t>{1, 2, 3, 4, 5, 6});
    write_array(folder / "bool.npy", "|b1", {1, 1, 3}, {0, 5, 1});
    const cv::Mat bits = open_file_source(folder / "bool.npy")->next()->image;
    CHECK(std::vector<uint8_t>(bits.datastart, bits.dataend) == std::vector<uint8_t>{0, 1, 1});
}

TEST_CASE("npy file: damaged and strange arrays") {
    const TemporaryFolder folder;
    const auto code_for = [&](const std::string& descr, const std::vector<int64_t>& shape, size_t bytes,
                              bool fortran = false) {
        fs::remove(folder / "a.npy");
        write_array(folder / "a.npy", descr, shape, std::vector<uint8_t>(bytes), fortran);
        return expected_error([&] { open_file_source(folder / "a.npy"); }).code();
    };
    CHECK(code_for("<u2", {2, 30, 40}, 30 * 40 * 2 - 1) == ErrorCode::corrupt);
    CHECK(code_for("<u2", {2, 30, 40}, 0, true) == ErrorCode::corrupt);
    CHECK(code_for("<c8", {2, 3, 4}, 2 * 3 * 4 * 8) == ErrorCode::unsupported);
    CHECK(code_for("|O", {2, 3, 4}, 24) != ErrorCode::internal);
    CHECK(code_for("|u1", {24}, 24) == ErrorCode::unsupported);
    CHECK(code_for("|u1", {1, 1, 2, 3, 4}, 24) == ErrorCode::unsupported);
    CHECK(code_for("|u1", {1, 70000, 2}, 140000) == ErrorCode::corrupt);
    CHECK(code_for("|u1", {int64_t{1} << 40, 70, 70}, 100) == ErrorCode::corrupt);
    const std::vector<uint8_t> header = make_npy_header("|u1", {4, 20, 20});
    for (size_t size = 6; size < header.size(); ++size) {
        fs::remove(folder / "b.npy");
        write_new_file(folder / "b.npy", header.data(), size);
        CHECK(expected_error([&] { open_file_source(folder / "b.npy"); }).code() == ErrorCode::corrupt);
    }
}

}  // namespace reelstore
