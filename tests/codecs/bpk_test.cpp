#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>

extern "C" {
#include <libavutil/adler32.h>
}

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "base/numbered_frames.h"
#include "codecs/bloscpack.h"
#include "codecs/file_format.h"
#include "codecs/image_chunk_format.h"
#include "tests/image_equality.h"
#include "tests/sanitized.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kHeaderBytes = 32;

/// Pixels that use all bits, with NaN and infinities among floats.
cv::Mat random_image(const ImageType& type, unsigned seed = 1) {
    cv::Mat image(type.height, type.width, type.cv_type());
    std::mt19937 random(seed);
    for (uint8_t* byte = image.data; byte != image.data + type.bytes(); ++byte) *byte = uint8_t(random());
    if (type.depth == CV_32F && type.bytes() >= 16) {
        constexpr float kInfinity = std::numeric_limits<float>::infinity();
        const float special[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity, -0.0F};
        std::memcpy(image.data, special, sizeof special);
    }
    return image;
}

template <typename T>
T load(const Bytes& bytes, size_t place) {
    T value;
    std::memcpy(&value, &bytes[place], sizeof value);
    return value;
}

template <typename T>
Bytes with(Bytes bytes, size_t place, T value) {
    std::memcpy(&bytes[place], &value, sizeof value);
    return bytes;
}

void append(Bytes& bytes, const void* data, size_t size) {
    const auto* begin = static_cast<const uint8_t*>(data);
    bytes.insert(bytes.end(), begin, begin + size);
}

/// A file made by hand: metadata that is not compressed, no checksums, no offsets; `chunks` is taken from another file.
Bytes plain_file(const std::string& metadata, int64_t count, const Bytes& chunks) {
    Bytes bytes{'b', 'l', 'p', 'k', 3, 2, 0, 1};
    const int32_t unknown = -1;
    append(bytes, &unknown, 4);
    append(bytes, &unknown, 4);
    append(bytes, &count, 8);
    bytes.resize(kHeaderBytes);
    append(bytes, "JSON    \0\0\0\0", 12);
    const auto size = static_cast<uint32_t>(metadata.size());
    for (int i = 0; i < 3; ++i) append(bytes, &size, 4);
    bytes.resize(2 * kHeaderBytes);
    append(bytes, metadata.data(), metadata.size());
    append(bytes, chunks.data(), chunks.size());
    return bytes;
}

/// Where the first chunk begins: the first offset after the metadata section.
size_t first_chunk(const Bytes& bytes) {
    return size_t(load<int64_t>(bytes, 2 * kHeaderBytes + load<uint32_t>(bytes, kHeaderBytes + 16) + 4));
}

/// The chunk of a file that has one, without its checksum.
Bytes chunk_of(const cv::Mat& image, const BloscpackOptions& options = {}) {
    const Bytes bytes = bloscpack_from_image(image, options);
    const size_t start = first_chunk(bytes);
    const size_t size = load<uint32_t>(bytes, start + 12);
    return {bytes.begin() + ptrdiff_t(start), bytes.begin() + ptrdiff_t(start + size)};
}

std::string metadata_of(const std::string& dtype, const std::string& shape, const std::string& order = "C") {
    return fmt::format(R"({{"dtype":"{}","shape":{},"order":"{}","container":"numpy"}})", dtype, shape, order);
}

std::optional<ErrorCode> read_error(const Bytes& bytes, const std::optional<ImageType>& expected = std::nullopt) {
    return error_of([&] { image_from_bloscpack(bytes, expected); });
}

constexpr ImageType kSmall{4, 6, 1, CV_8U};

}  // namespace

