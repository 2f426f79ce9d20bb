#include "base/npy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/numbered_frames.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

using Bytes = std::vector<uint8_t>;

std::string text_of(const Bytes& bytes) {
    return {bytes.begin(), bytes.end()};
}

/// A file of version `version` with this header text and this data, not padded.
Bytes raw_npy(const std::string& header, const Bytes& data = {}, int version = 1) {
    std::string text = "\x93NUMPY";
    text += static_cast<char>(version);
    text += '\0';
    for (int i = 0; i < (version == 1 ? 2 : 4); ++i) text += static_cast<char>(header.size() >> (8 * i) & 0xff);
    text += header;
    Bytes bytes(text.begin(), text.end());
    bytes.insert(bytes.end(), data.begin(), data.end());
    return bytes;
}

std::string dictionary(const std::string& descr, const std::string& shape, const std::string& order = "False") {
    return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::optional<ErrorCode> header_error(const std::string& header) {
    return error_of([&] { parse_npy_header(raw_npy(header)); });
}

}  // namespace

TEST_CASE("npy: headers are byte for byte numpy's") {
    Bytes header = make_npy_header("|u1", {48, 64, 3});
    std::string dictionary_text = "{'descr': '|u1', 'fortran_order': False, 'shape': (48, 64, 3), }";
    CHECK(text_of(header) == std::string("\x93NUMPY\x01\x00\x76\x00", 10) + dictionary_text +
                                 std::string(117 - dictionary_text.size(), ' ') + "\n");
    CHECK(text_of(make_npy_header("<i8", {10})).find("'shape': (10,), }  ") != std::string::npos);
    CHECK(text_of(make_npy_header("<i8", {})).find("'shape': (), }  ") != std::string::npos);
    // The room numpy leaves for the first dimension to grow pushes this one to the next block.
    CHECK(make_npy_header("<f8", {1, 1000000000000, 100000, 1000000}).size() % 64 == 0);
}

TEST_CASE("npy: headers of all versions and spellings are read") {
    for (int version : {1, 2, 3}) {
        NpyHeader header = parse_npy_header(raw_npy(dictionary(">u2", "(3, 4)"), {}, version));
        CHECK(header.descr == ">u2");
        CHECK(header.shape == std::vector<int64_t>{3, 4});
        CHECK_FALSE(header.fortran_order);
        CHECK(header.big_endian());
        CHECK(header.kind() == 'u');
        CHECK(header.item_bytes() == 2);
        CHECK(header.data_bytes() == 24);
        CHECK(header.cv_depth() == CV_16U);
    }
    NpyHeader old = parse_npy_header(raw_npy("{\"shape\":(10L,20L),\"fortran_order\":True,\"descr\":\"<f4\"}  \n"));
    CHECK(old.shape == std::vector<int64_t>{10, 20});
    CHECK(old.fortran_order);
    CHECK(parse_npy_header(raw_npy(dictionary("<U7", "()"))).item_bytes() == 28);
    CHECK(parse_npy_header(raw_npy(dictionary("|O", "(5,)"))).data_bytes() == 0);
    CHECK(parse_npy_header(raw_npy(dictionary("<M8[ns]", "(5,)"))).item_bytes() == 8);
    CHECK(parse_npy_header(raw_npy(dictionary("<i8", "(0, 5)"))).element_count() == 0);
    CHECK_FALSE(parse_npy_header(raw_npy(dictionary("<i8", "(2, 5)"))).cv_depth());
}

