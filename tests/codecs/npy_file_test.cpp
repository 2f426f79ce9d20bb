#include <doctest/doctest.h>

#include "base/npy.h"
#include "base/numbered_frames.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kFrames = 5;
constexpr int kHeight = 6;
constexpr int kWidth = 20;

std::vector<cv::Mat> images_of(const ImageType& type) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < kFrames; ++i) images.push_back(make_numbered_image(type, 1000 + i));
    return images;
}

/// The images as an array whose axes lie as `axes` says (letters n, h, w, c), the last or the first one densest.
std::vector<uint8_t> array_of(const std::vector<cv::Mat>& images, const std::string& axes, bool fortran = false,
                              bool big_endian = false, const std::string& kind = {}) {
    const ImageType type = ImageType::of(images.front());
    std::map<char, int> sizes = {
        {'n', int(images.size())}, {'h', type.height}, {'w', type.width}, {'c', type.channels}};
    std::vector<int64_t> shape;
    for (const char axis : axes) shape.push_back(sizes[axis]);
    std::string descr = kind.empty() ? npy_descr(type.depth) : kind;
    if (big_endian) descr[0] = '>';
    std::vector<uint8_t> file = make_npy_header(descr, shape);
    if (fortran) {
        const std::string before = "'fortran_order': False";
        const auto place = std::search(file.begin(), file.end(), before.begin(), before.end());
        const std::string after = "'fortran_order': True ";
        std::copy(after.begin(), after.end(), place);
    }
    std::string walk = axes;
    if (fortran) std::reverse(walk.begin(), walk.end());
    const size_t item = images.front().elemSize1();
    std::map<char, int> at;
    const std::function<void(size_t)> add = [&](size_t depth) {
        if (depth < walk.size()) {
            for (int i = 0; i < sizes[walk[depth]]; ++i) {
                at[walk[depth]] = i;
                add(depth + 1);
            }
            return;
        }
        const uint8_t* const pixel = images[size_t(at['n'])].ptr(at['h'], at['w']) + size_t(at['c']) * item;
        std::vector<uint8_t> bytes(pixel, pixel + item);
        if (big_endian) std::reverse(bytes.begin(), bytes.end());
        file.insert(file.end(), bytes.begin(), bytes.end());
    };
    add(0);
    return file;
}

}  // namespace

TEST_CASE("npy file: every order of axes, elements and bytes") {
    for (const int depth : {CV_8U, CV_16U, CV_32F, CV_64F}) {
        for (const char* axes : {"nhw", "hwn", "hnw", "whn", "nhwc", "nchw", "hwcn", "cwhn"}) {
            for (const bool fortran : {false, true}) {
                for (const bool big_endian : {false, true}) {
                    if (kSanitized && (depth == CV_64F || big_endian)) continue;
                    CAPTURE(depth);
                    CAPTURE(axes);
                    CAPTURE(fortran);
                    CAPTURE(big_endian);
                    const int channels = std::string(axes).find('c') == std::string::npos ? 1 : 3;
                    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, channels, depth});
                    check_foreign_files({{"a.npy", array_of(images, axes, fortran, big_endian)}}, "a.npy", {images},
                                        {.format = {{"layout", axes}}});
                }
            }
        }
    }
}

TEST_CASE("npy file: frames in the machine's order are views of the mapped file, others are copies") {
    const TemporaryFolder folder;
    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, 1, CV_16U});
    write_foreign_files(folder.path(), {{"c.npy", array_of(images, "nhw")},
                                        {"big.npy", array_of(images, "nhw", false, true)},
                                        {"fortran.npy", array_of(images, "nhw", true)},
                                        {"last.npy", array_of(images, "hwn")}});
    const auto owner_of = [&](const char* name, SourceOptions options) {
        return open_file_source(folder / name, options)->random_access()->at_index(3).owner != nullptr;
    };
    CHECK(owner_of("c.npy", {}));
    CHECK_FALSE(owner_of("big.npy", {}));
    CHECK_FALSE(owner_of("fortran.npy", {}));
    CHECK_FALSE(owner_of("last.npy", {.format = {{"layout", "hwn"}}}));
    const auto source = open_file_source(folder / "c.npy");
    const Frame first = source->random_access()->at_index(0);
    const Frame second = source->random_access()->at_index(1);
    CHECK(second.image.data - first.image.data == std::ptrdiff_t(images[0].total() * 2));
}

