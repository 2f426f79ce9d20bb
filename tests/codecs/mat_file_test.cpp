#include <atomic>
#include <thread>

#include <doctest/doctest.h>
#include <zlib.h>

#include "base/numbered_frames.h"
#include "codecs/foreign/hdf5_id.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

using Bytes = std::vector<uint8_t>;

constexpr int kFrames = 5;
constexpr int kHeight = 3;
constexpr int kWidth = 18;

/// Numbers of types of elements and of classes of arrays.
constexpr uint32_t kInt8 = 1, kUint8 = 2, kInt16 = 3, kUint16 = 4, kInt32 = 5, kUint32 = 6, kSingle = 7, kDouble = 9,
                   kMatrix = 14, kCompressed = 15, kUtf8 = 16;
constexpr uint32_t kStruct = 2, kChar = 4, kSparse = 5, kDoubleClass = 6, kUint8Class = 9, kInt16Class = 10,
                   kUint16Class = 11, kUint32Class = 13;

std::vector<cv::Mat> images_of(const ImageType& type, int frames = kFrames) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < frames; ++i) images.push_back(make_numbered_image(type, 2000 + i));
    return images;
}

/// Writes the elements of a MATLAB file of version 5.
class MatMaker {
public:
    explicit MatMaker(bool big_endian = false) : big_endian_(big_endian) {}

    Bytes element(uint32_t type, const Bytes& data) const {
        BytesMaker maker(big_endian_);
        if (data.size() <= 4 && type != kMatrix) {
            maker.add(uint32_t(data.size() << 16 | type)).bytes(data).pad_to(8);
        } else {
            maker.add(type).add(uint32_t(data.size())).bytes(data).pad_to((8 + data.size() + 7) / 8 * 8);
        }
        return maker.get();
    }

    /// The contents of an array up to its values.
    Bytes head(const std::string& name, uint32_t flags, const std::vector<int32_t>& shape) const {
        BytesMaker maker(big_endian_);
        maker.bytes(element(kUint32, BytesMaker(big_endian_).add(flags).add(uint32_t{0}).get()));
        BytesMaker sizes(big_endian_);
        for (const int32_t size : shape) sizes.add(size);
        maker.bytes(element(kInt32, sizes.get()));
        maker.bytes(element(kInt8, Bytes(name.begin(), name.end())));
        return maker.get();
    }

    Bytes matrix(const Bytes& contents) const { return element(kMatrix, contents); }

    Bytes array(const std::string& name, uint32_t flags, const std::vector<int32_t>& shape, uint32_t type,
                const Bytes& values) const {
        return matrix(joined({head(name, flags, shape), element(type, values)}));
    }

    template <typename Number>
    Bytes values(const std::vector<Number>& numbers) const {
        BytesMaker maker(big_endian_);
        for (const Number number : numbers) maker.add(number);
        return maker.get();
    }

    Bytes text(const std::string& name, const std::string& text) const {
        return array(name, kChar, {1, int32_t(text.size())}, kUtf8, Bytes(text.begin(), text.end()));
    }

    Bytes packed(const Bytes& matrix) const {
        uLongf size = compressBound(matrix.size());
        Bytes data(size);
        REQUIRE(compress2(data.data(), &size, matrix.data(), matrix.size(), 9) == Z_OK);
        data.resize(size);
        return packed_element(data);
    }
    Bytes packed_element(const Bytes& data) const {
        return BytesMaker(big_endian_).add(kCompressed).add(uint32_t(data.size())).bytes(data).get();
    }

    Bytes file(const std::vector<Bytes>& elements) const {
        BytesMaker maker(big_endian_);
        maker.text("MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Fri Nov 20 09:21:30 2026", 116).pad_to(124);
        maker.add(uint16_t{0x0100}).add(uint16_t{0x4D49});
        return maker.bytes(joined(elements)).get();
    }

    static Bytes joined(const std::vector<Bytes>& parts) {
        Bytes all;
        for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
        return all;
    }

