#include "codecs/image_codec.h"

#include <string>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/numbered_frames.h"
#include "tests/image_equality.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

struct Outcome {
    cv::Mat image;
    std::optional<ErrorCode> error;
};

Outcome outcome_of(const std::vector<uint8_t>& bytes, const std::optional<ImageType>& expected) {
    try {
        return {decode_image(bytes, "a", expected), std::nullopt};
    } catch (const Error& error) {
        return {{}, error.code()};
    }
}

uint32_t crc_of(const uint8_t* data, size_t size) {
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; ++i) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

void put_big_endian(std::vector<uint8_t>& bytes, size_t place, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) bytes[place + i] = uint8_t(value >> (24 - 8 * i));
}

std::vector<uint8_t> png_claiming(uint32_t width, uint32_t height) {
    auto png = encode_image(make_numbered_image({48, 64, 1, CV_8U}, 3), ".png");
    put_big_endian(png, 16, width);
    put_big_endian(png, 20, height);
    put_big_endian(png, 29, crc_of(png.data() + 12, 17));
    return png;
}

}  // namespace

TEST_CASE("image_codec: a PNG that claims 60000x60000 is refused before it is decoded") {
    const auto png = png_claiming(60000, 60000);
    const Error against_store = expected_error([&] { decode_image(png, "a.png", ImageType{48, 64, 1, CV_8U}); });
    CHECK(against_store.code() == ErrorCode::corrupt);
    CHECK(std::string(against_store.what()).find("the header says 60000x60000, the store 64x48") != std::string::npos);
    CHECK(against_store.place().path == "a.png");
    const Error foreign = expected_error([&] { decode_image(png, "a.png"); });
    CHECK(foreign.code() == ErrorCode::corrupt);
    CHECK(std::string(foreign.what()).find("60000x60000") != std::string::npos);
    CHECK(expected_error([&] { decode_image(png_claiming(0, 10), "a.png"); }).code() == ErrorCode::corrupt);
    CHECK(expected_error([&] { decode_image(png_claiming(0x7FFFFFFF, 1), "a.png"); }).code() == ErrorCode::corrupt);
}

TEST_CASE("image_codec: what the file holds comes back when nothing is expected") {
    for (int channels : {1, 3, 4}) {
        for (int depth : {CV_8U, CV_16U}) {
            CAPTURE(channels);
            CAPTURE(depth);
            const cv::Mat image = make_numbered_image({33, 47, channels, depth}, 1234);
            CHECK(equal_pixels(decode_image(encode_image(image, ".png"), "a.png"), image));
            CHECK(equal_pixels(decode_image(encode_image(image, ".tif"), "a.tif"), image));
        }
    }
}

TEST_CASE("image_codec: depths are never converted, gray and colour are") {
    const cv::Mat deep = make_numbered_image({48, 64, 1, CV_16U}, 9);
    const auto bytes = encode_image(deep, ".png");
    const Error error = expected_error([&] { decode_image(bytes, "a.png", ImageType{48, 64, 1, CV_8U}); });
    CHECK(error.code() == ErrorCode::corrupt);
    CHECK(std::string(error.what()).find("the file holds uint16, the store uint8") != std::string::npos);

    const cv::Mat color = decode_image(bytes, "a.png", ImageType{48, 64, 3, CV_16U});
    CHECK(ImageType::of(color) == ImageType{48, 64, 3, CV_16U});
    CHECK(equal_pixels(gray_image(color), deep));
    CHECK(equal_pixels(decode_image(encode_image(color, ".png"), "a.png", ImageType{48, 64, 1, CV_16U}), deep));
    CHECK(expected_error([&] {
              decode_image(bytes, "a.png", ImageType{48, 64, 4, CV_16U});
          }).code() == ErrorCode::corrupt);
}

