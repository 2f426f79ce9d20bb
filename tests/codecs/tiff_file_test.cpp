#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/numbered_frames.h"
#include "codecs/foreign/tiff_stack_writer.h"
#include "codecs/image_codec.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

namespace fs = std::filesystem;

constexpr uint16_t kShort = 3;
constexpr uint16_t kLong = 4;
constexpr uint16_t kAscii = 2;
constexpr uint16_t kLong8 = 16;

struct Tag {
    uint16_t tag;
    uint16_t type;
    std::vector<uint64_t> values;
    std::string text = {};
};

/// Builds a TIFF as the specification says: header, and for every page its data, then its directory.
class TiffMaker {
public:
    TiffMaker(bool big_endian, bool big) : bytes_(big_endian), big_endian_(big_endian), big_(big) {
        bytes_.text(big_endian ? "MM" : "II", 2).add(uint16_t(big ? 43 : 42));
        if (big) bytes_.add(uint16_t{8}).add(uint16_t{0});
        link_place_ = bytes_.size();
        add_offset(0);
    }

    size_t add_data(const BytesMaker& data) {
        bytes_.pad_to((bytes_.size() + 7) / 8 * 8);
        const size_t place = bytes_.size();
        bytes_.bytes(data.get());
        return place;
    }
    size_t add_image(const cv::Mat& image) { return add_data(BytesMaker(big_endian_).image(image)); }

    void add_page(const std::vector<Tag>& tags) {
        std::vector<size_t> places;
        for (const Tag& tag : tags) {
            BytesMaker values(big_endian_);
            for (const uint64_t value : tag.values) {
                if (tag.type == kShort) values.add(uint16_t(value));
                if (tag.type == kLong) values.add(uint32_t(value));
                if (tag.type == kLong8) values.add(value);
            }
            if (tag.type == kAscii) values.text(tag.text, tag.text.size() + 1);
            places.push_back(values.size() > offset_size() ? add_data(values) : 0);
            inline_.push_back(values);
        }
        bytes_.pad_to((bytes_.size() + 7) / 8 * 8);
        const size_t directory = bytes_.size();
        put_offset(link_place_, directory);
        big_ ? bytes_.add(uint64_t(tags.size())) : bytes_.add(uint16_t(tags.size()));
        for (size_t i = 0; i < tags.size(); ++i) {
            bytes_.add(tags[i].tag).add(tags[i].type);
            add_offset(tags[i].type == kAscii ? tags[i].text.size() + 1 : tags[i].values.size());
            const size_t begin = bytes_.size();
            if (places[i] != 0) {
                add_offset(places[i]);
            } else {
                bytes_.bytes(inline_[inline_.size() - tags.size() + i].get()).pad_to(begin + offset_size());
            }
        }
        link_place_ = bytes_.size();
        directories_.push_back(directory);
        add_offset(0);
    }

    /// A page of one strip.
    void add_gray_page(const cv::Mat& image, std::vector<Tag> more = {}) {
        const uint64_t bits = image.elemSize1() * 8;
        const bool is_float = image.depth() == CV_32F || image.depth() == CV_64F || image.depth() == CV_16F;
        const bool is_signed = image.depth() == CV_8S || image.depth() == CV_16S || image.depth() == CV_32S;
        const size_t place = add_image(image);
        std::vector<Tag> tags = {{256, kShort, {uint64_t(image.cols)}},
                                 {257, kLong, {uint64_t(image.rows)}},
                                 {258, kShort, {bits}},
                                 {259, kShort, {1}},
                                 {262, kShort, {1}},
                                 {273, kLong, {place}},
                                 {278, kLong, {uint64_t(image.rows)}},
                                 {279, kLong, {image.total() * image.elemSize()}},
                                 {339,
                                  kShort,
                                  {is_float    ? 3U
                                   : is_signed ? 2U
                                               : 1U}}};
        tags.insert(tags.end(), more.begin(), more.end());
        add_page(tags);
    }

