#include <doctest/doctest.h>

#include <numeric>
#include <random>

#include <opencv2/core.hpp>

#include "base/encoding.h"
#include "store/verify.h"
#include "tests/sanitized.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr int kFrames = kSanitized ? 30 : 100;
constexpr int kChunkFrames = 7;

void check_frame(const Frame& frame, int64_t index, const ImageType& type, bool lossless) {
    CHECK(frame.index == index);
    CHECK(frame.number == 1000 + index);
    CHECK(frame.time == fixture_time(index));
    REQUIRE(ImageType::of(frame.image) == type);
    CHECK(read_image_number(frame.image) == static_cast<int>(index));
    if (lossless) CHECK(cv::norm(frame.image, make_numbered_image(type, static_cast<int>(index)), cv::NORM_INF) == 0);
}

/// Every way to reach a frame, in shuffled order.
void check_access(const std::filesystem::path& path, const ImageType& type) {
    StoreReader store(path);
    const bool lossless = store.lossless();
    CHECK(store.frame_count() == kFrames);
    CHECK(store.image_type() == type);
    CHECK(store.chunks().size() == (kFrames + kChunkFrames - 1) / kChunkFrames);
    CHECK(store.warnings().empty());
    CHECK(store.closed());
    for (int64_t i = 0; i < kFrames; ++i) {
        const std::optional<Frame> frame = store.next();
        REQUIRE(frame);
        check_frame(*frame, i, type, lossless);
    }
    CHECK_FALSE(store.next());

    std::vector<int64_t> order(kFrames);
    std::iota(order.begin(), order.end(), int64_t{0});
    std::mt19937 random(11);
    std::shuffle(order.begin(), order.end(), random);
    for (size_t i = 0; i < order.size(); ++i) {
        check_frame(store.at_index(order[i]), order[i], type, lossless);
        const int64_t other = order[(i + 31) % order.size()];
        check_frame(*store.at_number(1000 + other), other, type, lossless);
        const int64_t third = order[(i + 67) % order.size()];
        check_frame(*store.at_time(fixture_time(third) - 0.01), third, type, lossless);
    }
    for (int64_t i = kFrames - 1; i >= 0; --i) check_frame(store.at_index(i), i, type, lossless);

    order.push_back(order.front());
    const std::vector<Frame> batch = store.at_indices(order);
    REQUIRE(batch.size() == order.size());
    for (size_t i = 0; i < order.size(); ++i) check_frame(batch[i], order[i], type, lossless);
}

}  // namespace

TEST_CASE("every format gives every frame back, by next, index, number and time") {
    const TemporaryFolder folder(memory_folder());
    int cases = 0;
    for (const auto& format : chunk_formats()) {
        for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F}) {
            for (const int channels : {1, 3, 4}) {
                for (const auto& [height, width] : {std::pair(48, 64), std::pair(47, 63), std::pair(81, 97)}) {
                    const ImageType type{height, width, channels, depth};
                    if (format->refuses(type)) continue;
                    // Only encoders that want more pixels a side get larger images.
                    if (height > kFixtureHeight && !format->refuses({48, 64, channels, depth})) continue;
                    const std::string name = std::to_string(cases++);
                    CAPTURE(format->info().name);
                    CAPTURE(type.text());
                    write_numbered_store(folder / name, {.format = format->info().name, .chunk_frames = kChunkFrames},
                                         type, kFrames, 1000);
                    check_access(folder / name, type);
                    std::filesystem::remove_all(folder / name);
                }
            }
        }
    }
    CHECK(cases >= 40);
}

TEST_CASE("raw images with an encoding are kept raw and decoded when read") {
    const TemporaryFolder folder;
    const ImageType raw{48, 64, 1, CV_8U};
    write_numbered_store(folder / "bayer", {.format = "npy", .chunk_frames = 7, .encoding = "cv_bayerbg"}, raw, 20);
    StoreReader decoded(folder / "bayer");
    StoreReader mosaic(folder / "bayer", {.decode = false});
    CHECK(decoded.image_type() == ImageType{48, 64, 3, CV_8U});
    CHECK(mosaic.image_type() == raw);
    for (int i = 0; i < 20; ++i) {
        const cv::Mat expected = make_numbered_image(raw, i);
        CHECK(cv::norm(mosaic.at_index(i).image, expected, cv::NORM_INF) == 0);
        CHECK(cv::norm(decoded.at_index(i).image, decode(*find_encoding("cv_bayerbg"), expected), cv::NORM_INF) == 0);
    }
}

