#include <algorithm>
#include <array>

#include <doctest/doctest.h>

#include "base/numbered_frames.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kFrames = 4;
constexpr int kDataOffset = 128;
const ImageType kType{6, 20, 1, CV_16U};
using Region = std::array<int32_t, 4>;

/// What a recording consists of.
struct Recording {
    int32_t frames = kFrames;
    std::vector<Region> regions = {};
    cv::Mat mask = cv::Mat::ones(6, 20, CV_8U);
    cv::Mat inside = mask;  ///< whose pixels are stored
    bool big_endian = false;
};

cv::Mat mask_of(const std::vector<cv::Rect>& rectangles) {
    cv::Mat mask = cv::Mat::zeros(6, 20, CV_8U);
    for (const cv::Rect& rectangle : rectangles) mask(rectangle).setTo(255);
    return mask;
}

cv::Mat background() {
    return make_numbered_image(kType, 1);
}

cv::Mat reference() {
    return make_numbered_image(kType, 2);
}

std::vector<uint8_t> bytes_of(const Recording& recording) {
    BytesMaker maker(recording.big_endian);
    maker.add(int32_t{4}).add(int32_t{kDataOffset}).add(recording.frames).add(2500.0).add(int32_t{20}).add(int32_t{6});
    maker.add(int32_t{16}).add(0.1).add(0.2).add(static_cast<int32_t>(recording.regions.size()));
    for (const Region& region : recording.regions) {
        for (const int32_t number : region) maker.add(number);
    }
    maker.pad_to(kDataOffset).image(background()).image(reference()).image(recording.mask);
    for (int i = 0; i < kFrames; ++i) {
        const cv::Mat image = make_numbered_image(kType, 900 + i);
        for (int y = 0; y < kType.height; ++y) {
            for (int x = 0; x < kType.width; ++x) {
                if (recording.inside.at<uint8_t>(y, x)) maker.add(image.at<uint16_t>(y, x));
            }
        }
    }
    return maker.get();
}

std::vector<cv::Mat> images_inside(const cv::Mat& inside) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < kFrames; ++i) {
        cv::Mat image = cv::Mat::zeros(6, 20, CV_16U);
        make_numbered_image(kType, 900 + i).copyTo(image, inside);
        images.push_back(image);
    }
    return images;
}

void check(const Recording& recording, const SourceOptions& options = {}) {
    check_foreign_files({{"heart.raw", bytes_of(recording)}}, "heart.raw", {.images = images_inside(recording.inside)},
                        options);
}

std::unique_ptr<FrameSource> open_bytes(const TemporaryFolder& folder, const std::vector<uint8_t>& bytes,
                                        const SourceOptions& options = {}) {
    std::filesystem::remove(folder / "heart.raw");
    write_foreign_files(folder.path(), {{"heart.raw", bytes}});
    return open_file_source(folder / "heart.raw", options);
}

}  // namespace

TEST_CASE("bv_raw: which pixels of a frame are stored is told by the size of the file") {
    const cv::Mat disc = mask_of({{3, 0, 10, 2}, {5, 2, 4, 2}});
    const std::vector<Region> regions = {{2, 1, 5, 4}, {10, 0, 6, 2}};
    const cv::Mat in_sizes = mask_of({{2, 1, 5, 4}, {10, 0, 6, 2}});
    const cv::Mat in_corners = mask_of({{2, 1, 4, 4}});
    const cv::Mat all = cv::Mat::ones(6, 20, CV_8U);
    check({});
    check({.mask = disc, .inside = disc});
    check({.regions = regions, .mask = disc, .inside = disc});
    check({.mask = disc, .inside = all});
    check({.mask = cv::Mat::zeros(6, 20, CV_8U), .inside = all});
    check({.regions = regions, .mask = disc, .inside = in_sizes});
    check({.regions = {{2, 1, 5, 4}}, .mask = disc, .inside = in_corners});
    // Said by the user.
    check({.regions = regions, .mask = disc, .inside = in_sizes}, {.format = {{"pixels", "regions"}}});
    check({.mask = disc, .inside = all}, {.format = {{"pixels", "all"}}});
    check({.mask = disc, .inside = disc}, {.format = {{"pixels", "mask"}}});
}

TEST_CASE("bv_raw: two ways of storing pixels that the size of the file does not tell apart are a warning") {
    const cv::Mat mask = mask_of({{2, 1, 5, 4}});
    const TemporaryFolder folder;
    // The same pixels said twice, and as many others.
    CHECK(open_bytes(folder, bytes_of({.regions = {{2, 1, 5, 4}}, .mask = mask, .inside = mask}))->warnings().empty());
    const auto source = open_bytes(folder, bytes_of({.regions = {{3, 1, 5, 4}}, .mask = mask, .inside = mask}));
    CHECK(source->warnings().size() == 1);
    CHECK(equal_pixels(source->next()->image, images_inside(mask)[0]));
}