TEST_CASE("npy file: a clone of a source outlives it") {
    const TemporaryFolder folder;
    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, 1, CV_8U});
    write_foreign_files(folder.path(), {{"a.npy", array_of(images, "nhw")}});
    auto source = open_file_source(folder / "a.npy");
    const auto clone = source->random_access()->clone_access();
    source.reset();
    CHECK(equal_pixels(clone->at_index(4).image, images[4]));
}

TEST_CASE("npy file: what is cut off keeps its whole frames") {
    const TemporaryFolder folder;
    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, 1, CV_8U});
    std::vector<uint8_t> file = array_of(images, "nhw");
    file.resize(file.size() - kHeight * kWidth - 1);
    write_foreign_files(folder.path(), {{"a.npy", file}});
    const auto source = open_file_source(folder / "a.npy");
    CHECK(source->info().frame_count == kFrames - 2);
    REQUIRE(source->warnings().size() == 1);
    CHECK(source->warnings()[0].find("3 of 5 frames") != std::string::npos);
    CHECK(equal_pixels(source->random_access()->at_index(2).image, images[2]));
    std::vector<uint8_t> scattered = array_of(images, "nhw", true);
    scattered.pop_back();
    write_foreign_files(folder.path(), {{"b.npy", scattered}});
    CHECK(error_of([&] { open_file_source(folder / "b.npy"); }) == ErrorCode::corrupt);
}

TEST_CASE("npy file: whole numbers that no image holds are doubles, as long as they are exact") {
    const std::vector<int64_t> shape = {2, 1, 3};
    const cv::Mat images[] = {(cv::Mat_<double>(1, 3) << 0, 1, 4294967295.0), (cv::Mat_<double>(1, 3) << 7, 8, 9)};
    const auto npy_of = [&](const char* descr, const BytesMaker& elements) {
        return ForeignFiles{{"a.npy", BytesMaker().bytes(make_npy_header(descr, shape)).bytes(elements.get()).get()}};
    };
    const std::vector<uint64_t> values = {0, 1, 4294967295, 7, 8, 9};
    for (const bool big_endian : {false, true}) {
        BytesMaker wide(big_endian);
        BytesMaker narrow(big_endian);
        for (const uint64_t value : values) wide.add(value);
        for (const uint64_t value : values) narrow.add(uint32_t(value));
        const ExpectedFrames expected{.images = {images[0], images[1]}};
        check_foreign_files(npy_of(big_endian ? ">i8" : "<i8", wide), "a.npy", expected);
        check_foreign_files(npy_of(big_endian ? ">u8" : "<u8", wide), "a.npy", expected);
        check_foreign_files(npy_of(big_endian ? ">u4" : "<u4", narrow), "a.npy", expected);
    }
    const TemporaryFolder folder;
    BytesMaker elements;
    for (const int64_t value : {-9007199254740992, 0L, 1L, 9007199254740994, 0L, 0L}) elements.add(int64_t{value});
    write_foreign_files(folder.path(), npy_of("<i8", elements));
    const auto source = open_file_source(folder / "a.npy");
    CHECK(source->random_access()->at_index(0).image.at<double>(0, 0) == -9007199254740992.0);
    const Error error = expected_error([&] { source->random_access()->at_index(1); });
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(error.message().find("9007199254740994") != std::string::npos);
}

TEST_CASE("npy file: layouts that do not fit are refused") {
    const TemporaryFolder folder;
    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, 1, CV_8U});
    write_foreign_files(folder.path(), {{"a.npy", array_of(images, "nhw")}});
    for (const char* layout : {"", "nh", "nhwc", "nhh", "xhw", "nhW", "nwc"}) {
        CAPTURE(layout);
        CHECK(error_of([&] {
                  open_file_source(folder / "a.npy", {.format = {{"layout", layout}}});
              }) == ErrorCode::invalid_argument);
    }
    CHECK(open_file_source(folder / "a.npy", {.format = {{"layout", "hwn"}}})->info().frame_count == kWidth);
    CHECK(open_file_source(folder / "a.npy", {.format = {{"layout", "chw"}}})->info().image_type ==
          ImageType{kHeight, kWidth, kFrames, CV_8U});
}

TEST_CASE("npy file: cut off and absurd headers") {
    const std::vector<cv::Mat> images = images_of({2, 16, 1, CV_16U});
    const std::vector<uint8_t> file = array_of(images, "nhw");
    check_truncated({{"a.npy", file}}, "a.npy", "a.npy", 200, kFrames, 3);
    check_absurd_headers({{"a.npy", file}}, "a.npy", "a.npy", 80, 5);
}

}  // namespace reelstore
