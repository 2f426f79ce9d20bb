// Files are built byte by byte, offset by offset, from the description of the format.
#include <opencv2/imgproc.hpp>

#include "base/numbered_frames.h"
#include "base/encoding.h"
#include "codecs/foreign/packed_bits.h"
#include "tests/codecs/foreign_kit.h"

using namespace reelstore;

namespace {

constexpr double kStart = 1600000000;
constexpr int kCount = 6;
constexpr int kFirstNumber = -2;
constexpr size_t kBitmapAt = 44;
constexpr size_t kSetupAt = 84;

/// What a file says, and what is left out of it.
struct Cine {
    int compression = 0;
    int packing = 0;
    int packed_bits = 0;
    int color_filter = 0;
    int frame_rate = 1000;
    size_t setup_length = 5692;
    bool has_times = true;
    bool top_down = false;  ///< by a negative height
    std::string annotation = {};
};

/// Bits one behind the other, the most significant first.
std::vector<uint8_t> packed(const cv::Mat& image, int bits) {
    std::vector<uint8_t> bytes;
    uint64_t window = 0;
    int in_window = 0;
    for (int row = 0; row < image.rows; ++row) {
        for (int column = 0; column < image.cols; ++column) {
            window = window << bits | image.at<uint16_t>(row, column);
            in_window += bits;
            for (; in_window >= 8; in_window -= 8) bytes.push_back(static_cast<uint8_t>(window >> (in_window - 8)));
        }
    }
    if (in_window > 0) bytes.push_back(static_cast<uint8_t>(window << (8 - in_window)));
    return bytes;
}

uint64_t stamp_of(int index) {
    return (uint64_t{1600000000} + static_cast<uint64_t>(index)) << 32 | uint64_t{0x40000000} * (index % 4);
}

double time_of(int index) {
    return kStart + index + index % 4 * 0.25;
}

/// Where everything lies in the file that was made last.
struct Made {
    std::vector<uint8_t> bytes;
    size_t offsets = 0;
    std::vector<size_t> images;
};

Made cine_of(const Cine& cine, const std::vector<cv::Mat>& images) {
    const int rows = images[0].rows;
    const int bits_per_pixel = static_cast<int>(images[0].elemSize() * 8);
    BytesMaker bytes;
    bytes.text("CI", 2).add<uint16_t>(44).add<uint16_t>(static_cast<uint16_t>(cine.compression)).add<uint16_t>(1);
    bytes.add<int32_t>(-9).add<uint32_t>(77).add<int32_t>(kFirstNumber);
    bytes.add<uint32_t>(static_cast<uint32_t>(images.size())).add<uint32_t>(kBitmapAt).add<uint32_t>(kSetupAt);
    bytes.pad_to(36).add<uint64_t>(uint64_t{1600000003} << 32 | 0x80000000);
    bytes.pad_to(kBitmapAt).add<uint32_t>(40).add<int32_t>(images[0].cols);
    bytes.add<int32_t>(cine.top_down ? -rows : rows).add<uint16_t>(1);
    bytes.add<uint16_t>(static_cast<uint16_t>(bits_per_pixel)).add<uint32_t>(static_cast<uint32_t>(cine.packing));
    bytes.pad_to(kSetupAt).add<uint16_t>(24).pad_to(kSetupAt + 19).text("old words", 121);
    bytes.text("ST", 2).add<uint16_t>(static_cast<uint16_t>(cine.setup_length));
    if (cine.setup_length >= 5692) {
        bytes.pad_to(kSetupAt + 743).add<uint32_t>(14711);
        bytes.pad_to(kSetupAt + 768).add<uint32_t>(static_cast<uint32_t>(cine.frame_rate)).add<uint32_t>(300);
        bytes.pad_to(kSetupAt + 808).add<uint32_t>(static_cast<uint32_t>(cine.color_filter));
        bytes.pad_to(kSetupAt + 896).add<uint32_t>(12);
        bytes.pad_to(kSetupAt + 1568).add<uint32_t>(299500);
        bytes.pad_to(kSetupAt + 1596).text("fly 7", 4096);
    }
    bytes.pad_to(kSetupAt + cine.setup_length);
    const auto count = static_cast<uint32_t>(images.size());
    if (cine.has_times) {
        bytes.add<uint32_t>(8 + 3).add<uint16_t>(1000).add<uint16_t>(1).text("xyz", 3);
        bytes.add<uint32_t>(8 + 8 * count).add<uint16_t>(1002).add<uint16_t>(1);
        for (int i = 0; i < int(count); ++i) bytes.add<uint64_t>(stamp_of(i));
        bytes.add<uint32_t>(8 + 4 * count).add<uint16_t>(1003).add<uint16_t>(1);
        for (uint32_t i = 0; i < count; ++i) bytes.add<uint32_t>(0x01000000u * (i + 1));
        // What this one says of its size and of others behind it must not be believed.
        bytes.add<uint32_t>(8).add<uint16_t>(1004).add<uint16_t>(1);
        bytes.add<uint32_t>(8 + 8 * count).add<uint16_t>(1002).add<uint16_t>(0);
        for (uint32_t i = 0; i < count; ++i) bytes.add<uint64_t>(17);
    }
    Made made;
    made.offsets = bytes.size();
    bytes.put<uint32_t>(32, static_cast<uint32_t>(made.offsets)).pad_to(made.offsets + 8 * images.size());
    for (size_t i = 0; i < images.size(); ++i) {
        made.images.push_back(bytes.size());
        bytes.put<uint64_t>(made.offsets + 8 * i, bytes.size());
        const std::string text = cine.annotation.empty() ? "" : cine.annotation + std::to_string(i);
        std::vector<uint8_t> pixels;
        if (cine.packed_bits > 0) {
            pixels = packed(images[i], cine.packed_bits);
        } else {
            cv::Mat stored = images[i].clone();
            if (!cine.top_down) cv::flip(images[i], stored, 0);
            pixels = BytesMaker().image(stored).get();
        }
        bytes.add<uint32_t>(static_cast<uint32_t>(8 + text.size())).text(text, text.size());
        bytes.add<uint32_t>(static_cast<uint32_t>(pixels.size())).bytes(pixels);
    }
    made.bytes = bytes.get();
    return made;
}

ExpectedFrames expected(std::vector<cv::Mat> images, bool has_times = true) {
    ExpectedFrames result{std::move(images)};
    for (int i = 0; i < int(result.images.size()); ++i) {
        result.numbers.push_back(kFirstNumber + i);
        if (has_times) result.times.push_back(time_of(i));
    }
    return result;
}

std::vector<cv::Mat> numbered(const ImageType& type, int count = kCount) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < count; ++i) images.push_back(make_numbered_image(type, 500 + i));
    return images;
}