TEST_CASE("bpk: every type, shape and codec comes back bit by bit") {
    const std::vector<cv::Size> sizes{{1, 1}, {64, 48}, {33, 7}, {4096, 1}, {1, 100}};
    for (int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (int channels : {1, 2, 3, 4, 7}) {
            for (const cv::Size size : sizes) {
                const ImageType type{size.height, size.width, channels, depth};
                const cv::Mat image = random_image(type);
                CAPTURE(type.text());
                CHECK(equal_pixels(image_from_bloscpack(bloscpack_from_image(image), type), image));
            }
        }
    }
    const cv::Mat image = make_numbered_image({48, 64, 3, CV_16U}, 5);
    REQUIRE_FALSE(bloscpack_codecs().empty());
    for (const std::string& codec : bloscpack_codecs()) {
        for (int level : {0, 1, 7, 9}) {
            for (auto shuffle :
                 {BloscpackOptions::Shuffle::none, BloscpackOptions::Shuffle::byte, BloscpackOptions::Shuffle::bit}) {
                CAPTURE(codec);
                const Bytes bytes = bloscpack_from_image(image, {codec, level, shuffle});
                CHECK(equal_pixels(image_from_bloscpack(bytes), image));
                if (level > 0) CHECK(bytes.size() < ImageType::of(image).bytes());
            }
        }
    }
    const cv::Mat part = random_image({20, 64, 3, CV_16U})(cv::Rect(10, 5, 20, 7));
    CHECK(equal_pixels(image_from_bloscpack(bloscpack_from_image(part)), part));
    CHECK(error_of([] { bloscpack_from_image(cv::Mat()); }) == ErrorCode::invalid_argument);
}

TEST_CASE("bpk: several chunks, and headers as bloscpack writes them") {
    const ImageType type{1000, 1100, 1, CV_16U};
    const cv::Mat image = random_image(type);
    const Bytes bytes = bloscpack_from_image(image);
    CHECK(equal_pixels(image_from_bloscpack(bytes, type), image));
    CHECK(std::string(bytes.begin(), bytes.begin() + 4) == "blpk");
    CHECK(bytes[4] == 3);
    CHECK(bytes[5] == 3);  // offsets, metadata
    CHECK(bytes[6] == 1);  // Adler-32
    CHECK(bytes[7] == 2);
    CHECK(load<int32_t>(bytes, 8) == 1 << 20);
    CHECK(load<int32_t>(bytes, 12) == 2'200'000 - 2 * (1 << 20));
    CHECK(load<int64_t>(bytes, 16) == 3);
    CHECK(load<int64_t>(bytes, 24) == 30);
    CHECK(std::memcmp(&bytes[32], "JSON\0\0\0\0\0\1\1\6", 12) == 0);  // no options, Adler-32, zlib at level 6
    CHECK(load<uint32_t>(bytes, 48) == 10 * load<uint32_t>(bytes, 44));

    const size_t offsets = 64 + load<uint32_t>(bytes, 48) + 4;
    size_t place = offsets + 33 * 8;
    for (size_t chunk = 0; chunk < 33; ++chunk) {
        CAPTURE(chunk);
        const auto offset = load<int64_t>(bytes, offsets + 8 * chunk);
        if (chunk >= 3) {
            CHECK(offset == -1);
            continue;
        }
        CHECK(offset == int64_t(place));
        const size_t size = load<uint32_t>(bytes, place + 12);
        CHECK(load<uint32_t>(bytes, place + size) == av_adler32_update(1, &bytes[place], unsigned(size)));
        place += size + 4;
    }
    CHECK(place == bytes.size());
}

