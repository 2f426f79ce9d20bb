// Files are built byte by byte, offset by offset, from the description of the format; JPEG and PNG images are OpenCV's.
#include <limits>

#include <fmt/format.h>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/numbered_frames.h"
#include "base/encoding.h"
#include "tests/codecs/foreign_kit.h"

using namespace reelstore;

namespace {

constexpr double kStart = 1600000000;
constexpr int kCount = 6;

/// What a header says.
struct Seq {
    int version = 3;
    int width = 32;
    int height = 12;
    int bits_per_pixel = 8;
    int bits = 8;
    uint32_t image_bytes = 0;
    int format = 100;
    int frames = 0;
    int origin = 0;
    uint32_t true_size = 0;
    double rate = 25;
    int bayer = 0;
    int compression = 0;
};

size_t first_image(const Seq& seq) {
    return seq.version >= 5 ? 8192 : 1024;
}

BytesMaker header_of(const Seq& seq) {
    BytesMaker bytes;
    bytes.add<uint32_t>(0xFEED);
    for (const char letter : std::string("Norpix seq")) bytes.add<uint16_t>(static_cast<uint16_t>(letter));
    bytes.pad_to(1024);
    bytes.put<int32_t>(28, seq.version).put<int32_t>(32, 1024);
    const std::u16string description = u"mouse \u00B5 7";
    for (size_t i = 0; i < description.size(); ++i)
        bytes.put<uint16_t>(36 + 2 * i, static_cast<uint16_t>(description[i]));
    bytes.put<int32_t>(548, seq.width).put<int32_t>(552, seq.height);
    bytes.put<int32_t>(556, seq.bits_per_pixel).put<int32_t>(560, seq.bits).put<uint32_t>(564, seq.image_bytes);
    bytes.put<int32_t>(568, seq.format).put<int32_t>(572, seq.frames).put<int32_t>(576, seq.origin);
    bytes.put<uint32_t>(580, seq.true_size).put<double>(584, seq.rate);
    bytes.put<int32_t>(608, seq.bayer).put<int32_t>(620, seq.compression);
    return bytes;
}

/// Every frame has its milliseconds and, in version 5, microseconds: none looks like another's.
double time_of(const Seq& seq, int index) {
    return kStart + index / 20 + (40 + 50 * (index % 20)) / 1e3 + (seq.version >= 5 ? (7 + index) / 1e6 : 0);
}

void add_stamp(BytesMaker& bytes, const Seq& seq, int index) {
    bytes.add<uint32_t>(static_cast<uint32_t>(kStart) + static_cast<uint32_t>(index / 20));
    bytes.add<uint16_t>(static_cast<uint16_t>(40 + 50 * (index % 20)));
    if (seq.version >= 5) bytes.add<uint16_t>(static_cast<uint16_t>(7 + index));
}

/// A sequence of images that are not compressed.
std::vector<uint8_t> raw_seq(Seq seq, const std::vector<cv::Mat>& images) {
    seq.image_bytes = static_cast<uint32_t>(images[0].total() * images[0].elemSize());
    if (seq.true_size == 0) seq.true_size = seq.image_bytes + 6 + (512 - (seq.image_bytes + 6) % 512);
    BytesMaker bytes = header_of(seq);
    for (size_t i = 0; i < images.size(); ++i) {
        bytes.pad_to(first_image(seq) + i * seq.true_size).image(images[i]);
        add_stamp(bytes, seq, static_cast<int>(i));
    }
    return bytes.pad_to(first_image(seq) + images.size() * seq.true_size).get();
}

/// A sequence of compressed images from `start` on; between the end of one and the next lie `gap` bytes.
std::vector<uint8_t> compressed_seq(const Seq& seq, const std::vector<std::vector<uint8_t>>& files, size_t gap,
                                    size_t start = 1024) {
    BytesMaker bytes = header_of(seq);
    bytes.pad_to(start);
    for (size_t i = 0; i < files.size(); ++i) {
        bytes.add<uint32_t>(static_cast<uint32_t>(files[i].size()) + 4).bytes(files[i]);
        const size_t end = bytes.size();
        add_stamp(bytes, seq, static_cast<int>(i));
        bytes.pad_to(end + gap);
    }
    return bytes.get();
}

std::vector<double> times_of(const Seq& seq, int count = kCount) {
    std::vector<double> times;
    for (int i = 0; i < count; ++i) times.push_back(time_of(seq, i));
    return times;
}

std::vector<cv::Mat> numbered(const ImageType& type, int count = kCount) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < count; ++i) images.push_back(make_numbered_image(type, 300 + i));
    return images;
}

std::vector<std::vector<uint8_t>> encoded(const std::vector<cv::Mat>& images, const std::string& extension) {
    std::vector<std::vector<uint8_t>> files(images.size());
    for (size_t i = 0; i < images.size(); ++i) cv::imencode(extension, images[i], files[i]);
    return files;
}