TEST_CASE("npy: malformed and hostile headers are refused") {
    for (const char* shape :
         {"(-1, 5)", "(99999999999999999999,)", "(9223372036854775807, 2)", "(5)", "5", "[5]", "(5 6)", "(,)", "(5,,6)",
          "(5", "(1.5,)", "(True,)", "('5',)", "(0x10,)", "()()", "(0, 9223372036854775807, 9223372036854775807)"}) {
        CAPTURE(shape);
        CHECK(header_error(dictionary("<f8", shape)) == ErrorCode::corrupt);
    }
    for (const char* descr : {"", "<", "u1", "@i4", "<i4x", "<Q8", "<i4\\n", "<U9999999999", "<i4 "}) {
        CAPTURE(descr);
        CHECK(header_error(dictionary(descr, "(5,)")) == ErrorCode::corrupt);
    }
    for (const char* header : {"", "{", "{}", "()", "None", "{'descr': '<i4', 'fortran_order': False}",
                               "{'descr': '<i4', 'descr': '<i4', 'fortran_order': False, 'shape': (1,)}",
                               "{'descr': '<i4', 'fortran_order': 0, 'shape': (1,)}",
                               "{'descr': '<i4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
                               "{'descr': '<i4', 'fortran_order': False, 'shape': (1,)} + x",
                               "{'descr': '<i4' 'fortran_order': False, 'shape': (1,)}",
                               "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}"}) {
        CAPTURE(header);
        CHECK(header_error(header) == ErrorCode::corrupt);
    }
    CHECK(header_error("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,)}") == ErrorCode::unsupported);
    CHECK(header_error(dictionary("<i4", "(1,)") + std::string(1, '\0')) == ErrorCode::corrupt);
    CHECK(error_of([] { parse_npy_header(raw_npy(dictionary("<i4", "(1,)"), {}, 4)); }) == ErrorCode::corrupt);
    CHECK(error_of([] { parse_npy_header(raw_npy(dictionary("<i4", "(1,)") + std::string(70000, ' '), {}, 2)); }) ==
          ErrorCode::corrupt);
    CHECK(error_of([] { parse_npy_header(Bytes{}); }) == ErrorCode::corrupt);
    CHECK(header_error(dictionary("<i4", "(" + std::string(200, '1') + ",)")) == ErrorCode::corrupt);
}

TEST_CASE("npy: images of every type survive the round trip") {
    for (int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (int channels : {1, 3, 5}) {
            cv::Mat image = make_numbered_image({.height = 11, .width = 33, .channels = channels, .depth = depth}, 777);
            cv::Mat back = image_from_npy(npy_from_image(image));
            REQUIRE(ImageType::of(back) == ImageType::of(image));
            CHECK(std::equal(image.datastart, image.dataend, back.datastart));
        }
    }
    cv::Mat part = make_numbered_image({.height = 20, .width = 64}, 3)(cv::Rect(10, 5, 20, 7));
    CHECK(cv::norm(image_from_npy(npy_from_image(part)), part, cv::NORM_INF) == 0);
    CHECK(error_of([] { npy_from_image(cv::Mat()); }) == ErrorCode::invalid_argument);
}

TEST_CASE("npy: byte order, Fortran order and booleans are read right") {
    cv::Mat big = image_from_npy(raw_npy(dictionary(">u2", "(1, 2)"), {1, 2, 0, 5}));
    CHECK(big.at<uint16_t>(0, 0) == 258);
    CHECK(big.at<uint16_t>(0, 1) == 5);
    cv::Mat transposed = image_from_npy(raw_npy(dictionary("|u1", "(2, 3)", "True"), {1, 4, 2, 5, 3, 6}));
    CHECK(transposed.at<uint8_t>(0, 2) == 3);
    CHECK(transposed.at<uint8_t>(1, 0) == 4);
    // Element (row, column, channel) stands at row + 2 * column + 4 * channel.
    cv::Mat color = image_from_npy(raw_npy(dictionary(">i2", "(2, 2, 3)", "True"),
                                           {0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9, 0, 10, 0, 11}));
    CHECK(color.at<cv::Vec3s>(1, 0) == cv::Vec3s(1, 5, 9));
    CHECK(color.at<cv::Vec3s>(0, 1) == cv::Vec3s(2, 6, 10));
    cv::Mat boolean = image_from_npy(raw_npy(dictionary("|b1", "(1, 3)"), {0, 1, 255}));
    CHECK(boolean.type() == CV_8U);
    CHECK(boolean.at<uint8_t>(0, 2) == 1);
    CHECK(image_from_npy(raw_npy(dictionary("|u1", "(1, 2, 1)"), {1, 2})).type() == CV_8U);
}