    /// Pixels with the first of `axes` densest (letters n, h, w, c; c in the order red, green, blue).
    template <typename Number>
    Bytes pixels(const std::vector<cv::Mat>& images, const std::string& axes) const {
        const ImageType type = ImageType::of(images.front());
        std::map<char, int> sizes = {
            {'n', int(images.size())}, {'h', type.height}, {'w', type.width}, {'c', type.channels}};
        BytesMaker maker(big_endian_);
        std::map<char, int> at;
        const std::function<void(size_t)> add = [&](size_t axis) {
            if (axis-- > 0) {
                for (int i = 0; i < sizes[axes[axis]]; ++i) {
                    at[axes[axis]] = i;
                    add(axis);
                }
                return;
            }
            const int channel = type.channels == 3 ? 2 - at['c'] : at['c'];
            maker.add(images[size_t(at['n'])].ptr<Number>(at['h'], at['w'])[channel]);
        };
        add(axes.size());
        return maker.get();
    }

private:
    bool big_endian_;
};

std::vector<double> doubles_from(double first) {
    std::vector<double> values;
    for (int i = 0; i < kFrames; ++i) values.push_back(first + 2 * i);
    return values;
}

std::unique_ptr<FrameSource> open_bytes(const TemporaryFolder& folder, const Bytes& bytes,
                                        const CodecOptions& options = {}) {
    std::filesystem::remove(folder / "a.mat");
    write_foreign_files(folder.path(), {{"a.mat", bytes}});
    return open_file_source(folder / "a.mat", {.format = options});
}

std::vector<cv::Mat> converted(std::vector<cv::Mat> images, int depth, double factor = 1) {
    for (cv::Mat& image : images) {
        const cv::Mat source = image;
        cv::Mat target;
        source.convertTo(target, depth, factor);
        image = target;
    }
    return images;
}

}  // namespace

TEST_CASE("mat file: stacks of either byte order, compressed or not, with numbers and times") {
    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, 1, CV_16U});
    ExpectedFrames expected{images, {7, 9, 11, 13, 15}, doubles_from(1700000000.5)};
    for (const bool big_endian : {false, true}) {
        for (const bool compressed : {false, true}) {
            CAPTURE(big_endian);
            CAPTURE(compressed);
            const MatMaker mat(big_endian);
            const auto variable = [&](const Bytes& bytes) { return compressed ? mat.packed(bytes) : bytes; };
            // MATLAB keeps doubles that are small whole numbers as bytes.
            const Bytes file =
                mat.file({variable(mat.array("frame_number", kDoubleClass, {kFrames, 1}, kUint8, {7, 9, 11, 13, 15})),
                          variable(mat.text("comment", "two words")),
                          variable(mat.array("video", kUint16Class, {kHeight, kWidth, kFrames}, kUint16,
                                             mat.pixels<uint16_t>(images, "hwn"))),
                          variable(mat.array("frame_time", kDoubleClass, {1, kFrames}, kDouble,
                                             mat.values(doubles_from(1700000000.5)))),
                          variable(mat.array("gain", kDoubleClass, {1, 1}, kUint8, {3}))});
            check_foreign_files({{"a.mat", file}}, "a.mat", expected);
            const TemporaryFolder folder;
            const auto source = open_bytes(folder, file);
            CHECK(source->warnings().empty());
            CHECK(source->info().format == "MATLAB");
            CHECK(source->info().times_are_absolute);
            const Json& metadata = source->user_metadata();
            CHECK(metadata["field"] == "video");
            CHECK(metadata["variables"]["comment"] == "two words");
            CHECK(metadata["variables"]["gain"] == 3);
            CHECK(metadata["description"].get<std::string>().find("Fri Nov 20") != std::string::npos);
            CHECK_FALSE(metadata["variables"].contains("video"));
        }
    }
}