TEST_CASE("bv_raw: facts of the header") {
    const TemporaryFolder folder;
    const auto source = open_bytes(folder, bytes_of({.regions = {{1, 2, 3, 4}}}));
    CHECK(source->info().format == "BV RAW");
    CHECK(source->info().frame_rate == doctest::Approx(400));
    CHECK_FALSE(source->info().has_times);
    const Json& metadata = source->user_metadata();
    CHECK(metadata["sample_time_microseconds"] == 2500);
    CHECK(metadata["bits"] == 16);
    CHECK(metadata["pixel_size"] == Json({0.1, 0.2}));
    CHECK(metadata["regions"] == Json::parse("[[1, 2, 3, 4]]"));
    CHECK(metadata["stored_pixels"] == "mask");
    CHECK(source->warnings().empty());
    CHECK(source->next()->owner);  // whole images are views of the mapped file
}

TEST_CASE("bv_raw: a time between frames of nothing, next to nothing or ages is no frame rate") {
    const TemporaryFolder folder;
    for (const double microseconds : {0.0, 5e-324, 1e300}) {
        auto bytes = bytes_of({});
        BytesMaker number;
        number.add(microseconds);
        std::copy(number.get().begin(), number.get().end(), bytes.begin() + 12);
        CHECK_FALSE(open_bytes(folder, bytes)->info().frame_rate);
    }
}

TEST_CASE("bv_raw: background, reference and mask are one image each") {
    const Recording recording{.mask = mask_of({{3, 0, 10, 2}}), .inside = mask_of({{3, 0, 10, 2}})};
    const ForeignFiles files = {{"heart.raw", bytes_of(recording)}};
    check_foreign_files(files, "heart.raw", {.images = {background()}}, {.format = {{"image", "background"}}});
    check_foreign_files(files, "heart.raw", {.images = {reference()}}, {.format = {{"image", "reference"}}});
    check_foreign_files(files, "heart.raw", {.images = {recording.mask}}, {.format = {{"image", "mask"}}});
    const TemporaryFolder folder;
    CHECK(error_of([&] {
              open_bytes(folder, bytes_of(recording), {.format = {{"image", "all"}}});
          }) == ErrorCode::invalid_argument);
}

TEST_CASE("bv_raw: the number of frames comes from the size where the header lies") {
    const cv::Mat disc = mask_of({{3, 0, 10, 2}});
    const TemporaryFolder folder;
    for (const int32_t frames : {0, 7}) {
        const auto source = open_bytes(folder, bytes_of({.frames = frames, .mask = disc, .inside = disc}));
        CHECK(source->info().frame_count == kFrames);
        CHECK(source->warnings().size() == 2);  // the count, and which pixels are stored
        CHECK(equal_pixels(source->random_access()->at_index(2).image, images_inside(disc)[2]));
    }
    auto cut = bytes_of({.mask = disc, .inside = disc});
    cut.pop_back();
    CHECK(open_bytes(folder, cut)->info().frame_count == kFrames - 1);
    // Said by the user, it is no guess.
    CHECK(open_bytes(folder, cut, {.format = {{"pixels", "mask"}}})->warnings().size() == 1);
    CHECK(error_of([&] { open_bytes(folder, cut, {.format = {{"pixels", "regions"}}}); }) == ErrorCode::corrupt);
}

TEST_CASE("bv_raw: rectangles outside of the image do no harm") {
    const int32_t most = 2147483647;
    const TemporaryFolder folder;
    const auto source = open_bytes(
        folder,
        bytes_of({.frames = 9,
                  .regions = {{-5, -5, most, most}, {most, most, most, most}, {-most, 0, -1, -1}, {19, 5, 9, 9}}}));
    CHECK(source->info().frame_count == kFrames);
}

TEST_CASE("bv_raw: other bytes are not taken for it") {
    const TemporaryFolder folder;
    CHECK(error_of([&] { open_bytes(folder, bytes_of({.big_endian = true})); }) == ErrorCode::unsupported);
    CHECK(error_of([&] { open_bytes(folder, std::vector<uint8_t>(2000, 4)); }) == ErrorCode::unsupported);
    CHECK(error_of([&] { open_bytes(folder, {}); }) == ErrorCode::unsupported);
    auto version = bytes_of({});
    version[0] = 5;
    CHECK(error_of([&] { open_bytes(folder, version); }) == ErrorCode::unsupported);
    auto header_only = bytes_of({});
    header_only.resize(kDataOffset + 10);
    CHECK(error_of([&] { open_bytes(folder, header_only); }) == ErrorCode::corrupt);
    CHECK(error_of([&] {
              open_bytes(folder, header_only, {.format = {{"image", "reference"}}});
          }) == ErrorCode::corrupt);
}

TEST_CASE("bv_raw: damaged headers") {
    const cv::Mat disc = mask_of({{3, 0, 10, 2}});
    const ForeignFiles files = {{"heart.raw", bytes_of({.regions = {{2, 1, 5, 4}}, .mask = disc, .inside = disc})}};
    check_truncated(files, "heart.raw", "heart.raw", kDataOffset + 600, 0, 1);
    check_truncated(files, "heart.raw", "heart.raw", files.at("heart.raw").size(), kFrames, 9);
    check_absurd_headers(files, "heart.raw", "heart.raw", 72, 1);
}

}  // namespace reelstore