/// Numbered images with values of 10 or 12 bits.
std::vector<cv::Mat> numbered_bits(int bits, const ImageType& type) {
    std::vector<cv::Mat> images = numbered(type);
    for (cv::Mat& image : images) {
        for (int row = 0; row < image.rows; ++row) {
            for (int column = 0; column < image.cols; ++column) image.at<uint16_t>(row, column) >>= 16 - bits;
        }
    }
    return images;
}

ForeignFiles file_of(std::vector<uint8_t> bytes) {
    return {{"main.cine", std::move(bytes)}};
}

template <typename Look>
void with_source(std::vector<uint8_t> bytes, Look look) {
    const TemporaryFolder folder;
    write_foreign_files(folder.path(), file_of(std::move(bytes)));
    const auto source = open_file_source(folder / "main.cine");
    look(*source);
}

std::string message_of(std::vector<uint8_t> bytes) {
    try {
        with_source(std::move(bytes), [](FrameSource&) {});
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

const ImageType kGray{12, 32, 1, CV_8U};
const ImageType kDeep{12, 32, 1, CV_16U};

}  // namespace

TEST_CASE("cine: gray and colour, 8 and 16 bits, bottom-up and top-down") {
    for (const ImageType& type : {kGray, kDeep, ImageType{12, 32, 3, CV_8U}, ImageType{12, 32, 3, CV_16U}}) {
        for (const bool top_down : {false, true}) {
            CAPTURE(type.text());
            CAPTURE(top_down);
            const std::vector<cv::Mat> images = numbered(type);
            check_foreign_files(file_of(cine_of({.top_down = top_down}, images).bytes), "main.cine", expected(images));
        }
    }
}

TEST_CASE("cine: facts of the recording") {
    with_source(cine_of({}, numbered(kGray)).bytes, [](FrameSource& source) {
        const SourceInfo& info = source.info();
        CHECK(info.format == "Phantom cine");
        CHECK(info.has_numbers);
        CHECK(info.has_times);
        CHECK(info.times_are_absolute);
        CHECK(info.frame_rate == 1000.0);
        CHECK(info.creation_time == kStart);
        CHECK(source.warnings().empty());
        const Json& metadata = source.user_metadata();
        CHECK(metadata["description"] == "fly 7");
        CHECK(metadata["trigger_time"] == "2020-09-13T12:26:43.500000");
        CHECK(metadata["first_image_number"] == kFirstNumber);
        CHECK(metadata["total_image_count"] == 77);
        CHECK(metadata["camera_serial"] == 14711);
        CHECK(metadata["exposure_microseconds"] == 299.5);
        CHECK(metadata["bits_per_pixel"] == 12);
        CHECK_FALSE(metadata.contains("pixel_note"));
        for (const int index : {3, 0, 5}) {
            const std::vector<Json> records = source.random_access()->extra_data_of(index);
            REQUIRE(records.size() == 1);
            CHECK(records[0] == Json{{"exposure_seconds", (index + 1) / 256.0}});
        }
    });
}

TEST_CASE("cine: a short setup of older cameras, and no blocks behind it") {
    const std::vector<cv::Mat> images = numbered(kGray);
    const std::vector<uint8_t> bytes = cine_of({.setup_length = 144, .has_times = false}, images).bytes;
    check_foreign_files(file_of(bytes), "main.cine", expected(images, false));
    with_source(bytes, [](FrameSource& source) {
        CHECK_FALSE(source.info().has_times);
        CHECK(source.info().frame_rate == 24.0);
        CHECK(source.user_metadata()["description"] == "old words");
        CHECK(source.random_access()->extra_data_of(0).empty());
    });
    // Without any setup only the images are left.
    std::vector<uint8_t> without = cine_of({}, images).bytes;
    without[kSetupAt + 140] = 'X';
    check_foreign_files(file_of(without), "main.cine", expected(images, false));
    with_source(without, [](FrameSource& source) { CHECK(contains(source.warnings().at(0), "setup")); });
}

TEST_CASE("cine: the frame rate comes from the times where the setup has none") {
    Made made = cine_of({.frame_rate = 0}, numbered(kGray));
    made.bytes[kSetupAt] = 0;
    with_source(made.bytes, [](FrameSource& source) { CHECK(source.info().frame_rate == 1 / 1.25); });
}

TEST_CASE("cine: times that do not rise are none") {
    const std::vector<cv::Mat> images = numbered(kGray);
    std::vector<uint8_t> bytes = cine_of({}, images).bytes;
    for (int i = 0; i < static_cast<int>(images.size()); ++i) {
        BytesMaker stamp;
        stamp.add(stamp_of(i));
        const auto found = std::search(bytes.begin(), bytes.end(), stamp.get().begin(), stamp.get().end());
        REQUIRE(found != bytes.end());
        std::fill_n(found, stamp.size(), uint8_t{0});
    }
    with_source(bytes, [&](FrameSource& source) {
        CHECK_FALSE(source.info().has_times);
        CHECK(source.warnings().size() == 1);
        check_foreign_source(source, expected(images, false));
    });
}

TEST_CASE("cine: annotations") {
    const std::vector<cv::Mat> images = numbered(kDeep);
    const std::vector<uint8_t> bytes = cine_of({.annotation = "trial "}, images).bytes;
    check_foreign_files(file_of(bytes), "main.cine", expected(images));
    with_source(bytes, [](FrameSource& source) {
        for (const int index : {4, 1}) {
            const std::vector<Json> records = source.random_access()->extra_data_of(index);
            REQUIRE(records.size() == 1);
            CHECK(records[0]["annotation"] == "trial " + std::to_string(index));
        }
    });
}

TEST_CASE("cine: packed images of 10 and 12 bits, told by the header or by their size") {
    for (const int bits : {10, 12}) {
        // 33 x 7: rows do not end with a byte, nor does the image.
        for (const ImageType& type : {kDeep, ImageType{7, 33, 1, CV_16U}}) {
            for (const int packing : {0, bits == 10 ? 256 : 1024}) {
                CAPTURE(bits);
                CAPTURE(packing);
                const std::vector<cv::Mat> images = numbered_bits(bits, type);
                const std::vector<uint8_t> bytes = cine_of({.packing = packing, .packed_bits = bits}, images).bytes;
                check_foreign_files(file_of(bytes), "main.cine", expected(images));
                with_source(bytes, [&](FrameSource& source) {
                    CHECK(source.user_metadata()["packed_bits"] == bits);
                    CHECK(source.user_metadata().contains("pixel_note") == (bits == 10));
                });
            }
        }
    }
    // By hand: the first value is the first ten bits.
    const std::vector<uint8_t> bytes{0b11000000, 0b01011111, 0b11110000, 0b00001010, 0b10101010};
    std::vector<uint16_t> values(4);
    unpack_bits(bytes, 10, values);
    CHECK(values == std::vector<uint16_t>{0b1100000001, 0b0111111111, 0b0000000010, 0b1010101010});
    values.resize(3);
    unpack_bits(bytes, 12, values);
    CHECK(values == std::vector<uint16_t>{0b110000000101, 0b111111110000, 0b000010101010});
}

TEST_CASE("cine: mosaics of colour cameras") {
    for (const ImageType& type : {kGray, kDeep}) {
        const std::vector<cv::Mat> mosaics = numbered(type);
        for (const auto& [filter, encoding] : {std::pair(3, "cv_bayergr"), std::pair(4, "cv_bayerbg")}) {
            std::vector<cv::Mat> images;
            for (const cv::Mat& mosaic : mosaics) images.push_back(decode(*find_encoding(encoding), mosaic));
            const ForeignFiles files = file_of(cine_of({.compression = 2, .color_filter = filter}, mosaics).bytes);
            check_foreign_files(files, "main.cine", expected(images));
            SourceOptions raw;
            raw.raw = true;
            check_foreign_files(files, "main.cine", expected(mosaics), raw);
        }
        const std::vector<uint8_t> other = cine_of({.compression = 2, .color_filter = 1}, mosaics).bytes;
        check_foreign_files(file_of(other), "main.cine", expected(mosaics));
        with_source(other, [](FrameSource& source) { CHECK(source.user_metadata().contains("bayer_note")); });
    }
}

TEST_CASE("cine: a place in the table that cannot be costs that frame only") {
    const std::vector<cv::Mat> images = numbered(kGray);
    const Made good = cine_of({}, images);
    // Behind the end, at the very end of numbers, in the header, within another image.
    for (const uint64_t place : {uint64_t{1} << 40, ~uint64_t{0}, uint64_t{0}, uint64_t{good.images[1] + 20}}) {
        Made made = good;
        std::memcpy(made.bytes.data() + made.offsets + 8 * 2, &place, sizeof place);
        with_source(made.bytes, [&](FrameSource& source) {
            REQUIRE(source.info().frame_count == kCount);
            for (int index = 0; index < kCount; ++index) {
                if (index == 2) {
                    CHECK_THROWS_AS(source.random_access()->at_index(index), Error);
                } else {
                    CHECK(equal_pixels(source.random_access()->at_index(index).image, images[size_t(index)]));
                }
            }
        });
    }
    // Sizes of an annotation and of an image.
    for (const size_t at : {size_t{0}, size_t{4}}) {
        for (const uint32_t size : {0u, 7u, 0xFFFFFFFFu}) {
            Made made = good;
            std::memcpy(made.bytes.data() + made.images[3] + at, &size, sizeof size);
            with_source(made.bytes, [&](FrameSource& source) {
                CHECK(source.info().frame_count == kCount);
                CHECK_THROWS_AS(source.random_access()->at_index(3), Error);
                CHECK(equal_pixels(source.random_access()->at_index(4).image, images[4]));
            });
        }
    }
}

TEST_CASE("cine: files that were cut off") {
    const std::vector<cv::Mat> images = numbered(kGray);
    const Made good = cine_of({}, images);
    for (const size_t size : {good.images[4] + 100, good.images[4] + 5, good.images[4]}) {
        std::vector<uint8_t> bytes = good.bytes;
        bytes.resize(size);
        with_source(bytes, [&](FrameSource& source) {
            CHECK(source.info().frame_count == 4);
            CHECK(contains(source.warnings().at(0), "last 2 images of 6"));
            CHECK(equal_pixels(source.random_access()->at_index(3).image, images[3]));
            CHECK(source.random_access()->stamp(3).time == time_of(3));
        });
    }
    std::vector<uint8_t> no_image = good.bytes;
    no_image.resize(good.images[0] + 10);
    CHECK(contains(message_of(no_image), "no whole image"));
}

TEST_CASE("cine: what is not read is refused by name") {
    const auto with = [](size_t offset, auto value) {
        Made made = cine_of({}, numbered(kGray, 2));
        std::memcpy(made.bytes.data() + offset, &value, sizeof value);
        return message_of(made.bytes);
    };
    CHECK(contains(with(4, uint16_t{1}), "compression 1"));
    CHECK(contains(with(kBitmapAt + 14, uint16_t{32}), "32 bits"));
    CHECK(contains(with(kBitmapAt + 4, int32_t{0}), "not plausible"));
    CHECK(contains(with(kBitmapAt + 8, int32_t{0}), "not plausible"));
    CHECK(contains(with(kBitmapAt + 8, std::numeric_limits<int32_t>::min()), "not plausible"));
    CHECK(contains(with(0, uint8_t{'X'}), "Phantom cine: not recognised"));
    CHECK(contains(with(6, uint16_t{9}), "Phantom cine: not recognised"));
    CHECK(contains(with(20, uint32_t{0}), "no table"));
    CHECK_FALSE(message_of({}).empty());
    CHECK_FALSE(message_of({'C', 'I'}).empty());
}

TEST_CASE("cine: damaged headers") {
    const Made made = cine_of({.setup_length = 144}, numbered({4, 16, 1, CV_8U}, 3));
    const ForeignFiles files = file_of(made.bytes);
    check_truncated(files, "main.cine", "main.cine", made.bytes.size(), 3, 3);
    check_absurd_headers(files, "main.cine", "main.cine", kBitmapAt + 40);
    check_absurd_headers(file_of(made.bytes), "main.cine", "main.cine", made.images[0] + 8, 8);
}
