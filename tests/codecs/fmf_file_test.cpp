#include <array>
#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <opencv2/imgproc.hpp>

#include "base/numbered_frames.h"
#include "base/encoding.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kFrames = 4;
const ImageType kGray{6, 20, 1, CV_8U};
constexpr double kFirstTime = 1577836800.125;

std::vector<cv::Mat> images_of(const ImageType& type) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < kFrames; ++i) images.push_back(make_numbered_image(type, 500 + i));
    return images;
}

std::vector<double> times_from(double first) {
    std::vector<double> times;
    for (int i = 0; i < kFrames; ++i) times.push_back(first + i * 0.01);
    return times;
}

/// What the header says besides the sizes of the images.
struct Header {
    std::string format = {};  ///< empty: version 1
    uint64_t records = kFrames;
    uint32_t column_bytes = 1;  ///< columns are counted in such
};

std::vector<uint8_t> movie(const Header& header, const std::vector<cv::Mat>& images, const std::vector<double>& times,
                           bool big_endian = false) {
    BytesMaker maker(big_endian);
    const cv::Mat& first = images.front();
    const uint64_t bytes = first.total() * first.elemSize();
    if (header.format.empty()) {
        maker.add(uint32_t{1});
    } else {
        maker.add(uint32_t{3}).add(static_cast<uint32_t>(header.format.size()));
        maker.text(header.format, header.format.size()).add(static_cast<uint32_t>(first.elemSize() * 8));
    }
    maker.add(static_cast<uint32_t>(first.rows)).add(static_cast<uint32_t>(first.cols) * header.column_bytes);
    maker.add(bytes + 8).add(header.records);
    for (size_t i = 0; i < images.size(); ++i) maker.add(times[i]).image(images[i]);
    return maker.get();
}

std::unique_ptr<FrameSource> open_movie(const TemporaryFolder& folder, const std::vector<uint8_t>& bytes,
                                        const SourceOptions& options = {}) {
    std::filesystem::remove(folder / "movie.fmf");
    write_foreign_files(folder.path(), {{"movie.fmf", bytes}});
    return open_file_source(folder / "movie.fmf", options);
}

}  // namespace

TEST_CASE("fmf: version 1 and the gray formats of version 3") {
    const std::vector<std::pair<std::string, int>> formats = {
        {"", CV_8U},       {"MONO8", CV_8U},    {"RAW8", CV_8U},         {"MONO16", CV_16U},
        {"RAW16", CV_16U}, {"MONO32f", CV_32F}, {"MONO32f:pol", CV_32F}, {"RAW32f", CV_32F}};
    const auto times = times_from(kFirstTime);
    for (const auto& [format, depth] : formats) {
        CAPTURE(format);
        ImageType type = kGray;
        type.depth = depth;
        const auto images = images_of(type);
        check_foreign_files({{"movie.fmf", movie({.format = format}, images, times)}}, "movie.fmf",
                            {.images = images, .times = times, .time_tolerance = 0});
        // Recorders that count the columns in bytes.
        const auto bytes = static_cast<uint32_t>(CV_ELEM_SIZE1(depth));
        check_foreign_files({{"movie.fmf", movie({.format = format, .column_bytes = bytes}, images, times)}},
                            "movie.fmf", {.images = images, .times = times, .time_tolerance = 0});
    }
}

TEST_CASE("fmf: colours come as BGR, mosaics demosaiced") {
    const auto times = times_from(kFirstTime);
    for (const int depth : {CV_8U, CV_32F}) {
        const auto images = images_of({6, 20, 3, depth});
        std::vector<cv::Mat> stored;
        for (const cv::Mat& image : images) {
            cv::Mat rgb;
            cv::cvtColor(image, rgb, cv::COLOR_BGR2RGB);
            REQUIRE_FALSE(equal_pixels(rgb, image));
            stored.push_back(rgb);
        }
        const std::string format = depth == CV_8U ? "RGB8" : "RGB32f";
        check_foreign_files({{"movie.fmf", movie({.format = format}, stored, times)}}, "movie.fmf",
                            {.images = images, .times = times});
    }
    // Every pixel that is of the first colour of the pattern is lit.
    cv::Mat mosaic = cv::Mat::zeros(8, 20, CV_8U);
    for (int y = 0; y < 8; y += 2) {
        for (int x = 0; x < 20; x += 2) mosaic.at<uint8_t>(y, x) = 200;
    }
    const TemporaryFolder folder;
    for (const auto& [pattern, channel] : {std::pair{"RGGB", 2}, std::pair{"BGGR", 0}}) {
        CAPTURE(pattern);
        const auto bytes = movie({.format = std::string("MONO8:") + pattern, .records = 1}, {mosaic}, {1.0});
        const auto source = open_movie(folder, bytes);
        CHECK(source->info().image_type == ImageType{8, 20, 3, CV_8U});
        const cv::Vec3b pixel = source->next()->image.at<cv::Vec3b>(4, 8);
        CHECK(pixel[channel] == 200);
        CHECK(pixel[2 - channel] == 0);
        CHECK(equal_pixels(open_movie(folder, bytes, {.raw = true})->next()->image, mosaic));
    }
    CHECK(error_of([&] { open_movie(folder, movie({.format = "MONO8:ABCD", .records = 1}, {mosaic}, {1.0})); }) ==
          ErrorCode::unsupported);
}