    void put_offset(size_t place, uint64_t value) {
        big_ ? bytes_.put(place, value) : bytes_.put(place, uint32_t(value));
    }
    size_t link_place() const { return link_place_; }
    const std::vector<size_t>& directories() const { return directories_; }
    BytesMaker& bytes() { return bytes_; }
    const std::vector<uint8_t>& get() const { return bytes_.get(); }

private:
    size_t offset_size() const { return big_ ? 8 : 4; }
    void add_offset(uint64_t value) { big_ ? bytes_.add(value) : bytes_.add(uint32_t(value)); }

    BytesMaker bytes_;
    bool big_endian_;
    bool big_;
    size_t link_place_ = 0;
    std::vector<size_t> directories_;
    std::vector<BytesMaker> inline_;
};

std::vector<cv::Mat> numbered(const ImageType& type, int count) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < count; ++i) images.push_back(make_numbered_image(type, 3 + i * 1000));
    return images;
}

Frame frame_of(const cv::Mat& image) {
    Frame frame;
    frame.image = image;
    return frame;
}

template <typename Element>
cv::Mat row_of(const std::vector<Element>& elements) {
    return cv::Mat(elements, true).reshape(1, 1);
}

TiffMaker stack_of(const std::vector<cv::Mat>& images, bool big_endian = false, bool big = false) {
    TiffMaker maker(big_endian, big);
    for (const cv::Mat& image : images) maker.add_gray_page(image);
    return maker;
}

std::unique_ptr<FrameSource> write_and_open(const TemporaryFolder& folder, const TiffMaker& maker,
                                            const SourceOptions& options = {}) {
    const std::string name = "a" + std::to_string(file_system().list(folder.path()).size()) + ".tif";
    write_new_file(folder / name, maker.get().data(), maker.get().size());
    return open_file_source(folder / name, options);
}

/// Writes frames to a sink and reads them back.
void check_round_trip(const std::vector<cv::Mat>& images, const SinkOptions& options) {
    const TemporaryFolder folder;
    const auto sink = create_file_sink(folder / "a.tif", options);
    for (const cv::Mat& image : images) sink->write(frame_of(image));
    sink->close();
    check_foreign_source(*open_file_source(folder / "a.tif"), {.images = images});
}

}  // namespace

TEST_CASE("tiff file: pages in both orders of bytes, classic and BigTIFF, every element type") {
    for (const bool big_endian : {false, true}) {
        for (const bool big : {false, true}) {
            for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
                CAPTURE(big_endian);
                CAPTURE(big);
                CAPTURE(depth);
                const auto images = numbered({9, 20, 1, depth}, 5);
                check_foreign_files({{"a.tif", stack_of(images, big_endian, big).get()}}, "a.tif", {.images = images});
            }
        }
    }
}

TEST_CASE("tiff file: plain pixels are views of the mapped file") {
    const TemporaryFolder folder;
    const auto source = write_and_open(folder, stack_of(numbered({9, 20, 1, CV_16U}, 3)));
    const Frame first = source->random_access()->at_index(0);
    const Frame again = source->random_access()->at_index(0);
    CHECK(first.image.data == again.image.data);
    CHECK(first.owner != nullptr);
}

TEST_CASE("tiff file: thumbnails are left out, pages of another kind are errors of their own") {
    const TemporaryFolder folder;
    const auto images = numbered({9, 20, 1, CV_8U}, 3);
    TiffMaker maker(false, false);
    maker.add_gray_page(make_numbered_image({4, 16, 1, CV_8U}, 9), {{254, kLong, {1}}});
    maker.add_gray_page(images[0]);
    maker.add_gray_page(make_numbered_image({4, 16, 1, CV_8U}, 9), {{255, kShort, {2}}});
    maker.add_gray_page(images[1]);
    check_foreign_source(*write_and_open(folder, maker), {.images = {images[0], images[1]}});

    maker.add_gray_page(make_numbered_image({10, 20, 1, CV_8U}, 9));
    maker.add_gray_page(make_numbered_image({9, 20, 1, CV_16U}, 9));
    maker.add_gray_page(images[2]);
    const auto source = write_and_open(folder, maker);
    CHECK(source->info().frame_count == 5);
    for (const int64_t index : {2, 3}) {
        const Error error = expected_error([&] { source->random_access()->at_index(index); });
        CHECK(error.code() == ErrorCode::wrong_type);
        CHECK(error.place().frame_index == index);
        CHECK(error.message().find("9x20 uint8 gray") != std::string::npos);
    }
    CHECK(equal_pixels(source->random_access()->at_index(4).image, images[2]));
}