TEST_CASE("frames that look into the file stay when their reader has gone, and raw ones are decoded beside it") {
    const TemporaryFolder folder;
    const ImageType type{47, 63, 3, CV_16U};
    write_numbered_store(folder / "s", {.format = "raw/npy", .chunk_frames = 4}, type, 30);
    std::vector<Frame> frames;
    {
        // More chunks than a reader keeps open, by every access.
        StoreReader store(folder / "s");
        for (int i = 0; i < 30; i += 3) frames.push_back(store.at_index(i));
        for (Frame& frame : store.at_indices(std::vector<int64_t>{29, 0, 17, 4, 12}))
            frames.push_back(std::move(frame));
        while (std::optional<Frame> frame = store.next()) frames.push_back(*frame);
    }
    std::filesystem::remove_all(folder / "s");
    for (const Frame& frame : frames) {
        CHECK(frame.owner);
        CHECK(cv::norm(frame.image, make_numbered_image(type, static_cast<int>(frame.index)), cv::NORM_INF) == 0);
    }

    const ImageType raw{48, 64, 1, CV_8U};
    write_numbered_store(folder / "bayer", {.format = "raw/npy", .encoding = "cv_bayerbg"}, raw, 5);
    StoreReader decoded(folder / "bayer");
    for (int i = 4; i >= 0; --i) {
        const Frame frame = decoded.at_index(i);
        CHECK_FALSE(frame.owner);
        CHECK(cv::norm(frame.image, decode(*find_encoding("cv_bayerbg"), make_numbered_image(raw, i)), cv::NORM_INF) ==
              0);
    }
    CHECK(verify(folder / "bayer", VerifyLevel::hash).findings.empty());
}

TEST_CASE("packed chunks are stores of a class of their own, one file a chunk") {
    const TemporaryFolder folder;
    for (const auto& [format, extension] :
         {std::pair("raw/npy", ".npy"), std::pair("zstd/npy", ".npy.zst"), std::pair("predicted/rpz", ".rpz")}) {
        CAPTURE(format);
        const std::filesystem::path path = folder / std::string(format).substr(0, 3);
        write_numbered_store(path, {.format = format, .chunk_frames = 4}, gray_type(), 10);
        StoreReader store(path, {.threads = 1});
        CHECK(store.metadata().class_name == "PackedImgStore");
        CHECK(store.metadata().extension == extension);
        CHECK(store.lossless());
        uint64_t bytes = 0;
        for (const char* chunk : {"000000", "000001", "000002"})
            bytes += std::filesystem::file_size(path / (std::string(chunk) + extension));
        CHECK(store.media_bytes() == bytes);
        CHECK(store.entry_of(6) == 6);
        for (const int i : {9, 2, 6}) CHECK(read_image_number(store.at_index(i).image) == i);
        CHECK(store.counters().demux_scans == 0);
    }
}

TEST_CASE("a +color format decodes raw images as it writes them") {
    const TemporaryFolder folder;
    const ImageType raw{48, 64, 1, CV_8U};
    write_numbered_store(folder / "color", {.format = "png+color", .chunk_frames = 7, .encoding = "cv_bayergr"}, raw,
                         10);
    StoreReader store(folder / "color");
    CHECK(store.metadata().encoding.empty());
    CHECK(store.image_type() == ImageType{48, 64, 3, CV_8U});
    for (int i = 0; i < 10; ++i) {
        CHECK(cv::norm(store.at_index(i).image, decode(*find_encoding("cv_bayergr"), make_numbered_image(raw, i)),
                       cv::NORM_INF) == 0);
    }
}

TEST_CASE("a video chunk is read from the index without a demuxer") {
    const TemporaryFolder folder;
    for (const char* format : {"avc1/mp4", "h264/mkv", "mjpeg/avi"}) {
        CAPTURE(format);
        const std::filesystem::path path = folder / std::string(format).substr(0, 4);
        write_numbered_store(path, {.format = format, .chunk_frames = 30}, gray_type(), 60);
        StoreReader store(path, {.threads = 1});
        for (int64_t i = 0; i < 60; ++i) REQUIRE(store.next());
        const DecodeCounters counters = store.counters();
        CHECK(counters.demux_scans == 0);
        CHECK(counters.packets_sent == 60);
        CHECK(counters.decoder_opens <= 2);
    }
}