TEST_CASE("npy: headers that come from elsewhere are checked too") {
    const auto error = [](const std::string& descr, const std::vector<int64_t>& shape) {
        return error_of([&] { check_npy_header({.descr = descr, .shape = shape}); });
    };
    CHECK_FALSE(error("<u2", {3, 4}));
    CHECK_FALSE(error("<u2", {0, 4}));
    CHECK(error("<u2", {-3, 4}) == ErrorCode::corrupt);
    CHECK(error("<u2", {int64_t(1) << 32, int64_t(1) << 31}) == ErrorCode::corrupt);
    CHECK(error("u2", {3, 4}) == ErrorCode::corrupt);

    const Bytes data{1, 0, 2, 0, 3, 0, 4, 0};
    const NpyHeader columns{.descr = "<u2", .fortran_order = true, .shape = {2, 2}};
    const cv::Mat image = image_from_array(columns, data);
    CHECK(image_type_of_array(columns) == ImageType{2, 2, 1, CV_16U});
    CHECK(image.at<uint16_t>(0, 1) == 3);
    CHECK(image.at<uint16_t>(1, 0) == 2);
    CHECK(error_of([&] { image_from_array({.descr = "<u2", .shape = {3, 2}}, data); }) == ErrorCode::corrupt);
}

TEST_CASE("npy: what no image can be is refused") {
    auto image_error = [](const std::string& descr, const std::string& shape) {
        return error_of([&] { image_from_npy(raw_npy(dictionary(descr, shape), Bytes(64))); });
    };
    for (const char* descr : {"<i8", "<u8", "<u4", "<c8", "|O", "<U1", "|S1", "<f16"}) {
        CAPTURE(descr);
        CHECK(image_error(descr, "(2, 2)") == ErrorCode::unsupported);
    }
    std::string message;
    error_of([] { image_from_npy(raw_npy(dictionary("<u4", "(2, 2)"), Bytes(64))); }, &message);
    CHECK(message.find("\"<u4\"") != std::string::npos);
    CHECK(message.find("float32") != std::string::npos);
    CHECK(image_error("|u1", "(4,)") == ErrorCode::unsupported);
    CHECK(image_error("|u1", "()") == ErrorCode::unsupported);
    CHECK(image_error("|u1", "(2, 2, 2, 2)") == ErrorCode::unsupported);
    CHECK(image_error("|u1", "(1, 1, 513)") == ErrorCode::unsupported);
    CHECK(image_error("|u1", "(0, 5)") == ErrorCode::corrupt);
    CHECK(image_error("|u1", "(2, 2, 0)") == ErrorCode::corrupt);
    CHECK(image_error("|u1", "(4294967297, 1)") == ErrorCode::corrupt);
    CHECK(image_error("|u1", "(60000, 60000)") == ErrorCode::corrupt);
    CHECK(image_error("|u1", "(9, 9)") == ErrorCode::corrupt);
}

TEST_CASE("npy: a file cut off anywhere is corrupt") {
    Bytes whole = npy_from_image(make_numbered_image({.height = 2, .width = 16}, 5));
    Bytes numbers = npy_from_int64(std::vector<int64_t>{1, 2, 3});
    for (size_t size = 0; size < whole.size(); ++size) {
        REQUIRE(error_of([&] { image_from_npy(Bytes(whole.begin(), whole.begin() + std::ptrdiff_t(size))); }) ==
                ErrorCode::corrupt);
    }
    for (size_t size = 0; size < numbers.size(); ++size) {
        REQUIRE(error_of([&] { int64_from_npy(Bytes(numbers.begin(), numbers.begin() + std::ptrdiff_t(size))); }) ==
                ErrorCode::corrupt);
    }
}

TEST_CASE("npy: no single changed byte crashes the reader") {
    Bytes whole = npy_from_image(make_numbered_image({.height = 2, .width = 16, .depth = CV_16U}, 5));
    for (size_t i = 0; i < 128; ++i) {
        for (int value = 0; value < 256; ++value) {
            Bytes changed = whole;
            changed[i] = static_cast<uint8_t>(value);
            error_of([&] { image_from_npy(changed); });
            error_of([&] { int64_from_npy(changed); });
        }
    }
}