TEST_CASE("mat file: values narrower than their class come as the class") {
    const TemporaryFolder folder;
    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, 1, CV_8U});
    for (const bool big_endian : {false, true}) {
        const MatMaker mat(big_endian);
        const Bytes bytes = mat.pixels<uint8_t>(images, "hwn");
        const std::vector<int32_t> shape = {kHeight, kWidth, kFrames};
        check_foreign_source(
            *open_bytes(folder, mat.file({mat.array("v", kDoubleClass, shape, kUint8, bytes)}), {{"layout", "hwn"}}),
            {converted(images, CV_64F)});
        check_foreign_source(
            *open_bytes(folder, mat.file({mat.array("v", kInt16Class, shape, kUint8, bytes)}), {{"layout", "hwn"}}),
            {converted(images, CV_16S)});
        std::vector<uint32_t> wide(bytes.begin(), bytes.end());
        check_foreign_source(
            *open_bytes(folder, mat.file({mat.array("v", kDoubleClass, shape, kUint32, mat.values(wide))}),
                        {{"layout", "hwn"}}),
            {converted(images, CV_64F)});
        // Logical arrays are bytes of which every one but 0 is true.
        std::vector<cv::Mat> bits = images;
        for (cv::Mat& image : bits) image = (image > 0) / 255;
        check_foreign_source(*open_bytes(folder, mat.file({mat.array("v", kUint8Class | 0x200, shape, kUint8, bytes)}),
                                         {{"layout", "hwn"}}),
                             {bits});
        // Old programs keep them as doubles.
        const std::vector<double> doubles(bytes.begin(), bytes.end());
        check_foreign_source(
            *open_bytes(folder, mat.file({mat.array("v", kDoubleClass | 0x200, shape, kDouble, mat.values(doubles))}),
                        {{"layout", "hwn"}}),
            {bits});
    }
    // Four bytes and fewer stand in the tag.
    const MatMaker mat;
    const auto tiny = open_bytes(folder, mat.file({mat.array("v", kUint8Class, {2, 2}, kUint8, {1, 2, 3, 4})}));
    CHECK(equal_pixels(tiny->next()->image, (cv::Mat_<uint8_t>(2, 2) << 1, 3, 2, 4)));
}

TEST_CASE("mat file: which axis is time") {
    const TemporaryFolder folder;
    const MatMaker mat;
    const auto shape_of = [&](const std::vector<int32_t>& shape, const std::vector<Bytes>& others = {},
                              const CodecOptions& options = {}) {
        size_t bytes = 1;
        for (const int32_t size : shape) bytes *= size_t(size);
        std::vector<Bytes> elements = others;
        elements.push_back(mat.array("v", kUint8Class, shape, kUint8, Bytes(bytes)));
        const auto source = open_bytes(folder, mat.file(elements), options);
        return std::pair{*source->info().frame_count, source->info().image_type};
    };
    const auto gray = [](int64_t frames, int height, int width) {
        return std::pair{frames, ImageType{height, width, 1, CV_8U}};
    };
    const auto color = [](int64_t frames, int height, int width) {
        return std::pair{frames, ImageType{height, width, 3, CV_8U}};
    };
    CHECK(shape_of({20, 30}) == gray(1, 20, 30));
    CHECK(shape_of({20, 30, 40}) == gray(40, 20, 30));
    CHECK(shape_of({20, 30, 30}) == gray(20, 30, 30));
    CHECK(shape_of({40, 20, 30}) == gray(40, 20, 30));
    CHECK(shape_of({20, 30, 3}) == color(1, 20, 30));
    CHECK(shape_of({20, 30, 3, 2}) == color(2, 20, 30));
    CHECK(shape_of({2, 20, 30, 3}) == color(2, 20, 30));
    CHECK(shape_of({40, 20, 30}, {}, {{"layout", "hwn"}}) == gray(30, 40, 20));
    CHECK(shape_of({2, 20, 30}, {}, {{"layout", "hnw"}}) == gray(20, 2, 30));
    const Bytes numbers = mat.array("frame_number", kDoubleClass, {5, 1}, kUint8, {1, 2, 3, 4, 5});
    CHECK(shape_of({20, 30, 5}, {numbers}) == gray(5, 20, 30));
    CHECK(shape_of({5, 20, 30}, {numbers}) == gray(5, 20, 30));
    CHECK(shape_of({5, 20, 30, 2}, {}, {{"layout", "nhwc"}}).first == 5);
    CHECK(error_of([&] { shape_of({5, 20, 30, 2}); }) == ErrorCode::unsupported);
}