TEST_CASE("tiff file: the preview of a camera's raw file is not taken for its image") {
    const TemporaryFolder folder;
    const cv::Mat preview = make_numbered_image({4, 16, 1, CV_8U}, 9);
    const Tag elsewhere{330, kLong, {8}};
    TiffMaker raw(false, false);
    raw.add_gray_page(preview, {{254, kLong, {1}}, elsewhere});
    const Error error = expected_error([&] { write_and_open(folder, raw); });
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(error.message().find("convert it") != std::string::npos);
    // Smaller forms of an image that is a page are nothing to mind, nor is a small form alone.
    TiffMaker pyramid(false, false);
    pyramid.add_gray_page(preview, {elsewhere});
    check_foreign_source(*write_and_open(folder, pyramid), {.images = {preview}});
    TiffMaker alone(false, false);
    alone.add_gray_page(preview, {{254, kLong, {1}}});
    check_foreign_source(*write_and_open(folder, alone), {.images = {preview}});
}

TEST_CASE("tiff file: RGB becomes BGR, planes are put together, strips of a row, few and many bits") {
    const TemporaryFolder folder;
    const ImageType type{7, 17, 3, CV_16U};
    const cv::Mat bgr = make_numbered_image(type, 77);
    std::vector<cv::Mat> planes(3);
    for (int i = 0; i < 3; ++i) cv::extractChannel(bgr, planes[static_cast<size_t>(2 - i)], i);
    for (const bool separate : {false, true}) {
        CAPTURE(separate);
        TiffMaker maker(true, false);
        std::vector<uint64_t> offsets;
        std::vector<uint64_t> sizes;
        if (separate) {
            for (const cv::Mat& plane : planes) {
                for (int row = 0; row < 7; ++row) offsets.push_back(maker.add_image(plane.row(row)));
            }
        } else {
            cv::Mat rgb;
            cv::merge(planes, rgb);
            for (int row = 0; row < 7; ++row) offsets.push_back(maker.add_image(rgb.row(row)));
        }
        sizes.assign(offsets.size(), separate ? 34 : 102);
        maker.add_page({{256, kShort, {17}},
                        {257, kShort, {7}},
                        {258, kShort, {16, 16, 16}},
                        {259, kShort, {1}},
                        {262, kShort, {2}},
                        {273, kLong, offsets},
                        {277, kShort, {3}},
                        {278, kShort, {1}},
                        {279, kLong, sizes},
                        {284, kShort, {separate ? 2U : 1U}}});
        check_foreign_source(*write_and_open(folder, maker), {.images = {bgr}});
    }

    // Twelve bits: 0x123 0x456 0x789.
    TiffMaker packed(false, false);
    const size_t place = packed.add_data(
        BytesMaker().add(uint8_t{0x12}).add(uint8_t{0x34}).add(uint8_t{0x56}).add(uint8_t{0x78}).add(uint8_t{0x90}));
    packed.add_page({{256, kShort, {3}},
                     {257, kShort, {1}},
                     {258, kShort, {12}},
                     {262, kShort, {1}},
                     {273, kLong, {place}},
                     {278, kShort, {1}},
                     {279, kLong, {5}}});
    const cv::Mat twelve = write_and_open(folder, packed)->next()->image;
    CHECK(equal_pixels(twelve, row_of<uint16_t>({0x123, 0x456, 0x789})));

    for (const uint64_t photometric : {0, 1}) {
        TiffMaker bits(false, false);
        const size_t bit_place = bits.add_data(BytesMaker().add(uint8_t{0xA0}));
        bits.add_page({{256, kShort, {3}},
                       {257, kShort, {1}},
                       {262, kShort, {photometric}},
                       {273, kLong, {bit_place}},
                       {278, kShort, {1}},
                       {279, kLong, {1}}});
        const uint8_t one = photometric == 1 ? 255 : 0;
        const auto zero = static_cast<uint8_t>(255 - one);
        CHECK(equal_pixels(write_and_open(folder, bits)->next()->image, row_of<uint8_t>({one, zero, one})));
    }
}

