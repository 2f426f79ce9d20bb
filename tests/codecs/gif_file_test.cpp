#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/numbered_frames.h"
#include "codecs/foreign/gif_lzw.h"
#include "codecs/foreign/gif_palette.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/fault_file_system.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

namespace fs = std::filesystem;

/// An image block of a hand-made GIF.
struct Part {
    int left = 0;
    int top = 0;
    int width = 0;
    int height = 0;
    std::vector<uint8_t> indices = {};
    int disposal = 0;
    int transparent = -1;
    int delay = 10;
    bool interlaced = false;
    std::vector<uint8_t> palette = {};  ///< of 4 colours; empty: the global one
};

/// Black, red, green, blue.
const std::vector<uint8_t> kColors = {0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255};
const cv::Vec3b kBlack(0, 0, 0);
const cv::Vec3b kRed(0, 0, 255);
const cv::Vec3b kGreen(0, 255, 0);
const cv::Vec3b kBlue(255, 0, 0);
const cv::Vec3b kWhite(255, 255, 255);

std::vector<uint8_t> make_gif(int width, int height, const std::vector<Part>& parts,
                              const std::vector<uint8_t>& palette = kColors, std::optional<uint16_t> loop = {}) {
    BytesMaker file;
    file.text("GIF89a", 6).add(uint16_t(width)).add(uint16_t(height)).add(uint8_t{0xF1}).add(uint16_t{0});
    file.bytes(palette);
    if (loop) {
        file.add(uint16_t{0xFF21})
            .add(uint8_t{11})
            .text("NETSCAPE2.0", 11)
            .add(uint8_t{3})
            .add(uint8_t{1})
            .add(*loop)
            .add(uint8_t{0});
    }
    file.add(uint16_t{0xFE21}).add(uint8_t{5}).text("hello", 5).add(uint8_t{0});
    for (const Part& part : parts) {
        file.add(uint16_t{0xF921}).add(uint8_t{4});
        file.add(uint8_t(part.disposal << 2 | (part.transparent >= 0 ? 1 : 0))).add(uint16_t(part.delay));
        file.add(uint8_t(std::max(part.transparent, 0))).add(uint8_t{0});
        file.add(uint8_t{0x2C}).add(uint16_t(part.left)).add(uint16_t(part.top));
        file.add(uint16_t(part.width)).add(uint16_t(part.height));
        file.add(uint8_t((part.interlaced ? 0x40 : 0) | (part.palette.empty() ? 0 : 0x81))).bytes(part.palette);
        std::vector<uint8_t> pixels;
        append_gif_indices(pixels, part.indices, 2);
        file.bytes(pixels);
    }
    file.add(uint8_t{0x3B});
    return file.get();
}

cv::Mat row_of(const std::vector<cv::Vec3b>& colors) {
    return cv::Mat(colors, true).reshape(3, 1);
}

std::vector<double> times_every(int count, double step) {
    std::vector<double> times;
    for (int i = 0; i < count; ++i) times.push_back(i * step);
    return times;
}

Frame frame_at(const cv::Mat& image, double time) {
    Frame frame;
    frame.image = image;
    frame.time = time;
    return frame;
}

/// Blocks of colour and a gradient: far more than 256 colours.
cv::Mat colorful(int number) {
    cv::Mat image = make_numbered_image({48, 64, 3, CV_8U}, number);
    for (int row = 24; row < 48; ++row) {
        for (int column = 0; column < 64; ++column) {
            image.at<cv::Vec3b>(row, column) =
                cv::Vec3b(uint8_t(column * 4), uint8_t((row - 24) * 10), uint8_t(number));
        }
    }
    return image;
}

}  // namespace