TEST_CASE("bpk: what other writers may choose is read") {
    const cv::Mat image = random_image(kSmall);
    const Bytes chunk = chunk_of(image);
    CHECK(equal_pixels(image_from_bloscpack(plain_file(metadata_of("'|u1'", "[4,6]"), 1, chunk)), image));
    CHECK(equal_pixels(image_from_bloscpack(plain_file(metadata_of("|u1", "[4, 6]"), 1, chunk)), image));
    CHECK(equal_pixels(image_from_bloscpack(plain_file(metadata_of("'|u1'", "[4,6,1]"), 1, chunk), kSmall), image));
    const cv::Mat color = image_from_bloscpack(plain_file(metadata_of("'|u1'", "[2,4,3]"), 1, chunk));
    CHECK(std::equal(image.datastart, image.dataend, color.datastart));

    const cv::Mat columns = image_from_bloscpack(plain_file(metadata_of("'|u1'", "[6,4]", "F"), 1, chunk));
    CHECK(equal_pixels(columns, image.t()));
    const cv::Mat swapped = image_from_bloscpack(plain_file(metadata_of("'>u2'", "[4,3]"), 1, chunk));
    REQUIRE(swapped.type() == CV_16U);
    CHECK(swapped.at<uint16_t>(3, 2) == image.at<uint8_t>(3, 4) * 256 + image.at<uint8_t>(3, 5));
    const cv::Mat truth = image_from_bloscpack(plain_file(metadata_of("'|b1'", "[4,6]"), 1, chunk));
    CHECK(truth.at<uint8_t>(1, 1) == (image.at<uint8_t>(1, 1) != 0));

    // Chunks of any sizes.
    Bytes several = chunk_of(image.rowRange(0, 1));
    const Bytes rest = chunk_of(image.rowRange(1, 4));
    append(several, rest.data(), rest.size());
    CHECK(equal_pixels(image_from_bloscpack(plain_file(metadata_of("'|u1'", "[4,6]"), 2, several)), image));
}

TEST_CASE("bpk: all kinds of checksum are verified") {
    const cv::Mat image = random_image(kSmall);
    const size_t sizes[] = {0, 4, 4, 16, 20, 28, 32, 48, 64};
    for (uint8_t kind = 1; kind < 9; ++kind) {
        CAPTURE(int(kind));
        Bytes bytes = plain_file(metadata_of("'|u1'", "[4,6]"), 1, chunk_of(image));
        bytes[6] = kind;
        CHECK(read_error(bytes) == ErrorCode::corrupt);  // cut off
        bytes.resize(bytes.size() + sizes[kind]);
        std::string message;
        CHECK(error_of([&] { image_from_bloscpack(bytes); }, &message) == ErrorCode::corrupt);
        CHECK(message.find("checksum") != std::string::npos);
    }
    Bytes unknown = plain_file(metadata_of("'|u1'", "[4,6]"), 1, chunk_of(image));
    unknown[6] = 9;
    CHECK(read_error(unknown) == ErrorCode::unsupported);
}

TEST_CASE("bpk: damage anywhere is an error or does no harm") {
    const cv::Mat image = make_numbered_image({24, 32, 3, CV_16U}, 77);
    const ImageType type = ImageType::of(image);
    const Bytes good = bloscpack_from_image(image);
    REQUIRE(equal_pixels(image_from_bloscpack(good, type), image));
    const auto harmless = [&](const Bytes& bytes) {
        try {
            return equal_pixels(image_from_bloscpack(bytes, type), image);
        } catch (const Error&) {
            return true;
        }
    };
    for (size_t size = 0; size < good.size(); ++size) {
        if (size > 1200 && size % 13 != 0) continue;
        CHECK(read_error(Bytes(good.begin(), good.begin() + ptrdiff_t(size)), type) == ErrorCode::corrupt);
    }
    std::mt19937 random(3);
    for (size_t place = 0; place < good.size(); ++place) {
        if (place > 1200 && place % 7 != 0) continue;
        for (const auto value : {uint8_t(0), uint8_t(0xff), uint8_t(good[place] ^ (1U << random() % 8))}) {
            CAPTURE(place);
            CHECK(harmless(with(good, place, value)));
        }
    }
    // Without checksums libblosc itself meets the damage.
    const Bytes chunk = chunk_of(image);
    const std::string metadata = metadata_of("'<u2'", "[24,32,3]");
    REQUIRE(equal_pixels(image_from_bloscpack(plain_file(metadata, 1, chunk), type), image));
    for (int i = 0; i < (kSanitized ? 500 : 3000); ++i) {
        Bytes damaged = chunk;
        for (unsigned n = 0; n <= random() % 3; ++n)
            damaged[random() % (i % 2 ? 64 : damaged.size())] = uint8_t(random());
        thrown_by([&] { image_from_bloscpack(plain_file(metadata, 1, damaged), type); });
    }
}

