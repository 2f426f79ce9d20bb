#include <doctest/doctest.h>

#include "base/numbered_frames.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

const ImageType kType{6, 20, 1, CV_32F};
constexpr int kFrames = 4;

std::vector<cv::Mat> images() {
    std::vector<cv::Mat> images;
    for (int i = 0; i < kFrames; ++i) images.push_back(make_numbered_image(kType, 70 + i));
    return images;
}

std::vector<uint8_t> stack(const std::vector<cv::Mat>& images) {
    BytesMaker maker;
    for (const cv::Mat& image : images) maker.image(image);
    return maker.get();
}

std::optional<ErrorCode> opening_error(const std::string& name, const std::vector<uint8_t>& bytes) {
    const TemporaryFolder folder;
    write_foreign_files(folder.path(), {{name, bytes}});
    return error_of([&] { open_file_source(folder / name); });
}

}  // namespace

TEST_CASE("float_dat: frames of the size in the name") {
    for (const std::string name :
         {"signal_20x6x4.dat", "a_b_20x6x4_filtered.dat", "_20x6x4f.DAT", "from_100x100x7_to_20x6x4.dat"}) {
        CAPTURE(name);
        check_foreign_files({{name, stack(images())}}, name, {.images = images()});
    }
    const TemporaryFolder folder;
    write_foreign_files(folder.path(), {{"signal_20x6x4.dat", stack(images())}});
    const auto source = open_file_source(folder / "signal_20x6x4.dat");
    CHECK(source->info().image_type == kType);
    CHECK(source->info().format == "float dat");
    CHECK_FALSE(source->info().has_times);
    CHECK(source->warnings().empty());
    CHECK(source->next()->owner);  // a view of the mapped file
}

TEST_CASE("float_dat: another number of frames than the name says is a warning") {
    const auto bytes = stack(images());
    struct Case {
        std::string name;
        size_t size;
        int64_t frames;
    };
    const size_t frame = kType.bytes();
    for (const Case& one : {Case{"s_20x6x9.dat", 4 * frame, 4}, Case{"s_20x6x4.dat", 4 * frame - 1, 3},
                            Case{"s_20x6x4.dat", 3 * frame + 1, 3}, Case{"s_20x6x2.dat", 3 * frame, 3},
                            Case{"s_20x6x3000000000.dat", 3 * frame, 3}}) {
        CAPTURE(one.name);
        const TemporaryFolder folder;
        write_foreign_files(folder.path(), {{one.name, {bytes.begin(), bytes.begin() + static_cast<int>(one.size)}}});
        const auto source = open_file_source(folder / one.name);
        CHECK(source->info().frame_count == one.frames);
        CHECK(source->warnings().size() == 1);
        CHECK(equal_pixels(source->random_access()->at_index(one.frames - 1).image,
                           images()[static_cast<size_t>(one.frames) - 1]));
    }
}

TEST_CASE("float_dat: what cannot be such a stack is refused") {
    const auto bytes = stack(images());
    const auto first_bytes = [&](size_t size) {
        return std::vector<uint8_t>(bytes.begin(), bytes.begin() + static_cast<int>(size));
    };
    // Integers of 8 and 16 bits, and doubles.
    CHECK(opening_error("s_20x6x4.dat", first_bytes(kType.bytes())) == ErrorCode::unsupported);
    CHECK(opening_error("s_20x6x4.dat", first_bytes(2 * kType.bytes())) == ErrorCode::unsupported);
    CHECK(opening_error("s_20x6x2.dat", bytes) == ErrorCode::unsupported);
    for (const std::string name :
         {"s_20x6.dat", "s_20x6xx4.dat", "s_0x6x4.dat", "s_20x0x4.dat", "s_20x6x0.dat", "s.dat", "20x6x4.dat",
          "s_x6x4.dat", "s_-20x6x4.dat", "s_20x6x4.bin", "s_99999999999999999999x6x4.dat"}) {
        CAPTURE(name);
        CHECK(opening_error(name, bytes) == ErrorCode::unsupported);
    }
    CHECK(opening_error("s_70000x2x2.dat", bytes) == ErrorCode::corrupt);
    CHECK(opening_error("s_18446744073709551615x18446744073709551615x4.dat", bytes) == ErrorCode::corrupt);
    CHECK(opening_error("s_65000x65000x4.dat", bytes) == ErrorCode::corrupt);
    CHECK(opening_error("s_200x60x4.dat", first_bytes(400)) == ErrorCode::corrupt);
    CHECK(opening_error("s_20x6x4.dat", {}) == ErrorCode::unsupported);
}

TEST_CASE("float_dat: a recording of MultiRecorder stays one under such a name") {
    const std::vector<cv::Mat> images = {make_numbered_image({6, 20, 1, CV_16U}, 5)};
    BytesMaker maker;
    maker.add('f').add(uint32_t{0x1A2B3C4D}).add(1u).add(20u).add(6u).add(3u).pad_to(1024).image(images[0]);
    maker.add(uint64_t{1577836800000});
    check_foreign_files({{"cam_20x6x4.dat", maker.get()}}, "cam_20x6x4.dat", {.images = images, .times = {1577836800}});
}

TEST_CASE("float_dat: a file cut off anywhere gives its whole frames") {
    const ForeignFiles files = {{"s_20x6x4.dat", stack(images())}};
    check_truncated(files, "s_20x6x4.dat", "s_20x6x4.dat", files.at("s_20x6x4.dat").size(), kFrames, 31);
}

}  // namespace reelstore