TEST_CASE("image_codec: the orientation tag of a camera is not applied") {
    const ImageType type{48, 64, 3, CV_8U};
    const auto jpeg = encode_image(make_numbered_image(type, 9), ".jpg");
    // An Exif segment whose one tag (0x0112) says: turn by 90 degrees (6).
    const std::vector<uint8_t> exif{0xFF, 0xE1, 0,    34, 'E', 'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0,
                                    1,    0,    0x12, 1,  3,   0,   1,   0,   0, 0, 6,   0,   0,  0, 0, 0, 0, 0};
    std::vector<uint8_t> turned(jpeg.begin(), jpeg.begin() + 2);
    turned.insert(turned.end(), exif.begin(), exif.end());
    turned.insert(turned.end(), jpeg.begin() + 2, jpeg.end());
    const cv::Mat straight = decode_image(jpeg, "a.jpg", type);
    CHECK(equal_pixels(decode_image(turned, "a.jpg", type), straight));
    CHECK(equal_pixels(decode_image(turned, "a.jpg"), straight));
    CHECK(ImageType::of(decode_image(turned, "a.jpg", ImageType{48, 64, 1, CV_8U})).width == 64);
}

TEST_CASE("image_codec: other content") {
    const std::vector<uint8_t> text{'h', 'e', 'l', 'l', 'o'};
    CHECK(expected_error([&] { decode_image(text, "a.png"); }).code() == ErrorCode::unsupported);
    CHECK(expected_error([&] { decode_image(text, "a.png", ImageType{4, 4, 1, CV_8U}); }).code() == ErrorCode::corrupt);
    CHECK(expected_error([&] { decode_image({}, "a.png"); }).code() == ErrorCode::unsupported);
}

TEST_CASE("image_codec: what cannot be encoded is an error") {
    CHECK(expected_error([] { encode_image(cv::Mat(), ".png"); }).code() == ErrorCode::internal);
    CHECK(expected_error([] { encode_image(cv::Mat(4, 4, CV_8UC2), ".png"); }).code() == ErrorCode::internal);
    CHECK(expected_error([] { encode_image(cv::Mat(4, 4, CV_8UC1), ".xyz"); }).code() == ErrorCode::internal);
    CHECK(expected_error([] { encode_image(cv::Mat(4, 4, CV_8UC3), ".pgm"); }).code() == ErrorCode::internal);
}

TEST_CASE("image_codec: a file cut off anywhere is an error, or was whole but for its trailer") {
    for (const std::string extension : {".png", ".jpg", ".tif", ".bmp", ".ppm"}) {
        CAPTURE(extension);
        const ImageType type{24, 32, 3, CV_8U};
        const auto whole = encode_image(make_numbered_image(type, 77), extension);
        const cv::Mat expected = decode_image(whole, "a", type);
        for (size_t size = 0; size < whole.size(); size += size < 200 || size + 40 > whole.size() ? 1 : 7) {
            CAPTURE(size);
            const std::vector<uint8_t> cut(whole.begin(), whole.begin() + ptrdiff_t(size));
            const auto outcome = outcome_of(cut, type);
            CHECK((outcome.error == ErrorCode::corrupt || equal_pixels(outcome.image, expected)));
        }
    }
}

TEST_CASE("image_codec: damaged bytes give an image or an error") {
    for (const std::string extension : {".png", ".jpg", ".tif", ".bmp", ".ppm"}) {
        const ImageType type{24, 32, 3, CV_8U};
        const auto whole = encode_image(make_numbered_image(type, 77), extension);
        for (size_t place = 0; place < whole.size(); place += place < 200 ? 1 : 11) {
            auto changed = whole;
            changed[place] ^= 0x55;
            const auto outcome = outcome_of(changed, type);
            CHECK((outcome.error == ErrorCode::corrupt || ImageType::of(outcome.image) == type));
            const auto foreign = outcome_of(changed, std::nullopt);
            CHECK((foreign.error || plausible(ImageType::of(foreign.image))));
        }
    }
}

}  // namespace reelstore