TEST_CASE("tiff file: values of uint32 that int32 does not hold are an error, white as 0 is left as it is") {
    const TemporaryFolder folder;
    TiffMaker maker(false, false);
    for (const uint32_t value : {7U, 3'000'000'000U}) {
        const size_t place = maker.add_data(BytesMaker().add(value).add(uint32_t{1}));
        maker.add_page({{256, kShort, {2}},
                        {257, kShort, {1}},
                        {258, kShort, {32}},
                        {262, kShort, {0}},
                        {273, kLong, {place}},
                        {278, kShort, {1}},
                        {279, kLong, {8}}});
    }
    const auto source = write_and_open(folder, maker);
    CHECK(equal_pixels(source->next()->image, row_of<int32_t>({7, 1})));
    const Error error = expected_error([&] { source->next(); });
    CHECK(error.message().find("3000000000") != std::string::npos);
}

TEST_CASE("tiff file: palettes as colours and as indices") {
    TiffMaker maker(false, false);
    const size_t place = maker.add_data(BytesMaker().add(uint8_t{1}).add(uint8_t{0}).add(uint8_t{2}));
    std::vector<uint64_t> colors(768, 0);
    colors[1] = 0x1234;
    colors[256 + 1] = 0x5678;
    colors[512 + 2] = 0xFFFF;
    maker.add_page({{256, kShort, {3}},
                    {257, kShort, {1}},
                    {258, kShort, {8}},
                    {262, kShort, {3}},
                    {273, kLong, {place}},
                    {278, kShort, {1}},
                    {279, kLong, {3}},
                    {320, kShort, colors}});
    const TemporaryFolder folder;
    cv::Mat_<cv::Vec3b> expected(1, 3);
    expected(0, 0) = {0, 0x56, 0x12};
    expected(0, 1) = {0, 0, 0};
    expected(0, 2) = {0xFF, 0, 0};
    CHECK(equal_pixels(write_and_open(folder, maker)->next()->image, expected));
    const auto raw = write_and_open(folder, maker, {.format = {{"palette", "index"}}});
    CHECK(equal_pixels(raw->next()->image, row_of<uint8_t>({1, 0, 2})));
    CHECK(error_of([&] {
              write_and_open(folder, maker, {.format = {{"palette", "x"}}});
          }) == ErrorCode::invalid_argument);
}

TEST_CASE("tiff file: stacks of ImageJ, MetaMorph and tifffile that have one page for all frames") {
    const auto images = numbered({9, 20, 1, CV_16U}, 6);
    for (const std::string& description :
         {std::string("ImageJ=1.53\nimages=6\nframes=6\nfinterval=0.02\nunit=um\n"),
          std::string(R"({"shape": [2, 3, 9, 20], "truncated": true})"), std::string("MetaMorph")}) {
        CAPTURE(description);
        TiffMaker maker(true, false);
        // The pixels of all frames follow each other; the directory stands before them in such files, here behind.
        BytesMaker all(true);
        for (const cv::Mat& image : images) all.image(image);
        const size_t place = maker.add_data(all);
        std::vector<Tag> tags = {{256, kShort, {20}},
                                 {257, kShort, {9}},
                                 {258, kShort, {16}},
                                 {262, kShort, {1}},
                                 {270, kAscii, {}, description},
                                 {273, kLong, {place}},
                                 {278, kShort, {9}},
                                 {279, kLong, {360}}};
        if (description == "MetaMorph") tags.push_back({33629, kLong, {0, 0, 0, 0, 0, 0}});
        TiffMaker whole = maker;
        whole.add_page(tags);
        const TemporaryFolder folder;
        const auto source = write_and_open(folder, whole);
        check_foreign_source(*source, {.images = images});
        const bool is_imagej = description[0] == 'I';
        CHECK(source->info().frame_rate.has_value() == is_imagej);
        if (is_imagej) {
            CHECK(*source->info().frame_rate == doctest::Approx(50));
            CHECK(source->user_metadata()["imagej"]["unit"] == "um");
        }
        CHECK(source->user_metadata()["description"].get<std::string>() + (is_imagej ? "\n" : "") == description);
    }
    // With a second page the pages count.
    TiffMaker pages(false, false);
    pages.add_gray_page(images[0], {{270, kAscii, {}, "ImageJ=1.53\nimages=6\n"}});
    pages.add_gray_page(images[1]);
    const TemporaryFolder folder;
    CHECK(write_and_open(folder, pages)->info().frame_count == 2);
}

TEST_CASE("tiff file: what Micro-Manager notes of a page becomes its time and extra data") {
    const auto images = numbered({9, 20, 1, CV_8U}, 3);
    TiffMaker maker(false, false);
    for (size_t i = 0; i < 3; ++i) {
        const std::string text = R"({"ElapsedTime-ms": )" + std::to_string(i * 20 + i * i) + R"(, "Camera": "c"})";
        maker.add_gray_page(images[i], {{51123, kAscii, {}, text}});
    }
    const TemporaryFolder folder;
    const auto source = write_and_open(folder, maker);
    CHECK(source->info().has_times);
    check_foreign_source(*source, {.images = images, .times = {0, 0.021, 0.044}});
    CHECK(source->random_access()->extra_data_of(1)[0]["micro_manager"]["ElapsedTime-ms"] == 21);
}

TEST_CASE("tiff file: a chain that breaks, runs in a circle or within itself ends there with a warning") {
    const auto images = numbered({9, 20, 1, CV_8U}, 4);
    const TemporaryFolder folder;
    for (const uint64_t next : {uint64_t{8}, uint64_t{0xFFFFFF00}, uint64_t{1}, uint64_t{0}}) {
        CAPTURE(next);
        TiffMaker maker = stack_of(images);
        const uint64_t target = next == 1 ? maker.directories()[1] : next;
        maker.put_offset(maker.link_place(), target);
        const auto source = write_and_open(folder, maker);
        CHECK(source->warnings().size() == (next == 0 ? 0 : 1));
        check_foreign_source(*source, {.images = images});
    }
}

TEST_CASE("tiff file: cut off, empty and absurd files") {
    const auto images = numbered({4, 16, 1, CV_8U}, 3);
    const TiffMaker maker = stack_of(images);
    const ForeignFiles files = {{"a.tif", maker.get()}};
    check_truncated(files, "a.tif", "a.tif", maker.get().size(), 3, 3);
    check_absurd_headers(files, "a.tif", "a.tif", maker.get().size(), 9);

    // The directories stand before the pixels: those that are there are read.
    const TemporaryFolder folder;
    const auto sink = create_file_sink(folder / "a.tif", {.expected_frames = 3});
    for (const cv::Mat& image : images) sink->write(frame_of(image));
    sink->close();
    fs::resize_file(folder / "a.tif", fs::file_size(folder / "a.tif") - 1);
    const auto source = open_file_source(folder / "a.tif");
    CHECK(source->info().frame_count == 2);
    CHECK(source->warnings().size() == 1);
    fs::resize_file(folder / "a.tif", fs::file_size(folder / "a.tif") - 3 * 64);
    CHECK(error_of([&] { open_file_source(folder / "a.tif"); }) == ErrorCode::corrupt);
}

TEST_CASE("tiff file: a small file that claims huge images costs no memory") {
    for (const uint16_t compression : {5, 8, 32773, 50000}) {
        TiffMaker maker(false, false);
        const size_t place = maker.add_data(BytesMaker().pad_to(64));
        maker.add_page({{256, kLong, {40000}},
                        {257, kLong, {40000}},
                        {258, kShort, {8}},
                        {259, kShort, {compression}},
                        {262, kShort, {1}},
                        {273, kLong, {place}},
                        {278, kLong, {40000}},
                        {279, kLong, {64}}});
        const TemporaryFolder folder;
        const auto source = write_and_open(folder, maker);
        CHECK(error_of([&] { source->next(); }) == ErrorCode::corrupt);
    }
    TiffMaker tiled(false, false);
    tiled.add_page({{256, kLong, {16}},
                    {257, kLong, {16}},
                    {258, kShort, {8}},
                    {259, kShort, {5}},
                    {262, kShort, {1}},
                    {322, kLong, {65536}},
                    {323, kLong, {65536}},
                    {324, kLong, {8}},
                    {325, kLong, {64}}});
    const TemporaryFolder folder;
    CHECK(error_of([&] { write_and_open(folder, tiled); }) == ErrorCode::corrupt);
}

TEST_CASE("tiff file: pages that share a long list of strips end where there are more strips than bytes") {
    TiffMaker maker(false, false);
    BytesMaker list;
    constexpr uint32_t kStrips = 20000;
    for (uint32_t i = 0; i < kStrips; ++i) list.add(uint32_t{8});
    const size_t place = maker.add_data(list);
    constexpr int kPages = 100;
    for (int page = 0; page < kPages; ++page) {
        maker.add_page({{256, kLong, {16}},
                        {257, kLong, {kStrips}},
                        {258, kShort, {8}},
                        {259, kShort, {5}},
                        {262, kShort, {1}},
                        {273, kLong, {place}},
                        {278, kLong, {1}},
                        {279, kLong, {place}}});
        // The counts of the two lists, which add_page() took for single values.
        const size_t directory = maker.directories().back();
        maker.bytes().put(directory + 2 + 5 * 12 + 4, kStrips);
        maker.bytes().put(directory + 2 + 7 * 12 + 4, kStrips);
    }
    const TemporaryFolder folder;
    const auto source = write_and_open(folder, maker);
    CHECK(source->info().frame_count < 5);
    REQUIRE(source->warnings().size() == 1);
    CHECK(source->warnings().front().find("more strips than the file has bytes") != std::string::npos);
}

TEST_CASE("tiff file: every compression and type comes back from the sink") {
    for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (const int channels : {1, 3, 4}) {
            const auto images = numbered({9, 20, channels, depth}, 4);
            for (const char* compression : {"none", "lzw", "deflate", "zstd"}) {
                for (const char* predictor : {"yes", "no"}) {
                    if (kSanitized && (depth != CV_16U || channels != 3)) continue;
                    CAPTURE(ImageType::of(images[0]).text());
                    CAPTURE(compression);
                    check_round_trip(images, {.codec = {{"compression", compression}, {"predictor", predictor}}});
                }
            }
        }
    }
}

