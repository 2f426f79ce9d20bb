#include <doctest/doctest.h>

#include <limits>

#include "codecs/file_format.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

/// A video file with frames that show first..first+count-1.
void write_video(const std::filesystem::path& path, const ImageType& type, int first, int count) {
    const auto sink = create_file_sink(path, {.frame_rate = 25.0});
    for (int i = 0; i < count; ++i) {
        Frame frame;
        frame.image = make_numbered_image(type, first + i);
        frame.index = frame.number = i;
        frame.time = i / 25.0;
        sink->write(frame);
    }
    sink->close();
}

std::vector<int64_t> counting(int64_t first, int64_t count) {
    std::vector<int64_t> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(first + i);
    return values;
}

std::vector<double> times_of(int64_t first, int64_t count) {
    std::vector<double> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(fixture_time(first + i));
    return values;
}

}  // namespace

TEST_CASE("a video file is taken in as a chunk, between recorded ones") {
    const TemporaryFolder folder;
    for (const auto& [format, extension] :
         {std::pair("avc1/mp4", ".mp4"), std::pair("h264/mkv", ".mkv"), std::pair("mjpeg/avi", ".avi")}) {
        CAPTURE(format);
        const auto video = folder / (std::string("video") + extension);
        const auto path = folder / std::string(format).substr(0, 4);
        write_video(video, color_type(), 10, 12);
        StoreWriter writer(path, {.format = format, .chunk_frames = 5});
        for (int i = 0; i < 7; ++i) writer.add(make_numbered_image(color_type(), i), i, fixture_time(i));
        writer.insert_chunk(video, counting(100, 12), times_of(7, 12));
        CHECK(writer.frame_count() == 19);
        writer.add(make_numbered_image(color_type(), 30), 30, fixture_time(19));
        writer.close();
        CHECK(std::filesystem::exists(video));

        for (const bool with_index : {true, false}) {
            if (!with_index) std::filesystem::remove(path / "index.sqlite");
            StoreReader store(path);
            CHECK(store.chunks() == std::vector<int64_t>{0, 1, 2, 3});
            REQUIRE(store.frame_count() == 20);
            for (int i = 19; i >= 0; --i)
                CHECK(read_image_number(store.at_index(i).image) == (i < 7 ? i : i < 19 ? i + 3 : 30));
            CHECK(store.at_number(105)->index == 12);
            CHECK(store.at_time(fixture_time(12))->number == 105);
        }
    }
}

TEST_CASE("a store may begin with a video that is moved in") {
    const TemporaryFolder folder;
    write_video(folder / "video.mp4", color_type(), 0, 6);
    StoreWriter writer(folder / "s", {.format = "avc1/mp4"});
    writer.insert_chunk(folder / "video.mp4", counting(0, 6), times_of(0, 6), StoreWriter::Adopt::move);
    writer.close();
    CHECK_FALSE(std::filesystem::exists(folder / "video.mp4"));
    StoreReader store(folder / "s");
    CHECK(store.image_type() == color_type());
    for (int i = 5; i >= 0; --i) CHECK(read_image_number(store.at_index(i).image) == i);
}

