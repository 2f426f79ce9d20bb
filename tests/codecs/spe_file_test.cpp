#include <array>

#include <doctest/doctest.h>

#include "base/numbered_frames.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr size_t kHeaderBytes = 4100;
constexpr int kFrames = 4;

std::vector<cv::Mat> images_of(int depth) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < kFrames; ++i) images.push_back(make_numbered_image({6, 20, 1, depth}, 40 + i));
    return images;
}

/// A header with the fields that matter, to be changed at will.
BytesMaker header(int16_t data_type, int32_t frames = kFrames, bool big_endian = false) {
    BytesMaker maker(big_endian);
    maker.pad_to(kHeaderBytes);
    maker.put(42, uint16_t{20}).put(656, uint16_t{6}).put(1446, frames).put(108, data_type).put(1992, 2.5f);
    return maker;
}

void put_text(BytesMaker& maker, size_t offset, const std::string& text) {
    for (size_t i = 0; i < text.size(); ++i) maker.put(offset + i, text[i]);
}

std::vector<uint8_t> with_images(BytesMaker maker, const std::vector<cv::Mat>& images) {
    for (const cv::Mat& image : images) maker.image(image);
    return maker.get();
}

std::unique_ptr<FrameSource> open_bytes(const TemporaryFolder& folder, const std::vector<uint8_t>& bytes,
                                        const std::string& name = "run.spe") {
    std::filesystem::remove(folder / name);
    write_foreign_files(folder.path(), {{name, bytes}});
    return open_file_source(folder / name);
}

}  // namespace

TEST_CASE("spe: every data type; uint32 as float64, which holds all its values") {
    for (const auto& [code, depth] :
         {std::pair{0, CV_32F}, std::pair{1, CV_32S}, std::pair{2, CV_16S}, std::pair{3, CV_16U}}) {
        CAPTURE(code);
        const auto images = images_of(depth);
        check_foreign_files({{"run.spe", with_images(header(static_cast<int16_t>(code)), images)}}, "run.spe",
                            {.images = images});
    }
    for (const int16_t code : {4, 8}) {
        BytesMaker maker = header(code);
        std::vector<cv::Mat> images;
        for (int i = 0; i < kFrames; ++i) {
            cv::Mat image(6, 20, CV_64F);
            for (int place = 0; place < 120; ++place) {
                const uint32_t value = place == 0 ? 0xFFFFFFFF : 0x80000000u + static_cast<uint32_t>(1000 * i + place);
                maker.add(value);
                image.at<double>(place / 20, place % 20) = value;
            }
            images.push_back(image);
        }
        check_foreign_files({{"run.spe", maker.get()}}, "run.spe", {.images = images});
    }
}

TEST_CASE("spe: facts of the header") {
    BytesMaker maker = header(3);
    maker.put(10, 0.02f).put(36, -69.5f).put(198, uint16_t{3}).put(672, 1.25f);
    put_text(maker, 20, "31Jan2020");
    put_text(maker, 172, "235958");
    put_text(maker, 179, "225958");
    put_text(maker, 200, "first comment");
    put_text(maker, 200 + 2 * 80, "third \xB5m");
    put_text(maker, 688, "WinView");
    maker.put(1510, int16_t{1});
    const std::array<uint16_t, 6> region{1, 20, 1, 5, 10, 2};
    for (size_t i = 0; i < region.size(); ++i) maker.put(1512 + 2 * i, region[i]);
    const TemporaryFolder folder;
    const auto source = open_bytes(folder, with_images(maker, images_of(CV_16U)));
    const Json& metadata = source->user_metadata();
    CHECK(metadata["exposure_microseconds"] == doctest::Approx(20000));
    CHECK(metadata["detector_temperature"] == -69.5);
    CHECK(metadata["readout_milliseconds"] == 1.25);
    CHECK(metadata["gain"] == 3);
    CHECK(metadata["date"] == "31Jan2020");
    CHECK(metadata["local_time"] == "235958");
    CHECK(metadata["comments"] == Json({"first comment", "third \xC2\xB5m"}));
    CHECK(metadata["software"] == "WinView");
    CHECK(metadata["header_version"] == 2.5);
    REQUIRE(metadata["regions"].size() == 1);
    CHECK(metadata["regions"][0]["first_column"] == 1);
    CHECK(metadata["regions"][0]["last_row"] == 10);
    CHECK(metadata["regions"][0]["row_binning"] == 2);
    CHECK(source->info().format == "Princeton SPE 2.5 uint16");
    CHECK(source->info().creation_time == doctest::Approx(1580511598).epsilon(1e-12));  // 22:59:58 UTC
    CHECK_FALSE(source->info().has_times);
    CHECK(source->warnings().empty());
    CHECK(source->next()->owner);  // a view of the mapped file
}

