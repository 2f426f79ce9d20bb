#include "base/numbered_frames.h"

#include <vector>

#include <doctest/doctest.h>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"

namespace reelstore {

namespace {

bool equal_pixels(const cv::Mat& a, const cv::Mat& b) {
    if (a.type() != b.type() || a.size() != b.size()) return false;
    for (int row = 0; row < a.rows; ++row) {
        if (!std::equal(a.ptr(row), a.ptr(row) + size_t(a.cols) * a.elemSize(), b.ptr(row))) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("numbered_frames: every pixel type, channel count and size carries its number") {
    for (int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (int channels : {1, 2, 3, 4, 7}) {
            for (cv::Size size :
                 {cv::Size(16, 1), cv::Size(17, 2), cv::Size(33, 9), cv::Size(64, 48), cv::Size(101, 77)}) {
                for (int number : {0, 1, 0x5555, 0xaaaa, 0x8001, 65535}) {
                    ImageType type{.height = size.height, .width = size.width, .channels = channels, .depth = depth};
                    cv::Mat image = make_numbered_image(type, number);
                    REQUIRE(ImageType::of(image) == type);
                    REQUIRE(read_image_number(image) == number);
                }
            }
        }
    }
}

TEST_CASE("numbered_frames: all numbers are told apart, and a number always gives the same pixels") {
    ImageType type{.height = 6, .width = 32};
    for (int number = 0; number < 65536; number += 7)
        REQUIRE(read_image_number(make_numbered_image(type, number)) == number);
    type.channels = 3;
    type.height = 48;
    cv::Mat image = make_numbered_image(type, 1234);
    CHECK(equal_pixels(image, make_numbered_image(type, 1234)));
    // The texture differs between the channels and moves with the number.
    std::vector<cv::Mat> channels;
    cv::split(image, channels);
    CHECK_FALSE(equal_pixels(channels[0].rowRange(24, 48), channels[1].rowRange(24, 48)));
    CHECK_FALSE(equal_pixels(image.rowRange(24, 48), make_numbered_image(type, 1235).rowRange(24, 48)));
}

TEST_CASE("numbered_frames: the number survives lossy compression") {
    for (int channels : {1, 3}) {
        ImageType type{.height = 48, .width = 64, .channels = channels};
        for (int number : {0, 3, 1000, 0xa5a5, 65535}) {
            std::vector<uchar> bytes;
            REQUIRE(cv::imencode(".jpg", make_numbered_image(type, number), bytes, {cv::IMWRITE_JPEG_QUALITY, 30}));
            CHECK(read_image_number(cv::imdecode(bytes, cv::IMREAD_UNCHANGED)) == number);
        }
    }
}

TEST_CASE("numbered_frames: bars over the full height and differing channels are read") {
    cv::Mat bars(20, 64, CV_8UC3, cv::Scalar(30, 225, 225));
    for (int bit : {0, 3, 15}) {
        bars.colRange((15 - bit) * 4, (16 - bit) * 4).setTo(cv::Scalar(220, 35, 35));
    }
    CHECK(read_image_number(bars) == (1 | 8 | 0x8000));
    // Part of a larger image: rows are not contiguous.
    cv::Mat larger(40, 100, CV_8UC3, cv::Scalar::all(128));
    bars.copyTo(larger(cv::Rect(10, 5, 64, 20)));
    CHECK(read_image_number(larger(cv::Rect(10, 5, 64, 20))) == (1 | 8 | 0x8000));
}

TEST_CASE("numbered_frames: what is unclear gives nothing") {
    CHECK_FALSE(read_image_number(cv::Mat()));
    CHECK_FALSE(read_image_number(cv::Mat(48, 64, CV_8U, cv::Scalar(125))));
    CHECK_FALSE(read_image_number(cv::Mat(48, 15, CV_8U, cv::Scalar(30))));
    CHECK_FALSE(read_image_number(cv::Mat(48, 64, CV_32F, cv::Scalar(std::numeric_limits<double>::quiet_NaN()))));
    CHECK_FALSE(read_image_number(cv::Mat({4, 16, 16}, CV_8U)));
    cv::Mat image = make_numbered_image({.height = 48, .width = 64}, 99);
    image.colRange(8, 12).setTo(125);
    CHECK_FALSE(read_image_number(image));
}

TEST_CASE("numbered_frames: impossible requests are refused") {
    CHECK_THROWS_AS(make_numbered_image({.height = 48, .width = 64}, -1), Error);
    CHECK_THROWS_AS(make_numbered_image({.height = 48, .width = 64}, 65536), Error);
    CHECK_THROWS_AS(make_numbered_image({.height = 48, .width = 15}, 1), Error);
    CHECK_THROWS_AS(make_numbered_image({.height = 0, .width = 64}, 1), Error);
    CHECK_THROWS_AS(make_numbered_image({.height = 48, .width = 64, .channels = 513}, 1), Error);
}

}  // namespace reelstore