TEST_CASE("npy: numbers of any width and byte order") {
    constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
    std::vector<int64_t> numbers{0, -1, kMin, kMax};
    CHECK(int64_from_npy(npy_from_int64(numbers)) == numbers);
    std::vector<double> times{0.1, -0.0, 1e300, 1577836800.0403};
    CHECK(double_from_npy(npy_from_double(times)) == times);
    CHECK(std::isnan(double_from_npy(npy_from_double(std::vector{std::nan("")})).at(0)));
    CHECK(int64_from_npy(npy_from_int64({})).empty());

    auto integers = [](const char* descr, const Bytes& data, int count) {
        return int64_from_npy(raw_npy(dictionary(descr, "(" + std::to_string(count) + ",)"), data));
    };
    CHECK(integers("|i1", {255, 1}, 2) == std::vector<int64_t>{-1, 1});
    CHECK(integers("|u1", {255, 1}, 2) == std::vector<int64_t>{255, 1});
    CHECK(integers("<i2", {0xfe, 0xff}, 1) == std::vector<int64_t>{-2});
    CHECK(integers(">u2", {0xff, 0xfe}, 1) == std::vector<int64_t>{65534});
    CHECK(integers(">i4", {0xff, 0xff, 0xff, 0xfd}, 1) == std::vector<int64_t>{-3});
    CHECK(integers("<u4", {0xff, 0xff, 0xff, 0xff}, 1) == std::vector<int64_t>{4294967295});
    CHECK(integers(">u8", {0, 0, 0, 0, 0, 0, 1, 0}, 1) == std::vector<int64_t>{256});
    CHECK(integers("<f2", {0x00, 0x64}, 1) == std::vector<int64_t>{1024});
    CHECK(integers("<f4", {0, 0, 0x40, 0xc0}, 1) == std::vector<int64_t>{-3});
    CHECK(int64_from_npy(npy_from_double(std::vector{-9223372036854775808.0})) == std::vector<int64_t>{kMin});
    CHECK(double_from_npy(raw_npy(dictionary("<f2", "(4,)"), {0x01, 0, 0x55, 0x35, 0, 0xfc, 0, 0x80})) ==
          std::vector<double>{std::ldexp(1, -24), 0.333251953125, -std::numeric_limits<double>::infinity(), 0});
    CHECK(double_from_npy(npy_from_int64(std::vector<int64_t>{5})) == std::vector<double>{5});
}

TEST_CASE("npy: numbers that are none are refused") {
    for (double value : {0.5, 9223372036854775808.0, 1e300, std::nan(""), std::numeric_limits<double>::infinity()}) {
        CHECK(error_of([&] { int64_from_npy(npy_from_double(std::vector{value})); }) == ErrorCode::corrupt);
    }
    auto error = [](const std::string& descr, const std::string& shape) {
        return error_of([&] { int64_from_npy(raw_npy(dictionary(descr, shape), Bytes(64, 0xff))); });
    };
    CHECK(error("<u8", "(1,)") == ErrorCode::corrupt);
    for (const char* descr : {"|O", "<U1", "|b1", "<c16", "<f16", "<i3", "<i0", "<M8[ns]"}) {
        CAPTURE(descr);
        CHECK(error(descr, "(2,)") == ErrorCode::corrupt);
    }
    CHECK(error("<i8", "()") == ErrorCode::corrupt);
    CHECK(error("<i8", "(2, 2)") == ErrorCode::corrupt);
    CHECK(error("<i8", "(9,)") == ErrorCode::corrupt);
}

TEST_CASE("npy: scalars, texts and None have numpy's layout") {
    Bytes scalar = npy_from_scalar(7);
    CHECK(scalar.size() == 136);
    CHECK(scalar[128] == 7);
    Bytes text = npy_from_text("n\xc3\xa9\xf0\x9f\x98\x80");
    CHECK(parse_npy_header(text).descr == "<U3");
    CHECK(Bytes(text.begin() + 128, text.end()) == Bytes{'n', 0, 0, 0, 0xe9, 0, 0, 0, 0, 0xf6, 1, 0});
    CHECK(parse_npy_header(npy_from_text("")).descr == "<U1");
    CHECK(error_of([] { npy_from_text("\xff"); }) == ErrorCode::invalid_argument);
    Bytes none = npy_none();
    CHECK(none.size() == 278);
    CHECK(none.back() == '.');
    CHECK(parse_npy_header(none).kind() == 'O');
}

}  // namespace reelstore