TEST_CASE("mat file: frames that come first and colour are taken apart rightly") {
    const TemporaryFolder folder;
    for (const bool big_endian : {false, true}) {
        const MatMaker mat(big_endian);
        const std::vector<cv::Mat> gray = images_of({16, 40, 1, CV_16U}, 70);
        check_foreign_source(*open_bytes(folder, mat.file({mat.array("v", kUint16Class, {70, 16, 40}, kUint16,
                                                                     mat.pixels<uint16_t>(gray, "nhw"))})),
                             {gray});
        const std::vector<cv::Mat> color = images_of({kHeight, kWidth, 3, CV_8U});
        check_foreign_source(*open_bytes(folder, mat.file({mat.array("v", kUint8Class, {kHeight, kWidth, 3, kFrames},
                                                                     kUint8, mat.pixels<uint8_t>(color, "hwcn"))})),
                             {color});
        check_foreign_source(*open_bytes(folder, mat.file({mat.array("v", kUint8Class, {kFrames, kHeight, kWidth, 3},
                                                                     kUint8, mat.pixels<uint8_t>(color, "nhwc"))})),
                             {color});
    }
}

TEST_CASE("mat file: cmosData beside bgimage is minus the signal") {
    const TemporaryFolder folder;
    const MatMaker mat;
    cv::Mat image = make_numbered_image({16, 20, 1, CV_16S}, 77);
    image.at<int16_t>(15, 3) = -32768;
    image.at<int16_t>(15, 4) = 0;
    const std::vector<cv::Mat> images(4, image);
    const Bytes signal = mat.array("cmosData", kInt16Class, {16, 20, 4}, kInt16, mat.pixels<int16_t>(images, "hwn"));
    const Bytes background = mat.array("bgimage", kUint8Class, {40, 80}, kUint8, Bytes(3200));
    const auto source = open_bytes(folder, mat.file({background, signal}));
    check_foreign_source(*source, {converted(images, CV_32F, -1)});
    CHECK(source->random_access()->at_index(0).image.at<float>(15, 3) == 32768);
    CHECK_FALSE(std::signbit(source->random_access()->at_index(0).image.at<float>(15, 4)));
    CHECK(source->user_metadata()["negated"] == true);
    // Asked for by name, it is what the file holds; alone, it is an array like others.
    check_foreign_source(*open_bytes(folder, mat.file({background, signal}), {{"field", "cmosData"}}), {images});
    check_foreign_source(*open_bytes(folder, mat.file({signal})), {images});
}

TEST_CASE("mat file: of several arrays the largest, or the one asked for") {
    const TemporaryFolder folder;
    const MatMaker mat;
    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, 1, CV_8U});
    const Bytes video =
        mat.array("video", kUint8Class, {kHeight, kWidth, kFrames}, kUint8, mat.pixels<uint8_t>(images, "hwn"));
    const Bytes background = mat.array("background", kUint8Class, {10, 20}, kUint8, Bytes(200, 5));
    const Bytes flags = mat.array("z", kUint8Class | 0x800, {100, 100}, kUint8, Bytes(10000));
    const Bytes file = mat.file({background, video, flags});
    const auto source = open_bytes(folder, file, {{"layout", "hwn"}});
    CHECK(source->user_metadata()["field"] == "video");
    CHECK(source->user_metadata()["other_arrays"] == Json{"background (uint8, 10x20)"});
    CHECK(open_bytes(folder, file, {{"field", "background"}})->info().image_type == ImageType{10, 20, 1, CV_8U});
    const auto refused = [&](const std::string& name, const std::string& words) {
        std::string message;
        CHECK(error_of([&] { open_bytes(folder, file, {{"field", name}}); }, &message));
        CHECK_MESSAGE(message.find(words) != std::string::npos, message);
    };
    refused("z", "is complex");
    refused("other", "has no variable \"other\"");
    const auto alone = [&](const Bytes& element, const std::string& words) {
        std::string message;
        CHECK(error_of([&] { open_bytes(folder, mat.file({element})); }, &message) == ErrorCode::unsupported);
        CHECK_MESSAGE(message.find(words) != std::string::npos, message);
    };
    alone(mat.array("counts", kUint32Class, {4, 4, 4}, kUint32, Bytes(256)), "counts (uint32, 4x4x4)");
    alone(mat.array("s", kSparse, {4, 4}, kInt32, Bytes(16)), "sparse");
    alone(mat.array("text", kChar, {4, 4}, kUtf8, Bytes(16, 'a')), "char");
    alone(mat.array("nothing", kUint8Class, {0, 4}, kUint8, {}), "is empty");
    alone(mat.array("row", kUint8Class, {1, 9}, kUint8, Bytes(9)), "no image");
}

