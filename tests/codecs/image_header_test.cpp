#include "codecs/image_header.h"

#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/numbered_frames.h"
#include "codecs/image_codec.h"

namespace reelstore {

namespace {

std::span<const uint8_t> bytes_of(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// Builds a TIFF directory in any of the four layouts.
class TiffBuilder {
public:
    TiffBuilder(bool big_endian, bool big_tiff) : big_endian_(big_endian), big_tiff_(big_tiff) {
        bytes_ = {uint8_t(big_endian ? 'M' : 'I'), uint8_t(big_endian ? 'M' : 'I')};
        add(big_tiff ? 43 : 42, 2);
        if (big_tiff) {
            add(8, 2);
            add(0, 2);
            add(16, 8);
        } else {
            add(8, 4);
        }
    }

    void begin(uint64_t entries) { add(entries, big_tiff_ ? 8 : 2); }

    void entry(uint64_t tag, uint64_t type, uint64_t value, uint64_t count = 1) {
        const size_t offset_size = big_tiff_ ? 8 : 4;
        const size_t size = type == 3 ? 2 : type == 4 ? 4 : 8;
        add(tag, 2);
        add(type, 2);
        add(count, offset_size);
        add(value, count == 1 ? size : offset_size);
        if (count == 1) add(0, offset_size - size);
    }

    void next_directory(uint64_t offset) { add(offset, big_tiff_ ? 8 : 4); }

    void add(uint64_t value, size_t size) {
        for (size_t i = 0; i < size; ++i) bytes_.push_back(uint8_t(value >> 8 * (big_endian_ ? size - 1 - i : i)));
    }

    const std::vector<uint8_t>& bytes() const { return bytes_; }

private:
    bool big_endian_;
    bool big_tiff_;
    std::vector<uint8_t> bytes_;
};

void check(std::span<const uint8_t> bytes, std::string_view format, int64_t width, int64_t height, int channels,
           int depth) {
    const auto header = read_image_header(bytes);
    REQUIRE(header);
    CHECK(header->format == format);
    CHECK(header->width == width);
    CHECK(header->height == height);
    CHECK(header->channels == channels);
    CHECK(header->depth == depth);
}

}  // namespace

TEST_CASE("image_header: sizes and types of what OpenCV writes") {
    struct Case {
        std::string extension;
        std::string format;
        std::vector<int> channels;
        std::vector<int> depths;
    };
    const std::vector<Case> cases{{".png", "PNG", {1, 3, 4}, {CV_8U, CV_16U}},
                                  {".jpg", "JPEG", {1, 3}, {CV_8U}},
                                  {".tif", "TIFF", {1, 3, 4}, {CV_8U, CV_16U}},
                                  {".tif", "TIFF", {1}, {CV_32S, CV_32F, CV_64F}},
                                  {".bmp", "BMP", {1, 3}, {CV_8U}},
                                  {".ppm", "PNM", {3}, {CV_8U, CV_16U}},
                                  {".pgm", "PNM", {1}, {CV_8U, CV_16U}}};
    for (const Case& one : cases) {
        for (int channels : one.channels) {
            for (int depth : one.depths) {
                CAPTURE(one.extension);
                CAPTURE(channels);
                CAPTURE(depth);
                const ImageType type{41, 67, channels, depth};
                check(encode_image(make_numbered_image(type, 7), one.extension), one.format, 67, 41, channels, depth);
            }
        }
    }
}

TEST_CASE("image_header: TIFF in both byte orders, classic and BigTIFF") {
    for (bool big_endian : {false, true}) {
        for (bool big_tiff : {false, true}) {
            CAPTURE(big_endian);
            CAPTURE(big_tiff);
            TiffBuilder tiff(big_endian, big_tiff);
            tiff.begin(5);
            tiff.entry(256, 3, 640);
            tiff.entry(257, 4, 480);
            // Three values do not fit a classic entry, so they stand behind the directory.
            const uint64_t behind = big_tiff ? 16 + 8 + 5 * 20 + 8 : 8 + 2 + 5 * 12 + 4;
            if (big_tiff) {
                tiff.entry(258, 16, 16);
            } else {
                tiff.entry(258, 3, behind, 3);
            }
            tiff.entry(277, 3, 3);
            tiff.entry(256, 3, 9999);
            tiff.next_directory(0);
            for (int i = 0; i < 3; ++i) tiff.add(16, 2);
            check(tiff.bytes(), "TIFF", 640, 480, 3, CV_16U);
            CHECK_FALSE(read_image_header(tiff.bytes())->more_images);
        }
    }
}

TEST_CASE("image_header: TIFF with pages, huge tiles and strange types") {
    const auto make = [](uint64_t tile_width, uint64_t bits, uint64_t sample_format, uint64_t next) {
        TiffBuilder tiff(false, false);
        tiff.begin(5);
        tiff.entry(256, 4, 64);
        tiff.entry(257, 4, 48);
        tiff.entry(258, 3, bits);
        tiff.entry(322, 4, tile_width);
        tiff.entry(339, 3, sample_format);
        tiff.next_directory(next);
        return tiff.bytes();
    };
    CHECK(read_image_header(make(64, 8, 1, 1000))->more_images);
    CHECK(read_image_header(make(64, 64, 3, 0))->depth == CV_64F);
    CHECK(read_image_header(make(64, 32, 1, 0))->depth == CV_32S);
    CHECK(read_image_header(make(64, 16, 2, 0))->depth == CV_16S);
    CHECK(read_image_header(make(64, 1, 1, 0))->depth == CV_8U);
    CHECK_FALSE(read_image_header(make(1 << 20, 8, 1, 0)));
    CHECK_FALSE(read_image_header(make(64, 24, 1, 0)));
    CHECK_FALSE(read_image_header(make(64, 0, 1, 0)));
}

TEST_CASE("image_header: PNM with comments") {
    check(bytes_of("P5\n# made by hand\n 12 # width\n34\n255\n"), "PNM", 12, 34, 1, CV_8U);
    check(bytes_of("P3 1 2 65535\n0 0 0"), "PNM", 1, 2, 3, CV_16U);
    check(bytes_of("P4\n#\n9 10\n"), "PNM", 9, 10, 1, CV_8U);
    check(bytes_of("P6\t7\r8\v256\n"), "PNM", 7, 8, 3, CV_16U);
    for (const std::string bad :
         {"P5", "P5 ", "P5 1", "P5 1 2", "P5 1 2 255", "P5 x 2 255\n", "P5 1 2 0\n", "P5 1 2 65536\n",
          "P5 1234567890 2 255\n", "P7 1 2 255\n", "P5 1 -2 255\n", "P5 1 2#3\n255\n"}) {
        CAPTURE(bad);
        CHECK_FALSE(read_image_header(bytes_of(bad)));
    }
}

TEST_CASE("image_header: a thumbnail's frame in front of a JPEG's own is not taken for it") {
    const auto jpeg = encode_image(make_numbered_image({48, 64, 3, CV_8U}, 5), ".jpg");
    const auto thumbnail = encode_image(make_numbered_image({16, 16, 3, CV_8U}, 5), ".jpg");
    std::vector<uint8_t> bytes{0xFF, 0xD8, 0xFF, 0xE1};
    const size_t length = thumbnail.size() + 2;
    bytes.push_back(uint8_t(length >> 8));
    bytes.push_back(uint8_t(length & 0xFF));
    bytes.insert(bytes.end(), thumbnail.begin(), thumbnail.end());
    bytes.insert(bytes.end(), jpeg.begin() + 2, jpeg.end());
    check(bytes, "JPEG", 64, 48, 3, CV_8U);
    CHECK(has_jpeg_end(bytes));
    bytes.resize(bytes.size() - 1);
    CHECK_FALSE(has_jpeg_end(bytes));
}

TEST_CASE("image_header: a BMP with its first row on top") {
    auto bmp = encode_image(make_numbered_image({48, 64, 3, CV_8U}, 5), ".bmp");
    const int32_t height = -48;
    std::memcpy(bmp.data() + 22, &height, sizeof height);
    check(bmp, "BMP", 64, 48, 3, CV_8U);
}

TEST_CASE("image_header: cut off anywhere and with any byte changed it gives something or nothing") {
    for (const std::string extension : {".png", ".jpg", ".tif", ".bmp", ".ppm", ".pgm"}) {
        const int channels = extension == ".pgm" ? 1 : 3;
        const auto whole = encode_image(make_numbered_image({20, 24, channels, CV_8U}, 1), extension);
        for (size_t size = 0; size < whole.size(); ++size) {
            const std::vector<uint8_t> cut(whole.begin(), whole.begin() + ptrdiff_t(size));
            read_image_header(cut);
        }
        for (size_t place = 0; place < whole.size(); ++place) {
            for (uint8_t change : {0x01, 0x80, 0xFF}) {
                auto changed = whole;
                changed[place] ^= change;
                read_image_header(changed);
            }
        }
    }
    CHECK_FALSE(read_image_header({}));
    CHECK_FALSE(read_image_header(bytes_of("BM is how this text begins, which is no image at all")));
}

}  // namespace reelstore