TEST_CASE("gif codes: every length of code, runs, noise, nothing") {
    std::mt19937 random(5);
    for (const int bits : {2, 3, 8}) {
        for (const size_t size : {0, 1, 2, 3, 254, 255, 256, 5000, 200'000}) {
            for (const int kind : {0, 1, 2}) {
                std::vector<uint8_t> indices(size);
                for (size_t i = 0; i < size; ++i) {
                    const auto noise = static_cast<uint8_t>(random() & ((1U << bits) - 1));
                    indices[i] = kind == 0   ? noise
                                 : kind == 1 ? uint8_t{1}
                                             : static_cast<uint8_t>(i / 7 % 3 == 0 ? noise : 0);
                }
                std::vector<uint8_t> bytes;
                append_gif_indices(bytes, indices, bits);
                REQUIRE(bytes[0] == bits);
                std::vector<uint8_t> codes;
                size_t place = 1;
                while (bytes[place] != 0) {
                    codes.insert(codes.end(), bytes.begin() + ptrdiff_t(place) + 1,
                                 bytes.begin() + ptrdiff_t(place) + 1 + bytes[place]);
                    place += 1U + bytes[place];
                }
                CHECK(place + 1 == bytes.size());
                CHECK(decode_gif_indices(codes, bits, size) == indices);
                if (size > 3) {
                    codes.resize(codes.size() / 2);
                    const auto part = decode_gif_indices(codes, bits, size);
                    CHECK(part.size() < size);
                    CHECK(std::equal(part.begin(), part.end(), indices.begin()));
                }
            }
        }
    }
}

TEST_CASE("gif codes: any bytes are decoded to no more than what is asked for") {
    std::mt19937 random(6);
    for (int round = 0; round < 2000; ++round) {
        std::vector<uint8_t> codes(random() % 300);
        for (uint8_t& byte : codes) byte = static_cast<uint8_t>(random());
        CHECK(decode_gif_indices(codes, 1 + int(random() % 8), 500).size() <= 500);
    }
}

TEST_CASE("gif file: images are drawn upon each other as browsers do") {
    // Four pixels: a ground, a part with a transparent pixel kept, one cleared, one taken back, one again.
    const std::vector<Part> parts = {
        {0, 0, 4, 1, {1, 1, 1, 1}, 1},
        {1, 0, 2, 1, {2, 3}, 0, 3},
        {2, 0, 2, 1, {3, 3}, 2},
        {0, 0, 1, 1, {0}, 3},
        {1, 0, 1, 1, {3}, 1, -1, 10, false, {9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6}},
        {0, 0, 4, 1, {2, 2, 2, 2}, 3},
        {3, 0, 1, 1, {0}, 1},
        {0, 0, 4, 1, {3, 3, 3, 3}, 2},
        {3, 0, 9, 3, std::vector<uint8_t>(27, 1), 1},
    };
    const cv::Vec3b six(6, 6, 6);
    const std::vector<cv::Mat> expected = {
        row_of({kRed, kRed, kRed, kRed}),       row_of({kRed, kGreen, kRed, kRed}),
        row_of({kRed, kGreen, kBlue, kBlue}),   row_of({kBlack, kGreen, kWhite, kWhite}),
        row_of({kRed, six, kWhite, kWhite}),    row_of({kGreen, kGreen, kGreen, kGreen}),
        row_of({kRed, six, kWhite, kBlack}),    row_of({kBlue, kBlue, kBlue, kBlue}),
        row_of({kWhite, kWhite, kWhite, kRed}),
    };
    check_foreign_files({{"a.gif", make_gif(4, 1, parts)}}, "a.gif",
                        {.images = expected, .times = times_every(9, 0.1)});

    const TemporaryFolder folder;
    write_foreign_files(folder.path(), {{"a.gif", make_gif(4, 1, parts)}});
    const auto source = open_file_source(folder / "a.gif");
    RandomAccess& access = *source->random_access();
    for (const auto& [index, entry] : std::map<int64_t, int64_t>{{0, 0}, {4, 0}, {5, 5}, {6, 0}, {7, 7}, {8, 8}}) {
        CHECK(access.entry_of(index) == entry);
    }
    // Each order of two frames, from a fresh source.
    for (int64_t one = 0; one < 9; ++one) {
        for (int64_t two = 0; two < 9; ++two) {
            const auto fresh = open_file_source(folder / "a.gif");
            for (const int64_t index : {one, two}) {
                CAPTURE(one);
                CAPTURE(two);
                CHECK(equal_pixels(fresh->random_access()->at_index(index).image, expected[size_t(index)]));
            }
        }
    }
}

TEST_CASE("gif file: interlaced images, gray palettes, delays, loops, comments") {
    std::vector<uint8_t> rows;
    std::vector<uint8_t> interlaced;
    const std::vector<int> order = {0, 8, 4, 2, 6, 10, 1, 3, 5, 7, 9};
    for (int row = 0; row < 11; ++row) rows.push_back(uint8_t(row % 3 + (row > 5 ? 1 : 0)));
    for (const int row : order) interlaced.push_back(rows[size_t(row)]);
    const std::vector<uint8_t> grays = {0, 0, 0, 50, 50, 50, 100, 100, 100, 255, 255, 255};
    cv::Mat expected(11, 1, CV_8U);
    for (int row = 0; row < 11; ++row) expected.at<uint8_t>(row) = grays[rows[size_t(row)] * size_t{3}];
    const auto file = make_gif(1, 11,
                               {{0, 0, 1, 11, interlaced, 0, -1, 0, true},
                                {0, 0, 1, 11, rows, 0, -1, 7},
                                {0, 0, 1, 11, rows, 0, -1, 1},
                                {0, 0, 1, 11, rows}},
                               grays, uint16_t{2});
    check_foreign_files({{"a.gif", file}}, "a.gif",
                        {.images = {expected, expected, expected, expected}, .times = {0, 0.1, 0.17, 0.27}});
    const TemporaryFolder folder;
    write_foreign_files(folder.path(), {{"a.gif", file}});
    const auto source = open_file_source(folder / "a.gif");
    CHECK(source->info().format == "GIF");
    CHECK(source->info().has_times);
    CHECK_FALSE(source->info().times_are_absolute);
    CHECK(*source->info().frame_rate == doctest::Approx(4 / 0.37));
    CHECK(source->user_metadata()["loop"] == 3);
    CHECK(source->user_metadata()["comment"] == "hello");
}

TEST_CASE("gif file: cut off and absurd files") {
    const std::vector<Part> parts = {{0, 0, 4, 2, {1, 1, 1, 1, 2, 2, 2, 2}, 1}, {1, 0, 1, 1, {2}}, {2, 0, 1, 1, {3}}};
    const ForeignFiles files = {{"a.gif", make_gif(4, 2, parts)}};
    check_truncated(files, "a.gif", "a.gif", 10'000, 3);
    check_absurd_headers(files, "a.gif", "a.gif", 10'000, 3);

    const TemporaryFolder folder;
    ForeignFiles cut = files;
    cut["a.gif"].resize(cut["a.gif"].size() - 4);
    write_foreign_files(folder.path(), cut);
    const auto source = open_file_source(folder / "a.gif");
    CHECK(source->info().frame_count == 2);
    CHECK(source->warnings().size() == 1);

    // A large canvas for nothing, and a damaged image in the middle.
    ForeignFiles bomb = {{"b.gif", make_gif(60000, 60000, {{0, 0, 1, 1, {1}}})}};
    bomb["c.gif"] = make_gif(20000, 20000, {{0, 0, 20000, 20000, {1}}});
    bomb["d.gif"] = make_gif(4, 1, {{0, 0, 4, 1, {1, 1, 1, 1}}, {0, 0, 4, 1, {1}, 0, 0}, {0, 0, 4, 1, {2, 2, 2, 2}}});
    write_foreign_files(folder.path(), bomb);
    CHECK(error_of([&] { open_file_source(folder / "b.gif"); }) == ErrorCode::corrupt);
    CHECK(error_of([&] { open_file_source(folder / "c.gif")->next(); }) == ErrorCode::corrupt);
    const auto damaged = open_file_source(folder / "d.gif");
    CHECK(equal_pixels(damaged->next()->image, row_of({kRed, kRed, kRed, kRed})));
    CHECK(expected_error([&] { damaged->next(); }).place().frame_index == 1);
    CHECK(equal_pixels(damaged->next()->image, row_of({kGreen, kGreen, kGreen, kGreen})));
    write_foreign_files(folder.path(), {{"e.gif", {}}, {"f.gif", {'G', 'I', 'F', '8', '9', 'a'}}});
    for (const char* name : {"e.gif", "f.gif"}) CHECK_THROWS_AS(open_file_source(folder / name), Error);
}

TEST_CASE("gif file: gray and few colours come back bit by bit, many colours nearly") {
    for (const int channels : {1, 3}) {
        const TemporaryFolder folder;
        const auto sink = create_file_sink(folder / "a.gif", {.frame_rate = 10});
        std::vector<cv::Mat> images;
        for (int i = 0; i < 6; ++i) {
            images.push_back(make_numbered_image({48, 64, 1, CV_8U}, i * 1000));
            if (channels == 3) {
                // Colours enough for a palette, none of them gray.
                const std::vector<cv::Mat> planes = {images.back(), images.back() / 2, 255 - images.back()};
                cv::merge(planes, images.back());
            }
            sink->write(frame_at(images.back(), 0));
        }
        sink->close();
        check_foreign_source(*open_file_source(folder / "a.gif"), {.images = images, .times = times_every(6, 0.1)});
    }
    for (const char* dither : {"none", "floyd-steinberg", "bayer"}) {
        for (const char* palette : {"frame", "global"}) {
            CAPTURE(dither);
            CAPTURE(palette);
            const TemporaryFolder folder;
            const auto sink = create_file_sink(folder / "a.gif",
                                               {.frame_rate = 10, .codec = {{"dither", dither}, {"palette", palette}}});
            for (int i = 0; i < 5; ++i) sink->write(frame_at(colorful(100 + i), 0));
            sink->close();
            const auto source = open_file_source(folder / "a.gif");
            for (int i = 0; i < 5; ++i) {
                const cv::Mat image = source->next()->image;
                CHECK(read_image_number(image) == 100 + i);
                CHECK(cv::PSNR(image, colorful(100 + i)) > (std::string(dither) == "none" ? 32 : 27));
            }
        }
    }
}

TEST_CASE("gif file: delays keep the mean rate and follow true times") {
    const cv::Mat image = make_numbered_image({16, 16, 1, CV_8U}, 1);
    const auto delays = [&](const SinkOptions& options, const std::vector<double>& times) {
        const TemporaryFolder folder;
        const auto sink = create_file_sink(folder / "a.gif", options);
        for (const double time : times) sink->write(frame_at(image, time));
        sink->close();
        CHECK(sink->notes().size() == (options.frame_rate.value_or(0) > 50 ? 1 : 0));
        const auto source = open_file_source(folder / "a.gif");
        std::vector<double> read;
        for (int64_t i = 0; i < source->info().frame_count; ++i) read.push_back(source->random_access()->stamp(i).time);
        return read;
    };
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto thirty = delays({.frame_rate = 30}, std::vector<double>(301, nan));
    CHECK(thirty[300] == doctest::Approx(10).epsilon(0.0005));
    CHECK(thirty[1] == doctest::Approx(0.03));
    CHECK(delays({.frame_rate = 29.97}, std::vector<double>(3001, nan))[3000] ==
          doctest::Approx(100.1).epsilon(0.0002));
    CHECK(delays({.frame_rate = 200}, std::vector<double>(11, nan))[10] == doctest::Approx(0.2));
    CHECK(delays({}, {nan, nan, nan})[2] == doctest::Approx(0.08));
    CHECK(delays({}, {1e9, 1e9 + 0.05, 1e9 + 2, 1e9 + 2.1}) == std::vector<double>{0, 0.05, 2, 2.1});
    CHECK(delays({.frame_rate = 10, .true_times = true}, {0, 0.3, 0.4}) == std::vector<double>{0, 0.3, 0.4});
    // Backward steps and doubled stamps are shown shortly.
    CHECK(delays({}, {5, 4, 5.5, 5.5, 6}) == std::vector<double>{0, 0.02, 0.5, 0.52, 1});
    CHECK(delays({.frame_rate = 0.001}, {nan, nan})[1] == doctest::Approx(655.35));
    CHECK_THROWS_AS(delays({.frame_rate = 0}, {}), Error);
}

TEST_CASE("gif file: forward and backward, loops") {
    for (const int count : {1, 2, 3, 6}) {
        const TemporaryFolder folder;
        const auto sink = create_file_sink(folder / "a.gif", {.codec = {{"pingpong", "yes"}, {"loop", "1"}}});
        std::vector<cv::Mat> images;
        for (int i = 0; i < count; ++i) {
            images.push_back(make_numbered_image({16, 32, 1, CV_8U}, i));
            sink->write(frame_at(images.back(), i * 0.1));
        }
        sink->close();
        for (int i = count - 2; i > 0; --i) images.push_back(images[size_t(i)]);
        const auto source = open_file_source(folder / "a.gif");
        CHECK(source->user_metadata()["loop"] == 1);
        // A single frame has no neighbour to tell for how long it is shown.
        check_foreign_source(*source, {.images = images, .times = times_every(int(images.size()), 0.1)});
    }
    for (const auto& [given, read] : std::map<std::string, int>{{"0", 0}, {"1", 1}, {"2", 2}, {"300", 300}}) {
        const TemporaryFolder folder;
        const auto sink = create_file_sink(folder / "a.gif", {.codec = {{"loop", given}}});
        sink->write(frame_at(cv::Mat::zeros(4, 4, CV_8U), 0));
        sink->close();
        CHECK(open_file_source(folder / "a.gif")->user_metadata()["loop"] == read);
    }
}

TEST_CASE("gif file: what the sink refuses, and what it leaves behind") {
    const TemporaryFolder folder;
    const auto refused = [&](const CodecOptions& options) {
        return error_of([&] { create_file_sink(folder / "x.gif", {.codec = options}); });
    };
    CHECK(refused({{"dither", "yes"}}) == ErrorCode::invalid_argument);
    CHECK(refused({{"loop", "-1"}}) == ErrorCode::invalid_argument);
    CHECK(refused({{"fps", "3"}}) == ErrorCode::invalid_argument);
    for (const int type : {CV_16U, CV_8UC4, CV_32FC3}) {
        const auto sink = create_file_sink(folder / "x.gif");
        const Error error = expected_error([&] { sink->write(frame_at(cv::Mat(4, 4, type), 0)); });
        CHECK(error.code() == ErrorCode::wrong_type);
        CHECK(error.message().find(".tif") != std::string::npos);
    }
    create_file_sink(folder / "x.gif")->close();
    CHECK(file_system().status(folder / "x.gif").kind == FileKind::missing);
    const auto sink = create_file_sink(folder / "a.gif");
    sink->write(frame_at(cv::Mat::zeros(4, 4, CV_8U), 0));
    CHECK(error_of([&] { sink->write(frame_at(cv::Mat::zeros(4, 5, CV_8U), 0)); }) == ErrorCode::wrong_type);
    CHECK(error_of([&] { create_file_sink(folder / "a.gif"); }) == ErrorCode::already_exists);
    sink->write(frame_at(cv::Mat::zeros(4, 4, CV_8U), 1));
    // Without its end the file can be read.
    CHECK(open_file_source(folder / "a.gif")->info().frame_count == 2);
}

TEST_CASE("gif file: a full disk is an error at every write, the first frame's too") {
    const cv::Mat image = cv::Mat::zeros(4, 4, CV_8U);
    for (int64_t nth = 1; nth <= 5; ++nth) {
        CAPTURE(nth);
        const TemporaryFolder folder;
        FaultFileSystem faults(
            {.nth = nth, .error_number = ENOSPC, .repeat = FaultPlan::Repeat::for_ever, .counted = [](auto& operation) {
                 return operation.kind == OperationKind::write;
             }});
        const FileSystemOverride override(faults);
        const auto sink = create_file_sink(folder / "a.gif");
        bool has_failed = false;
        for (const int i : {0, 1}) {
            try {
                sink->write(frame_at(image, i));
            } catch (const Error& error) {
                CHECK(error.code() == ErrorCode::no_space);
                has_failed = true;
                break;
            }
        }
        CHECK(has_failed == (nth <= 4));
        CHECK_THROWS_AS(sink->close(), Error);
    }
}

}  // namespace reelstore