TEST_CASE("mat file: structs, cells and texts become metadata") {
    const TemporaryFolder folder;
    const MatMaker mat;
    const auto nested = [&](uint32_t flags, const std::vector<int32_t>& shape, uint32_t type, const Bytes& data) {
        return mat.array("", flags, shape, type, data);
    };
    const Bytes names = BytesMaker().text("rate", 8).text("lens", 8).text("big", 8).get();
    const Bytes camera = mat.matrix(
        MatMaker::joined({mat.head("camera", kStruct, {1, 1}), mat.element(kInt32, mat.values<int32_t>({8})),
                          mat.element(kInt8, names), nested(kDoubleClass, {1, 1}, kDouble, mat.values<double>({12.5})),
                          nested(kChar, {1, 2}, kUint16, mat.values<uint16_t>({0x00B5, 'm'})),
                          nested(kDoubleClass, {2, 2}, kUint8, Bytes(4))}));
    const Bytes list = mat.matrix(MatMaker::joined({mat.head("list", 1, {1, 2}), nested(kChar, {1, 1}, kUtf8, {'a'}),
                                                    nested(kUint8Class | 0x200, {1, 1}, kUint8, {1})}));
    const Bytes image = mat.array("i", kUint8Class, {2, 3}, kUint8, Bytes(6));
    const Json values = open_bytes(folder, mat.file({camera, list, image}))->user_metadata()["variables"];
    CHECK(values == Json{{"camera", {{"rate", 12.5}, {"lens", "\u00B5m"}}}, {"list", {"a", true}}});
}

TEST_CASE("mat file: version 4 and other files are refused") {
    const TemporaryFolder folder;
    std::string message;
    const Bytes old = BytesMaker().add(uint32_t{0}).add(2).add(2).add(0).add(2).text("a", 2).pad_to(60).get();
    CHECK(error_of([&] { open_bytes(folder, old); }, &message) == ErrorCode::unsupported);
    CHECK(message.find("version 4") != std::string::npos);
    CHECK(error_of([&] { open_bytes(folder, Bytes(400, 'x')); }) == ErrorCode::unsupported);
    CHECK(error_of([&] { open_bytes(folder, MatMaker().file({})); }) == ErrorCode::unsupported);
}

TEST_CASE("mat file: what is cut off keeps its whole frames") {
    const TemporaryFolder folder;
    const MatMaker mat;
    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, 1, CV_8U});
    const Bytes video =
        mat.array("v", kUint8Class, {kHeight, kWidth, kFrames}, kUint8, mat.pixels<uint8_t>(images, "hwn"));
    for (const bool compressed : {false, true}) {
        Bytes file = mat.file({compressed ? mat.packed(video) : video});
        file.resize(file.size() - 20);
        CAPTURE(compressed);
        const auto source = open_bytes(folder, file, {{"layout", "hwn"}});
        CHECK(*source->info().frame_count < kFrames);
        CHECK(*source->info().frame_count > 0);
        CHECK_FALSE(source->warnings().empty());
        const int64_t last = *source->info().frame_count - 1;
        CHECK(equal_pixels(source->random_access()->at_index(last).image, images[size_t(last)]));
    }
}