TEST_CASE("bpk: what does not fit is refused") {
    const Bytes chunk = chunk_of(random_image(kSmall));
    const auto error = [&](const std::string& metadata, int64_t count = 1) {
        return read_error(plain_file(metadata, count, chunk));
    };
    CHECK_FALSE(error(metadata_of("'|u1'", "[4,6]")));
    for (const char* dtype : {"'<u4'", "'<i8'", "'<c16'", "'|S1'", "[('a', '<f8')]"}) {
        CAPTURE(dtype);
        CHECK(error(metadata_of(dtype, "[4,6]")) == ErrorCode::unsupported);
    }
    for (const char* shape : {"[24]", "[1,1,4,6]", "[2,2,6]"}) {
        CAPTURE(shape);
        CHECK(error(metadata_of("'|u1'", shape)) == ErrorCode::unsupported);
    }
    for (const char* shape : {"[4,5]", "[4,7]", "[-4,6]", "[4.0,6]", "4", "[\"4\",6]", "[0,6]",
                              "[18446744073709551615,2]", "[4294967296,4294967296,4]", "[65535,32000]", "[null,6]"}) {
        CAPTURE(shape);
        CHECK(error(metadata_of("'|u1'", shape)) == ErrorCode::corrupt);
    }
    CHECK(error(metadata_of("'|u1'", "[4,6]", "K")) == ErrorCode::corrupt);
    CHECK(error(metadata_of("'|x1'", "[4,6]")) == ErrorCode::corrupt);
    CHECK(error("{\"dtype\":") == ErrorCode::corrupt);
    CHECK(error("[]") == ErrorCode::corrupt);
    CHECK(error("{}") == ErrorCode::unsupported);
    CHECK(error(R"({"container":"pickle"})") == ErrorCode::unsupported);
    CHECK(error(std::string(100000, ' ')) == ErrorCode::corrupt);
    CHECK(error(std::string(60000, '[')) == ErrorCode::corrupt);
    for (int64_t count : {int64_t(0), int64_t(-1), int64_t(2), std::numeric_limits<int64_t>::max()}) {
        CHECK(error(metadata_of("'|u1'", "[4,6]"), count) == ErrorCode::corrupt);
    }

    const Bytes good = bloscpack_from_image(random_image(kSmall));
    CHECK(read_error(good, kSmall) == std::nullopt);
    CHECK(read_error(good, ImageType{6, 4, 1, CV_8U}) == ErrorCode::corrupt);
    CHECK(read_error(good, ImageType{4, 6, 1, CV_8S}) == ErrorCode::corrupt);
    CHECK(read_error(with(good, 4, uint8_t(2))) == ErrorCode::unsupported);
    CHECK(read_error(with(good, 5, uint8_t(7))) == ErrorCode::unsupported);
    CHECK(read_error(with(good, 5, uint8_t(1))) == ErrorCode::unsupported);
    CHECK(read_error(with(good, 24, int64_t(1) << 60)) == ErrorCode::corrupt);
    CHECK(read_error(with(good, 32, uint8_t('B'))) == ErrorCode::unsupported);
    CHECK(read_error(with(good, 44, uint32_t(0xffffffff))) == ErrorCode::corrupt);
}

TEST_CASE("bpk: a small file cannot ask for much memory") {
    // A megabyte of zeros in a few hundred bytes, said to be an array that needs more, or less, than the store's type.
    const cv::Mat zeros = cv::Mat::zeros(1024, 1024, CV_8U);
    const Bytes chunk = chunk_of(zeros, {"zstd"});
    REQUIRE(chunk.size() < 4096);
    Bytes many;
    for (int i = 0; i < 1500; ++i) append(many, chunk.data(), chunk.size());
    CHECK(read_error(plain_file(metadata_of("'|u1'", "[1024,1024]"), 1500, many), kSmall) == ErrorCode::corrupt);
    CHECK(read_error(plain_file(metadata_of("'|u1'", "[4,6]"), 1500, many), kSmall) == ErrorCode::corrupt);
    CHECK(read_error(plain_file(metadata_of("'|u1'", "[32000,65535]"), 1, chunk)) == ErrorCode::corrupt);
}