TEST_CASE("tiff file: the sink's layouts hold the same frames") {
    const auto images = numbered({9, 20, 3, CV_8U}, 5);
    for (const char* big : {"auto", "yes", "no"}) {
        // Known, unknown, too few and too many expected.
        for (const std::optional<int64_t> expected : {std::optional<int64_t>(5), std::optional<int64_t>(),
                                                      std::optional<int64_t>(2), std::optional<int64_t>(9)}) {
            CAPTURE(big);
            check_round_trip(images, {.codec = {{"bigtiff", big}}, .expected_frames = expected});
        }
    }
    const TemporaryFolder folder;
    const auto write = [&](const std::string& name, const SinkOptions& options) {
        const auto sink = create_file_sink(folder / name, options);
        for (const cv::Mat& image : images) sink->write(frame_of(image));
        sink->close();
        return open_file_source(folder / name)->info().format;
    };
    CHECK(write("a.tif", {}) == "TIFF");
    CHECK(write("b.tif", {.expected_frames = 5}) == "TIFF");
    CHECK(write("c.tif", {.expected_frames = 7'900'000}) == "BigTIFF");
    CHECK(write("d.tif", {.codec = {{"bigtiff", "yes"}}}) == "BigTIFF");
}

TEST_CASE("tiff file: a classic file that outgrows its offsets becomes a BigTIFF with all its frames") {
    const auto images = numbered({9, 20, 1, CV_16U}, 9);
    for (const uint64_t limit : {400, 1500, 2200}) {
        for (const std::optional<int64_t> expected : {std::optional<int64_t>(), std::optional<int64_t>(3)}) {
            for (const TiffCompression compression : {TiffCompression::none, TiffCompression::lzw}) {
                CAPTURE(limit);
                const TemporaryFolder folder;
                TiffStackWriter writer(
                    folder / "a.tif", ImageType::of(images[0]),
                    {.compression = compression, .expected_frames = expected, .largest_classic = limit});
                for (const cv::Mat& image : images) writer.write(image);
                writer.close();
                CHECK(writer.big());
                const auto source = open_file_source(folder / "a.tif");
                CHECK(source->info().format == "BigTIFF");
                check_foreign_source(*source, {.images = images});
            }
        }
    }
    const TemporaryFolder folder;
    TiffStackWriter writer(folder / "a.tif", ImageType::of(images[0]), {.big = false, .largest_classic = 2000});
    writer.write(images[0]);
    writer.write(images[1]);
    CHECK(error_of([&] {
              for (const cv::Mat& image : images) writer.write(image);
          }) == ErrorCode::no_space);
    CHECK(equal_pixels(open_file_source(folder / "a.tif")->random_access()->at_index(1).image, images[1]));
}