TEST_CASE("mat file: what announces more than it holds costs no memory") {
    const TemporaryFolder folder;
    const MatMaker mat;
    // 1.6 GB in a few hundred compressed bytes: impossible.
    BytesMaker lie;
    lie.bytes(mat.head("v", kUint8Class, {1000, 1000, 1600})).add(kUint8).add(uint32_t{1600000000}).pad_to(400);
    const Bytes matrix = BytesMaker().add(kMatrix).add(uint32_t{1600000080}).bytes(lie.get()).get();
    CHECK(error_of([&] { open_bytes(folder, mat.file({mat.packed(matrix)})); }) == ErrorCode::corrupt);
    // More than the sizes of the variable ask for is never unpacked.
    const std::vector<cv::Mat> images = images_of({kHeight, kWidth, 1, CV_8U});
    BytesMaker bomb;
    bomb.bytes(mat.head("v", kUint8Class, {kHeight, kWidth, kFrames})).add(kUint8).add(uint32_t{20 << 20});
    bomb.bytes(mat.pixels<uint8_t>(images, "hwn")).pad_to(20 << 20);
    const auto source = open_bytes(
        folder, mat.file({mat.packed(BytesMaker().add(kMatrix).add(uint32_t{20 << 20}).bytes(bomb.get()).get())}),
        {{"layout", "hwn"}});
    check_foreign_source(*source, {images});
}

TEST_CASE("mat file: cut off and absurd bytes") {
    const MatMaker mat;
    const std::vector<cv::Mat> images = images_of({2, 16, 1, CV_8U}, 3);
    const Bytes video = mat.array("v", kUint8Class, {2, 16, 3}, kUint8, mat.pixels<uint8_t>(images, "hwn"));
    const Bytes names = BytesMaker().text("rate", 8).get();
    const Bytes camera = mat.matrix(MatMaker::joined(
        {mat.head("camera", kStruct, {1, 1}), mat.element(kInt32, mat.values<int32_t>({8})), mat.element(kInt8, names),
         mat.array("", kDoubleClass, {1, 1}, kDouble, mat.values<double>({12.5}))}));
    for (const Bytes& file : {mat.file({camera, video}), mat.file({mat.packed(camera), mat.packed(video)})}) {
        check_truncated({{"a.mat", file}}, "a.mat", "a.mat", file.size(), 16, 5);
        check_absurd_headers({{"a.mat", file}}, "a.mat", "a.mat", file.size(), 4);
    }
}

TEST_CASE("mat sink: every type comes back from versions 5 and 7.3") {
    for (const char* version : {"5", "7.3"}) {
        for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F}) {
            for (const int channels : {1, 2, 3, 4}) {
                CAPTURE(version);
                const ImageType type{20, 37, channels, depth};
                CAPTURE(type.text());
                const TemporaryFolder folder(memory_folder());
                const auto sink = create_file_sink(folder / "a.mat", {.codec = {{"version", version}}});
                ExpectedFrames expected{images_of(type, 3), {5, 9, 6}, {10.5, 11.25, 12}};
                for (size_t i = 0; i < 3; ++i) {
                    sink->write({.image = expected.images[i],
                                 .number = expected.numbers[i],
                                 .time = expected.times[i],
                                 .owner = {}});
                }
                CHECK(error_of([&] { sink->write({.image = cv::Mat(2, 2, CV_8U), .owner = {}}); }) ==
                      ErrorCode::wrong_type);
                sink->close();
                check_foreign_source(*open_file_source(folder / "a.mat"), expected);
                CHECK(error_of([&] { create_file_sink(folder / "a.mat"); }) == ErrorCode::already_exists);
            }
        }
    }
}