TEST_CASE("bpk: several threads at once") {
    const Bytes bytes = bloscpack_from_image(make_numbered_image({200, 300, 1, CV_16U}, 9));
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int number = 0; number < 4; ++number) {
        threads.emplace_back([&, number] {
            for (int i = 0; i < 20; ++i) {
                const cv::Mat image = make_numbered_image({200, 300, 1, CV_16U}, number * 100 + i);
                if (!equal_pixels(image_from_bloscpack(bloscpack_from_image(image)), image)) ++wrong;
                if (read_image_number(image_from_bloscpack(bytes)) != 9) ++wrong;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}

TEST_CASE("bpk: files are images") {
    const TemporaryFolder folder;
    const ImageType type{48, 64, 3, CV_32F};
    for (int number : {3, 1, 2}) {
        Frame frame;
        frame.image = make_numbered_image(type, number);
        const auto sink = create_file_sink(folder / fmt::format("image_{}.bpk", number));
        sink->write(frame);
        sink->close();
    }
    const auto single = open_file_source(folder / "image_2.bpk");
    CHECK(single->info().format == "image");
    CHECK(single->info().image_type == type);
    CHECK(equal_pixels(single->next()->image, make_numbered_image(type, 2)));
    // The content decides, not the name.
    std::filesystem::rename(folder / "image_2.bpk", folder / "image_2.dat");
    CHECK(read_image_number(open_file_source(folder / "image_2.dat")->next()->image) == 2);
    std::filesystem::rename(folder / "image_2.dat", folder / "image_2.bpk");

    const auto source = open_file_source(folder.path());
    for (int number : {1, 2, 3}) CHECK(read_image_number(source->next()->image) == number);
    CHECK(ImageType::of(open_file_source(folder / "image_1.bpk", {.gray = true})->next()->image).channels == 1);

    write_file_atomically(folder / "bad.bpk", "blpk\3");
    const Error error = expected_error([&] { open_file_source(folder / "bad.bpk"); });
    CHECK(error.code() == ErrorCode::corrupt);
    CHECK(error.place().path == (folder / "bad.bpk").string());
}

TEST_CASE("bpk: options of the format") {
    const ChunkFormat* format = find_chunk_format("bpk");
    REQUIRE(format);
    CHECK(format->info().lossless);
    CHECK(format->info().extension == ".bpk");
    const auto refused = [&](const CodecOptions& options) { return error_of([&] { format->check_options(options); }); };
    CHECK_FALSE(refused({}));
    CHECK_FALSE(refused({{"codec", "blosclz"}, {"level", "9"}, {"shuffle", "bit"}}));
    CHECK(refused({{"codec", "rar"}}) == ErrorCode::invalid_argument);
    CHECK(refused({{"level", "10"}}) == ErrorCode::invalid_argument);
    CHECK(refused({{"shuffle", "cards"}}) == ErrorCode::invalid_argument);
    CHECK(refused({{"crf", "1"}}) == ErrorCode::invalid_argument);

    const TemporaryFolder folder;
    const ImageType type{48, 64, 1, CV_16U};
    const auto writer = format->create(folder / "chunk", type, {{"codec", "zstd"}, {"level", "3"}});
    for (int number = 0; number < 5; ++number) writer->write(make_numbered_image(type, number));
    writer->finish();
    const auto reader = format->open(folder / "chunk", type);
    for (int number : {3, 0, 4, 1, 2}) CHECK(equal_pixels(reader->read(number), make_numbered_image(type, number)));
    CHECK(file_system().status(folder / "chunk/000004.bpk").kind == FileKind::file);
}

}  // namespace reelstore