TEST_CASE("a video that does not fit is refused and the store goes on") {
    const TemporaryFolder folder;
    write_video(folder / "video.mp4", color_type(), 0, 6);
    write_video(folder / "large.mp4", {96, 64, 3, CV_8U}, 0, 6);
    StoreWriter writer(folder / "s", {.format = "avc1/mp4"});
    writer.add(make_numbered_image(color_type(), 0), 0, fixture_time(0));
    const auto code = [&](const char* name, const std::vector<int64_t>& numbers, const std::vector<double>& times) {
        return error_of([&] { writer.insert_chunk(folder / name, numbers, times); });
    };
    CHECK(code("video.mp4", counting(0, 5), times_of(0, 5)) == ErrorCode::invalid_argument);
    CHECK(code("video.mp4", counting(0, 7), times_of(0, 7)) == ErrorCode::invalid_argument);
    CHECK(code("video.mp4", counting(0, 6), times_of(0, 5)) == ErrorCode::invalid_argument);
    CHECK(code("video.mp4", {}, {}) == ErrorCode::invalid_argument);
    CHECK(code("video.mp4", counting(0, 6), std::vector<double>(6, std::numeric_limits<double>::quiet_NaN())) ==
          ErrorCode::invalid_argument);
    CHECK(code("large.mp4", counting(0, 6), times_of(0, 6)) == ErrorCode::wrong_type);
    CHECK(code("missing.mp4", counting(0, 6), times_of(0, 6)) == ErrorCode::not_found);
    CHECK(code("video.avi", counting(0, 6), times_of(0, 6)) == ErrorCode::invalid_argument);
    writer.add(make_numbered_image(color_type(), 1), 1, fixture_time(1));
    writer.close();
    StoreReader store(folder / "s");
    CHECK(store.frame_count() == 2);
    CHECK(store.chunks() == std::vector<int64_t>{0});

    StoreWriter images(folder / "images", {.format = "npy"});
    CHECK(error_of([&] { images.insert_chunk(folder / "video.mp4", counting(0, 6), times_of(0, 6)); }) ==
          ErrorCode::invalid_argument);
    images.close();
}

TEST_CASE("16-bit video that is taken in comes back exactly, and fits in no store of 8-bit images") {
    const TemporaryFolder folder;
    for (const int channels : {1, 3}) {
        CAPTURE(channels);
        const std::string name = std::to_string(channels);
        const ImageType type{kFixtureHeight, kFixtureWidth, channels, CV_16U};
        const auto image = [&](int number) {
            cv::Mat noise(type.height, type.width, type.cv_type());
            cv::RNG(static_cast<uint64_t>(number) + 1).fill(noise, cv::RNG::UNIFORM, 0, 65536);
            return noise;
        };
        const auto video = folder / (name + ".mkv");
        {
            const auto writer = find_chunk_format("ffv1/mkv")->create(video, type, {});
            for (int i = 0; i < 6; ++i) writer->write(image(i));
            writer->finish();
        }
        StoreWriter writer(folder / name, {.format = "ffv1/mkv"});
        writer.insert_chunk(video, counting(0, 6), times_of(0, 6));
        writer.add(image(6), 6, fixture_time(6));
        writer.insert_chunk(video, counting(7, 6), times_of(7, 6));
        writer.close();
        StoreReader store(folder / name);
        CHECK(store.image_type() == type);
        REQUIRE(store.frame_count() == 13);
        for (int i = 12; i >= 0; --i) {
            const cv::Mat read = store.at_index(i).image;
            REQUIRE(ImageType::of(read) == type);
            CHECK(cv::norm(read, image(i % 7), cv::NORM_INF) == 0);
        }

        const ImageType shallow{type.height, type.width, channels, CV_8U};
        StoreWriter other(folder / (name + "-8bit"), {.format = "ffv1/mkv"});
        other.add(make_numbered_image(shallow, 0), 0, fixture_time(0));
        CHECK(error_of([&] { other.insert_chunk(video, counting(1, 6), times_of(1, 6)); }) == ErrorCode::wrong_type);
        other.close();
        CHECK(StoreReader(folder / (name + "-8bit")).frame_count() == 1);
    }
}

TEST_CASE("a frame with values that its video cannot hold is named in the error") {
    const TemporaryFolder folder;
    const ImageType type{kFixtureHeight, kFixtureWidth, 1, CV_16U};
    StoreWriter writer(folder / "s", {.format = "ffv1/mkv", .chunk_frames = 4, .codec = {{"bits", "12"}}});
    const Error error = expected_error([&] {
        for (int i = 0; i < 9; ++i) {
            const int value = i == 6 ? 4096 : i;
            writer.add(cv::Mat(type.height, type.width, CV_16U, cv::Scalar(value)), 100 + i, fixture_time(i));
        }
        writer.close();
    });
    CHECK(error.code() == ErrorCode::wrong_type);
    CHECK(error.place().chunk.has_value());
    CHECK(error.place().frame_index == 6);
    CHECK(std::string(error.what()).find("frame index 6") != std::string::npos);
}