TEST_CASE("fmf: YUV 4:2:2 in either order of bytes") {
    cv::Mat uyvy(6, 20, CV_8UC2);
    for (int y = 0; y < 6; ++y) {
        for (int x = 0; x < 20; ++x) uyvy.at<cv::Vec2b>(y, x) = {uint8_t(x % 2 ? 90 : 160), uint8_t(20 + 9 * x)};
    }
    cv::Mat yuyv(6, 20, CV_8UC2);
    cv::mixChannels({uyvy}, {yuyv}, {0, 1, 1, 0});
    cv::Mat expected;
    cv::cvtColor(uyvy, expected, cv::COLOR_YUV2BGR_UYVY);
    const TemporaryFolder folder;
    CHECK(equal_pixels(open_movie(folder, movie({.format = "YUV422", .records = 1}, {uyvy}, {1.0}))->next()->image,
                       expected));
    CHECK(equal_pixels(
        open_movie(folder, movie({.format = "YUV422", .records = 1}, {yuyv}, {1.0}), {.format = {{"yuv422", "yuyv"}}})
            ->next()
            ->image,
        expected));
}

TEST_CASE("fmf: facts, and times that do not count from 1970 or are missing") {
    const auto images = images_of(kGray);
    const TemporaryFolder folder;
    auto source = open_movie(folder, movie({}, images, times_from(kFirstTime)));
    CHECK(source->info().format == "FMF 1 MONO8");
    CHECK(source->info().times_are_absolute);
    CHECK(source->info().creation_time == kFirstTime);
    CHECK(source->user_metadata()["pixel_format"] == "MONO8");
    CHECK(source->warnings().empty());
    CHECK(source->next()->owner);  // a view of the mapped file

    source = open_movie(folder, movie({}, images, times_from(3)));
    CHECK(source->info().has_times);
    CHECK_FALSE(source->info().times_are_absolute);
    CHECK_FALSE(source->info().creation_time);

    source = open_movie(folder, movie({}, images, std::vector<double>(kFrames, std::nan(""))));
    CHECK_FALSE(source->info().has_times);
    CHECK(std::isnan(source->next()->time));

    std::vector<double> times = times_from(kFirstTime);
    times[1] = -std::numeric_limits<double>::infinity();
    source = open_movie(folder, movie({}, images, times));
    CHECK(source->info().has_times);
    CHECK(std::isnan(source->random_access()->stamp(1).time));
}

TEST_CASE("fmf: the number of frames comes from the size where the header says 0 or too many") {
    const auto images = images_of(kGray);
    const auto times = times_from(kFirstTime);
    const TemporaryFolder folder;
    for (const uint64_t records : {uint64_t{0}, uint64_t{5}, ~uint64_t{0}}) {
        const auto source = open_movie(folder, movie({.records = records}, images, times));
        CHECK(source->info().frame_count == kFrames);
        CHECK(source->warnings().size() == 1);
    }
    auto cut = movie({}, images, times);
    cut.pop_back();
    const auto source = open_movie(folder, cut);
    CHECK(source->info().frame_count == kFrames - 1);
    CHECK(source->warnings().size() == 1);
    CHECK(equal_pixels(source->random_access()->at_index(kFrames - 2).image, images[kFrames - 2]));
}

TEST_CASE("fmf: what cannot be read is refused clearly") {
    const TemporaryFolder folder;
    const auto times = times_from(kFirstTime);
    std::string message;
    CHECK(error_of([&] { open_movie(folder, movie({.format = "YUV411"}, images_of(kGray), times)); }, &message) ==
          ErrorCode::unsupported);
    CHECK(message.find("YUV411") != std::string::npos);
    CHECK(message.find("movie.fmf") != std::string::npos);
    // 16 bits announced, 8 there.
    CHECK(error_of([&] {
              open_movie(folder, movie({.format = "MONO16"}, images_of({6, 21, 1, CV_8U}), times));
          }) == ErrorCode::corrupt);
    // The wrong order of bytes.
    CHECK(error_of([&] { open_movie(folder, movie({}, images_of(kGray), times, true)); }) == ErrorCode::unsupported);
    // No record at all.
    auto empty = movie({}, images_of(kGray), times);
    empty.resize(40);
    CHECK(error_of([&] { open_movie(folder, empty); }) == ErrorCode::corrupt);
}

TEST_CASE("fmf: damaged headers") {
    const auto times = times_from(kFirstTime);
    for (const std::string format : {"", "MONO16", "RGB8", "MONO8:RGGB"}) {
        const ImageType type{8, 20, format == "RGB8" ? 3 : 1, format == "MONO16" ? CV_16U : CV_8U};
        const ForeignFiles files = {{"movie.fmf", movie({.format = format}, images_of(type), times)}};
        check_truncated(files, "movie.fmf", "movie.fmf", 60, 0);
        check_truncated(files, "movie.fmf", "movie.fmf", files.at("movie.fmf").size(), kFrames, 37);
        check_absurd_headers(files, "movie.fmf", "movie.fmf", 56, 1);
    }
}

}  // namespace reelstore