TEST_CASE("spe: the local time is that of UTC where only it is there, also across midnight") {
    const TemporaryFolder folder;
    const auto created = [&](const std::string& date, const std::string& local, const std::string& utc) {
        BytesMaker maker = header(3);
        put_text(maker, 20, date);
        put_text(maker, 172, local);
        put_text(maker, 179, utc);
        return open_bytes(folder, with_images(maker, images_of(CV_16U)))->info().creation_time;
    };
    CHECK(created("31Jan2020", "235958", "") == 1580515198);
    CHECK(created("31Jan2020", "235958", "045958") == 1580515198 + 5 * 3600);
    CHECK(created("01FEB2020", "003000", "233000") == 1580515200 + 1800 - 3600);
    CHECK_FALSE(created("31Foo2020", "235958", ""));
    CHECK_FALSE(created("31Feb2020", "235958", ""));
    CHECK_FALSE(created("31Jan2020", "245958", ""));
    CHECK_FALSE(created("", "", ""));
}

TEST_CASE("spe: the number of frames comes from the size where the header lies") {
    const auto images = images_of(CV_16U);
    const TemporaryFolder folder;
    for (const int32_t frames : {0, 5, 2147483647}) {
        const auto source = open_bytes(folder, with_images(header(3, frames), images));
        CHECK(source->info().frame_count == kFrames);
        CHECK(source->warnings().size() == 1);
    }
    auto cut = with_images(header(3), images);
    cut.pop_back();
    auto source = open_bytes(folder, cut);
    CHECK(source->info().frame_count == kFrames - 1);
    source = open_bytes(folder, with_images(header(3, 2), images));
    CHECK(source->info().frame_count == 2);
    CHECK(source->warnings().size() == 1);
}

TEST_CASE("spe: version 3 ends with XML; several regions in it are refused") {
    const auto images = images_of(CV_16U);
    const uint64_t end = kHeaderBytes + kFrames * 240;
    BytesMaker maker = header(3);
    maker.put(1992, 3.0f).put(678, end);
    auto bytes = with_images(maker, images);
    for (int i = 0; i < 500; ++i) bytes.push_back('x');  // as long as two frames
    check_foreign_files({{"run.spe", bytes}}, "run.spe", {.images = images});
    maker.put(678, end - 8);
    const TemporaryFolder folder;
    CHECK(error_of([&] { open_bytes(folder, with_images(maker, images)); }) == ErrorCode::unsupported);
}

TEST_CASE("spe: recognised by WinView's number under any name, else only as .spe") {
    const auto images = images_of(CV_16U);
    const TemporaryFolder folder;
    CHECK(error_of([&] { open_bytes(folder, with_images(header(3), images), "run.bin"); }) == ErrorCode::unsupported);
    BytesMaker maker = header(3);
    maker.put(2996, uint32_t{0x01234567});
    CHECK(open_bytes(folder, with_images(maker, images), "run.bin")->info().frame_count == kFrames);
}

TEST_CASE("spe: what cannot be read is refused clearly") {
    const TemporaryFolder folder;
    std::string message;
    CHECK(error_of([&] { open_bytes(folder, with_images(header(6), images_of(CV_8U))); }, &message) ==
          ErrorCode::unsupported);
    CHECK(message.find("data type 6") != std::string::npos);
    CHECK(error_of([&] { open_bytes(folder, with_images(header(3, kFrames, true), images_of(CV_16U))); }) ==
          ErrorCode::unsupported);
    CHECK(error_of([&] { open_bytes(folder, header(3).get()); }) == ErrorCode::corrupt);
    CHECK(error_of([&] { open_bytes(folder, {}); }) == ErrorCode::unsupported);
    CHECK(error_of([&] { open_bytes(folder, std::vector<uint8_t>(5000, 'a')); }) == ErrorCode::unsupported);
}

TEST_CASE("spe: damaged headers") {
    const ForeignFiles files = {{"run.spe", with_images(header(3), images_of(CV_16U))}};
    check_truncated(files, "run.spe", "run.spe", kHeaderBytes, 0, 23);
    check_truncated(files, "run.spe", "run.spe", files.at("run.spe").size(), kFrames, 61);
    check_absurd_headers(files, "run.spe", "run.spe", 4104, 18);
    check_absurd_headers(files, "run.spe", "run.spe", 130, 2);
}

}  // namespace reelstore