TEST_CASE("mat sink: part of an image, no times, no frames") {
    for (const char* version : {"5", "7.3"}) {
        const TemporaryFolder folder;
        const SinkOptions options{.codec = {{"version", version}, {"field", "roi"}}};
        const cv::Mat wide = make_numbered_image({48, 100, 1, CV_16U}, 5);
        const cv::Mat part = wide(cv::Rect(10, 0, 64, 48));
        create_file_sink(folder / "a.mat", options)->write({.image = part, .owner = {}});
        const auto source = open_file_source(folder / "a.mat");
        CHECK(source->user_metadata()["field"] == "roi");
        CHECK_FALSE(source->info().has_times);
        CHECK(equal_pixels(source->next()->image, part));
        create_file_sink(folder / "b.mat", options)->close();
        CHECK(file_system().status(folder / "b.mat").kind == FileKind::missing);
    }
}

TEST_CASE("mat sink: a variable is added to a file, which stays as it was until then") {
    const TemporaryFolder folder;
    const ImageType type{20, 30, 1, CV_8U};
    const std::vector<cv::Mat> images = images_of(type);
    const auto write = [&](const CodecOptions& options, int64_t first_number) {
        auto sink = create_file_sink(folder / "a.mat", {.codec = options});
        for (size_t i = 0; i < images.size(); ++i)
            sink->write({.image = images[i] + int(first_number), .number = first_number + int64_t(i), .owner = {}});
        return sink;
    };
    write({}, 0)->close();
    const Bytes before = read_file(folder / "a.mat", 1 << 20);
    write({{"append", "yes"}, {"field", "unfinished"}}, 100);
    CHECK(read_file(folder / "a.mat", 1 << 20) == before);
    const auto sink = write({{"append", "yes"}, {"field", "second"}}, 100);
    CHECK(read_file(folder / "a.mat", 1 << 20) == before);
    sink->close();
    const Bytes after = read_file(folder / "a.mat", 1 << 20);
    CHECK(Bytes(after.begin(), after.begin() + std::ptrdiff_t(before.size())) == before);
    CHECK(file_system().list(folder.path()) == std::vector<std::string>{"a.mat"});
    for (const auto& [field, first] : std::map<std::string, int>{{"video", 0}, {"second", 100}}) {
        CAPTURE(field);
        ExpectedFrames expected;
        for (int i = 0; i < kFrames; ++i) {
            expected.images.push_back(images[size_t(i)] + first);
            expected.numbers.push_back(first + i);
        }
        check_foreign_source(*open_file_source(folder / "a.mat", {.format = {{"field", field}}}), expected);
    }
    CHECK(error_of([&] { write({{"append", "yes"}}, 0); }) == ErrorCode::already_exists);
    CHECK(error_of([&] { write({{"append", "yes"}, {"field", "second"}}, 0); }) == ErrorCode::already_exists);
    const auto refused = [&](const char* name, const CodecOptions& options) {
        return error_of([&] { create_file_sink(folder / name, {.codec = options}); });
    };
    CHECK(refused("none.mat", {{"append", "yes"}}) == ErrorCode::not_found);
    CHECK(refused("b.mat", {{"field", "1st"}}) == ErrorCode::invalid_argument);
    CHECK(refused("b.mat", {{"field", "frame_time"}}) == ErrorCode::invalid_argument);
    CHECK(refused("b.mat", {{"version", "6"}}) == ErrorCode::invalid_argument);
    CHECK(refused("b.mat", {{"colour", "6"}}) == ErrorCode::invalid_argument);
    CHECK(refused("a.mat", {{"append", "yes"}, {"version", "7.3"}}) == ErrorCode::invalid_argument);
    write_foreign_files(folder.path(), {{"cut.mat", Bytes(after.begin(), after.end() - 30)}});
    CHECK(refused("cut.mat", {{"append", "yes"}, {"field", "third"}}) == ErrorCode::corrupt);
    const MatMaker big(true);
    write_foreign_files(folder.path(), {{"big.mat", big.file({})}});
    CHECK(refused("big.mat", {{"append", "yes"}}) == ErrorCode::unsupported);
}