std::vector<cv::Mat> decoded(const std::vector<std::vector<uint8_t>>& files) {
    std::vector<cv::Mat> images;
    for (const auto& file : files) images.push_back(cv::imdecode(file, cv::IMREAD_UNCHANGED));
    return images;
}

ForeignFiles file_of(std::vector<uint8_t> bytes) {
    return {{"main.seq", std::move(bytes)}};
}

/// Opens one file made of these bytes and lets `look` see the source.
template <typename Look>
void with_source(std::vector<uint8_t> bytes, const SourceOptions& options, Look look) {
    const TemporaryFolder folder;
    write_foreign_files(folder.path(), file_of(std::move(bytes)));
    const auto source = open_file_source(folder / "main.seq", options);
    look(*source);
}

std::string message_of(std::vector<uint8_t> bytes, const SourceOptions& options = {}) {
    try {
        with_source(std::move(bytes), options, [](FrameSource&) {});
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

SourceOptions with_options(CodecOptions options) {
    SourceOptions result;
    result.format = std::move(options);
    return result;
}

const ImageType kGray{12, 32, 1, CV_8U};
const ImageType kDeep{12, 32, 1, CV_16U};
const ImageType kColor{12, 32, 3, CV_8U};

}  // namespace

TEST_CASE("NorPix: gray images of versions 3, 4 and 5") {
    for (const int version : {3, 4, 5}) {
        for (const ImageType& type : {kGray, kDeep}) {
            CAPTURE(version);
            Seq seq{.version = version};
            seq.bits_per_pixel = type.depth == CV_8U ? 8 : 16;
            seq.bits = type.depth == CV_8U ? 8 : 10;
            const std::vector<cv::Mat> images = numbered(type);
            const std::vector<uint8_t> bytes = raw_seq(seq, images);
            check_foreign_files(file_of(bytes), "main.seq", {images, {}, times_of(seq)});
            with_source(bytes, {}, [&](FrameSource& source) {
                const SourceInfo& info = source.info();
                CHECK(info.format == "NorPix");
                CHECK(info.has_times);
                CHECK(info.times_are_absolute);
                CHECK_FALSE(info.has_numbers);
                CHECK(info.frame_rate.value_or(0) == doctest::Approx(20).epsilon(0.001));
                CHECK(info.creation_time.value_or(0) == doctest::Approx(kStart + 0.04).epsilon(1e-12));
                CHECK(source.warnings().empty());
                const Json& metadata = source.user_metadata();
                CHECK(metadata["description"] == "mouse \u00B5 7");
                CHECK(metadata["norpix_version"] == version);
                CHECK(metadata["image_format"] == "mono");
                CHECK(metadata["bits_per_channel"] == seq.bits);
                CHECK(metadata["suggested_frame_rate"] == 25);
            });
        }
    }
}

TEST_CASE("NorPix: a description in single bytes") {
    const std::vector<cv::Mat> images = numbered(kGray, 1);
    std::vector<uint8_t> bytes = raw_seq({}, images);
    const std::string text = "plain words";
    std::fill(bytes.begin() + 36, bytes.begin() + 548, uint8_t{0});
    std::copy(text.begin(), text.end(), bytes.begin() + 36);
    bytes[592] = 1;
    with_source(bytes, {}, [&](FrameSource& source) { CHECK(source.user_metadata()["description"] == text); });
}

TEST_CASE("NorPix: colour images of every order") {
    for (const int depth : {CV_8U, CV_16U}) {
        const int item_bits = depth == CV_8U ? 8 : 16;
        const ImageType type{12, 32, 3, depth};
        const std::vector<cv::Mat> images = numbered(type);
        const auto check = [&](int format, int channels, const auto& stored_as) {
            CAPTURE(format);
            Seq seq{.bits_per_pixel = item_bits * channels, .bits = item_bits, .format = format};
            std::vector<cv::Mat> stored;
            for (const cv::Mat& image : images) stored.push_back(stored_as(image));
            check_foreign_files(file_of(raw_seq(seq, stored)), "main.seq", {images, {}, times_of(seq)});
        };
        check(200, 3, [](const cv::Mat& image) { return image; });
        check(400, 3, [](const cv::Mat& image) {
            cv::Mat rgb;
            cv::cvtColor(image, rgb, cv::COLOR_BGR2RGB);
            return rgb;
        });
        check(500, 4, [](const cv::Mat& image) {
            cv::Mat bgrx;
            cv::cvtColor(image, bgrx, cv::COLOR_BGR2BGRA);
            return bgrx;
        });
        check(300, 3, [](const cv::Mat& image) {
            std::vector<cv::Mat> planes;
            cv::split(image, planes);
            cv::Mat stacked;
            cv::vconcat(planes, stacked);
            return stacked;
        });
    }
}

TEST_CASE("NorPix: YUV422 in both orders, decoded and as it is stored") {
    for (const auto& [format, code] :
         {std::pair(600, cv::COLOR_YUV2BGR_YUYV), std::pair(700, cv::COLOR_YUV2BGR_UYVY)}) {
        const Seq seq{.bits_per_pixel = 16, .format = format};
        const std::vector<cv::Mat> stored = numbered({12, 32, 2, CV_8U});
        std::vector<cv::Mat> images(stored.size());
        for (size_t i = 0; i < stored.size(); ++i) cv::cvtColor(stored[i], images[i], code);
        const ForeignFiles files = file_of(raw_seq(seq, stored));
        check_foreign_files(files, "main.seq", {images, {}, times_of(seq)});
        SourceOptions raw;
        raw.raw = true;
        check_foreign_files(files, "main.seq", {stored, {}, times_of(seq)}, raw);
    }
}

TEST_CASE("NorPix: Bayer mosaics are decoded by the header's pattern or the one that is given") {
    const std::vector<std::pair<int, const char*>> patterns{{1, "cv_bayergb"}, {2, "cv_bayerrg"}, {3, "cv_bayerbg"}};
    const auto decode_all = [](const std::vector<cv::Mat>& mosaics, const char* encoding) {
        std::vector<cv::Mat> images;
        for (const cv::Mat& mosaic : mosaics) images.push_back(decode(*find_encoding(encoding), mosaic));
        return images;
    };
    for (const ImageType& type : {kGray, kDeep}) {
        const std::vector<cv::Mat> mosaics = numbered(type);
        for (const auto& [pattern, encoding] : patterns) {
            const Seq seq{.bits_per_pixel = type.depth == CV_8U ? 8 : 16, .format = 101, .bayer = pattern};
            const ForeignFiles files = file_of(raw_seq(seq, mosaics));
            check_foreign_files(files, "main.seq", {decode_all(mosaics, encoding), {}, times_of(seq)});
            SourceOptions raw;
            raw.raw = true;
            check_foreign_files(files, "main.seq", {mosaics, {}, times_of(seq)}, raw);
            check_foreign_files(files, "main.seq", {decode_all(mosaics, "cv_bayergr"), {}, times_of(seq)},
                                with_options({{"bayer", "gb"}}));
        }
        // Nobody knows what 0 means: GB, or no pattern at all.
        const Seq unknown{.bits_per_pixel = type.depth == CV_8U ? 8 : 16, .format = 101, .bayer = 0};
        const std::vector<uint8_t> bytes = raw_seq(unknown, mosaics);
        check_foreign_files(file_of(bytes), "main.seq", {mosaics, {}, times_of(unknown)});
        with_source(bytes, {}, [](FrameSource& source) {
            CHECK(contains(source.user_metadata()["bayer_note"].get<std::string>(), "bayer=gb|gr|bg|rg"));
        });
    }
}

TEST_CASE("NorPix: JPEG and PNG images with gaps of 8 and 16 bytes") {
    for (const bool color : {false, true}) {
        const std::vector<cv::Mat> originals = numbered(color ? kColor : kGray);
        for (const char* const extension : {".jpg", ".png"}) {
            const auto images_of = encoded(originals, extension);
            const bool jpeg = extension == std::string(".jpg");
            for (const size_t gap : {size_t{8}, size_t{16}}) {
                CAPTURE(color);
                CAPTURE(extension);
                CAPTURE(gap);
                const int format = jpeg ? (color ? 201 : 102) : (color ? 2 : 1);
                for (const int version : {3, 5}) {
                    const Seq seq{.version = version, .bits_per_pixel = color ? 24 : 8, .format = format};
                    check_foreign_files(file_of(compressed_seq(seq, images_of, gap)), "main.seq",
                                        {decoded(images_of), {}, times_of(seq)});
                }
                // StreamPix: the format tells the pixels, the compression is said elsewhere.
                if (!jpeg) continue;
                const Seq streampix{
                    .version = 5, .bits_per_pixel = color ? 24 : 8, .format = color ? 200 : 100, .compression = 1};
                for (const size_t start : {size_t{1024}, size_t{8192}}) {
                    check_foreign_files(file_of(compressed_seq(streampix, images_of, gap, start)), "main.seq",
                                        {decoded(images_of), {}, times_of(streampix)});
                }
            }
        }
    }
}

TEST_CASE("NorPix: the gap may change within a file") {
    const auto files = encoded(numbered(kGray), ".jpg");
    const Seq seq{.format = 102};
    BytesMaker bytes = header_of(seq);
    for (size_t i = 0; i < files.size(); ++i) {
        bytes.add<uint32_t>(static_cast<uint32_t>(files[i].size()) + 4).bytes(files[i]);
        const size_t end = bytes.size();
        add_stamp(bytes, seq, static_cast<int>(i));
        bytes.pad_to(end + (i < 3 ? 16 : 8));
    }
    check_foreign_files(file_of(bytes.get()), "main.seq", {decoded(files), {}, times_of(seq)});
}

TEST_CASE("NorPix: a compressed mosaic") {
    const auto files = encoded(numbered(kGray), ".jpg");
    std::vector<cv::Mat> images;
    for (const cv::Mat& mosaic : decoded(files)) images.push_back(decode(*find_encoding("cv_bayerbg"), mosaic));
    for (const bool streampix : {false, true}) {
        const Seq seq{.version = streampix ? 5 : 3,
                      .format = streampix ? 101 : 103,
                      .bayer = 3,
                      .compression = streampix ? 1 : 0};
        check_foreign_files(file_of(compressed_seq(seq, files, 8)), "main.seq", {images, {}, times_of(seq)});
    }
}

TEST_CASE("NorPix: one damaged JPEG does not hide the others") {
    auto files = encoded(numbered(kGray), ".jpg");
    files[2].resize(files[2].size() - 30);
    with_source(compressed_seq({.format = 102}, files, 16), {}, [](FrameSource& source) {
        REQUIRE(source.info().frame_count == kCount);
        for (int index = 0; index < kCount; ++index) {
            if (index == 2) {
                CHECK_THROWS_AS(source.random_access()->at_index(index), Error);
            } else {
                CHECK(read_image_number(source.random_access()->at_index(index).image) == 300 + index);
            }
        }
    });
}

TEST_CASE("NorPix: recordings that were cut off") {
    SUBCASE("raw, within the pixels of the last image") {
        const Seq seq;
        const std::vector<cv::Mat> images = numbered(kGray);
        std::vector<uint8_t> bytes = raw_seq(seq, images);
        bytes.resize(1024 + 5 * 512 + 100);
        with_source(bytes, {}, [](FrameSource& source) {
            CHECK(source.info().frame_count == 5);
            REQUIRE(source.warnings().size() == 1);
            CHECK(contains(source.warnings()[0], "cut off"));
        });
    }
    SUBCASE("raw, behind the pixels of the last image: its time goes on at the usual interval") {
        const Seq seq;
        const std::vector<cv::Mat> images = numbered(kGray);
        std::vector<uint8_t> bytes = raw_seq(seq, images);
        bytes.resize(1024 + 5 * 512 + images[0].total());
        check_foreign_files(file_of(bytes), "main.seq", {images, {}, times_of(seq)});
        with_source(bytes, {}, [](FrameSource& source) { CHECK(contains(source.warnings().at(0), "time")); });
    }
    SUBCASE("raw, between the last time and its padding") {
        const std::vector<cv::Mat> images = numbered(kGray);
        std::vector<uint8_t> bytes = raw_seq({}, images);
        bytes.resize(1024 + 5 * 512 + images[0].total() + 6);
        with_source(bytes, {}, [](FrameSource& source) {
            CHECK(source.info().frame_count == kCount);
            CHECK(source.warnings().empty());
        });
    }
    SUBCASE("compressed") {
        const auto files = encoded(numbered(kGray), ".jpg");
        std::vector<uint8_t> bytes = compressed_seq({.format = 102}, files, 16);
        bytes.resize(bytes.size() - 16 - 20);
        with_source(bytes, {}, [](FrameSource& source) {
            CHECK(source.info().frame_count == 5);
            CHECK(contains(source.warnings().at(0), "cut off"));
            CHECK(read_image_number(source.random_access()->at_index(4).image) == 304);
        });
    }
    SUBCASE("compressed, with something else behind the images") {
        const auto files = encoded(numbered(kGray), ".jpg");
        std::vector<uint8_t> bytes = compressed_seq({.format = 102}, files, 8);
        bytes.insert(bytes.end(), 100, uint8_t{7});
        with_source(bytes, {}, [](FrameSource& source) {
            CHECK(source.info().frame_count == kCount);
            CHECK(contains(source.warnings().at(0), "left unread"));
        });
    }
}

TEST_CASE("NorPix: the count in the header is not believed") {
    const std::vector<cv::Mat> images = numbered(kGray);
    for (const int frames : {0, 1, kCount, 100000000, -1}) {
        const Seq seq{.frames = frames};
        check_foreign_files(file_of(raw_seq(seq, images)), "main.seq", {images, {}, times_of(seq)});
    }
}

TEST_CASE("NorPix: a file that was cut off behind a whole image says so") {
    const std::vector<cv::Mat> images = numbered(kGray);
    const auto warnings_of = [](const std::vector<uint8_t>& bytes) {
        std::vector<std::string> warnings;
        with_source(bytes, {}, [&](FrameSource& source) { warnings = source.warnings(); });
        return warnings;
    };
    for (const int frames : {0, kCount - 1, kCount}) CHECK(warnings_of(raw_seq({.frames = frames}, images)).empty());
    const std::string said = fmt::format("announces {} images, {} are", kCount + 1, kCount);
    const std::vector<std::string> raw = warnings_of(raw_seq({.frames = kCount + 1}, images));
    REQUIRE(raw.size() == 1);
    CHECK(contains(raw[0], said));
    const std::vector<std::string> jpeg =
        warnings_of(compressed_seq({.format = 102, .frames = kCount + 1}, encoded(images, ".jpg"), 8));
    REQUIRE(jpeg.size() == 1);
    CHECK(contains(jpeg[0], said));
}

TEST_CASE("NorPix: a frame rate that makes no sense is none") {
    std::vector<cv::Mat> images = numbered(kGray);
    std::vector<uint8_t> bytes = raw_seq({.rate = 1e-300}, images);
    for (size_t i = 0; i < images.size(); ++i)
        std::fill_n(bytes.begin() + 1024 + int(i) * 512 + 12 * 32, 6, uint8_t{0});
    with_source(bytes, {}, [](FrameSource& source) {
        CHECK_FALSE(source.info().has_times);
        CHECK_FALSE(source.info().frame_rate);
    });
}

TEST_CASE("NorPix: space that a recorder took and did not use") {
    const std::vector<cv::Mat> images = numbered(kGray);
    std::vector<uint8_t> bytes = raw_seq({.frames = 100}, images);
    bytes.resize(bytes.size() + 94 * 512, 0);
    with_source(bytes, {}, [](FrameSource& source) {
        CHECK(source.info().frame_count == kCount);
        CHECK(contains(source.warnings().at(0), "94 images were never written"));
    });
    // Black images of a recording that has no times at all are images.
    std::vector<cv::Mat> black(4, cv::Mat::zeros(12, 32, CV_8U));
    std::vector<uint8_t> timeless = raw_seq({}, black);
    for (size_t i = 0; i < 4; ++i) std::fill_n(timeless.begin() + 1024 + int(i) * 512 + 12 * 32, 6, uint8_t{0});
    check_foreign_files(file_of(timeless), "main.seq", {black});
    with_source(timeless, {}, [](FrameSource& source) {
        CHECK_FALSE(source.info().has_times);
        CHECK(source.info().frame_rate == 25.0);
    });
}

TEST_CASE("NorPix: times that count from the recording's own start") {
    const std::vector<cv::Mat> images = numbered(kGray);
    std::vector<uint8_t> bytes = raw_seq({}, images);
    std::vector<double> times;
    for (int i = 0; i < kCount; ++i) {
        const size_t stamp = 1024 + static_cast<size_t>(i) * 512 + images[0].total();
        BytesMaker maker;
        maker.add<uint32_t>(static_cast<uint32_t>(i / 2)).add<uint16_t>(static_cast<uint16_t>(i % 2 * 500));
        std::copy(maker.get().begin(), maker.get().end(), bytes.begin() + static_cast<ptrdiff_t>(stamp));
        times.push_back(i * 0.5);
    }
    check_foreign_files(file_of(bytes), "main.seq", {images, {}, times});
    with_source(bytes, {}, [](FrameSource& source) {
        CHECK(source.info().has_times);
        CHECK_FALSE(source.info().times_are_absolute);
        CHECK(source.info().frame_rate == 2.0);
    });
}

TEST_CASE("NorPix: a ring is given in the order of time") {
    // In the file: frames 4, 5, 0, 1, 2, 3.
    Seq seq{.origin = 2};
    std::vector<cv::Mat> images = numbered(kGray);
    const std::vector<cv::Mat> in_order = images;
    std::vector<double> times;
    std::rotate(images.begin(), images.begin() + 4, images.end());
    std::vector<uint8_t> bytes = raw_seq(seq, images);
    for (int place = 0; place < kCount; ++place) {
        BytesMaker stamp;
        add_stamp(stamp, seq, (place + 4) % kCount);
        std::copy(stamp.get().begin(), stamp.get().end(),
                  bytes.begin() + 1024 + place * 512 + static_cast<ptrdiff_t>(images[0].total()));
    }
    check_foreign_files(file_of(bytes), "main.seq", {in_order, {}, times_of(seq)});
    with_source(bytes, {}, [](FrameSource& source) {
        CHECK(contains(source.warnings().at(0), "ring"));
        CHECK(source.user_metadata()["origin"] == 2);
    });
    // An origin that the times contradict changes nothing.
    const std::vector<uint8_t> straight = raw_seq(seq, in_order);
    check_foreign_files(file_of(straight), "main.seq", {in_order, {}, times_of(seq)});
    with_source(straight, {}, [](FrameSource& source) { CHECK(contains(source.warnings().at(0), "as they lie")); });
}

TEST_CASE("NorPix: recordings whose header was never written") {
    const std::vector<cv::Mat> images = numbered(kDeep);
    const auto without_header = [](std::vector<uint8_t> bytes) {
        std::fill_n(bytes.begin(), 1024, uint8_t{0});
        return bytes;
    };
    for (const int version : {3, 5}) {
        CAPTURE(version);
        const Seq seq{.version = version, .bits_per_pixel = 16, .bits = 16};
        const std::vector<uint8_t> bytes = without_header(raw_seq(seq, images));
        const std::string message = message_of(bytes);
        for (const char* word : {"header is empty", "width=", "height=", "bits=", "format=", "true_size="})
            CHECK(contains(message, word));
        const CodecOptions options{{"width", "32"}, {"height", "12"}, {"bits", "10"}};
        // The distance of the images is found by their times.
        check_foreign_files(file_of(bytes), "main.seq", {images, {}, times_of(seq)}, with_options(options));
        // An unusual one has to be told.
        Seq wide = seq;
        wide.true_size = 2000;
        const std::vector<uint8_t> far_apart = without_header(raw_seq(wide, images));
        CHECK(contains(message_of(far_apart, with_options(options)), "true_size="));
        CodecOptions with_size = options;
        with_size["true_size"] = "2000";
        check_foreign_files(file_of(far_apart), "main.seq", {images, {}, times_of(seq)}, with_options(with_size));
        with_size["version"] = version == 3 ? "5" : "3";
        CHECK_FALSE(contains(message_of(far_apart, with_options(with_size)), "header is empty"));
    }
    SUBCASE("compressed images tell all that is needed") {
        for (const ImageType& type : {kGray, kColor}) {
            const auto files = encoded(numbered(type), ".jpg");
            const Seq seq{.format = type.gray() ? 102 : 201};
            const std::vector<uint8_t> bytes = without_header(compressed_seq(seq, files, 16));
            check_foreign_files(file_of(bytes), "main.seq", {decoded(files), {}, times_of(seq)});
            with_source(bytes, {},
                        [](FrameSource& source) { CHECK(contains(source.warnings().at(0), "header is empty")); });
        }
    }
    SUBCASE("other files of zeros are not taken for such") {
        const TemporaryFolder folder;
        write_foreign_files(folder.path(), {{"main.dat", std::vector<uint8_t>(9000)}});
        CHECK_THROWS_AS(open_file_source(folder / "main.dat"), Error);
    }
}

TEST_CASE("NorPix: what is not read is refused by name") {
    const std::vector<cv::Mat> images = numbered(kGray, 2);
    const auto message = [&](Seq seq) { return message_of(raw_seq(seq, images)); };
    CHECK(contains(message({.format = 610}), "YUV422 with 20 bits"));
    CHECK(contains(message({.format = 620}), "YUV422 with 10 bits, packed"));
    CHECK(contains(message({.format = 800}), "UVY411"));
    CHECK(contains(message({.format = 900}), "UVY444"));
    CHECK(contains(message({.format = 112}), "most significant bit"));
    CHECK(contains(message({.format = 12345}), "12345"));
    CHECK(contains(message({.compression = 8}), "H.264"));
    CHECK(contains(message({.compression = 77}), "77"));
    // 12 bits packed: half as many bytes more than pixels.
    CHECK(contains(message_of(raw_seq({.bits_per_pixel = 12}, numbered({18, 32, 1, CV_8U}, 2))), "packed"));
    // The user knows better.
    check_foreign_files(file_of(raw_seq({.format = 12345}, images)), "main.seq", {images, {}, times_of({}, 2)},
                        with_options({{"format", "mono"}}));
    CHECK(contains(message_of(raw_seq({}, images), with_options({{"format", "striped"}})), "mono-jpeg"));
    CHECK(contains(message_of(raw_seq({}, images), with_options({{"colour", "1"}})), "true_size"));
}

TEST_CASE("NorPix: files that are something else") {
    const std::string hiris = "[Sequence Settings]\nSequence name=a\nWidth=32\n";
    CHECK_FALSE(message_of({hiris.begin(), hiris.end()}).empty());
    CHECK_FALSE(message_of({}).empty());
    CHECK(contains(message_of(std::vector<uint8_t>(100)), "NorPix: not recognised"));
    std::vector<uint8_t> big_endian = raw_seq({}, numbered(kGray, 1));
    std::reverse(big_endian.begin(), big_endian.begin() + 4);
    CHECK(contains(message_of(big_endian), "NorPix: not recognised"));
    CHECK_FALSE(message_of(header_of({}).get()).empty());
    CHECK_FALSE(message_of(header_of({.format = 102}).get()).empty());
}

TEST_CASE("NorPix: damaged headers") {
    const std::vector<cv::Mat> images = numbered({4, 16, 1, CV_8U}, 3);
    const ForeignFiles raw = file_of(raw_seq({.width = 16, .height = 4}, images));
    const ForeignFiles jpeg =
        file_of(compressed_seq({.width = 16, .height = 4, .format = 102}, encoded(images, ".jpg"), 8));
    for (const ForeignFiles& files : {raw, jpeg}) {
        check_truncated(files, "main.seq", "main.seq", files.at("main.seq").size(), 3, 7);
        check_truncated(files, "main.seq", "main.seq", 1040, 0, 5);
        check_absurd_headers(files, "main.seq", "main.seq", 36);
    }
    // Behind the description, field by field.
    for (const ForeignFiles& files : {raw, jpeg}) {
        for (const uint32_t absurd : {0u, 1u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu}) {
            for (size_t place = 548; place < 640; place += 4) {
                CAPTURE(place);
                const TemporaryFolder folder(memory_folder());
                ForeignFiles damaged = files;
                std::memcpy(damaged.at("main.seq").data() + place, &absurd, sizeof absurd);
                write_foreign_files(folder.path(), damaged);
                readable_frames(folder / "main.seq");
            }
        }
    }
    // Lengths of records.
    const size_t first = 1024;
    for (const uint32_t absurd : {0u, 4u, 8u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
        std::vector<uint8_t> bytes = jpeg.at("main.seq");
        std::memcpy(bytes.data() + first, &absurd, sizeof absurd);
        CHECK_FALSE(message_of(bytes).empty());
    }
}

namespace {

Frame frame_of(const cv::Mat& image, double time = std::numeric_limits<double>::quiet_NaN()) {
    Frame frame;
    frame.image = image;
    frame.time = time;
    return frame;
}

/// Writes the frames and gives back the bytes of the file.
std::vector<uint8_t> written(const std::filesystem::path& path, const std::vector<cv::Mat>& images,
                             const std::vector<double>& times, const CodecOptions& options) {
    const auto sink = create_file_sink(path, {.codec = options});
    for (size_t i = 0; i < images.size(); ++i) sink->write(frame_of(images[i], times[i]));
    sink->close();
    return read_file(path, 1 << 24);
}

template <typename Number>
Number number_in(const std::vector<uint8_t>& bytes, size_t offset) {
    Number number;
    std::memcpy(&number, bytes.data() + offset, sizeof number);
    return number;
}

}  // namespace

TEST_CASE("NorPix sink: what is written comes back bit for bit, times to the ms or us") {
    for (const std::string version : {"3", "5"}) {
        for (const ImageType& type : {kGray, kDeep, kColor, ImageType{7, 19, 3, CV_8U}}) {
            for (const std::string compression : {"none", "png"}) {
                if (compression == "png" && version == "5") continue;
                CAPTURE(version);
                CAPTURE(compression);
                CAPTURE(type.text());
                const TemporaryFolder folder;
                const std::vector<cv::Mat> images =
                    numbered({type.height, std::max(type.width, 16), type.channels, type.depth});
                std::vector<double> times;
                for (int i = 0; i < kCount; ++i) times.push_back(kStart + 0.9996543 * i + 0.123456);
                written(folder / "out.seq", images, times, {{"version", version}, {"compression", compression}});
                const double tolerance = version == "5" ? 0.6e-6 : 0.51e-3;
                const auto source = open_file_source(folder / "out.seq");
                check_foreign_source(*source, {images, {}, times, tolerance});
                CHECK(source->warnings().empty());
                CHECK(source->info().frame_rate.value_or(0) == doctest::Approx(1 / 0.9996543).epsilon(0.002));
            }
        }
    }
}

TEST_CASE("NorPix sink: JPEG of both versions") {
    for (const std::string version : {"3", "5"}) {
        for (const ImageType& type : {kGray, kColor}) {
            const TemporaryFolder folder;
            const std::vector<cv::Mat> images = numbered(type);
            std::vector<double> times;
            for (int i = 0; i < kCount; ++i) times.push_back(kStart + i);
            const std::vector<uint8_t> bytes = written(
                folder / "out.seq", images, times, {{"version", version}, {"compression", "jpeg"}, {"quality", "95"}});
            const auto source = open_file_source(folder / "out.seq");
            REQUIRE(source->info().frame_count == kCount);
            for (int i = 0; i < kCount; ++i) {
                std::vector<uint8_t> jpeg;
                cv::imencode(".jpg", images[size_t(i)], jpeg, {cv::IMWRITE_JPEG_QUALITY, 95});
                const Frame frame = source->random_access()->at_index(i);
                CHECK(equal_pixels(frame.image, cv::imdecode(jpeg, cv::IMREAD_UNCHANGED)));
                CHECK(frame.time == kStart + i);
            }
            CHECK(number_in<uint32_t>(bytes, 568) ==
                  (version == "3" ? (type.gray() ? 102u : 201u) : (type.gray() ? 100u : 200u)));
            CHECK(number_in<uint32_t>(bytes, 620) == (version == "3" ? 0u : 1u));
        }
    }
}

TEST_CASE("NorPix sink: the header and the places of the images") {
    const TemporaryFolder folder;
    // 58 bytes of pixels would leave no padding with the 6 of the stamp if 448 more made 512.
    const ImageType type{22, 23, 1, CV_8U};
    const std::vector<cv::Mat> images = numbered(type, 3);
    const std::vector<uint8_t> bytes = written(folder / "out.seq", images, {kStart, kStart + 0.5, kStart + 1.25}, {});
    CHECK(number_in<uint32_t>(bytes, 0) == 0xFEED);
    CHECK(number_in<int32_t>(bytes, 28) == 3);
    CHECK(number_in<int32_t>(bytes, 32) == 1024);
    CHECK(number_in<int32_t>(bytes, 548) == 23);
    CHECK(number_in<int32_t>(bytes, 552) == 22);
    CHECK(number_in<int32_t>(bytes, 556) == 8);
    CHECK(number_in<int32_t>(bytes, 564) == 506);
    CHECK(number_in<int32_t>(bytes, 568) == 100);
    CHECK(number_in<int32_t>(bytes, 572) == 3);
    CHECK(number_in<int32_t>(bytes, 580) == 1024);  // 506 + 6 = 512 gets a whole block more
    CHECK(number_in<double>(bytes, 584) == doctest::Approx(1 / 0.75));
    CHECK(bytes.size() == 1024 + 3 * 1024);
    CHECK(number_in<uint32_t>(bytes, 1024 + 1024 + 506) == uint32_t(kStart));
    CHECK(number_in<uint16_t>(bytes, 1024 + 1024 + 506 + 4) == 500);
}

TEST_CASE("NorPix sink: times that a stamp cannot hold, and none at all") {
    const TemporaryFolder folder;
    const cv::Mat image = make_numbered_image(kGray, 1);
    const auto sink = create_file_sink(folder / "out.seq");
    CHECK_THROWS_AS(sink->write(frame_of(image, -1)), Error);
    CHECK_THROWS_AS(sink->write(frame_of(image, 5e9)), Error);
    sink->write(frame_of(image));
    sink->write(frame_of(image));
    sink->close();
    const auto source = open_file_source(folder / "out.seq");
    CHECK(source->info().frame_count == 2);
    CHECK_FALSE(source->info().has_times);
    CHECK_FALSE(source->info().frame_rate);
    // Rounded up to the next second, not to 1000 ms.
    written(folder / "round.seq", {image, image}, {9.9996, 11}, {});
    CHECK(open_file_source(folder / "round.seq")->random_access()->at_index(0).time == 10);
}

TEST_CASE("NorPix sink: a recording that is not closed can be read") {
    for (const std::string compression : {"none", "jpeg", "png"}) {
        const TemporaryFolder folder;
        const std::vector<cv::Mat> images = numbered(kGray);
        const auto sink = create_file_sink(folder / "out.seq", {.codec = {{"compression", compression}}});
        for (int i = 0; i < kCount; ++i) {
            sink->write(frame_of(images[size_t(i)], kStart + i));
            const auto source = open_file_source(folder / "out.seq");
            REQUIRE(source->info().frame_count == i + 1);
            const Frame frame = source->random_access()->at_index(i);
            CHECK(read_image_number(frame.image) == 300 + i);
            CHECK(frame.time == kStart + i);
            CHECK(source->warnings().empty());
        }
    }
}

TEST_CASE("NorPix sink: what it refuses") {
    const TemporaryFolder folder;
    const auto refused = [&](const cv::Mat& image, const CodecOptions& options) -> std::string {
        try {
            create_file_sink(folder / "no.seq", {.codec = options})->write(frame_of(image, 0));
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    };
    CHECK(contains(refused(cv::Mat::zeros(4, 4, CV_32F), {}), "npy"));
    CHECK(contains(refused(cv::Mat::zeros(4, 4, CV_16UC3), {}), "colour uint8"));
    CHECK(contains(refused(cv::Mat::zeros(4, 4, CV_8UC4), {}), "colour uint8"));
    CHECK(contains(refused(cv::Mat::zeros(4, 4, CV_16U), {{"compression", "jpeg"}}), "compression=png"));
    const cv::Mat gray = cv::Mat::zeros(4, 4, CV_8U);
    CHECK(contains(refused(gray, {{"version", "4"}}), "version"));
    CHECK(contains(refused(gray, {{"colour", "1"}}), "compression"));
    CHECK(contains(refused(gray, {{"quality", "90"}}), "compression=jpeg"));
    CHECK(contains(refused(gray, {{"compression", "jpeg"}, {"quality", "101"}}), "quality"));
    CHECK(contains(refused(gray, {{"compression", "png"}, {"version", "5"}}), "version 3"));
    CHECK_FALSE(std::filesystem::exists(folder / "no.seq"));

    const auto sink = create_file_sink(folder / "out.seq");
    sink->write(frame_of(gray, 0));
    CHECK_THROWS_AS(sink->write(frame_of(cv::Mat::zeros(4, 5, CV_8U), 0)), Error);
    sink->close();
    sink->close();
    CHECK_THROWS_AS(sink->write(frame_of(gray, 0)), Error);
    CHECK_THROWS_AS(create_file_sink(folder / "out.seq"), Error);
    CHECK_NOTHROW(create_file_sink(folder / "CAPITALS.SEQ"));
    create_file_sink(folder / "empty.seq")->close();
    CHECK_FALSE(std::filesystem::exists(folder / "empty.seq"));
}