TEST_CASE("tiff file: every frame is in the file as soon as it is written") {
    const auto images = numbered({9, 20, 1, CV_8U}, 4);
    for (const std::optional<int64_t> expected : {std::optional<int64_t>(), std::optional<int64_t>(9)}) {
        const TemporaryFolder folder;
        const auto sink = create_file_sink(folder / "a.tif", {.expected_frames = expected});
        for (size_t i = 0; i < images.size(); ++i) {
            sink->write(frame_of(images[i]));
            fs::copy_file(folder / "a.tif", folder / ("b" + std::to_string(i) + ".tif"));
            check_foreign_source(*open_file_source(folder / ("b" + std::to_string(i) + ".tif")),
                                 {.images = {images.begin(), images.begin() + static_cast<ptrdiff_t>(i) + 1}});
        }
    }
}

TEST_CASE("tiff file: what the sink refuses") {
    const TemporaryFolder folder;
    const auto refused = [&](const SinkOptions& options) {
        return error_of([&] { create_file_sink(folder / "x.tif", options); });
    };
    CHECK(refused({.codec = {{"compression", "jpeg"}}}) == ErrorCode::invalid_argument);
    CHECK(refused({.codec = {{"level", "3"}}}) == ErrorCode::invalid_argument);
    CHECK(refused({.codec = {{"bigtiff", "1"}}}) == ErrorCode::invalid_argument);
    const auto sink = create_file_sink(folder / "a.tif");
    CHECK(error_of([&] { sink->write(frame_of(cv::Mat(4, 4, CV_8UC2))); }) == ErrorCode::wrong_type);
    CHECK(file_system().status(folder / "a.tif").kind == FileKind::missing);
    sink->write(frame_of(cv::Mat::zeros(4, 4, CV_8U)));
    CHECK(error_of([&] { sink->write(frame_of(cv::Mat::zeros(4, 5, CV_8U))); }) == ErrorCode::wrong_type);
    sink->close();
    CHECK(error_of([&] { sink->write(frame_of(cv::Mat::zeros(4, 4, CV_8U))); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { create_file_sink(folder / "a.tif"); }) == ErrorCode::already_exists);
    create_file_sink(folder / "b.tif")->close();
    CHECK(file_system().status(folder / "b.tif").kind == FileKind::missing);
}

}  // namespace reelstore