TEST_CASE("mat sink: a file whose writer died holds all its frames") {
    const TemporaryFolder folder;
    const std::vector<cv::Mat> images = images_of({20, 30, 1, CV_8U});
    const auto sink = create_file_sink(folder / "a.mat");
    for (const cv::Mat& image : images) sink->write({.image = image, .owner = {}});
    const Bytes dead = read_file(folder / "a.mat", 1 << 20);
    sink->close();
    const auto source = open_bytes(folder, dead);
    check_foreign_source(*source, {images});
    CHECK_FALSE(source->warnings().empty());
}

TEST_CASE("mat sink: what version 5 cannot hold is refused with the way out") {
    const TemporaryFolder folder;
    std::string message;
    const auto sink = create_file_sink(folder / "a.mat", {.expected_frames = int64_t{1} << 22});
    CHECK(error_of([&] { sink->write({.image = cv::Mat::zeros(20, 30, CV_8U), .owner = {}}); }, &message) ==
          ErrorCode::unsupported);
    CHECK(message.find("version=7.3") != std::string::npos);
    sink->close();
    CHECK(file_system().status(folder / "a.mat").kind == FileKind::missing);
    const auto half = create_file_sink(folder / "a.mat");
    CHECK(error_of([&] { half->write({.image = cv::Mat::zeros(20, 30, CV_16F), .owner = {}}); }, &message) ==
          ErrorCode::wrong_type);
    CHECK(message.find("float16") != std::string::npos);
}

TEST_CASE("mat file: frames of version 7.3 that were announced but never written are left out") {
    const TemporaryFolder folder;
    const std::vector<cv::Mat> images = images_of({20, 30, 1, CV_16U});
    const auto sink = create_file_sink(folder / "a.mat", {.codec = {{"version", "7.3"}}});
    for (const cv::Mat& image : images) sink->write({.image = image, .owner = {}});
    sink->close();
    {
        const std::lock_guard lock(hdf5_mutex());
        const Hdf5Id file(H5Fopen((folder / "a.mat").c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
        const Hdf5Id video(H5Dopen2(file, "video", H5P_DEFAULT));
        const hsize_t size[] = {hsize_t{1} << 40, 30, 20};
        REQUIRE(H5Dset_extent(video, size) >= 0);
    }
    const auto source = open_file_source(folder / "a.mat", {.format = {{"layout", "hwn"}}});
    CHECK(source->info().frame_count == kFrames);
    CHECK(source->warnings().size() == 1);
    CHECK(equal_pixels(source->random_access()->at_index(4).image, images[4]));
}

TEST_CASE("mat file: version 7.3 cut off is refused, its frames are read by several threads' clones") {
    const TemporaryFolder folder;
    const std::vector<cv::Mat> images = images_of({20, 30, 1, CV_16U});
    const auto sink = create_file_sink(folder / "a.mat", {.codec = {{"version", "7.3"}}});
    for (const cv::Mat& image : images) sink->write({.image = image, .owner = {}});
    sink->close();
    const Bytes whole = read_file(folder / "a.mat", 1 << 20);
    check_foreign_files({{"a.mat", whole}}, "a.mat", {images, {0, 0, 0, 0, 0}});
    for (const size_t size :
         {size_t{500}, size_t{512}, size_t{530}, size_t{1000}, whole.size() / 2, whole.size() - 1}) {
        CAPTURE(size);
        CHECK(error_of([&] { open_bytes(folder, Bytes(whole.begin(), whole.begin() + std::ptrdiff_t(size))); }));
    }
    auto source = open_bytes(folder, whole);
    std::vector<std::unique_ptr<RandomAccess>> clones;
    for (int i = 0; i < 4; ++i) clones.push_back(source->random_access()->clone_access());
    source.reset();
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (const auto& clone : clones) {
        threads.emplace_back([&] {
            for (int i = 0; i < kFrames; ++i) right += equal_pixels(clone->at_index(i).image, images[size_t(i)]);
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(right == 4 * kFrames);
}

}  // namespace reelstore
