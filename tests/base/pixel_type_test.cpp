#include "base/pixel_type.h"

#include <doctest/doctest.h>

#include "base/error.h"

namespace reelstore {

TEST_CASE("pixel_type: names and depths are each other's inverse") {
    for (int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        CHECK(depth_of_dtype(dtype_name(depth)) == depth);
    }
    CHECK(dtype_name(CV_16F) == "float16");
    CHECK_THROWS_AS(dtype_name(8), Error);
    CHECK_THROWS_AS(dtype_name(-1), Error);
    for (const char* name : {"", "int64", "uint32", "uint64", "complex64", "UINT8", "uint8 "}) {
        CHECK_FALSE(depth_of_dtype(name));
    }
}

TEST_CASE("pixel_type: shape, size and text") {
    ImageType gray{.height = 48, .width = 64, .depth = CV_16U};
    CHECK(gray.shape() == std::vector<int64_t>{48, 64});
    CHECK(gray.bytes() == 48 * 64 * 2);
    CHECK(gray.text() == "48x64 uint16 gray");
    ImageType color{.height = 48, .width = 64, .channels = 3};
    CHECK(color.shape() == std::vector<int64_t>{48, 64, 3});
    CHECK(color.text() == "48x64x3 uint8");
    CHECK(color.cv_type() == CV_8UC3);
    CHECK(ImageType::of(cv::Mat(48, 64, CV_8UC3)) == color);
    CHECK(ImageType::of(cv::Mat()).empty());
    CHECK(ImageType{.height = 65535, .width = 65535, .channels = 512, .depth = CV_64F}.bytes() ==
          size_t{65535} * 65535 * 512 * 8);
}

TEST_CASE("pixel_type: only types within the limits are plausible") {
    CHECK(plausible({.height = 1, .width = 1}));
    CHECK(plausible({.height = kMaxImageSide, .width = 100}));
    CHECK(plausible({.height = 10, .width = 10, .channels = CV_CN_MAX}));
    CHECK_FALSE(plausible({}));
    CHECK_FALSE(plausible({.height = -1, .width = 5}));
    CHECK_FALSE(plausible({.height = kMaxImageSide + 1, .width = 5}));
    CHECK_FALSE(plausible({.height = kMaxImageSide, .width = kMaxImageSide}));
    CHECK_FALSE(plausible({.height = 5, .width = 5, .channels = 0}));
    CHECK_FALSE(plausible({.height = 5, .width = 5, .channels = CV_CN_MAX + 1}));
    CHECK_FALSE(plausible({.height = 5, .width = 5, .depth = 8}));
}

}  // namespace reelstore
